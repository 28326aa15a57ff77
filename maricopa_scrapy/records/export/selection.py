"""What is taken away: the views, whole or of a job's parcels and documents, all of one moment; as lines of
CSV or as rows.

A job's parcels are those that it asked for by number or found by a search, and of a roll or a bulk file those
of the table that it fills; its documents those that it asked for, and those tied to its parcels.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

import psycopg2
from psycopg2.extensions import QueryCanceledError
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

# A spreadsheet runs a cell that begins with one of these (＝＋－＠ are the wide forms);
# the apostrophe is what defuses.
RISKY = "=+-@\t\r\n＝＋－＠'"
# Postgres' type: ours. What is not here is text.
_KINDS = {
    "smallint": "integer", "integer": "integer", "bigint": "integer", "double precision": "float",
    "numeric": "decimal",
    "boolean": "boolean", "date": "date", "timestamp without time zone": "timestamp",
    "timestamp with time zone": "moment",
    "text[]": "list",
}  # fmt: skip
# Name of the table, its view, and what orders the rows of a parcel.
_VIEWS = (
    ("properties", "property", ()),
    ("valuations", "valuation", ("tax_year",)),
    ("taxes", "tax", ("tax_year",)),
    ("sales", "sale", ("sale_month", "deed_number", "basis", "occurrence")),
    ("documents", "document", ("recording_number", "apn", "basis", "reason")),
)
_COLUMNS = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_PARCELS = """
    SELECT t.key AS apn FROM crawl.target t WHERE t.job_id = %(job)s AND t.kind = 'parcel'
    UNION
    SELECT a.apn FROM crawl.target t
    CROSS JOIN LATERAL jsonb_array_elements_text(t.detail -> 'apns') AS a (apn)
    WHERE t.job_id = %(job)s AND t.source = 'gis' AND t.kind IN ('list', 'absent')
    UNION
    SELECT g.apn FROM crawl.target t JOIN gis.parcel g
      ON t.key = 'county' OR g.deed_date BETWEEN (t.detail ->> 'since')::date AND (t.detail ->> 'until')::date
    WHERE t.job_id = %(job)s AND t.source = 'gis' AND t.kind = 'layer'
    UNION
    SELECT b.apn FROM (
        SELECT apn, 'sales_affidavits' AS file FROM bulk.sale UNION ALL SELECT apn, 'secured_master'
        FROM bulk.secured_master
        UNION ALL SELECT apn, 'residential_master' FROM bulk.residential_master
    ) b WHERE b.file IN (SELECT t.detail ->> 'file' FROM crawl.target t
    WHERE t.job_id = %(job)s AND t.kind = 'file')
"""
_DOCUMENTS = """
    SELECT DISTINCT coalesce(detail ->> 'number', split_part(key, ' ', 1)) AS recording_number
    FROM crawl.target
    WHERE job_id = %(job)s AND source IN ('recorder', 'recorder_legacy')
      AND kind IN ('document', 'neighbour', 'page', 'scan')
"""
# Of a role or a server that only reads the tables are what they are made of.
_MAY_MAKE = """
    SELECT current_setting('transaction_read_only') = 'off'
      AND has_database_privilege(current_database(), 'TEMPORARY')
"""
_MAKE = "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {select}"
_INDEXES = """
    ALTER TABLE job_parcel ADD PRIMARY KEY (apn);
    ALTER TABLE job_document ADD PRIMARY KEY (recording_number);
    ANALYZE job_parcel, job_document
"""
# Behind OFFSET the planner looks each parcel up in the branches of the view, instead of reading all of it and
# joining.
_OF_PARCELS = """
    FROM {parcels} j CROSS JOIN LATERAL (SELECT * FROM public.{view} p WHERE p.apn = j.apn OFFSET 0) v
    ORDER BY {order}
"""
_OF_DOCUMENTS = """
    FROM public.document v WHERE v.recording_number IN (SELECT recording_number FROM {documents} d)
      OR v.apn IN (SELECT apn FROM {parcels} j) ORDER BY {order}
"""
# The outline where one is stored, else the row's own point, else the GIS's.
_POINT = """CASE WHEN {x} IS NOT NULL AND {y} IS NOT NULL
    THEN '{{"type":"Point","coordinates":[' || {x} || ',' || {y} || ']}}' END"""
_GEOMETRY = f"""coalesce(
    (SELECT o.geometry FROM gis.outline o WHERE o.apn = v.apn), {
    _POINT.format(x="v.longitude", y="v.latitude")
},
    (SELECT {_POINT.format(x="g.longitude", y="g.latitude")} FROM gis.parcel g WHERE g.apn = v.apn))"""
_SUMMARY = {
    "what": "text", "source": "text", "name": "text", "count": "bigint", "job": "bigint", "outcome": "text",
    "exported_at": "timestamp with time zone",
}  # fmt: skip
_SUMMARY_ROW = f"({', '.join(f'%s::{kind}' for kind in _SUMMARY.values())})"
_LEDGER = """
    SELECT 'targets', source, state, count(*) FROM crawl.target WHERE %(job)s IS NULL OR job_id = %(job)s
    GROUP BY source, state
    UNION ALL
    SELECT 'failures', source, coalesce(cause, 'unknown'), count(*) FROM crawl.target
    WHERE state = 'dead' AND (%(job)s IS NULL OR job_id = %(job)s) GROUP BY source, cause
    ORDER BY 1 DESC, 2, 3
"""
_JOB = "SELECT coalesce(verdict, state) FROM crawl.job WHERE id = %(job)s"
_CHUNK = 2_000
_BUFFER = 1 << 18


@dataclass(frozen=True, slots=True)
class Column:
    """`kind`: text, integer, float, decimal, boolean, date, timestamp (without a zone), moment (with one),
    list (of texts).
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an export: its columns in order, and where they are from (`v` is the view). `geometry`:
    GeoJSON's text, in SQL.
    """

    name: str
    columns: tuple[Column, ...]
    origin: str
    geometry: str = "NULL"


class Selection:
    """What is exported, read by one transaction of `connection`. Raises psycopg2's errors; not for use by two
    threads at once.
    """

    def __init__(self, connection: Connection, job_id: int | None = None) -> None:
        self._connection = connection
        self._job = {"job": job_id}
        self.outcome: str | None = None
        self._parcels, self._documents = "job_parcel", "job_document"
        with connection.cursor() as cursor:
            if job_id is not None:
                self._select_job(cursor)
                cursor.execute(_JOB, self._job)
                (self.outcome,) = cursor.fetchone() or (None,)
        self.tables = tuple(self._table(*view) for view in _VIEWS)

    def _select_job(self, cursor: Cursor) -> None:
        parcels, documents = (cursor.mogrify(select, self._job).decode() for select in (_PARCELS, _DOCUMENTS))
        cursor.execute(_MAY_MAKE)
        if cursor.fetchall() != [(True,)]:
            self._parcels, self._documents = f"({parcels})", f"({documents})"
            return
        for name, select in (("job_parcel", parcels), ("job_document", documents)):
            cursor.execute(_MAKE.format(name=name, select=select))
        cursor.execute(_INDEXES)

    def _table(self, name: str, view: str, order: tuple[str, ...]) -> Table:
        origin = f"FROM public.{view} v"
        if self._job["job"] is not None and view == "document":
            ordered = ", ".join(f"v.{column}" for column in order)
            origin = _OF_DOCUMENTS.format(documents=self._documents, parcels=self._parcels, order=ordered)
        elif self._job["job"] is not None:
            ordered = ", ".join(["j.apn", *(f"v.{column}" for column in order)])
            origin = _OF_PARCELS.format(view=view, parcels=self._parcels, order=ordered)
        return Table(
            name, self._columns(f"public.{view}"), origin, _GEOMETRY if view == "property" else "NULL"
        )

    def _columns(self, relation: str) -> tuple[Column, ...]:
        with self._connection.cursor() as cursor:
            cursor.execute(_COLUMNS, (relation,))
            return tuple(Column(name, _KINDS.get(kind, "text")) for name, kind in cursor.fetchall())

    def summary(self, counts: Mapping[str, int]) -> Table:
        """Return the table that says what was exported: rows of each table, targets by state, failures by
        cause.
        """
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            ((now,),) = cursor.fetchall()
            cursor.execute(_LEDGER, self._job)
            rows = [*(("table", None, name, count) for name, count in counts.items()), *cursor.fetchall()]
            values = ", ".join(
                cursor.mogrify(_SUMMARY_ROW, (*row, self._job["job"], self.outcome, now)).decode()
                for row in rows
            )
        columns = tuple(Column(name, _KINDS.get(kind, "text")) for name, kind in _SUMMARY.items())
        return Table("summary", columns, f"FROM (VALUES {values}) v ({', '.join(_SUMMARY)})")

    def rows(self, table: Table, geometry: bool = False) -> Iterator[list[tuple[Any, ...]]]:
        """Yield a table's rows, some thousand at a time, as Python's values; with `geometry` that is one
        more, the last.
        """
        names = [f"v.{column.name}" for column in table.columns] + [table.geometry] * geometry
        with self._connection.cursor(name="export") as cursor:
            cursor.execute(f"SELECT {', '.join(names)} {table.origin}")
            while chunk := cursor.fetchmany(_CHUNK):
                yield chunk

    def copy(self, table: Table, file: IO[bytes], defused: bool = False) -> int:
        """Write a table as CSV with a header: texts in quotes, NULL as nothing; returns the number of rows.
        Raises what the file raises.

        Moments are ISO 8601 with T and zone, lists JSON. `defused`: an apostrophe before texts that begin
        with one of RISKY.
        """
        with self._connection.cursor() as cursor:
            _copy_out(cursor, _copy(table, defused), file)
            return cursor.rowcount

    @contextmanager
    def stream(self, table: Table) -> Iterator[IO[bytes]]:
        """Return what `copy` writes as a file to read, while another thread writes it."""
        reading, writing = os.pipe()
        source, sink = os.fdopen(reading, "rb", _BUFFER), os.fdopen(writing, "wb", _BUFFER)
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with sink, self._connection.cursor() as cursor:
                    _copy_out(cursor, _copy(table), sink)
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                failed.append(error)

        thread = threading.Thread(target=work, name="copy", daemon=True)
        thread.start()
        try:
            # A writer that nobody reads any more must not wait: the file is closed before the thread is
            # waited for.
            with source:
                yield source
        except BaseException:
            with suppress(psycopg2.Error):
                self._connection.cancel()
            thread.join()
            # That a stream was cut short is not what went wrong.
            if failed and not isinstance(failed[0], BrokenPipeError | QueryCanceledError):
                raise failed[0] from None
            raise
        thread.join()
        if failed:
            raise failed[0]


def _copy_out(cursor: Cursor, statement: str, file: IO[bytes]) -> None:
    """Run a COPY. When the connection is lost psycopg2 prints the error that it raises, through the hook for
    what nobody caught.
    """
    before = sys.excepthook

    def quiet(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not (isinstance(error, SystemError) and isinstance(error.__cause__, psycopg2.Error)):
            before(kind, error, trace)

    sys.excepthook = quiet
    try:
        cursor.copy_expert(statement, file)
    finally:
        sys.excepthook = before


def _copy(table: Table, defused: bool = False) -> str:
    fields = ", ".join(f"{_expression(column, defused)} AS {column.name}" for column in table.columns)
    quoted = ", ".join(column.name for column in table.columns if column.kind in ("text", "list"))
    return (
        f"COPY (SELECT {fields} {table.origin}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8', FORCE_QUOTE"
        f" ({quoted}))"
    )


def _expression(column: Column, defused: bool) -> str:
    name = f"v.{column.name}"
    if column.kind in ("moment", "timestamp"):
        # The session's zone is UTC, so that a moment ends in +00.
        return f"replace({name}::text, ' ', 'T')" + (" || ':00'" if column.kind == "moment" else "")
    if column.kind == "list":
        return f"array_to_json({name})::text"
    if column.kind == "boolean":
        return f"{name}::text"
    if column.kind == "text" and defused:
        return (
            f"CASE WHEN ascii({name}) IN ({', '.join(str(ord(sign)) for sign in RISKY)}) THEN '''' || {name}"
            f" ELSE {name} END"
        )
    return name
