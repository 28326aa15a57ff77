"""A job is interrupted only when nobody works on it: no long query delays a beat."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.crawl.run_record import RunLedger
from maricopa_scrapy.database.connect import DatabaseCancelled, Session
from maricopa_scrapy.database.writer import WriterOptions
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.jobs import supervisor
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.ledger import jobs, ledger, progress
from maricopa_scrapy.ledger.jobs import PlannedRun
from tests.conftest import Database

_LONG = "SELECT pg_sleep(60)"


def _validation(session: Session) -> int:
    """A validation whose lists are answered: what is left is to find out what they lack."""
    job_id, _ = ledger.open_job(
        session, "validation", [FollowOn("gis", "layer", "E")], {"rest": ["assessor"]}, is_sandbox=True
    )

    def work(cursor: Any) -> None:
        cursor.execute("UPDATE crawl.target SET state = 'done', rows = 1")
        jobs.plan(cursor, job_id, [PlannedRun("roll", "gis"), PlannedRun("assessor", "assessor", phase=1)])
        cursor.execute("UPDATE crawl.planned_run SET state = 'ended' WHERE number = 1")

    session.transact(work)
    return job_id


def _seconds_since_beat(session: Session) -> float:
    ((seconds,),) = session.rows(
        "SELECT extract(epoch FROM clock_timestamp() - supervised_at) FROM crawl.job"
    )
    return float(seconds)


def test_a_job_is_supervised_while_its_manager_waits_for_a_query(
    database: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def long(cursor: Any, job_id: int) -> list[str]:
        began.set()
        cursor.execute(_LONG)
        return []

    monkeypatch.setattr(supervisor, "missing_of_lists", long)
    job = _validation(session)
    with JobManager(database.url, sandbox="http://127.0.0.1:1") as manager:
        manager.resume(job)
        assert began.wait(20)
        for _ in range(24):
            assert progress.read(session, job).word == "running"
            assert _seconds_since_beat(session) < 5
            time.sleep(0.5)
        at = time.monotonic()
    # It does not wait for the query to end.
    assert time.monotonic() - at < 5
    assert progress.read(session, job).word == "running"
    assert session.rows("SELECT FROM pg_stat_activity WHERE query = %s AND state = 'active'", (_LONG,)) == []


def test_a_run_beats_while_the_ledger_answers_a_long_question(database: Database, session: Session) -> None:
    job, _ = ledger.open_job(session, "tax", [FollowOn("assessor", "parcel", "10100000")], {})
    run = ledger.open_run(session, job, "assessor", "assessor")
    spider = SimpleNamespace(downloader=SimpleNamespace(hold=lambda whose: None, let_go=lambda whose: None))

    async def work() -> None:
        opened = RunLedger(database.url, WriterOptions(), cast(LedgerSpider, spider))
        opened.run = run
        question = asyncio.ensure_future(opened.ask(lambda asked: asked.rows("SELECT pg_sleep(4)")))
        await asyncio.sleep(0.2)
        at = time.monotonic()
        await opened.heartbeat({})
        assert await opened.requested_state() == "run"
        assert 1 < time.monotonic() - at < 3.5
        assert not question.done()
        await question

    before = session.rows("SELECT heartbeat_at FROM crawl.run")
    asyncio.run(work())
    assert session.rows("SELECT heartbeat_at FROM crawl.run") > before


def test_a_long_retry_does_not_hold_the_row_in_which_its_job_beats(
    database: Database, session: Session
) -> None:
    job, _ = ledger.open_job(session, "tax", [FollowOn("assessor", "parcel", "10100000")], {})
    session.transact(
        lambda cursor: cursor.execute("UPDATE crawl.target SET state = 'dead', cause = 'timeout'")
    )
    jobs.adopt(session, job)
    # The targets are held by another: the retry waits at them.
    holder = psycopg2.connect(database.url)
    holder.cursor().execute("SELECT FROM crawl.target FOR UPDATE")
    other = Session(database.url, patience=30)
    retrying = threading.Thread(target=lambda: jobs.retry(other, job))
    retrying.start()
    time.sleep(1)
    at = time.monotonic()
    jobs.beat(session, [job])
    assert time.monotonic() - at < 1
    assert retrying.is_alive()
    holder.close()
    retrying.join(30)
    other.close()
    assert database.states(job) == {"pending": 1}


def test_a_session_can_be_ended_from_another_thread(database: Database) -> None:
    asked = Session(database.url, patience=60)
    threading.Timer(0.5, asked.cancel).start()
    at = time.monotonic()
    with pytest.raises(DatabaseCancelled):
        asked.rows(_LONG)
    assert time.monotonic() - at < 3
    asked.close()
