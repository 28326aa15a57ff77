"""`make bench-scrapyd`: two real scrapyd nodes on this machine, one Postgres; one node is killed while a job
runs on both.

What was asked, and how fast, was counted by the sandbox county. The tests run the same cases in a small form.
"""

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.pace_cases import ROOT, Place, place, seen
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.jobs.deploy import deploy
from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.nodes import Nodes
from maricopa_scrapy.jobs.scrapyd import ScrapydNode
from maricopa_scrapy.sandbox.county.county import County

USER, PASSWORD = "maricopa", "p@ss/word:1"
# Smaller in the short run, so that ten seconds are not all of it.
RATE = 25.0 if QUICK else 50.0
PARCELS = 400 if QUICK else 2_000
_START_S = 60.0
_SLOW_S = 3.0


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Scrapyd:
    """A scrapyd process with the shipped examples/scrapyd.conf, but for `options`; a context manager."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    user: str = USER
    password: str = PASSWORD
    url: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    _crawls: list[psutil.Process] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        if importlib.util.find_spec("scrapyd") is None:
            raise RuntimeError(
                "scrapyd is not installed in this Python; `make setup` installs it from requirements-dev.txt,"
                " from a package index"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        shipped = (ROOT / "examples" / "scrapyd.conf").read_text()
        for name, value in self.options.items():
            shipped = re.sub(rf"(?m)^{name} =.*", f"{name} = {value}", shipped)
        (self.folder / "scrapyd.conf").write_text(shipped)
        for _ in range(3):
            if self._answers():
                return self
        raise RuntimeError(f"scrapyd does not start:\n{self.log()[-3000:]}")

    def _answers(self) -> bool:
        port = _free_port()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MARICOPA_", "SCRAPY"))
        }
        # HOME: a user's own ~/.scrapyd.conf must not have its say.
        environment |= {"HOME": str(self.folder), "SCRAPYD_HTTP_PORT": str(port)} | self.environment
        environment |= {"SCRAPYD_USERNAME": self.user, "SCRAPYD_PASSWORD": self.password}
        with (self.folder / "scrapyd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scrapyd"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(NodeError):
                self.node().daemon_status()
                return True
            time.sleep(0.1)
        self.kill()
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_with_crawls()

    def node(self, **settings: str) -> ScrapydNode:
        return ScrapydNode(self.url, self.user, self.password, settings)

    def crawls(self) -> list[psutil.Process]:
        """The crawls that it started and that still run, whether or not it still runs itself."""
        if self.process and self.process.poll() is None:
            self._crawls += [
                child for child in psutil.Process(self.process.pid).children() if child not in self._crawls
            ]
        return [crawl for crawl in self._crawls if _runs(crawl)]

    def kill(self) -> None:
        """Kill -9 of scrapyd alone; its crawls go on as orphans."""
        self.crawls()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def kill_with_crawls(self) -> None:
        """Kill -9 of scrapyd and of its crawls."""
        self.kill()
        for crawl in self.crawls():
            with contextlib.suppress(psutil.NoSuchProcess):
                crawl.kill()

    def log(self) -> str:
        """Its own log, and those of its crawls."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.rglob("*.log")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def two_nodes(here: Place, rate: float) -> Iterator[tuple[Scrapyd, Scrapyd, Nodes]]:
    """Two nodes with the project deployed, and both as one place to start spiders, at `rate` requests per
    second.
    """
    environment = {"MARICOPA_DATABASE_URL": here.url, "MARICOPA_SANDBOX": here.sandbox.url}
    with (
        Scrapyd(here.folder / "first", environment) as first,
        Scrapyd(here.folder / "second", environment) as second,
    ):
        for one in (first, second):
            deploy(one.node())
        yield first, second, Nodes([one.node(MARICOPA_RATE_LIMIT=str(rate)) for one in (first, second)])


def node_lost(server: str, folder: Path, parcels: int, rate: float, runs: int = 2) -> dict[str, Any]:
    """Kill -9 of one node, its scrapyd and its crawl, when a fifth is done; of two runs the other goes on
    meanwhile.
    """
    with (
        place(server, folder, f"node_lost_{runs}", rate=rate, burst=rate / 2) as here,
        two_nodes(here, rate) as (first, second, nodes),
        _job(here, nodes, parcels, runs, first, second) as manager,
    ):
        killed, done_before = time.time(), _done(here)
        first.kill_with_crawls()
        verdict = manager.wait(1, 120 + 3 * parcels / rate).verdict
        left = len(first.crawls()) + len(second.crawls())
        return _figures(here, parcels, rate, killed) | {
            "verdict": verdict,
            "done at the kill": done_before,
            "crawls left": left,
        }


def scrapyd_lost(server: str, folder: Path, parcels: int, rate: float) -> dict[str, Any]:
    """Kill -9 of one scrapyd alone, when a fifth is done: its crawl goes on next to the other node's."""
    with (
        place(server, folder, "scrapyd_lost", rate=rate, burst=rate / 2) as here,
        two_nodes(here, rate) as (first, second, nodes),
        _job(here, nodes, parcels, 2, first, second) as manager,
    ):
        killed, done_before = time.time(), _done(here)
        first.kill()
        orphans = len(first.crawls())
        verdict = manager.wait(1, 120 + 3 * parcels / rate).verdict
        _wait("its crawl", lambda: not first.crawls(), first, second)
        return _figures(here, parcels, rate, killed) | {
            "verdict": verdict,
            "done at the kill": done_before,
            "crawls that went on": orphans,
        }


@contextlib.contextmanager
def _job(here: Place, nodes: Nodes, parcels: int, runs: int, *processes: Scrapyd) -> Iterator[JobManager]:
    """A job on the nodes, from when all of its runs are at work and a fifth is done. Until then the county is
    slow: no run has it all.
    """
    with JobManager(here.url, executor=nodes, sandbox=here.sandbox.url, runs_per_source=runs) as manager:
        here.sandbox.conduct(latency=_SLOW_S)
        manager.submit(County().apns(parcels), processing_mode="api_only")
        at_work = "SELECT 1 FROM crawl.run r WHERE EXISTS (SELECT FROM crawl.target t WHERE t.run_id = r.id)"
        _wait("all runs at work", lambda: len(here.rows(at_work)) == runs, *processes)
        here.sandbox.conduct(latency=0.0)
        _wait("a fifth", lambda: _done(here) >= parcels / 5, *processes)
        yield manager


def _figures(here: Place, parcels: int, rate: float, killed: float) -> dict[str, Any]:
    stats, counted = here.sandbox.stats()["assessor"], seen(here.sandbox)
    after = [at for at in counted.answered if at > killed]
    return {
        "lost": parcels - _done(here),
        "runs": sorted(here.rows("SELECT state, verdict FROM crawl.run"), key=str),
        "fetched again": sum(stats["fetched"].values()) - parcels,
        "most in 10 s of the budget": counted.most_per_second(10) / rate,
        "refused": len(counted.refused),
        "longest pause after the kill": max(
            (b - a for a, b in zip([killed, *after], after, strict=False)), default=0.0
        ),
        "seconds": counted.answered[-1] - counted.answered[0],
    }


def _wait(what: str, is_so: Callable[[], bool], *nodes: Scrapyd, timeout: float = 120) -> None:
    until = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > until:
            logs = "\n".join(node.log()[-3000:] for node in nodes)
            raise TimeoutError(f"{what}: waited {timeout:.0f} s in vain; the logs:\n{logs}")
        time.sleep(0.2)


def _done(here: Place) -> int:
    return int(here.rows("SELECT count(*) FROM crawl.target WHERE state = 'done'")[0][0])


def cases(server: str, folder: Path) -> Iterator[Row]:
    """The rows of all cases, which run side by side; for other benches too."""
    with ThreadPoolExecutor(3 if QUICK else 1) as pool:
        lost = pool.submit(node_lost, server, folder, PARCELS, RATE)
        alone = pool.submit(node_lost, server, folder, PARCELS // 4, RATE, 1)
        orphan = pool.submit(scrapyd_lost, server, folder, PARCELS, RATE)
        for name, figures in (
            (f"{PARCELS:,} parcels, 2 nodes, one killed with its crawl", lost.result()),
            (f"{PARCELS // 4:,} parcels, 1 node killed, another run started", alone.result()),
            (f"{PARCELS:,} parcels, 2 nodes, one scrapyd killed alone", orphan.result()),
        ):
            yield Row(
                f"{name}: lost",
                f"{figures['lost']} ({figures['verdict']})",
                "",
                figures["lost"],
                0,
                at_most=True,
            )
            share = figures["most in 10 s of the budget"]
            yield Row(f"{name}: most in 10 s, of {RATE:.0f}/s", f"{share:.1%}", "", share, 1.05, at_most=True)
            again = figures["fetched again"]
            is_bar = "alone" in name
            yield Row(
                f"{name}: fetched again",
                f"{again}",
                "",
                again if is_bar else None,
                0 if is_bar else None,
                at_most=True,
            )
            pause = figures["longest pause after the kill"]
            yield Row(f"{name}: longest pause after it", f"{pause:.1f} s, {figures['seconds']:.0f} s in all")
        figures = orphan.result()
        closed = sum(run == ("closed", "completed") for run in figures["runs"])
        yield Row("one scrapyd killed alone: runs that ended as completed", f"{closed}", "2", closed / 2, 1.0)


def main() -> int:
    bench = Bench("scrapyd")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        try:
            for row in cases(server, folder):
                bench.add(row)
        finally:
            embedded.release(folder / "data")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
