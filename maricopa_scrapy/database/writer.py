"""The writer: answers in, rows out, in a thread of its own.

A batch is one transaction (store_and_acknowledge.py). One that cannot be stored is halved until the one
answer at fault stands alone.
"""

import contextlib
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg2
import psycopg2.errors
from psycopg2.extensions import connection as Connection

from maricopa_scrapy.database.connect import DatabaseCancelled, DatabaseUnavailable, Session
from maricopa_scrapy.database.store_and_acknowledge import CREATE_STAGES, encode, store_batch
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Answer, Cause, Issue, Outcome, Target

logger = logging.getLogger(__name__)

# What Postgres says of a row that it will never take.
_REFUSED = (psycopg2.DataError, psycopg2.IntegrityError, psycopg2.errors.ProgramLimitExceeded, ValueError)
# So many answers in a row that fail for another reason are no answer's fault: a table is missing, or we are
# wrong.
_FAULTS_MOST = 3
_SWITCH_S = 0.001


@dataclass(frozen=True, slots=True)
class WriterOptions:
    """`batch_size` answers or `flush_interval` seconds make a batch; a lost database is waited for `patience`
    seconds.

    A target is given up after `attempts` tries in all, or as many of one cause as `attempts_of` says.
    """

    batch_size: int = 500
    flush_interval: float = 1.0
    patience: float = 60.0
    attempts: int = 5
    attempts_of: Mapping[Cause, int] = field(default_factory=dict)


class _WriterSession(Session):
    def opened(self, connection: Connection) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(CREATE_STAGES)


class Writer:
    """Takes answers from one thread and stores them in another.

    `on_room` is called, from the writer's thread, when callers that were told to wait may go on;
    `on_failure` once, when nothing more can be stored; `on_trouble` with True when the database is waited
    for, with False after it.
    """

    def __init__(
        self,
        url: str,
        run: Run,
        options: WriterOptions,
        on_room: Callable[[], None] = lambda: None,
        on_failure: Callable[[Exception], None] = lambda error: None,
        on_trouble: Callable[[bool], None] = lambda is_in_trouble: None,
    ) -> None:
        self._session = _WriterSession(url, options.patience, on_trouble)
        self._run = run
        self._options = options
        self._on_room = on_room
        self._on_failure = on_failure
        # Answers pass by themselves: waking the thread for each one costs the caller more than all else here.
        self._waiting: deque[Answer] = deque()
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._high_water = 2 * options.batch_size
        self._taken = 0
        self._stored = 0
        self._faults = 0
        self.rows = 0
        self.flushes = 0
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def start(self) -> None:
        # Beside a parser each answer of Postgres would wait five milliseconds until it is read, with no work.
        sys.setswitchinterval(_SWITCH_S)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Answers taken and not yet stored."""
        return self._taken - self._stored

    def put(self, answer: Answer) -> bool:
        """Take an answer; returns False when the caller should wait for `on_room` before the next one."""
        try:
            answer = encode(answer, self._options.attempts, self._options.attempts_of)
        except Exception as error:
            if not isinstance(error, ValueError):
                logger.exception("no lines can be made of %s %s", answer.target.kind, answer.target.key)
            answer = self._poisoned(answer.target, error)
        self._waiting.append(answer)
        self._taken += 1
        if self._taken % self._options.batch_size == 0:
            self.flush()
        return self._has_room

    @property
    def _has_room(self) -> bool:
        return self.backlog < self._high_water or self.failure is not None

    def flush(self) -> None:
        """Ask for what is waiting to be stored now; does not wait for it."""
        self._signals.put(True)

    def hurry(self) -> None:
        """Wait no more for locks that others hold: what cannot be stored now is not stored. From any
        thread.
        """
        self._session.lock_patience = 0.0

    def close(self) -> None:
        """Store what is waiting and end; blocks. `failure` says whether all was stored."""
        self._signals.put(False)
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
        goes_on = True
        while goes_on:
            with contextlib.suppress(queue.Empty):
                goes_on = self._signals.get(timeout=self._options.flush_interval)
            # What comes meanwhile waits for the next signal: a few at a time cost Postgres three times as
            # much.
            for _ in range(len(self._waiting) // self._options.batch_size + 1):
                self._store_next()
        while self._waiting:
            self._store_next()

    def _store_next(self) -> None:
        count = min(len(self._waiting), self._options.batch_size)
        if count:
            self._store([self._waiting.popleft() for _ in range(count)])

    def _store(self, answers: list[Answer]) -> None:
        self._store_or_halve(answers)
        self._stored += len(answers)
        self.flushes += 1
        # Not after every batch: more callers may wait than a batch has answers, and what waits here would
        # grow.
        if self._has_room:
            self._on_room()

    def _store_or_halve(self, answers: list[Answer]) -> None:
        try:
            self.rows += self._session.transact(lambda cursor: store_batch(cursor, self._run, answers))
        except DatabaseUnavailable as error:
            # A shorter statement may pass where a long one is cancelled; no answer is at fault.
            if not isinstance(error, DatabaseCancelled) or len(answers) == 1:
                raise
            middle = len(answers) // 2
            self._store_or_halve(answers[:middle])
            self._store_or_halve(answers[middle:])
        except Exception as error:
            if len(answers) > 1:
                middle = len(answers) // 2
                self._store_or_halve(answers[:middle])
                self._store_or_halve(answers[middle:])
                return
            if not isinstance(error, _REFUSED):
                self._faults += 1
                logger.exception("%s %s cannot be stored", answers[0].target.kind, answers[0].target.key)
            if answers[0].cause is Cause.STORE or self._faults > _FAULTS_MOST:
                raise
            self._store_or_halve([self._poisoned(answers[0].target, error)])
        else:
            if any(answer.cause is not Cause.STORE for answer in answers):
                self._faults = 0

    def _poisoned(self, target: Target, error: Exception) -> Answer:
        """The answer that no table can hold, without what it held: its target is dead, with the reason."""
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        logger.error("Postgres refuses the rows of %s %s: %s", target.kind, target.key, message)
        issue = Issue(Cause.STORE, message[:200], f"Postgres refused the rows of {target.key}: {message}")
        return encode(
            Answer(target, Outcome.FAILED, cause=Cause.STORE, message=message, issues=[issue]),
            self._options.attempts,
        )
