"""The tables and views: the files that make them, which of them a database has, and databases that none of
them made.

Each file is applied once, in this order, and crawl.migration names it: ledger/schema.sql, schema.sql of each
source's folder, records/views.sql, records/find/schema.sql, then what changed since:
database/migrations/NNNN_name.sql.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.server_checks import DatabaseOlder, DatabaseUnavailable

logger = logging.getLogger(__name__)

_OLDER = """
    SELECT current_database(), EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'crawl'),
           EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass('public._yoyo_migration')
                   AND has_table_privilege(oid, 'SELECT'))
"""
_HAS_RECORDS = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'crawl' AND c.relname = 'migration')
"""
_PROGRESS_S = 2.0
_INDEXING = """
    SELECT relid::regclass::text, phase, 100 * blocks_done / blocks_total
    FROM pg_stat_progress_create_index WHERE datname = current_database() AND blocks_total > 0
"""


def files() -> dict[str, Traversable]:
    """Return the files by the names under which they are recorded, in the order in which they are applied."""
    package = resources.files("maricopa_scrapy")
    found = {"ledger": package / "ledger" / "schema.sql"}
    for folder in _entries(package / "sources"):
        if folder.is_dir() and (file := folder / "schema.sql").is_file():
            found[f"source-{folder.name}"] = file
    found["views"] = package / "records" / "views.sql"
    found["find"] = package / "records" / "find" / "schema.sql"
    for file in _entries(package / "database" / "migrations"):
        if file.name.endswith(".sql"):
            found[file.name.removesuffix(".sql")] = file
    return found


def pending(cursor: Cursor) -> list[str]:
    """Return the names of the files that the database does not have yet, in their order; writes nothing.

    Raises DatabaseOlder for a database of a development version older than the first release.
    """
    cursor.execute(_HAS_RECORDS)
    if cursor.fetchone() == (True,):
        cursor.execute("SELECT name FROM crawl.migration")
        applied = {name for (name,) in cursor.fetchall()}
        return [name for name in files() if name not in applied]
    _check_is_new(cursor)
    return list(files())


def apply(cursor: Cursor) -> list[str]:
    """Apply what is pending, in the transaction of the cursor; returns the names."""
    names, found = pending(cursor), files()
    for name in names:
        cursor.execute(found[name].read_text("utf-8"))
        cursor.execute("INSERT INTO crawl.migration (name) VALUES (%s)", (name,))
    return names


@contextmanager
def progress(ask: Callable[[str], list[tuple[Any, ...]]]) -> Iterator[None]:
    """Log how far the indexes are of a database that has rows already, every two seconds of a `with` block.

    `ask` returns the rows of a statement, by a connection of its own.
    """
    is_over = threading.Event()

    def tell() -> None:
        begun, has_begun = time.monotonic(), False
        while not is_over.wait(_PROGRESS_S):
            try:
                found = ask(_INDEXING)
            except DatabaseUnavailable as error:
                logger.debug("how far the schema is, is not known: %s", error)
                continue
            if has_begun := has_begun or bool(found):
                what = "".join(f", {table} ({phase}, {done} %)" for table, phase, done in found)
                logger.warning("the search index is being made: %.0f s%s", time.monotonic() - begun, what)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()


def _check_is_new(cursor: Cursor) -> None:
    cursor.execute(_OLDER)
    database, is_older, has_yoyo = cursor.fetchone() or ("", False, False)
    if has_yoyo and not is_older:
        # Somebody else's program may keep its records in a table of that name.
        cursor.execute("SELECT EXISTS (SELECT FROM public._yoyo_migration WHERE migration_id = '0001_crawl')")
        is_older = cursor.fetchone() == (True,)
    if is_older:
        raise DatabaseOlder(
            f"the database {database} was made by a development version older than 0.1.0, which this version"
            " cannot use and leaves as it is; take its rows out with `maricopa postgres pg_dump --file"
            " old.sql`, or with `maricopa export --to FOLDER` of the version that made it, and begin anew:"
            " MARICOPA_DATA_DIR names a new folder, or MARICOPA_DATABASE_URL a new database"
        )


def _entries(folder: Traversable) -> list[Traversable]:
    return sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else []
