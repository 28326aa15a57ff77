"""One job, and what befalls it: faults of every kind, kills, restarts of Postgres, troubles after which a
person resumes it.

What happens, happens at a share of the job's progress, so that a slow machine meets as much as a fast one.
"""

import contextlib
import random
import re
import shutil
import signal
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import yaml

from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import DatabaseUnavailable
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

ROOT = Path(__file__).parent.parent
_LOOK_S = 0.25
# One parcel in so many meets a fault, of each kind; seconds pass with each that hangs.
_ONE_IN, _ONE_IN_SLOW = 80, 200
# Resumed so often, a job does not end.
_RESUMED_MOST = 30
# Requests a second, below which a source is not slowed down.
_FLOOR = 4.0
# At least so long between two blows.
_APART_S = 1.0
# Met by parcels of their own, so that none is left to chance.
OF_PARCELS = ("hang", "reset", "truncated", "malformed", "soft_404")
OF_SOURCE: dict[str, tuple[str, ...]] = {
    "assessor": ("wrong_parcel", "all_retyped", "retyped_field", "null_answer"),
    "treasurer": ("wrong_parcel", "renamed_heading", "swapped_values", "blank_cell"),
    "recorder": ("wrong_document",),
}
# Over all requests, whoever they are for; the GIS has few, and the first of them meet one each.
_ANYWHERE: dict[str, Any] = {
    "throttled": {"probability": 0.02, "retry_after": "1"},
    "unavailable": 0.02,
    "server_error": 0.01,
}
# A parcel of the treasurer is five requests, and a refusal of one holds the source: his pages are refused as
# often as others' answers.
_OF_PAGES: dict[str, Any] = {
    "treasurer": {
        "throttled": {"probability": 0.02, "retry_after": "1", "kind": "parcel"},
        "unavailable": {"probability": 0.02, "kind": "parcel"},
    }
}
_GIS: dict[str, Any] = {
    name: {"count": 1} for name in ("unavailable", "reset", "malformed", "error_body")
} | {"throttled": {"count": 1, "retry_after": "1"}}
# What a trouble is, and the reason for which a run ends that meets it.
_TROUBLES = {"challenge": ("challenge", "blocked"), "outage": ("server_error", "source_unavailable")}
_LOOK = """
    SELECT j.state, j.verdict, count(t.id), count(t.id) FILTER (WHERE t.state IN ('done', 'gone', 'dead')),
           coalesce((SELECT jsonb_object_agg(source, n) FROM (SELECT source, count(*) AS n FROM crawl.target
                     WHERE job_id = j.id AND state IN ('pending', 'leased') GROUP BY source) o), '{}')
    FROM crawl.job j LEFT JOIN crawl.target t ON t.job_id = j.id WHERE j.id = %s GROUP BY j.id
"""
_ENDED_FOR = (
    "SELECT count(*) FROM crawl.run WHERE job_id = %s AND reason = %s AND %s = ANY (coalesce(sources,"
    " ARRAY[source]))"
)


@dataclass(frozen=True)
class Plan:
    """How large a campaign is. `trouble_s`: seconds for which a challenge or an outage lasts at least;
    `rate`: requests a second and source; `timeout_s`: for one answer; `silence_s`: without an answer, after
    which a run ends; `most_s`: after which the campaign is given up as not ending.
    """

    parcels: int
    absent: int
    kills: int
    browsers: int
    mode: str
    challenged: tuple[str, ...]
    rate: float
    trouble_s: float
    most_s: float
    timeout_s: float = 4.0
    silence_s: float = 6.0

    def events(self) -> list[str]:
        """Return what happens, in order."""
        blows = ["kill"] * self.kills + ["browser"] * self.browsers + ["crash", "stop", "outage recorder"]
        random.Random(1).shuffle(blows)
        for at, source in enumerate(self.challenged):
            blows.insert(1 + 3 * at, f"challenge {source}")
        return blows


@dataclass
class Done:
    """What was done to the job. `faults` counts by (source, name); `unsent` are the events that found nothing
    to happen to.
    """

    kills: int = 0
    browsers: int = 0
    restarts: int = 0
    resumed: int = 0
    adopted: int = 0
    retried: int = 0
    has_ended: bool = False
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    unsent: list[str] = field(default_factory=list)

    def met(self, name: str) -> int:
        """Return how often a fault was met, of any source."""
        return sum(count for (_, one), count in self.faults.items() if one == name)


@dataclass
class _Trouble:
    """Lasts until a run has ended for it."""

    source: str
    fault: str
    reason: str
    since: float
    ended_before: int
    is_felt: bool = False


@dataclass
class _Look:
    state: str
    verdict: str | None
    total: int
    final: int
    open: dict[str, int]


def settings(folder: Path, plan: Plan) -> Path:
    """Return the shipped settings but for short timeouts, a short patience with a source that is down, and a
    rate that stays up.
    """
    shutil.copytree(ROOT / "config", folder)
    config = folder / "config.yaml"
    config.write_text(
        re.sub(r"(?m)^( *(?:api|scraper)_rate_limit): \S+", rf"\1: {_FLOOR}", config.read_text())
    )
    for path in (folder / "sources").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        content["timeout"] = plan.timeout_s
        probe = plan.silence_s / 3
        content["breaker"] = (content.get("breaker") or {}) | {
            "probe_after": probe,
            "probe_most": 2 * probe,
            "silence": plan.silence_s,
        }
        content["rate"] |= {"start": _FLOOR, "floor": _FLOOR, "hold": 0.5, "hold_most": probe}
        if content.get("page"):
            content["page"]["timeouts"] |= {"load": 5, "settle": 5, "close": 3}
        path.write_text(yaml.safe_dump(content))
    return folder


class Campaign:
    """One job, and what befalls it."""

    def __init__(self, plan: Plan, sandbox: SandboxProcess, data: Path, folder: Path, url: str) -> None:
        self.plan, self.sandbox, self.data, self.url = plan, sandbox, data, url
        self.done = Done()
        self.county = County()
        self.apns = self.county.apns(plan.parcels) + self.county.absent(plan.absent)
        self._random = random.Random(1)
        self._troubles: list[_Trouble] = []
        self._settings = {"MARICOPA_RATE_LIMIT": f"{plan.rate:g}"}
        environment = {
            "MARICOPA_DATABASE_URL": url,
            "MARICOPA_SANDBOX": sandbox.url,
            "MARICOPA_DATA_DIR": str(folder / "crawls"),
            "MARICOPA_CONFIG": str(settings(folder / "config", plan)),
        }
        self._spiders = LocalProcesses(folder / "log", self._settings, environment)
        self._manager = self._new_manager()
        self._is_manned = True
        self.job = 0

    def run(self) -> None:
        """Submit the job and see it to its end, with all that befalls it."""
        for source in ("assessor", "treasurer", "recorder"):
            self.sandbox.faults(_ANYWHERE | _OF_PAGES.get(source, {}) | dict(self._of_keys(source)), source)
        self.sandbox.faults(_GIS, "gis")
        self.job = self._manager.submit(self.apns, job_type="comprehensive", processing_mode=self.plan.mode)
        events = self.plan.events()
        marks = [0.85 * (at + 1) / (len(events) + 1) for at in range(len(events))]
        begun = last = time.monotonic()
        while time.monotonic() - begun < self.plan.most_s:
            time.sleep(_LOOK_S)
            look = self._look()
            if look is None:
                continue
            self._end_troubles()
            # What cannot happen yet keeps nothing else from happening.
            due = bisect_right(marks, look.final / max(look.total, 1)) - len(marks) + len(events)
            if look.open and time.monotonic() - last > _APART_S:
                event = next((one for one in events[: max(due, 0)] if self._happens(one, look)), None)
                if event:
                    events.remove(event)
                    last = time.monotonic()
            is_in_trouble = any(trouble.is_felt for trouble in self._troubles)
            if look.state == "finished" and not is_in_trouble and not self._goes_on(look):
                self.done.has_ended = True
                break
            self._look_after_manager(look)
        self.done.unsent = events + [f"{trouble.fault} {trouble.source}" for trouble in self._troubles]
        for source, seen in self.sandbox.stats().items():
            self.done.faults.update({(source, name): count for name, count in seen["faults"].items()})

    def ask_again(self) -> None:
        """The county is well: ask for what was given up, and for what could not be read, and see that to its
        end.
        """
        self.sandbox.clear_faults()
        for unread in (False, True):
            with contextlib.suppress(LedgerError):
                self.done.retried += self._manager.retry(self.job, unread=unread)
                self._manager.wait(self.job, self.plan.most_s)

    def close(self) -> None:
        """Supervise no more."""
        with contextlib.suppress(Exception):
            self._manager.close()

    def _new_manager(self) -> JobManager:
        return JobManager(self.url, executor=self._spiders, sandbox=self.sandbox.url, settings=self._settings)

    def _of_keys(self, source: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield faults, each for parcels (of the recorder: for their deeds) of its own: some meet it until
        they are given up.
        """
        keys: list[str] = self.county.apns(self.plan.parcels)
        if source == "recorder":
            keys = [deed for apn in keys if (deed := self.county.parcel(apn)["Owner"]["MostCurrentDeed"])]
        self._random.shuffle(keys)
        for name in (*OF_PARCELS, *OF_SOURCE[source]):
            count = max(1, self.plan.parcels // (_ONE_IN_SLOW if name == "hang" else _ONE_IN))
            mine, keys = keys[:count], keys[count:]
            # The recorder's API has no pages: one is a challenge, and ends the run.
            most = 1 if (source, name) == ("recorder", "soft_404") else 2 * count
            yield name, {"keys": mine, "count": most}

    def _ask(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        try:
            with contextlib.closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchone()
        except psycopg2.Error:
            return None

    def _look(self) -> _Look | None:
        row = self._ask(_LOOK, self.job)
        return _Look(*row) if row else None

    def _goes_on(self, look: _Look) -> bool:
        """Resume a job that ended before it was complete, as a person would; returns whether there was
        anything left.
        """
        if not look.open or self.done.resumed == _RESUMED_MOST:
            return False
        self.done.resumed += 1
        self._take_up()
        return True

    def _take_up(self) -> None:
        self.close()
        self._is_manned = False
        # The database may be away again.
        with contextlib.suppress(DatabaseUnavailable, LedgerError):
            self._manager = self._new_manager()
            self._manager.resume(self.job)
            self._is_manned = True

    def _look_after_manager(self, look: _Look) -> None:
        if self._is_manned and (look.state == "finished" or self._manager.is_supervised(self.job)):
            try:
                self._manager.check()
            except DatabaseUnavailable as error:
                print(f"  the manager ended: {error}")
            else:
                return
        self.done.adopted += 1
        self._take_up()

    def _end_troubles(self) -> None:
        for trouble in list(self._troubles):
            ended = self._ask(_ENDED_FOR, self.job, trouble.reason, trouble.source)
            trouble.is_felt = trouble.is_felt or (ended is not None and ended[0] > trouble.ended_before)
            if trouble.is_felt and time.monotonic() - trouble.since > self.plan.trouble_s:
                self.sandbox.faults({trouble.fault: _ANYWHERE.get(trouble.fault, 0.0)}, trouble.source)
                self._troubles.remove(trouble)

    def _happens(self, event: str, look: _Look) -> bool:
        """Let it happen; returns whether there was something for it to happen to."""
        what, _, source = event.partition(" ")
        if what in _TROUBLES:
            fault, reason = _TROUBLES[what]
            before = self._ask(_ENDED_FOR, self.job, reason, source)
            if (
                before is None
                or not look.open.get(source)
                or any(one.source == source for one in self._troubles)
            ):
                return False
            self.sandbox.faults({fault: 1.0}, source)
            self._troubles.append(_Trouble(source, fault, reason, time.monotonic(), before[0]))
            return True
        if what in ("kill", "browser"):
            return self._kill(what)
        self._restart(in_order=what == "stop")
        return True

    def _kill(self, what: str) -> bool:
        """Kill one of our own runs, or a process of a browser of one."""
        runs = [one for one in _children(psutil.Process()) if _command(one, "crawl")]
        found = (
            runs
            if what == "kill"
            else [child for run in runs for child in _children(run) if _command(child, "chrom")]
        )
        if not found:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self._random.choice(found).send_signal(signal.SIGKILL)
            if what == "kill":
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
            time.sleep(_APART_S)
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
