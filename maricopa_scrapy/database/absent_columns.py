"""Columns of which an answer said nothing: a stored row keeps its values there, so the answer neither clears
nor changes them.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.columns import BY_COST, BY_INDEX, Lines, array_of
from maricopa_scrapy.database.row_hash import canonical, columns_of
from maricopa_scrapy.database.source_hooks import hooks_of
from maricopa_scrapy.database.tables import Table, copy_line, digest_of

Key = tuple[Any, ...]
# A digest, and the line of COPY that it is in.
Row = tuple[str, str]
# Cells as COPY takes them, by their place in a line.
Cells = Mapping[int, str]


def with_stored(
    cursor: Cursor, table: Table, rows: Mapping[Key, Row], absent: Mapping[Key, Iterable[str]]
) -> dict[Key, Row]:
    """Return the rows, those of `absent` with the stored values of these columns where there is a stored
    row.
    """
    found = dict(rows)
    wanted = {key for key in rows if absent.get(key)}
    for row in _rows(cursor, table, table.name, {key[0] for key in wanted}, columns_of(table)):
        key = tuple(row[at] for at in table.key_at)
        if key in wanted:
            cells = {place: _cell(table, at, row[at]) for place, at in enumerate(table.hashed_at)}
            found[key] = overlaid(table, found[key][1], cells, absent[key])
    return found


def pages_with_stored(cursor: Cursor, page: Lines) -> Lines:
    """Return a page's rows with the stored values of the columns that are absent in them."""
    absent = dict(page.absent)
    if absent and page.table.told_at:
        absent = hooks_of(page.table.schema).told(cursor, page.table, absent)
    if not absent or not page.keys:
        return page
    places: dict[Any, list[int]] = {}
    everywhere = any(spots is None for spots in absent.values())
    for at in (
        range(len(page))
        if everywhere
        else sorted(set().union(*(at for at in absent.values() if at is not None)))
    ):
        places.setdefault(page.keys[at], []).append(at)
    others = _others(cursor, page.table, places)
    for key, own in _known(cursor, page.table, places, list(absent), others).items():
        for at in places[key]:
            columns = [column for column, spots in absent.items() if spots is None or at in spots]
            line = page.lines[at].decode()
            cells = _same_row(page.table, line.split("\t"), own, others.get(key, ()), columns)
            if cells is not None:
                page.digests[at], line = overlaid(page.table, line, cells, columns)
                page.lines[at] = line.encode()
    return page


def _same_row(
    table: Table, cells: Sequence[str], own: Cells, others: Sequence[Cells], absent: Iterable[str]
) -> Cells | None:
    """Return the stored row that a row is: of a key's several the one that says the same of all else, else
    the table's own.

    None when the own one has another floor.
    """
    left = {_place(table, column) for column in absent}
    for one in others:
        if all(cells[at] == value for at, value in one.items() if at not in left):
            return one
    if (
        "floor" in table.fields
        and (at := _place(table, "floor")) not in left
        and cells[at]
        and own[at]
        and cells[at] != own[at]
    ):
        return None
    return own


def _place(table: Table, column: str) -> int:
    return table.hashed_at.index(table.fields.index(column))


def overlaid(table: Table, line: str, cells: Cells | Sequence[str], columns: Iterable[str]) -> Row:
    """Return the line of COPY with other cells in some of its columns, and its digest anew; `cells` are by
    their place in the line.
    """
    parts = line.split("\t")
    count = len(table.hashed_at)
    for column in columns:
        at = _place(table, column)
        parts[at] = cells[at]
    digest = digest_of("\t".join(parts[:count]))
    parts[count] = f"\\\\x{digest}"
    return digest, "\t".join(parts)


def _others(cursor: Cursor, table: Table, keys: Iterable[Any]) -> dict[Any, list[Cells]]:
    """Return the further rows that the source keeps of some keys, by key."""
    found: dict[Any, list[Cells]] = {}
    if name := getattr(hooks_of(table.schema), "MORE_ROWS", {}).get(table.name):
        for row in _rows(cursor, table, name, keys, columns_of(table), BY_COST):
            cells = {
                place: _cell(table, at, row[at], is_paged=True) for place, at in enumerate(table.hashed_at)
            }
            found.setdefault(row[table.key_at[0]], []).append(cells)
    return found


def _known(
    cursor: Cursor, table: Table, keys: Mapping[Any, Any], columns: Sequence[str], others: Mapping[str, Any]
) -> dict[Any, Cells]:
    """Return, by key, what the table's rows have in some columns (and their floor), without rows that have
    nothing there.
    """
    wanted = [*columns, *(["floor"] if "floor" in table.fields and "floor" not in columns else [])]
    fields = [table.fields.index(column) for column in wanted]
    is_single = len(table.key) == 1
    selected = ", ".join(
        [
            *table.key,
            *(
                f"r.{column}::text" if at in table.json_at else f"r.{column}"
                for at, column in zip(fields, wanted, strict=True)
            ),
        ]
    )
    filled = " OR ".join(f"r.{column} IS NOT NULL" for column in columns)
    firsts = keys if is_single else {key[0] for key in keys}
    found: dict[Any, Cells] = {}
    for row in _rows(cursor, table, table.name, firsts, selected, filled=filled, always=others):
        key = row[0] if is_single else row[: len(table.key)]
        if key in keys:
            values = zip(fields, row[len(table.key) :], strict=True)
            found[key] = {
                table.hashed_at.index(at): _cell(table, at, value, is_paged=True) for at, value in values
            }
    return found


def _rows(
    cursor: Cursor,
    table: Table,
    name: str,
    firsts: Iterable[Any],
    selected: str,
    mode: str = BY_INDEX,
    filled: str = "true",
    always: Iterable[Any] = (),
) -> list[tuple[Any, ...]]:
    """Return columns of the rows that `name`, a table with the columns of `table`, has of `firsts`, if
    `filled` or in `always`.
    """
    keys = [str(one) for one in firsts]
    if not keys:
        return []
    cursor.execute(mode)
    first, array = f"r.{table.key[0]}", f"{table.key_types[0]}[]"
    cursor.execute(
        f"SELECT {selected} FROM {name} r WHERE {first} = ANY(%s::{array})"  # noqa: S608 - names of ours
        f" AND ({filled} OR {first} = ANY(%s::{array}))",
        (array_of(keys), array_of([str(one) for one in always])),
    )
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    cursor.execute(BY_COST)
    return rows


def _cell(table: Table, at: int, value: Any, is_paged: bool = False) -> str:
    """Return a value of field `at` as a record's line has it, or as a page's, which writes numbers as JSON
    does (columns.lines_of).
    """
    if value is None:
        return ""
    if at in table.json_at:
        value = canonical(value)
    elif isinstance(value, dt.datetime) and value.tzinfo:
        value = value.astimezone(dt.UTC)
    elif is_paged and type(value) is float:
        value = orjson.dumps(value).decode()
    return copy_line([value])
