"""How a job stands, read from the ledger alone: what is done of what, the pace, the traffic, and when it may
end.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.ledger.histogram import merged, quantile
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.ledger.lost_runs import SILENCE_S
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
    "SELECT source, state, count(*), count(unread) FROM crawl.target WHERE job_id = %(job)s GROUP BY source,"
    " state"
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
    SELECT served, spider, state, state = 'running'
      AND heartbeat_at > now() - make_interval(secs => %(silence)s), traffic -> served,
           extract(epoch FROM coalesce(finished_at, now()) - started_at)::double precision
    FROM crawl.run CROSS JOIN LATERAL unnest(coalesce(sources, ARRAY[source])) AS served
    WHERE job_id = %(job)s ORDER BY id
"""
_PLANNED = (
    "SELECT source, spider, state, phase, message FROM crawl.planned_run WHERE job_id = %(job)s ORDER BY"
    " number"
)
_PACES = """
    SELECT source, rate, budget,
        greatest(0, extract(epoch FROM blocked_until - clock_timestamp()))::double precision, is_open
    FROM crawl.source WHERE rate IS NOT NULL
"""


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
        row = cursor.fetchone()
        if row is None:
            raise LedgerError(f"there is no job {job_id}; `maricopa jobs` lists them")
        facts = dict(zip((column.name for column in cursor.description or ()), row, strict=True))
        cursor.execute(_TARGETS, names)
        states: dict[str, list[tuple[str, int, int]]] = {}
        for source, state, count, unread in cursor.fetchall():
            states.setdefault(source, []).append((state, count, unread))
        cursor.execute(_CAUSES, names)
        causes: dict[str, int] = dict(cursor.fetchall())
        cursor.execute(_UNREAD, names)
        unread_sections: dict[str, int] = dict(cursor.fetchall())
        cursor.execute(_PLANNED, names)
        planned = cursor.fetchall()
        cursor.execute(_RUNS, names)
        runs = cursor.fetchall()
        cursor.execute(_PACES)
        paces = {source: pace for source, *pace in cursor.fetchall()}
        order = dict.fromkeys(
            [source for source, *_ in planned] + [source for source, *_ in runs] + sorted(states)
        )
        sources = tuple(
            _source(
                source,
                tallied(states.get(source, [])),
                [run for run in runs if run[0] == source],
                [run for run in planned if run[0] == source],
                paces.get(source),
            )
            for source in order
        )
        total = tallied([row for of_source in states.values() for row in of_source])
        is_live = any(run[3] for run in runs)
        return JobProgress(
            job=job_id,
            **facts,
            is_live=is_live,
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
    runs: list[tuple[Any, ...]],
    planned: list[tuple[Any, ...]],
    pace: list[Any] | None,
) -> SourceProgress:
    traffic = traffic_of([(traffic, is_live, seconds) for _, _, _, is_live, traffic, seconds in runs])
    allowed, budget, held, is_open = pace or (None, None, 0.0, False)
    if any(run[3] for run in runs):
        state = "running"
    elif any(run[2] == "started" for run in planned):
        state = "lost" if runs and runs[-1][2] == "lost" else "starting"
    elif any(run[2] == "planned" for run in planned):
        state = "waiting"
    else:
        state = "ended" if planned or runs else "waiting"
    spider = (planned or runs)[0][1] if planned or runs else ""
    # What it may be asked is more telling than what it was, of the last few seconds.
    rate = traffic.rate or (allowed or 0.0)
    eta = None if not rate else counts.open / rate + held
    message = next((run[4] for run in reversed(planned) if run[4]), None)
    return SourceProgress(
        source,
        spider,
        state,
        counts,
        traffic,
        allowed,
        budget,
        held,
        bool(is_open),
        message,
        eta if counts.open else 0.0,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
