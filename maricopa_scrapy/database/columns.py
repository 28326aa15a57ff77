"""A page of rows by column: as lines of COPY, and merged into its table.

What most rows of a page are decides how they are stored. New ones go into the table by plain COPY;
unchanged ones do not travel at all; only changed ones are staged, compared field by field and
merged (tables.py).
"""

import datetime as dt
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress, groupby
from typing import Any

import orjson
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.source_hooks import hooks_of
from maricopa_scrapy.database.tables import Table, copy_line, table_of
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Rows

# The planner has no statistics of a table that a first roll fills, and would look at all of it for each page.
BY_INDEX = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
BY_COST = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on"
_CHUNK = 1 << 24
# So few rows known of a page are looked up by themselves.
_FEW = 100
_PLAIN = {int, float, dt.date, type(None)}


@dataclass(slots=True)
class Lines:
    """Rows of one table: their keys, the digests of what the source said, and the lines that COPY takes.

    A key is a text, or a tuple where the table's key has several columns.
    """

    table: Table
    keys: list[Any]
    digests: list[str]
    lines: list[bytes]
    # Orders rows of the same key: the lowest is the one that stands for it.
    ranks: list[int] | None = None
    # Who told the rows of a page, and which columns it maps.
    told: tuple[str, tuple[str, ...]] | None = None
    # Columns of which the answer said nothing, at these positions or in all rows: to be filled from what is
    # stored (absent_columns.py).
    absent: Mapping[str, frozenset[int] | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def where(self, is_wanted: Callable[[int], bool]) -> "Lines":
        """Return the rows at the positions that are wanted."""
        wanted = list(map(is_wanted, range(len(self))))
        return Lines(
            self.table,
            list(compress(self.keys, wanted)),
            list(compress(self.digests, wanted)),
            list(compress(self.lines, wanted)),
            self.ranks and list(compress(self.ranks, wanted)),
        )


def lines_of(rows: Rows, origin: str) -> Lines:
    """Return the rows as lines; `origin` is what tables.origin_of says.

    Raises ValueError for text that cannot be UTF-8.
    """
    table = table_of(rows.record)
    texts = [_texts(rows.columns[at]) for at in table.hashed_at]
    lines = list(map("\t".join, zip(*_merged(texts), strict=True)))
    body = "\n".join(lines)
    if (
        "\\" in body
        or "\r" in body
        or body.count("\n") >= max(1, len(lines))
        or body.count("\t") != len(lines) * (len(texts) - 1)
    ):
        body = "\n".join([copy_line(cells) for cells in zip(*texts, strict=True)])
    # Text of no lines still splits into one.
    encoded = body.encode().split(b"\n") if lines else []
    digests = [blake2b(line, digest_size=16).hexdigest() for line in encoded]
    ends = _ends([rows.columns[at] for at in table.told_at], origin, len(lines))
    ready = [
        b"%b\t\\\\x%b%b" % (line, digest.encode(), end)
        for line, digest, end in zip(encoded, digests, ends, strict=True)
    ]
    floor = table.fields.index("floor") if "floor" in table.fields else None
    ranks = None if floor is None else [-1 if value is None else value for value in rows.columns[floor]]
    keys = (
        list(rows.columns[table.key_at[0]])
        if len(table.key) == 1
        else list(zip(*(rows.columns[at] for at in table.key_at), strict=True))
    )
    assert len(keys) == len(digests) == len(lines)
    told = (str(rows.columns[table.told_at[0]][0]), rows.mapped) if rows.mapped and keys else None
    return Lines(table, keys, digests, ready, ranks, told, rows.absent)


def _ends(told: Sequence[Sequence[Any]], origin: str, count: int) -> Iterable[bytes]:
    """Return what follows the hash in each row: who told it, and the answer's origin."""
    tellers = list(zip(*told, strict=True)) if told else [()] * count
    ends = {
        cells: "\t".join(["", *(copy_line([cell]) for cell in cells), origin]).encode()
        for cells in set(tellers)
    }
    return map(ends.__getitem__, tellers)


def _merged(texts: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Yield the columns, empty ones side by side as a single one that has their tabs: a page of a layer has
    many.
    """
    for is_filled, columns in groupby(texts, any):
        if is_filled:
            yield from columns
        else:
            empty = list(columns)
            yield ["\t" * (len(empty) - 1)] * len(empty[0])


def _texts(column: Sequence[Any]) -> Sequence[str]:
    if not any(column) and column.count(None) == len(column):
        return [""] * len(column)
    try:
        "".join(column)
    except TypeError:
        types = set(map(type, column))
    else:
        return column
    if types <= {str, type(None)}:
        return [value or "" for value in column]
    if types <= _PLAIN:
        # Numbers and dates as JSON writes them are as Postgres reads them, at a tenth of the price of str().
        return orjson.dumps(column)[1:-1].translate(None, b'nul"').decode().split(",")
    return ["" if value is None else str(value) for value in column]


def joined(parts: Sequence[Lines]) -> Lines:
    """Return the rows of several pages of one table."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    whole = Lines(first.table, [], [], [], None if first.ranks is None else [])
    for part in parts:
        whole.keys += part.keys
        whole.digests += part.digests
        whole.lines += part.lines
        if whole.ranks is not None:
            whole.ranks += part.ranks or []
    return whole


def last_of_each_key(rows: Lines) -> Lines:
    """Return the rows with the last one of each key: one statement cannot merge both."""
    last = {key: at for at, key in enumerate(rows.keys)}
    return rows if len(last) == len(rows) else rows.where(lambda at: last[rows.keys[at]] == at)


def array_of(values: Sequence[str]) -> str:
    """Return the text of a Postgres array: one constant is parsed many times as fast as thousands."""
    if all(map(str.isalnum, values)):
        return "{" + ",".join(values) + "}"
    return (
        "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"
    )


def merge_lines(
    cursor: Cursor, run: Run, rows: Lines, withhold: Callable[[Lines], Lines] | None = None
) -> None:
    """Store rows of distinct keys, in the caller's transaction, and each field that changed in crawl.change.

    `withhold` is given the rows that differ from what is stored, and returns those of them that are to be
    merged now. Two runs at once must take turns (store_and_acknowledge.py): what is looked up here stays so
    until it is stored.
    """
    if not rows.keys:
        return
    table = rows.table
    cursor.execute(BY_INDEX)
    is_single = len(table.key) == 1
    keys = {"key_0": array_of(rows.keys)} if is_single else _arrays(rows.keys)
    cursor.execute(_present(table), {**keys, "few": _FEW + 1})
    present = {key[0] if is_single else key for key in cursor.fetchall()}
    if len(present) <= _FEW < len(rows):
        # Nearly all are new: those need no second look.
        copy_bytes(
            cursor,
            table.copy_new,
            [line for key, line in zip(rows.keys, rows.lines, strict=True) if key not in present],
        )
        rows = _with_keys(rows, present)
        if not rows.keys:
            return
        keys = {"key_0": array_of(rows.keys)} if is_single else _arrays(rows.keys)
    cursor.execute(_look_up(table), {**keys, "digests": array_of(rows.digests), "total": len(rows)})
    found = cursor.fetchone()
    assert found is not None
    new, new_at, changed_at = found
    if new:
        copy_bytes(
            cursor, table.copy_new, rows.lines if new == len(rows) else [rows.lines[at - 1] for at in new_at]
        )
    if changed_at:
        wanted = {at - 1 for at in changed_at}
        changed = rows.where(wanted.__contains__)
        if withhold is not None:
            changed = withhold(changed)
        if not changed.keys:
            return
        cursor.execute(table.create_stage)
        copy_bytes(cursor, table.copy, changed.lines)
        cursor.execute(
            table.merge,
            {
                "run": run.id,
                "shared": hooks_of(table.schema).shared_fields(cursor) if table.told_at else None,
            },
        )
        cursor.execute(f"TRUNCATE {table.stage}")


def copy_bytes(cursor: Cursor, statement: str, lines: Sequence[bytes]) -> None:
    """COPY lines that are encoded already."""
    if not lines:
        return
    cursor.copy_expert(statement, io.BytesIO(b"\n".join(lines) + b"\n"), size=_CHUNK)


def _with_keys(rows: Lines, keys: set[Any]) -> Lines:
    return rows.where(lambda at: rows.keys[at] in keys)


def _arrays(keys: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    return {
        f"key_{at}": array_of([str(value) for value in column])
        for at, column in enumerate(zip(*keys, strict=True))
    }


def _unnested(table: Table) -> str:
    return ", ".join(f"%(key_{at})s::{kind}[]" for at, kind in enumerate(table.key_types))


def _present(table: Table) -> str:
    if len(table.key) == 1:
        return (
            f"SELECT {table.key[0]} FROM {table.name} WHERE {table.key[0]} = ANY({_unnested(table)}) LIMIT"
            " %(few)s"
        )
    names = ", ".join(table.key)
    return (
        f"SELECT {names} FROM unnest({_unnested(table)}) AS k ({names}) JOIN {table.name} USING ({names})"
        " LIMIT %(few)s"
    )


def _look_up(table: Table) -> str:
    """How many rows are new and, by position from 1, which; which are there and differ.

    No position of new ones when all are.
    """
    back = " OR t.removed_at IS NOT NULL" if table.complete_by else ""
    same = " AND ".join(f"t.{column} = k.{column}" for column in table.key)
    return f"""
        SELECT count(*) FILTER (WHERE is_new),
               CASE WHEN count(*) FILTER (WHERE is_new) < %(total)s
                   THEN array_agg(n) FILTER (WHERE is_new) END,
               array_agg(n) FILTER (WHERE NOT is_new)
        FROM (
            SELECT k.n, t.{table.key[0]} IS NULL AS is_new
            FROM unnest({_unnested(table)}, %(digests)s::text[])
                WITH ORDINALITY AS k ({", ".join(table.key)}, said, n)
            LEFT JOIN {table.name} t ON {same}
            WHERE t.content_hash IS DISTINCT FROM decode(k.said, 'hex'){back}
        ) looked_up
    """
