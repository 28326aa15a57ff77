"""The ledger on a real Postgres: leases, lost runs, verdicts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.ledger import jobs, ledger
from maricopa_scrapy.ledger.jobs import PlannedRun
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.records import verify
from maricopa_scrapy.sources.recorder.spider import DocumentsSpider
from maricopa_scrapy.sources.recorder.target_details import DocumentDetail, WindowDetail
from tests.conftest import Database


def _job(session: Session, count: int = 100) -> int:
    targets = (FollowOn("assessor", "parcel", f"{10100000 + i}") for i in range(count))
    return ledger.open_job(session, "property_search", targets, {"apns": "x"})[0]


def test_duplicates_are_one_target(session: Session, database: Database) -> None:
    targets = [FollowOn("assessor", "parcel", f"{10100000 + i % 7}") for i in range(50)]
    assert ledger.open_job(session, "property_search", targets, {})[1] == 7
    assert database.one("SELECT enumerated FROM crawl.job") == 7


def test_what_the_list_raises_leaves_no_job(session: Session, database: Database) -> None:
    def broken() -> Iterator[FollowOn]:
        yield FollowOn("assessor", "parcel", "10100000")
        raise ValueError("line 2")

    with pytest.raises(ValueError, match="line 2"):
        ledger.open_job(session, "property_search", broken(), {})
    assert database.one("SELECT count(*) FROM crawl.job") == 0


def test_leases_are_in_order_and_never_shared(session: Session, database: Database) -> None:
    job_id = _job(session, 1000)

    def take(_: int) -> list[int]:
        mine = Session(database.url)
        run = ledger.open_run(mine, job_id, "assessor", "assessor")
        taken = [target.id for _ in range(10) for target in ledger.lease(mine, run, 10).targets]
        mine.close()
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [list(ids) for ids in pool.map(take, range(8))]
    everything = [i for ids in taken for i in ids]
    assert len(everything) == len(set(everything)) == 800
    assert all(ids == sorted(ids) for ids in taken)


def test_a_dead_process_s_leases_go_back_at_once(session: Session, database: Database) -> None:
    job_id = _job(session)
    child = f"""
import os, signal
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.database.connect import Session
session = Session({database.url!r})
run = ledger.open_run(session, {job_id}, "assessor", "assessor")
assert len(ledger.lease(session, run, 60).targets) == 60
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", child], check=False).returncode == -9
    assert database.states() == {"leased": 60, "pending": 40}
    run = ledger.open_run(session, job_id, "assessor", "assessor")
    assert len(ledger.lease(session, run, 1000).targets) == 100
    assert database.rows("SELECT state, reason FROM crawl.run ORDER BY id")[0] == ("lost", "lost")


def test_a_silent_run_on_another_machine_is_lost_after_ten_seconds(
    session: Session, database: Database
) -> None:
    job_id = _job(session)
    silent = ledger.open_run(session, job_id, "assessor", "assessor")
    ledger.lease(session, silent, 60)
    database.rows(
        "UPDATE crawl.run SET node = 'elsewhere', heartbeat_at = now() - interval '9 s' RETURNING id"
    )
    mine = ledger.open_run(session, job_id, "assessor", "assessor")
    assert len(ledger.lease(session, mine, 1000).targets) == 40
    database.rows(
        "UPDATE crawl.run SET heartbeat_at = now() - interval '11 s' WHERE node = 'elsewhere' RETURNING id"
    )
    assert "leased by a run that is gone" in " ".join(verify.problems(session))
    ledger.heartbeat(session, mine)
    assert len(ledger.lease(session, mine, 1000).targets) == 60
    # It was only slow: what it held is another's by now, and it must ask for nothing more.
    for word in (lambda: ledger.heartbeat(session, silent), lambda: ledger.lease(session, silent, 10)):
        with pytest.raises(ledger.RunLost):
            word()
    ledger.close_run(session, silent, "lost", {})
    assert database.rows("SELECT state, reason FROM crawl.run ORDER BY id") == [
        ("lost", "lost"),
        ("running", None),
    ]
    assert database.states() == {"leased": 100}


def test_closing_gives_back_and_judges(session: Session, database: Database) -> None:
    job_id = _job(session, 10)
    run = ledger.open_run(session, job_id, "assessor", "assessor")
    ledger.lease(session, run, 4)
    verdict, counts = ledger.close_run(session, run, "shutdown", {"a": 1})
    assert (verdict, counts.open) == ("incomplete", 10)
    assert database.rows("SELECT state, verdict, reason FROM crawl.job") == [
        ("finished", "incomplete", "shutdown")
    ]
    assert ledger.own_verdict(session, job_id) == "incomplete"


@pytest.mark.parametrize(
    ("reason", "states", "verdict"),
    [
        ("finished", {"done": 10}, "completed"),
        ("finished", {"done": 9, "gone": 1}, "completed"),
        ("finished", {"gone": 10}, "completed"),
        ("finished", {"done": 9, "dead": 1}, "completed_with_failures"),
        ("finished", {"done": 9, "pending": 1}, "incomplete"),
        ("unauthorized", {"pending": 10}, "failed"),
        ("blocked", {"done": 5, "pending": 5}, "blocked"),
        ("pipeline_error", {"done": 10}, "failed"),
        ("database_unavailable", {"pending": 10}, "incomplete"),
    ],
)
def test_verdicts(
    session: Session, database: Database, reason: str, states: dict[str, int], verdict: str
) -> None:
    job_id = _job(session, 10)
    run = ledger.open_run(session, job_id, "assessor", "assessor")
    ids = [i for (i,) in database.rows("SELECT id FROM crawl.target ORDER BY id")]
    for state, count in states.items():
        chosen, ids = ids[:count], ids[count:]
        database.rows("UPDATE crawl.target SET state = %s WHERE id = ANY(%s) RETURNING id", state, chosen)
    assert ledger.close_run(session, run, reason, {})[0] == verdict


def test_a_job_ends_with_its_last_run(session: Session, database: Database) -> None:
    job_id = _job(session, 10)
    first = ledger.open_run(session, job_id, "assessor", "assessor")
    second = ledger.open_run(session, job_id, "assessor", "assessor")
    ledger.close_run(session, first, "shutdown", {})
    assert database.one("SELECT state FROM crawl.job") == "running"
    ledger.close_run(session, second, "shutdown", {})
    assert database.one("SELECT state FROM crawl.job") == "finished"


@pytest.mark.parametrize(("is_over", "waits"), [(True, False), (False, True)])
def test_a_fed_run_does_not_wait_for_a_feeder_that_has_ended(
    session: Session, is_over: bool, waits: bool
) -> None:
    """One that has not begun is waited for: spiders that are started by hand come one after the other."""
    plan = [PlannedRun("assessor", "assessor", feeds=("recorder",)), PlannedRun("sales", "recorder")]
    targets = [FollowOn("assessor", "parcel", "10100000")]
    job_id, _ = ledger.open_job(
        session,
        "comprehensive",
        targets,
        {"follow": ["recorder"]},
        also=lambda cursor, job: jobs.plan(cursor, job, plan),
    )
    fed = ledger.open_run(session, job_id, "sales", "recorder", planned=2)
    if is_over:
        feeder = ledger.open_run(session, job_id, "assessor", "assessor", planned=1)
        ledger.close_run(session, feeder, "blocked", {})
    assert (ledger.lease(session, fed, 10).wait is not None) is waits


def test_a_job_that_is_not_there(session: Session) -> None:
    with pytest.raises(LedgerError, match=r"there is no job 7; `maricopa jobs`"):
        ledger.open_run(session, 7, "assessor", "assessor")


def test_verify_names_what_does_not_agree(session: Session, database: Database) -> None:
    job_id = _job(session, 10)
    assert verify.problems(session) == []
    database.rows("DELETE FROM crawl.target WHERE key = '10100003' RETURNING id")
    database.rows("UPDATE crawl.target SET state = 'done', rows = 0 WHERE key = '10100004' RETURNING id")
    database.rows("UPDATE crawl.target SET state = 'done', rows = 3 WHERE key = '10100005' RETURNING id")
    database.rows(
        "INSERT INTO assessor.owner (apn, content_hash, capture_sha256, first_seen_at, changed_at)"
        " VALUES ('10100006', '', 'x', now(), now()) RETURNING apn"
    )
    found = "\n".join(verify.problems(session, job_id))
    assert "10 targets were accepted, 9 are there" in found
    assert "parcel 10100004 is done, but its answer held nothing" in found
    assert "parcel 10100005 is done, but has no row in assessor.parcel" in found
    # A row that no capture brought is no job's.
    assert "apn=10100006" not in found
    assert "assessor.owner: apn=10100006: a row whose capture belongs to no finished target" in "\n".join(
        verify.problems(session)
    )


def test_a_target_of_another_version_fails_for_good_and_the_others_go_on(
    session: Session, database: Database
) -> None:
    days = {"since": "2025-03-03", "until": "2025-03-04"}
    fine = WindowDetail.model_validate(days | {"query": {"documentCode": "NS"}, "label": "NS"})
    targets = [FollowOn("recorder", "window", "NS 1", fine), FollowOn("recorder", "document", "20250000001")]
    job_id, _ = ledger.open_job(session, "documents", targets, {})
    assert database.one("SELECT detail FROM crawl.target WHERE detail IS NOT NULL") == days | {
        "query": {"documentCode": "NS"},
        "label": "NS",
    }
    odd: dict[str, Any] = {
        "NS 2": days | {"query": {"documentCode": "NS"}},
        "NS 3": fine.stored() | {"sorted_by": "day"},
        "NS 4": fine.stored() | {"page": "second"},
        "NS 5": None,
        "NS 6": [],
    }
    for key, detail in odd.items():
        database.rows(
            "INSERT INTO crawl.target (job_id, source, kind, key, detail)"
            " VALUES (%s, 'recorder', 'window', %s, %s) RETURNING id",
            job_id,
            key,
            None if detail is None else json.dumps(detail),
        )
    run = ledger.open_run(session, job_id, "documents", "recorder")
    leased = [
        target
        for _ in range(3)
        for target in ledger.lease(session, run, 2, details=DocumentsSpider.details).targets
    ]
    assert [(one.key, one.detail) for one in leased] == [("NS 1", fine), ("20250000001", DocumentDetail())]
    told = dict(database.rows("SELECT key, message FROM crawl.target WHERE cause = 'unknown_detail'"))
    assert {key: text.partition("knows it: ")[2] for key, text in told.items()} == {
        "NS 2": "detail.label: Field required",
        "NS 3": "detail.sorted_by: Extra inputs are not permitted",
        "NS 4": "detail.page: Input should be a valid integer, unable to parse string as an integer",
        "NS 5": "detail.since: Field required",
        "NS 6": "detail: Input should be an object",
    }
    assert database.states(job_id) == {"leased": 2, "dead": 5}
