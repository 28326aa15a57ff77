"""The cases of the pace: each a real crawl, or several, against a sandbox county; what they return was
counted by the server.

`make bench-pace` runs them in full, the tests in a small form.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from benchmarks.assessor import database
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

ROOT = Path(__file__).parent.parent
CEILING = 500.0
_STOP_S = 30.0
# As shipped (config/sources/assessor.yaml).
_BREAKER_FAILURES = 10


@dataclass
class Seen:
    """What the server counted of one run: answers, refusals (both seconds since 1970), requests, the most
    under way at once.
    """

    answered: list[float]
    refused: list[float]
    requests: int
    got: int
    peak: int

    def goodput(self, skipping: int = 0) -> float:
        """Answers a second after the first so many."""
        times = self.answered[skipping:]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def between(self, begin: float, end: float) -> tuple[float, float]:
        """Answers a second, and refusals as a part of all requests, from `begin` to `end`."""
        answers = sum(begin <= at < end for at in self.answered)
        refusals = sum(begin <= at < end for at in self.refused)
        return answers / (end - begin), refusals / max(1, answers + refusals)

    def most_per_second(self, window: float) -> float:
        """The highest rate of requests over any `window` seconds."""
        times = sorted(self.answered + self.refused)
        most, first = 0, 0
        for last, at in enumerate(times):
            while times[first] < at - window:
                first += 1
            most = max(most, last - first)
        return most / window


def seen(sandbox: SandboxProcess) -> Seen:
    stats = sandbox.stats()["assessor"]
    return Seen(
        stats["answered_at"],
        stats["refused_at"],
        stats["requests"],
        len(stats["fetched"]),
        stats["in_flight_peak"],
    )


@dataclass
class Place:
    """A database of its own, and what a crawl is started with."""

    url: str
    folder: Path
    sandbox: SandboxProcess
    environment: dict[str, str] = field(default_factory=dict)
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def crawl(
        self, *arguments: str, ceiling: float = CEILING, pinned: float | None = None, spider: str = "assessor"
    ) -> "subprocess.Popen[bytes]":
        """Start `scrapy crawl`; its log goes to the folder. `pinned`: start at the ceiling."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")}
        environment |= {
            "MARICOPA_DATABASE_URL": self.url,
            "MARICOPA_SANDBOX": self.sandbox.url,
        } | self.environment
        log = (self.folder / f"crawl-{len(self.started)}.log").open("wb")
        rate = f"MARICOPA_RATE_LIMIT={pinned}" if pinned else f"MARICOPA_RATE_CEILING={ceiling}"
        pairs = [part for argument in arguments for part in ("-a", argument)]
        process = subprocess.Popen(
            [sys.executable, "-m", "scrapy", "crawl", spider, *pairs, "-s", rate],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        return process

    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("crawl-*.log")))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.url)
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall()
        finally:
            connection.close()

    def lost(self) -> int:
        """Targets that are not done."""
        ((count,),) = self.rows("SELECT count(*) FROM crawl.target WHERE state <> 'done'")
        return int(count)

    def apns(self, count: int, skip: int = 0) -> str:
        """Write a list of parcels; returns the argument that names it."""
        path = self.folder / f"apns-{skip}.txt"
        path.write_text("\n".join(County().apns(skip + count)[skip:]) + "\n")
        return f"apns={path}"

    def finish(self, timeout: float) -> None:
        for process in self.started:
            process.wait(timeout)

    def wait_for(self, what: Callable[[], bool], timeout: float) -> None:
        until = time.monotonic() + timeout
        while not what():
            if time.monotonic() > until:
                raise TimeoutError(f"waited {timeout:.0f} s in vain; the log:\n{self.log()[-3000:]}")
            time.sleep(0.1)


@contextlib.contextmanager
def place(
    server: str,
    folder: Path,
    name: str,
    manifest: dict[str, Any] | None = None,
    page: int | None = None,
    **options: Any,
) -> Iterator[Place]:
    """A fresh database, a sandbox county, and a folder of settings when `manifest` changes the assessor's,
    `page` the layers' rows.
    """
    mine = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    environment = {}
    if manifest or page:
        shutil.copytree(ROOT / "config", mine / "config")
        path = mine / "config" / "sources" / "assessor.yaml"
        changed = yaml.safe_load(path.read_text())
        for key, value in (manifest or {}).items():
            changed[key] = changed[key] | value if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(changed))
        layers = mine / "config" / "sources" / "gis.yaml"
        if page:
            layers.write_text(re.sub(r"(?m)^    page: \d+", f"    page: {page}", layers.read_text()))
        environment["MARICOPA_CONFIG"] = str(mine / "config")
    with database(server, f"pace_{name}") as url, SandboxProcess(track=True, **options) as sandbox:
        here = Place(url, mine, sandbox, environment)
        try:
            yield here
        finally:
            for process in here.started:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()


def peer(
    folder: Path,
    name: str,
    parcels: int,
    module: str,
    *arguments: str,
    timeout: float = 600,
    python: str = sys.executable,
    **options: Any,
) -> Seen:
    """Another crawler, a module of this folder, on the same parcels, by the Python that has it."""
    mine = folder / name
    mine.mkdir()
    path = mine / "apns.txt"
    path.write_text("\n".join(County().apns(parcels)) + "\n")
    with SandboxProcess(track=True, **options) as sandbox, (mine / "log").open("wb") as log:
        command = [python, "-m", f"benchmarks.{module}", f"{sandbox.url}/assessor", str(path), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return seen(sandbox)


def stock(
    folder: Path, name: str, parcels: int, settings: dict[str, Any], timeout: float = 600, **options: Any
) -> Seen:
    """Stock Scrapy with these settings."""
    return peer(folder, name, parcels, "stock", json.dumps(settings), timeout=timeout, **options)


def oracle(folder: Path, name: str, parcels: int, **options: Any) -> Seen:
    """Scrapy that was told the budget."""
    settings = {
        "DOWNLOAD_DELAY": 1 / options["rate"],
        "DOWNLOAD_DELAY_JITTER": 0,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
    }
    return stock(folder, name, parcels, settings, **options)


def ours(
    server: str, folder: Path, name: str, parcels: int, timeout: float = 600, **options: Any
) -> tuple[Seen, int]:
    """Our crawl from a cold start: what was seen, and how many parcels were lost."""
    with place(server, folder, name, **options) as here:
        here.crawl(here.apns(parcels))
        here.finish(timeout)
        return seen(here.sandbox), here.lost()


def changing_budget(
    server: str, folder: Path, budget: float, settle: float, parts: tuple[float, float, float]
) -> dict[str, float]:
    """The budget halves, then doubles. From `settle` seconds after each change: goodput as a part of the
    budget, and refusals.
    """
    begin, half, full = parts
    with place(server, folder, "changing", rate=budget, burst=budget / 5, retry_after="seconds") as here:
        parcels = int(budget * (begin + half / 2 + full) * 1.1)
        process = here.crawl(here.apns(parcels))
        here.wait_for(lambda: here.sandbox.stats()["assessor"]["requests"] > 0, 180)
        figures: dict[str, float] = {}
        time.sleep(begin)
        for what, rate, seconds in (("halved", budget / 2, half), ("doubled", budget, full)):
            here.sandbox.conduct(rate=rate, burst=rate / 5)
            changed = time.time()
            time.sleep(seconds)
            goodput, refused = seen(here.sandbox).between(changed + settle, changed + seconds)
            figures |= {f"{what}: goodput": goodput / rate, f"{what}: refused": refused}
        # The rest of the list, as fast as it goes.
        here.sandbox.conduct(rate=None, burst=None)
        process.wait(300)
        return figures | {"lost": here.lost()}


def shared_budget(
    server: str, folder: Path, budget: float, seconds: float, processes: int = 4
) -> dict[str, float]:
    """Several processes on one job and one budget; one is killed half way."""
    with place(
        server, folder, "shared", rate=budget, burst=max(1, budget / 2), retry_after="seconds"
    ) as here:
        here.crawl(here.apns(int(budget * seconds * 1.2)))
        here.wait_for(lambda: bool(here.rows("SELECT 1 FROM crawl.run")), 180)
        for _ in range(processes - 1):
            here.crawl("job=1")
        here.wait_for(lambda: len(here.rows("SELECT 1 FROM crawl.run")) == processes, 180)
        begun = time.time()
        time.sleep(seconds / 2)
        here.started[1].send_signal(signal.SIGKILL)
        killed = time.time()
        time.sleep(seconds / 2)
        counted = seen(here.sandbox)
        whole = [at for at in counted.answered + counted.refused if begun <= at <= killed]
        after, _ = counted.between(killed + 15, time.time())
        here.sandbox.conduct(rate=None, burst=None)
        here.finish(300)
        return {
            "all requests of the budget": len(whole) / (killed - begun) / budget,
            "most in 10 s of the budget": counted.most_per_second(10) / budget,
            "from 15 s after the kill, of the budget": after / budget,
            "lost": here.lost(),
        }


def slow_host(
    server: str, folder: Path, ramp: float, plateau: float, concurrency: int = 8
) -> dict[str, float]:
    """The host takes ever longer, 100 ms to 3 s, then answers as before."""
    with place(server, folder, "slow", {"concurrency": concurrency}, latency=0.1) as here:
        process = here.crawl(here.apns(int(40 * (60 + ramp + plateau))), ceiling=40)
        here.wait_for(lambda: here.sandbox.stats()["assessor"]["requests"] > 100, 180)
        time.sleep(5)
        before, _ = seen(here.sandbox).between(time.time() - 5, time.time())
        steps = 15
        for step in range(1, steps + 1):
            here.sandbox.conduct(latency=0.1 + 2.9 * step / steps)
            time.sleep(ramp / steps)
        time.sleep(plateau / 2)
        here.sandbox.reset()
        time.sleep(plateau / 2)
        slow = seen(here.sandbox)
        here.sandbox.conduct(latency=0.1)
        time.sleep(15)
        again, _ = seen(here.sandbox).between(time.time() - 5, time.time())
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_S)
        ((late,),) = here.rows(
            "SELECT count(*) FROM crawl.target WHERE failures ? 'timeout' OR cause = 'timeout'"
        )
        return {
            "at 3 s: most under way": slow.peak,
            "time-outs": late,
            "goodput afterwards, of before": again / before,
        }


def outage(
    server: str, folder: Path, seconds: float, parcels: int = 400, fault: str = "unavailable"
) -> dict[str, float]:
    """A source that answers nothing but errors for a while. The clock of holds and probes is shortened as the
    outage is.
    """
    shorter = seconds / 300
    manifest = {
        "rate": {"hold": 0.5, "hold_most": 60 * shorter},
        "breaker": {"probe_after": 5 * shorter, "probe_most": 60 * shorter},
    }
    with place(server, folder, f"outage_{fault}", manifest) as here:
        here.crawl(here.apns(parcels), ceiling=30)
        here.wait_for(lambda: here.sandbox.stats()["assessor"]["requests"] > parcels // 4, 180)
        before = here.sandbox.stats()["assessor"]
        here.sandbox.faults({fault: {"probability": 1.0, "seconds": seconds}})
        time.sleep(seconds)
        during = here.sandbox.stats()["assessor"]
        here.finish(300)
        after = here.sandbox.stats()["assessor"]
        answers = before["by_status"].get("200", 0)
        # What was under way when it began; a refusal, or as many errors as open the breaker; then one request
        # a hold, of which each is twice as long as the one before.
        is_refusal = fault in ("unavailable", "throttled")
        probes = before["in_flight_peak"] + (1 if is_refusal else _BREAKER_FAILURES)
        hold, most = (
            (manifest["rate"][k] for k in ("hold", "hold_most"))
            if is_refusal
            else manifest["breaker"].values()
        )
        passed = 0.0
        while passed < seconds:
            probes, passed, hold = probes + 1, passed + hold, min(2 * hold, most)
        return {
            "requests during the outage": during["requests"] - before["requests"],
            "retries allowed": max(10.0, 0.1 * answers),
            "probes allowed": probes,
            "requests in all": after["requests"],
            "lost": here.lost(),
        }


def cap(server: str, folder: Path, latency: float, parcels: int, concurrency: int = 4) -> dict[str, float]:
    """The width of a source, at full speed."""
    with place(
        server, folder, f"cap_{int(latency * 1000)}", {"concurrency": concurrency}, latency=latency
    ) as here:
        process = here.crawl(here.apns(parcels), pinned=CEILING)
        process.wait(300)
        return {"most under way": seen(here.sandbox).peak, "lost": here.lost()}


def priorities(server: str, folder: Path, rate: float, seconds: float) -> dict[str, float]:
    """A critical and a low job on one source: requests of each, by the parcels that the server counted."""
    with place(server, folder, "priorities") as here:
        half = int(rate * (seconds + 30))
        second = set(County().apns(2 * half)[half:])
        here.crawl(here.apns(half), "priority=critical", pinned=rate)
        here.crawl(here.apns(half, skip=half), "priority=low", pinned=rate)
        here.wait_for(lambda: len(here.rows("SELECT 1 FROM crawl.share WHERE wants")) == 2, 180)
        time.sleep(3)
        here.sandbox.reset()
        begun = time.time()
        time.sleep(seconds)
        fetched = here.sandbox.stats()["assessor"]["fetched"]
        took = time.time() - begun
        low = sum(count for apn, count in fetched.items() if apn in second)
        critical = sum(fetched.values()) - low
        return {
            "critical : low": critical / max(1, low),
            "low": low,
            "both, of the rate": (critical + low) / took / rate,
        }


def one_held(server: str, folder: Path, seconds: float, rate: float = 10.0) -> dict[str, float]:
    """Two sources at once; the assessor asks for `seconds` of rest. What the GIS is asked meanwhile, of what
    it was asked before.
    """
    rows = 50
    with place(server, folder, "held", page=rows, gis_parcels=int(rate * rows * (2 * seconds + 40))) as here:
        here.crawl(here.apns(int(rate * (seconds + 40))), pinned=rate)
        here.crawl(pinned=rate, spider="roll")
        here.wait_for(
            lambda: all(here.sandbox.stats()[source]["requests"] > 30 for source in ("assessor", "gis")), 180
        )
        asked = here.sandbox.stats()["gis"]["requests"]
        time.sleep(seconds)
        own = here.sandbox.stats()["gis"]["requests"] - asked
        here.sandbox.faults(
            {"throttled": {"probability": 1.0, "count": 1, "retry_after": str(int(seconds) + 3)}}
        )
        here.wait_for(lambda: here.sandbox.stats()["assessor"]["refused"] == 1, 60)
        # What was under way when it was refused.
        time.sleep(1)
        before = here.sandbox.stats()
        time.sleep(seconds)
        after = here.sandbox.stats()
        return {
            "the other's requests, of its own pace": (
                (after["gis"]["requests"] - before["gis"]["requests"]) / own
            ),
            "its own pace, of the rate": own / seconds / rate,
            "requests of the held source": after["assessor"]["requests"] - before["assessor"]["requests"],
        }
