"""Raw answers: how many are kept and how big they are, one after another, and what goes when room is
wanted.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import NamedTupleCursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import objects
from maricopa_scrapy.database.source_hooks import of_all
from maricopa_scrapy.database.store_and_acknowledge import body_of
from maricopa_scrapy.database.tables import RECORDS
from maricopa_scrapy.items import Capture

_CHUNK = 100
_KEPT = """
    SELECT source, count(*) AS answers, count(body) AS bodies, count(pruned_at) AS pruned,
           coalesce(sum(size) FILTER (WHERE body IS NOT NULL), 0)::bigint AS size,
           coalesce(sum(octet_length(body)), 0)::bigint AS stored,
           min(fetched_at) AS first_at, max(fetched_at) AS last_at,
           (SELECT coalesce(string_agg(DISTINCT word, ', '), '')
               FROM crawl.capture c2, unnest(c2.left_out) AS word
            WHERE c2.source = c.source) AS left_out
    FROM crawl.capture c GROUP BY source ORDER BY source
"""
_BODIES = """
    SELECT c.sha256, c.source, c.url, c.status, coalesce(c.content_type, '') AS content_type, c.fetched_at,
           c.body, c.size, c.left_out, c.is_rendered
    FROM crawl.capture c
    WHERE c.body IS NOT NULL AND (%(source)s::text IS NULL OR c.source = %(source)s) {of_job}
    ORDER BY c.fetched_at, c.sha256
"""
_OF_JOB = "AND c.sha256 IN (SELECT sha256 FROM crawl.target_capture WHERE job_id = %(job)s)"
_HELD = "CREATE TEMP TABLE present_capture ON COMMIT DROP AS {captures}; ANALYZE present_capture"
_OLD = """
    body IS NOT NULL AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(before)s::timestamptz IS NULL OR fetched_at < %(before)s)
"""
# Each by itself, and not one of several by OR, which would be looked up for every capture: so they are joins.
_UNREFERENCED = """
    AND NOT EXISTS (SELECT FROM crawl.target_capture t WHERE t.sha256 = c.sha256)
    AND NOT EXISTS (SELECT FROM crawl.issue i WHERE i.capture_sha256 = c.sha256)
"""
_NOT_PRESENT = "AND NOT EXISTS (SELECT FROM present_capture p WHERE p.sha256 = c.sha256)"


@dataclass(frozen=True, slots=True)
class Kept:
    """A source's answers: all, with a body, pruned; bytes of the bodies as they came and as they are stored;
    what they do without.
    """

    source: str
    answers: int
    bodies: int
    pruned: int
    size: int
    stored: int
    first_at: dt.datetime
    last_at: dt.datetime
    left_out: str


def kept(session: Session) -> list[Kept]:
    """Return what is kept of each source."""

    def work(cursor: Cursor) -> list[Kept]:
        cursor.execute(_KEPT)
        return objects(cursor, Kept)

    return session.transact(work)


def bodies(session: Session, source: str | None = None, job_id: int | None = None) -> Iterator[Capture]:
    """Yield the captures that have a body, oldest first, in bounded memory. Raises DatabaseUnavailable."""
    statement = _BODIES.format(of_job="" if job_id is None else _OF_JOB)
    for chunk in session.chunks(statement, {"source": source, "job": job_id}, _CHUNK, NamedTupleCursor):
        for row in chunk:
            one: dict[str, Any] = row._asdict()  # type: ignore[attr-defined]
            one |= {"sha256": bytes(one["sha256"]), "body": body_of(one["body"])}
            yield Capture(**one | {"left_out": tuple(one["left_out"])})


def withheld(session: Session) -> tuple[frozenset[str], frozenset[str]]:
    """Return the parcels whose owner is withheld, and the recording numbers of the documents that name such
    an owner.
    """

    def work(cursor: Cursor) -> tuple[frozenset[str], frozenset[str]]:
        cursor.execute("SELECT apn FROM public.withheld")
        apns = frozenset(apn for (apn,) in cursor.fetchall())
        return apns, frozenset(
            number
            for withheld_documents in of_all("withheld_documents")
            for number in withheld_documents(cursor)
        )

    return session.transact(work)


def of_stored_rows() -> str:
    """Return SQL for the captures (sha256) in which the present values of stored rows were first seen."""
    tables = [name for more in of_all("MORE_ROWS") for name in more.values()] + [
        record.table for record in RECORDS
    ]
    held = " UNION ALL ".join(f"SELECT capture_sha256 FROM {table}" for table in tables)
    return f"SELECT DISTINCT capture_sha256 AS sha256 FROM ({held}) t"


def prune(
    session: Session,
    before: dt.datetime | None,
    source: str | None,
    only_unreferenced: bool,
    even_present: bool,
    is_dry: bool,
) -> tuple[int, int]:
    """Take away bodies: of answers before a moment, or those that no target and no issue refers to; returns
    (how many, bytes).

    Those in which the present values of a row were first seen stay, unless `even_present`. The facts of the
    answer stay in any case.
    """

    def work(cursor: Cursor) -> tuple[int, int]:
        cursor.execute(_HELD.format(captures=of_stored_rows()))
        cursor.execute("ANALYZE present_capture")
        values = {"before": before, "source": source}
        which = _OLD + (_UNREFERENCED if only_unreferenced else "") + ("" if even_present else _NOT_PRESENT)
        cursor.execute(
            "SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint FROM crawl.capture c WHERE"
            f" {which}",
            values,
        )
        ((count, size),) = cursor.fetchall()
        if count and not is_dry:
            cursor.execute(f"UPDATE crawl.capture c SET body = NULL, pruned_at = now() WHERE {which}", values)
        return count, size

    return session.transact(work)
