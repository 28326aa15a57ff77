"""What changed since a moment: every field, or the answer to a named query; streamed, whatever the length.

All by the view public.change, which shows no owner that the county withholds.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.change_queries import Query

# `key` is the whole key of the row, `by` the spider that saw the change, or "reparse": a correction of ours.
COLUMNS = ("changed_at", "table", "apn", "key", "field", "old", "new", "run", "by")
_CHANGES = """
    SELECT c.changed_at, c.table_name, c.key->>'apn', c.key, c.field, c.old, c.new, c.run_id, r.spider
    FROM public.change c LEFT JOIN crawl.run r ON r.id = c.run_id
    WHERE c.changed_at >= %(since)s AND c.changed_at < %(until)s
      AND (%(table)s::text IS NULL OR c.table_name = %(table)s)
    ORDER BY c.changed_at, c.id
"""


def changes(
    session: Session, since: dt.datetime, until: dt.datetime, table: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """Yield the changed fields of a period, oldest first, as COLUMNS. Raises DatabaseUnavailable."""
    for chunk in session.chunks(_CHANGES, {"since": since, "until": until, "table": table}):
        yield from chunk


def answers(
    session: Session, query: Query, since: dt.datetime, until: dt.datetime
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a named query for a period, as its columns. Raises DatabaseUnavailable."""
    for chunk in session.chunks(query.statement, {"since": since, "until": until}):
        yield from chunk


def lacking(session: Session, query: Query) -> list[str]:
    """Return the tables that the query needs and this database does not have."""

    def work(cursor: Cursor) -> list[str]:
        cursor.execute(
            "SELECT name FROM unnest(%s) AS n (name) WHERE to_regclass(name) IS NULL", (list(query.needs),)
        )
        return [name for (name,) in cursor.fetchall()]

    return session.transact(work)
