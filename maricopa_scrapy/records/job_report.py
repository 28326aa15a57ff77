"""Everything that the report of a job tells besides its progress: failures with examples, changes, runs,
traffic over time.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import named, objects
from maricopa_scrapy.ledger import issues, progress, statistics, traffic_samples
from maricopa_scrapy.ledger.issues import Known
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.ledger.response_times import merged
from maricopa_scrapy.ledger.statistics import Statistics
from maricopa_scrapy.ledger.traffic_samples import Interval
from maricopa_scrapy.records.refresh import Proof, outcome

_FAILURES = """
    WITH message AS (
        SELECT source, cause, coalesce(message, '') AS message,
            count(*) FILTER (WHERE state = 'dead') AS dead,
               count(*) FILTER (WHERE state <> 'dead') AS open, min(kind || ' ' || key) AS example
        FROM crawl.target WHERE job_id = %s AND cause IS NOT NULL AND state IN ('dead', 'pending', 'leased')
        GROUP BY 1, 2, 3
    ), placed AS (
        SELECT *, sum(dead) OVER cause AS all_dead, sum(open) OVER cause AS all_open,
               row_number() OVER (PARTITION BY source, cause ORDER BY dead + open DESC, example) AS place
        FROM message WINDOW cause AS (PARTITION BY source, cause)
    )
    SELECT source, cause, all_dead::bigint, all_open::bigint, message, dead + open AS count, example
    FROM placed
    WHERE place <= 3 ORDER BY all_dead DESC, all_open DESC, source, cause, place
"""
_TRIES = """
    SELECT source, f.key, sum(f.value::bigint)::bigint FROM crawl.target
    CROSS JOIN LATERAL jsonb_each_text(failures) f
    WHERE job_id = %s AND failures IS NOT NULL GROUP BY 1, 2
"""
# By the time as well, for which there is an index; clocks of several machines may differ.
_CHANGES = """
    WITH of_field AS (
        SELECT table_name, field, count(*) AS changes, min(id) AS first, max(id) AS last FROM crawl.change
        WHERE run_id = ANY(%(runs)s) AND changed_at >= %(since)s - interval '1 h' GROUP BY 1, 2
    )
    SELECT f.table_name, f.field, f.changes, c.key, left(c.old, 300) AS old, left(c.new, 300) AS new
    FROM of_field f
    JOIN public.change c ON c.id IN (f.first, f.last) ORDER BY f.changes DESC, f.table_name, f.field, c.id
"""
_RUNS = """
    SELECT id, spider, coalesce(sources, ARRAY[source]) AS sources, node, state, reason, shortfall,
           started_at, finished_at,
           extract(epoch FROM coalesce(finished_at, now()) - started_at)::double precision AS seconds
    FROM crawl.run WHERE job_id = %s ORDER BY id
"""
_TIMES = """
    SELECT t.key, t.value -> 'times' FROM crawl.run r CROSS JOIN LATERAL jsonb_each(r.traffic) t
    WHERE r.job_id = %s AND t.value -> 'times' IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A message, how many targets have it, and the first of them."""

    message: str
    count: int
    target: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What one cause did at one source. `tries`: that failed and counted, also of targets that were answered
    in the end.
    """

    source: str
    cause: str
    given_up: int
    to_be_tried_again: int
    tries: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """One changed field: the key of its row, what it was and what it is (300 characters of each)."""

    key: dict[str, Any]
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """How often one field changed, with the first and the last example."""

    table: str
    field: str
    count: int
    examples: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One process that worked on the job; `seconds` until its end, or now."""

    id: int
    spider: str
    sources: list[str]
    node: str
    state: str
    reason: str | None
    shortfall: str | None
    started_at: dt.datetime
    seconds: float
    finished_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """A job as it stands at a moment. `times`: by source, answers by bucket of their response time
    (ledger/response_times.py).
    """

    at: dt.datetime
    progress: JobProgress
    figures: Statistics
    failures: tuple[Failure, ...]
    changes: tuple[Changed, ...]
    issues: tuple[Known, ...]
    runs: tuple[RunFacts, ...]
    intervals: tuple[Interval, ...]
    times: dict[str, dict[str, int]]
    refresh: tuple[Proof, ...] = ()


def read(session: Session, job_id: int) -> Report:
    """Return the report of a job. Raises LedgerError when there is no such job."""
    standing = progress.read(session, job_id)

    def work(cursor: Cursor) -> Report:
        cursor.execute("SELECT now()")
        ((now,),) = cursor.fetchall()
        cursor.execute(_RUNS, (job_id,))
        runs = tuple(objects(cursor, RunFacts))
        cursor.execute(_TIMES, (job_id,))
        times: dict[str, dict[str, int]] = {}
        for source, of_run in cursor.fetchall():
            times[source] = merged((times.get(source, {}), of_run))
        return Report(
            at=now,
            progress=standing,
            figures=figures,
            failures=_failures(cursor, job_id),
            changes=_changes(cursor, runs),
            issues=tuple(noted),
            runs=runs,
            intervals=tuple(traffic_samples.of_job(cursor, job_id)),
            times=times,
            refresh=proofs,
        )

    proofs = tuple(outcome(session, job_id))
    figures, noted = statistics.read(session, job_id), issues.known(session, job_id)
    return session.transact(work)


def _failures(cursor: Cursor, job_id: int) -> tuple[Failure, ...]:
    cursor.execute(_TRIES, (job_id,))
    tries: dict[tuple[str, str], int] = {(source, cause): count for source, cause, count in cursor.fetchall()}
    cursor.execute(_FAILURES, (job_id,))
    found: dict[tuple[str, str], tuple[int, int, list[Example]]] = {}
    for row in named(cursor):
        of_cause = found.setdefault((row.source, row.cause), (row.all_dead, row.all_open, []))
        of_cause[2].append(Example(row.message, row.count, row.example))
    # What failed at first, and was answered in the end, has no target to show any more.
    for mended in sorted(tries.keys() - found.keys()):
        found[mended] = 0, 0, []
    return tuple(
        Failure(source, cause, dead, left, tries.get((source, cause), 0), tuple(examples))
        for (source, cause), (dead, left, examples) in found.items()
    )


def _changes(cursor: Cursor, runs: tuple[RunFacts, ...]) -> tuple[Changed, ...]:
    if not runs:
        return ()
    cursor.execute(_CHANGES, {"runs": [run.id for run in runs], "since": min(run.started_at for run in runs)})
    found: dict[tuple[str, str], tuple[int, list[Value]]] = {}
    for row in named(cursor):
        of_field = found.setdefault((row.table_name, row.field), (row.changes, []))
        of_field[1].append(Value(row.key, row.old, row.new))
    return tuple(
        Changed(table, field, count, tuple(examples)) for (table, field), (count, examples) in found.items()
    )
