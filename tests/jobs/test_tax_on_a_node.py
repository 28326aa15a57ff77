"""`maricopa run tax --on NODE`: the treasurer's pages in a browser on a real scrapyd node; paused, taken up
again, cancelled.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.deploy import deploy
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Database
from tests.helpers.command import Maricopa, wait_for, within_s, words_of
from tests.helpers.taxes import Start, differences, listed, needs_browser

pytestmark = [needs_browser, pytest.mark.timed]
PARCELS = 80
# Parcels a second: the job is never through before it is cancelled.
RATE = 4.0


@pytest.fixture
def sandbox(county: Start) -> SandboxProcess:
    return county(latency=0.2)


@pytest.fixture
def node(tmp_path: Path, database: Database, sandbox: SandboxProcess) -> Iterator[Scrapyd]:
    environment = {
        "MARICOPA_DATABASE_URL": database.url,
        "MARICOPA_SANDBOX": sandbox.url,
        "MARICOPA_DATA_DIR": str(tmp_path / "node"),
    }
    with Scrapyd(tmp_path / "scrapyd", environment) as scrapyd:
        deploy(scrapyd.node())
        yield scrapyd


def test_a_browser_s_crawl_on_a_node_is_paused_taken_up_and_cancelled_within_five_seconds(
    tmp_path: Path, database: Database, session: Session, sandbox: SandboxProcess, node: Scrapyd
) -> None:
    truth = County()
    apns = truth.apns(PARCELS)
    listed(tmp_path, apns)
    credentials = {"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": PASSWORD}
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=RATE, environment=credentials)
    running = maricopa.start("run", "tax", "--apns", str(tmp_path / "apns.txt"), "-y", "--on", node.url)

    def works_until(word: str, state: str) -> None:
        before = database.states().get("done", 0)
        wait_for(lambda: database.states().get("done", 0) > before + 1)
        (crawl,) = node.crawls()
        started = [crawl, *crawl.children(recursive=True)]
        assert any("--type=renderer" in words_of(process) for process in started)
        until = time.monotonic() + within_s()
        assert maricopa.here(word, "1").code == 0
        wait_for(lambda: database.one("SELECT state FROM crawl.job") == state, until - time.monotonic())
        # Neither the crawl is left nor a process of its browser.
        assert psutil.wait_procs(started, timeout=max(0, until - time.monotonic()))[1] == []
        # What was under way went back, or is stored as a whole.
        assert database.states().keys() == {"done", "pending"}
        done = [key for (key,) in database.rows("SELECT key FROM crawl.target WHERE state = 'done'")]
        assert differences(database, truth, done) == []
        tables = " UNION ".join(
            f"SELECT apn FROM treasurer.{table}" for table in ("account", "bill", "payment")
        )
        assert {apn for (apn,) in database.rows(tables)} == set(done)

    works_until("pause", "paused")
    assert maricopa.here("resume", "1").code == 0
    works_until("cancel", "finished")
    running.communicate(timeout=60)
    assert database.one("SELECT verdict FROM crawl.job") == "cancelled"
    assert not list((tmp_path / "node" / "browsers").glob("*"))
    assert verify.problems(session) == []
