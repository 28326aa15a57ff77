"""Columns of which an answer said nothing: a stored row keeps its values there, so the answer neither clears nor changes them."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.store.columns import BY_COST, BY_INDEX, Lines
from maricopa_scrapy.store.fingerprint import canonical, columns_of
from maricopa_scrapy.store.tables import Table, copy_line, digest_of

Key = tuple[Any, ...]
# A digest, and the line of COPY that it is in.
Row = tuple[str, str]


def with_stored(cursor: Cursor, table: Table, rows: Mapping[Key, Row], absent: Mapping[Key, Iterable[str]]) -> dict[Key, Row]:
    """Return the rows, those of `absent` with the stored values of these columns where there is a stored row."""
    found = dict(rows)
    stored = _stored(cursor, table, [key for key in rows if absent.get(key)])
    for key, cells in stored.items():
        if key in found and absent.get(key):
            found[key] = overlaid(table, found[key][1], cells, absent[key])
    return found


def pages_with_stored(cursor: Cursor, page: Lines) -> Lines:
    """Return a page's rows with the stored values of the columns that are absent in them."""
    if not page.absent or not page.keys:
        return page
    table = page.table
    keys: list[Key] = [key if isinstance(key, tuple) else (key,) for key in page.keys]
    wanted = [key for at, key in enumerate(keys) if any(spots is None or at in spots for spots in page.absent.values())]
    stored = _stored(cursor, table, wanted)
    for at, key in enumerate(keys):
        columns = [column for column, spots in page.absent.items() if spots is None or at in spots]
        if columns and key in stored:
            digest, line = overlaid(table, page.lines[at].decode(), stored[key], columns)
            page.digests[at], page.lines[at] = digest, line.encode()
    return page


def overlaid(table: Table, line: str, cells: Sequence[str], columns: Iterable[str]) -> Row:
    """Return the line of COPY with other cells in some of its columns, and its digest anew; `cells` are in the order of the line."""
    parts = line.split("\t")
    count = len(table.hashed_at)
    for column in columns:
        at = table.hashed_at.index(table.fields.index(column))
        parts[at] = cells[at]
    digest = digest_of("\t".join(parts[:count]))
    parts[count] = f"\\\\x{digest}"
    return digest, "\t".join(parts)


def _stored(cursor: Cursor, table: Table, keys: Sequence[Key]) -> dict[Key, list[str]]:
    """Return the cells of stored rows as COPY takes them, by key."""
    if not keys:
        return {}
    cursor.execute(BY_INDEX)
    statement = f"SELECT {columns_of(table)} FROM {table.name} r WHERE r.{table.key[0]} = ANY(%s)"  # noqa: S608 - names of ours
    cursor.execute(statement, (list({key[0] for key in keys}),))
    rows = cursor.fetchall()
    cursor.execute(BY_COST)
    wanted = set(keys)
    return {key: _cells(table, row) for row in rows if (key := tuple(row[at] for at in table.key_at)) in wanted}


def _cells(table: Table, row: Sequence[Any]) -> list[str]:
    cells = []
    for at in table.hashed_at:
        value = row[at]
        if value is not None and at in table.json_at:
            value = canonical(value)
        elif isinstance(value, dt.datetime) and value.tzinfo:
            value = value.astimezone(dt.UTC)
        cells.append(copy_line([value]))
    return cells
