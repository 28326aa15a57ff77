"""`make bench-affidavits`: the Sales Affidavits into Postgres, twice, against a plain COPY of the same rows.
Ratios within one run.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.assessor import database, run
from benchmarks.plain_copy import plain_copy
from benchmarks.roll import ask
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.tables import table_of
from maricopa_scrapy.items import Rows
from maricopa_scrapy.sandbox.bulk.affidavits import lines, write_zip
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_check import Member, batches
from maricopa_scrapy.sources.bulk.file_lines import parse_lines

LINES = int(os.environ.get("AFFIDAVITS", 120_000 if QUICK else 900_000))
DIRTY = 33 if QUICK else 247
_LAST_RUN = "SELECT extract(epoch FROM finished_at - started_at) FROM crawl.run ORDER BY id DESC LIMIT 1"
_VERSIONS = (
    "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'bulk' AND relname"
    " = 'sale'"
)
_COUNTED = "SELECT (SELECT count(*) FROM bulk.sale), (SELECT count(*) FROM bulk.reject)"


def _load(url: str, sandbox: SandboxProcess, path: Path) -> tuple[float, int]:
    """Load the file; returns the seconds of the run, from its first look at the file to its verdict, and its
    peak memory.
    """
    environment = {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
    command = [sys.executable, "-m", "scrapy", "crawl", "affidavits", "-a", f"affidavits={path}"]
    memory = run(command, environment, path.with_suffix(".log"))
    return float(ask(url, _LAST_RUN)[0]), memory


def _versions(url: str) -> int:
    time.sleep(1.5)  # the counters of a backend arrive within a second
    return int(ask(url, _VERSIONS)[0])


def _values(path: Path) -> Iterator[Rows]:
    with Member(path, "Data/Sales_Affidavits.txt").open() as file:
        for batch in batches(file, has_header=True):
            yield from parse_lines(
                [line.decode() for line in batch.lines], SALES_AFFIDAVITS, "", batch.first
            ).pages


def rows(server: str, folder: Path) -> Iterator[Row]:
    """Yield the table's rows about affidavits; `server` is an embedded one, `folder` a place for the file."""
    path = folder / "Sales_Affidavits.zip"
    write_zip(path, lines(County(), LINES, DIRTY))
    with database(server, "bench_affidavits") as url, SandboxProcess(gis_parcels=1) as sandbox:
        seconds, memory = _load(url, sandbox, path)
        sales, rejects = ask(url, _COUNTED)
        before = _versions(url)
        again, memory_again = _load(url, sandbox, path)
        written = _versions(url) - before
    peer = plain_copy(server, table_of(SALES_AFFIDAVITS.record), _values(path))
    path.unlink()
    figure, second = LINES / seconds, LINES / again
    peak = max(memory, memory_again) / 2**20
    yield Row(
        f"{LINES:,} affidavits, rows/s, against a plain COPY",
        f"{figure:,.0f}/s",
        f"{peer:,.0f}/s",
        figure / peer,
        0.50,
    )
    yield Row(
        "the same file again, against the first time",
        f"{second:,.0f}/s",
        f"{figure:,.0f}/s",
        second / figure,
        1.0,
    )
    yield Row("row versions that it wrote", f"{written:,}", "0", float(written), 0, at_most=True)
    yield Row(
        "loaded and set aside, less the file's lines",
        f"{sales:,} + {rejects:,}",
        f"{LINES:,}, {DIRTY} dirty",
        float(abs(sales + rejects - LINES) + abs(rejects - DIRTY)),
        0,
        at_most=True,
    )
    yield Row("peak memory of a load, MB", f"{peak:.0f} MB", "300 MB", peak, 300, at_most=True)


def main() -> int:
    bench = Bench("affidavits")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        for row in rows(server, folder):
            bench.add(row)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
