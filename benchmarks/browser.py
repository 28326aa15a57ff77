"""`make bench-browser`: pages a second and memory of pools of 1, 2, 4 and 8, next to a plain Playwright
script; memory over 1,000 pages.

The county answers each of four calls a parcel after 300 ms. Memory is that of the whole process tree, what is
shared counted once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import psutil

from benchmarks.assessor import database
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.browser.find import NoBrowser, find
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer.bills import taxes

ROOT = Path(__file__).parent.parent
LATENCY_S = 0.3
PARCELS = {1: 8, 4: 24} if QUICK else {1: 40, 2: 80, 4: 200, 8: 160}
PEER_PARCELS = 6 if QUICK else 30
# Without latency: memory is a matter of pages, not of time.
MEMORY_PARCELS = 0 if QUICK else 1_000
PART = 200
EVERY_S = 1.0


@dataclass
class Run:
    """A crawl or a script: pages a second by the server's clock, and its memory: [pages asked for so far,
    bytes].
    """

    pages_per_s: float = 0.0
    memory: list[tuple[int, int]] = field(default_factory=list)

    @property
    def peak(self) -> int:
        return max(bytes_ for _, bytes_ in self.memory)


def tree_memory(process: psutil.Process) -> int:
    """Bytes of a process and all below it: its share of shared pages, where the system tells."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            full = each.memory_full_info()
            total += getattr(full, "pss", full.uss)
        except psutil.Error:
            continue
    return total


def watch(
    command: list[str], environment: dict[str, str], sandbox: SandboxProcess, parcels: int, log: Path
) -> Run:
    """Run a command to its end."""
    run = Run()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=file, stderr=subprocess.STDOUT
        )
        root = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(EVERY_S)
            try:
                run.memory.append((sandbox.stats()["treasurer"]["by_kind"]["parcel"], tree_memory(root)))
            except psutil.Error:
                break
        if process.wait():
            sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    stats = sandbox.stats()["treasurer"]
    run.pages_per_s = parcels / (stats["last_request"] - stats["first_request"])
    return run


def listed(folder: Path, parcels: int) -> Path:
    apns = folder / f"apns-{parcels}.txt"
    apns.write_text("\n".join(County().apns(parcels)) + "\n")
    return apns


def settings(folder: Path, pool: int) -> str:
    """The shipped settings with another pool."""
    shutil.copytree(ROOT / "config", folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("browser_pool_size: 4", f"browser_pool_size: {pool}"))
    return str(folder)


def wrong(url: str, parcels: int) -> int:
    """How many parcels are not stored as the county has them, every year of every bill."""
    session = Session(url)
    stored: dict[str, list[tuple[int, str, int, int, int]]] = {}
    rows = session.rows(
        "SELECT apn, tax_year, status_text, assessed * 100, paid * 100, amount_due * 100 FROM treasurer.bill"
        " ORDER BY apn, tax_year DESC"
    )
    session.close()
    for apn, *bill in rows:
        stored.setdefault(apn, []).append(tuple(bill))
    known = {
        apn: [(b.tax_year, b.status, b.assessed, b.paid, b.due) for b in taxes(1, 0, apn).bills]
        for apn in County().apns(parcels)
    }
    return sum(stored.get(apn, []) != bills for apn, bills in known.items())


def crawl(server: str, folder: Path, pool: int, parcels: int, latency: float) -> tuple[Run, float, int]:
    """Crawl parcels; returns the run, navigations a parcel by the server's count, and parcels that are
    wrong.
    """
    with database(server, f"bench_browser_{pool}") as url, SandboxProcess(latency=latency) as sandbox:
        name = f"settings-{pool}-{parcels}"
        environment = {
            "MARICOPA_DATABASE_URL": url,
            "MARICOPA_SANDBOX": sandbox.url,
            "MARICOPA_CONFIG": settings(folder / name, pool),
        }
        command = [
            sys.executable,
            "-m",
            "scrapy",
            "crawl",
            "tax",
            "-a",
            f"apns={listed(folder, parcels)}",
            "-s",
            "MARICOPA_RATE_LIMIT=50",
        ]
        run = watch(command, environment, sandbox, parcels, folder / "crawl.log")
        return run, sandbox.stats()["treasurer"]["by_kind"]["parcel"] / parcels, wrong(url, parcels)


def script(folder: Path, browser: str) -> Run:
    with SandboxProcess(latency=LATENCY_S) as sandbox:
        arguments = [f"{sandbox.url}/treasurer", str(listed(folder, PEER_PARCELS)), browser]
        command = [sys.executable, "-m", "benchmarks.browser_peer", *arguments]
        return watch(command, {}, sandbox, PEER_PARCELS, folder / "peer.log")


def main() -> int:
    try:
        browser = find(BrowserSettings())
    except NoBrowser as error:
        sys.exit(f"bench-browser: {error}")
    bench = Bench("browser")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        peer = script(folder, browser)
        bench.add(
            Row(
                "a plain Playwright script, one page after another",
                f"{peer.pages_per_s:.2f}/s, {peer.peak / 2**20:.0f} MB",
            )
        )
        runs: dict[int, Run] = {}
        navigations, mistakes = 0.0, 0
        for pool, parcels in PARCELS.items():
            runs[pool], asked, false = crawl(server, folder, pool, parcels, LATENCY_S)
            navigations, mistakes = max(navigations, asked), mistakes + false
            rate = runs[pool].pages_per_s
            figure = f"{rate:.2f}/s, {runs[pool].peak / 2**20:.0f} MB"
            bench.add(
                Row(
                    f"pool of {pool}, {parcels} parcels",
                    figure,
                    f"{peer.pages_per_s:.2f}/s",
                    rate / peer.pages_per_s,
                )
            )
        ratio = runs[4].pages_per_s / runs[1].pages_per_s
        bench.add(
            Row(
                "a pool of 4 against a pool of 1",
                f"{runs[4].pages_per_s:.2f}/s",
                f"{runs[1].pages_per_s:.2f}/s",
                ratio,
                2.5,
            )
        )
        bench.add(
            Row(
                "navigations a parcel, by the server's count",
                f"{navigations:.3f}",
                "1",
                navigations,
                1.02,
                at_most=True,
            )
        )
        bench.add(
            Row(
                "parcels that are not stored as the county has them",
                str(mistakes),
                "0",
                float(mistakes),
                0,
                at_most=True,
            )
        )
        if MEMORY_PARCELS:
            flat(bench, *crawl(server, folder, 4, MEMORY_PARCELS, 0.0))
        code = bench.finish()
        embedded.release(folder / "data")
    return code


def flat(bench: Bench, run: Run, _: float, mistakes: int) -> None:
    early = mean(size for pages, size in run.memory if PART <= pages < 2 * PART)
    late = mean(size for pages, size in run.memory if pages >= MEMORY_PARCELS - PART)
    what = f"memory of the tree, last {PART} of {MEMORY_PARCELS:,} pages against the second {PART}"
    bench.add(
        Row(what, f"{late / 2**20:.0f} MB", f"{early / 2**20:.0f} MB", late / early, 1.15, at_most=True)
    )
    bench.add(
        Row(
            "of those, not stored as the county has them",
            str(mistakes),
            "0",
            float(mistakes),
            0,
            at_most=True,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
