"""Runs that are lost: silent, or without their process. What they held goes back.

Silence is a span, and no clock is believed for it alone: the database's may be set, a machine may sleep, the
database itself may have been away. So a process whose own look-outs say that one of these happened waits
until it has itself seen a run silent for long enough.
"""

import datetime as dt
import os
import time

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.rows import named
from maricopa_scrapy.machine.processes import is_alive, is_stopped, node_name, process_of

SILENCE_S = 10.0

# Two looks that lie further apart, or a database's clock that differs by more from ours between them, tell of
# one of the above.
_GAP_S = 6.0
_STEP_S = 2.0
_RUNNING = """
    SELECT id, job_id, node, pid, process, pid_started, heartbeat_at,
           heartbeat_at < clock_timestamp() - make_interval(secs => %(silence)s) AS is_silent,
           heartbeat_at > clock_timestamp() + make_interval(secs => %(silence)s) AS is_ahead,
           extract(epoch FROM clock_timestamp()) AS now
    FROM crawl.run WHERE state = 'running' FOR NO KEY UPDATE SKIP LOCKED
"""
_MARK = "UPDATE crawl.run SET state = 'lost', reason = 'lost', finished_at = now() WHERE id = %s"
# Its clock was set back: from now on it counts again.
_BEGIN_ANEW = "UPDATE crawl.run SET heartbeat_at = clock_timestamp() WHERE id = %s"


class _Lookout:
    """What this process has seen, by its monotonic clock: since when each beat has been the last one of its
    run.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[int, dt.datetime], float] = {}
        self._looked_at: float | None = None
        self._offset = 0.0
        self._doubtful_until = 0.0

    def look(self, beats: list[tuple[int, dt.datetime]], database_now: float) -> dict[int, float]:
        """Return for how many seconds each run has been seen silent."""
        now = time.monotonic()
        offset = database_now - now
        if self._looked_at is not None and (
            now - self._looked_at > _GAP_S or abs(offset - self._offset) > _STEP_S
        ):
            self._doubtful_until = now + SILENCE_S
            self._since.clear()
        self._looked_at, self._offset = now, offset
        self._since = {beat: self._since.get(beat, now) for beat in beats}
        return {run: now - since for (run, _), since in self._since.items()}

    @property
    def is_doubtful(self) -> bool:
        """Whether the database's clock, or what it says of beats, is not to be believed."""
        return time.monotonic() < self._doubtful_until


# One of each database.
_lookouts: dict[str, _Lookout] = {}


def reap(cursor: Cursor) -> None:
    """Mark runs lost that are silent, or whose process on this machine is gone, and give back their leases.
    Never this process's own.
    """
    cursor.execute(_RUNNING, {"silence": SILENCE_S})
    runs = named(cursor)
    if not runs:
        return
    lookout = _lookouts.setdefault(cursor.connection.dsn, _Lookout())
    seen = lookout.look([(run.id, run.heartbeat_at) for run in runs], float(runs[0].now))
    here, mine = node_name(), (os.getpid(), process_of(os.getpid()))
    for run in runs:
        is_here = run.node == here
        if is_here and (run.pid, run.process) == mine:
            continue
        if run.is_ahead:
            cursor.execute(_BEGIN_ANEW, (run.id,))
        elif (is_here and not is_alive(run.pid, run.process or run.pid_started)) or (
            run.is_silent
            # On this machine a live process is silent only to those who have waited for its beat.
            and (
                seen[run.id] >= SILENCE_S
                or not (lookout.is_doubtful or (is_here and not is_stopped(run.pid)))
            )
        ):
            cursor.execute(_MARK, (run.id,))
            release(cursor, [run.id], run.job_id)


def release(cursor: Cursor, run_ids: list[int], job_id: int, source: str | None = None) -> None:
    """Take from runs what they hold: targets, and shares of sources."""
    cursor.execute(
        "DELETE FROM crawl.share WHERE run_id = ANY(%s) AND (%s IS NULL OR source = %s)",
        (run_ids, source, source),
    )
    cursor.execute(
        "UPDATE crawl.target SET state = 'pending', run_id = NULL"
        " WHERE job_id = %s AND state = 'leased' AND run_id = ANY(%s) AND (%s IS NULL OR source = %s)",
        (job_id, run_ids, source, source),
    )
