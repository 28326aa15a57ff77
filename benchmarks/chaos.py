"""`make chaos`: a comprehensive job with every fault at once, Postgres restarted, spiders and browsers killed: nothing is lost or wrong.

Runs that end because the county refuses (a challenge, a source that is down) are resumed once that is over, as a person would.
"""

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import yaml

from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.download.browser_launch import NoBrowser, check
from maricopa_scrapy.manager.local import LocalProcesses
from maricopa_scrapy.manager.manager import JobManager
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.settings_files import BrowserSettings
from maricopa_scrapy.store import embedded, verify
from maricopa_scrapy.store.connect import Session, migrate
from tests.conftest import Database
from tests.taxes import differences

ROOT = Path(__file__).parent.parent
PARCELS = int(os.environ.get("PARCELS", "0")) or (100 if QUICK else 1000)
KILLS = 4 if QUICK else 10
MOST_S = 240.0 if QUICK else 1500.0
EVERY_S = 4.0 if QUICK else 8.0
FAULTS: dict[str, Any] = {
    "throttled": {"probability": 0.02, "retry_after": "1"}, "unavailable": 0.02, "server_error": 0.01, "hang": 0.006, "reset": 0.02,
    "truncated": 0.02, "malformed": 0.02, "soft_404": 0.01,
}  # fmt: skip
OF_SOURCE: dict[str, dict[str, Any]] = {
    "assessor": {"wrong_parcel": 0.02, "renamed_field": 0.02, "retyped_field": 0.01, "null_answer": 0.01},
    "recorder": {"wrong_document": 0.02},
    "treasurer": {"wrong_parcel": 0.02, "renamed_heading": 0.02, "swapped_values": 0.01, "blank_cell": 0.01},
    "gis": {"error_body": 0.05},
}


@dataclass
class Done:
    """What was done to the job, and what is left of it."""

    kills: int = 0
    browsers: int = 0
    restarts: int = 0
    resumed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def settings(folder: Path) -> Path:
    """Return the shipped settings but for short timeouts and quick second tries."""
    shutil.copytree(ROOT / "config", folder)
    for path in (folder / "sources").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        content["timeout"] = 4
        if content.get("page"):
            content["page"]["timeouts"] |= {"load": 5, "settle": 5, "close": 3}
        path.write_text(yaml.safe_dump(content))
    return folder


def browser() -> bool:
    """Whether the treasurer's pages can be read here."""
    try:
        check(BrowserSettings())
    except NoBrowser:
        return False
    return True


class Campaign:
    """One job, and what befalls it."""

    def __init__(self, sandbox: SandboxProcess, data: Path, folder: Path, url: str) -> None:
        self.sandbox, self.data, self.folder, self.url = sandbox, data, folder, url
        self.done = Done()
        self._random = random.Random(1)
        environment = {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url, "MARICOPA_CONFIG": str(settings(folder / "config")),
                       "MARICOPA_DATA_DIR": str(folder / "crawls")}  # fmt: skip
        self._spiders = LocalProcesses(folder / "log", {"MARICOPA_RATE_LIMIT": "40"}, environment)

    def manager(self) -> JobManager:
        """Return a manager of its own: one that lost its database is let go."""
        return JobManager(self.url, executor=self._spiders, sandbox=self.sandbox.url, settings={"MARICOPA_RATE_LIMIT": "40"})

    def run(self) -> int:
        """Submit the job and see it to its end; returns its id."""
        for source in ("assessor", "treasurer", "recorder", "gis"):
            self.sandbox.faults(FAULTS | OF_SOURCE.get(source, {}), source)
        manager = self.manager()
        job = manager.submit(County().apns(PARCELS), job_type="comprehensive", processing_mode="parallel_all")
        begun = last = time.monotonic()
        events = ["kill"] * KILLS + ["crash", "stop", "challenge", "browser", "browser"]
        self._random.shuffle(events)
        while time.monotonic() - begun < MOST_S:
            time.sleep(0.3)
            if events and time.monotonic() - last > EVERY_S and self._happens(events[-1]):
                events.pop()
                last = time.monotonic()
            ended = self._verdict(job)
            if not events and ended:
                # The county is well again; what was given up meanwhile is asked for once more.
                self._note_faults()
                self.sandbox.clear_faults()
            if ended == "completed" and not events:
                break
            if ended:
                manager = self._again(manager, job, is_over=not events)
        with contextlib.suppress(Exception):
            manager.close()
        self._note_faults()
        return job

    def _again(self, manager: JobManager, job: int, is_over: bool) -> JobManager:
        with contextlib.suppress(Exception):
            manager.close()
        fresh = self.manager()
        self.done.resumed += 1
        if not fresh.resume(job) and is_over:
            fresh.retry(job)
        return fresh

    def _verdict(self, job: int) -> str | None:
        try:
            connection = psycopg2.connect(self.url)
        except psycopg2.OperationalError:
            return None
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT state, verdict FROM crawl.job WHERE id = %s", (job,))
            state, verdict = cursor.fetchone() or (None, None)
        except psycopg2.Error:
            return None
        finally:
            connection.close()
        return str(verdict) if state == "finished" else None

    def _note_faults(self) -> None:
        seen = Counter[str]()
        for source in self.sandbox.stats().values():
            seen.update(source["faults"])
        self.done.faults |= seen

    def _happens(self, event: str) -> bool:
        if event == "kill":
            return self._kill("scrapy")
        if event == "browser":
            return self._kill("chrom") or not browser()
        if event == "challenge":
            for source in ("assessor", "recorder"):
                self.sandbox.faults({"challenge": {"seconds": 10}}, source)
            return True
        self._restart(in_order=event == "stop")
        return True

    def _kill(self, what: str) -> bool:
        """Kill one of our own runs, or a browser of one."""
        runs = [one for one in _children(psutil.Process()) if _command(one, "crawl")]
        found = runs if what == "scrapy" else [child for run in runs for child in _children(run) if _command(child, what)]
        if not found:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self._random.choice(found).send_signal(signal.SIGKILL)
        if what == "scrapy":
            self.done.kills += 1
        else:
            self.done.browsers += 1
        return True

    def _restart(self, in_order: bool) -> None:
        postmaster = psutil.Process(int((self.data / "postgres" / "postmaster.pid").read_text().split()[0]))
        if in_order:
            postmaster.send_signal(signal.SIGINT)
            with contextlib.suppress(psutil.TimeoutExpired):
                postmaster.wait(20)
            embedded.start(self.data)
        else:
            # A backend that is killed takes all others with it: Postgres recovers from its log.
            connection = psycopg2.connect(self.url)
            psutil.Process(connection.info.backend_pid).send_signal(signal.SIGKILL)
        self.done.restarts += 1


def _command(process: psutil.Process, word: str) -> bool:
    try:
        return any(word in part for part in process.cmdline()[:4])
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


_ROWS = """
    SELECT p.apn, p.property_address, o.ownership, o.deed_number, o.sale_price,
           ARRAY(SELECT full_cash_value FROM assessor.valuation v WHERE v.apn = p.apn ORDER BY tax_year DESC)
    FROM assessor.parcel p JOIN assessor.owner o USING (apn)
"""


def wrong(stored: Database, apns: list[str], with_taxes: bool) -> list[str]:
    """Return the parcels whose rows are not what the county says."""
    county = County()
    rows = {apn: tuple(values) for apn, *values in stored.rows(_ROWS)}
    return [apn for apn in apns if apn in rows and rows[apn] != _truth(county.parcel(apn))] + (
        differences(stored, county, apns) if with_taxes else []
    )


def _truth(raw: dict[str, Any]) -> tuple[Any, ...]:
    owner = raw["Owner"]

    def number(text: str | None) -> int | None:
        return int(text) if text and text.strip().isdigit() else None

    def text(value: str | None) -> str | None:
        return (value or "").strip() or None

    values = sorted(((int(one["TaxYear"]), number(one["FullCashValue"])) for one in raw["Valuations"]), reverse=True)
    return (
        text(raw["PropertyAddress"]), text(owner["Ownership"]), text(owner["MostCurrentDeed"]), number(owner["SalePrice"]),
        [value for _, value in values],
    )  # fmt: skip


def campaign(data: Path, folder: Path, url: str) -> tuple[Done, Counter[tuple[str, str]], list[str]]:
    """Run it; returns what was done, the final states by source, and what `maricopa verify` says."""
    apns = County().apns(PARCELS)
    with SandboxProcess(gis_parcels=2 * PARCELS, latency=0.05) as sandbox:
        one = Campaign(sandbox, data, folder, url)
        job = one.run()
    stored = Database(url)
    states = Counter({(source, state): count for source, state, count in stored.rows(
        "SELECT source, state, count(*) FROM crawl.target WHERE job_id = %s GROUP BY 1, 2", job)})  # fmt: skip
    has_taxes = states[("treasurer", "done")] == PARCELS
    one.done.wrong = wrong(stored, apns, has_taxes)
    session = Session(url)
    problems = [str(problem) for problem in verify.problems(session)]
    session.close()
    return one.done, states, problems


def main() -> int:
    bench = Bench("chaos")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="maricopa-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = folder / "data"
        server = embedded.start(data)
        try:
            migrate(server)
            done, states, problems = campaign(data, folder, server)
        finally:
            if os.environ.get("KEEP"):
                shutil.copytree(folder / "log", os.environ["KEEP"], dirs_exist_ok=True)
            embedded.release(data)
    bench.add(Row("seconds", f"{time.monotonic() - begun:.0f}"))
    for fault, count in sorted(done.faults.items()):
        bench.add(Row(f"fault {fault}", f"{count}"))
    bench.add(Row("spiders killed", f"{done.kills}", "", done.kills, KILLS))
    bench.add(Row("browsers killed", f"{done.browsers}"))
    bench.add(Row("Postgres restarted", f"{done.restarts}", "", done.restarts, 2))
    bench.add(Row("resumed or retried by the campaign", f"{done.resumed}"))
    total = states.total()
    final = sum(count for (_, state), count in states.items() if state in ("done", "gone"))
    for (source, state), count in sorted(states.items()):
        bench.add(Row(f"{source}: {state}", f"{count}"))
    bench.add(Row("survived", f"{final} of {total}"))
    dead = sum(count for (_, state), count in states.items() if state == "dead")
    bench.add(Row("lost (neither done nor gone, and no cause named)", f"{total - final - dead}", "", total - final - dead, 0, at_most=True))
    bench.add(Row("wrong", f"{len(done.wrong)}", "", len(done.wrong), 0, at_most=True))
    bench.add(Row("problems that verify names", f"{len(problems)}", "", len(problems), 0, at_most=True))
    for line in [*done.wrong[:5], *problems[:10]]:
        print(f"  {line}")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
