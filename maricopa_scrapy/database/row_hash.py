"""The hash of a stored row, taken again: of a row that nobody but the writer touched it is the one that
stands next to it.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, get_args

import orjson
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.columns import lines_of
from maricopa_scrapy.database.tables import Table, copy_line, digest_of
from maricopa_scrapy.items import Rows


def columns_of(table: Table, alias: str = "r") -> str:
    """Return the select list that `digests` takes: the record's columns, JSON as text (its numbers then stay
    as they were).
    """
    return ", ".join(
        f"{alias}.{name}::text" if at in table.json_at else f"{alias}.{name}"
        for at, name in enumerate(table.fields)
    )


def digests(table: Table, rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the hash of each row of `columns_of`, as hex."""
    if not rows:
        return []
    columns = [list(column) for column in zip(*rows, strict=True)]
    for at in table.json_at:
        columns[at] = [None if value is None else canonical(value) for value in columns[at]]
    return lines_of(Rows(table.record, columns), "").digests


def other_lines(
    cursor: Cursor, table: Table, scope: str, on_rows: Callable[[int], None] = lambda rows: None
) -> list[str]:
    """Return the ctid of each row of `table r` whose line, as Postgres writes it, has not the row's hash.

    Postgres writes nearly all values as they were hashed, and this is five times as fast as reading them:
    what is returned is to be looked at by `touched`. `scope`: what follows the FROM, without parameters.
    """
    columns = ", ".join(_as_hashed(table, table.fields[at]) for at in table.hashed_at)
    reader = _Reader([table.hashed_at.index(at) for at in table.json_at if at in table.hashed_at], on_rows)
    cursor.copy_expert(
        f"COPY (SELECT {columns}, encode(r.content_hash, 'hex'), r.ctid"  # noqa: S608 - names of our own classes
        f" FROM {table.name} r {scope}) TO STDOUT (FORMAT text, NULL '')",
        reader,
    )
    return reader.others


class _Reader:
    """What COPY writes to: a row a call."""

    def __init__(self, json_at: list[int], on_rows: Callable[[int], None]) -> None:
        self.others: list[str] = []
        self._json_at = json_at
        self._rows = 0
        self._on_rows = on_rows

    def write(self, row: bytes) -> int:
        line, digest, ctid = row.rsplit(b"\t", 2)
        if self._json_at:
            line = self._canonical(line)
        if blake2b(line, digest_size=16).hexdigest() != digest.decode():
            self.others.append(ctid.decode().rstrip())
        self._rows += 1
        if self._rows % 10_000 == 0:
            self._on_rows(self._rows)
        return len(row)

    def _canonical(self, line: bytes) -> bytes:
        cells = line.split(b"\t")
        for at in self._json_at:
            if cells[at]:
                json = orjson.loads(cells[at].replace(b"\\\\", b"\\"))
                cells[at] = orjson.dumps(json, option=orjson.OPT_SORT_KEYS).replace(b"\\", b"\\\\")
        return b"\t".join(cells)


def _as_hashed(table: Table, name: str) -> str:
    annotation = table.record.model_fields[name].annotation
    types = {annotation, *get_args(annotation)}
    if bool in types:
        return f"CASE r.{name} WHEN true THEN 'True' WHEN false THEN 'False' END"
    if float in types:
        return (
            f"CASE WHEN r.{name} = trunc(r.{name}) AND abs(r.{name}) < 1e15"
            f" THEN r.{name}::bigint || '.0' ELSE r.{name}::text END"
        )
    if dt.datetime in types:
        return f"r.{name} AT TIME ZONE 'UTC' || '+00:00'"
    return f"r.{name}"


def is_untouched(table: Table, row: Sequence[Any], digest: str) -> bool:
    """Whether a row has the hash when its numbers are written as a single record's are, not as a page's."""
    cells = [
        canonical(row[at]) if at in table.json_at and row[at] is not None else row[at]
        for at in table.hashed_at
    ]
    return digest_of(copy_line(cells)) == digest


def touched(table: Table, rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """Yield the rows, each `columns_of` and its stored hash as hex, whose values are not those that were
    hashed.
    """
    values = [row[: len(table.fields)] for row in rows]
    for row, own, digest in zip(rows, values, digests(table, values), strict=True):
        stored = row[len(table.fields)]
        if digest != stored and not is_untouched(table, own, stored):
            yield row


def canonical(text: str) -> str:
    """Return JSON as the hash takes it."""
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
