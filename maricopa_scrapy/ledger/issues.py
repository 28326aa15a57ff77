"""What a person must look at: one line for what is the same, over one job or all, with its newest example."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import objects

_ISSUES = """
    SELECT g.source, g.kind, g.signature, i.message, g.count, g.jobs, g.first_at, g.last_at,
           i.job_id AS job, i.target_key AS target, coalesce(i.example->>'url', c.url) AS url,
           encode(i.capture_sha256, 'hex') AS capture, c.body IS NOT NULL AS has_body, i.example
    FROM (
        SELECT source, kind, signature, sum(count)::bigint AS count, count(*) AS jobs,
            min(first_at) AS first_at, max(last_at) AS last_at,
               (array_agg(id ORDER BY last_at DESC, id DESC))[1] AS newest
        FROM crawl.issue WHERE %(job)s::bigint IS NULL OR job_id = %(job)s GROUP BY source, kind, signature
    ) g
    JOIN crawl.issue i ON i.id = g.newest LEFT JOIN crawl.capture c ON c.sha256 = i.capture_sha256
    ORDER BY g.last_at DESC, g.source, g.kind, g.signature
"""


@dataclass(frozen=True, slots=True)
class Known:
    """One kind of surprise. `count`: how often, in so many `jobs`; the example is the newest: its job,
    target, address and capture.
    """

    source: str
    kind: str
    signature: str
    message: str
    count: int
    jobs: int
    first_at: dt.datetime
    last_at: dt.datetime
    job: int
    target: str
    url: str | None
    capture: str | None
    has_body: bool
    example: Any


def known(session: Session, job_id: int | None = None) -> list[Known]:
    """Return the issues of a job, or of all, the newest first."""

    def work(cursor: Cursor) -> list[Known]:
        cursor.execute(_ISSUES, {"job": job_id})
        return objects(cursor, Known)

    return session.transact(work)
