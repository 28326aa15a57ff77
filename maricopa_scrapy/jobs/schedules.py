"""Jobs that start by themselves: rows of crawl.schedule, and the tick that starts what is due.

All times are the database's, so that machines with other clocks agree; cron is read in America/Phoenix, which
has no summer time. One time of a schedule starts one job: a tick claims the row for a while, and the job
bears the schedule and the time, of which there can be one (docs/schedules.md).
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import objects
from maricopa_scrapy.jobs.plan import NothingToDo, PlanError
from maricopa_scrapy.ledger import progress, saved_lists
from maricopa_scrapy.ledger.ledger import LedgerError

PHOENIX = ZoneInfo("America/Phoenix")
# So long nobody else starts what a tick has claimed; one that is killed meanwhile delays its schedule as
# long.
CLAIM_S = 120.0
# Of so many coming times the shortest distance is looked for; a year of them at one an hour.
_TIMES = 9_000
_ROW = """
    SELECT id, cron, arguments, list_id, note, state, next_at, last_at, last_job, message, now() AS asked_at
    FROM crawl.schedule
"""
_CLAIM = """
    UPDATE crawl.schedule SET claimed_until = now() + make_interval(secs => %(claim)s)
    WHERE id = (
        SELECT id FROM crawl.schedule
        WHERE state = 'active' AND next_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
        ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""
# Only by the tick that has the claim: another may have taken it over since.
_SETTLE = """
    UPDATE crawl.schedule SET next_at = %(next)s, claimed_until = NULL, message = %(message)s,
        last_at = coalesce(%(due)s, last_at), last_job = coalesce(%(job)s, last_job)
    WHERE id = %(id)s AND next_at = %(was)s
"""
_JOB_OF = """
    SELECT id FROM crawl.job
    WHERE parameters ? 'schedule' AND parameters #>> '{schedule,id}' = %s AND parameters #>> '{schedule,due}'
    = %s
"""


class CronError(PlanError):
    """A time that is no cron expression, or never comes; the message is one line."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A row of crawl.schedule. `arguments`: what follows `maricopa run`."""

    id: int
    cron: str
    arguments: list[str]
    list_id: int | None
    note: str | None
    state: str
    next_at: dt.datetime
    last_at: dt.datetime | None
    last_job: int | None
    message: str | None
    asked_at: dt.datetime

    @property
    def what(self) -> str:
        """Its job as a person would call it."""
        return " ".join(self.arguments)


@dataclass(frozen=True, slots=True)
class Happened:
    """What a tick did about one schedule; `job` is None where none was started, `is_failure` where it should
    have been.
    """

    schedule: Schedule
    job: int | None
    message: str
    is_failure: bool = False


# Makes and starts the job of a schedule for one of its times; returns its id, or what a person must know.
# `job` is one that was written for this time already, or was interrupted: it goes on. Raises NothingToDo,
# PlanError and what else planning raises (ValueErrors), LedgerError.
Begin = Callable[[Schedule, dt.datetime, int | None], int]


def times(cron: str, after: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the times of a cron expression in Phoenix, after a moment. Raises CronError."""
    try:
        yield from CronSim(cron, after.astimezone(PHOENIX))
    except CronSimError as error:
        fields = "minute hour day-of-month month day-of-week, such as `0 5 * * 1-5`"
        raise CronError(f"{cron!r} is no time for a schedule ({error}); the form is {fields}") from None


def next_time(cron: str, after: dt.datetime) -> dt.datetime:
    """Return the first time after a moment. Raises CronError, also when there is none in 50 years."""
    for found in times(cron, after):
        return found
    raise CronError(f"{cron!r} never comes")


def shortest_interval(cron: str, after: dt.datetime) -> dt.timedelta | None:
    """Return how close two of its times come to each other; None where there is only one. Raises
    CronError.
    """
    return min((b - a for a, b in pairwise(islice(times(cron, after), _TIMES))), default=None)


def too_long(cron: str, seconds: float, after: dt.datetime) -> str | None:
    """Return why a job of so many seconds cannot be done at these times, with the arithmetic; None when it
    can. Raises CronError.
    """
    interval = shortest_interval(cron, after)
    if interval is None or seconds <= interval.total_seconds():
        return None
    return f"this takes about {hours(seconds)} and is due every {hours(interval.total_seconds())}"


def hours(seconds: float) -> str:
    """Return a length of time in the largest unit that shows it.

    >>> hours(45), hours(5400), hours(86400), hours(111600)
    ('45 seconds', '90 minutes', '24 hours', '31 hours')
    """
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"


def add(
    session: Session, cron: str, arguments: Sequence[str], list_id: int | None = None, note: str | None = None
) -> Schedule:
    """Store a schedule; its job is the caller's to check. Raises CronError."""

    def work(cursor: Cursor) -> int:
        cursor.execute("SELECT now()")
        (now,) = cursor.fetchone() or ()
        cursor.execute(
            "INSERT INTO crawl.schedule (cron, arguments, list_id, note, next_at) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING id",
            (cron, list(arguments), list_id, note, next_time(cron, now)),
        )
        (found,) = cursor.fetchone() or ()
        return int(found)

    return see(session, session.transact(work))


def see(session: Session, schedule_id: int) -> Schedule:
    """Return a schedule. Raises LedgerError when there is none."""
    for found in _read(session, "WHERE id = %s", (schedule_id,)):
        return found
    raise LedgerError(f"schedule {schedule_id}: there is none; `maricopa schedule list` shows them")


def all_of(session: Session) -> list[Schedule]:
    """Return all schedules, the next first."""
    return _read(session, "ORDER BY state, next_at, id")


def pause(session: Session, schedule_id: int) -> None:
    """Start it no more until `resume`. Raises LedgerError."""
    see(session, schedule_id)
    session.rows("UPDATE crawl.schedule SET state = 'paused' WHERE id = %s RETURNING id", (schedule_id,))


def resume(session: Session, schedule_id: int) -> Schedule:
    """Start it again from its next time on: what it missed while paused is not made up for. Raises
    LedgerError.
    """
    found = see(session, schedule_id)
    session.rows(
        "UPDATE crawl.schedule SET state = 'active', next_at = %s WHERE id = %s RETURNING id",
        (next_time(found.cron, found.asked_at), schedule_id),
    )
    return see(session, schedule_id)


def remove(session: Session, schedule_id: int) -> None:
    """Forget a schedule, and its list where that has no name; its jobs stay. Raises LedgerError."""
    found = see(session, schedule_id)

    def work(cursor: Cursor) -> None:
        cursor.execute("DELETE FROM crawl.schedule WHERE id = %s", (schedule_id,))
        if found.list_id is not None:
            saved_lists.forget_unused(cursor, found.list_id)

    session.transact(work)


def tick(session: Session, begin: Begin, claim: float = CLAIM_S) -> Iterator[Happened]:
    """Start what is due, one schedule after another; any number of ticks may do so at once, on any machines.

    `claim`: seconds for which nobody else starts what this one is about to start.
    """
    while claimed := session.rows(_CLAIM, {"claim": claim}):
        schedule = see(session, claimed[0][0])
        yield _settle(session, schedule, _start(session, schedule, begin))


def run_now(session: Session, schedule_id: int, begin: Begin) -> Happened:
    """Start a schedule's job at once, besides its times; its next time stays. Raises what `begin` raises."""
    schedule = see(session, schedule_id)
    job = begin(schedule, schedule.asked_at, None)
    message = f"job {job} was started by hand"
    session.rows(
        "UPDATE crawl.schedule SET last_job = %s, last_at = %s, message = %s WHERE id = %s RETURNING id",
        (job, schedule.asked_at, message, schedule_id),
    )
    return Happened(schedule, job, message)


def clock(moment: dt.datetime) -> str:
    """Return a moment as a person in Phoenix writes it."""
    return f"{moment.astimezone(PHOENIX):%a %Y-%m-%d %H:%M}"


def job_of(session: Session, schedule: Schedule, due: dt.datetime) -> int | None:
    """Return the job that was written for a time of a schedule, if there is one."""
    for (job,) in session.rows(_JOB_OF, (str(schedule.id), due.astimezone(dt.UTC).isoformat())):
        return int(job)
    return None


def mark(schedule: Schedule, due: dt.datetime) -> dict[str, Any]:
    """Return what the job of a schedule keeps among its parameters, by which there can be one."""
    return {"schedule": {"id": schedule.id, "due": due.astimezone(dt.UTC).isoformat()}}


def _read(session: Session, which: str, values: Sequence[Any] = ()) -> list[Schedule]:
    def work(cursor: Cursor) -> list[Schedule]:
        cursor.execute(f"{_ROW} {which}", values)
        return objects(cursor, Schedule)

    return session.transact(work)


def _start(session: Session, schedule: Schedule, begin: Begin) -> Happened:
    """Start its job, unless the one before is still going."""
    due = schedule.next_at
    missed = sum(1 for _ in _until(times(schedule.cron, due), schedule.asked_at))
    told = f"; {missed} later times were missed, this run stands for them too" if missed else ""
    before = None if schedule.last_job is None else progress.read(session, schedule.last_job)
    if before is not None and before.state != "finished":
        if before.word != "interrupted":
            why = f"not started: job {before.job} of the time before is still {before.word}"
            return Happened(schedule, None, f"{why}{told}")
        due_before, goes_on = schedule.last_at or due, before.job
        begin(schedule, due_before, goes_on)
        return Happened(
            schedule, goes_on, f"job {goes_on} of the time before was interrupted, and goes on{told}"
        )
    late = schedule.asked_at - due
    delay = f", {hours(late.total_seconds())} late" if late > dt.timedelta(minutes=5) else ""
    try:
        job = begin(schedule, due, job_of(session, schedule, due))
    except NothingToDo as error:
        return Happened(schedule, None, f"nothing to do: {error}{told}")
    except (ValueError, LedgerError) as error:
        return Happened(schedule, None, f"not started: {error}{told}", is_failure=True)
    change = saved_lists.summary(session, schedule.list_id).change() if schedule.list_id else None
    kept = f"; {change}: the list is as it was saved" if change else ""
    return Happened(schedule, job, f"job {job} was started{delay}{told}{kept}")


def _settle(session: Session, schedule: Schedule, happened: Happened) -> Happened:
    def work(cursor: Cursor) -> None:
        cursor.execute("SELECT now()")
        (now,) = cursor.fetchone() or ()
        cursor.execute(
            _SETTLE,
            {
                "id": schedule.id,
                "next": next_time(schedule.cron, max(now, schedule.next_at)),
                "was": schedule.next_at,
                "message": f"{clock(schedule.next_at)}: {happened.message}",
                "due": schedule.next_at if happened.job is not None else None,
                "job": happened.job,
            },
        )

    session.transact(work)
    return happened


def _until(found: Iterator[dt.datetime], moment: dt.datetime) -> Iterator[dt.datetime]:
    for one in found:
        if one > moment:
            return
        yield one
