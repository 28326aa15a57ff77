"""The writer on a real Postgres: exactly-once effect, whatever the batch or the connection does."""

import datetime as dt
import hashlib
import threading
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.store_and_acknowledge import body_of, store_batch
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.database.writer import Writer, WriterOptions
from maricopa_scrapy.items import Answer, Capture, Cause, FollowOn, Issue, Outcome, Record, Target
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.records import verify
from maricopa_scrapy.sources.assessor.records import Improvement, Parcel, Valuation
from tests.conftest import Database


def record(kind: type[Record], **values: Any) -> Record:
    return kind(**{name: values.get(name) for name in kind.model_fields})


def answer(target: Target, lot: int = 5, improvements: Iterable[str] = (), **more: Any) -> Answer:
    apn = target.key
    body = f"{apn} {lot} {improvements}".encode() * 50
    at = dt.datetime.now(dt.UTC)
    capture = Capture(
        hashlib.sha256(body).digest(), "assessor", "http://x", 200, "application/json", at, body
    )
    records = [
        record(Parcel, apn=apn, lot_size_sqft=lot, zoning=["a,b", 'c"d\\', "e\nf"], **more),
        record(
            Valuation, apn=apn, tax_year=2026, full_cash_value=lot * 100, assessment_ratio=Decimal("0.1500")
        ),
        *(record(Improvement, apn=apn, improvement_number=number) for number in improvements),
    ]
    return Answer(target, Outcome.DONE, records, capture, [(Improvement, apn)])


@pytest.fixture
def job(session: Session) -> Run:
    apns = [f"1010{i:04d}" for i in range(40)]
    job_id, accepted = ledger.open_job(
        session, "property_search", [FollowOn("assessor", "parcel", a) for a in apns], {}
    )
    assert accepted == 40
    return ledger.open_run(session, job_id, "assessor", "assessor")


def another_job(session: Session) -> tuple[Run, list[Target]]:
    """The same parcels, asked for again."""
    apns = [f"1010{i:04d}" for i in range(40)]
    job_id, _ = ledger.open_job(
        session, "property_search", [FollowOn("assessor", "parcel", a) for a in apns], {}
    )
    run = ledger.open_run(session, job_id, "assessor", "assessor")
    return run, ledger.lease(session, run, 100).targets


def write(database: Database, run: Run, answers: Iterable[Answer], **options: Any) -> Writer:
    writer = Writer(database.url, run, WriterOptions(**options))
    writer.start()
    for one in answers:
        writer.put(one)
    writer.close()
    return writer


def test_rows_captures_and_targets_arrive_together(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 100).targets
    answers = [answer(target, improvements=["000101"]) for target in targets]
    writer = write(database, job, answers)
    assert writer.failure is None
    assert database.states() == {"done": 40}
    assert database.rows("SELECT zoning FROM assessor.parcel LIMIT 1") == [(["a,b", 'c"d\\', "e\nf"],)]
    assert database.one("SELECT DISTINCT assessment_ratio FROM assessor.valuation") == Decimal("0.1500")
    first = answers[0]
    assert first.capture is not None
    (body,) = database.rows("SELECT body FROM crawl.capture WHERE sha256 = %s", first.capture.sha256)[0]
    assert body_of(body) == first.capture.body
    assert verify.problems(session) == []


def test_the_same_answers_twice_write_no_row_version(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 100).targets
    write(database, job, [answer(target) for target in targets])
    job, targets = another_job(session)
    before = database.rows(
        "SELECT apn, xmin, ctid, first_seen_at, changed_at FROM assessor.parcel ORDER BY apn"
    )
    write(database, job, [answer(target) for target in targets])
    assert (
        database.rows("SELECT apn, xmin, ctid, first_seen_at, changed_at FROM assessor.parcel ORDER BY apn")
        == before
    )
    assert database.one("SELECT count(*) FROM crawl.change") == 0


def test_a_changed_field_is_one_change_row(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 100).targets
    write(database, job, [answer(target) for target in targets])
    job, targets = another_job(session)
    write(database, job, [answer(target, lot=6 if i == 3 else 5) for i, target in enumerate(targets)])
    changes = database.rows(
        "SELECT table_name, key, field, old, new, run_id FROM crawl.change ORDER BY table_name"
    )
    apn = targets[3].key
    assert changes == [
        ("assessor.parcel", {"apn": apn}, "lot_size_sqft", "5", "6", job.id),
        ("assessor.valuation", {"apn": apn, "tax_year": 2026}, "full_cash_value", "500", "600", job.id),
    ]
    assert database.one("SELECT count(*) FROM assessor.parcel WHERE changed_at > first_seen_at") == 1


def test_a_missing_improvement_is_marked_and_comes_back(
    database: Database, session: Session, job: Run
) -> None:
    target, *_ = ledger.lease(session, job, 1).targets
    write(database, job, [answer(target, improvements=["000101", "000201"])])
    job, (target, *_) = another_job(session)
    write(database, job, [answer(target, improvements=["000101"])])
    removed = "SELECT improvement_number FROM assessor.improvement WHERE removed_at IS NOT NULL"
    assert database.rows(removed) == [("000201",)]
    job, (target, *_) = another_job(session)
    write(database, job, [answer(target, improvements=["000101", "000201"])])
    assert database.rows(removed) == []
    changes = database.rows("SELECT field, old IS NULL, new IS NULL FROM crawl.change ORDER BY id")
    assert changes == [("removed_at", True, False), ("removed_at", False, True)]


def test_a_key_twice_in_a_batch_keeps_the_last(database: Database, session: Session, job: Run) -> None:
    target, *_ = ledger.lease(session, job, 1).targets
    writer = write(database, job, [answer(target, lot=1), answer(target, lot=2)])
    assert writer.failure is None
    assert database.rows("SELECT lot_size_sqft FROM assessor.parcel") == [(2,)]


@pytest.mark.parametrize("poison", [{"mcr": "a\x00b"}, {"mcr": "a\ud800b"}, {"parcels_in_mcr": 2**40}])
def test_the_one_answer_that_postgres_refuses_stands_alone(
    database: Database, session: Session, job: Run, poison: dict[str, Any]
) -> None:
    targets = ledger.lease(session, job, 100).targets
    answers = [answer(target) for target in targets]
    answers[17].records[0] = Parcel.model_construct(**{**answers[17].records[0].__dict__, **poison})
    writer = write(database, job, answers)
    assert writer.failure is None
    assert database.states() == {"done": 39, "dead": 1}
    assert database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'") == [
        (targets[17].key, "store")
    ]
    assert database.one("SELECT count(*) FROM assessor.parcel") == 39
    assert database.rows("SELECT kind, target_key FROM crawl.issue") == [("store", targets[17].key)]


def test_a_lost_connection_loses_nothing(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 100).targets
    writer = Writer(database.url, job, WriterOptions(batch_size=2, flush_interval=0.05, patience=20))
    writer.start()
    for i, target in enumerate(targets):
        writer.put(answer(target))
        if i % 10 == 5:
            time.sleep(0.1)
            database.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
    writer.close()
    assert writer.failure is None
    assert database.states() == {"done": 40}
    assert database.one("SELECT count(*) FROM assessor.parcel") == 40


def test_a_database_that_stays_away_is_a_failure_and_acknowledges_nothing(
    database: Database, session: Session, job: Run
) -> None:
    targets = ledger.lease(session, job, 100).targets
    failures: list[Exception] = []
    writer = Writer(
        "postgresql://x@127.0.0.1:9/x", job, WriterOptions(patience=0.5), on_failure=failures.append
    )
    writer.start()
    writer.put(answer(targets[0]))
    writer.close()
    assert len(failures) == 1
    assert "cannot reach the database" in str(failures[0])
    assert database.states() == {"leased": 40}


def test_backpressure_and_room(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 100).targets
    room = threading.Event()
    writer = Writer(database.url, job, WriterOptions(batch_size=4, flush_interval=5), on_room=room.set)
    blocker = psycopg2.connect(database.url)
    blocker.cursor().execute("LOCK TABLE assessor.parcel IN ACCESS EXCLUSIVE MODE")
    writer.start()
    told_to_wait = [not writer.put(answer(target)) for target in targets[:20]]
    assert not any(told_to_wait[:7])
    assert all(told_to_wait[8:])
    assert not room.wait(0.3)
    blocker.rollback()
    blocker.close()
    assert room.wait(60)
    writer.close()
    assert database.states() == {"done": 20, "leased": 20}


def test_follow_ons_are_counted_once(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 2).targets
    more = [FollowOn("assessor", "parcel", "99999999"), FollowOn("assessor", "parcel", "10100003")]
    answers = [answer(target) for target in targets]
    for one in answers:
        one.follow_ons = more
    write(database, job, answers)
    write(database, job, answers)
    assert database.one("SELECT enumerated FROM crawl.job") == 41
    assert verify.problems(session) == []


@pytest.mark.parametrize(("cause", "spent"), [(Cause.THROTTLED, 0), (Cause.TIMEOUT, 1), (Cause.CHALLENGE, 0)])
def test_a_failure_goes_back_with_its_cause(
    database: Database, session: Session, job: Run, cause: Cause, spent: int
) -> None:
    target, *_ = ledger.lease(session, job, 1).targets
    issue = Issue(cause, "the same", "said so", {"a": 1})
    failed = Answer(target, Outcome.FAILED, cause=cause, message="so it is", issues=[issue], retry_after=30)
    write(database, job, [failed, failed])
    row = database.rows(
        "SELECT state, cause, message, attempts, not_before > now() FROM crawl.target WHERE id = %s",
        target.id,
    )
    assert row == [("pending", cause.value, "so it is", spent, True)]
    assert database.rows("SELECT count FROM crawl.issue") == [(2,)]
    assert target.key not in {leased.key for leased in ledger.lease(session, job, 100).targets}


def test_a_target_is_dead_after_its_attempts(database: Database, session: Session, job: Run) -> None:
    for attempt in range(3):
        target, *_ = ledger.lease(session, job, 1).targets
        assert target.attempts == attempt
        failed = Answer(target, Outcome.FAILED, cause=Cause.SERVER_ERROR, message="no", retry_after=0)
        write(database, job, [failed], attempts=3)
    assert database.rows("SELECT state, cause, attempts FROM crawl.target WHERE id = %s", target.id) == [
        ("dead", "server_error", 3)
    ]


def test_a_finished_target_stays_as_it_is(database: Database, session: Session, job: Run) -> None:
    target, *_ = ledger.lease(session, job, 1).targets
    write(database, job, [answer(target)])
    write(database, job, [Answer(target, Outcome.FAILED, cause=Cause.TIMEOUT, message="late")])
    assert database.rows("SELECT state, cause FROM crawl.target WHERE id = %s", target.id) == [("done", None)]


def test_a_late_answer_changes_nothing_that_another_run_finished(
    database: Database, session: Session, job: Run
) -> None:
    target, *_ = ledger.lease(session, job, 1).targets
    write(database, job, [answer(target, lot=7)])
    write(database, job, [answer(target, lot=6)])
    assert database.rows("SELECT lot_size_sqft FROM assessor.parcel") == [(7,)]
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    assert verify.problems(session) == []


def test_a_failure_of_a_lost_run_takes_nothing_from_the_run_that_has_the_target(
    database: Database, session: Session, job: Run
) -> None:
    target, *_ = ledger.lease(session, job, 1).targets
    ledger.give_back(session, job)
    other = ledger.open_run(session, job.job_id, "assessor", "assessor")
    assert ledger.lease(session, other, 1).targets == [target]
    write(database, job, [Answer(target, Outcome.FAILED, cause=Cause.TIMEOUT, message="late")])
    assert database.rows("SELECT state, run_id, attempts FROM crawl.target WHERE id = %s", target.id) == [
        ("leased", other.id, 0)
    ]
    write(database, other, [answer(target)])
    assert database.states()["done"] == 1


def test_a_row_too_big_for_an_index_stands_alone_too(database: Database, session: Session, job: Run) -> None:
    targets = ledger.lease(session, job, 100).targets
    noise = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(300))
    answers = [answer(target, improvements=[noise] if i == 3 else []) for i, target in enumerate(targets)]
    writer = write(database, job, answers)
    assert writer.failure is None
    assert database.states() == {"done": 39, "dead": 1}


def _break_on(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    """Have whatever holds an answer about one of the parcels fail, but not the failure that stands in for
    it.
    """

    def store(cursor: Any, run: Run, entries: list[Answer]) -> int:
        stored = store_batch(cursor, run, entries)
        if any(entry.target.key in keys and entry.outcome is Outcome.DONE for entry in entries):
            raise IndexError("no such column")
        return stored

    monkeypatch.setattr("maricopa_scrapy.database.writer.store_batch", store)


def test_an_answer_that_breaks_the_writer_stands_alone_too(
    database: Database, session: Session, job: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = ledger.lease(session, job, 100).targets
    _break_on(monkeypatch, targets[5].key, targets[30].key)
    writer = write(database, job, [answer(target) for target in targets])
    assert writer.failure is None
    assert database.states() == {"done": 38, "dead": 2}
    assert (
        database.rows("SELECT cause, message FROM crawl.target WHERE state = 'dead'")
        == [("store", "no such column")] * 2
    )


def test_when_every_answer_breaks_the_writer_it_is_the_writer(
    database: Database, session: Session, job: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = ledger.lease(session, job, 100).targets
    _break_on(monkeypatch, *(target.key for target in targets))
    writer = write(database, job, [answer(target) for target in targets])
    assert isinstance(writer.failure, IndexError)
    assert database.states() == {"leased": 37, "dead": 3}


def test_room_is_told_as_soon_as_there_is_some_and_not_before(
    database: Database, session: Session, job: Run
) -> None:
    targets = ledger.lease(session, job, 100).targets
    calls: list[int] = []
    writer = Writer(
        database.url, job, WriterOptions(batch_size=10), on_room=lambda: calls.append(writer.backlog)
    )
    writer.start()
    for target in targets:
        writer.put(answer(target))
    writer.close()
    assert calls[-1] == 0
    # However many callers wait, what waits in the writer does not grow.
    assert max(calls) < 20


@pytest.mark.parametrize("bodies", [[b""], [b"", b"x"], [b"x"]])
def test_an_empty_body_is_kept_like_any_other(
    database: Database, session: Session, job: Run, bodies: list[bytes]
) -> None:
    targets = ledger.lease(session, job, len(bodies)).targets
    at = dt.datetime.now(dt.UTC)
    failed = [
        Answer(
            target,
            Outcome.FAILED,
            capture=Capture(hashlib.sha256(body).digest(), "assessor", "http://x", 429, "", at, body),
            cause=Cause.THROTTLED,
            message="HTTP 429",
        )
        for target, body in zip(targets, bodies, strict=True)
    ]
    assert write(database, job, failed).failure is None
    assert database.states() == {"pending": 40}
    assert sorted(body_of(body) for (body,) in database.rows("SELECT body FROM crawl.capture")) == sorted(
        bodies
    )
