"""How Postgres is reached: the embedded server or MARICOPA_DATABASE_URL, its migrations, and what to do when it is lost."""

import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import parse_dsn

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5
_RETRY_PAUSE_S = 0.5
# Read committed: what runs take turns for must be seen after the turn has come.
_SESSION_OPTIONS = (
    "-c timezone=UTC -c client_min_messages=warning -c idle_in_transaction_session_timeout=60s"
    r" -c default_transaction_isolation=read\ committed"
)
# A server that dies without a word is noticed within half a minute.
_KEEPALIVE: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
# Any number that no other program's advisory lock is likely to use.
_MIGRATION_LOCK = 7_402_231_911


class DatabaseUnavailable(RuntimeError):
    """Postgres cannot be reached; the message is one line with the remedy."""


def database_url() -> str:
    """Return the libpq URL of MARICOPA_DATABASE_URL, else of the embedded server, which is started.

    Raises DatabaseUnavailable when the embedded server does not start.
    """
    url = os.environ.get("MARICOPA_DATABASE_URL")
    if url:
        return url
    from maricopa_scrapy.store import embedded

    try:
        return embedded.start(embedded.default_data_dir())
    except embedded.EmbeddedError as error:
        raise DatabaseUnavailable(str(error)) from error


def environment_of(url: str) -> dict[str, str]:
    """Return an address as the variables that Postgres' own programs read (PGHOST, PGPASSWORD, ...)."""
    parts = parse_dsn(url)
    return {"PGDATABASE" if name == "dbname" else f"PG{name.upper()}": value for name, value in parts.items()}


def connect(url: str) -> Connection:
    """Open one connection. Raises DatabaseUnavailable."""
    try:
        connection: Connection = psycopg2.connect(
            url, connect_timeout=_CONNECT_TIMEOUT_S, application_name="maricopa_scrapy", options=_SESSION_OPTIONS, **_KEEPALIVE
        )
        return connection
    except psycopg2.ProgrammingError:
        # Libpq quotes the address, password and all: not a word of it.
        raise DatabaseUnavailable(
            "MARICOPA_DATABASE_URL is not a database address; the form is postgresql://user:password@host:5432/database"
        ) from None
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(
            f"cannot reach the database ({_without_password(_first_line(error), url)}); "
            "check MARICOPA_DATABASE_URL, or unset it to use the embedded database"
        ) from None


def migrate(url: str) -> None:
    """Bring the schema up to date; several processes may call this at once. Raises DatabaseUnavailable."""
    from yoyo import read_migrations
    from yoyo.backends.core.postgresql import PostgresqlBackend
    from yoyo.connections import parse_uri

    logging.getLogger("yoyo").setLevel(logging.WARNING)

    class Backend(PostgresqlBackend):  # type: ignore[misc]
        """Yoyo's backend, connected by libpq itself so that every form of address works."""

        def connect(self, dburi: Any) -> Connection:
            connection = connect(url)
            connection.autocommit = True
            return connection

    guard = connect(url)
    try:
        with guard.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        with _migrations() as folder:
            backend = Backend(parse_uri("postgresql:///"), "_yoyo_migration")
            try:
                backend.init_database()
                pending = backend.to_apply(read_migrations(str(folder)))
                if pending:
                    logger.info("applying migrations: %s", ", ".join(m.id for m in pending))
                    backend.apply_migrations(pending)
            finally:
                backend.connection.close()
    finally:
        guard.close()


@contextmanager
def _migrations() -> Iterator[Path]:
    # As files, which inside an egg they are not; resources.as_file takes a folder from Python 3.12 on.
    with tempfile.TemporaryDirectory(prefix="maricopa-") as name:
        for file in (resources.files("maricopa_scrapy.store") / "migrations").iterdir():
            if file.name.endswith(".sql"):
                (Path(name) / file.name).write_bytes(file.read_bytes())
        yield Path(name)


def pending_migrations(url: str) -> list[str]:
    """Return the migrations that the database does not have yet, and apply none. Raises DatabaseUnavailable."""
    files = (resources.files("maricopa_scrapy.store") / "migrations").iterdir()
    names = {file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql")}
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('_yoyo_migration') IS NOT NULL")
            if cursor.fetchone() == (True,):
                cursor.execute("SELECT migration_id FROM _yoyo_migration")
                names -= {name for (name,) in cursor.fetchall()}
    finally:
        connection.close()
    return sorted(names)


def _without_password(message: str, url: str) -> str:
    # Of a password with a bare / or @, libpq takes a part for the host or the database, and quotes it.
    secret = re.search(r"//[^:/]*:(.+)@", url)
    for part in re.split(r"[/@:?#]", secret[1]) if secret else ():
        if len(part) > 2:
            message = message.replace(part, "***")
    return message


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _is_lost(error: Exception) -> bool:
    """Whether the connection is at fault, or what asks for another try, and not the statement."""
    if type(error) is psycopg2.DatabaseError:
        # A server that crashes in the middle of a statement: psycopg2 has no class for it, and Postgres gave no code.
        return error.pgcode is None
    if isinstance(error, psycopg2.OperationalError):
        # Class 54, a row too big for Postgres, is no connection's fault, though psycopg2 files it there.
        return not (error.pgcode or "").startswith("54")
    return isinstance(error, DatabaseUnavailable | psycopg2.InterfaceError)


class Session:
    """One connection that is opened again when it is lost.

    `patience` is how many seconds a lost database is waited for; after that DatabaseUnavailable is raised.
    Not for use by two threads at once.
    """

    def __init__(self, url: str, patience: float = 0.0) -> None:
        self._url = url
        self.patience = patience
        self._connection: Connection | None = None

    def transact(self, work: Callable[[Cursor], T], undo: bool = False) -> T:
        """Run `work` in one transaction and return its result; with `undo` nothing of it stays but that.

        On a lost connection, a deadlock or a serialisation failure the whole of `work` is run again, so it must
        have no effect but on the database, and none there when its transaction was already committed.
        """
        deadline: float | None = None
        while True:
            try:
                connection = self._connection or self._open()
                with connection, connection.cursor() as cursor:
                    result = work(cursor)
                    if undo:
                        connection.rollback()
                    return result
            except (DatabaseUnavailable, psycopg2.Error) as error:
                if not _is_lost(error):
                    raise
                self.close()
                now = time.monotonic()
                deadline = now + self.patience if deadline is None else deadline
                if now >= deadline:
                    if isinstance(error, DatabaseUnavailable):
                        raise
                    raise DatabaseUnavailable(f"the database was lost ({_first_line(error)})") from error
                logger.warning("database lost (%s); trying again", _first_line(error))
                time.sleep(min(_RETRY_PAUSE_S, max(0.0, deadline - now)))

    def chunks(self, statement: str, values: Mapping[str, Any], size: int = 2_000) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a query, up to `size` at a time, from a cursor of the server: of one moment, and in bounded memory.

        Raises DatabaseUnavailable: what was yielded cannot be yielded again.
        """
        with self.snapshot() as connection, connection.cursor(name="chunks") as rows:
            rows.execute(statement, values)
            while chunk := rows.fetchmany(size):
                yield chunk

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection of its own for the time of a `with` block, in one transaction: all that it reads is of one moment.

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
            if not _is_lost(error):
                raise
            raise DatabaseUnavailable(f"the database was lost ({_first_line(error)})") from error
        finally:
            connection.close()

    def _open(self) -> Connection:
        self._connection = connect(self._url)
        self.opened(self._connection)
        return self._connection

    def opened(self, connection: Connection) -> None:
        """Called with every new connection; a place for session state such as temporary tables."""

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
