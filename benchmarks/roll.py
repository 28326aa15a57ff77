"""`make bench-roll`: a whole county from the sandbox's layer into Postgres, against a plain COPY of its rows,
pyesridump and ogr2ogr.

Ratios within one run. The sandbox writes its features before any measurement, and its own ceiling is in the
table.
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import compress, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.assessor import database, run
from benchmarks.plain_copy import plain_copy, ready_copy
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy import configuration
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.tables import table_of
from maricopa_scrapy.items import Rows
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sources.bulk.file_lines import FILES, parse_lines
from maricopa_scrapy.sources.gis import layer as pages
from maricopa_scrapy.sources.gis.records import GisParcel
from tests.helpers.bulk import residential_line, secured_line
from tests.helpers.rolls import as_text

PARCELS = int(os.environ.get("PARCELS", 150_000 if QUICK else 1_760_000))
PEER_PARCELS = 60_000 if QUICK else 400_000
# For pyesridump's command, which rests ten seconds after every five requests.
RESTING_PARCELS = 11_000 if QUICK else 50_000
FAULTY_PARCELS = 20_000 if QUICK else 100_000
BULK_LINES = 150_000 if QUICK else 500_000
# The walk at a pinned rate: as many pages as it says, at 1/s (QUICK: fewer).
PACED_PAGES = 8 if QUICK else 60
LISTED = 10_000
UNLIMITED = 5_000.0
_PAGE = 2000
_LAST_ROLL = (
    "SELECT (SELECT extract(epoch FROM max(finished_at)) FROM crawl.run), received FROM gis.roll ORDER BY"
    " job_id DESC LIMIT 1"
)
_COUNTED = (
    "SELECT received, (SELECT count(*) FROM gis.parcel WHERE removed_at IS NULL) FROM gis.roll WHERE state ="
    " 'complete'"
)
_RANGES_DONE = "SELECT count(*) FROM crawl.target WHERE kind = 'range' AND state = 'done'"


def _ask(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=600)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def page_path(fields: str, first: int) -> str:
    where = f"OBJECTID>={first} AND OBJECTID<={first + _PAGE - 1}"
    query = {
        "where": where,
        "f": "json",
        "outFields": fields,
        "returnGeometry": "false",
        "orderByFields": "OBJECTID",
    }
    return f"/gis/E/query?{urlencode(query)}"


def shape() -> pages.Shape:
    layer = configuration.load()[1]["gis"].layers["E"]
    return pages.Shape("E", layer.days, layer.columns, layer.optional, layer.ignored)


def lacking(sandbox: SandboxProcess) -> list[str]:
    """Optional fields that the sandbox's layer E does not have."""
    return pages.parse_layer(_ask(sandbox.url, "/gis/E?f=json"), shape()).lacking


def our_fields(sandbox: SandboxProcess) -> str:
    """The fields that our spider asks for."""
    return ",".join(["OBJECTID", *(name for name, _ in shape().without(lacking(sandbox)).values())])


def pages_of(sandbox: SandboxProcess, fields: str, last: int) -> Iterator[bytes]:
    """Fetch the whole layer over one connection."""
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=600)
    for first in range(1, last + 1, _PAGE):
        connection.request("GET", page_path(fields, first))
        yield connection.getresponse().read()
    connection.close()


def warm(sandbox: SandboxProcess, fields: str, last: int) -> None:
    for _ in pages_of(sandbox, fields, last):
        pass


def ceiling(sandbox: SandboxProcess, fields: str, last: int, rows: int) -> float:
    """Rows a second that the sandbox gives to a client that throws them away."""
    begun = time.monotonic()
    warm(sandbox, fields, last)
    return rows / (time.monotonic() - begun)


def crawl(url: str, sandbox: SandboxProcess, folder: Path, *arguments: str, rate: float = UNLIMITED) -> int:
    """Run the roll spider; returns its peak memory in bytes."""
    environment = {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
    command = [
        sys.executable,
        "-m",
        "scrapy",
        "crawl",
        "roll",
        *arguments,
        "-s",
        f"MARICOPA_RATE_LIMIT={rate}",
    ]
    return run(command, environment, folder / "crawl.log")


def roll(url: str, sandbox: SandboxProcess, folder: Path, *arguments: str) -> tuple[float, int]:
    """Rows a second from the first request to the end of the run, the completion included; and the peak
    memory.
    """
    sandbox.reset()
    memory = crawl(url, sandbox, folder, "-a", "captures=failures", *arguments)
    finished, rows = ask(
        url,
        "SELECT (SELECT extract(epoch FROM max(finished_at)) FROM crawl.run), received FROM gis.roll ORDER BY"
        " job_id DESC LIMIT 1",
    )
    return rows / (float(finished) - sandbox.stats()["gis"]["first_request"]), memory


def ask(url: str, statement: str) -> tuple[Any, ...]:
    session = Session(url)
    try:
        return session.rows(statement)[0]
    finally:
        session.close()


def ask_all(url: str, statement: str) -> list[tuple[Any, ...]]:
    session = Session(url)
    try:
        return session.rows(statement)
    finally:
        session.close()


def _rates(figure: float, peer: float) -> tuple[str, str, float]:
    return f"{figure:,.0f}/s", f"{peer:,.0f}/s", figure / peer


def _distinct(batches: Iterable[Rows]) -> Iterator[Rows]:
    """Leave out the further rows of stacked parcels, which a plain COPY into a table with a key would trip
    over.
    """
    seen: set[str] = set()
    for batch in batches:
        wanted = [apn not in seen for apn in batch.columns[0]]
        seen.update(batch.columns[0])
        yield (
            batch
            if all(wanted)
            else Rows(batch.record, [list(compress(column, wanted)) for column in batch.columns])
        )


def versions(url: str) -> int:
    time.sleep(1.5)  # the counters of a backend arrive within a second
    return int(
        ask(
            url,
            "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'gis' AND relname ="
            " 'parcel'",
        )[0]
    )


def whole_county(bench: Bench, server: str, folder: Path) -> None:
    layer = ParcelLayer(County(), PARCELS)
    last, distinct = layer.ids[-1], PARCELS - layer.stacked
    with database(server, "bench_roll") as url:
        with SandboxProcess(compress=False, gis_parcels=PARCELS) as sandbox:
            fields, without = our_fields(sandbox), lacking(sandbox)
            warm(sandbox, fields, last)
            most = ceiling(sandbox, fields, last, PARCELS)
            whole, memory = roll(url, sandbox, folder)
            figure = whole
            values = (
                pages.parse_features(body, shape(), "OBJECTID", without).pages[0]
                for body in pages_of(sandbox, fields, last)
            )
            peer = plain_copy(server, table_of(GisParcel), _distinct(values))
        counted = f"a roll of {PARCELS:,} rows"
        if QUICK:
            # Begin and end of a run take about a second whatever its length, and a plain COPY has neither.
            alone = one_page(server, folder)
            figure = (PARCELS - _PAGE) / (PARCELS / whole - alone)
            counted += f", beyond the {alone:.1f} s that one of {_PAGE:,} takes"
        received, parcels = ask(url, "SELECT received, (SELECT count(*) FROM gis.parcel) FROM gis.roll")
        ready = ready_copy(server, url, "gis.parcel", folder / "parcel.copy")
        bench.add(
            Row("the sandbox's own ceiling, rows/s", f"{most:,.0f}/s", f"{figure:,.0f}/s", most / figure)
        )
        bench.add(Row(f"{counted}: rows/s, against a plain COPY", *_rates(figure, peer), 0.50))
        bench.add(
            Row(
                "the same, against a COPY of ready-made lines",
                f"{figure:,.0f}/s",
                f"{ready:,.0f}/s",
                figure / ready,
            )
        )
        bench.add(Row("the aim of that, rows/s", f"{figure:,.0f}/s", "12,000/s", figure / 12_000))
        bench.add(
            Row(
                "peak memory of the crawl, MB",
                f"{memory / 2**20:.0f} MB",
                "400 MB",
                memory / 2**20,
                400,
                at_most=True,
            )
        )
        bench.add(
            Row(
                "rows that came, and parcels stored, less the truth",
                f"{received:,}, {parcels:,}",
                f"{PARCELS:,}, {distinct:,}",
                float(abs(received - PARCELS) + abs(parcels - distinct)),
                0,
                at_most=True,
            )
        )
        before = versions(url)
        with SandboxProcess(compress=False, gis_parcels=PARCELS, epoch=1) as sandbox:
            warm(sandbox, fields, last)
            again, _ = roll(url, sandbox, folder)
        told = ParcelLayer(County(epoch=1), PARCELS).changes(0)
        expected = {(apn, field, as_text(field, old), as_text(field, new)) for apn, field, old, new in told}
        changed = len({apn for apn, *_ in expected})
        written = versions(url) - before
        found = ask_all(url, "SELECT key->>'apn', field, old, new FROM crawl.change")
        wrong = len(expected.symmetric_difference(found)) + len(found) - len(set(found))
        bench.add(Row("a second roll, 1 % changed, rows/s, against the first", *_rates(again, whole), 1.0))
        bench.add(
            Row(
                "changes recorded, field by field: those that are not the truth's",
                f"{len(found):,}",
                f"{len(expected):,}",
                float(wrong),
                0,
                at_most=True,
            )
        )
        bench.add(
            Row(
                "row versions written, less parcels changed",
                f"{written:,}",
                f"{changed:,}",
                float(abs(written - changed)),
                0,
                at_most=True,
            )
        )


def one_page(server: str, folder: Path) -> float:
    """Seconds of a roll of a single page."""
    with database(server, "bench_page") as url, SandboxProcess(compress=False, gis_parcels=_PAGE) as sandbox:
        warm(sandbox, our_fields(sandbox), _PAGE)
        return _PAGE / roll(url, sandbox, folder)[0]


def paced(bench: Bench, server: str, folder: Path) -> None:
    """The walk at 1 request a second: from its first request to its last, metadata and extent among them."""
    parcels = int(PACED_PAGES * _PAGE * 0.978)
    with (
        database(server, "bench_paced") as url,
        SandboxProcess(compress=False, gis_parcels=parcels) as sandbox,
    ):
        warm(sandbox, our_fields(sandbox), ParcelLayer(County(), parcels).ids[-1])
        sandbox.reset()
        crawl(url, sandbox, folder, "-a", "captures=failures", rate=1.0)
        stats = sandbox.stats()["gis"]
    seconds, due = stats["last_request"] - stats["first_request"], float(stats["requests"] - 1)
    bench.add(
        Row(
            f"{stats['requests']} requests at 1/s ({stats['by_kind']['page']} pages), seconds",
            f"{seconds:.2f} s",
            f"{due:.0f} s",
            seconds / due,
            1.03,
            at_most=True,
        )
    )


# Its command rests ten seconds after every five requests; its library does as it is told.
_ESRIDUMP = """
import json, sys
from esridump.dumper import EsriDumper
layer = EsriDumper(sys.argv[1], request_geometry=False, max_page_size=int(sys.argv[2]), pause_seconds=0)
sys.stdout.writelines(json.dumps(feature) + "\\n" for feature in layer)
"""


def _python_of(script: str) -> str | None:
    """Return the interpreter that an installed script runs in."""
    found = shutil.which(script)
    if found is None:
        return None
    with Path(found).open("rb") as file:
        first = file.readline().decode().strip()
    return first.removeprefix("#!") if first.startswith("#!") else None


def peers(bench: Bench, server: str, folder: Path) -> None:
    """The same layer, all rows and no geometry, each to its own place, one after the other."""
    query = {
        "where": "1=1",
        "outFields": "*",
        "returnGeometry": "false",
        "orderByFields": "OBJECTID",
        "f": "json",
    }
    query["resultRecordCount"] = str(_PAGE)
    esri, ogr = shutil.which("esri2geojson"), shutil.which("ogr2ogr")
    as_shipped = [esri, "-q", "--jsonlines", "--no-geometry", "-m", str(_PAGE), "{layer}", "-"]
    without_rests = [_python_of("esri2geojson"), "-c", _ESRIDUMP, "{layer}", str(_PAGE)]
    to_csv = [ogr, "-f", "CSV", "/vsistdout/", f"ESRIJSON:{{layer}}/query?{urlencode(query)}"]
    _beside(bench, server, folder, RESTING_PARCELS, {"pyesridump": (as_shipped, 0, 1.0)})
    _beside(
        bench,
        server,
        folder,
        PEER_PARCELS,
        {"pyesridump without its rests": (without_rests, 0, None), "ogr2ogr": (to_csv, 1, 1.0)},
    )


def _beside(
    bench: Bench,
    server: str,
    folder: Path,
    parcels: int,
    commands: dict[str, tuple[list[str | None], int, float | None]],
) -> None:
    output = folder / "peer.out"
    with (
        SandboxProcess(compress=False, gis_parcels=parcels) as sandbox,
        database(server, "bench_peers") as url,
    ):
        last = ParcelLayer(County(), parcels).ids[-1]
        warm(sandbox, our_fields(sandbox), last)
        warm(sandbox, "*", last)
        figure, _ = roll(url, sandbox, folder)
        for name, (command, heads, bar) in commands.items():
            if command[0] is None:
                bench.add(Row(f"a roll against {name}, rows/s", f"{figure:,.0f}/s", "not installed"))
                continue
            ready = [str(one).replace("{layer}", f"{sandbox.url}/gis/E") for one in command]
            begun = time.monotonic()
            with output.open("wb") as file:
                subprocess.run(
                    ready,
                    env=os.environ | {"no_proxy": "127.0.0.1"},
                    stdout=file,
                    stderr=subprocess.DEVNULL,
                    check=True,
                )
            seconds = time.monotonic() - begun
            with output.open() as lines:
                rows = sum(1 for _ in lines) - heads
            bench.add(
                Row(
                    f"a roll of {parcels:,} rows against {name} ({rows:,} rows)",
                    *_rates(figure, rows / seconds),
                    bar,
                )
            )


def faults(bench: Bench, server: str, folder: Path) -> None:
    """Killed three times while one request in twenty fails in one of four ways."""
    expected = FAULTY_PARCELS
    names = ("server_error", "error_body", "malformed", "short_page")
    log = folder / "killed.log"
    with (
        database(server, "bench_faults") as url,
        SandboxProcess(compress=False, gis_parcels=expected, latency=0.05) as sandbox,
    ):
        warm(sandbox, our_fields(sandbox), ParcelLayer(County(), expected).ids[-1])
        sandbox.faults(dict.fromkeys(names, 0.0125), source="gis")
        environment = os.environ | {
            "MARICOPA_DATABASE_URL": url,
            "MARICOPA_SANDBOX": sandbox.url,
            "MARICOPA_CONFIG": str(_small_pages(folder)),
        }
        arguments = ["-a", "captures=failures"]
        kills = 0
        pages_due = -(-ParcelLayer(County(), expected).ids[-1] // 200)
        for kill in range(1, 5):
            command = [
                sys.executable,
                "-m",
                "scrapy",
                "crawl",
                "roll",
                *arguments,
                "-s",
                "MARICOPA_RATE_LIMIT=100",
            ]
            with log.open("wb") as file:
                process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
            while kill < 4 and process.poll() is None:
                if ask(url, _RANGES_DONE)[0] >= kill * pages_due // 5:
                    process.kill()
                    kills += process.wait() == -signal.SIGKILL
                    break
                time.sleep(0.1)
            code = process.wait()
            arguments = ["-a", "job=1"]
        if code:
            sys.exit(log.read_text()[-3000:])
        received, parcels = ask(
            url,
            "SELECT received, (SELECT count(*) FROM gis.parcel WHERE removed_at IS NULL) FROM gis.roll WHERE"
            " state = 'complete'",
        )
        met = sum(sandbox.stats()["gis"]["faults"].values())
    bench.add(Row("kill -9 during a walk, times", str(kills), "3", float(kills), 3))
    bench.add(Row("faults that were met in it", str(met), "1", float(met), 1))
    off = abs(received - expected) + abs(parcels - expected + ParcelLayer(County(), expected).stacked)
    bench.add(
        Row(
            f"killed {kills} times, {met} faults: rows that came, less the truth",
            f"{received:,}",
            f"{expected:,}",
            float(off),
            0,
            at_most=True,
        )
    )


def _small_pages(folder: Path) -> Path:
    """Settings with pages of 200 rows, so that a small county has many requests."""
    root = Path(__file__).parent.parent / "config"
    copy = folder / "small"
    shutil.copytree(root, copy)
    manifest = copy / "sources" / "gis.yaml"
    text = re.sub(r"(?m)^    page: \d+", "    page: 200", manifest.read_text())
    manifest.write_text(re.sub(r"(?m)^attempts: \d+", "attempts: 10", text))
    return copy


def lists(bench: Bench, server: str, folder: Path) -> None:
    layer = ParcelLayer(County(), LISTED + 500)
    asked = list(dict.fromkeys(layer.apn(row) for row in layer.ids))[: LISTED - 25] + County().absent(25)
    path = folder / "apns.txt"
    path.write_text("\n".join(asked) + "\n")
    with (
        database(server, "bench_list") as url,
        SandboxProcess(compress=False, gis_parcels=LISTED + 500) as sandbox,
    ):
        crawl(url, sandbox, folder, "-a", f"apns={path}", rate=100.0)
        by_kind = sandbox.stats()["gis"]["by_kind"]
        found, absent = ask(
            url, "SELECT (SELECT count(*) FROM gis.parcel), (SELECT count(*) FROM gis.absent)"
        )
    bench.add(
        Row(
            f"{LISTED:,} APNs by list, list requests",
            str(by_kind["list"]),
            "20",
            float(by_kind["list"]),
            20,
            at_most=True,
        )
    )
    others = sum(by_kind.values()) - by_kind["list"]
    bench.add(Row("and for metadata", str(others), "2", float(others), 2, at_most=True))
    bench.add(
        Row(
            "found and absent, less the truth",
            f"{found:,}, {absent}",
            f"{LISTED - 25:,}, 25",
            float(abs(found - LISTED + 25) + abs(absent - 25)),
            0,
            at_most=True,
        )
    )


def bulk(bench: Bench, server: str, folder: Path) -> None:
    for name, line in (("secured_master", secured_line), ("residential_master", residential_line)):
        path, kind = folder / f"{name}.txt", FILES[name]
        with path.open("w") as file:
            file.writelines(line(number) + "\r\n" for number in range(BULK_LINES))
        with database(server, "bench_bulk") as url, SandboxProcess(gis_parcels=1) as sandbox:
            crawl(url, sandbox, folder, "-a", f"{name}={path}")
            seconds, rows = ask(
                url,
                f"SELECT extract(epoch FROM r.finished_at - r.started_at), (SELECT count(*) FROM bulk.{name})"
                " FROM crawl.run r",
            )
            ready = ready_copy(server, url, f"bulk.{name}", folder / "bulk.copy")
        with path.open() as file:
            batches = iter(lambda: [one.rstrip() for one in islice(file, _PAGE)], [])
            peer = plain_copy(
                server,
                table_of(kind.record),
                (parse_lines(batch, kind, name, 1).pages[0] for batch in batches),
            )
        figure = rows / float(seconds)
        bench.add(Row(f"{name}, {rows:,} lines, rows/s, against a plain COPY", *_rates(figure, peer), 0.50))
        bench.add(Row("the same, against a COPY of ready-made lines", *_rates(figure, ready)))
        path.unlink()


PARTS = {
    "county": whole_county,
    "peers": peers,
    "bulk": bulk,
    "lists": lists,
    "faults": faults,
    "paced": paced,
}


def main() -> int:
    bench = Bench("roll")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        for part in sys.argv[1:] or PARTS:
            PARTS[part](bench, server, folder)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
