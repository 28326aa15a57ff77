"""Rows of one APN that a layer has more than once, such as stacked condominiums.

A table has one row an APN: that of the lowest floor. In whichever order their pages come, and whatever a kill cuts off, the same
row must stand, and no change be recorded that the county did not make. So a row of an APN that is known to be stacked
waits in gis.stacked until its walk is complete.
"""

from collections import Counter
from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items_gis import GisParcel
from maricopa_scrapy.store.columns import BY_COST, Lines, array_of, copy_bytes
from maricopa_scrapy.store.ledger import Run
from maricopa_scrapy.store.tables import table_of

_TABLE = table_of(GisParcel)
_COLUMNS = ", ".join((*_TABLE.fields, "content_hash", "capture_sha256", "first_seen_at", "changed_at"))
_KNOWN = "SELECT DISTINCT apn FROM gis.stacked WHERE apn = ANY(%s::text[])"
# The same walk has stored another row of the APN from another page.
_OTHER = """
    SELECT t.apn FROM unnest(%(keys)s::text[], %(digests)s::text[]) AS k (key, digest) JOIN gis.parcel t ON t.apn = k.key
    WHERE t.content_hash <> decode(k.digest, 'hex')
      AND EXISTS (SELECT FROM crawl.target c WHERE c.id <> ALL(%(targets)s) AND c.capture_sha256 = t.capture_sha256
                  AND c.job_id = %(job)s AND c.source = 'gis' AND c.kind = 'range' AND (c.detail->>'walk')::int = %(walk)s)
"""
_KEEP = f"""
    INSERT INTO gis.stacked ({_COLUMNS}, job_id, walk) SELECT {_COLUMNS}, %(job)s, %(walk)s FROM {{origin}}
    ON CONFLICT (apn, content_hash) DO UPDATE SET job_id = excluded.job_id, walk = excluded.walk
"""
_WINNERS = f"""
    INSERT INTO {_TABLE.stage} ({_COLUMNS}) SELECT DISTINCT ON (apn) {_COLUMNS} FROM gis.stacked
    WHERE job_id = %(job)s AND walk = %(walk)s ORDER BY apn, floor NULLS FIRST, content_hash
"""
# A row that this walk itself stored first was only the first to come: no change of the county's.
_WITHDRAW = f"""
    DELETE FROM gis.parcel t USING {_TABLE.stage} s
    WHERE t.apn = s.apn AND t.content_hash <> s.content_hash AND t.first_seen_at >= %(started)s
"""
_FORGET = """
    DELETE FROM gis.stacked WHERE (job_id, walk) <> (%(job)s, %(walk)s)
        OR apn IN (SELECT apn FROM gis.stacked WHERE (job_id, walk) = (%(job)s, %(walk)s) GROUP BY apn HAVING count(*) = 1)
"""


def lowest_of_each(rows: Lines) -> Lines:
    """Return one row an APN, that of the lowest floor: for an answer that has all rows of its APNs."""
    if len(set(rows.keys)) == len(rows):
        return rows
    ranks = rows.ranks or [0] * len(rows)
    lowest: dict[str, int] = {}
    for at, key in enumerate(rows.keys):
        other = lowest.get(key)
        if other is None or (ranks[at], rows.digests[at]) < (ranks[other], rows.digests[other]):
            lowest[key] = at
    return rows.where(lambda at: lowest[rows.keys[at]] == at)


class Aside:
    """The rows that one transaction of a walk keeps for its end; `targets` are the ranges they came with."""

    def __init__(self, cursor: Cursor, run: Run, walk: int, targets: Sequence[int]) -> None:
        self._cursor = cursor
        self._values = {"job": run.job_id, "walk": walk}
        self._targets = list(targets)

    def known(self, rows: Lines) -> Lines:
        """Keep rows of APNs that come twice here, or are known to be stacked; returns the others."""
        stacked = {key for key, count in Counter(rows.keys).items() if count > 1} if len(set(rows.keys)) < len(rows) else set()
        # By cost: the table is small, the array is not.
        self._cursor.execute(BY_COST)
        self._cursor.execute(_KNOWN, (array_of(rows.keys),))
        stacked.update(apn for (apn,) in self._cursor.fetchall())
        return self._keep(rows, stacked)

    def stored_by_this_walk(self, rows: Lines) -> Lines:
        """Of rows that differ from the stored ones, keep those whose APN this walk has stored from another page; returns the others."""
        keys, digests = array_of(rows.keys), array_of(rows.digests)
        self._cursor.execute(_OTHER, {**self._values, "keys": keys, "digests": digests, "targets": self._targets})
        stacked = {apn for (apn,) in self._cursor.fetchall()}
        if stacked:
            origin = "gis.parcel WHERE apn = ANY(%(apns)s)"
            self._cursor.execute(_KEEP.format(origin=origin), {**self._values, "apns": list(stacked)})
        return self._keep(rows, stacked)

    def _keep(self, rows: Lines, stacked: set[str]) -> Lines:
        if not stacked:
            return rows
        aside = {(rows.keys[at], rows.digests[at]): rows.lines[at] for at in range(len(rows)) if rows.keys[at] in stacked}
        self._cursor.execute(_TABLE.create_stage)
        copy_bytes(self._cursor, _TABLE.copy, list(aside.values()))
        self._cursor.execute(_KEEP.format(origin=_TABLE.stage), self._values)
        self._cursor.execute(f"TRUNCATE {_TABLE.stage}")
        return rows.where(lambda at: rows.keys[at] not in stacked)


def settle(cursor: Cursor, run: Run, walk: int, started: object) -> None:
    """At the end of a walk: let the row of the lowest floor stand for each stacked APN, and forget what is stacked no more."""
    values = {"job": run.job_id, "walk": walk, "started": started}
    cursor.execute(_TABLE.create_stage)
    cursor.execute(_WINNERS, values)
    cursor.execute(_WITHDRAW, values)
    cursor.execute(_TABLE.merge, {"run": run.id})
    cursor.execute(f"TRUNCATE {_TABLE.stage}")
    cursor.execute(_FORGET, values)
