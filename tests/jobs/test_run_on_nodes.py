"""`maricopa run --on NODE --on NODE`: a job on two real scrapyd nodes, one of which is lost; paused, taken up
again, cancelled.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.pace_cases import seen
from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.deploy import deploy
from maricopa_scrapy.ledger import jobs
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Database
from tests.helpers.command import Maricopa, wait_for, within_s
from tests.helpers.side_by_side import Cases, Place

PARCELS = 120
RATE = 20


case = Cases()


@contextmanager
def _nodes(here: Place, sandbox: SandboxProcess) -> Iterator[tuple[Scrapyd, Scrapyd, Maricopa]]:
    environment = {"MARICOPA_DATABASE_URL": here.database.url, "MARICOPA_SANDBOX": sandbox.url}
    (here.folder / "apns.txt").write_text("\n".join(County().apns(PARCELS)))
    credentials = {"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": PASSWORD}
    maricopa = Maricopa(here.database, sandbox.url, here.folder, rate=RATE, environment=credentials)
    with (
        Scrapyd(here.folder / "first", environment) as first,
        Scrapyd(here.folder / "second", environment) as second,
    ):
        for node in (first, second):
            deploy(node.node())
        yield first, second, maricopa


def _order(tmp_path: Path, *urls: str) -> list[str]:
    places = [part for url in urls for part in ("--on", url)]
    return [
        "run",
        "property-search",
        "--apns",
        str(tmp_path / "apns.txt"),
        "--mode",
        "api-only",
        "-y",
        *places,
    ]


def _done(database: Database) -> int:
    return database.states().get("done", 0)


@case
def a_lost_node_s_run_is_started_on_the_other(here: Place) -> None:
    tmp_path, database, session = here.folder, here.database, Session(here.database.url)
    sandbox = here.county(track=True)
    with _nodes(here, sandbox) as (first, second, maricopa):
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
        runs = database.rows("SELECT state, verdict FROM crawl.run")
        assert runs.count(("lost", None)) == 1
        assert set(runs) == {("closed", "completed"), ("lost", None)}
        assert not first.crawls()
        assert not second.crawls()
        assert seen(sandbox).most_per_second(10) <= 1.10 * RATE
        # Of what was asked for again, all was in the lost run's hands.
        assert sum(sandbox.stats()["assessor"]["fetched"].values()) <= PARCELS + 2 * RATE
        assert PASSWORD not in out + errors
        assert verify.problems(session) == []
    session.close()


@case.timed
def a_job_on_nodes_is_paused_taken_up_and_cancelled(here: Place) -> None:
    tmp_path, database, session = here.folder, here.database, Session(here.database.url)
    sandbox = here.county(track=True)
    with _nodes(here, sandbox) as (first, second, maricopa):

        def crawls() -> int:
            return sum(len(node.crawls()) for node in (first, second))

        order = _order(tmp_path, *(node.url for node in (first, second)))
        wrong = Maricopa(
            maricopa.database,
            maricopa.sandbox,
            tmp_path,
            environment={"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": "wr0ng"},
        )
        refused = wrong(*order)
        assert (refused.code, refused.errors.count("\n")) == (2, 1)
        assert "refuses this user or password" in refused.errors
        assert database.one("SELECT count(*) FROM crawl.job") == 0

        running = maricopa.start(*order)
        wait_for(lambda: crawls() == 2 and _done(database))
        jobs.request_state(session, 1, "pause")
        assert wait_for(lambda: database.one("SELECT state FROM crawl.job") == "paused") < within_s()
        wait_for(lambda: not crawls(), within_s())
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=30)

        # From the ledger it knows where the job ran.
        running = maricopa.start("resume", "1")
        wait_for(lambda: crawls() == 2)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=30)
        before = _done(database)
        wait_for(lambda: _done(database) > before)
        jobs.request_state(session, 1, "cancel")
        assert wait_for(lambda: database.one("SELECT state FROM crawl.job") == "finished") < within_s()
        wait_for(lambda: not crawls(), within_s())
        assert database.one("SELECT verdict FROM crawl.job") == "cancelled"
        assert database.states().keys() == {"done", "pending"}
    session.close()


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], None]]:
    with case.begin(request, server, template, tmp_path_factory.mktemp("nodes"), 2) as outcome:
        yield outcome


@pytest.mark.parametrize("case", case.params())
def test_nodes(outcome: Callable[[str], None], case: str) -> None:
    outcome(case)
