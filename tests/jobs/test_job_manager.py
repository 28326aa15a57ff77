"""The manager from Python: submitting, waiting, callbacks, async callers, a GUI's thread, the queue, and the
limits of config.yaml.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from maricopa_scrapy.arguments.spider_arguments import ArgumentError, age
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.plan import NothingToDo, PlanError
from maricopa_scrapy.ledger.cleanup import cleanup
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Database
from tests.helpers.side_by_side import Cases, Place

case = Cases()


@contextmanager
def _manager(here: Place, rate: float = 100, latency: float = 0.0, **limits: int) -> Iterator[JobManager]:
    """A manager of the case's database and of a sandbox; `limits` go to batch_processing."""
    sandbox = here.county(latency=latency, gis_parcels=200)
    settings = {"MARICOPA_RATE_LIMIT": str(rate)}
    environment = {"MARICOPA_DATABASE_URL": here.database.url, "MARICOPA_SANDBOX": sandbox.url}
    executor = LocalProcesses(here.folder / "log", settings, environment)
    manager = JobManager(here.database.url, executor=executor, sandbox=sandbox.url, settings=settings)
    # Not by a config.yaml: its folder is named in the environment, which other cases share.
    manager._limits = manager._limits.model_copy(update=limits)
    with manager:
        yield manager


@case
def progress_is_told_as_it_changes_and_a_callback_that_raises_harms_nothing(here: Place) -> None:
    database = here.database
    with _manager(here, rate=25) as manager:
        told: list[tuple[float, JobProgress]] = []
        said: list[str] = []
        logger = logging.getLogger("maricopa_scrapy.jobs.manager")

        class Heard(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                said.append(record.getMessage())

        told_of = Heard(logging.ERROR)
        logger.addHandler(told_of)

        def on_progress(status: JobProgress) -> None:
            told.append((time.monotonic(), status))
            raise (SystemExit if len(told) % 2 else RuntimeError)("a mistake of the caller's")

        job = manager.submit(
            {apn: ("high" if at % 2 else "low") for at, apn in enumerate(County().apns(60))},
            parameters={"execution": "hybrid"},
            processing_mode="api-only",
            priority="high",
            on_progress=on_progress,
        )
        with pytest.raises(TimeoutError, match=rf"job {job} is \w+ after 0.2 s"):
            manager.wait(job, timeout=0.2)
        done = manager.wait(job, timeout=60)
        assert (done.verdict, done.counts.done, done.success) == ("completed", 60, 1.0)
        assert dict(database.rows("SELECT priority, count(*) FROM crawl.target GROUP BY 1")) == {1: 30, 3: 30}
        logger.removeHandler(told_of)
        assert said.count(f"on_progress of job {job} raised") == len(told)
        assert told[-1][1].verdict == "completed"
        times = [at for at, _ in told]
        assert all(len([other for other in times if at <= other < at + 0.98]) <= 4 for at in times)
        states = [(status.word, status.counts) for _, status in told]
        assert len(states) > 3
        figures = manager.statistics(job)
        assert (figures.parcels, figures.requests, figures.requests_per_parcel) == (60, 60, 1.0)
        assert figures.sources["assessor"].traffic.answers == 60
        assert manager.statistics().as_dict()["jobs"] == {"completed": 1}


@case
def async_callers_a_thread_of_a_gui_and_what_a_cleanup_leaves_of_their_jobs(here: Place) -> None:
    database = here.database
    with _manager(here) as manager:
        apns = County().apns(12)
        submitted = threading.Event()

        async def collect() -> list[str | None]:
            loop_thread, told = threading.current_thread(), []
            jobs = [
                await manager.submit_async(
                    some, on_progress=lambda status: told.append(threading.current_thread())
                )
                for some in (apns[:8] + County().absent(2), apns[4:])
            ]
            submitted.set()
            verdicts = [(await manager.wait_async(job, timeout=60)).verdict for job in jobs]
            await asyncio.sleep(0)
            assert set(told) == {loop_thread}
            return verdicts

        found: list[str | None] = []

        def worker() -> None:
            submitted.wait(60)
            found.append(manager.wait(manager.submit(apns[:8]), timeout=60).verdict)

        thread = threading.Thread(target=worker)
        thread.start()
        assert asyncio.run(collect()) == ["completed", "completed"]
        thread.join()
        assert found == ["completed"]
        assert database.one("SELECT count(*) FROM assessor.parcel") == 12
    _old_jobs_are_removed_but_not_what_rows_rest_on(database)


def _old_jobs_are_removed_but_not_what_rows_rest_on(database: Database) -> None:
    database.rows(
        "UPDATE crawl.job SET finished_at = finished_at - interval '100 d' WHERE id < 3 RETURNING 1"
    )
    database.rows("UPDATE crawl.target SET done_at = done_at - interval '100 d' WHERE job_id < 3 RETURNING 1")
    session = Session(database.url)
    before = database.rows("SELECT count(*) FROM crawl.target")
    counted = cleanup(session, age("older_than", "90d"), dry_run=True)
    assert database.rows("SELECT count(*) FROM crawl.target") == before
    removed = cleanup(session, age("older_than", "90d"))
    assert removed == counted
    # The same answers came again: what the newer job holds as well is not needed of the older ones.
    assert removed.targets >= 2
    assert removed.jobs + removed.kept == 2
    assert verify.problems(session) == []
    assert database.one("SELECT count(*) FROM assessor.parcel") == 12
    assert database.one("SELECT count(*) FROM property WHERE last_seen_at IS NULL") == 0
    session.close()


@case
def ten_jobs_wait_their_turn_by_priority(here: Place) -> None:
    database = here.database
    with _manager(here, rate=60, latency=0.02) as manager:
        apns = County().apns(100)
        order = ["low", "normal", "high", "critical", "low", "normal", "high", "critical", "normal", "low"]
        jobs = [
            manager.submit(apns[at * 10 : at * 10 + 10], priority=priority)
            for at, priority in enumerate(order)
        ]
        for job in jobs:
            assert manager.wait(job, timeout=120).verdict == "completed"
        spans = database.rows("SELECT id, started_at, finished_at FROM crawl.job ORDER BY started_at, id")
        most = max(sum(begun <= at < ended for _, begun, ended in spans) for _, at, _ in spans)
        assert most == 3
        # The first ones began when no other was there yet.
        waited = [order[job - 1] for job, _, _ in spans][3:]
        ranks = [("critical", "high", "normal", "low").index(priority) for priority in waited]
        assert ranks == sorted(ranks)
        session = Session(database.url)
        assert verify.problems(session) == []
        session.close()


@case
def runs_wait_for_connections(here: Place) -> None:
    database = here.database
    with _manager(here, rate=20, connection_pool_size=3) as manager:
        job = manager.submit(County().apns(25), job_type="comprehensive", processing_mode="api_only")
        most = 0
        while manager.status(job).state != "finished":
            most = max(most, database.one("SELECT count(*) FROM crawl.planned_run WHERE state = 'started'"))
            time.sleep(0.1)
        assert manager.wait(job, timeout=60).verdict == "completed"
        assert most == 1
        assert database.one("SELECT count(*) FROM crawl.run") >= 2


@case
def stored_parcels_get_what_they_lack(here: Place) -> None:
    database = here.database
    with _manager(here) as manager:
        apns = County().apns(20)
        assert manager.wait(manager.submit(apns), timeout=60).verdict == "completed"
        for mode in (None, "api_only"):
            with pytest.raises(
                NothingToDo,
                match=r"there is nothing to do: assessor's API: nothing that can be asked for is missing",
            ):
                manager.submit(
                    [],
                    job_type="data_enhancement",
                    processing_mode=mode,
                    parameters={"older_than": "1d", "sections": "property"},
                )
        database.rows(
            "UPDATE crawl.target SET done_at = done_at - interval '40 d' WHERE key = ANY(%s) RETURNING 1",
            apns[:7],
        )
        job = manager.submit(
            [],
            job_type="data_enhancement",
            processing_mode="api-only",
            parameters={"older_than": "30d", "sections": "property,gis"},
        )
        assert manager.wait(job, timeout=60).verdict == "completed"
        assert {
            key
            for (key,) in database.rows(
                "SELECT key FROM crawl.target WHERE job_id = %s AND source = 'assessor'", job
            )
        } == set(apns[:7])
        assert database.one("SELECT count(*) FROM gis.parcel") == 20


@case
def what_cannot_be_is_refused(here: Place) -> None:
    database = here.database
    with _manager(here) as manager:
        for error, message, arguments in (
            (PlanError, "takes one name, 2 were given", {"identifiers": ["A", "B"], "search_type": "owner"}),
            (ArgumentError, "did you mean owner", {"identifiers": ["A"], "search_type": "ownr"}),
            (
                ArgumentError,
                "did you mean execution",
                {"identifiers": ["165-28-054"], "parameters": {"exection": "hybrid"}},
            ),
            (ArgumentError, "the list is empty", {"identifiers": []}),
            (ArgumentError, "'urgent' is not one of", {"identifiers": {"165-28-054": "urgent"}}),
        ):
            with pytest.raises(error, match=message):
                manager.submit(**arguments)
        with pytest.raises(LedgerError, match="there is no job 7"):
            manager.status(7)
        assert database.one("SELECT count(*) FROM crawl.job") == 0


@case
def a_job_that_another_process_has_taken_over_is_let_go(here: Place) -> None:
    database = here.database
    with _manager(here, rate=10) as manager:
        job = manager.submit(County().apns(60))
        database.rows(
            "UPDATE crawl.job SET supervisor_pid = 1, supervisor = 'elsewhere' WHERE id = %s RETURNING 1", job
        )
        # It is another's now, who beats: this one lets it go, and goes on with nothing.
        with pytest.raises(LedgerError, match="is supervised already, by process 1 on elsewhere"):
            manager._supervise(job, None)
        manager.cancel(job)
        deadline = time.monotonic() + 60
        while manager.status(job).state != "finished":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert manager.status(job).verdict == "cancelled"


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], None]]:
    with case.begin(request, server, template, tmp_path_factory.mktemp("manager"), 3) as outcome:
        yield outcome


@pytest.mark.parametrize("case", case.params())
def test_manager(outcome: Callable[[str], None], case: str) -> None:
    outcome(case)
