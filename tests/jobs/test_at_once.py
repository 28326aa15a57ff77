"""Two that do the same at the same instant: runs of one list, managers of one job, writers of the same
parcels.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.command import Maricopa, apns, wait_for

Start = Callable[..., SandboxProcess]
PARCELS = 40
_STORED = "SELECT count(*), count(DISTINCT apn) FROM assessor.parcel"


def _said(process: "subprocess.Popen[str]") -> str:
    out, errors = process.communicate(timeout=90)
    return out + (errors or "")


def _agrees(database: Database, count: int) -> None:
    """All of so many parcels are stored, each once and whole."""
    assert database.rows(_STORED) == [(count, count)]
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()
    assert database.rows("SELECT state FROM crawl.run WHERE state <> 'closed'") == []


def test_a_list_that_is_submitted_twice_at_once_is_two_jobs(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    # Both also meet a database without tables, or one whose migration is under way.
    both = [
        maricopa.start("run", "property-search", "--apns", apns(PARCELS), "--mode", "api-only", "-y")
        for _ in range(2)
    ]
    said = [_said(one) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert database.rows("SELECT verdict FROM crawl.job") == [("completed",)] * 2
    for job in (1, 2):
        assert database.states(job) == {"done": PARCELS}
    _agrees(database, PARCELS)
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] == 2 * PARCELS


@pytest.mark.parametrize(
    "verb", [("resume", "1"), ("retry", "1", "--cause", "timeout")], ids=["resume", "retry"]
)
def test_a_job_that_two_go_on_with_at_once_has_one_manager(
    tmp_path: Path, database: Database, county: Start, verb: tuple[str, ...]
) -> None:
    sandbox = county()
    begun = Crawler(database, sandbox.url, rate=20).start("assessor", "-a", f"apns={apns(150)}")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.target WHERE state = 'done'"))
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    assert maricopa.here("pause", "1").code == 0
    begun.communicate(timeout=30)
    if verb[0] == "retry":
        database.rows(
            "UPDATE crawl.target SET state = 'dead', cause = 'timeout' WHERE state <> 'done' RETURNING 1"
        )
        database.rows(
            "UPDATE crawl.job SET state = 'finished', requested_state = 'run', verdict ="
            " 'completed_with_failures' RETURNING 1"
        )
    # As `maricopa run -s` keeps it: what goes on goes on as fast.
    settings = '{"settings": {"MARICOPA_RATE_LIMIT": "20"}}'
    database.rows("UPDATE crawl.job SET parameters = parameters || %s::jsonb RETURNING 1", settings)
    asked = sandbox.stats()["assessor"]["by_kind"]["parcel"]
    left = 150 - database.states().get("done", 0)
    both = [maricopa.start(*verb) for _ in range(3)]
    said = [_said(one) for one in both]
    # One carries it out; the others say who does, that it goes on, or that it has ended.
    assert 0 in [one.returncode for one in both], said
    assert {one.returncode for one in both} <= {0, 2}, said
    assert "Traceback" not in "".join(said)
    wait_for(lambda: database.rows("SELECT state, verdict FROM crawl.job") == [("finished", "completed")])
    assert database.states() == {"done": 150}
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] - asked == left
    _agrees(database, 150)


def test_spiders_that_join_a_job_at_once_share_its_targets(database: Database, county: Start) -> None:
    sandbox = county(latency=0.05)
    crawler = Crawler(database, sandbox.url, rate=30)
    first = crawler.start("assessor", "-a", f"apns={apns(80)}")
    wait_for(
        lambda: (
            database.rows("SELECT to_regclass('crawl.job')") != [(None,)]
            and database.rows("SELECT 1 FROM crawl.run")
        )
    )
    others = [crawler.start("assessor", "-a", "job=1") for _ in range(2)]
    logs = [_said(one) for one in (first, *others)]
    # One that came too late for any is told that the job has ended.
    assert {one.returncode for one in (first, *others)} <= {0, 2}, logs
    assert first.returncode == 0, logs
    assert database.states() == {"done": 80}
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] == 80
    _agrees(database, 80)


@pytest.mark.parametrize("changed", [False, True], ids=["new", "changed"])
def test_two_jobs_that_store_the_same_parcels_in_opposite_order_both_end(
    tmp_path: Path, database: Database, county: Start, changed: bool
) -> None:
    sandbox = county()
    settings = tmp_path / "settings"
    shutil.copytree(ROOT / "config", settings)
    config = settings / "config.yaml"
    # Many short transactions, which meet each other's rows.
    text = re.sub(r"batch_size: \d+", "batch_size: 7", config.read_text())
    config.write_text(re.sub(r"flush_interval: [\d.]+", "flush_interval: 0.05", text))
    crawler = Crawler(database, sandbox.url, rate=120, environment={"MARICOPA_CONFIG": str(settings)})
    keys = County().apns(90)
    if changed:
        assert crawler("assessor", "-a", f"apns={','.join(keys)}").code == 0
        database.rows(
            "UPDATE assessor.parcel SET content_hash = decode(md5(apn), 'hex'), property_address ="
            " 'elsewhere' RETURNING 1"
        )
    before = database.one("SELECT count(*) FROM crawl.job") if changed else 0
    both = [crawler.start("assessor", "-a", f"apns={','.join(order)}") for order in (keys, keys[::-1])]
    logs = [_said(one) for one in both]
    assert [one.returncode for one in both] == [0, 0], logs
    assert "database lost" not in "".join(logs)
    assert (
        database.rows("SELECT verdict FROM crawl.job ORDER BY id OFFSET %s", before) == [("completed",)] * 2
    )
    assert database.rows("SELECT state, count(*) FROM crawl.target GROUP BY 1") == [
        ("done", 90 * (2 + before))
    ]
    assert database.one("SELECT count(*) FROM assessor.parcel WHERE property_address = 'elsewhere'") == 0
    if changed:
        # Each change is told once, whoever was first.
        told = (
            "SELECT max(n) FROM (SELECT count(*) n FROM crawl.change WHERE field = 'property_address' GROUP"
            " BY key) c"
        )
        assert database.one(told) == 1
    _agrees(database, 90)
