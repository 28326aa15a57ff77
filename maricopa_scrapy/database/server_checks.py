"""What a Postgres server has to be for us, how a new connection is set up, and what a server refuses as one
line with the remedy.
"""

import json
import re
import select
import time
from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2.extensions import POLL_OK, POLL_READ
from psycopg2.extensions import connection as Connection

from maricopa_scrapy.database.rows import named

# How long a statement waits for a lock of somebody else's; after that the transaction is given up, and tried
# again where it can be.
LOCK_TIMEOUT = "3s"
# Postgres keeps its shared memory there; a container has 64 MB of it unless it is told otherwise.
MORE_SHARED_MEMORY = "/dev/shm is full or too small: give it 256 MB or more (docker run --shm-size=256m)"
_PROBE_S = 5.0
_PROBES = 4

# What text is read and written by: whatever role, database, server and address say. (How texts are quoted
# psycopg2 sees for itself.)
_ALWAYS = {
    "search_path": "public", "timezone": "UTC", "datestyle": "ISO, MDY", "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex", "array_nulls": "on", "transform_null_equals": "off",
    # Read committed: what runs take turns for must be seen after the turn has come.
    "default_transaction_isolation": "read committed", "default_transaction_deferrable": "off",
}  # fmt: skip
# What role, database and server say of these is meant for others; what the address or PGOPTIONS says is meant
# for us.
_UNLESS_ASKED = {
    "client_min_messages": "warning", "statement_timeout": "0", "lock_timeout": LOCK_TIMEOUT,
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "60s", "transaction_timeout": "0",
    # A statement whose client is gone, say one that waits for a lock, ends and lets go what it held.
    "client_connection_check_interval": "2s",
}  # fmt: skip
# One look at the server; set is only where no pooler stands between, for there it would be set for others
# too.
_LOOK = """
    SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.current_setting('server_encoding') AS encoding,
    pg_catalog.current_database() AS database, (
        SELECT count(pg_catalog.set_config(s.name, o.value, false))
        FROM pg_catalog.jsonb_each_text(%(always)s::jsonb || %(unless)s::jsonb) o
        JOIN pg_catalog.pg_settings s ON lower(s.name) = o.key
        WHERE pg_catalog.pg_backend_pid() = %(pid)s AND (%(always)s::jsonb ? o.key OR s.source <> 'client')
          AND (o.key <> 'client_connection_check_interval' OR pg_catalog.version() LIKE '%%linux%%'))
"""
_PID = "SELECT pg_catalog.pg_backend_pid()"
_CIRCUMSTANCES = """
    SELECT current_user AS role, current_database() AS database, quote_ident(current_user) AS quoted_role,
           quote_ident(current_database()) AS quoted_database, pg_is_in_recovery() AS in_recovery,
           current_setting('default_transaction_read_only') = 'on' AS read_only,
           (SELECT quote_ident(rolname) FROM pg_namespace JOIN pg_roles r ON r.oid = nspowner
               WHERE nspname = 'crawl') AS owner,
           (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) FROM pg_namespace n
            WHERE n.nspname = 'public' OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                  AND n.nspowner = (SELECT nspowner FROM pg_namespace WHERE nspname = 'crawl'))) AS schemas
"""
_MAY_MIGRATE = """
    SELECT to_regnamespace('public') IS NOT NULL AS has_public,
           has_database_privilege(current_database(), 'CREATE') AS may_create,
           coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), false) AS may_create_public,
           coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'crawl'), true)
           AS is_owner
"""
_HOLDER = """
    SELECT a.pid, coalesce(nullif(a.application_name, ''), 'a program') AS program, a.usename,
           l.relation::regclass::text AS relation
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    JOIN pg_class c ON c.oid = l.relation AND c.relpersistence <> 't'
    WHERE l.locktype = 'relation' AND l.granted
      AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND a.pid <> pg_backend_pid()
      AND l.relation >= 16384 ORDER BY l.mode, a.xact_start LIMIT 1
"""
_DENIED = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)


class DatabaseUnavailable(RuntimeError):
    """Postgres cannot be used; the message is one line with the remedy."""


class DatabaseRefused(DatabaseUnavailable):
    """It is there, and will refuse the same again however long it is waited for."""


class DatabaseOlder(DatabaseRefused):
    """It was made by a development version older than the first release, and is left as it is."""


class DatabaseCancelled(DatabaseRefused):
    """It ended a statement again and again: somebody cancels it, or it takes longer than the address
    allows.
    """


def set_up(connection: Connection, another: Callable[[], Connection]) -> None:
    """Make a new connection, in autocommit, one that we can use; `another` begins one more, asynchronously.

    Raises DatabaseRefused for a server that does not keep text as UTF-8, and for a pooler that pools
    transactions.
    """
    pid = connection.get_backend_pid()
    with connection.cursor() as cursor:
        server = _look(cursor, pid)
        if server.encoding != "UTF8":
            raise DatabaseRefused(
                f"the database {server.database} keeps text as {server.encoding}, which cannot hold every"
                " name, and ours needs UTF8; make one with CREATE DATABASE maricopa ENCODING 'UTF8'"
                " LOCALE 'C' TEMPLATE template0; and name it in MARICOPA_DATABASE_URL"
            )
        # A pooler makes up process ids of its own.
        if server.pid != pid:
            _check_pooler(connection, server.pid, another, server.database)
            _look(cursor, server.pid)


def _look(cursor: Any, pid: int) -> Any:
    cursor.execute(_LOOK, {"always": json.dumps(_ALWAYS), "unless": json.dumps(_UNLESS_ASKED), "pid": pid})
    return named(cursor)[0]


def _check_pooler(
    connection: Connection, first: int, another: Callable[[], Connection], database: str
) -> None:
    """Tell by two connections whether each has a server process of its own for as long as it lasts."""
    elsewhere = (
        "name the server itself in MARICOPA_DATABASE_URL, or a pool of PgBouncer with pool_mode = session"
    )
    second = another()
    try:
        with connection.cursor() as mine:
            for _ in range(_PROBES):
                told = [_asked(second, _PID) == first]
                # Twice: two servers in turn would give each of two connections that ask in turn its own.
                for _ in range(2):
                    mine.execute(_PID)
                    told.append(mine.fetchall() != [(first,)])
                if any(told):
                    raise DatabaseRefused(
                        f"PgBouncer, or a pooler like it, stands before the database {database} and gives its"
                        " server to others after each transaction (pool_mode), but a run keeps locks and"
                        f" tables of its session; {elsewhere}"
                    )
    except (TimeoutError, psycopg2.Error):
        raise DatabaseRefused(
            f"PgBouncer, or a pooler like it, stands before the database {database} and has no second"
            f" connection to it within {_PROBE_S:.0f} s, but a run needs two; raise pool_size, or {elsewhere}"
        ) from None
    finally:
        second.close()


def _asked(connection: Connection, question: str) -> int:
    """Return what an asynchronous connection answers. Raises TimeoutError or psycopg2.Error."""
    deadline = time.monotonic() + _PROBE_S
    _wait(connection, deadline)
    with connection.cursor() as cursor:
        cursor.execute(question)
        _wait(connection, deadline)
        ((answer,),) = cursor.fetchall()
    return int(answer)


def _wait(connection: Connection, deadline: float) -> None:
    while (state := connection.poll()) != POLL_OK:
        reads, writes = ([connection], []) if state == POLL_READ else ([], [connection])
        left = deadline - time.monotonic()
        if left <= 0 or not any(select.select(reads, writes, [], left)):
            raise TimeoutError


def pooler_s_word(error: Exception) -> str | None:
    """Return the line for a start-up parameter that PgBouncer refuses, None for any other error."""
    found = re.search(r"unsupported startup parameter(?: in options)?: (\S+)", str(error))
    if found is None:
        return None
    return (
        f"PgBouncer, before the database, refuses the start-up parameter {found[1]}; take `options` out of"
        " MARICOPA_DATABASE_URL and unset PGOPTIONS, or add it to ignore_startup_parameters of"
        " pgbouncer.ini, with pool_mode = session"
    )


def check_may_migrate(connection: Connection) -> None:
    """Return when the role may make and alter our tables. Raises DatabaseRefused with the GRANT that is
    missing.
    """
    with connection.cursor() as cursor:
        here = _circumstances(cursor)
        if line := _read_only(here):
            raise DatabaseRefused(f"the tables are to be made or brought up to date, and {line}")
        cursor.execute(_MAY_MIGRATE)
        (rights,) = named(cursor)
    grants = []
    if not rights.may_create:
        grants.append(f"GRANT CREATE ON DATABASE {here.quoted_database} TO {here.quoted_role};")
    if not rights.has_public:
        grants.append(f"CREATE SCHEMA public; GRANT USAGE, CREATE ON SCHEMA public TO {here.quoted_role};")
    elif not rights.may_create_public:
        grants.append(f"GRANT USAGE, CREATE ON SCHEMA public TO {here.quoted_role};")
    if not rights.is_owner:
        grants.append(f"GRANT {here.owner} TO {here.quoted_role};")
    if grants:
        raise DatabaseRefused(
            f"the tables are to be made or brought up to date, and role {here.role} may not do so in database"
            f" {here.database}; its owner or a superuser says: {' '.join(grants)}"
        )


def refusal(error: Exception, connection: Connection) -> DatabaseRefused | None:
    """Return what a permission that is missing is as one line, None for any other error; asks the connection,
    which has rolled back.
    """
    if not isinstance(error, _DENIED):
        return None
    said = first_line(error)
    statement = bytes(getattr(error.cursor, "query", None) or b"").strip().upper()
    is_read = statement.startswith((b"SELECT", b"DECLARE", b"WITH")) and not any(
        w in statement for w in (b"INSERT", b"UPDATE", b"DELETE")
    )
    try:
        with connection, connection.cursor() as cursor:
            here = _circumstances(cursor)
    except psycopg2.Error:
        return DatabaseRefused(f"the database refuses it: {said}")
    if isinstance(error, psycopg2.errors.ReadOnlySqlTransaction):
        told = _read_only(here) or f"role {here.role} may only read in database {here.database} ({said})"
        return DatabaseRefused(told)
    if "temporary" in said:
        grant = f"GRANT TEMPORARY ON DATABASE {here.quoted_database} TO {here.quoted_role};"
    elif "owner of" in said and here.owner:
        grant = f"GRANT {here.owner} TO {here.quoted_role};"
    elif "for database" in said:
        grant = f"GRANT CREATE, CONNECT ON DATABASE {here.quoted_database} TO {here.quoted_role};"
    else:
        rights = "SELECT" if is_read else "SELECT, INSERT, UPDATE, DELETE"
        grant = (
            f"GRANT USAGE ON SCHEMA {here.schemas} TO {here.quoted_role}; GRANT {rights} ON ALL TABLES IN"
            f" SCHEMA {here.schemas} TO {here.quoted_role};"
        )
    return DatabaseRefused(
        f"role {here.role} may not do this in database {here.database} ({said}); its owner or a superuser"
        f" says: {grant}"
    )


def _circumstances(cursor: Any) -> Any:
    cursor.execute(_CIRCUMSTANCES)
    return named(cursor)[0]


def _read_only(here: Any) -> str | None:
    if here.in_recovery:
        return (
            f"the server of database {here.database} is in recovery, a standby that only reads, so that role"
            f" {here.role} cannot write; no GRANT changes that: name the primary in MARICOPA_DATABASE_URL"
        )
    if here.read_only:
        return (
            f"role {here.role} may only read in database {here.database} (default_transaction_read_only); no"
            f" GRANT changes that, but: ALTER ROLE {here.quoted_role} IN DATABASE {here.quoted_database} SET"
            " default_transaction_read_only = off;"
        )
    return None


def lock_s_holder(connection: Connection) -> str:
    """Return who holds the lock that a statement waited for in vain, as a sentence with what to do; asks the
    connection.
    """
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(_HOLDER)
            found = named(cursor)
    except psycopg2.Error:
        found = []
    if not found:
        return (
            "another transaction holds a lock that is needed; wait for its end (SELECT * FROM"
            " pg_stat_activity shows it)"
        )
    (holder,) = found
    return (
        f"{holder.program} of {holder.usename} holds a lock on {holder.relation}; wait for its end, or end"
        f" it: SELECT pg_terminate_backend({holder.pid})"
    )


def first_line(error: Exception) -> str:
    """Return the first line of what Postgres or libpq said."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def lacks_shared_memory(said: str) -> bool:
    """Tell whether Postgres says that there is no room for its shared memory, which it says in the words of a
    full disk.
    """
    return "shared memory segment" in said and (
        "No space left on device" in said or "Cannot allocate memory" in said
    )


def explained(what: str, said: str) -> str:
    """Return one line: what failed, and what Postgres said of it."""
    if lacks_shared_memory(said):
        return f"{what}: {MORE_SHARED_MEMORY}"
    if "No space left on device" in said or "could not extend file" in said:
        return f"{what}: the disk is full"
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    telling = [
        at
        for at, line in enumerate(lines)
        if any(word in line for word in ("FATAL:", "PANIC:", "ERROR:", "error:"))
    ]
    # The line before a FATAL often is what it is about.
    start = max(telling[0] - 1, 0) if telling else -3
    return f"{what}: {' | '.join(lines[start:][:3]) or 'it said nothing'}"
