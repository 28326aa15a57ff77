"""Does the database agree with itself? The ledger's identity, and the tie between rows, captures and targets."""

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items import Improvement, Owner, Parcel, Record, Related, Rental, Residence, Valuation
from maricopa_scrapy.items_bulk import BulkReject, ResidentialParcel, SecuredParcel
from maricopa_scrapy.items_gis import GisAbsent, GisOutline, GisParcel
from maricopa_scrapy.items_recorder import (
    CodeLabel,
    CodePair,
    Document,
    DocumentCode,
    Image,
    LegacyDocument,
    NameIndex,
    NameMatch,
    Neighbour,
    Party,
    SearchWindow,
)  # fmt: skip
from maricopa_scrapy.store.connect import Session
from maricopa_scrapy.store.ledger import SILENCE_S

RECORDS: tuple[type[Record], ...] = (
    Parcel, Owner, Valuation, Residence, Improvement, Rental, Related, GisParcel, GisOutline, GisAbsent, SecuredParcel, ResidentialParcel,
    BulkReject, Document, DocumentCode, Party, CodeLabel, CodePair, NameIndex, SearchWindow, NameMatch, Neighbour, LegacyDocument, Image,
)  # fmt: skip

_IDENTITY = """
    SELECT j.id, j.enumerated, count(t.id) FROM crawl.job j LEFT JOIN crawl.target t ON t.job_id = j.id
    WHERE %(job)s IS NULL OR j.id = %(job)s
    GROUP BY j.id, j.enumerated HAVING j.enumerated <> count(t.id)
"""
_EMPTY_DONE = """
    SELECT job_id, kind, key FROM crawl.target
    WHERE state = 'done' AND coalesce(rows, 0) = 0 AND (%(job)s IS NULL OR job_id = %(job)s) ORDER BY id LIMIT 10
"""
_ROWLESS_DONE = """
    SELECT t.job_id, t.key FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'assessor' AND t.kind = 'parcel' AND (%(job)s IS NULL OR t.job_id = %(job)s)
      AND NOT EXISTS (SELECT FROM assessor.parcel p WHERE p.apn = t.key) ORDER BY t.id LIMIT 10
"""
_ORPHANS = """
    SELECT count(*) FROM {table} r
    WHERE NOT EXISTS (SELECT FROM crawl.target t WHERE t.state = 'done' AND t.capture_sha256 = r.capture_sha256)
"""
_UNEVEN_ROLL = """
    SELECT job_id, walk, row_count, received, parcels + stacked + unkeyed FROM gis.roll
    WHERE state = 'complete' AND (received <> row_count OR received <> parcels + stacked + unkeyed)
      AND (%(job)s IS NULL OR job_id = %(job)s)
"""
_OPEN_ROLL = """
    SELECT r.job_id, r.walk FROM gis.roll r JOIN crawl.job j ON j.id = r.job_id
    WHERE r.state = 'open' AND j.state = 'finished' AND (%(job)s IS NULL OR r.job_id = %(job)s)
"""
_STALE_LEASES = """
    SELECT t.job_id, count(*) FROM crawl.target t LEFT JOIN crawl.run r ON r.id = t.run_id
    WHERE t.state = 'leased' AND (%(job)s IS NULL OR t.job_id = %(job)s)
      AND (r.state IS DISTINCT FROM 'running' OR r.heartbeat_at < now() - make_interval(secs => %(silence)s))
    GROUP BY t.job_id
"""


def problems(session: Session, job_id: int | None = None) -> list[str]:
    """Return what does not agree, a sentence each; an empty list when all does."""

    def work(cursor: Cursor) -> list[str]:
        found = []
        values = {"job": job_id, "silence": SILENCE_S}
        cursor.execute(_IDENTITY, values)
        for job, enumerated, targets in cursor.fetchall():
            found.append(f"job {job}: {enumerated} targets were accepted, {targets} are there")
        cursor.execute(_EMPTY_DONE, values)
        for job, kind, key in cursor.fetchall():
            found.append(f"job {job}: {kind} {key} is done, but its answer held nothing")
        cursor.execute(_ROWLESS_DONE, values)
        for job, key in cursor.fetchall():
            found.append(f"job {job}: parcel {key} is done, but has no row in assessor.parcel")
        cursor.execute(_STALE_LEASES, values)
        for job, count in cursor.fetchall():
            found.append(f"job {job}: {count} targets are leased by a run that is gone; `-a job={job}` takes them up")
        cursor.execute(_UNEVEN_ROLL, values)
        for job, walk, count, received, accounted in cursor.fetchall():
            found.append(f"job {job}, walk {walk}: the layer had {count} rows, {received} came, {accounted} are accounted for")
        cursor.execute(_OPEN_ROLL, values)
        for job, walk in cursor.fetchall():
            found.append(f"job {job}, walk {walk}: the job ended and the walk did not; `-a job={job}` takes it up")
        for record in RECORDS:
            cursor.execute(_ORPHANS.format(table=record.table))
            (count,) = cursor.fetchone() or (0,)
            if count:
                found.append(f"{record.table}: {count} rows whose capture belongs to no finished target")
        return found

    return session.transact(work)
