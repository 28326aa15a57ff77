"""Figures over many jobs, or one: counts, success, response times, throughput, and what a parcel cost."""

from dataclasses import asdict, dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import dicts
from maricopa_scrapy.ledger.lost_runs import SILENCE_S
from maricopa_scrapy.ledger.progress import Traffic, traffic_of

_RUNS = """
    SELECT served, r.traffic -> served, r.state = 'running'
      AND r.heartbeat_at > now() - make_interval(secs => %(silence)s),
           extract(epoch FROM coalesce(r.finished_at, now()) - r.started_at)::double precision
    FROM crawl.run r CROSS JOIN LATERAL unnest(coalesce(r.sources, ARRAY[r.source])) AS served
    WHERE %(job)s IS NULL OR r.job_id = %(job)s
"""
_TARGETS = (
    "SELECT source, state, count(*) FROM crawl.target WHERE %(job)s IS NULL OR job_id = %(job)s GROUP BY"
    " source, state"
)
_VERDICTS = (
    "SELECT coalesce(verdict, state), count(*) FROM crawl.job WHERE %(job)s IS NULL OR id = %(job)s GROUP BY"
    " 1 ORDER BY 1"
)
# Parcels by their own target, and those of lists; the same parcel in two jobs counts twice, as it was asked
# for twice.
_PARCELS = """
    SELECT count(DISTINCT (job_id, key)) FROM crawl.target
    WHERE kind = 'parcel' AND state = 'done' AND (%(job)s IS NULL OR job_id = %(job)s)
"""


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """One source: targets by state, and its traffic; `success`: the share of final targets that were
    answered.
    """

    done: int
    gone: int
    dead: int
    open: int
    success: float | None
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one job, or of all: jobs by verdict (by state where there is none), parcels collected, requests per
    parcel.
    """

    jobs: dict[str, int]
    parcels: int
    requests: int
    requests_per_parcel: float | None
    refusals: int
    bytes: int
    success: float | None
    sources: dict[str, SourceStatistics]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        plain = asdict(self)
        for name, source in self.sources.items():
            plain["sources"][name]["traffic"]["throughput"] = round(source.traffic.throughput, 3)
        return plain


def read(session: Session, job_id: int | None = None) -> Statistics:
    """Return the figures of a job, or of all jobs."""

    def work(cursor: Cursor) -> Statistics:
        names = {"job": job_id, "silence": SILENCE_S}
        cursor.execute(_RUNS, names)
        runs = cursor.fetchall()
        cursor.execute(_TARGETS, names)
        states: dict[str, dict[str, int]] = {}
        for source, state, count in cursor.fetchall():
            states.setdefault(source, {})[state] = count
        cursor.execute(_VERDICTS, names)
        verdicts: dict[str, int] = dict(cursor.fetchall())
        cursor.execute(_PARCELS, names)
        ((parcels,),) = cursor.fetchall()
        sources = {
            source: _source(
                states.get(source, {}), traffic_of([tuple(run) for name, *run in runs if name == source])
            )
            for source in sorted(states.keys() | {name for name, *_ in runs})
        }
        total = {
            state: sum(one.get(state, 0) for one in states.values()) for state in ("done", "gone", "dead")
        }
        requests = sum(source.traffic.requests for source in sources.values())
        return Statistics(
            jobs=verdicts,
            parcels=parcels,
            requests=requests,
            requests_per_parcel=round(requests / parcels, 3) if parcels else None,
            refusals=sum(source.traffic.refusals for source in sources.values()),
            bytes=sum(source.traffic.bytes for source in sources.values()),
            success=_success(**total),
            sources=sources,
        )

    return session.transact(work)


def issues(session: Session, job_id: int, limit: int = 20) -> list[dict[str, Any]]:
    """Return what a person must look at of a job, the most frequent first."""

    def work(cursor: Cursor) -> list[dict[str, Any]]:
        cursor.execute(
            "SELECT kind, message, target_key, count, source FROM crawl.issue WHERE job_id = %s ORDER BY"
            " count DESC, id LIMIT %s",
            (job_id, limit),
        )
        return dicts(cursor)

    return session.transact(work)


def _source(states: dict[str, int], traffic: Traffic) -> SourceStatistics:
    done, gone, dead = (states.get(state, 0) for state in ("done", "gone", "dead"))
    return SourceStatistics(
        done,
        gone,
        dead,
        states.get("pending", 0) + states.get("leased", 0),
        _success(done, gone, dead),
        traffic,
    )


def _success(done: int, gone: int, dead: int) -> float | None:
    return (done + gone) / (done + gone + dead) if done + gone + dead else None
