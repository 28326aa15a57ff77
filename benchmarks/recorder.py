"""`make bench-recorder`: a month of the sandbox's recorder by code, whole and with hidden rows; and the deeds
of parcels that share them.

What is there is the sandbox's truth, what was asked is the server's count.
"""

import datetime as dt
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.assessor import database, run
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.recorder.codes import DISPLAY
from maricopa_scrapy.sandbox.recorder.documents import Documents

TODAY, SINCE, UNTIL = dt.date(2025, 4, 15), dt.date(2025, 3, 1), dt.date(2025, 3, 31)
# 21 working days: 60,000 documents in all. On the 12th more liens than a search can count.
DAILY, RUSH = (110, 620) if QUICK else (2_824, 700)
# Parcels, and the deeds that they share.
PARCELS, DEEDS = (1_000, 840) if QUICK else (5_000, 4_200)
RATE = 5000.0
HIDDEN = 0.01


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    session = Session(url)
    try:
        return session.rows(statement)
    finally:
        session.close()


def crawl(url: str, sandbox: SandboxProcess, folder: Path, *arguments: str, expected: int = 0) -> float:
    """Run a crawl; returns its seconds from the first request to the last."""
    environment = {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
    command = [sys.executable, "-m", "scrapy", "crawl", *arguments, "-s", f"MARICOPA_RATE_LIMIT={RATE}"]
    try:
        run(command, environment, folder / "crawl.log")
    except SystemExit:
        # A short month is incomplete, and says so by its exit code.
        if not expected or ask(url, "SELECT verdict FROM crawl.job") != [("incomplete",)]:
            raise
    stats = sandbox.stats()["recorder"]
    return float(stats["last_request"] - stats["first_request"])


def _exact(what: str, figure: float, truth: float) -> Row:
    return Row(what, f"{figure:,.0f}", f"{truth:,.0f}", abs(figure - truth), 0, at_most=True)


def month(bench: Bench, server: str, folder: Path) -> None:
    """All documents of a month by all codes, one day of it beyond what can be counted."""
    world = Documents(1, TODAY, DAILY, RUSH)
    there = {facts.number for day in world.days(SINCE, UNTIL) for facts in world.of_day(day)}
    options: dict[str, Any] = {
        "recorder_daily": DAILY,
        "recorder_rush": RUSH,
        "recorder_today": str(TODAY),
        "recorder_indexed": str(TODAY),
    }
    asked = ("documents", "-a", f"since={SINCE}", "-a", f"until={UNTIL}")
    with (
        database(server, "bench_month") as url,
        SandboxProcess(compress=False, track=True, **options) as sandbox,
    ):
        seconds = crawl(url, sandbox, folder, *asked)
        stats = sandbox.stats()["recorder"]
        found = {
            number
            for (number,) in ask(url, "SELECT recording_number FROM recorder.document WHERE name_count > 0")
        }
        windows = ask(url, "SELECT query, since, until, row_count, total, state FROM recorder.search_window")
    ended = [window for window in windows if window[5] in ("complete", "walked")]
    rows = sum(len(world.of_code(code, SINCE, UNTIL)) for code in DISPLAY)
    bench.add(
        _exact(f"documents of a month of {len(there):,}, less those found", len(found & there), len(there))
    )
    bench.add(
        _exact(
            "rows that the searches reconciled, against the truth", sum(window[3] for window in ended), rows
        )
    )
    (walked,) = (window for window in windows if window[5] == "walked")
    bench.add(
        _exact(
            f"{walked[0]} of {walked[1]}: {walked[4] - 1}+ were reported; rows read to the end",
            walked[3],
            len(world.of_code(walked[0], walked[1], walked[2])),
        )
    )
    bench.add(_exact("detail requests, against documents", stats["by_kind"]["document"], len(there)))
    bench.add(
        Row("searches, for 31 days x 40 codes", f"{stats['by_kind']['search']:,}", f"{31 * len(DISPLAY):,}")
    )
    bench.add(Row("stored documents/s", f"{len(found) / seconds:,.0f}/s"))


def hidden(bench: Bench, server: str, folder: Path) -> None:
    """The same month, of which 1 % of the rows are hidden: which windows are short?"""
    world = Documents(1, TODAY, DAILY, RUSH)
    options: dict[str, Any] = {
        "recorder_daily": DAILY,
        "recorder_rush": RUSH,
        "recorder_today": str(TODAY),
        "recorder_indexed": str(TODAY),
    }
    asked = ("documents", "-a", f"since={SINCE}", "-a", f"until={UNTIL}")
    with database(server, "bench_hidden") as url, SandboxProcess(compress=False, **options) as sandbox:
        sandbox.faults({"hidden_rows": HIDDEN}, source="recorder")
        crawl(url, sandbox, folder, *asked, expected=4)
        found = {number for (number,) in ask(url, "SELECT recording_number FROM recorder.document")}
        told = {
            (query, since)
            for query, since in ask(
                url, "SELECT query, since FROM recorder.search_window WHERE state = 'short'"
            )
        }
        over = {
            (query, since)
            for query, since in ask(
                url, "SELECT query, since FROM recorder.search_window WHERE state = 'walked'"
            )
        }
    short = {
        (code, day)
        for day in world.days(SINCE, UNTIL)
        for code in DISPLAY
        if any(facts.number not in found for facts in world.of_code(code, day, day))
    }
    bench.add(
        _exact(
            "1 % of rows hidden: days x codes that are short, against those told",
            len(told & short),
            len(short - over),
        )
    )
    bench.add(
        Row("told as short and not so", f"{len(told - short)}", "0", len(told - short), 0, at_most=True)
    )
    bench.add(Row("days x codes that cannot be counted, told as such", f"{len(over)}"))


def _shared(layer: ParcelLayer, world: Documents) -> Iterator[str]:
    """Yield the APNs of PARCELS parcels that have DEEDS deeds, all of them recorded."""
    by_deed: dict[str, list[str]] = {}
    for row in layer.ids:
        facts = layer.facts(row)
        if facts["floor"] == 1 and world.find(facts["deed_number"]):
            by_deed.setdefault(facts["deed_number"], []).append(facts["apn"])
    pairs = [apns[:2] for apns in by_deed.values() if len(apns) > 1][: PARCELS - DEEDS]
    single = [apns for apns in by_deed.values() if len(apns) == 1][: DEEDS - len(pairs)]
    for apns in pairs + single:
        yield from apns


def deeds(bench: Bench, server: str, folder: Path) -> None:
    """Parcels that share deeds: each document once, every parcel linked."""
    layer = ParcelLayer(County(), PARCELS * 5 // 4)
    path = folder / "apns.txt"
    apns = list(_shared(layer, Documents(1, TODAY)))
    path.write_text("\n".join(apns))
    options: dict[str, Any] = {
        "recorder_today": str(TODAY),
        "recorder_indexed": str(TODAY),
        "gis_parcels": layer.parcels,
    }
    with (
        database(server, "bench_deeds") as url,
        SandboxProcess(compress=False, track=True, **options) as sandbox,
    ):
        begun = time.monotonic()
        crawl(url, sandbox, folder, "sales", "-a", f"apns={path}")
        seconds = time.monotonic() - begun
        stats = sandbox.stats()
        ((linked,),) = ask(url, "SELECT count(DISTINCT apn) FROM document WHERE basis = 'deed_number'")
    bench.add(
        _exact(
            f"{len(apns):,} parcels: detail requests, against the deeds that they share",
            stats["recorder"]["by_kind"]["document"],
            DEEDS,
        )
    )
    bench.add(_exact("parcels linked to their deed", linked, PARCELS))
    bench.add(
        Row(
            "requests of all sources, for each parcel",
            f"{sum(one['requests'] for one in stats.values()) / PARCELS:.2f}",
        )
    )
    bench.add(Row("seconds of it all, start included", f"{seconds:.1f} s"))


PARTS = {"month": month, "hidden": hidden, "deeds": deeds}


def main() -> int:
    bench = Bench("recorder")
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
