"""How Postgres is reached: the embedded server or MARICOPA_DATABASE_URL, its schema brought up to date, and
what to do when it is lost.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import psycopg2
import psycopg2.errors
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import parse_dsn

from maricopa_scrapy.database import interrupts, schema, server_checks
from maricopa_scrapy.database.server_checks import (
    DatabaseCancelled,
    DatabaseOlder,
    DatabaseRefused,
    DatabaseUnavailable,
    first_line,
)

__all__ = [
    "DatabaseCancelled",
    "DatabaseOlder",
    "DatabaseRefused",
    "DatabaseUnavailable",
    "Session",
    "connect",
    "database_url",
    "migrate",
    "session",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5
_RETRY_PAUSE_S = 0.5
# Of a session with patience: how long it tries again while somebody else holds a lock. Our own longest
# transactions take minutes.
_LOCK_PATIENCE_S = 300.0
_CANCELLED_MOST = 3
# A server that dies without a word is noticed within half a minute.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Any number that no other program's advisory lock is likely to use.
_MIGRATION_LOCK = 7_402_231_911
# Databases whose schema this process has found up to date, or brought there.
_up_to_date: set[str] = set()
# Somebody else's turn comes first: nothing is wrong with the connection.
_TURNS = (psycopg2.errors.LockNotAvailable, psycopg2.extensions.TransactionRollbackError)
# Class 25, no connection's fault as psycopg2 files it; but Postgres has closed it: a transaction was idle, or
# went on, for too long.
_ENDED = ("25P03", "25P04")


def database_url() -> str:
    """Return the libpq URL of MARICOPA_DATABASE_URL, else of the embedded server, which is started.

    Raises DatabaseUnavailable when the embedded server does not start.
    """
    url = os.environ.get("MARICOPA_DATABASE_URL")
    if url:
        return url
    from maricopa_scrapy.database import embedded
    from maricopa_scrapy.machine.private_files import default_data_dir

    try:
        return embedded.start(default_data_dir())
    except embedded.EmbeddedError as error:
        raise DatabaseUnavailable(str(error)) from error


def environment_of(url: str) -> dict[str, str]:
    """Return an address as the variables that Postgres' own programs read (PGHOST, PGPASSWORD, ...)."""
    parts = parse_dsn(url)
    return {"PGDATABASE" if name == "dbname" else f"PG{name.upper()}": value for name, value in parts.items()}


def connect(url: str) -> Connection:
    """Open one connection, set up as all of ours are (database/server_checks.py).

    An embedded server that this process uses, and that is gone, is started again.
    Raises DatabaseUnavailable; DatabaseRefused where another try would end no other way.
    """
    from maricopa_scrapy.database import embedded

    try:
        return _connect(url)
    except DatabaseUnavailable as error:
        folder = embedded.folder_of(url)
        if folder is None or isinstance(error, DatabaseRefused):
            raise
    try:
        return _connect(embedded.start(folder))
    except embedded.EmbeddedError as error:
        raise DatabaseUnavailable(str(error)) from error


def _connect(url: str) -> Connection:
    def another(is_async: bool = True) -> Connection:
        opened: Connection = psycopg2.connect(
            url,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="maricopa_scrapy",
            client_encoding="UTF8",
            async_=is_async,
            **_KEEPALIVE,
        )
        return opened

    connection: Connection | None = None
    try:
        connection = another(is_async=False)
        interrupts.note(connection)
        connection.autocommit = True
        server_checks.set_up(connection, another)
        connection.autocommit = False
        return connection
    except DatabaseRefused:
        assert connection is not None
        connection.close()
        raise
    except psycopg2.Error as error:
        if connection is not None:
            connection.close()
        elif isinstance(error, psycopg2.ProgrammingError):
            # Libpq quotes the address, password and all: not a word of it.
            raise DatabaseUnavailable(
                "MARICOPA_DATABASE_URL is not a database address; the form is"
                " postgresql://user:password@host:5432/database"
            ) from None
        if line := server_checks.pooler_s_word(error):
            raise DatabaseRefused(line) from None
        said = _without_password(first_line(error), url)
        raise DatabaseUnavailable(f"cannot reach the database ({said}); {_remedy(error, url)}") from None


def _remedy(error: Exception, url: str) -> str:
    """Return what to do about a database that was lost, or cannot be reached."""
    from maricopa_scrapy.database import embedded

    folder = embedded.folder_of(url)
    code = getattr(error, "pgcode", None) or ""
    if server_checks.lacks_shared_memory(str(error)):
        return server_checks.MORE_SHARED_MEMORY
    if code == "53100" or "No space left on device" in str(error):
        return (
            f"the disk is full: make room in {folder}"
            if folder
            else "the server's disk is full: make room there"
        )
    if code == "53300" or "too many clients" in str(error):
        return "all connections of the server are taken: end some, or raise max_connections; a run needs two"
    if folder:
        return f"its log is {folder / 'log' / 'postgres.log'}; `maricopa doctor` looks at it"
    if os.environ.get("MARICOPA_DATABASE_URL"):
        return "check MARICOPA_DATABASE_URL, or unset it to use the embedded database"
    return "check the address that was given"


def migrate(url: str) -> None:
    """Bring the schema up to date, all of it or nothing; several processes may call this at once.

    A process looks once at a database, and nothing is written where it is up to date. Raises
    DatabaseUnavailable; DatabaseRefused when the role may not do it; DatabaseOlder for a database of a
    development version older than the first release.
    """
    if url in _up_to_date:
        return
    if pending_migrations(url):
        _migrate(url)
    _up_to_date.add(url)


def _migrate(url: str) -> None:
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = 0; SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
            connection.commit()
            server_checks.check_may_migrate(connection)
            # One transaction for all: with a part of them no version of ours can work.
            with closing(Session(url)) as asked, schema.progress(asked.rows):
                applied = schema.apply(cursor)
                connection.commit()
        if applied:
            logger.info("the schema was brought up to date: %s", ", ".join(applied))
    except psycopg2.Error as error:
        raise _known(error, connection, url) from error
    finally:
        connection.close()


def pending_migrations(url: str) -> list[str]:
    """Return the schema files and migrations that the database does not have yet, and apply none.

    Raises DatabaseUnavailable; DatabaseOlder for a database of a development version older than the first
    release.
    """
    asked = Session(url)
    try:
        return asked.transact(schema.pending)
    finally:
        asked.close()


def _without_password(message: str, url: str) -> str:
    # Of a password with a bare / or @, libpq takes a part for the host or the database, and quotes it.
    secret = re.search(r"//[^:/]*:(.+)@", url)
    for part in re.split(r"[/@:?#]", secret[1]) if secret else ():
        if len(part) > 2:
            message = message.replace(part, "***")
    return message


def _is_lost(error: Exception) -> bool:
    """Whether the connection is at fault, or what asks for another try, and not the statement."""
    if isinstance(error, DatabaseUnavailable):
        return not isinstance(error, DatabaseRefused)
    if type(error) is psycopg2.DatabaseError:
        # A server that crashes in the middle of a statement: psycopg2 has no class for it, and Postgres gave
        # no code.
        return error.pgcode is None
    if isinstance(error, psycopg2.OperationalError):
        # Class 54, a row too big for Postgres, and a cancelled statement are no connection's fault, though
        # psycopg2 files them there.
        code = error.pgcode or ""
        return not (code.startswith("54") or code == "57014")
    return isinstance(error, psycopg2.InterfaceError) or (
        isinstance(error, psycopg2.Error) and error.pgcode in _ENDED
    )


def _known(error: DatabaseUnavailable | psycopg2.Error, connection: Connection | None, url: str) -> Exception:
    """Return a failure as DatabaseUnavailable, with the line for a person; what is our own fault as it is."""
    if isinstance(error, psycopg2.Error) and connection is not None and not connection.closed:
        connection.rollback()
        if isinstance(error, psycopg2.errors.LockNotAvailable):
            return DatabaseUnavailable(server_checks.lock_s_holder(connection))
        if refused := server_checks.refusal(error, connection):
            return refused
    if isinstance(error, psycopg2.errors.QueryCanceled):
        return DatabaseCancelled(
            f"the database ended a statement again and again ({first_line(error)}): somebody cancels it, or"
            " statement_timeout in the address or PGOPTIONS is too short"
        )
    if isinstance(error, psycopg2.extensions.TransactionRollbackError):
        return DatabaseUnavailable(f"transactions stand in each other's way ({first_line(error)}); try again")
    if not isinstance(error, DatabaseUnavailable) and _is_lost(error):
        return DatabaseUnavailable(f"the database was lost ({first_line(error)}); {_remedy(error, url)}")
    return error


class Session:
    """One connection that is opened again when it is lost.

    `patience` is how many seconds a lost database is waited for; after that DatabaseUnavailable is raised.
    `on_trouble` is called with True when waiting begins, and with False when a transaction has gone through
    again. Not for use by two threads at once.
    """

    def __init__(
        self, url: str, patience: float = 0.0, on_trouble: Callable[[bool], None] = lambda is_in_trouble: None
    ) -> None:
        self._url = url
        self.patience = patience
        self.lock_patience = max(patience, _LOCK_PATIENCE_S) if patience else 0.0
        self._on_trouble = on_trouble
        self._connection: Connection | None = None
        self._is_ended = False

    def transact(self, work: Callable[[Cursor], T], undo: bool = False) -> T:
        """Run `work` in one transaction and return its result; with `undo` nothing of it stays but that.

        On a lost connection, a lock that others hold, a deadlock or a serialisation failure the whole of
        `work` is run again, so it must have no effect but on the database, and none there when its
        transaction was already committed.
        Raises DatabaseUnavailable; of it DatabaseRefused for a permission that is missing, DatabaseCancelled
        when others end statements.
        """
        begun: float | None = None
        cancelled = 0
        while True:
            try:
                connection = self._connection or self._open()
                with connection, connection.cursor() as cursor:
                    result = work(cursor)
                    if undo:
                        connection.rollback()
            except psycopg2.errors.QueryCanceled as error:
                cancelled += 1
                if cancelled >= _CANCELLED_MOST or self._is_ended:
                    raise _known(error, self._connection, self._url) from error
            except (DatabaseUnavailable, psycopg2.Error) as error:
                if self._is_ended:
                    raise _known(error, self._connection, self._url) from error
                now = time.monotonic()
                is_first, begun = begun is None, now if begun is None else begun
                pause = self._pause(error, now - begun, is_first)
                if is_first:
                    self._on_trouble(True)
                time.sleep(pause)
            else:
                if begun is not None:
                    self._on_trouble(False)
                return result

    def _pause(self, error: DatabaseUnavailable | psycopg2.Error, waited: float, is_first: bool) -> float:
        """Return the seconds until another try, or raise what no try mends."""
        is_turn = isinstance(error, _TURNS)
        patience = self.lock_patience if is_turn else self.patience
        if not (is_turn or _is_lost(error)) or waited >= patience:
            raise _known(error, self._connection, self._url) from (
                None if isinstance(error, DatabaseUnavailable) else error
            )
        if is_turn and self._connection is not None:
            if is_first:
                logger.warning("%s; trying again", _known(error, self._connection, self._url))
            return _RETRY_PAUSE_S / 10
        self.close()
        logger.warning("database lost (%s); trying again", first_line(error))
        return min(_RETRY_PAUSE_S, patience - waited)

    def rows(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, in a transaction of its own. Raises what `transact` raises."""

        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(statement, values)
            return cursor.fetchall()

        return self.transact(work)

    def chunks(
        self, statement: str, values: Mapping[str, Any], size: int = 2_000, of: type[Cursor] = Cursor
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a query, up to `size` at a time, from a cursor of the server: of one moment, and
        in bounded memory. `of` NamedTupleCursor they have their columns as attributes too.

        Raises DatabaseUnavailable: what was yielded cannot be yielded again.
        """
        with self.snapshot() as connection, connection.cursor(name="chunks", cursor_factory=of) as rows:
            rows.execute(statement, values)
            while chunk := rows.fetchmany(size):
                yield chunk

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection of its own for the time of a `with` block, in one transaction: all that it reads is of
        one moment.

        Raises DatabaseUnavailable when the database is lost meanwhile.
        """
        connection = connect(self._url)
        try:
            connection.set_session(isolation_level="REPEATABLE READ")
            # Once a chunk is handed out, it is for the caller to take its time.
            with connection, connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield connection
        except psycopg2.Error as error:
            raise _known(error, connection, self._url) from error
        finally:
            connection.close()

    def _open(self) -> Connection:
        self._connection = connect(self._url)
        self.opened(self._connection)
        return self._connection

    def opened(self, connection: Connection) -> None:
        """Called with every new connection; a place for session state such as temporary tables."""

    def cancel(self) -> None:
        """End the statement under way, from any thread: its `transact` raises DatabaseCancelled."""
        self._is_ended = True
        if (connection := self._connection) is not None and not connection.closed:
            connection.cancel()

    def close(self) -> None:
        """Close the connection; the next `transact` opens another."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            try:
                connection.close()
            except psycopg2.Error as error:
                logger.debug("closing the database connection: %s", error)


@contextmanager
def session(patience: float = 0.0) -> Iterator[Session]:
    """Open the configured database with its schema up to date, for the time of a `with` block."""
    url = database_url()
    migrate(url)
    opened = Session(url, patience)
    try:
        yield opened
    finally:
        opened.close()
