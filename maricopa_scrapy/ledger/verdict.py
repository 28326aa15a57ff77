"""What became of a job: targets by state, the verdict, and the moment when a job ends, pauses or is
cancelled.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import Reason

COMPLETED = "completed"
COMPLETED_WITH_FAILURES = "completed_with_failures"
INCOMPLETE = "incomplete"
BLOCKED = "blocked"
FAILED = "failed"
CANCELLED = "cancelled"
EXIT_CODES = {COMPLETED: 0, FAILED: 1, COMPLETED_WITH_FAILURES: 3, INCOMPLETE: 4, BLOCKED: 5, CANCELLED: 6}
# A job of several sources is as bad as the worst of them.
_WORST_FIRST = (CANCELLED, BLOCKED, FAILED, INCOMPLETE, COMPLETED_WITH_FAILURES, COMPLETED)

_IS_LIVE = "SELECT EXISTS (SELECT FROM crawl.run WHERE job_id = %s AND state = 'running')"
_IS_PLANNED = "SELECT EXISTS (SELECT FROM crawl.planned_run WHERE job_id = %s AND state <> 'ended')"
# Of each source the run that closed last.
_REASONS = """
    SELECT DISTINCT ON (served) served, reason, CASE WHEN served = source THEN shortfall END
    FROM crawl.run CROSS JOIN LATERAL unnest(coalesce(sources, ARRAY[source])) AS served
    WHERE job_id = %s AND state = 'closed'
    ORDER BY served, finished_at DESC, id DESC
"""
_BY_SOURCE = (
    "SELECT source, state, count(*), count(unread) FROM crawl.target WHERE job_id = %s GROUP BY source, state"
)
_FINISH = (
    "UPDATE crawl.job SET state = 'finished', verdict = %s, reason = %s, finished_at = now() WHERE id = %s"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Targets by state; `unread` counts those of the done ones that have sections which could not be read."""

    pending: int = 0
    leased: int = 0
    done: int = 0
    gone: int = 0
    dead: int = 0
    unread: int = 0

    @property
    def open(self) -> int:
        return self.pending + self.leased

    @property
    def total(self) -> int:
        return self.open + self.done + self.gone + self.dead


def counts_of(cursor: Cursor, job_id: int, sources: list[str] | None = None) -> Counts:
    """Count the job's targets by state, of some sources or of all."""
    cursor.execute(
        "SELECT state, count(*), count(unread) FROM crawl.target"
        " WHERE job_id = %s AND (%s::text[] IS NULL OR source = ANY(%s)) GROUP BY state",
        (job_id, sources, sources),
    )
    return tallied(cursor.fetchall())


def tallied(rows: Iterable[tuple[str, int, int]]) -> Counts:
    """Return the counts of rows (state, targets, those of them with unread sections)."""
    states: dict[str, int] = {}
    unread = 0
    for state, count, of_them in rows:
        states[state] = states.get(state, 0) + count
        unread += of_them
    return Counts(**states, unread=unread)


def by_source(session: Session, job_id: int) -> dict[str, Counts]:
    """Count the job's targets by state, of each source."""
    return session.transact(lambda cursor: _by_source(cursor, job_id))


def judge(reason: str | None, counts: Counts, shortfall: str | None = None) -> str:
    """Return the verdict on targets whose last run ended for `reason`."""
    if reason == Reason.CANCELLED:
        return CANCELLED
    if reason == Reason.BLOCKED:
        return BLOCKED
    if reason in (Reason.UNAUTHORIZED, Reason.UNVERIFIED, Reason.PIPELINE_ERROR):
        return FAILED
    if counts.open or shortfall:
        return INCOMPLETE
    return COMPLETED_WITH_FAILURES if counts.dead or counts.unread else COMPLETED


def settle(cursor: Cursor, job_id: int) -> str:
    """End, pause or leave the job, as its runs and what is asked of it have it; returns its state.

    To be called after whatever may be its last step, in the same transaction. A job that has ended stays as
    it is.
    """
    cursor.execute(
        "SELECT state, requested_state, shortfall FROM crawl.job WHERE id = %s FOR NO KEY UPDATE", (job_id,)
    )
    ((state, requested_state, shortfall),) = cursor.fetchall()
    if state == "finished" or _is(cursor, _IS_LIVE, job_id):
        return str(state)
    if requested_state == "cancel":
        cursor.execute(_FINISH, (CANCELLED, Reason.CANCELLED, job_id))
        cursor.execute(
            "UPDATE crawl.planned_run SET state = 'ended', ended_at = now() WHERE job_id = %s AND state <>"
            " 'ended'",
            (job_id,),
        )
        return "finished"
    if requested_state == "pause":
        cursor.execute("UPDATE crawl.job SET state = 'paused' WHERE id = %s", (job_id,))
        return "paused"
    if state != "running" or _is(cursor, _IS_PLANNED, job_id):
        return str(state)
    cursor.execute(_FINISH, (*_verdict(cursor, job_id, shortfall), job_id))
    return "finished"


def _verdict(cursor: Cursor, job_id: int, shortfall: str | None) -> tuple[str, str | None]:
    cursor.execute(_REASONS, (job_id,))
    closed: dict[str, tuple[str | None, str | None]] = {
        source: (reason, below) for source, reason, below in cursor.fetchall()
    }
    counts = _by_source(cursor, job_id)
    found: list[tuple[str, str | None]] = []
    for source in closed.keys() | counts.keys():
        reason, below = closed.get(source, (None, None))
        # A source with open targets and no run that closed: its runs were lost, or never began.
        reason = reason or Reason.LOST
        found.append((judge(reason, counts.get(source, Counts()), shortfall or below), reason))
    return min(found, key=lambda one: (_WORST_FIRST.index(one[0]), one[1] or ""), default=(COMPLETED, None))


def _by_source(cursor: Cursor, job_id: int) -> dict[str, Counts]:
    cursor.execute(_BY_SOURCE, (job_id,))
    found: dict[str, list[tuple[str, int, int]]] = {}
    for source, *one in cursor.fetchall():
        found.setdefault(source, []).append((one[0], one[1], one[2]))
    return {source: tallied(rows) for source, rows in found.items()}


def _is(cursor: Cursor, question: str, job_id: int) -> bool:
    cursor.execute(question, (job_id,))
    ((answer,),) = cursor.fetchall()
    return bool(answer)
