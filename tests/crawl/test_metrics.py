"""What a running crawl tells Prometheus and, when it has ended, the views for dashboards: one crawl, seen
from both sides.
"""

import re
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database
from tests.helpers import report_jobs
from tests.helpers.command import Maricopa

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _scrape(address: str) -> Samples:
    """Return what Prometheus would read: values by name and labels."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30) as answer:
        text = answer.read().decode()
    found = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in found
        for sample in family.samples
    }


def _moving(seen: Samples) -> Samples:
    names = (
        "maricopa_requests_total",
        "maricopa_refusals_total",
        "maricopa_responses_total",
        "maricopa_response_seconds_count",
    )
    return {sample: value for sample, value in seen.items() if sample[0] in names}


def test_a_running_crawl_answers_prometheus_and_leaves_its_figures_to_dashboards(
    tmp_path: Path, database: Database, county: Callable[..., SandboxProcess]
) -> None:
    apns = County().apns(150)
    sandbox = county(faults={"throttled": 0.02, "new_field": 0.2, "wrong_parcel": 0.02})
    process = Crawler(database, sandbox.url, rate=30).start(
        "assessor", "-a", "apns=" + ",".join(apns), "-s", "MARICOPA_METRICS_PORT=0"
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if "metrics on" in line)
    address = line.split()[-1]
    mine = ("source", "assessor")
    seen = _scrape(address)
    allowed = set()
    # Targets are counted from a second after the start.
    counted = ("maricopa_targets", (mine, ("state", "done")))
    while process.poll() is None and (
        seen.get(("maricopa_rows_stored_total", (mine,)), 0) < 100 or counted not in seen
    ):
        time.sleep(0.05)
        seen = _scrape(address)
        allowed.add(seen.get(("maricopa_allowed_rate", (mine,)), 0))
    # What is counted while it is read may differ by one answer: nothing is, while the county stands still.
    standing = psutil.Process(sandbox.pid)
    standing.suspend()
    try:
        before: Samples = {}
        while _moving(seen) != _moving(before):
            time.sleep(0.3)
            before, seen = seen, _scrape(address)
        doors = [
            each.laddr.ip
            for each in psutil.Process(process.pid).net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        ]
    finally:
        standing.resume()
    assert doors == ["127.0.0.1"]
    log, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 3), log

    names = Counter(name for name, _ in seen)
    requests, refusals = (
        seen[("maricopa_requests_total", (mine,))],
        seen[("maricopa_refusals_total", (mine,))],
    )
    answers = {labels: value for (name, labels), value in seen.items() if name == "maricopa_responses_total"}
    assert sum(answers.values()) == seen[("maricopa_response_seconds_count", (mine,))]
    assert 0 <= requests - sum(answers.values()) <= 10
    assert answers.get((mine, ("status", "4xx")), 0) == refusals
    assert names["maricopa_response_seconds_bucket"] == 11
    states = {
        dict(labels)["state"]: value for (name, labels), value in seen.items() if name == "maricopa_targets"
    }
    assert states.keys() == {"pending", "leased", "done", "gone", "dead"}
    assert sum(states.values()) == 150
    # Less after a refusal, none while the source is held.
    allowed.add(seen[("maricopa_allowed_rate", (mine,))])
    assert min(allowed) >= 0
    assert 0 < max(allowed) <= 30
    assert {
        ("maricopa_requests_waiting", (mine,)),
        ("maricopa_requests_under_way", (mine,)),
        ("maricopa_answers_unstored", ()),
    } <= seen.keys()
    assert time.time() - seen[("maricopa_last_heartbeat_timestamp_seconds", ())] < 30
    assert seen[("maricopa_run_info", (("job", "1"), ("run", "1"), ("spider", "assessor")))] == 1
    # Nothing that names a parcel, a person or a secret.
    words = {value for _, labels in seen for name, value in labels if name not in ("le", "job", "run")}
    assert words <= {"assessor", *states, "1xx", "2xx", "3xx", "4xx", "5xx"}

    # The same crawl, as its samples and the views have it.
    (traffic,) = (row[0] for row in database.rows("SELECT traffic -> 'assessor' FROM crawl.run"))
    total = database.rows(
        "SELECT sum(requests), sum(answers), sum(refusals), sum(bytes) FROM report_source_hourly WHERE source"
        " = 'assessor'"
    )
    assert [int(value) for value in total[0]] == [
        traffic[name] for name in ("requests", "answers", "refusals", "bytes")
    ]
    assert traffic["refusals"] > 0
    assert database.one("SELECT count(*) FROM crawl.sample") >= 2
    assert 0 < database.one("SELECT max(allowed) FROM crawl.sample") <= 30
    ((asked, done, failed, left),) = database.rows(
        'SELECT asked, done, failed, "left" FROM report_coverage WHERE job = 1'
    )
    assert (asked, done, failed, left) == (
        150,
        database.states().get("done", 0),
        database.states().get("dead", 0),
        0,
    )
    ((outcome, targets, sent, each),) = database.rows(
        "SELECT outcome, targets, requests, requests_per_parcel FROM report_job"
    )
    assert outcome in ("completed", "completed_with_failures")
    assert (targets, sent) == (150, traffic["requests"])
    assert float(each) == round(traffic["requests"] / done, 3)

    # And its report: refusals are drawn, the new field is an issue, the parcels that were another's are told.
    page = Maricopa(database, sandbox.url, tmp_path).here("report", "1", "--html", "-").out
    assert 'class="refused" d="M' in page
    assert "GreenScore" in page
    assert "wrong parcel <small>assessor</small>" in page


def test_the_views_count_failures_and_changes(database: Database, session: Session) -> None:
    job = report_jobs.make(session, database, "incomplete", targets=60)
    failures = database.rows(
        "SELECT source, cause, given_up, to_be_tried_again FROM report_failures WHERE job = %s ORDER BY 1",
        job,
    )
    dead = dict(database.rows("SELECT source, count(*) FROM crawl.target WHERE state = 'dead' GROUP BY 1"))
    assert failures == [(source, "timeout", dead[source], 0) for source in sorted(dead)]
    changes = database.rows("SELECT table_name, field, changes FROM report_changes_daily ORDER BY 2")
    assert changes == [("assessor.owner", field, 7) for field in ("deed_number", "ownership", "sale_price")]
    # And what the page about dashboards asks of them.
    blocks = re.findall(r"(?ms)^    (--.*?;)$", (ROOT / "docs" / "dashboards.md").read_text())
    assert len(blocks) == 5
    for block in blocks:
        assert database.rows(
            block.replace("$__timeFilter(hour)", "hour > now() - interval '1 day'").replace("%", "%%")
        ), block


def test_a_port_in_use_is_one_line_and_a_port_that_is_none_a_mistake(
    database: Database, county: Callable[..., SandboxProcess]
) -> None:
    crawl = Crawler(database, county().url)
    apns = "apns=" + ",".join(County().apns(3))
    wrong = crawl("assessor", "-a", apns, "-s", "MARICOPA_METRICS_PORT=http")
    assert wrong.code == 2
    assert wrong.error_lines() == [
        "scrapy crawl assessor: error: MARICOPA_METRICS_PORT=http is not a port; 0 is any that is free"
    ]
    # No other is above it.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 65_535))
        taken.listen()
        done = crawl("assessor", "-a", apns, "-s", "MARICOPA_METRICS_PORT=65535")
    assert done.code == 0, done.log
    (line,) = [line for line in done.log.splitlines() if "/metrics" in line]
    assert (
        "no /metrics: ports 65535 to 65535 of 127.0.0.1 cannot be had (Address already in use); the crawl"
        " goes on without" in line
    )
    assert database.states() == {"done": 3}


def test_the_runs_of_a_job_take_one_port_after_another() -> None:
    from prometheus_client import CollectorRegistry

    from maricopa_scrapy.crawl.metrics import serve

    first = serve(CollectorRegistry(), 0)
    assert first is not None
    port = first[0].server_port
    second = serve(CollectorRegistry(), port)
    assert second is not None
    assert port < second[0].server_port < port + 10
    for server, thread in (first, second):
        server.shutdown()
        server.server_close()
        thread.join()
