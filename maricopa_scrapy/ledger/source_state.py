"""The row of a source: one short transaction in which a run reports what it saw and learns what it may do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import objects
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.ledger.lost_runs import SILENCE_S

T = TypeVar("T")

# What the priorities of jobs weigh that ask one source at once.
WEIGHTS = {"critical": 8, "high": 4, "normal": 2, "low": 1}

_REPORT = """
    INSERT INTO crawl.share (source, run_id, wants, reported_at)
    VALUES (%(source)s, %(run)s, %(wants)s, clock_timestamp())
    ON CONFLICT (source, run_id) DO UPDATE SET wants = excluded.wants, reported_at = excluded.reported_at
"""
_ASKING = """
    SELECT s.run_id = %(run)s, s.wants, j.priority
    FROM crawl.share s JOIN crawl.run r ON r.id = s.run_id JOIN crawl.job j ON j.id = r.job_id
    WHERE s.source = %(source)s AND r.state = 'running'
      AND s.reported_at > clock_timestamp() - make_interval(secs => %(silence)s)
"""

# state, seconds since 1970 by the database's clock, this run's share from 0 to 1, whether it asks alone ->
# new state, result
Step = Callable[[dict[str, Any], float, float, bool], tuple[dict[str, Any], T]]


def exchange(session: Session, run: Run, source: str, wants: bool, step: Step[T]) -> T:
    """Run `step` on the source's row, alone among all processes, and return its result.

    `step` may run twice, when the connection is lost, and must have no other effect.
    """

    def work(cursor: Cursor) -> T:
        # With the server's machine half a second of pace is lost; and a machine that freezes here must not
        # hold the others.
        cursor.execute(
            "SET LOCAL synchronous_commit = off; SET LOCAL idle_in_transaction_session_timeout = '5s'"
        )
        names = {"source": source, "run": run.id, "wants": wants, "silence": SILENCE_S}
        cursor.execute("INSERT INTO crawl.source (source) VALUES (%(source)s) ON CONFLICT DO NOTHING", names)
        cursor.execute("SELECT state FROM crawl.source WHERE source = %(source)s FOR UPDATE", names)
        ((state,),) = cursor.fetchall()
        cursor.execute(_REPORT, names)
        cursor.execute(_ASKING, names)
        asking = cursor.fetchall()
        mine = sum(WEIGHTS[priority] for is_mine, _, priority in asking if is_mine) or WEIGHTS["normal"]
        others = [WEIGHTS[priority] for is_mine, is_wanting, priority in asking if not is_mine and is_wanting]
        alone = all(is_mine for is_mine, _, _ in asking)
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        ((now,),) = cursor.fetchall()
        state, result = step(state, float(now), mine / (mine + sum(others)), alone)
        cursor.execute(
            "UPDATE crawl.source SET state = %s, updated_at = now() WHERE source = %s", (Json(state), source)
        )
        return result

    return session.transact(work)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of a source: requests per second now and at most (None: no limit met yet), seconds it is
    still held.
    """

    source: str
    rate: float
    budget: float | None
    held: float
    is_open: bool
    runs: int


def paces(session: Session) -> list[Pace]:
    """Return the pace of every source that was ever asked."""

    def work(cursor: Cursor) -> list[Pace]:
        cursor.execute(
            """
            SELECT source, rate, budget, is_open,
                   greatest(0, extract(epoch FROM blocked_until - clock_timestamp()))::double precision
                   AS held,
                   (SELECT count(*) FROM crawl.share s JOIN crawl.run r ON r.id = s.run_id
                       WHERE s.source = source.source
                    AND r.state = 'running' AND s.reported_at > clock_timestamp() - make_interval(secs => %s))
                   AS runs
            FROM crawl.source WHERE rate IS NOT NULL ORDER BY source
            """,
            (SILENCE_S,),
        )
        return objects(cursor, Pace)

    return session.transact(work)
