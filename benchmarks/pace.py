"""`make bench-pace`: our pace next to stock Scrapy and next to an oracle that was told the budget; then the
hard cases.

Everything is counted by the server (benchmarks/pace_cases.py). The ceiling is lifted to 500/s; every run
starts cold.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import pace_cases as cases
from benchmarks.pace_cases import Seen
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded

T = TypeVar("T")

BUDGET: dict[str, Any] = {"rate": 50.0, "burst": 10.0}
COUNTY: dict[str, Any] = {"rate": 100 / 60, "burst": 40.0, "retry_after": "none"}
PARCELS = 600 if QUICK else 3_000
WARM = 200
AUTOTHROTTLE = {"AUTOTHROTTLE_ENABLED": True, "AUTOTHROTTLE_START_DELAY": 1}
STOCK: dict[str, dict[str, Any]] = {
    "stock Scrapy, defaults": {},
    "stock Scrapy, project template": {
        "ROBOTSTXT_OBEY": True,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DOWNLOAD_DELAY": 1,
    },
    "AutoThrottle, target 1": AUTOTHROTTLE,
    "AutoThrottle, target 4": AUTOTHROTTLE | {"AUTOTHROTTLE_TARGET_CONCURRENCY": 4},
    "AutoThrottle, target 8": AUTOTHROTTLE | {"AUTOTHROTTLE_TARGET_CONCURRENCY": 8},
}
CRAWLEE = "crawlee, throttling manager"
# A Python that has crawlee, whose requirements are not ours.
CRAWLEE_PYTHON = os.environ.get("CRAWLEE_PYTHON", "")
# A peer at one request a second would need 50 minutes.
STOCK_TIMEOUT_S = 20.0 if QUICK else 60.0


def describe(one: Seen) -> str:
    """Return what the table says of a run."""
    refused = len(one.refused)
    return f"{one.goodput(WARM):.1f}/s, {len(one.answered)} got, {refused} refused, {one.peak} at once"


def budget(server: str, folder: Path) -> Iterator[Row]:
    """One budget of 50/s: the peers, and ours with and without a Retry-After."""
    jobs: list[tuple[str, Callable[[], Any]]] = [
        ("oracle", lambda: cases.oracle(folder, "oracle", PARCELS, retry_after="seconds", **BUDGET))
    ]
    peers = dict(list(STOCK.items())[-1:]) if QUICK else STOCK
    for number, (name, settings) in enumerate(peers.items()):
        jobs.append((name, _stock(folder, f"stock{number}", settings)))
    has_crawlee = CRAWLEE_PYTHON != "" and not QUICK
    if has_crawlee:
        jobs.append((CRAWLEE, _crawlee(folder)))
    for kind in ("seconds",) if QUICK else ("seconds", "none"):
        for number in range(1 if QUICK else 3):
            jobs.append((kind, _ours(server, folder, f"ours_{kind}_{number}", kind)))
    results = _run(jobs, workers=3 if QUICK else 1)
    (oracle,) = results["oracle"]
    yield Row("oracle: Scrapy told the budget of 50/s, burst 10", describe(oracle))
    for name in [*peers, CRAWLEE] if has_crawlee else peers:
        (one,) = results[name]
        share = one.goodput(WARM) / oracle.goodput(WARM)
        yield Row(
            f"{name}: lost {PARCELS - one.got} of {PARCELS}",
            describe(one),
            f"{oracle.goodput(WARM):.1f}/s",
            share,
        )
    if not has_crawlee:
        yield Row(CRAWLEE, "not run")
    for kind, label, refusals, goodput in (
        ("seconds", "Retry-After 1", 0.005, 0.92),
        ("none", "no Retry-After", 0.01, 0.85),
    ):
        yield from _rows(label, results.get(kind, []), oracle, refusals, goodput)


def _stock(folder: Path, name: str, settings: dict[str, Any]) -> Callable[[], Seen]:
    return lambda: cases.stock(
        folder, name, PARCELS, settings, STOCK_TIMEOUT_S, retry_after="seconds", **BUDGET
    )


def _crawlee(folder: Path) -> Callable[[], Seen]:
    return lambda: cases.peer(
        folder,
        "crawlee",
        PARCELS,
        "crawlee_peer",
        timeout=STOCK_TIMEOUT_S,
        python=CRAWLEE_PYTHON,
        retry_after="seconds",
        **BUDGET,
    )


def _ours(server: str, folder: Path, name: str, kind: str) -> Callable[[], tuple[Seen, int]]:
    return lambda: cases.ours(server, folder, name, PARCELS, retry_after=kind, **BUDGET)


def _rows(
    label: str, runs: list[tuple[Seen, int]], oracle: Seen, refusals: float, goodput: float
) -> Iterator[Row]:
    if not runs:
        return
    one, _ = sorted(runs, key=lambda run: run[0].goodput(WARM))[len(runs) // 2]
    lost = sum(lost for _, lost in runs)
    refused = statistics.median(len(run.refused) / run.requests for run, _ in runs)
    share = one.goodput(WARM) / oracle.goodput(WARM)
    # Of 600 parcels the slow start is a third: the quick form only shows the shape.
    yield Row(
        f"ours, {label}: goodput of the oracle's",
        describe(one),
        f"{oracle.goodput(WARM):.1f}/s",
        share,
        0.7 if QUICK else goodput,
    )
    yield Row(
        f"ours, {label}: refused of all requests",
        f"{refused:.2%}",
        "",
        refused,
        0.02 if QUICK else refusals,
        at_most=True,
    )
    yield Row(f"ours, {label}: lost", f"{lost}", "", lost, 0, at_most=True)


def hard_cases(server: str, folder: Path) -> Iterator[Row]:
    """The cases that are not about one budget; each has a sandbox of its own, and they run side by side."""
    jobs: list[tuple[str, Callable[[], Any]]] = [
        ("county", lambda: cases.ours(server, folder, "county", 50, **COUNTY)),
        ("cap 0", lambda: cases.cap(server, folder, 0.0, 400 if QUICK else 2_000)),
        ("cap 200", lambda: cases.cap(server, folder, 0.2, 100 if QUICK else 400)),
        ("priorities", lambda: cases.priorities(server, folder, 20, 10 if QUICK else 45)),
        ("held", lambda: cases.one_held(server, folder, 6 if QUICK else 60)),
        ("outage", lambda: cases.outage(server, folder, 8 if QUICK else 60, 150 if QUICK else 800)),
    ]
    if not QUICK:
        jobs += [
            ("changing", lambda: cases.changing_budget(server, folder, 50, 30, (30, 50, 50))),
            ("shared", lambda: cases.shared_budget(server, folder, 20, 100)),
            ("slow", lambda: cases.slow_host(server, folder, 30, 20)),
        ]
    results = _run(jobs, workers=4 if QUICK else 3)
    ((county, lost),) = results["county"]
    took = county.answered[-1] - county.answered[0]
    yield Row(
        "county's budget (100 a minute, burst 40), 50 parcels: seconds",
        f"{took:.0f} s",
        "",
        took,
        35,
        at_most=True,
    )
    yield Row("county's budget: refusals", f"{len(county.refused)}", "", len(county.refused), 2, at_most=True)
    yield Row("county's budget: lost", f"{lost}", "", lost, 0, at_most=True)
    for key, label in (("cap 0", "cap of 4, no latency"), ("cap 200", "cap of 4, 200 ms")):
        most = results[key][0]["most under way"]
        yield Row(f"{label}: most under way", f"{most}", "", most, 4, at_most=True)
    ratio = results["priorities"][0]["critical : low"]
    yield Row("critical and low on one source: ratio, at least", f"{ratio:.1f}", "8", ratio, 6.4)
    yield Row("critical and low on one source: ratio, at most", f"{ratio:.1f}", "8", ratio, 9.6, at_most=True)
    held = results["held"][0]
    share, asked = held["the other's requests, of its own pace"], held["requests of the held source"]
    yield Row(
        "two sources, one held: the other's pace, of its own",
        f"{share:.1%}",
        "",
        share,
        0.90 if QUICK else 0.95,
    )
    yield Row("two sources, one held: requests of the held one", f"{asked}", "", asked, 0, at_most=True)
    outage = results["outage"][0]
    asked, allowed = (
        outage["requests during the outage"],
        outage["retries allowed"] + outage["probes allowed"],
    )
    share = asked / allowed
    yield Row(
        "outage of 503: requests during it, of quota and probes",
        f"{asked}",
        f"{allowed:.0f}",
        share,
        1.0,
        at_most=True,
    )
    yield Row("outage of 503: not done at the end", f"{outage['lost']}", "", outage["lost"], 0, at_most=True)
    if QUICK:
        return
    changing = results["changing"][0]
    for what in ("halved", "doubled"):
        figure = changing[f"{what}: goodput"]
        yield Row(f"budget {what}, 30 s later: goodput of it", f"{figure:.0%}", "", figure, 0.80)
        figure = changing[f"{what}: refused"]
        yield Row(f"budget {what}, 30 s later: refused", f"{figure:.2%}", "", figure, 0.02, at_most=True)
    yield Row("budget halved and doubled: lost", f"{changing['lost']}", "", changing["lost"], 0, at_most=True)
    shared = results["shared"][0]
    for what in ("all requests of the budget", "most in 10 s of the budget"):
        yield Row(f"four processes: {what}", f"{shared[what]:.1%}", "", shared[what], 1.05, at_most=True)
    figure = shared["from 15 s after the kill, of the budget"]
    yield Row("four processes, one killed: the others' part 15 s later", f"{figure:.0%}", "", figure, 0.85)
    yield Row("four processes: lost", f"{shared['lost']}", "", shared["lost"], 0, at_most=True)
    slow = results["slow"][0]
    most, late, again = (
        slow["at 3 s: most under way"],
        slow["time-outs"],
        slow["goodput afterwards, of before"],
    )
    yield Row("ever slower host, at 3 s: most under way", f"{most}", "", most, 4, at_most=True)
    yield Row("ever slower host: time-outs", f"{late}", "", late, 0, at_most=True)
    yield Row("ever slower host, well again: goodput of before", f"{again:.0%}", "", again, 0.8)


def _run(jobs: list[tuple[str, Callable[[], T]]], workers: int) -> dict[str, list[T]]:
    results: dict[str, list[T]] = {}
    with ThreadPoolExecutor(workers) as pool:
        futures: list[tuple[str, Future[T]]] = [(name, pool.submit(job)) for name, job in jobs]
        for name, future in futures:
            results.setdefault(name, []).append(future.result())
            print(f"  ... {name}", flush=True)
    return results


def main() -> int:
    bench = Bench("pace")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        only = set(sys.argv[1:])
        parts = [part for part in (budget, hard_cases) if not only or part.__name__ in only]
        # In full one after another, so that nobody is in anybody's way.
        with ThreadPoolExecutor(2 if QUICK else 1) as pool:
            for rows in pool.map(lambda part: list(part(server, folder)), parts):
                for row in rows:
                    bench.add(row)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
