"""Old jobs leave the ledger, except for what stored rows rest on."""

import datetime as dt
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database import captures
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.source_hooks import of_all

_OLD = """
    CREATE TEMP TABLE old_job ON COMMIT DROP AS
    SELECT id FROM crawl.job j WHERE state = 'finished' AND finished_at < %(before)s
      AND NOT EXISTS (SELECT FROM crawl.run r WHERE r.job_id = j.id AND r.state = 'running') {not_held}
"""
# A job that a source still needs.
_NOT_HELD = "AND NOT EXISTS (SELECT FROM ({jobs}) AS held (job_id) WHERE held.job_id = j.id)"
# The captures in which stored rows were first seen.
_HELD = """
    CREATE TEMP TABLE held_capture ON COMMIT DROP AS {captures};
    ALTER TABLE held_capture ADD PRIMARY KEY (sha256);
    ANALYZE held_capture, old_job
"""
# A done target stays while a row rests on its capture, or while it is the newest word on its key.
_DELETE_TARGETS = """
    DELETE FROM crawl.target t USING old_job o WHERE t.job_id = o.id AND (
        t.state <> 'done' OR (
            NOT EXISTS (SELECT FROM held_capture h WHERE h.sha256 = t.capture_sha256)
            AND EXISTS (SELECT FROM crawl.target n
                WHERE n.source = t.source AND n.key = t.key AND n.kind = t.kind
                        AND n.state = 'done' AND n.done_at > t.done_at)))
    RETURNING t.job_id
"""
_EMPTY = """
    CREATE TEMP TABLE empty_job ON COMMIT DROP AS
    SELECT id FROM old_job o WHERE NOT EXISTS (SELECT FROM crawl.target t WHERE t.job_id = o.id)
      AND NOT EXISTS (SELECT FROM crawl.change c JOIN crawl.run r ON r.id = c.run_id WHERE r.job_id = o.id)
"""
_DELETE_JOBS = (
    "DELETE FROM crawl.issue WHERE job_id IN (SELECT id FROM empty_job)",
    "DELETE FROM crawl.planned_run WHERE job_id IN (SELECT id FROM empty_job)",
    (
        "DELETE FROM crawl.share WHERE run_id IN (SELECT id FROM crawl.run WHERE job_id IN (SELECT id FROM"
        " empty_job))"
    ),
    "DELETE FROM crawl.run WHERE job_id IN (SELECT id FROM empty_job)",
    "DELETE FROM crawl.job WHERE id IN (SELECT id FROM empty_job)",
)
_RECOUNT = """
    UPDATE crawl.job j SET enumerated = (SELECT count(*) FROM crawl.target t WHERE t.job_id = j.id)
    WHERE j.id IN (SELECT id FROM old_job) AND j.id NOT IN (SELECT id FROM empty_job)
"""
_DELETE_CAPTURES = """
    DELETE FROM crawl.capture c WHERE c.fetched_at < %(before)s
      AND NOT EXISTS (SELECT FROM crawl.target t WHERE t.capture_sha256 = c.sha256)
      AND NOT EXISTS (SELECT FROM held_capture h WHERE h.sha256 = c.sha256)
      AND NOT EXISTS (SELECT FROM crawl.issue i WHERE i.capture_sha256 = c.sha256)
"""


@dataclass(frozen=True, slots=True)
class Removed:
    """How much was removed; `kept`: old jobs of which some targets stay."""

    jobs: int
    targets: int
    captures: int
    kept: int


def cleanup(session: Session, older_than: dt.timedelta, dry_run: bool = False) -> Removed:
    """Remove what jobs that ended before that have left behind; `dry_run` only counts."""
    before = dt.datetime.now(dt.UTC) - older_than

    def work(cursor: Cursor) -> Removed:
        names = {"before": before}
        cursor.execute(
            _OLD.format(not_held=" ".join(_NOT_HELD.format(jobs=jobs) for jobs in of_all("HELD_JOBS"))), names
        )
        cursor.execute(_HELD.format(captures=captures.of_stored_rows()))
        cursor.execute(_DELETE_TARGETS)
        targets = cursor.rowcount
        cursor.execute(_EMPTY)
        for statement in _DELETE_JOBS:
            cursor.execute(statement)
        gone = cursor.rowcount
        cursor.execute(_RECOUNT)
        kept = cursor.rowcount
        cursor.execute(_DELETE_CAPTURES, names)
        return Removed(gone, targets, cursor.rowcount, kept)

    return session.transact(work, undo=dry_run)
