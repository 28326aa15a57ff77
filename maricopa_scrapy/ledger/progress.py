"""How a job stands, read from the ledger alone: what is done of what, the pace, the traffic, and when it may
end.
"""

import datetime as dt
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import dicts, named
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.ledger.lost_runs import SILENCE_S
from maricopa_scrapy.ledger.response_times import merged, quantile
from maricopa_scrapy.ledger.verdict import Counts, tallied

_JOB = """
    SELECT j.type, j.mode, j.execution, j.priority, j.state, j.requested_state, j.verdict, j.reason,
        j.shortfall, j.parameters,
           j.created_at,
           j.started_at, j.finished_at,
           coalesce(extract(epoch FROM coalesce(j.finished_at, now()) - j.started_at), 0)::double precision
               AS seconds,
           coalesce(j.supervised_at > now() - make_interval(secs => %(silence)s), false) AS is_supervised
    FROM crawl.job j WHERE j.id = %(job)s
"""
_TARGETS = (
    "SELECT source, state, count(*), count(unread) AS unread FROM crawl.target WHERE job_id = %(job)s GROUP"
    " BY source, state"
)
_CAUSES = (
    "SELECT cause, count(*) FROM crawl.target WHERE job_id = %(job)s AND state = 'dead' GROUP BY cause ORDER"
    " BY 2 DESC, 1"
)
_UNREAD = """
    SELECT t.source || ' ' || section, count(*) FROM crawl.target t
    CROSS JOIN LATERAL unnest(t.unread) AS section
    WHERE t.job_id = %(job)s AND t.unread IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
"""
_RUNS = """
    SELECT served AS source, spider, state,
           state = 'running' AND heartbeat_at > now() - make_interval(secs => %(silence)s) AS is_live,
           traffic -> served AS traffic,
           extract(epoch FROM coalesce(finished_at, now()) - started_at)::double precision AS seconds
    FROM crawl.run CROSS JOIN LATERAL unnest(coalesce(sources, ARRAY[source])) AS served
    WHERE job_id = %(job)s ORDER BY id
"""
_PLANNED = (
    "SELECT source, spider, state, phase, message FROM crawl.planned_run WHERE job_id = %(job)s ORDER BY"
    " number"
)
_PACES = """
    SELECT source, rate, budget, is_open,
           greatest(0, extract(epoch FROM blocked_until - clock_timestamp()))::double precision AS held
    FROM crawl.source WHERE rate IS NOT NULL
"""

# The pace of a source that was never asked.
_NOT_ASKED = SimpleNamespace(rate=None, budget=None, held=0.0, is_open=False)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over the wire: counts, bytes, seconds that answers took (half of them, 19 of 20), seconds at
    work, requests/s now.
    """

    requests: int = 0
    answers: int = 0
    refusals: int = 0
    bytes: int = 0
    p50: float | None = None
    p95: float | None = None
    busy: float = 0.0
    rate: float = 0.0

    @property
    def throughput(self) -> float:
        """Answers per second of its runs' time."""
        return self.answers / self.busy if self.busy else 0.0


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """One source of a job. `state`: waiting, running, ended or lost; `allowed`: requests per second that it
    may be asked now.
    """

    source: str
    spider: str
    state: str
    counts: Counts
    traffic: Traffic
    allowed: float | None
    budget: float | None
    held: float
    is_open: bool
    message: str | None
    eta: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the source's part of the schema of `--json`."""
        counts, traffic = self.counts, self.traffic
        return {
            "source": self.source, "spider": self.spider, "state": self.state, "total": counts.total,
            "done": counts.done,
            "gone": counts.gone, "dead": counts.dead, "open": counts.open, "rate": traffic.rate,
            "allowed_rate": self.allowed,
            "budget": self.budget, "held_seconds": round(self.held, 1), "in_trouble": self.is_open,
            "requests": traffic.requests,
            "answers": traffic.answers, "refusals": traffic.refusals, "bytes": traffic.bytes,
            "p50_seconds": traffic.p50,
            "p95_seconds": traffic.p95, "busy_seconds": round(traffic.busy, 1),
            "eta_seconds": _rounded(self.eta), "message": self.message,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job as it stands. `seconds`: since it began, to its end; `eta`: seconds until it may end, None where
    nothing tells.

    `unread`: of how many targets a section could not be read, by source and section.
    """

    job: int
    type: str
    mode: str
    execution: str
    priority: str
    state: str
    requested_state: str
    verdict: str | None
    reason: str | None
    shortfall: str | None
    parameters: dict[str, Any]
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    seconds: float
    is_supervised: bool
    is_live: bool
    counts: Counts
    causes: dict[str, int]
    unread: dict[str, int]
    sources: tuple[SourceProgress, ...]

    @property
    def word(self) -> str:
        """One word for how it stands: the verdict of a job that has ended, interrupted where nobody works on
        it, else its state.
        """
        if self.verdict:
            return self.verdict
        if self.state in ("running", "pending") and not self.is_live and not self.is_supervised:
            return "interrupted" if self.started_at else "pending"
        if self.state == "running" and self.requested_state != "run":
            return "pausing" if self.requested_state == "pause" else "cancelling"
        return "waiting" if self.state == "pending" else self.state

    @property
    def eta(self) -> float | None:
        times = [one.eta for one in self.sources if one.counts.open]
        return (
            max((time for time in times if time is not None), default=None)
            if all(time is not None for time in times)
            else None
        )

    @property
    def success(self) -> float | None:
        """The share of final targets that the county answered, with rows or by saying that there is none;
        None before the first.
        """
        final = self.counts.total - self.counts.open
        return (self.counts.done + self.counts.gone) / final if final else None

    def as_dict(self) -> dict[str, Any]:
        """Return the schema of `maricopa status JOB --json` (docs/manager.md)."""
        counts = self.counts
        return {
            "job": self.job, "type": self.type, "mode": self.mode, "execution": self.execution,
            "priority": self.priority,
            "state": self.state, "status": self.word, "verdict": self.verdict, "reason": self.reason,
            "shortfall": self.shortfall,
            "created_at": self.created_at.isoformat(),
            "started_at": self.started_at and self.started_at.isoformat(),
            "finished_at": self.finished_at and self.finished_at.isoformat(), "seconds": round(self.seconds,
            1),
            "supervised": self.is_supervised, "total": counts.total, "done": counts.done, "gone": counts.gone,
            "dead": counts.dead,
            "open": counts.open, "success_rate": self.success, "eta_seconds": _rounded(self.eta),
            "causes": self.causes,
            "unread": self.unread,
            "sources": [source.as_dict() for source in self.sources],
        }  # fmt: skip


def read(session: Session, job_id: int) -> JobProgress:
    """Return how the job stands. Raises LedgerError when there is no such job."""

    def work(cursor: Cursor) -> JobProgress:
        names = {"job": job_id, "silence": SILENCE_S}
        cursor.execute(_JOB, names)
        jobs = dicts(cursor)
        if not jobs:
            raise LedgerError(f"there is no job {job_id}; `maricopa jobs` lists them")
        cursor.execute(_TARGETS, names)
        states: dict[str, list[tuple[str, int, int]]] = {}
        for row in named(cursor):
            states.setdefault(row.source, []).append((row.state, row.count, row.unread))
        cursor.execute(_CAUSES, names)
        causes: dict[str, int] = dict(cursor.fetchall())
        cursor.execute(_UNREAD, names)
        unread_sections: dict[str, int] = dict(cursor.fetchall())
        cursor.execute(_PLANNED, names)
        planned = named(cursor)
        cursor.execute(_RUNS, names)
        runs = named(cursor)
        cursor.execute(_PACES)
        paces = {pace.source: pace for pace in named(cursor)}
        order = dict.fromkeys([run.source for run in planned + runs] + sorted(states))
        sources = tuple(
            _source(
                source,
                tallied(states.get(source, [])),
                [run for run in runs if run.source == source],
                [run for run in planned if run.source == source],
                paces.get(source),
            )
            for source in order
        )
        total = tallied([row for of_source in states.values() for row in of_source])
        return JobProgress(
            job=job_id,
            **jobs[0],
            is_live=any(run.is_live for run in runs),
            counts=total,
            causes=causes,
            unread=unread_sections,
            sources=sources,
        )

    return session.transact(work)


def traffic_of(runs: list[tuple[dict[str, Any] | None, bool, float]]) -> Traffic:
    """Return the sum of runs: (traffic as it was written, whether it lives, seconds)."""
    seen = [traffic or {} for traffic, _, _ in runs]
    times = merged(traffic.get("times", {}) for traffic in seen)
    total = {
        name: sum(traffic.get(name, 0) for traffic in seen)
        for name in ("requests", "answers", "refusals", "bytes")
    }
    rate = sum((traffic or {}).get("rate", 0.0) for traffic, is_live, _ in runs if is_live)
    busy = sum(seconds for _, _, seconds in runs)
    return Traffic(
        **total, p50=quantile(times, 0.5), p95=quantile(times, 0.95), busy=busy, rate=round(rate, 2)
    )


def _source(
    source: str,
    counts: Counts,
    runs: list[Any],
    planned: list[Any],
    pace: Any,
) -> SourceProgress:
    traffic = traffic_of([(run.traffic, run.is_live, run.seconds) for run in runs])
    pace = pace or _NOT_ASKED
    if any(run.is_live for run in runs):
        state = "running"
    elif any(run.state == "started" for run in planned):
        state = "lost" if runs and runs[-1].state == "lost" else "starting"
    elif any(run.state == "planned" for run in planned):
        state = "waiting"
    else:
        state = "ended" if planned or runs else "waiting"
    spider = (planned or runs)[0].spider if planned or runs else ""
    # What it may be asked is more telling than what it was, of the last few seconds.
    rate = traffic.rate or (pace.rate or 0.0)
    eta = None if not rate else counts.open / rate + pace.held
    message = next((run.message for run in reversed(planned) if run.message), None)
    return SourceProgress(
        source,
        spider,
        state,
        counts,
        traffic,
        pace.rate,
        pace.budget,
        pace.held,
        bool(pace.is_open),
        message,
        eta if counts.open else 0.0,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
