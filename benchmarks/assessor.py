"""`make bench-assessor`: our crawl next to a bare Scrapy spider, our writer against a plain COPY, and memory
over length.

Ratios within one run; the server counts when a crawl began, the ledger when the last target was done.
"""

import contextlib
import datetime as dt
import hashlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from psycopg2.extensions import cursor as Cursor

from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session, migrate
from maricopa_scrapy.database.store_and_acknowledge import capture_lines
from maricopa_scrapy.database.tables import Table, copy_line, copy_lines, table_of
from maricopa_scrapy.database.writer import Writer, WriterOptions
from maricopa_scrapy.items import Answer, Capture, FollowOn, Outcome, Record, Target
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sources.assessor import parcel as pages
from maricopa_scrapy.sources.assessor.records import Improvement, Rental

CAPTURE_COLUMNS = [
    "sha256",
    "source",
    "url",
    "status",
    "content_type",
    "fetched_at",
    "size",
    "left_out",
    "is_rendered",
    "body",
]
RATE = 5000.0
PARCELS = 1_500 if QUICK else 6_000
ROUNDS = int(os.environ.get("ROUNDS", 1 if QUICK else 3))
WRITER_PARCELS = 1_500 if QUICK else 5_000
_NUMBERS = itertools.count(1)
MEMORY = (1_000, 3_000) if QUICK else (10_000, 200_000)


@contextlib.contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """A fresh database with the schema."""
    # A process looks once at the schema of a database: each has a name of its own.
    name = f"{name}_{next(_NUMBERS)}"
    url = server.replace("/maricopa?", f"/{name}?")
    connection = psycopg2.connect(server)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    cursor.execute(f"CREATE DATABASE {name}")
    migrate(url)
    try:
        yield url
    finally:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.close()


def run(command: list[str], environment: dict[str, str], log: Path) -> int:
    """Run a command to its end; returns its peak resident memory in bytes."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=file, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def bare(sandbox: SandboxProcess, apns: Path, log: Path) -> float:
    """Parcels a second of the bare spider, from its first request to its last."""
    sandbox.reset()
    run([sys.executable, "-m", "benchmarks.bare", f"{sandbox.url}/assessor", str(apns), str(RATE)], {}, log)
    stats = sandbox.stats()["assessor"]
    return float(stats["requests"] / (stats["last_request"] - stats["first_request"]))


def ours(server: str, sandbox: SandboxProcess, apns: Path, log: Path) -> tuple[float, int]:
    """Parcels a second of our crawl, from its first request to its last acknowledged target; and its peak
    memory.
    """
    sandbox.reset()
    with database(server, "bench_crawl") as url:
        environment = {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
        command = [
            "-m",
            "scrapy",
            "crawl",
            "assessor",
            "-a",
            f"apns={apns}",
            "-s",
            f"MARICOPA_RATE_LIMIT={RATE}",
        ]
        memory = run([sys.executable, *command], environment, log)
        session = Session(url)
        ((done, finished),) = session.rows(
            "SELECT count(*), (SELECT extract(epoch FROM finished_at) FROM crawl.run) FROM assessor.parcel"
        )
        session.close()
    return done / (float(finished) - sandbox.stats()["assessor"]["first_request"]), memory


def throughput(bench: Bench, server: str, folder: Path) -> None:
    apns = folder / "apns.txt"
    apns.write_text("\n".join(County().apns(PARCELS)) + "\n")
    peers, figures = [], []
    with SandboxProcess(compress=False) as sandbox:
        for _ in range(ROUNDS):
            peers.append(bare(sandbox, apns, folder / "bare.log"))
            figures.append(ours(server, sandbox, apns, folder / "ours.log")[0])
    peer, figure = statistics.median(peers), statistics.median(figures)
    bench.add(
        Row(
            "stored parcels/s, against a bare Scrapy spider",
            f"{figure:.0f}/s",
            f"{peer:.0f}/s",
            figure / peer,
            0.60,
        )
    )
    bench.add(Row("the aim of that", f"{figure:.0f}/s", f"{peer:.0f}/s", figure / peer))


def memory(bench: Bench, server: str, folder: Path) -> None:
    peaks = []
    for count in MEMORY:
        apns = folder / f"apns-{count}.txt"
        with apns.open("w") as file:
            file.writelines(f"{apn}\n" for apn in County().apns(count))
        with SandboxProcess(compress=False) as sandbox:
            peaks.append(ours(server, sandbox, apns, folder / "memory.log")[1])
    short, long = peaks
    label = f"peak memory, {MEMORY[1]:,} targets against {MEMORY[0]:,}"
    bench.add(
        Row(label, f"{long / 2**20:.0f} MB", f"{short / 2**20:.0f} MB", long / short, 1.20, at_most=True)
    )
    bench.add(Row("peak memory, MB", f"{long / 2**20:.0f} MB", "300 MB", long / 2**20, 300, at_most=True))


def answers(count: int, epoch: int = 0) -> list[Answer]:
    """Whole parcels, parsed and captured as the spider does, ready for the writer."""
    import orjson

    county = County(epoch=epoch)
    ready = []
    for number, apn in enumerate(county.apns(count), start=1):
        body = orjson.dumps(county.parcel(apn))
        page = pages.parse_parcel(body, apn, {})
        kept = pages.redact(body)
        at = dt.datetime.now(dt.UTC)
        capture = Capture(
            hashlib.sha256(kept).digest(),
            "assessor",
            f"http://x/parcel/{apn}",
            200,
            "application/json",
            at,
            kept,
        )
        complete: list[tuple[type[Record], str]] = [(Improvement, apn), (Rental, apn)]
        target = Target(number, "assessor", "parcel", apn)
        ready.append(Answer(target, Outcome.DONE, page.records, capture, complete))
    return ready


def plain_load(url: str, ready: list[Answer], batch_size: int) -> tuple[int, float]:
    """COPY + INSERT ... ON CONFLICT of the same rows, no hash, change or ledger work; (rows, seconds)."""
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    rows = 0
    begun = time.monotonic()
    for start in range(0, len(ready), batch_size):
        lines: dict[Table, list[str]] = {}
        captures = []
        for answer in ready[start : start + batch_size]:
            assert answer.capture is not None
            captures.append(answer.capture)
            end = f"\\\\x00\t\\\\x{answer.capture.sha256.hex()}" + 2 * f"\t{answer.capture.fetched_at}"
            for record in answer.records:
                table = table_of(type(record))
                lines.setdefault(table, []).append(f"{copy_line(table.cells(record))}\t{end}")
        for table, rows_of in lines.items():
            columns = [*table.fields, "content_hash", "capture_sha256", "first_seen_at", "changed_at"]
            plain_upsert(cursor, table.name, columns, table.key, rows_of)
            rows += len(rows_of)
        plain_upsert(cursor, "crawl.capture", CAPTURE_COLUMNS, ("sha256",), capture_lines(captures))
        rows += len(captures)
        connection.commit()
    seconds = time.monotonic() - begun
    connection.close()
    return rows, seconds


def plain_upsert(
    cursor: Cursor, name: str, columns: list[str], key: tuple[str, ...], lines: list[str]
) -> None:
    stage, names = "plain_" + name.replace(".", "_"), ", ".join(columns)
    sets = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE {name}) ON COMMIT DELETE ROWS")
    copy_lines(cursor, f"COPY {stage} ({names}) FROM STDIN (FORMAT text, NULL '')", lines)
    cursor.execute(
        f"INSERT INTO {name} ({names}) SELECT {names} FROM {stage} ON CONFLICT ({', '.join(key)}) DO UPDATE"
        f" SET {sets}"
    )


def our_load(url: str, ready: list[Answer]) -> tuple[int, float]:
    """The writer's load of a job of these answers: (rows, seconds)."""
    session = Session(url)
    targets = (FollowOn("assessor", "parcel", answer.target.key) for answer in ready)
    job, _ = ledger.open_job(session, "property_search", targets, {}, is_sandbox=True)
    opened = ledger.open_run(session, job, "bench", "assessor", is_sandbox=True)
    leased = ledger.lease(session, opened, len(ready)).targets
    mine = [
        Answer(target, a.outcome, a.records, a.capture, a.complete)
        for target, a in zip(leased, ready, strict=True)
    ]
    writer = Writer(url, opened, WriterOptions())
    begun = time.monotonic()
    writer.start()
    for answer in mine:
        writer.put(answer)
    writer.close()
    seconds = time.monotonic() - begun
    assert writer.failure is None, writer.failure
    ledger.close_run(session, opened, "finished", {})
    session.close()
    return writer.rows + len(ready), seconds


def versions(url: str) -> int:
    """Row versions ever written to the assessor's tables."""
    session = Session(url)
    time.sleep(1.5)  # the counters of a backend arrive within a second
    ((count,),) = session.rows(
        "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables WHERE schemaname = 'assessor'"
    )
    session.close()
    return int(count)


def writer(bench: Bench, server: str) -> None:
    ready = answers(WRITER_PARCELS)
    peers, figures, again = [], [], []
    for _ in range(3):
        with database(server, "bench_plain") as url:
            rows, seconds = plain_load(url, ready, WriterOptions().batch_size)
            peers.append(rows / seconds)
        with database(server, "bench_writer") as url:
            rows, seconds = our_load(url, ready)
            figures.append(rows / seconds)
            before = versions(url)
            rows, seconds = our_load(url, ready)
            again.append(rows / seconds)
            extra = versions(url) - before
    peer, figure, reload = statistics.median(peers), statistics.median(figures), statistics.median(again)
    bench.add(
        Row(
            "writer, rows/s, against COPY + ON CONFLICT",
            f"{figure:,.0f}/s",
            f"{peer:,.0f}/s",
            figure / peer,
            0.60,
        )
    )
    bench.add(
        Row(
            "unchanged re-load, rows/s, against the first",
            f"{reload:,.0f}/s",
            f"{figure:,.0f}/s",
            reload / figure,
            1.0,
        )
    )
    bench.add(Row("row versions that the re-load wrote", f"{extra}", "0", float(extra), 0, at_most=True))


def main() -> int:
    bench = Bench("assessor")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        only = set(sys.argv[1:])
        # The writer's answers come last: a child's peak memory begins with what its parent has.
        if not only or "throughput" in only:
            throughput(bench, server, folder)
        if not only or "memory" in only:
            memory(bench, server, folder)
        if not only or "writer" in only:
            writer(bench, server)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
