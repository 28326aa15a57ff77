"""Jobs of every outcome, as their runs leave them in the ledger, with a county that writes HTML into its
values.
"""

from typing import Any

from psycopg2.extras import Json

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn, Reason
from maricopa_scrapy.ledger import jobs, ledger
from maricopa_scrapy.ledger.response_times import bucket
from tests.conftest import Database

EVIL = (
    """<script>document.title='owned'</script><img src=x onerror="document.title='owned'">"""
    """ "quoted" & 'single' {{ 7 * 7 }}"""
)
LONG = "A" * 240
SOURCES = {"assessor": "parcel", "treasurer": "bills", "recorder": "document"}


def traffic(requests: int, refusals: int, seconds: float) -> dict[str, Any]:
    """Return what a run writes of one source with its beats."""
    spread = (
        (0.7, 3),
        (0.8, 9),
        (0.87, 14),
        (0.95, 18),
        (1.0, 16),
        (1.1, 13),
        (1.2, 10),
        (1.4, 7),
        (1.7, 5),
        (2.2, 3),
        (3.0, 1),
        (6.0, 1),
    )
    times = {str(bucket(seconds * factor)): requests * share // 100 for factor, share in spread}
    return {
        "requests": requests,
        "answers": requests - refusals,
        "refusals": refusals,
        "bytes": 9_000 * requests,
        "rate": 1.9,
        "times": times,
    }


def make(session: Session, database: Database, outcome: str, targets: int = 200) -> int:
    """Write a job that ends as `outcome`, or is not at its end; returns its number."""
    evil = {
        "owner": EVIL,
        "match": "any",
        "settings": {"MARICOPA_RATE_LIMIT": "5", "X_API_TOKEN": "hidden-word"},
        "note": LONG,
    }
    every = [
        FollowOn(source, kind, f"{10100000 + at}")
        for source, kind in SOURCES.items()
        for at in range(targets)
    ]
    job, _ = ledger.open_job(session, "comprehensive", every, evil, mode="parallel_all", priority="high")
    if outcome == "pending":
        return job
    runs = [
        ledger.open_run(session, job, "sales" if source == "recorder" else source, source)
        for source in SOURCES
    ]
    shares = {"done": 0.9, "gone": 0.05, "dead": 0.05}
    if outcome == "completed":
        shares = {"done": 0.96, "gone": 0.04}
    elif outcome in ("incomplete", "cancelled", "blocked", "running", "interrupted"):
        shares = {"done": 0.5, "gone": 0.03, "dead": 0.02}
    elif outcome == "nothing_done":
        shares = {"dead": 1.0}
    traffics: dict[str, dict[str, Any]] = {}
    for place, run in enumerate(runs):
        _answer(database, job, run.source, shares)
        refused = (40, 0, 3)[place]
        database.rows(
            "UPDATE crawl.run SET started_at = started_at - interval '20 min' WHERE id = %s RETURNING 1",
            run.id,
        )
        if outcome != "nothing_done":
            sent = 1100 - 300 * place
            traffics[run.source] = traffic(sent, refused, (0.08, 2.2, 0.4)[place])
            _sample(database, run.id, run.source, sent, refused)
            ledger.heartbeat(session, run, {run.source: traffics[run.source]})
    database.rows(
        "UPDATE crawl.job SET started_at = now() - interval '20 min' WHERE id = %s RETURNING 1", job
    )
    _trouble(database, job, runs[0].id)
    reasons = {
        "incomplete": Reason.SOURCE_UNAVAILABLE,
        "blocked": Reason.BLOCKED,
        "failed": Reason.UNAUTHORIZED,
    }
    if outcome == "cancelled":
        jobs.request_state(session, job, "cancel")
        reasons[outcome] = Reason.CANCELLED
    if outcome == "interrupted":
        database.rows(
            "UPDATE crawl.run SET heartbeat_at = now() - interval '1 h' WHERE job_id = %s RETURNING 1", job
        )
    elif outcome != "running":
        for run in runs:
            last = {run.source: traffics[run.source]} if run.source in traffics else {}
            ledger.close_run(session, run, reasons.get(outcome, Reason.FINISHED), {}, last)
    return job


def _answer(database: Database, job: int, source: str, shares: dict[str, float]) -> None:
    begin = 0.0
    for state, share in shares.items():
        database.rows(
            "UPDATE crawl.target t SET state = %s, done_at = now(), rows = 1, cause = %s, message = %s FROM"
            " (SELECT id, percent_rank() OVER (ORDER BY id) AS place FROM crawl.target WHERE job_id = %s "
            "AND source = %s) p"
            " WHERE p.id = t.id AND p.place >= %s AND p.place < %s RETURNING 1",
            state,
            "timeout" if state == "dead" else None,
            f"no answer within 30 s: {EVIL}" if state == "dead" else None,
            job,
            source,
            begin,
            1.1 if begin + share >= 0.999 else begin + share,
        )
        begin += share


def _sample(database: Database, run: int, source: str, requests: int, refusals: int) -> None:
    database.rows(
        "INSERT INTO crawl.sample (run_id, source, at, requests, answers, refusals, bytes, allowed)"
        " SELECT %s, %s, now() - make_interval(secs => 1200 - 6 * n), sent, sent - refused, refused, 9000 * "
        "sent,"
        " %s / 1200.0 * least(2 - exp(-n / 12.0), 1.06 + 0.06 * (n %% 50) / 50.0)"
        " FROM (SELECT n, round(%s * least(1.0, n / 200.0 + 0.01 * sin(n / 8.0)))::int AS sent, n / 50 * %s "
        "/ 4 AS refused"
        " FROM generate_series(1, 199) n) s RETURNING 1",
        run,
        source,
        requests,
        requests,
        refusals,
    )


def _trouble(database: Database, job: int, run: int) -> None:
    """Leave issues, failed tries and changes."""
    database.rows(
        'UPDATE crawl.target SET failures = \'{"server_error": 2, "timeout": 1}\' WHERE job_id = %s AND key'
        " = '10100003' RETURNING 1",
        job,
    )
    for number, message in enumerate((EVIL, "a field named Zoning2 that we do not know", LONG)):
        database.rows(
            "INSERT INTO crawl.issue (job_id, run_id, source, kind, signature, message, target_key, "
            "example, count, first_at, last_at)"
            " VALUES (%s, %s, 'assessor', 'new_field', %s, %s, '10100000', %s, %s, now(), now()) RETURNING 1",
            job,
            run,
            f"field {number}",
            message,
            Json({"url": f"https://127.0.0.1/parcel/?a={EVIL}"}),
            10 * number + 1,
        )
    for field, old, new in (
        ("ownership", "ARIZONA STATE LAND DEPT", EVIL),
        ("sale_price", None, "250000"),
        ("deed_number", LONG, "20240000001"),
    ):
        database.rows(
            "INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)"
            " SELECT 'assessor.owner', jsonb_build_object('apn', 10100000 + n), %s, %s, %s, now(), %s"
            " FROM generate_series(1, 7) n RETURNING 1",
            field,
            old,
            new,
            run,
        )
