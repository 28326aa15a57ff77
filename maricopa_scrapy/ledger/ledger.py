"""The ledger: jobs, their targets, the runs that work on them, and the verdict.

Everything here is one short transaction. A target is leased by a run and stays leased as long as that run
beats; a run that is silent, or whose process is gone, is lost, and its leases go back.
"""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

import psutil
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.targets import Run, add_targets, detail_of
from maricopa_scrapy.items import Cause, Detail, Floor, FollowOn, Reason, Target
from maricopa_scrapy.ledger.expected_targets import may_be_fed
from maricopa_scrapy.ledger.lost_runs import SILENCE_S, reap, release
from maricopa_scrapy.ledger.traffic_samples import note
from maricopa_scrapy.ledger.verdict import CANCELLED, Counts, counts_of, judge, settle
from maricopa_scrapy.ledger.yield_floors import note_shortfall
from maricopa_scrapy.machine.processes import node_name, process_of

HEARTBEAT_S = 3.0
# Between two looks at what is asked of the job.
GLANCE_S = 1.0

_ENUMERATE_BATCH = 20_000
# Between two retries of a source that has none left, when nothing else is to be done.
_RETRY_EVERY_S = 1.0
_TRIES = 2
# A run waits so long for a target that is due later; beyond, it ends without it.
_LATER_S = 60.0

# No pause after a failure is so long: the database's clock was set back since.
_FAR = dt.timedelta(minutes=10)
# Failed targets that spent an attempt, those that spent none, and those never asked for.
_LEASE = """
    WITH again AS (
        SELECT id FROM crawl.target WHERE job_id = %(job)s AND source = %(source)s AND state = 'pending'
          AND attempts > 0
          AND (not_before IS NULL OR not_before <= now() OR not_before > now() + %(far)s)
          ORDER BY id LIMIT %(again)s FOR UPDATE SKIP LOCKED
    ), free AS (
        SELECT id FROM crawl.target WHERE job_id = %(job)s AND source = %(source)s AND state = 'pending'
          AND attempts = 0
          AND cause IS NOT NULL
            AND (not_before IS NULL OR not_before <= now() OR not_before > now() + %(far)s)
          ORDER BY not_before, id
        LIMIT %(free)s FOR UPDATE SKIP LOCKED
    ), fresh AS (
        SELECT id FROM crawl.target WHERE job_id = %(job)s AND source = %(source)s AND state = 'pending'
          AND cause IS NULL
          AND (not_before IS NULL OR not_before <= now())
          ORDER BY priority, id LIMIT %(fresh)s FOR UPDATE SKIP LOCKED
    )
    UPDATE crawl.target t SET state = 'leased', run_id = %(run)s
    FROM (SELECT id FROM again UNION ALL SELECT id FROM free
        UNION ALL SELECT id FROM fresh LIMIT %(limit)s) due WHERE t.id = due.id
    RETURNING t.id, t.source, t.kind, t.key, t.attempts, t.detail::text, t.failures, t.priority
"""
_NOT_KNOWN = "UPDATE crawl.target SET state = 'dead', cause = %s, message = %s, done_at = now() WHERE id = %s"
_NO_JOB = "there is no job %d; `maricopa jobs` lists them"
_LOST = "run %d was silent for so long that others have taken over what it held; it ends, and they go on"
# Between two looks at what other sources may still add.
_FEED_EVERY_S = 0.5


class LedgerError(RuntimeError):
    """What was asked of the ledger cannot be; the message is one line with the remedy."""


class RunLost(LedgerError):
    """Others took this run for lost, and work on what it held: it must ask for nothing more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """`targets` to work on now. When there are none: `wait` seconds until one is due (0: when a lease ends),
    None when all are final and none can come.
    """

    targets: list[Target]
    wait: float | None = None


def open_job(
    session: Session,
    type_: str,
    targets: Iterable[FollowOn],
    parameters: dict[str, Any],
    mode: str = "api_only",
    priority: str = "normal",
    is_sandbox: bool = False,
    execution: str = "parallel",
    also: Callable[[Cursor, int], None] = lambda cursor, job_id: None,
) -> tuple[int, int]:
    """Write a job with its targets, and what is `also` to be written with it, all or nothing; returns (job
    id, distinct targets).

    `targets` is read once and may be long; what it raises leaves no job behind.
    Raises LedgerError when the sandbox's invented records would come to stand next to the county's.
    """

    def work(cursor: Cursor) -> tuple[int, int]:
        _check_county(cursor, is_sandbox)
        cursor.execute(
            "INSERT INTO crawl.job (type, mode, priority, parameters, is_sandbox, execution) VALUES (%s, %s,"
            " %s, %s, %s, %s) RETURNING id",
            (type_, mode, priority, Json(parameters), is_sandbox, execution),
        )
        (job_id,) = _one(cursor)
        supply = iter(targets)
        accepted = 0
        while chunk := list(islice(supply, _ENUMERATE_BATCH)):
            accepted += add_targets(cursor, job_id, chunk)
        also(cursor, job_id)
        return job_id, accepted

    return session.transact(work)


def add_parameters(cursor: Cursor, job_id: int, more: dict[str, Any]) -> None:
    """Add to a job's parameters what is known only once its targets were read, in the caller's
    transaction.
    """
    if more:
        cursor.execute(
            "UPDATE crawl.job SET parameters = parameters || %s WHERE id = %s", (Json(more), job_id)
        )


def open_run(
    session: Session,
    job_id: int,
    spider: str,
    source: str,
    is_sandbox: bool = False,
    planned: int | None = None,
    also: Iterable[str] = (),
) -> Run:
    """Register this process as a run of the job, number `planned` of its plan, which leases targets of its
    source and of those of `also` that the job names (`sources`). Raises LedgerError when the job is not to be
    worked on.
    """

    def work(cursor: Cursor) -> Run:
        execution = _check_runnable(cursor, job_id)
        _check_county(cursor, is_sandbox)
        reap(cursor)
        cursor.execute(
            "UPDATE crawl.job SET state = 'running', verdict = NULL, reason = NULL, finished_at = NULL,"
            " started_at = coalesce(started_at, now()) WHERE id = %s RETURNING parameters",
            (job_id,),
        )
        (parameters,) = _one(cursor)
        named = parameters.get("sources") or ()
        run = Run(0, job_id, source, execution, tuple(one for one in also if one in named), parameters)
        cursor.execute(
            "INSERT INTO crawl.run (job_id, spider, source, sources, node, pid, pid_started, process)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (
                job_id,
                spider,
                source,
                run.sources,
                node_name(),
                os.getpid(),
                psutil.Process().create_time(),
                process_of(os.getpid()),
            ),
        )
        (run_id,) = _one(cursor)
        cursor.execute(
            "UPDATE crawl.planned_run SET state = 'started', run_id = %s, ended_at = NULL"
            " WHERE job_id = %s AND number = %s AND source = %s RETURNING feeds",
            (run_id, job_id, planned, source),
        )
        # What its answers are followed for, its place in the plan says: two that know the same are not both
        # asked for it.
        for (feeds,) in cursor.fetchall():
            run = replace(run, parameters=parameters | {"follow": feeds})
        return replace(run, id=run_id)

    return session.transact(work)


def heartbeat(session: Session, run: Run, traffic: dict[str, Any] | None = None) -> None:
    """Say that the run lives and what went over its wire, and give back what silent runs held.

    Raises RunLost when others have taken it for lost.
    """

    def work(cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE crawl.run SET heartbeat_at = clock_timestamp(), traffic = coalesce(%s, traffic) WHERE id"
            " = %s AND state = 'running'",
            (None if traffic is None else Json(traffic), run.id),
        )
        if not cursor.rowcount:
            raise RunLost(_LOST % run.id)
        note(cursor, run.id)
        reap(cursor)

    session.transact(work)


def requested_state(session: Session, job_id: int) -> str:
    """Return what is asked of the job: run, pause or cancel."""

    def work(cursor: Cursor) -> str:
        cursor.execute("SELECT requested_state FROM crawl.job WHERE id = %s", (job_id,))
        return str(_one(cursor)[0])

    return session.transact(work)


def lease(
    session: Session,
    run: Run,
    limit: int,
    source: str | None = None,
    details: Mapping[str, type[Detail]] = MappingProxyType({}),
) -> Lease:
    """Lease up to `limit` targets of the run's job and of one of its sources that are due.

    Of failed ones no more than the source has retries, one a second when nothing else is left. While the
    source is in trouble, two to try it with, first those that never failed: a row of bad targets must not
    keep it closed. A target that is due long after is not waited for; one that another source's answer may
    still add is.
    One whose detail is not as `details` knows it, by kind, fails for good: another version wrote it.
    """
    source = source or run.source

    def work(cursor: Cursor) -> Lease | None:
        # As long as this transaction lasts nobody takes the run for lost.
        cursor.execute("SELECT state FROM crawl.run WHERE id = %s FOR SHARE", (run.id,))
        if cursor.fetchall() == [("lost",)]:
            raise RunLost(_LOST % run.id)
        cursor.execute(
            "SELECT retries, is_open, retried_at < now() - make_interval(secs => %s) FROM crawl.source WHERE"
            " source = %s FOR UPDATE",
            (_RETRY_EVERY_S, source),
        )
        retries, is_open, may_retry = cursor.fetchone() or (None, False, False)
        retries = limit if retries is None else int(retries)
        most = min(limit, _TRIES) if is_open else limit
        names = {"job": run.job_id, "source": source, "run": run.id, "far": _FAR}
        again = 0 if is_open else min(most, max(retries, 0))
        cursor.execute(
            _LEASE, names | {"again": again, "free": 0 if is_open else most, "fresh": most, "limit": most}
        )
        found = cursor.fetchall()
        if not found and (is_open or (retries < 1 and may_retry)):
            # No retry of a target, but of the source; or the only thing left to do.
            cursor.execute(_LEASE, names | {"again": 1, "free": 1, "fresh": 0, "limit": 1})
            found = cursor.fetchall()
            cursor.execute("UPDATE crawl.source SET retried_at = now() WHERE source = %s", (source,))
            again = 0
        targets = []
        # By position: a name for each column would cost a lease 8 % more.
        for id_, of, kind, key, attempts, stored, *rest in found:
            try:
                targets.append(Target(id_, of, kind, key, attempts, detail_of(details, kind, stored), *rest))
            except ValueError as error:
                cursor.execute(_NOT_KNOWN, (Cause.UNKNOWN_DETAIL, str(error), id_))
        targets.sort(key=lambda target: (target.priority, target.id))
        if targets:
            if again:
                _spend_retries(cursor, source, sum(target.attempts > 0 for target in targets))
            return Lease(targets)
        if found:
            return None
        cursor.execute(
            "SELECT count(*), extract(epoch FROM min(coalesce(not_before, now())) FILTER (WHERE state ="
            " 'pending') - now()) FROM crawl.target WHERE job_id = %s AND source = %s AND state IN"
            " ('pending', 'leased') AND NOT (state = 'pending' AND cause IS NULL AND coalesce(not_before,"
            " now()) > now() + make_interval(secs => %s))",
            (run.job_id, source, _LATER_S),
        )
        still_open, wait = _one(cursor)
        if not still_open:
            is_fed = may_be_fed(cursor, run.id, run.job_id, source, _LATER_S, SILENCE_S)
            return Lease([], wait=_FEED_EVERY_S if is_fed else None)
        # What is due and was not leased waits for a retry.
        least = _RETRY_EVERY_S if retries < 1 else 0.0
        return Lease([], wait=max(least, float(wait)) if wait is not None else 0.0)

    while (leased := session.transact(work)) is None:
        pass
    return leased


def give_back(session: Session, run: Run, source: str | None = None) -> None:
    """Make what the run has leased, of one source or of all, pending again."""
    session.transact(lambda cursor: release(cursor, [run.id], run.job_id, source))


def close_run(
    session: Session,
    run: Run,
    ended: str,
    stats: dict[str, Any],
    traffic: dict[str, Any] | None = None,
    floors: Sequence[Floor] = (),
) -> tuple[str, Counts]:
    """End the run, give back its leases and judge it, also by the floors of its source; the last run of a job
    ends the job.

    A run that others have taken for lost stays so: it is judged for its own exit code alone.
    Returns (verdict, counts of the run's sources in the job).
    """

    def work(cursor: Cursor) -> tuple[str, Counts]:
        cursor.execute("SELECT shortfall FROM crawl.job WHERE id = %s FOR NO KEY UPDATE", (run.job_id,))
        (shortfall,) = _one(cursor)
        cursor.execute("SELECT state = 'lost' FROM crawl.run WHERE id = %s FOR NO KEY UPDATE", (run.id,))
        (is_lost,) = _one(cursor)
        release(cursor, [run.id], run.job_id)
        counts = counts_of(cursor, run.job_id, run.sources)
        # Nothing else ends in order with targets open: they are due later than a run waits.
        reason = (
            Reason.LOST
            if is_lost
            else Reason.DUE_LATER
            if ended == Reason.FINISHED and counts.open
            else ended
        )
        below = note_shortfall(cursor, run.id, run.job_id, run.source, () if counts.open else floors)
        verdict = judge(reason, counts, shortfall or below)
        cursor.execute(
            "UPDATE crawl.run SET state = %s, verdict = %s, reason = %s, stats = %s, traffic = %s,"
            " finished_at = now() WHERE id = %s",
            (
                "lost" if is_lost else "closed",
                verdict,
                reason,
                Json(stats),
                None if traffic is None else Json(traffic),
                run.id,
            ),
        )
        note(cursor, run.id, is_last=True)
        # One that paused is begun anew when the job goes on.
        then = "planned" if reason == Reason.PAUSED else "ended"
        if not is_lost:
            cursor.execute(
                "UPDATE crawl.planned_run SET state = %s, message = %s, ended_at = now() WHERE run_id = %s",
                (then, reason, run.id),
            )
        settle(cursor, run.job_id)
        return verdict, counts

    return session.transact(work)


def check_job(session: Session, job_id: int) -> None:
    """Raise LedgerError when there is no such job."""

    def work(cursor: Cursor) -> None:
        cursor.execute("SELECT 1 FROM crawl.job WHERE id = %s", (job_id,))
        if not cursor.fetchall():
            raise LedgerError(_NO_JOB % job_id)

    session.transact(work)


def way(session: Session, job_id: int) -> str:
    """Return by which way (`via`) a job was begun; "api" for all that say nothing of it."""

    def work(cursor: Cursor) -> str:
        cursor.execute("SELECT parameters ->> 'via' FROM crawl.job WHERE id = %s", (job_id,))
        return (cursor.fetchone() or (None,))[0] or "api"

    return session.transact(work)


def check_runnable(session: Session, job_id: int) -> None:
    """Raise LedgerError when the job is not to be worked on."""
    session.transact(lambda cursor: _check_runnable(cursor, job_id))


def own_verdict(session: Session, job_id: int) -> str | None:
    """Return the verdict of this process's own run of the job; None when it was never closed."""

    def work(cursor: Cursor) -> str | None:
        cursor.execute(
            "SELECT verdict FROM crawl.run WHERE job_id = %s AND node = %s AND pid = %s AND process = %s"
            " ORDER BY id DESC LIMIT 1",
            (job_id, node_name(), os.getpid(), process_of(os.getpid())),
        )
        row = cursor.fetchone()
        return row[0] if row else None

    return session.transact(work)


def counts(session: Session, job_id: int, sources: list[str] | None = None) -> Counts:
    """Count the job's targets by state, of some sources or of all."""
    return session.transact(lambda cursor: counts_of(cursor, job_id, sources))


def _spend_retries(cursor: Cursor, source: str, count: int) -> None:
    if count:
        cursor.execute(
            "UPDATE crawl.source SET state = jsonb_set(state, '{health,retries}', to_jsonb(retries - %s))"
            " WHERE source = %s",
            (count, source),
        )


def _check_county(cursor: Cursor, is_sandbox: bool) -> None:
    cursor.execute("SELECT EXISTS (SELECT FROM crawl.job WHERE is_sandbox <> %s)", (is_sandbox,))
    if _one(cursor)[0]:
        asked, held = (
            ("the sandbox's invented", "the county's")
            if is_sandbox
            else ("the county's", "the sandbox's invented")
        )
        again = "" if is_sandbox else "; to go on with the sandbox set MARICOPA_SANDBOX again"
        raise LedgerError(
            f"this database holds {held} records, and {asked} must not stand beside them; "
            f"name another database with MARICOPA_DATA_DIR=<folder> or MARICOPA_DATABASE_URL{again}"
        )


def _check_job(cursor: Cursor, job_id: int) -> tuple[Any, ...]:
    cursor.execute(
        "SELECT verdict, requested_state, execution FROM crawl.job WHERE id = %s FOR NO KEY UPDATE", (job_id,)
    )
    row = cursor.fetchone()
    if row is None:
        raise LedgerError(_NO_JOB % job_id)
    return row


def _check_runnable(cursor: Cursor, job_id: int) -> str:
    verdict, requested_state, execution = _check_job(cursor, job_id)
    if verdict == CANCELLED or requested_state == "cancel":
        raise LedgerError(f"job {job_id} was cancelled; start a new one")
    if requested_state == "pause":
        raise LedgerError(f"job {job_id} is paused; `maricopa resume {job_id}` goes on with it")
    return str(execution)


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
