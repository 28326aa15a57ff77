"""One export: a folder of its own that gets its name when all is in it, and flushed to the disk."""

import datetime as dt
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.machine.output_file import refuse_link
from maricopa_scrapy.records.export.selection import Selection
from maricopa_scrapy.records.export.writers import ExportError, Writer

T = TypeVar("T")

# After Ctrl-C the statement under way is waited for so long.
_END_S = 5.0
FORMATS = ("csv", "xlsx", "parquet", "geojson", "sqlite")


@dataclass(frozen=True, slots=True)
class Exported:
    """Where it is, rows by table, and how the job stood (None: everything was exported)."""

    folder: Path
    counts: dict[str, int]
    outcome: str | None


def export(session: Session, to: Path, format_: str, job_id: int | None, now: dt.datetime) -> Exported:
    """Write what is stored, of one moment, into a new folder below `to`, which is made where it is not there.

    Until all is in it the folder's name ends in .part; when something goes wrong it is removed. Raises
    OSError, ExportError, DatabaseUnavailable.
    """
    what = "everything" if job_id is None else f"job-{job_id}"
    final = to / f"maricopa-{what}-{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}"
    refuse_link(to)
    to.mkdir(parents=True, exist_ok=True)
    part = final.with_name(final.name + ".part")
    if final.exists():
        raise ExportError(f"{final} is there already; nothing is overwritten, try again in a second")
    try:
        part.mkdir()
    except FileExistsError:
        raise ExportError(
            f"{part} is there already: another export is at it, or was killed; try again in a second, or"
            " remove it"
        ) from None
    try:
        counts, outcome = _interruptibly(
            lambda opened: _write(session, _writer(format_), part, job_id, opened)
        )
        for file in part.iterdir():
            _flush(file)
        part.rename(final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Exported(final, counts, outcome)


def _write(
    session: Session,
    make: Callable[[Path], Writer],
    part: Path,
    job_id: int | None,
    opened: Callable[[Connection], None],
) -> tuple[dict[str, int], str | None]:
    with session.snapshot() as connection:
        opened(connection)
        selection = Selection(connection, job_id)
        writer = make(part)
        counts = {}
        for table in selection.tables:
            progress_line.doing(f"writing {table.name}")
            counts[table.name] = writer.write(selection, table)
        writer.write(selection, selection.summary(counts))
        writer.close()
    return counts, selection.outcome


def _interruptibly(work: Callable[[Callable[[Connection], None]], T]) -> T:
    """Run `work` in a thread: while Postgres or a library of C is at it, Python hears no Ctrl-C. `work` says
    which connection it uses.
    """
    connections: list[Connection] = []
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work(connections.append))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            result.set_exception(error)

    threading.Thread(target=run, name="export", daemon=True).start()
    try:
        return result.result()
    except KeyboardInterrupt:
        deadline = time.monotonic() + _END_S
        while not result.done() and time.monotonic() < deadline:
            for connection in connections:
                with suppress(psycopg2.Error):
                    connection.cancel()
            wait([result], 0.2)
        raise


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _writer(format_: str) -> Callable[[Path], Writer]:
    # Each brings a library of its own, which the others do without.
    if format_ == "parquet":
        from maricopa_scrapy.records.export.parquet import ParquetWriter

        return ParquetWriter
    if format_ == "xlsx":
        from maricopa_scrapy.records.export.excel import ExcelWriter

        return ExcelWriter
    if format_ == "geojson":
        from maricopa_scrapy.records.export.geojson import GeoJsonWriter

        return GeoJsonWriter
    if format_ == "sqlite":
        from maricopa_scrapy.records.export.sqlite import SqliteWriter

        return SqliteWriter
    from maricopa_scrapy.records.export.text import CsvWriter

    return CsvWriter
