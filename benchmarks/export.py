"""`make bench-export`: 1,760,000 properties to Parquet and CSV, against a plain COPY of the same views to
CSV; and peak memory.

Ratios within one run; the rows are made by Postgres, and read once before anything is measured.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2

from benchmarks.assessor import database, run
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import connect

PARCELS = int(os.environ.get("PARCELS", 300_000 if QUICK else 1_760_000))
ROUNDS = int(os.environ.get("ROUNDS", 1 if QUICK else 3))
# The other formats, which keep a row or some thousand in memory at a time, are tried with fewer.
FEWER = PARCELS // 20 if QUICK else PARCELS // 10
JOB = 500 if QUICK else 10_000
_FILL = """
    INSERT INTO gis.parcel (
        apn, layer, owner_name, mail_address_1, mail_city, mail_state, mail_zip, property_address,
        property_city, property_zip,
        property_use_code, property_use, legal_class_code, lot_size_sqft, construction_year, livable_sqft,
        tax_year, full_cash_value,
        limited_property_value, deed_number, deed_date, sale_date, sale_price, subdivision_name, lot, mcr,
        section_township_range,
        jurisdiction, longitude, latitude, content_hash, capture_sha256, first_seen_at, changed_at
    )
    SELECT to_char(10000000 + i, 'FM00000000'), 'E', 'OWNER ' || md5(i::text), i || ' E MAIN ST', 'PHOENIX',
        'AZ', '850' || i %% 100,
           i || ' W WASHINGTON ST', 'PHOENIX', '850' || i %% 100, to_char(i %% 9999, 'FM0000'),
           'SINGLE FAMILY RESIDENCE', '3.1',
           5000 + i %% 5000, 1950 + i %% 75, 1000 + i %% 3000, 2026, 200000 + i, 150000 + i,
           to_char(20200000000 + i, 'FM00000000000'),
           date '2000-01-01' + i %% 9000, date '2000-01-01' + i %% 9000, 100000 + i, 'SUBDIVISION ' || i /
           100, (i %% 100)::text,
           to_char(i %% 99999, 'FM00000'), '12 2N 3E', 'PHOENIX', -112.5 + i * 1e-7, 33.2 + i * 1e-7,
           '\\x00', '\\x00',
           now() - i * interval '1 s', now() - i * interval '0.1 s'
    FROM generate_series(1, %(count)s) i
"""
# A complete roll, as there is one in any database with that many parcels; and a job with some of them.
_LEDGER = """
    INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters)
    SELECT 'roll', 'api_only', true, 'normal', '{}' FROM generate_series(1, 2);
    INSERT INTO gis.roll (job_id, walk, layer, first_id, last_id, row_count, page, detail, state, finished_at)
    VALUES (1, 1, 'E', 1, 1, 1, 2000, '{}', 'complete', now());
    INSERT INTO crawl.target (job_id, source, kind, key) VALUES (1, 'gis', 'layer', 'county');
    INSERT INTO crawl.target (job_id, source, kind, key)
    SELECT 2, 'assessor', 'parcel', apn
    FROM (SELECT apn FROM gis.parcel ORDER BY md5(apn) LIMIT %(job)s) picked
"""
# In a process of its own: a child's peak memory is never below what this one has when it starts it.
_COUNT = "import sys, pyarrow.parquet; print(pyarrow.parquet.read_metadata(sys.argv[1]).num_rows)"


def execute(url: str, *statements: str, **values: int) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    for statement in statements:
        connection.cursor().execute(statement, values or None)
    connection.close()


def plain_copy(url: str, path: Path) -> float:
    """Seconds of a plain COPY of the same views, one after the other, to a file."""
    connection = connect(url)
    begun = time.monotonic()
    with path.open("wb") as file:
        for view in ("property", "valuation", "tax", "sale", "document"):
            connection.cursor().copy_expert(
                f"COPY (SELECT * FROM {view}) TO STDOUT (FORMAT csv, HEADER)", file
            )
    seconds = time.monotonic() - begun
    connection.close()
    path.unlink()
    return seconds


def exported(url: str, folder: Path, *arguments: str) -> tuple[float, int]:
    """Run `maricopa export`, its begin and end included; returns seconds and peak memory in bytes. The files
    go away.
    """
    begun = time.monotonic()
    command = [sys.executable, "-m", "maricopa_scrapy", "export", "--to", str(folder / "out"), *arguments]
    memory = run(command, {"MARICOPA_DATABASE_URL": url}, folder / "export.log")
    seconds = time.monotonic() - begun
    for path in (folder / "out").glob("*/properties.parquet"):
        rows = int(subprocess.check_output([sys.executable, "-c", _COUNT, str(path)]))
        if rows != PARCELS:
            sys.exit(f"{rows:,} rows in Parquet, {PARCELS:,} are stored")
    shutil.rmtree(folder / "out")
    return seconds, memory


def measured(rounds: int, *each: Callable[[], tuple[float, int]]) -> list[tuple[float, float]]:
    """Run each in turn, some rounds; returns of each the median of the seconds, and the peak of the memory in
    MB.
    """
    found: list[list[tuple[float, int]]] = [[] for _ in each]
    for _ in range(rounds):
        for at, what in enumerate(each):
            found[at].append(what())
    return [(statistics.median(s for s, _ in one), max(memory for _, memory in one) / 2**20) for one in found]


def whole(bench: Bench, url: str, folder: Path) -> None:
    execute(url, _FILL, count=PARCELS)
    execute(url, _LEDGER, job=JOB)
    execute(url, "VACUUM ANALYZE")
    plain_copy(url, folder / "warm.csv")
    (plain, _), (parquet, parquet_mb), (csv, csv_mb), (job, job_mb) = measured(
        ROUNDS,
        lambda: (plain_copy(url, folder / "plain.csv"), 0),
        lambda: exported(url, folder, "--format", "parquet"),
        lambda: exported(url, folder),
        lambda: exported(url, folder, "--job", "2"),
    )
    roll, roll_mb = exported(url, folder, "--job", "1")
    count = f"{PARCELS:,} properties, and sales,"
    bench.add(
        Row(
            f"{count} to Parquet, against a plain COPY",
            f"{parquet:.1f} s",
            f"{plain:.1f} s",
            parquet / plain,
            4,
            at_most=True,
        )
    )
    bench.add(Row("peak memory of that, MB", f"{parquet_mb:.0f} MB", "500 MB", parquet_mb, 500, at_most=True))
    bench.add(Row(f"{count} to CSV, against a plain COPY", f"{csv:.1f} s", f"{plain:.1f} s", csv / plain))
    bench.add(Row("peak memory of that, MB", f"{csv_mb:.0f} MB", "500 MB", csv_mb, 500, at_most=True))
    bench.add(Row(f"a job of {JOB:,} of them to CSV", f"{job:.1f} s, {job_mb:.0f} MB"))
    bench.add(Row("the roll of all of them, as a job, to CSV", f"{roll:.1f} s, {roll_mb / 2**20:.0f} MB"))


def fewer(bench: Bench, url: str, folder: Path) -> None:
    execute(url, _FILL, "VACUUM ANALYZE", count=FEWER)
    for format_ in ("xlsx", "geojson", "sqlite"):
        seconds, memory = exported(url, folder, "--format", format_)
        bench.add(
            Row(
                f"{FEWER:,} properties to {format_}; peak memory, MB",
                f"{seconds:.1f} s, {memory / 2**20:.0f} MB",
                "500 MB",
                memory / 2**20,
                500,
                at_most=True,
            )
        )


def main() -> int:
    bench = Bench("export")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        for part, database_name in ((whole, "bench_export"), (fewer, "bench_fewer")):
            with database(server, database_name) as url:
                part(bench, url, folder)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
