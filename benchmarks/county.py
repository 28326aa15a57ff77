"""`make bench-county`: every verb and every view at the size of the county, beside a plain query of the same
rows by psql, and beside a tenth of the size.

A roll of 1,760,000 parcels, a job of as many targets (half of them answered), 900,000 sales, three epochs of
changes and 60,000 documents (county_rows.py). No verb that only asks may take more than a minute,
none more than
500 MB, and none may grow faster than the rows it reads. SIZES=176000,17600 are other sizes, ONLY=verify,jobs
these verbs alone, KEEP=FOLDER is a place for the databases, which stay there to be used again.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile
from multiprocessing import get_context
from pathlib import Path

import psycopg2

from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import environment_of, migrate
from maricopa_scrapy.records.change_queries import QUERIES

LARGE, SMALL = (
    int(size) for size in os.environ.get("SIZES", "176000,17600" if QUICK else "1760000,176000").split(",")
)
ABSENT = 5_000 if LARGE > 1_000_000 else 500
# The last roll, and the job of all parcels (county_rows.py).
ROLL, TARGETS = 3, 4
# Seconds, MB, and times the seconds of a tenth of the size.
SECONDS, MEMORY, GROWTH = 60.0, 500.0, 12.0
ONLY = tuple(filter(None, os.environ.get("ONLY", "").split(",")))
INTERRUPTS = 3 if QUICK else 10
_SINCE = "2026-05-01"
_TABLES = (
    "gis.parcel",
    "assessor.parcel",
    "assessor.owner",
    "assessor.valuation",
    "assessor.residence",
    "bulk.sale",
)
_ALL = "; ".join(f"COPY {table} TO STDOUT" for table in _TABLES)
_COUNTS = "SELECT job_id, source, state, count(*), count(unread) FROM crawl.target GROUP BY 1, 2, 3"
_OF_JOB = _COUNTS.replace("GROUP", f"WHERE job_id = {TARGETS} GROUP")
_CHANGES = "COPY crawl.change TO STDOUT"
_VIEWS_TABLES = {
    "property": _TABLES[:5],
    "valuation": ("assessor.valuation",),
    "tax": ("treasurer.bill",),
    "sale": ("bulk.sale", "assessor.owner", "gis.parcel"),
    "document": ("recorder.document", "assessor.owner", "gis.parcel", "bulk.sale"),
    "change": ("crawl.change",),
    "withheld": ("assessor.owner", "gis.parcel"),
}


@dataclass(frozen=True, slots=True)
class Verb:
    """What is run, and the statement that reads the same rows. `is_asking`: it writes no files of all rows,
    and
    reads none again.
    """

    arguments: str
    plain: str
    is_asking: bool = True


def verbs(parcels: int, apns: Path, out: Path) -> list[Verb]:
    """Return every verb that a person has, with the files that it reads and writes."""
    parcel = "SELECT * FROM property WHERE apn = '10000001'"
    view_copies = "; ".join(
        f"COPY (SELECT * FROM {view}) TO STDOUT"
        for view in ("property", "valuation", "tax", "sale", "document")
    )
    bodies = "COPY (SELECT * FROM crawl.capture WHERE body IS NOT NULL) TO STDOUT"
    stored = "SELECT apn FROM assessor.parcel UNION SELECT apn FROM gis.parcel ORDER BY 1"
    return [
        Verb("--help", "SELECT 1"),
        Verb("jobs", _COUNTS),
        Verb("status", f"{_COUNTS}; " + "; ".join(f"SELECT count(*) FROM {table}" for table in _TABLES)),
        Verb(f"status {TARGETS}", _OF_JOB),
        Verb(f"status {TARGETS} --json", _OF_JOB),
        Verb(f"report {TARGETS}", _OF_JOB),
        Verb(f"report {TARGETS} --html {out}/report.html", _OF_JOB),
        Verb(f"report {ROLL} --html {out}/roll.html", _COUNTS),
        Verb("property 100-00-001", parcel),
        Verb(f"property {10_000_000 + parcels // 2 + 7}", parcel),
        Verb("diff --source gis", _CHANGES),
        Verb(f"changes --since {_SINCE} --to {out}/changes.csv", _CHANGES),
        *(
            Verb(f"changes --since {_SINCE} --query {query} --to {out}/{query}.csv", _CHANGES)
            for query in QUERIES
        ),
        Verb("issues", "SELECT * FROM crawl.issue"),
        Verb("captures", "SELECT source, count(*), count(body), sum(size) FROM crawl.capture GROUP BY 1"),
        Verb("prune --older-than 1d --dry-run", "SELECT count(*) FROM crawl.capture WHERE body IS NOT NULL"),
        Verb("prune --unreferenced --dry-run", "SELECT count(*) FROM crawl.capture WHERE body IS NOT NULL"),
        Verb("cleanup --older-than 1d --dry-run", _COUNTS),
        Verb("verify --quick", _COUNTS),
        Verb(f"verify {TARGETS}", _ALL),
        Verb("verify", _ALL),
        *(
            Verb(f"run {kind} --apns {apns} --dry-run", stored)
            for kind in ("property-search", "comprehensive", "tax", "sales", "validation")
        ),
        Verb("run data-enhancement --dry-run", stored),
        Verb("run data-enhancement --older-than 30d --dry-run", stored),
        Verb(f"run data-enhancement --apns {apns} --sections tax,sales --dry-run", stored),
        *(
            Verb(f"export --to {out}/{format_} --format {format_}", view_copies, is_asking=False)
            for format_ in ("csv", "parquet", "sqlite", "geojson", "xlsx")
        ),
        Verb(f"export --to {out}/job --job {TARGETS}", view_copies, is_asking=False),
        Verb("reparse --source recorder --dry-run --limit 0", bodies, is_asking=False),
        Verb(f"captures --warc {out}/all.warc.gz", bodies, is_asking=False),
    ]


@dataclass(frozen=True, slots=True)
class County:
    """A filled database, and the folder for what is read and written beside it."""

    url: str
    folder: Path

    def run(self, arguments: str) -> tuple[float, float]:
        """Run a verb; returns seconds and peak memory in MB. Raises SystemExit when it fails."""
        log = self.folder / "verb.log"
        begun = time.monotonic()
        with log.open("wb") as file:
            process = self.start(arguments, file.fileno())
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"maricopa {arguments} failed:\n{log.read_text()[-3000:]}")
        return time.monotonic() - begun, usage.ru_maxrss / 1024

    def start(self, arguments: str, out: int, **environment: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "maricopa_scrapy", *arguments.split()]
        own = {
            "MARICOPA_DATABASE_URL": self.url,
            "MARICOPA_SANDBOX": "http://127.0.0.1:1",
            "MARICOPA_DATA_DIR": str(self.folder / "home"),
        }
        return subprocess.Popen(command, env=os.environ | own | environment, stdout=out, stderr=out)

    def plain(self, statements: str) -> float:
        """Seconds of psql with the statements, its own start included."""
        command = [str(embedded.program("psql")), "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull]
        for statement in statements.split("; "):
            command += ["-c", statement]
        begun = time.monotonic()
        subprocess.run(
            command, env=os.environ | environment_of(self.url), stdout=subprocess.DEVNULL, check=True
        )
        return time.monotonic() - begun

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows


def _fill(url: str, parcels: int) -> None:
    from benchmarks.county_rows import Size, fill

    fill(url, Size(parcels))


@contextmanager
def county(server: str, size: int, folder: Path) -> Iterator[County]:
    """A filled database of that size; it stays where KEEP says so, and is used again."""
    name = f"county_{size}"
    url = server.replace("/maricopa?", f"/{name}?")
    connection = psycopg2.connect(server)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
    if not cursor.rowcount:
        cursor.execute(f"CREATE DATABASE {name}")
        migrate(url)
        begun = time.monotonic()
        # In a process of its own: no child's peak memory is below what this one has when it starts it.
        filling = get_context("spawn").Process(target=_fill, args=(url, size))
        filling.start()
        filling.join()
        if filling.exitcode:
            sys.exit("the database could not be filled in")
        print(f"  {size:,} parcels are filled in: {time.monotonic() - begun:.0f} s", flush=True)
    own = folder / name
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    try:
        yield County(url, own)
    finally:
        if "KEEP" not in os.environ:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.close()


def ask_all(bench: Bench, large: County, small: County) -> None:
    growths, memories = [], []
    for one, other in zip(
        *(verbs(size, _list(one, size), one.folder) for one, size in ((large, LARGE), (small, SMALL))),
        strict=True,
    ):
        if ONLY and not other.arguments.startswith(ONLY):
            continue
        less, _ = small.run(other.arguments)
        seconds, memory = large.run(one.arguments)
        plain = large.plain(one.plain)
        growth = seconds / less
        growths.append((growth, one.arguments))
        memories.append((memory, one.arguments))
        name = one.arguments.replace(f"{large.folder}/", "")
        bench.add(
            Row(
                name,
                f"{seconds:.1f} s, x{growth:.1f}, {memory:.0f} MB",
                f"{plain:.1f} s",
                seconds if one.is_asking else seconds / plain,
                SECONDS if one.is_asking else None,
                at_most=True,
            )
        )
    for view, tables in _VIEWS_TABLES.items():
        if ONLY and "view" not in ONLY:
            continue
        seconds, less = (one.plain(f"COPY (SELECT * FROM {view}) TO STDOUT") for one in (large, small))
        plain = large.plain("; ".join(f"COPY {table} TO STDOUT" for table in tables))
        growths.append((seconds / less, f"view {view}"))
        bench.add(
            Row(
                f"view {view}, all of it",
                f"{seconds:.1f} s, x{seconds / less:.1f}",
                f"{plain:.1f} s",
                seconds / plain,
            )
        )
        if view != "change":
            at = large.plain(f"SELECT * FROM {view} WHERE apn = '10000001'")
            bench.add(Row(f"view {view}, one parcel", f"{at:.2f} s", "", at, 1, at_most=True))
    for what, found, bar in (
        ("growth for ten times the size", growths, GROWTH),
        ("peak memory, MB", memories, MEMORY),
    ):
        most, whose = max(found, default=(0.0, "none"))
        bench.add(
            Row(
                f"most {what} of any verb",
                f"{most:.1f} ({whose.split(' --')[0]})",
                "",
                most,
                bar,
                at_most=True,
            )
        )


def _list(of: County, size: int) -> Path:
    file = of.folder / "all.txt"
    file.write_text("".join(f"{10_000_000 + i}\n" for i in range(1, size + 1)))
    return file


def interrupted(bench: Bench, large: County) -> None:
    """Ctrl-C at random moments of a look at everything."""
    whole, _ = large.run("verify")
    most = 0.0
    choose = random.Random(1)
    for _ in range(INTERRUPTS):
        process = large.start("verify", subprocess.DEVNULL)
        time.sleep(1 + choose.random() * max(0.1, whole - 1.5))
        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait()
        most = max(most, time.monotonic() - at)
    bench.add(
        Row(
            f"Ctrl-C at {INTERRUPTS} moments of verify, until it has ended",
            f"{most:.2f} s",
            "",
            most,
            2,
            at_most=True,
        )
    )


def validated(bench: Bench, large: County) -> None:
    """A validation of all parcels whose lists are answered: from there to its end,
    with the API's own requests
    for the absent ones; looked at all the time from another terminal.
    """
    from maricopa_scrapy.sandbox.process import SandboxProcess

    lists = -(-LARGE // 500)
    job = large.execute(
        f"""
        WITH job AS (
            INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters, state, requested_state,
                                   enumerated, started_at)
            VALUES ('validation', 'api_only', true, 'normal',
                    '{{"rest": ["assessor"], "settings": {{"MARICOPA_RATE_LIMIT": "1000"}}}}', 'paused',
                    'pause', {lists} + 1, now()) RETURNING id
        ), planned AS (
            INSERT INTO crawl.planned_run (job_id, number, spider, source, phase, feeds, place, state)
            SELECT id, n, spider, source, n - 1, '{{}}', 'local',
            CASE n WHEN 1 THEN 'ended' ELSE 'planned' END
            FROM job, (VALUES (1, 'roll', 'gis'), (2, 'assessor', 'assessor')) AS p (n, spider, source)
        ), asked AS (
            INSERT INTO crawl.target (job_id, source, kind, key, detail, state, rows, capture_sha256, done_at)
            SELECT id, 'gis', 'layer', 'list', jsonb_build_object('apns',
                   (SELECT jsonb_agg(to_char(10000000 + i, 'FM00000000') ORDER BY i)
                    FROM generate_series(1, {LARGE} + {ABSENT}) i)), 'done', 1, sha256('layer'), now()
                    FROM job
            UNION ALL
            SELECT id, 'gis', 'list', 'list ' || n, jsonb_build_object('list', 500, 'apns',
                   (SELECT jsonb_agg(to_char(10000000 + i, 'FM00000000'))
                    FROM generate_series(n * 500 + 1, n * 500 + 500) i)), 'done', 500, sha256('layer'), now()
            FROM job, generate_series(0, {lists} - 1) n
        ) SELECT id FROM job
        """
    )[0][0]
    with SandboxProcess() as sandbox, (large.folder / "resume.log").open("wb") as log:
        begun = time.monotonic()
        environment = {"MARICOPA_SANDBOX": sandbox.url}
        process = large.start(f"resume {job}", log.fileno(), **environment)
        words = []
        while process.poll() is None:
            look = large.folder / "look.json"
            with look.open("wb") as file:
                large.start(f"status {job} --json", file.fileno()).wait()
            words.append(look.read_text().partition('"status": "')[2].partition('"')[0])
            time.sleep(0.5)
        seconds = time.monotonic() - begun
    rows = large.execute(
        "SELECT min(done_at), max(done_at), count(*) FROM crawl.target"
        f" WHERE job_id = {job} AND source = 'assessor'"
    )
    first, last, count = rows[0]
    assert count == ABSENT, count
    own = (last - first).total_seconds()  # type: ignore[operator]
    # Paused until the manager is up.
    seen = list(dropwhile("paused".__eq__, words))
    wrong = [word for word in seen if word not in ("running", "waiting", "completed")]
    bench.add(
        Row(
            f"validation of {LARGE:,} APNs beside its requests' own time",
            f"{seconds:.1f} s",
            f"{own:.1f} s",
            seconds - own,
            SECONDS,
            at_most=True,
        )
    )
    bench.add(
        Row(
            f"of {len(words)} looks at it from another terminal, wrong",
            ", ".join(wrong) or "none",
            "",
            len(wrong),
            0,
            at_most=True,
        )
    )


def main() -> int:
    bench = Bench("county")
    # A shell's job in the background ignores Ctrl-C, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.environ.get("KEEP", name))
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        with county(server, SMALL, folder) as small, county(server, LARGE, folder) as large:
            ask_all(bench, large, small)
            if not ONLY or "interrupt" in ONLY:
                interrupted(bench, large)
            if not ONLY or "validation" in ONLY:
                validated(bench, large)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
