"""Columns of which an answer said nothing: a stored row keeps its values there, so the answer neither clears nor changes them."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
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
    """Return a page's rows with the stored values of the columns that are absent in them.

    An APN of several rows has each of them in gis.stacked: a row is then the stored one that says the same of all else.
    """
    if not page.absent or not page.keys:
        return page
    table = page.table
    keys: list[Key] = [key if isinstance(key, tuple) else (key,) for key in page.keys]
    everywhere = any(spots is None for spots in page.absent.values())
    spots = range(len(keys)) if everywhere else sorted(set().union(*(at for at in page.absent.values() if at is not None)))
    known = _known(cursor, table, [keys[at] for at in spots], list(page.absent))
    for at in spots:
        columns = [column for column, places in page.absent.items() if places is None or at in places]
        if columns and (candidates := known.get(keys[at])):
            line = page.lines[at].decode()
            cells = _same_row(table, line.split("\t"), candidates, columns)
            if cells is not None:
                digest, line = overlaid(table, line, cells, columns)
                page.digests[at], page.lines[at] = digest, line.encode()
    return page


def _same_row(table: Table, cells: Sequence[str], candidates: Sequence[list[str]], absent: Iterable[str]) -> list[str] | None:
    """Return the candidate that is the same but for absent columns, else the table's own, the last, unless it has another floor."""
    left = {_place(table, column) for column in absent}
    if len(candidates) > 1:
        for one in candidates:
            if all(cells[at] == value for at, value in enumerate(one) if at not in left):
                return one
    own = candidates[-1]
    if "floor" in table.fields and (at := _place(table, "floor")) not in left and cells[at] and own[at] and cells[at] != own[at]:
        return None
    return own


def _place(table: Table, column: str) -> int:
    return table.hashed_at.index(table.fields.index(column))


def overlaid(table: Table, line: str, cells: Sequence[str], columns: Iterable[str]) -> Row:
    """Return the line of COPY with other cells in some of its columns, and its digest anew; `cells` are in the order of the line."""
    parts = line.split("\t")
    count = len(table.hashed_at)
    for column in columns:
        at = _place(table, column)
        parts[at] = cells[at]
    digest = digest_of("\t".join(parts[:count]))
    parts[count] = f"\\\\x{digest}"
    return digest, "\t".join(parts)


def _stored(cursor: Cursor, table: Table, keys: Sequence[Key]) -> dict[Key, list[str]]:
    """Return the cells of stored rows as COPY takes them, by key."""
    return {key: _cells(table, row) for key, row in _rows(cursor, table, table.name, keys)}


def _known(cursor: Cursor, table: Table, keys: Sequence[Key], columns: Sequence[str]) -> dict[Key, list[list[str]]]:
    """Return, by key, the cells of the rows that a page's row may be, the table's own last; none where nothing is stored in `columns`."""
    filled = " OR ".join(f"r.{column} IS NOT NULL" for column in columns)
    found: dict[Key, list[list[str]]] = {}
    if table.name == "gis.parcel":
        for key, row in _rows(cursor, table, "gis.stacked", keys):
            found.setdefault(key, []).append(_cells(table, row, is_paged=True))
        filled += " OR r.apn IN (SELECT apn FROM gis.stacked)"
    for key, row in _rows(cursor, table, table.name, keys, f"({filled})"):
        found.setdefault(key, []).append(_cells(table, row, is_paged=True))
    return found


def _rows(cursor: Cursor, table: Table, name: str, keys: Sequence[Key], where: str = "true") -> list[tuple[Key, tuple[Any, ...]]]:
    """Return the rows that `name`, a table with the columns of `table`, has of the keys."""
    if not keys:
        return []
    cursor.execute(BY_INDEX)
    statement = f"SELECT {columns_of(table)} FROM {name} r WHERE r.{table.key[0]} = ANY(%s) AND {where}"  # noqa: S608 - names of ours
    cursor.execute(statement, (list({key[0] for key in keys}),))
    rows = cursor.fetchall()
    cursor.execute(BY_COST)
    wanted = set(keys)
    return [(key, row) for row in rows if (key := tuple(row[at] for at in table.key_at)) in wanted]


def _cells(table: Table, row: Sequence[Any], is_paged: bool = False) -> list[str]:
    """Return a row's cells as a record's line has them, or as a page's, which writes numbers as JSON does (columns.lines_of)."""
    cells = []
    for at in table.hashed_at:
        value = row[at]
        if value is not None and at in table.json_at:
            value = canonical(value)
        elif isinstance(value, dt.datetime) and value.tzinfo:
            value = value.astimezone(dt.UTC)
        elif is_paged and type(value) is float:
            value = orjson.dumps(value).decode()
        cells.append(copy_line([value]))
    return cells
