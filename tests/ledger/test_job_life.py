"""Pause and cancel, told through the ledger alone: what becomes of the runs, their targets, and the job."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.targets import Run, add_targets
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.ledger import jobs, ledger
from maricopa_scrapy.ledger.jobs import PlannedRun
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database
from tests.helpers.command import within_s
from tests.helpers.side_by_side import Cases, Place

case = Cases()
# From the word to the end: the promise is 5 s.


def _wait(true: Callable[[], object], seconds: float = 60.0) -> float:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds
        time.sleep(0.05)
    return time.monotonic() - begun


def _apns(count: int) -> str:
    return "apns=" + ",".join(County().apns(count))


@case.timed
def a_paused_job_stops_within_five_seconds_and_goes_on(here: Place) -> None:
    _pause(here, 0.0)


@case.timed
def so_does_one_that_waits_for_slow_answers(here: Place) -> None:
    _pause(here, 15.0)


def _pause(here: Place, latency: float) -> None:
    database, session = here.database, Session(here.database.url)
    sandbox = here.county(track=True, latency=latency)
    crawler = Crawler(database, sandbox.url, rate=20)
    process = crawler.start("assessor", "-a", _apns(100))
    _wait(lambda: sandbox.stats().get("assessor", {}).get("requests", 0) > 2)
    jobs.request_state(session, 1, "pause")
    assert _wait(lambda: database.one("SELECT state FROM crawl.job") == "paused") < within_s()
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 4, log
    assert "Traceback" not in log
    assert "`maricopa resume 1` goes on" in log
    states = database.states()
    assert not {"leased", "dead"} & states.keys()
    assert database.one("SELECT sum(attempts) FROM crawl.target") == 0
    assert database.one("SELECT reason FROM crawl.run") == "paused"
    refused = crawler("assessor", "-a", "job=1")
    assert refused.code == 2
    assert "job 1 is paused; `maricopa resume 1`" in refused.error_lines()[0]

    sandbox.conduct(latency=0.0)
    settings = {"MARICOPA_RATE_LIMIT": "50"}
    executor = LocalProcesses(
        here.folder, settings, {"MARICOPA_DATABASE_URL": database.url, "MARICOPA_SANDBOX": sandbox.url}
    )
    with JobManager(database.url, executor=executor, sandbox=sandbox.url, settings=settings) as manager:
        asked, at = sandbox.stats()["assessor"]["requests"], time.monotonic()
        assert manager.resume(1)
        _wait(lambda: sandbox.stats()["assessor"]["requests"] > asked)
        assert time.monotonic() - at < within_s()
        assert manager.wait(1, timeout=60).verdict == "completed"
    assert database.states() == {"done": 100}
    assert verify.problems(session) == []
    # What was answered is stored, and not asked for again.
    again = sum(count - 1 for count in sandbox.stats()["assessor"]["fetched"].values())
    assert again <= 5
    session.close()


@case.timed
def a_cancelled_job_stays_cancelled(here: Place) -> None:
    database, session = here.database, Session(here.database.url)
    sandbox = here.county(latency=0.05)
    crawler = Crawler(database, sandbox.url, rate=30)
    first = crawler.start("assessor", "-a", _apns(300))
    _wait(lambda: database.states().get("done"))
    second = crawler.start("assessor", "-a", "job=1")
    _wait(lambda: database.one("SELECT count(*) FROM crawl.run") == 2)
    jobs.request_state(session, 1, "cancel")
    assert _wait(lambda: database.one("SELECT state FROM crawl.job") == "finished") < within_s()
    for process in (first, second):
        log, _ = process.communicate(timeout=60)
        assert process.returncode == 6, log
    assert database.rows("SELECT verdict, reason FROM crawl.job") == [("cancelled", "cancelled")]
    assert database.states().keys() == {"done", "pending"}
    assert database.one("SELECT count(*) FROM assessor.parcel") == database.states()["done"]
    assert verify.problems(session) == []
    for refused in (
        crawler("assessor", "-a", "job=1").error_lines()[0],
        _refusal(lambda: jobs.resume(session, 1)),
    ):
        assert "job 1 was cancelled; start a new one" in refused
    assert "there is nothing to cancel" in _refusal(lambda: jobs.request_state(session, 1, "cancel"))
    assert database.one("SELECT verdict FROM crawl.job") == "cancelled"
    session.close()


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], None]]:
    with case.begin(request, server, template, tmp_path_factory.mktemp("life"), 3) as outcome:
        yield outcome


@pytest.mark.parametrize("case", case.params())
def test_life(outcome: Callable[[str], None], case: str) -> None:
    outcome(case)


def _refusal(what: Callable[[], object]) -> str:
    with pytest.raises(LedgerError) as error:
        what()
    return str(error.value)


def _planned(session: Session, *runs: PlannedRun) -> int:
    targets = [FollowOn("assessor", "parcel", "10100000"), FollowOn("assessor", "parcel", "10100001")]
    job_id, _ = ledger.open_job(session, "comprehensive", targets, {}, mode="parallel_all")
    session.transact(lambda cursor: jobs.plan(cursor, job_id, runs))
    jobs.adopt(session, job_id)
    return job_id


def _finish(session: Session, run: Run) -> None:
    session.transact(
        lambda cursor: cursor.execute(
            "UPDATE crawl.target SET state = 'done', rows = 1 WHERE source = %s", (run.source,)
        )
    )
    ledger.close_run(session, run, "finished", {})


def test_a_run_does_not_end_a_job_that_another_has_not_begun(session: Session, database: Database) -> None:
    job = _planned(
        session, PlannedRun("assessor", "assessor", feeds=("recorder",)), PlannedRun("sales", "recorder")
    )
    assessor = ledger.open_run(session, job, "assessor", "assessor", planned=1)
    _finish(session, assessor)
    assert jobs.see(session, job).state == "running"
    sales = ledger.open_run(session, job, "sales", "recorder", planned=2)
    assert ledger.lease(session, sales, 5) == ledger.Lease([])
    ledger.close_run(session, sales, "finished", {})
    assert jobs.see(session, job).verdict == "completed"


def test_a_run_waits_for_those_that_may_find_it_work(session: Session, database: Database) -> None:
    job = _planned(
        session, PlannedRun("assessor", "assessor", feeds=("recorder",)), PlannedRun("sales", "recorder")
    )
    sales = ledger.open_run(session, job, "sales", "recorder", planned=2)
    # Planned and not begun, then at work, then done with a deed found.
    assert ledger.lease(session, sales, 5) == ledger.Lease([], wait=ledger._FEED_EVERY_S)
    assessor = ledger.open_run(session, job, "assessor", "assessor", planned=1)
    assert ledger.lease(session, sales, 5) == ledger.Lease([], wait=ledger._FEED_EVERY_S)
    session.transact(
        lambda cursor: add_targets(cursor, job, [FollowOn("recorder", "document", "20200000001", priority=0)])
    )
    _finish(session, assessor)
    (target,) = ledger.lease(session, sales, 5).targets
    assert (target.key, target.priority) == ("20200000001", 0)
    # And not for one that nobody will start any more.
    database.rows(
        "UPDATE crawl.planned_run SET state = 'planned', run_id = NULL WHERE number = 1 RETURNING 1"
    )
    database.rows("UPDATE crawl.job SET supervised_at = now() - interval '11 s' RETURNING 1")
    _finish(session, replace(assessor, source="recorder"))
    assert ledger.lease(session, sales, 5) == ledger.Lease([])


def test_the_worst_source_is_the_job_s_verdict(session: Session, database: Database) -> None:
    job = _planned(session, PlannedRun("assessor", "assessor"), PlannedRun("tax", "treasurer"))
    runs = [
        ledger.open_run(session, job, "assessor", "assessor", planned=1),
        ledger.open_run(session, job, "tax", "treasurer", planned=2),
    ]
    session.transact(lambda cursor: add_targets(cursor, job, [FollowOn("treasurer", "parcel", "10100000")]))
    ledger.close_run(session, runs[1], "blocked", {})
    _finish(session, runs[0])
    assert database.rows("SELECT state, verdict, reason FROM crawl.job") == [
        ("finished", "blocked", "blocked")
    ]
    # It goes on with what is left, and only that has to be started.
    jobs.resume(session, job)
    seen = jobs.see(session, job)
    assert [(run.spider, run.state, run.has_open_targets) for run in seen.runs] == [
        ("assessor", "planned", False),
        ("tax", "planned", True),
    ]


def test_a_pause_that_is_taken_back_loses_no_run(session: Session, database: Database) -> None:
    job = _planned(session, PlannedRun("assessor", "assessor"))
    run = ledger.open_run(session, job, "assessor", "assessor", planned=1)
    jobs.request_state(session, job, "pause")
    jobs.resume(session, job)
    # The run had seen it already.
    ledger.close_run(session, run, "paused", {})
    seen = jobs.see(session, job)
    assert (seen.state, seen.runs[0].state) == ("running", "planned")


def test_jobs_begin_by_priority_then_age_and_no_more_than_allowed(
    session: Session, database: Database
) -> None:
    def waiting(priority: str) -> int:
        job_id, _ = ledger.open_job(
            session, "tax", [FollowOn("treasurer", "parcel", "10100000")], {}, priority=priority
        )
        session.transact(lambda cursor: jobs.plan(cursor, job_id, [PlannedRun("tax", "treasurer")]))
        jobs.adopt(session, job_id)
        return job_id

    order = [waiting(priority) for priority in ("low", "normal", "critical", "normal", "high")]
    begun = []
    for _ in order:
        for job_id in order:
            if job_id not in begun and jobs.take_turn(session, job_id, 3):
                begun.append(job_id)
                break
    assert begun == [order[2], order[4], order[1]]
    database.rows("UPDATE crawl.planned_run SET state = 'ended' WHERE job_id = %s RETURNING 1", order[4])
    assert jobs.see(session, order[4]).verdict == "incomplete"
    assert not jobs.take_turn(session, order[0], 3)
    assert jobs.take_turn(session, order[3], 3)
    # One that waits and is nobody's is passed over.
    database.rows(
        "UPDATE crawl.job SET supervised_at = now() - interval '1 min' WHERE id = %s RETURNING 1", order[0]
    )
    assert not jobs.take_turn(session, order[0], 9)


def test_a_failed_target_is_asked_again_on_request(session: Session, database: Database) -> None:
    job = _planned(session, PlannedRun("assessor", "assessor"))
    run = ledger.open_run(session, job, "assessor", "assessor", planned=1)
    session.transact(
        lambda cursor: cursor.execute(
            "UPDATE crawl.target SET state = 'dead', cause = 'timeout', attempts = 5, failures = '{}'"
        )
    )
    ledger.close_run(session, run, "finished", {})
    assert database.one("SELECT verdict FROM crawl.job") == "completed_with_failures"
    assert "its causes: timeout" in _refusal(lambda: jobs.retry(session, job, "malformed"))
    assert jobs.retry(session, job, "timeout") == 2
    assert database.rows("SELECT state, attempts FROM crawl.target") == [("pending", 0)] * 2
    assert jobs.see(session, job).state == "pending"
    assert "there is no job 99" in _refusal(lambda: jobs.retry(session, 99))
