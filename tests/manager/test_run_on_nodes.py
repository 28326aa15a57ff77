"""`maricopa run --on NODE --on NODE`: a job on two real scrapyd nodes, one of which is lost; paused, taken up again, cancelled."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.manager.deploy import deploy
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.store import jobs, verify
from maricopa_scrapy.store.connect import Session
from tests.command import WITHIN_S, Maricopa, wait_for
from tests.conftest import Database

PARCELS = 200
RATE = 20


@pytest.fixture
def sandbox(county: Callable[..., SandboxProcess]) -> SandboxProcess:
    return county(track=True)


@pytest.fixture
def nodes(tmp_path: Path, database: Database, sandbox: SandboxProcess) -> Iterator[tuple[Scrapyd, Scrapyd]]:
    environment = {"MARICOPA_DATABASE_URL": database.url, "MARICOPA_SANDBOX": sandbox.url}
    with Scrapyd(tmp_path / "first", environment) as first, Scrapyd(tmp_path / "second", environment) as second:
        for node in (first, second):
            deploy(node.node())
        yield first, second


@pytest.fixture
def maricopa(tmp_path: Path, database: Database, sandbox: SandboxProcess) -> Maricopa:
    (tmp_path / "apns.txt").write_text("\n".join(County().apns(PARCELS)))
    credentials = {"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": PASSWORD}
    return Maricopa(database, sandbox.url, tmp_path, rate=RATE, environment=credentials)


def _order(tmp_path: Path, *urls: str) -> list[str]:
    places = [part for url in urls for part in ("--on", url)]
    return ["run", "property-search", "--apns", str(tmp_path / "apns.txt"), "--mode", "api-only", "-y", *places]


def _done(database: Database) -> int:
    return database.states().get("done", 0)


def test_a_lost_node_s_run_is_started_on_the_other(
    tmp_path: Path, database: Database, session: Session, sandbox: SandboxProcess, nodes: tuple[Scrapyd, Scrapyd], maricopa: Maricopa
) -> None:
    first, second = nodes
    # The file is this machine's, the runs are elsewhere: they get the job, not the file.
    running = maricopa.start(*_order(tmp_path, first.url, second.url))
    wait_for(lambda: len(first.crawls()) == len(second.crawls()) == 1 and _done(database) > PARCELS / 10)
    (crawl,) = first.crawls()
    assert "apns" not in " ".join(crawl.cmdline())
    first.kill_with_crawls()
    out, errors = running.communicate(timeout=90)
    assert running.returncode == 0, out + errors + second.log()
    assert database.states() == {"done": PARCELS}
    assert set(database.rows("SELECT state FROM crawl.planned_run")) == {("ended",)}
    assert ("lost",) in database.rows("SELECT state FROM crawl.run")
    # Of what was asked for again, all was in the lost run's hands.
    assert sum(sandbox.stats()["assessor"]["fetched"].values()) <= PARCELS + 2 * RATE
    assert PASSWORD not in out + errors
    assert verify.problems(session) == []


def test_a_job_on_nodes_is_paused_taken_up_and_cancelled(
    tmp_path: Path, database: Database, session: Session, nodes: tuple[Scrapyd, Scrapyd], maricopa: Maricopa
) -> None:
    def crawls() -> int:
        return sum(len(node.crawls()) for node in nodes)

    order = _order(tmp_path, *(node.url for node in nodes))
    wrong = Maricopa(maricopa.database, maricopa.sandbox, tmp_path, environment={"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": "wr0ng"})
    refused = wrong(*order)
    assert (refused.code, refused.errors.count("\n")) == (2, 1)
    assert "refuses this user or password" in refused.errors
    assert database.one("SELECT count(*) FROM crawl.job") == 0

    running = maricopa.start(*order)
    wait_for(lambda: crawls() == 2 and _done(database))
    jobs.wish(session, 1, "pause")
    assert wait_for(lambda: database.one("SELECT state FROM crawl.job") == "paused") < WITHIN_S
    wait_for(lambda: not crawls(), WITHIN_S)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=30)

    # From the ledger it knows where the job ran.
    running = maricopa.start("resume", "1")
    wait_for(lambda: crawls() == 2)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=30)
    before = _done(database)
    wait_for(lambda: _done(database) > before)
    jobs.wish(session, 1, "cancel")
    assert wait_for(lambda: database.one("SELECT state FROM crawl.job") == "finished") < WITHIN_S
    wait_for(lambda: not crawls(), WITHIN_S)
    assert database.one("SELECT verdict FROM crawl.job") == "cancelled"
    assert database.states().keys() == {"done", "pending"}
