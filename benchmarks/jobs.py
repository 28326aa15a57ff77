"""`make bench-jobs`: whole jobs at the county's own limits (API 2/s, pages 1/s): deadlines, a naive client,
the slowest source, modes.

Every run has a sandbox and a database of its own, and starts cold. Times are the job's own: from its turn to
its end.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from benchmarks.assessor import database
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.ledger.statistics import Statistics
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

# Requests a second, requests that may be saved up, seconds.
API, PAGES, BURST, LATENCY = 2.0, 1.0, 5.0, 0.1
# Parcels, and the seconds in which the system that this replaces promised them.
PROMISES = ((6, 14.4 + 10),) if QUICK else ((50, 120.0), (100, 300.0))
MOST = PROMISES[-1][0]
NAIVE_PARCELS = 2 if QUICK else 10
NAIVE_REQUESTS = 12
MODES = () if QUICK else ("api_only", "scraping_only", "api_then_scraping", "intelligent")


def county() -> SandboxProcess:
    """Return a sandbox that bears what the county bears; it must be entered, and then told so."""
    return SandboxProcess(latency=LATENCY, rate=API, burst=BURST, retry_after="seconds", gis_parcels=2 * MOST)


def collect(
    server: str, folder: Path, name: str, parcels: int, job_type: str, mode: str
) -> tuple[JobProgress, Statistics]:
    """Run one job from cold."""
    with county() as sandbox, database(server, f"jobs_{name}") as url:
        for source in ("treasurer", "assessor_page"):
            if source in sandbox.stats():
                sandbox.conduct(source, rate=PAGES, burst=BURST)
        spiders = LocalProcesses(
            folder / name, environment={"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
        )
        with JobManager(url, executor=spiders, sandbox=sandbox.url) as manager:
            job = manager.submit(County().apns(parcels), job_type=job_type, processing_mode=mode)
            return manager.wait(job, timeout=1_200), manager.statistics(job)


def naive(parcels: int) -> float:
    """Return the seconds a parcel of a client that asks twelve times for each, one after another, as fast as
    it may.
    """
    opener = build_opener(ProxyHandler({}))
    with county() as sandbox:
        begun = time.monotonic()
        for apn in County().apns(parcels):
            for _ in range(NAIVE_REQUESTS):
                while True:
                    asked = time.monotonic()
                    try:
                        opener.open(f"{sandbox.url}/assessor/parcel/{apn}", timeout=30).read()
                        break
                    except HTTPError as error:
                        error.close()
                        time.sleep(float(error.headers.get("Retry-After") or 1))
                time.sleep(max(0.0, 1 / API - (time.monotonic() - asked)))
        return (time.monotonic() - begun) / parcels


def promises(server: str, folder: Path, naively: Future[float]) -> Iterator[Row]:
    """The promise of the system that this replaces, and what a naive client would need."""
    for parcels, seconds in PROMISES:
        done, figures = collect(server, folder, f"all_{parcels}", parcels, "comprehensive", "parallel_all")
        yield Row(
            f"{parcels} parcels comprehensive: seconds",
            f"{done.seconds:.0f} s",
            "",
            done.seconds,
            seconds,
            at_most=True,
        )
        answered = sum(source.counts.done + source.counts.gone for source in done.sources) / done.counts.total
        yield Row(f"{parcels} parcels comprehensive: answered", f"{answered:.1%}", "", answered, 0.95)
        lost = done.counts.open + done.counts.dead
        yield Row(f"{parcels} parcels comprehensive: not accounted for", f"{lost}", "", lost, 0, at_most=True)
        their = naively.result() * parcels
        what = f"{parcels} parcels: a naive client's time ({NAIVE_REQUESTS} requests a parcel), of ours"
        # Of a handful the start of the processes is most of the time.
        yield Row(
            what, f"{done.seconds:.0f} s", f"{their:.0f} s", their / done.seconds, 1.5 if QUICK else 3.0
        )
        per, refused = figures.requests_per_parcel, figures.refusals
        yield Row(f"{parcels} parcels comprehensive: requests a parcel, refused", f"{per}, {refused} refused")
        if parcels == MOST:
            yield from makespan(server, folder, done)


def makespan(server: str, folder: Path, everything: JobProgress) -> Iterator[Row]:
    """All sources at once, next to the slowest of them alone."""
    slowest = max(everything.sources, key=lambda source: source.traffic.busy)
    jobs = {"treasurer": ("tax", "scraping_only"), "assessor": ("property_search", "api_only")}
    job_type, mode = jobs.get(slowest.source, jobs["treasurer"])
    alone, _ = collect(server, folder, "alone", MOST, job_type, mode)
    ratio = everything.seconds / alone.seconds
    what = f"{MOST} parcels, all sources at once: makespan, of the slowest source ({slowest.source}) alone"
    # Of a handful the starts of the processes, side by side on few cores, are a good part.
    yield Row(
        what,
        f"{everything.seconds:.0f} s",
        f"{alone.seconds:.0f} s",
        ratio,
        1.5 if QUICK else 1.10,
        at_most=True,
    )
    for one in MODES:
        done, figures = collect(server, folder, one, MOST, "comprehensive", one)
        figure = (
            f"{done.seconds:.0f} s, {done.counts.done} targets, {figures.requests_per_parcel or 0:.2f}"
            " requests a parcel"
        )
        yield Row(
            f"mode {one}, of parallel_all's time",
            figure,
            f"{everything.seconds:.0f} s",
            done.seconds / everything.seconds,
        )


def main() -> int:
    bench = Bench("jobs")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(1) as aside:
        folder = Path(name)
        folder.chmod(0o755)
        # A client that sleeps most of the time is in nobody's way.
        naively = aside.submit(naive, NAIVE_PARCELS)
        server = embedded.start(folder / "data")
        for row in promises(server, folder, naively):
            bench.add(row)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
