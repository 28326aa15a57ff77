"""The hash of a stored row, taken again: of a row that nobody but the writer touched it is the one that
stands next to it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

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
