"""Jobs as the manager sees them: their plan, their turn, who supervises them, and what a person asks of them.

Everything here is one short transaction. A supervisor beats as a run does; one that is silent, or whose
process is gone, is lost.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import dicts, objects
from maricopa_scrapy.items import PRIORITIES
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.ledger.lost_runs import SILENCE_S, reap
from maricopa_scrapy.ledger.verdict import CANCELLED, settle
from maricopa_scrapy.machine.processes import is_alive, node_name, process_of

# Any number that no other program's advisory lock is likely to use.
_TURN_LOCK = 7_402_231_912

_PLANNED = """
    INSERT INTO crawl.planned_run (job_id, number, spider, source, phase, feeds, place)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
# A job of `scrapy crawl` has no plan: it is made of the spiders that it had.
_PLAN_AS_RUN = """
    INSERT INTO crawl.planned_run (job_id, number, spider, source, phase, feeds, place)
    SELECT %(job)s, row_number() OVER (ORDER BY min(id)), spider, source, 0, '{}', 'local' FROM crawl.run
    WHERE job_id = %(job)s AND NOT EXISTS (SELECT FROM crawl.planned_run WHERE job_id = %(job)s)
    GROUP BY spider, source
"""
_SEE = """
    SELECT p.number, p.spider, p.source, p.phase, p.place, p.state, p.starts, p.handle, p.message,
           coalesce(r.state, '') AS run,
           coalesce(extract(epoch FROM now() - p.started_at), 0)::double precision AS age,
           EXISTS (SELECT FROM crawl.target t WHERE t.job_id = p.job_id AND t.source = p.source
               AND t.state IN ('pending', 'leased')) AS has_open_targets,
           EXISTS (SELECT FROM crawl.planned_run f WHERE f.job_id = p.job_id AND f.state <> 'ended'
               AND p.source = ANY (f.feeds)) AS is_fed
    FROM crawl.planned_run p LEFT JOIN crawl.run r ON r.id = p.run_id WHERE p.job_id = %s ORDER BY p.number
"""
# Those that run: supervised, or with a run that lives although the supervisor is gone.
_RUNNING = """
    SELECT count(*) FROM crawl.job j
    WHERE j.state = 'running' AND j.id <> %(job)s AND j.supervisor IS NOT NULL AND (
        j.supervised_at > now() - make_interval(secs => %(silence)s)
        OR EXISTS (SELECT FROM crawl.run r WHERE r.job_id = j.id AND r.state = 'running'))
"""
_FIRST_IN_LINE = """
    SELECT id FROM crawl.job
    WHERE state = 'pending' AND requested_state = 'run'
      AND supervised_at > now() - make_interval(secs => %(silence)s)
    ORDER BY array_position(%(priorities)s, priority), id LIMIT 1
"""
_NEWEST = """
    SELECT j.id, j.type, j.mode, j.priority, j.parameters, j.state, j.requested_state, j.verdict, j.reason,
           j.enumerated, j.created_at, j.started_at, j.finished_at, coalesce(t.done, 0) AS done,
           coalesce(t.gone, 0) AS gone, coalesce(t.dead, 0) AS dead, coalesce(t.open, 0) AS open,
           EXISTS (SELECT FROM crawl.run r WHERE r.job_id = j.id AND r.state = 'running'
                   AND r.heartbeat_at > now() - make_interval(secs => %(silence)s)) AS is_live,
           coalesce(j.supervised_at > now() - make_interval(secs => %(silence)s), false) AS is_supervised
    FROM (SELECT * FROM crawl.job ORDER BY id DESC LIMIT %(limit)s) j
    LEFT JOIN (
        SELECT job_id, count(*) FILTER (WHERE state = 'done') AS done,
               count(*) FILTER (WHERE state = 'gone') AS gone,
               count(*) FILTER (WHERE state = 'dead') AS dead,
               count(*) FILTER (WHERE state IN ('pending', 'leased')) AS open
        FROM crawl.target
        WHERE job_id IN (SELECT id FROM crawl.job ORDER BY id DESC LIMIT %(limit)s) GROUP BY job_id
    ) t ON t.job_id = j.id
    ORDER BY j.id DESC
"""

# Of a job that goes on: runs that had ended before their source was to be asked again.
_ENDED_TOO_SOON = """
    UPDATE crawl.planned_run p SET state = 'planned', starts = 0, handle = NULL, run_id = NULL,
        message = NULL, ended_at = NULL
    WHERE job_id = %s AND state = 'ended'
      AND EXISTS (SELECT FROM crawl.target t WHERE t.job_id = p.job_id AND t.source = p.source
          AND t.state IN ('pending', 'leased'))
"""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One process that a job needs: `spider` at `place`, when all of the phases before have ended; it may
    find targets for `feeds`.
    """

    spider: str
    source: str
    phase: int = 0
    feeds: tuple[str, ...] = ()
    place: str = "local"


@dataclass(frozen=True, slots=True)
class RunState:
    """A planned run as it stands. `run`: the state of the run that it became, or empty. `age`: seconds since
    it was started.
    """

    number: int
    spider: str
    source: str
    phase: int
    place: str
    state: str
    starts: int
    handle: str | None
    message: str | None
    run: str
    age: float
    has_open_targets: bool
    is_fed: bool


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as its supervisor sees it. `is_mine`: no other process has taken it over."""

    id: int
    state: str
    requested_state: str
    verdict: str | None
    is_mine: bool
    parameters: dict[str, Any]
    runs: tuple[RunState, ...]


def plan(cursor: Cursor, job_id: int, runs: Iterable[PlannedRun]) -> None:
    """Write which runs a new job is made of, in the caller's transaction."""
    for number, run in enumerate(runs, start=1):
        cursor.execute(
            _PLANNED, (job_id, number, run.spider, run.source, run.phase, list(run.feeds), run.place)
        )


def adopt(session: Session, job_id: int) -> None:
    """Make this process the job's supervisor. Raises LedgerError when another one beats."""

    def work(cursor: Cursor) -> None:
        job = _locked(cursor, job_id)
        if _is_supervised(job) and not _is_mine(job):
            where = job["supervisor"].split("/")[0]
            raise LedgerError(
                f"job {job_id} is supervised already, by process {job['supervisor_pid']} on {where}"
            )
        cursor.execute(_PLAN_AS_RUN, {"job": job_id})
        cursor.execute(
            "UPDATE crawl.job SET supervisor = %s, supervisor_pid = %s, supervisor_started = %s,"
            " supervisor_process = %s, supervised_at = now() WHERE id = %s",
            (node_name(), os.getpid(), psutil.Process().create_time(), process_of(os.getpid()), job_id),
        )

    session.transact(work)


def beat(session: Session, job_ids: Sequence[int]) -> None:
    """Say that this process still supervises these jobs, and give back what silent runs held."""

    def work(cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE crawl.job SET supervised_at = clock_timestamp() WHERE id = ANY(%s) AND supervisor = %s"
            " AND supervisor_pid = %s",
            (list(job_ids), node_name(), os.getpid()),
        )

    session.transact(work)
    # By itself: whoever looks at the jobs does not wait for what it gives back.
    session.transact(reap)


def see(session: Session, job_id: int) -> JobState:
    """Return the job and its planned runs as they stand, settled. Raises LedgerError when there is no such
    job.
    """

    def work(cursor: Cursor) -> JobState:
        job = _locked(cursor, job_id)
        if job["state"] != "finished":
            reap(cursor)
            settle(cursor, job_id)
            job = _locked(cursor, job_id)
        cursor.execute(_SEE, (job_id,))
        runs = tuple(objects(cursor, RunState))
        return JobState(
            job_id,
            job["state"],
            job["requested_state"],
            job["verdict"],
            _is_mine(job),
            job["parameters"],
            runs,
        )

    return session.transact(work)


def take_turn(session: Session, job_id: int, most: int) -> bool:
    """Let the job begin when fewer than `most` others run and none that waits comes before it."""

    def work(cursor: Cursor) -> bool:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN_LOCK,))
        names = {"job": job_id, "silence": SILENCE_S, "priorities": list(PRIORITIES)}
        cursor.execute(_RUNNING, names)
        if _first(cursor)[0] >= most:
            return False
        cursor.execute(_FIRST_IN_LINE, names)
        if cursor.fetchall() != [(job_id,)]:
            return False
        # It may have been cancelled since it was looked at.
        cursor.execute(
            "UPDATE crawl.job SET state = 'running', started_at = coalesce(started_at, now())"
            " WHERE id = %s AND state = 'pending' AND requested_state = 'run'",
            (job_id,),
        )
        return cursor.rowcount == 1

    return session.transact(work)


def note_start(session: Session, job_id: int, number: int, handle: str | None) -> None:
    """A planned run is about to be started (without a handle), or was (with one)."""

    def work(cursor: Cursor) -> None:
        if handle is not None:
            cursor.execute(
                "UPDATE crawl.planned_run SET handle = %s WHERE job_id = %s AND number = %s",
                (handle, job_id, number),
            )
            return
        cursor.execute(
            "UPDATE crawl.planned_run SET state = 'started', starts = starts + 1, handle = NULL, run_id ="
            " NULL, message = NULL, started_at = now(), ended_at = NULL WHERE job_id = %s AND number = %s",
            (job_id, number),
        )

    session.transact(work)


def started_runs(session: Session, job_ids: Sequence[int]) -> int:
    """Count the runs of these jobs that were started and have not ended."""

    def work(cursor: Cursor) -> int:
        cursor.execute(
            "SELECT count(*) FROM crawl.planned_run WHERE job_id = ANY(%s) AND state = 'started'",
            (list(job_ids),),
        )
        return int(_first(cursor)[0])

    return session.transact(work)


def note_end(session: Session, job_id: int, number: int, message: str | None) -> None:
    """A planned run is over, or is not needed; the last one ends the job."""

    def work(cursor: Cursor) -> None:
        _locked(cursor, job_id)
        cursor.execute(
            "UPDATE crawl.planned_run SET state = 'ended', ended_at = now(), message = %s"
            " WHERE job_id = %s AND number = %s AND state <> 'ended'",
            (message, job_id, number),
        )
        settle(cursor, job_id)

    session.transact(work)


def note_again(session: Session, job_id: int, number: int, starts: int) -> None:
    """A planned run whose process is gone is to be started again; `starts` in a row came to nothing."""

    def work(cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE crawl.planned_run SET state = 'planned', starts = %s, handle = NULL, run_id = NULL WHERE"
            " job_id = %s AND number = %s AND state = 'started'",
            (starts, job_id, number),
        )

    session.transact(work)


def request_state(session: Session, job_id: int, what: str) -> JobState:
    """Ask the job to pause or to be cancelled; its runs see it within a second. Raises LedgerError where it
    cannot be.
    """

    def work(cursor: Cursor) -> None:
        job = _locked(cursor, job_id)
        verb = "pause" if what == "pause" else "cancel"
        if job["state"] == "finished":
            raise LedgerError(f"job {job_id} has ended ({job['verdict']}); there is nothing to {verb}")
        if job["requested_state"] == "cancel" and what != "cancel":
            raise LedgerError(f"job {job_id} is being cancelled")
        cursor.execute("UPDATE crawl.job SET requested_state = %s WHERE id = %s", (what, job_id))

    session.transact(work)
    return see(session, job_id)


def resume(session: Session, job_id: int) -> bool:
    """Let a job that is paused, interrupted or incomplete go on; returns whether a supervisor is there
    already.

    Raises LedgerError when there is nothing to go on with.
    """

    def work(cursor: Cursor) -> bool:
        job = _locked(cursor, job_id)
        if job["verdict"] == CANCELLED or job["requested_state"] == "cancel":
            raise LedgerError(f"job {job_id} was cancelled; start a new one")
        reap(cursor)
        cursor.execute(
            "SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %(job)s AND state IN ('pending',"
            " 'leased')) OR EXISTS (SELECT FROM crawl.planned_run WHERE job_id = %(job)s AND state <>"
            " 'ended')",
            {"job": job_id},
        )
        is_open = _first(cursor)[0]
        if job["state"] == "finished" and not is_open:
            raise LedgerError(f"job {job_id} has ended ({job['verdict']}), and none of its targets is open")
        is_supervised = _is_supervised(job)
        # What was started for one that runs may not have come to the ledger yet: it is not to be started
        # twice.
        if not (job["state"] == "running" and job["requested_state"] == "run" and is_supervised):
            _reopen(cursor, job_id)
        return is_supervised and not _is_mine(job)

    return session.transact(work)


def retry(session: Session, job_id: int, cause: str | None = None, is_unread: bool = False) -> int:
    """Ask again for what was given up, all of it or that of one cause, or for answers with unread sections;
    returns how many targets.

    Raises LedgerError.
    """

    def work(cursor: Cursor) -> int:
        cursor.execute("SELECT FROM crawl.job WHERE id = %s", (job_id,))
        if not cursor.rowcount:
            raise LedgerError(f"there is no job {job_id}; `maricopa jobs` lists them")
        count = _ask_unread_again(cursor, job_id) if is_unread else _ask_dead_again(cursor, job_id, cause)
        # Last: who supervises the job beats in this row, and a million targets take a minute.
        job = _locked(cursor, job_id)
        if job["verdict"] == CANCELLED or job["requested_state"] == "cancel":
            raise LedgerError(f"job {job_id} was cancelled; start a new one")
        if job["state"] == "finished":
            _reopen(cursor, job_id)
        else:
            cursor.execute(_ENDED_TOO_SOON, (job_id,))
        return count

    return session.transact(work)


def _ask_dead_again(cursor: Cursor, job_id: int, cause: str | None) -> int:
    cursor.execute(
        "SELECT DISTINCT cause FROM crawl.target WHERE job_id = %s AND state = 'dead' AND cause IS NOT NULL",
        (job_id,),
    )
    causes = sorted(found for (found,) in cursor.fetchall())
    if not causes:
        raise LedgerError(
            f"job {job_id} has given up no target; `maricopa status {job_id}` shows what is left, and"
            " --unread asks for answers again of which a section could not be read"
        )
    if cause is not None and cause not in causes:
        raise LedgerError(f"job {job_id} has given up no target for {cause}; its causes: {', '.join(causes)}")
    cursor.execute(
        "UPDATE crawl.target SET state = 'pending', attempts = 0, failures = NULL, cause = NULL, message ="
        " NULL, not_before = NULL, done_at = NULL, run_id = NULL, rows = NULL, capture_sha256 = NULL WHERE"
        " job_id = %s AND state = 'dead' AND (%s IS NULL OR cause = %s)",
        (job_id, cause, cause),
    )
    return cursor.rowcount


def _ask_unread_again(cursor: Cursor, job_id: int) -> int:
    # The rows that were stored of such an answer stay, and so does the tie to the capture that they were read
    # from.
    cursor.execute(
        "INSERT INTO crawl.former_answer (target_id, capture_sha256, done_at) SELECT id, capture_sha256,"
        " done_at FROM crawl.target WHERE job_id = %s AND unread IS NOT NULL AND state = 'done' AND"
        " capture_sha256 IS NOT NULL ON CONFLICT DO NOTHING",
        (job_id,),
    )
    cursor.execute(
        "UPDATE crawl.target SET state = 'pending', attempts = 0, failures = NULL, cause = NULL, message ="
        " NULL, not_before = NULL, done_at = NULL, run_id = NULL, rows = NULL, capture_sha256 = NULL, unread"
        " = NULL WHERE job_id = %s AND unread IS NOT NULL AND state = 'done'",
        (job_id,),
    )
    if not cursor.rowcount:
        raise LedgerError(
            f"job {job_id} has no answer with an unread section; `maricopa status {job_id}` shows how it"
            " stands"
        )
    return cursor.rowcount


def circumstances(session: Session, job_id: int) -> tuple[dict[str, str], list[str]]:
    """Return the Scrapy settings that the job was given, and the places of its runs. Raises LedgerError when
    there is no such job.
    """

    def work(cursor: Cursor) -> tuple[dict[str, str], list[str]]:
        settings = _locked(cursor, job_id)["parameters"].get("settings", {})
        cursor.execute(
            "SELECT DISTINCT unnest(string_to_array(place, ', ')) FROM crawl.planned_run WHERE job_id = %s"
            " ORDER BY 1",
            (job_id,),
        )
        return settings, sorted(place for (place,) in cursor.fetchall())

    return session.transact(work)


def newest(session: Session, limit: int = 20) -> list[dict[str, Any]]:
    """Return the newest jobs with their counts, newest first."""

    def work(cursor: Cursor) -> list[dict[str, Any]]:
        cursor.execute(_NEWEST, {"silence": SILENCE_S, "limit": limit})
        return dicts(cursor)

    return session.transact(work)


def _reopen(cursor: Cursor, job_id: int) -> None:
    cursor.execute(
        "UPDATE crawl.job j SET requested_state = 'run', verdict = NULL, reason = NULL, finished_at = NULL,"
        " state = CASE WHEN EXISTS (SELECT FROM crawl.run r WHERE r.job_id = j.id AND r.state = 'running')"
        " THEN 'running' ELSE 'pending' END WHERE id = %s",
        (job_id,),
    )
    # Which of them have something to do, their supervisor sees before it starts them.
    cursor.execute(
        "UPDATE crawl.planned_run p SET state = 'planned', starts = 0, handle = NULL, run_id = NULL, message"
        " = NULL, ended_at = NULL WHERE job_id = %s AND NOT EXISTS (SELECT FROM crawl.run r WHERE r.id ="
        " p.run_id AND r.state = 'running')",
        (job_id,),
    )


def _locked(cursor: Cursor, job_id: int) -> dict[str, Any]:
    cursor.execute(
        "SELECT state, requested_state, verdict, parameters, supervisor, supervisor_pid, supervisor_started,"
        " supervisor_process, coalesce(supervised_at > now() - make_interval(secs => %s), false) AS"
        " is_beating FROM crawl.job WHERE id = %s FOR NO KEY UPDATE",
        (SILENCE_S, job_id),
    )
    for job in dicts(cursor):
        return job
    raise LedgerError(f"there is no job {job_id}; `maricopa jobs` lists them")


def _is_supervised(job: dict[str, Any]) -> bool:
    if not job["is_beating"]:
        return False
    # On this machine a process that is gone need not be waited for.
    return bool(job["supervisor"] != node_name()) or is_alive(
        job["supervisor_pid"], job["supervisor_process"] or job["supervisor_started"]
    )


def _is_mine(job: dict[str, Any]) -> bool:
    return (job["supervisor"], job["supervisor_pid"]) == (node_name(), os.getpid())


def _first(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
