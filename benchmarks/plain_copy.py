"""What Postgres takes at the most: a plain COPY of the same rows into an empty table."""

import time
from collections.abc import Iterable
from pathlib import Path

import psycopg2

from benchmarks.assessor import database
from maricopa_scrapy.database.tables import Table, copy_line, copy_lines
from maricopa_scrapy.items import Rows


def plain_copy(server: str, table: Table, batches: Iterable[Rows]) -> float:
    """Rows a second of a plain COPY into an empty table, in one transaction: from values to lines to
    Postgres.

    Making the values is not timed.
    """
    columns = ", ".join((*table.fields, "content_hash", "capture_sha256", "first_seen_at", "changed_at"))
    rows, seconds = 0, 0.0
    with database(server, "bench_copy") as url:
        connection = psycopg2.connect(url)
        cursor = connection.cursor()
        for batch in batches:
            begun = time.monotonic()
            lines = [
                f"{copy_line(cells)}\t\\\\x00\t\\\\x00\tnow\tnow"
                for cells in zip(*batch.columns, strict=True)
            ]
            copy_lines(cursor, f"COPY {table.name} ({columns}) FROM STDIN (FORMAT text, NULL '')", lines)
            seconds += time.monotonic() - begun
            rows += len(batch)
        begun = time.monotonic()
        connection.commit()
        seconds += time.monotonic() - begun
        connection.close()
    return rows / seconds


def ready_copy(server: str, url: str, table: str, dump: Path) -> float:
    """Rows a second of one COPY of what COPY itself wrote to a file: nothing but Postgres works."""
    dumped(url, table, dump)
    with database(server, "bench_copy") as empty:
        connection = psycopg2.connect(empty)
        cursor = connection.cursor()
        begun = time.monotonic()
        with dump.open("rb") as file:
            cursor.copy_expert(f"COPY {table} FROM STDIN", file, size=1 << 18)
        rows = cursor.rowcount
        connection.commit()
        seconds = time.monotonic() - begun
        connection.close()
    dump.unlink()
    return rows / seconds


def dumped(url: str, table: str, dump: Path) -> None:
    connection = psycopg2.connect(url)
    with dump.open("wb") as file:
        connection.cursor().copy_expert(f"COPY {table} TO STDOUT", file)
    connection.close()
