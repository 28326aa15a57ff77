"""What went over the wire in the course of a run: counts with their times, taken by its beats."""

import datetime as dt
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.rows import objects

# A two-hundredth of the run's age lies between two samples, ten minutes at most: 200 in the first ten
# minutes, 1,200 in a day.
_NOTE = """
    INSERT INTO crawl.sample (run_id, source, at, requests, answers, refusals, bytes, allowed)
    SELECT r.id, t.key, now(), (t.value ->> 'requests')::bigint, (t.value ->> 'answers')::bigint,
        (t.value ->> 'refusals')::bigint,
           (t.value ->> 'bytes')::bigint,
           CASE WHEN s.is_open OR s.blocked_until > now() + interval '3 s' THEN 0 ELSE s.rate END
    FROM crawl.run r CROSS JOIN LATERAL jsonb_each(r.traffic) t LEFT JOIN crawl.source s ON s.source = t.key
    WHERE r.id = %(run)s AND (%(is_last)s OR NOT EXISTS (
        SELECT FROM crawl.sample b WHERE b.run_id = r.id AND b.source = t.key
        AND b.at > now() - least(interval '10 min',
            greatest(interval '2.5 s', (now() - r.started_at) / 200))))
    ON CONFLICT DO NOTHING
"""
_OF_JOB = """
    SELECT s.run_id AS run, s.source, coalesce(lag(s.at) OVER w, r.started_at) AS begin, s.at AS end,
           s.answers - lag(s.answers, 1, 0::bigint) OVER w AS answers,
           s.refusals - lag(s.refusals, 1, 0::bigint) OVER w AS refusals, s.allowed
    FROM crawl.sample s JOIN crawl.run r ON r.id = s.run_id
    WHERE r.job_id = %s WINDOW w AS (PARTITION BY s.run_id, s.source ORDER BY s.at) ORDER BY s.at
"""


@dataclass(frozen=True, slots=True)
class Interval:
    """What one run got of one source from one moment to another; `allowed`: requests per second that it might
    have been asked, by all.
    """

    run: int
    source: str
    begin: dt.datetime
    end: dt.datetime
    answers: int
    refusals: int
    allowed: float | None


def note(cursor: Cursor, run_id: int, is_last: bool = False) -> None:
    """Take a sample of the traffic that the run has just written, when one is due; the last one is."""
    cursor.execute(_NOTE, {"run": run_id, "is_last": is_last})


def of_job(cursor: Cursor, job_id: int) -> list[Interval]:
    """Return the intervals of all runs of a job, by their ends."""
    cursor.execute(_OF_JOB, (job_id,))
    return objects(cursor, Interval)
