"""A record class as a table: its columns, and the SQL that merges a staged batch into it."""

import csv
import datetime as dt
import io
from functools import cache
from hashlib import blake2b
from typing import Any, get_args

import orjson
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items import Record

_BOOKKEEPING = ("content_hash", "capture_sha256", "first_seen_at", "changed_at")


class Table:
    """One record class's table. Identifiers come from our own classes, never from data."""

    def __init__(self, record: type[Record]) -> None:
        self.name = record.table
        self.stage = "stage_" + record.table.replace(".", "_")
        self.key = record.key
        self.complete_by = record.complete_by
        self.fields = tuple(record.model_fields)
        self.json_at = tuple(i for i, info in enumerate(record.model_fields.values()) if {list, dict} & set(_origins(info.annotation)))
        self.key_at = tuple(self.fields.index(column) for column in self.key)
        columns = ", ".join(self.fields + _BOOKKEEPING)
        self.create_stage = f"CREATE TEMP TABLE IF NOT EXISTS {self.stage} (LIKE {self.name}) ON COMMIT DELETE ROWS"
        self.copy = f"COPY {self.stage} ({columns}) FROM STDIN (FORMAT csv)"
        self.log_changes = self._log_changes()
        self.merge = self._merge(columns)
        self.mark_removed = self._mark_removed()

    def cells(self, record: Record) -> list[Any]:
        """Return the record's own columns as COPY takes them."""
        cells = list(record.__dict__.values())
        for i in self.json_at:
            if cells[i] is not None:
                cells[i] = orjson.dumps(cells[i]).decode()
        return cells

    def row(self, record: Record, capture_sha256: bytes, at: dt.datetime) -> tuple[tuple[Any, ...], list[Any]]:
        """Return (key, cells) with our bookkeeping. The hash covers the source's fields only.

        Raises ValueError for text that cannot be UTF-8.
        """
        try:
            cells = self.cells(record)
            digest = blake2b(orjson.dumps(cells, default=str), digest_size=16).hexdigest()
        except TypeError as error:
            raise ValueError(f"{self.name}: {error}") from error
        key = tuple([cells[i] for i in self.key_at])
        cells += ("\\x" + digest, "\\x" + capture_sha256.hex(), at, at)
        return key, cells

    def _same(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{column} = {right}.{column}" for column in self.key)

    def _key_json(self, alias: str) -> str:
        pairs = ", ".join(f"'{column}', {alias}.{column}" for column in self.key)
        return f"jsonb_build_object({pairs})"

    def _log_changes(self) -> str:
        fields = [field for field in self.fields if field not in self.key]
        returned = " OR t.removed_at IS NOT NULL" if self.complete_by else ""
        old = "".join(f", t.{field}::text AS old_{field}" for field in fields)
        pairs = [f"('{field}', d.old_{field}, d.{field}::text)" for field in fields]
        if self.complete_by:
            old += ", t.removed_at::text AS old_removed_at"
            pairs.append("('removed_at', d.old_removed_at, NULL)")
        # FOR UPDATE: a second run that merges the same row waits here, and then sees it already changed.
        return f"""
            INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
            SELECT '{self.name}', {self._key_json("d")}, c.field, c.old, c.new, d.changed_at, %(run)s
            FROM (
                SELECT s.*{old} FROM {self.stage} s JOIN {self.name} t ON {self._same("s", "t")}
                WHERE t.content_hash <> s.content_hash{returned} FOR UPDATE OF t
            ) d
            CROSS JOIN LATERAL (VALUES {", ".join(pairs)}) AS c (field, old, new)
            WHERE c.old IS DISTINCT FROM c.new
        """

    def _merge(self, columns: str) -> str:
        updates = [column for column in self.fields if column not in self.key]
        updates += ["content_hash", "capture_sha256", "changed_at"]
        sets = ", ".join(f"{column} = excluded.{column}" for column in updates)
        sets += ", removed_at = NULL" if self.complete_by else ""
        unchanged = "AND t.removed_at IS NULL" if self.complete_by else ""
        # NOT EXISTS instead of a WHERE in DO UPDATE: an unchanged row is not even locked.
        return f"""
            INSERT INTO {self.name} ({columns})
            SELECT {columns} FROM {self.stage} s
            WHERE NOT EXISTS (
                SELECT FROM {self.name} t WHERE {self._same("s", "t")} AND t.content_hash = s.content_hash {unchanged})
            ON CONFLICT ({", ".join(self.key)}) DO UPDATE SET {sets}
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
            SELECT '{self.name}', {self._key_json("r")}, 'removed_at', NULL, r.removed_at::text, r.removed_at, %(run)s
            FROM removed r
        """


def _origins(annotation: Any) -> list[Any]:
    return [getattr(part, "__origin__", part) for part in get_args(annotation)]


@cache
def table_of(record: type[Record]) -> Table:
    """Return the table of a record class."""
    return Table(record)


def copy_rows(cursor: Cursor, statement: str, rows: Any) -> None:
    """COPY rows of cells; None is NULL, and so is empty text."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    buffer.seek(0)
    cursor.copy_expert(statement, buffer, size=1 << 18)
