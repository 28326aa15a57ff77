"""A record class as a table: its rows as COPY takes them, and the SQL that merges a staged batch into it."""

import datetime as dt
import importlib
import io
import pkgutil
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import Any, get_args

import orjson
from psycopg2.extensions import cursor as Cursor

import maricopa_scrapy
from maricopa_scrapy.items import Record

_BOOKKEEPING = ("content_hash", "capture_sha256", "first_seen_at", "changed_at")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_KEY_TYPES: dict[Any, str] = {str: "text", int: "bigint", dt.date: "date", Decimal: "numeric"}
# COPY's text format with empty as NULL: half the time of CSV, whose writer looks at every character.
_FORMAT = "FROM STDIN (FORMAT text, NULL '')"


class Table:
    """One record class's table. Identifiers come from our own classes, never from data."""

    def __init__(self, record: type[Record]) -> None:
        self.record = record
        self.name = record.table
        self.schema = record.table.split(".")[0]
        self.stage = "stage_" + record.table.replace(".", "_")
        self.key = record.key
        self.complete_by = record.complete_by
        self.stays: bool = getattr(record, "stays", False)
        self.comes_and_goes = record.comes_and_goes
        self.fields = tuple(record.model_fields)
        self.json_at = tuple(
            i
            for i, info in enumerate(record.model_fields.values())
            if {list, dict} & set(_origins(info.annotation))
        )
        self.time_at = tuple(
            i for i, info in enumerate(record.model_fields.values()) if dt.datetime in _types(info.annotation)
        )
        self.key_at = tuple(self.fields.index(column) for column in self.key)
        self.key_types = tuple(_KEY_TYPES[record.model_fields[column].annotation] for column in self.key)
        self.told_at = tuple(self.fields.index(column) for column in record.told_by)
        self.hashed_at = tuple(i for i in range(len(self.fields)) if i not in self.told_at)
        # The hash comes before what it does not cover, so that a page's rows share the end of their lines.
        columns = ", ".join(
            (*(self.fields[i] for i in self.hashed_at), "content_hash", *record.told_by, *_BOOKKEEPING[1:])
        )
        self.create_stage = (
            f"CREATE TEMP TABLE IF NOT EXISTS {self.stage} (LIKE {self.name}) ON COMMIT DELETE ROWS"
        )
        self.copy = f"COPY {self.stage} ({columns}) {_FORMAT}"
        self.copy_new = f"COPY {self.name} ({columns}) {_FORMAT}"
        self.known = (
            f"SELECT {', '.join(self.key)}, encode(content_hash, 'hex') FROM {self.name} WHERE {self.key[0]}"
            " = ANY(%(keys)s)"
        )
        self.merge = self._merge(columns, record.told_by)
        self.mark_removed = self._mark_removed()
        self.mark_unseen = self._mark_unseen()

    def cells(self, record: Record) -> list[Any]:
        """Return the record's own columns, JSON as text, moments in UTC."""
        cells = list(record.__dict__.values())
        for i in self.json_at:
            if cells[i] is not None:
                cells[i] = _json(cells[i])
        # As Postgres says it again, whatever the zone was; a time of day without one stays as it is.
        for i in self.time_at:
            if cells[i] is not None and cells[i].tzinfo:
                cells[i] = cells[i].astimezone(dt.UTC)
        return cells

    def row(self, record: Record, origin: str) -> tuple[tuple[Any, ...], str, str]:
        """Return (key, hash, line of the COPY); `origin` is what `origin_of` says. The hash covers the
        source's fields only.

        Raises ValueError for text that cannot be UTF-8.
        """
        cells = self.cells(record)
        key = tuple([cells[i] for i in self.key_at])
        if self.told_at:
            origin = f"{copy_line([cells[i] for i in self.told_at])}\t{origin}"
            cells = [cells[i] for i in self.hashed_at]
        line = copy_line(cells)
        digest = digest_of(line)
        return key, digest, f"{line}\t\\\\x{digest}\t{origin}"

    def _same(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{column} = {right}.{column}" for column in self.key)

    def _key_json(self, alias: str) -> str:
        pairs = ", ".join(f"'{column}', {alias}.{column}" for column in self.key)
        return f"jsonb_build_object({pairs})"

    def _merge(self, columns: str, told_by: tuple[str, ...]) -> str:
        """New and changed rows, and a change row for each field that differs, from one look at the table.

        An unchanged row is not touched, not even locked. Two runs at once must take turns (see writer.py).
        Takes the values `run` and, for a table that says who told a row, `shared`: the fields that count by
        who told it before and after (sources/gis/columns_ever_told.py).
        """
        fields = [field for field in self.fields if field not in self.key]
        old = "".join(f", t.{field} AS old_{field}" for field in fields)
        pairs = [
            f"('{field}', i.old_{field}::text, i.{field}::text)" for field in fields if field not in told_by
        ]
        sets = [
            f"{column} = excluded.{column}"
            for column in (*fields, "content_hash", "capture_sha256", "changed_at")
        ]
        differs = "t.content_hash IS DISTINCT FROM s.content_hash"
        if self.complete_by:
            old += ", t.removed_at AS old_removed_at"
            pairs.append("('removed_at', i.old_removed_at::text, NULL)")
            sets.append("removed_at = NULL")
            differs += " OR t.removed_at IS NOT NULL"
        counts = "".join(
            f" AND coalesce(%(shared)s::jsonb -> i.old_{by} -> i.{by} ? c.field, true)" for by in told_by
        )
        return f"""
            WITH incoming AS MATERIALIZED (
                SELECT s.*, t.content_hash IS NOT NULL AS is_known{old}
                FROM {self.stage} s LEFT JOIN {self.name} t ON {self._same("s", "t")} WHERE {differs}
            ), logged AS (
                INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
                SELECT '{self.name}', {self._key_json("i")}, c.field, c.old, c.new, i.changed_at, %(run)s
                FROM incoming i CROSS JOIN LATERAL (VALUES {", ".join(pairs)}) AS c (field, old, new)
                WHERE i.is_known AND c.old IS DISTINCT FROM c.new{counts}
            )
            INSERT INTO {self.name} ({columns}) SELECT {columns} FROM incoming
            ON CONFLICT ({", ".join(self.key)}) DO UPDATE SET {", ".join(sets)}
        """

    def _mark_removed(self) -> str:
        if self.complete_by is None:
            return ""
        return f"""
            WITH removed AS (
                UPDATE {self.name} t SET removed_at = %(at)s
                WHERE t.{self.complete_by} = ANY(%(values)s) AND t.removed_at IS NULL
                  AND NOT EXISTS (SELECT FROM {self.stage} s WHERE {self._same("s", "t")})
                RETURNING t.*
            )
            INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
            SELECT '{self.name}', {self._key_json("r")}, 'removed_at', NULL, r.removed_at::text,
                r.removed_at, %(run)s
            FROM removed r
        """

    def _mark_unseen(self) -> str:
        """Note which rows of a whole are not in it, and which are again; returns the keys of the former."""
        if not self.stays:
            return ""
        is_staged = f"EXISTS (SELECT FROM {self.stage} s WHERE {self._same('s', 't')})"
        mine = f"t.{self.complete_by} = ANY(%(values)s) AND t.removed_at IS NULL"
        return f"""
            WITH seen AS (
                UPDATE {self.name} t SET unseen_since = NULL
                WHERE {mine} AND t.unseen_since IS NOT NULL AND {is_staged}
            )
            UPDATE {self.name} t SET unseen_since = coalesce(t.unseen_since, %(at)s)
            WHERE {mine} AND NOT {is_staged}
            RETURNING {", ".join(self.key)}
        """


def _origins(annotation: Any) -> list[Any]:
    return [getattr(part, "__origin__", part) for part in get_args(annotation)]


def _types(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *get_args(annotation))


def _json(value: Any) -> str:
    try:
        # Sorted: jsonb forgets the order of keys, and the hash must be the same when it is taken again of a
        # stored row.
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:
        raise ValueError(f"not JSON: {error}") from error


def origin_of(capture_sha256: bytes, at: dt.datetime) -> str:
    """Return the end of a line that all rows of one answer share: capture_sha256, first_seen_at,
    changed_at.
    """
    return f"\\\\x{capture_sha256.hex()}\t{at}\t{at}"


@cache
def table_of(record: type[Record]) -> Table:
    """Return the table of a record class."""
    return Table(record)


def _records() -> Iterator[type[Record]]:
    sources = importlib.import_module(f"{maricopa_scrapy.__name__}.sources")
    for office in sorted(part.name for part in pkgutil.iter_modules(sources.__path__) if part.ispkg):
        folder = importlib.import_module(f"{sources.__name__}.{office}")
        parts = [part.name for part in pkgutil.iter_modules(folder.__path__) if part.name.endswith("records")]
        for part in sorted(parts, key=lambda name: (name != "records", name)):
            module = importlib.import_module(f"{folder.__name__}.{part}")
            for value in vars(module).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, Record)
                    and value.__module__ == module.__name__
                ):
                    yield value


# Of every sources/<office>/*records.py: nobody has to name a new one here.
RECORDS: tuple[type[Record], ...] = tuple(_records())


def digest_of(line: str) -> str:
    """Return the hash of a row, of its line without bookkeeping. Raises ValueError for text that cannot be
    UTF-8.
    """
    return blake2b(line.encode(), digest_size=16).hexdigest()


def copy_line(cells: Iterable[Any]) -> str:
    """Return one line of COPY's text format; None is NULL, and so is empty text."""
    texts = ["" if cell is None else cell if type(cell) is str else str(cell) for cell in cells]
    line = "\t".join(texts)
    # Nearly no row has anything to escape; one look at the whole line tells.
    if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(texts):
        line = "\t".join([text.translate(_ESCAPES) for text in texts])
    return line


def copy_lines(cursor: Cursor, statement: str, lines: Iterable[str]) -> None:
    """COPY lines of `copy_line`. Raises ValueError for text that cannot be UTF-8."""
    text = "".join([line + "\n" for line in lines])
    cursor.copy_expert(statement, io.BytesIO(text.encode()), size=1 << 18)


def copy_into(table: str) -> str:
    """Return the COPY statement for lines of all columns of a table."""
    return f"COPY {table} {_FORMAT}"
