"""What a supervisor decides, with a clock of the test's and a place that starts no process; the ledger is the
real one.
"""

import threading
from collections.abc import Callable, Mapping

import pytest
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.configuration import BatchProcessing, load
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.supervisor import Supervisor
from maricopa_scrapy.ledger import jobs, ledger
from maricopa_scrapy.ledger.jobs import PlannedRun
from tests.conftest import Database


class Place:
    """An executor; what it does when it is asked, the test says."""

    name = "local"

    def __init__(
        self, start: Callable[[], str], is_running: Callable[[], bool | None] = lambda: True
    ) -> None:
        self._start = start
        self._is_running = is_running

    def check(self) -> None:
        pass

    def start(self, spider: str, arguments: Mapping[str, str]) -> str:
        return self._start()

    def is_running(self, handle: str) -> bool | None:
        return self._is_running()

    def last_words(self, spider: str, handle: str) -> str:
        return ""

    def stop(self, handle: str) -> None:
        pass

    def kill(self, handle: str) -> None:
        pass


@pytest.fixture
def limits() -> BatchProcessing:
    return load()[0].batch_processing


@pytest.fixture
def job(session: Session) -> int:
    targets = [FollowOn("assessor", "parcel", "10100000")]
    job_id, _ = ledger.open_job(session, "property_search", targets, {}, mode="api_only")
    session.transact(lambda cursor: jobs.plan(cursor, job_id, [PlannedRun("assessor", "assessor")]))
    return job_id


def test_a_run_that_ends_just_as_it_is_looked_at_is_not_started_again(
    session: Session, job: int, limits: BatchProcessing, caplog: pytest.LogCaptureFixture
) -> None:
    def ends() -> bool:
        run = ledger.open_run(session, job, "assessor", "assessor", planned=1)
        session.transact(lambda cursor: cursor.execute("UPDATE crawl.target SET state = 'done', rows = 1"))
        ledger.close_run(session, run, "finished", {})
        return False

    supervisor = Supervisor(session, limits)
    supervisor.adopt(job, Place(lambda: "1 1.0", ends))
    for _ in range(3):
        supervisor.step()
    seen = jobs.see(session, job)
    assert (seen.verdict, seen.runs[0].starts) == ("completed", 1)
    assert "without a word" not in caplog.text


def test_a_place_that_cannot_start_is_asked_for_half_a_minute(
    session: Session, job: int, limits: BatchProcessing
) -> None:
    now, begun = [0.0], [0]

    def start() -> str:
        begun[0] += 1
        if now[0] < 20:
            raise NodeError("no node can start assessor now")
        return "1 1.0"

    supervisor = Supervisor(session, limits, clock=lambda: now[0])
    supervisor.adopt(job, Place(start))
    while now[0] < 30:
        supervisor.step()
        now[0] += 0.5
    seen = jobs.see(session, job)
    assert (seen.state, seen.runs[0].state, begun[0]) == ("running", "started", 6)


def test_a_process_of_another_place_is_not_looked_for_here(tmp_path_factory: pytest.TempPathFactory) -> None:
    here = LocalProcesses(tmp_path_factory.mktemp("log"))
    handle = "http://node1:6800 0123456789abcdef"
    assert here.is_running(handle) is None
    here.stop(handle)
    here.kill(handle)


def test_a_job_that_is_cancelled_at_its_turn_does_not_begin(
    session: Session, database: Database, job: int
) -> None:
    jobs.adopt(session, job)
    turns: list[bool] = []
    other = Session(database.url)
    with_turn = threading.Thread(target=lambda: turns.append(jobs.take_turn(other, job, 3)))

    def work(cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE crawl.job SET requested_state = 'cancel', state = 'finished', verdict = 'cancelled' WHERE"
            " id = %s",
            (job,),
        )
        with_turn.start()
        # It has seen the job as it was, and waits for its row.
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type ="
            " 'Lock'"
        )
        for _ in range(200):
            cursor.execute(f"SELECT pg_sleep(0.02), ({waiting})")
            if cursor.fetchall()[0][1]:
                break

    session.transact(work)
    with_turn.join()
    other.close()
    assert turns == [False]
    assert database.rows("SELECT state, verdict FROM crawl.job") == [("finished", "cancelled")]


def test_what_was_started_is_not_started_twice_by_a_resume(
    session: Session, database: Database, job: int
) -> None:
    jobs.adopt(session, job)
    assert jobs.take_turn(session, job, 3)
    jobs.note_start(session, job, 1, None)
    jobs.note_start(session, job, 1, "1 1.0")
    # Its process is on the way to the ledger.
    assert not jobs.resume(session, job)
    assert jobs.see(session, job).runs[0].state == "started"


def test_a_retry_reaches_a_source_whose_run_has_ended_while_another_is_at_work(
    session: Session, database: Database
) -> None:
    targets = [FollowOn("assessor", "parcel", "10100000"), FollowOn("treasurer", "parcel", "10100000")]
    job_id, _ = ledger.open_job(session, "comprehensive", targets, {}, mode="parallel_all")
    plan = [PlannedRun("assessor", "assessor"), PlannedRun("tax", "treasurer")]
    session.transact(lambda cursor: jobs.plan(cursor, job_id, plan))
    jobs.adopt(session, job_id)
    runs = [
        ledger.open_run(session, job_id, one.spider, one.source, planned=at)
        for at, one in enumerate(plan, start=1)
    ]
    session.transact(
        lambda cursor: cursor.execute(
            "UPDATE crawl.target SET state = 'dead', cause = 'timeout', failures = '{}' WHERE source ="
            " 'assessor'"
        )
    )
    ledger.close_run(session, runs[0], "finished", {})
    assert jobs.retry(session, job_id) == 1
    assert [run.state for run in jobs.see(session, job_id).runs] == ["planned", "started"]
