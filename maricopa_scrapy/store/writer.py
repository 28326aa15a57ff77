"""The writer: answers in, rows out, in a thread of its own.

A batch is one transaction: rows, changes, captures, follow-ons, issues, and only then the acknowledgement of its
targets. A batch that Postgres refuses is halved until the one answer at fault stands alone.
"""

import datetime as dt
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg2
import zstandard
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items import Answer, Capture, Cause, Issue, Outcome
from maricopa_scrapy.store.connect import DatabaseUnavailable, Session
from maricopa_scrapy.store.ledger import Run, add_targets
from maricopa_scrapy.store.tables import Table, copy_into, copy_line, copy_lines, origin_of, table_of

logger = logging.getLogger(__name__)

_STAGES = """
    CREATE TEMP TABLE stage_capture (LIKE crawl.capture) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_target (
        id bigint, state text, cause text, message text, rows integer, capture_sha256 bytea, at timestamptz,
        not_before timestamptz, spent integer
    ) ON COMMIT DELETE ROWS;
"""
_MERGE_CAPTURES = "INSERT INTO crawl.capture SELECT * FROM stage_capture ON CONFLICT DO NOTHING"
# Runs that merge into the same schema take turns: no deadlocks, and no change logged twice.
_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtext('maricopa_scrapy'), hashtext(%s))"
# A target that another run has finished meanwhile stays as it is.
_ACKNOWLEDGE = """
    UPDATE crawl.target t
    SET state = s.state, cause = s.cause, message = s.message, rows = s.rows, capture_sha256 = s.capture_sha256,
        done_at = CASE WHEN s.state = 'pending' THEN NULL ELSE s.at END, not_before = s.not_before,
        attempts = t.attempts + s.spent, run_id = CASE WHEN s.state = 'pending' THEN NULL ELSE %s END
    FROM stage_target s WHERE t.id = s.id AND t.state IN ('pending', 'leased')
"""
_RECORD_ISSUE = """
    INSERT INTO crawl.issue AS i
        (job_id, run_id, source, kind, signature, message, target_key, example, capture_sha256, count,
         first_at, last_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (job_id, source, kind, signature) DO UPDATE SET count = i.count + excluded.count, last_at = excluded.last_at
"""
_COSTS_NOTHING = (Cause.THROTTLED, Cause.CHALLENGE)
_RETRY_PAUSE_S = 1.0
_RETRY_PAUSE_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class WriterOptions:
    """`batch_size` answers or `flush_interval` seconds make a batch; a lost database is waited for `patience` seconds."""

    batch_size: int = 500
    flush_interval: float = 1.0
    patience: float = 60.0
    attempts: int = 5


class _WriterSession(Session):
    def opened(self, connection: Connection) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(_STAGES)


class Batch:
    """What one transaction stores: made once, stored as often as a lost connection asks for it."""

    def __init__(self, answers: list[Answer], attempts: int) -> None:
        self.answers = answers
        self.tables: dict[Table, dict[tuple[Any, ...], str]] = {}
        self.captures: dict[bytes, str] = {}
        self.targets: dict[int, str] = {}
        self.complete: dict[Table, list[str]] = {}
        now = dt.datetime.now(dt.UTC)
        for answer in answers:
            self._add(answer, now, attempts)

    def _add(self, answer: Answer, now: dt.datetime, attempts: int) -> None:
        at, sha256 = now, b""
        capture = answer.capture
        if capture is not None:
            at, sha256 = capture.fetched_at, capture.sha256
            if sha256 not in self.captures:
                self.captures[sha256] = capture_line(capture)
        origin = origin_of(sha256, at)
        for record in answer.records:
            table = table_of(type(record))
            key, line = table.row(record, origin)
            self.tables.setdefault(table, {})[key] = line
        for record_class, value in answer.complete:
            self.complete.setdefault(table_of(record_class), []).append(value)
        self.targets[answer.target.id] = copy_line(_acknowledgement(answer, at, sha256, now, attempts))

    @property
    def rows(self) -> int:
        return sum(len(rows) for rows in self.tables.values())

    def store(self, cursor: Cursor, run: Run) -> None:
        """Store everything in the caller's transaction."""
        if self.captures:
            copy_lines(cursor, copy_into("stage_capture"), self.captures.values())
            cursor.execute(_MERGE_CAPTURES)
        at = dt.datetime.now(dt.UTC)
        tables = self.tables.keys() | self.complete.keys()
        for table in tables:
            cursor.execute(table.create_stage)
            if rows := self.tables.get(table):
                copy_lines(cursor, table.copy, rows.values())
        for schema in sorted({table.schema for table in tables}):
            cursor.execute(_TAKE_TURNS, (schema,))
        for table in tables:
            if table in self.tables:
                cursor.execute(table.merge, {"run": run.id})
            values = self.complete.get(table)
            if values:
                cursor.execute(table.mark_removed, {"at": at, "values": values, "run": run.id})
        follow_ons = [follow_on for answer in self.answers for follow_on in answer.follow_ons]
        if follow_ons:
            add_targets(cursor, run.job_id, follow_ons)
        self._record_issues(cursor, run, at)
        copy_lines(cursor, copy_into("stage_target"), self.targets.values())
        cursor.execute(_ACKNOWLEDGE, (run.id,))

    def _record_issues(self, cursor: Cursor, run: Run, at: dt.datetime) -> None:
        # One statement a kind of issue, not one an answer: a renamed field is in every answer.
        found: dict[tuple[str, str], list[tuple[Issue, Answer]]] = {}
        for answer in self.answers:
            for issue in answer.issues:
                found.setdefault((issue.kind, issue.signature), []).append((issue, answer))
        for same in found.values():
            issue, answer = same[0]
            example = None if issue.example is None else orjson.dumps(issue.example, default=str).decode()
            sha256 = answer.capture.sha256 if answer.capture else None
            values = (run.job_id, run.id, run.source, issue.kind, issue.signature, issue.message, answer.target.key, example, sha256)
            cursor.execute(_RECORD_ISSUE, (*values, len(same), at, at))


def capture_line(capture: Capture) -> str:
    """Return the capture as a line of COPY into `crawl.capture`, its body compressed."""
    facts = (capture.source, capture.url, capture.status, capture.content_type, capture.fetched_at, len(capture.body))
    return f"\\\\x{capture.sha256.hex()}\t{copy_line(facts)}\t\\\\x{_compressor().compress(capture.body).hex()}"


class Writer:
    """Takes answers from one thread and stores them in another.

    `on_room` is called, from the writer's thread, when a caller that was told to wait may go on;
    `on_failure` once, when nothing more can be stored.
    """

    def __init__(
        self,
        url: str,
        run: Run,
        options: WriterOptions,
        on_room: Callable[[], None] = lambda: None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._session = _WriterSession(url, options.patience)
        self._run = run
        self._options = options
        self._on_room = on_room
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[Answer | bool | None] = queue.SimpleQueue()
        self._high_water = 2 * options.batch_size
        self._taken = 0
        self._stored = 0
        self.rows = 0
        self.flushes = 0
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Answers taken and not yet stored."""
        return self._taken - self._stored

    def put(self, answer: Answer) -> bool:
        """Take an answer; returns False when the caller should wait for `on_room` before the next one."""
        self._taken += 1
        self._queue.put(answer)
        return self.backlog < self._high_water or self.failure is not None

    def flush(self) -> None:
        """Ask for what is waiting to be stored now; does not wait for it."""
        self._queue.put(True)

    def close(self) -> None:
        """Store what is waiting and end; blocks. `failure` says whether all was stored."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            self._collect()
        except Exception as error:
            self.failure = error
            if not isinstance(error, DatabaseUnavailable):
                logger.exception("the writer broke")
            self._on_failure(error)
            self._on_room()
        finally:
            self._session.close()

    def _collect(self) -> None:
        waiting: list[Answer] = []
        deadline = 0.0
        while True:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()) if waiting else None)
            except queue.Empty:
                item = True
            if isinstance(item, Answer):
                if not waiting:
                    deadline = time.monotonic() + self._options.flush_interval
                waiting.append(item)
                if len(waiting) < self._options.batch_size and time.monotonic() < deadline:
                    continue
            if waiting:
                self._store(waiting)
                waiting = []
            if item is None:
                return

    def _store(self, answers: list[Answer]) -> None:
        self._store_or_halve(answers)
        full = self.backlog >= self._high_water
        self._stored += len(answers)
        self.flushes += 1
        if full:
            self._on_room()

    def _store_or_halve(self, answers: list[Answer]) -> None:
        try:
            batch = Batch(answers, self._options.attempts)
            self._session.transact(lambda cursor: batch.store(cursor, self._run))
            self.rows += batch.rows
        except (psycopg2.DataError, psycopg2.IntegrityError, ValueError) as error:
            if len(answers) == 1:
                self._store_or_halve([_poisoned(answers[0], error)])
                return
            middle = len(answers) // 2
            self._store_or_halve(answers[:middle])
            self._store_or_halve(answers[middle:])


def _poisoned(answer: Answer, error: Exception) -> Answer:
    """The answer that Postgres refuses, without what it refused: its target is dead, with the reason."""
    if answer.cause is Cause.STORE:
        raise error
    message = str(error).strip().splitlines()[0]
    logger.error("Postgres refuses the rows of %s %s: %s", answer.target.kind, answer.target.key, message)
    issue = Issue(Cause.STORE, message, f"Postgres refused the rows of {answer.target.key}: {message}")
    return Answer(answer.target, Outcome.FAILED, cause=Cause.STORE, message=message, issues=[issue])


def _acknowledgement(answer: Answer, at: dt.datetime, sha256: bytes, now: dt.datetime, attempts: int) -> tuple[Any, ...]:
    target = answer.target
    capture = "\\x" + sha256.hex() if sha256 else None
    if answer.outcome is not Outcome.FAILED:
        return (target.id, answer.outcome.value, None, None, len(answer.records) + len(answer.follow_ons), capture, at, None, 0)
    spent = 0 if answer.cause in _COSTS_NOTHING else 1
    if answer.cause is Cause.STORE or target.attempts + spent >= attempts:
        return (target.id, "dead", answer.cause, answer.message, 0, capture, at, None, spent)
    pause = answer.retry_after
    if pause is None:
        # Full jitter, so that a fault's victims do not come back together.
        pause = random.uniform(0, min(_RETRY_PAUSE_MOST_S, _RETRY_PAUSE_S * 2**target.attempts))
    due = now + dt.timedelta(seconds=pause)
    return (target.id, "pending", answer.cause, answer.message, None, capture, at, due, spent)


_local = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=1)
    compressor: zstandard.ZstdCompressor = _local.compressor
    return compressor


def body_of(compressed: Iterable[int] | bytes) -> bytes:
    """Return the capture's body as it was kept."""
    return zstandard.ZstdDecompressor().decompress(bytes(compressed))
