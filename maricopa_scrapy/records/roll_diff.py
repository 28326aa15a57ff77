"""What changed of a source: between the last two complete rolls of the GIS, and since."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import objects

# source: the schema whose tables are its own.
SOURCES = ("gis",)

_ROLLS = """
    SELECT layer, started_at, finished_at FROM gis.roll WHERE state = 'complete'
    ORDER BY finished_at DESC LIMIT 2
"""
_BY_FIELD = """
    SELECT table_name, field, count(*) FROM crawl.change WHERE changed_at > %s AND table_name LIKE %s
    GROUP BY table_name, field ORDER BY count(*) DESC, field
"""
_CHANGES = """
    SELECT key->>'apn' AS apn, table_name AS table, field, old, new, changed_at AS at FROM public.change
    WHERE changed_at > %s AND table_name LIKE %s ORDER BY key->>'apn', field, id
"""
_NEW = "SELECT count(*) FROM gis.parcel WHERE first_seen_at > %s"


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one parcel."""

    apn: str
    table: str
    field: str
    old: str | None
    new: str | None
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """The last complete roll against the one before: when each ended, new parcels, and changes by table and
    field.

    What came between the two, by a list or from an incomplete roll, counts: it is all that happened `since`,
    the end of the one before. `before` is None after a first roll, which has nothing to compare with.
    """

    layer: str
    before: dt.datetime | None
    after: dt.datetime
    new: int
    fields: list[tuple[str, str, int]]
    since: dt.datetime


def last_roll(session: Session) -> Comparison | None:
    """Compare the last two complete rolls; None when there is no complete roll."""

    def work(cursor: Cursor) -> Comparison | None:
        cursor.execute(_ROLLS)
        rolls = cursor.fetchall()
        if not rolls:
            return None
        layer, started, finished = rolls[0]
        before = rolls[1][2] if len(rolls) > 1 else None
        since = before or started
        cursor.execute(_BY_FIELD, (since, "gis.%"))
        fields = cursor.fetchall()
        cursor.execute(_NEW, (since,))
        (new,) = cursor.fetchone() or (0,)
        return Comparison(layer, before, finished, new, fields, since)

    return session.transact(work)


def changes(session: Session, since: dt.datetime, limit: int | None = None) -> Iterator[Change]:
    """Yield the changes of the GIS tables after a moment, by APN."""

    def work(cursor: Cursor) -> list[Change]:
        cursor.execute(
            _CHANGES + (" LIMIT %s" if limit is not None else ""),
            (since, "gis.%", *([limit] if limit is not None else [])),
        )
        return objects(cursor, Change)

    yield from session.transact(work)
