"""Rows of one APN that a layer has more than once, such as stacked condominiums.

A table has one row an APN: that of the lowest floor. Which rows a walk brought is known when it ends
(gis.seen has the digest of each), whatever the order of its pages, whatever another job stored meanwhile, and
whatever a kill cut off. So each row that is replaced while a walk goes on is kept in gis.held_row; at the
end, an APN that came more than once goes back to what it was before the walk, and the lowest of its rows is
merged: one change, or none.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.columns import BY_COST, Lines, array_of, copy_bytes, joined
from maricopa_scrapy.database.tables import table_of
from maricopa_scrapy.database.targets import Run, add_targets
from maricopa_scrapy.items import FollowOn, Target
from maricopa_scrapy.sources.gis.columns_ever_told import shared_fields
from maricopa_scrapy.sources.gis.records import GisParcel
from maricopa_scrapy.sources.gis.target_details import ListDetail, RangeDetail

_TABLE = table_of(GisParcel)
_COLUMNS = ", ".join((*_TABLE.fields, "content_hash", "capture_sha256", "first_seen_at", "changed_at"))
_KNOWN = "SELECT DISTINCT apn FROM gis.duplicate WHERE apn = ANY(%s::text[])"
_KEEP = (
    f"INSERT INTO gis.held_row ({_COLUMNS}, removed_at) SELECT {_COLUMNS}, removed_at FROM {{origin}} ON"
    " CONFLICT DO NOTHING"
)
_HOLD = f"""
    INSERT INTO gis.held_row ({_COLUMNS}, is_held) SELECT {_COLUMNS}, true FROM {_TABLE.stage}
    ON CONFLICT (apn, content_hash) DO UPDATE SET is_held = true
"""
_IS_WALKED = "SELECT EXISTS (SELECT FROM gis.roll WHERE state = 'open') OR EXISTS (SELECT FROM gis.seen)"
# What a day's deeds bring of an APN is not all of its rows when its floor is another, or it is known to have
# several.
_DOUBTFUL = """
    SELECT t.apn FROM unnest(%s::text[], %s::integer[]) AS k (apn, floor) JOIN gis.parcel t USING (apn)
    WHERE t.floor IS DISTINCT FROM k.floor OR EXISTS (SELECT FROM gis.duplicate s WHERE s.apn = t.apn)
"""
# Of a range that was asked again, its fullest answer counts.
RANGES = """
    SELECT DISTINCT ON (first_id) keys, digests, unkeyed, cardinality(keys) + unkeyed AS rows FROM gis.seen
    WHERE job_id = %(job)s AND walk = %(walk)s ORDER BY first_id, cardinality(keys) + unkeyed DESC,
        target_id DESC
"""
_DOUBLED = f"""
    WITH doubled AS MATERIALIZED (
        SELECT apn FROM (SELECT unnest(keys) AS apn FROM ({RANGES}) r) k GROUP BY apn HAVING count(*) > 1
        UNION SELECT apn FROM gis.held_row WHERE is_held
    )
    INSERT INTO gis.duplicate_count (job_id, walk, apn, digest, copies)
    SELECT %(job)s, %(walk)s, k.apn, substr(r.digests, (8 * (k.n - 1) + 1)::integer, 8) AS digest, count(*)
    FROM ({RANGES}) r CROSS JOIN LATERAL unnest(r.keys) WITH ORDINALITY AS k (apn, n)
    JOIN doubled d ON d.apn = k.apn
    GROUP BY k.apn, digest
"""
_SURPLUS = (
    "SELECT coalesce(sum(copies), 0) - count(DISTINCT apn) FROM gis.duplicate_count WHERE job_id = %(job)s"
    " AND walk = %(walk)s"
)
# More rows than the last complete roll of the layer had of the same APN.
_UNEXPLAINED = """
    SELECT d.apn, d.copies FROM (
        SELECT apn, sum(copies) AS copies FROM gis.duplicate_count WHERE job_id = %(job)s AND walk = %(walk)s
        GROUP BY apn
    ) d LEFT JOIN (
        SELECT s.apn, sum(s.copies) AS copies FROM gis.duplicate s JOIN gis.roll r USING (job_id, walk)
        WHERE r.state = 'complete' AND r.layer = %(layer)s GROUP BY s.apn
    ) e USING (apn)
    WHERE d.copies > coalesce(e.copies, 0) ORDER BY md5(d.apn) LIMIT %(most)s
"""
_OURS = "job_id = %(job)s AND walk = %(walk)s"
_GATHER = f"""
    INSERT INTO gis.held_row ({_COLUMNS}) SELECT {_COLUMNS} FROM {{origin}}
    WHERE apn IN (SELECT apn FROM gis.duplicate_count WHERE {_OURS}) ON CONFLICT DO NOTHING
"""
_STACK = f"""
    INSERT INTO gis.duplicate ({_COLUMNS}, job_id, walk, copies)
    SELECT {", ".join("a." + name for name in _COLUMNS.split(", "))}, d.job_id, d.walk, d.copies
    FROM gis.duplicate_count d
    JOIN gis.held_row a ON a.apn = d.apn AND substr(a.content_hash, 1, 8) = d.digest WHERE {_OURS}
"""
_TOUCHED = f"""
    CREATE TEMP TABLE roll_touched ON COMMIT DROP AS
    SELECT t.apn FROM gis.parcel t WHERE t.apn IN (SELECT apn FROM gis.duplicate_count WHERE {_OURS})
      AND t.changed_at >= %(started)s
      AND (t.first_seen_at >= %(started)s OR EXISTS (SELECT FROM gis.held_row a
          WHERE a.apn = t.apn AND a.changed_at < %(started)s))
"""
_REWIND = (
    (
        "DELETE FROM crawl.change c USING roll_touched t"
        " WHERE c.id > %(first_change)s AND c.table_name = 'gis.parcel' AND c.key->>'apn' = t.apn"
    ),
    "DELETE FROM gis.parcel p USING roll_touched t WHERE p.apn = t.apn",
    f"""
    INSERT INTO gis.parcel ({_COLUMNS}, removed_at)
    SELECT DISTINCT ON (apn) {_COLUMNS}, removed_at FROM gis.held_row
    WHERE apn IN (SELECT apn FROM roll_touched) AND changed_at < %(started)s ORDER BY apn, changed_at DESC
    """,
)
_WINNERS = f"""
    INSERT INTO {_TABLE.stage} ({_COLUMNS}) SELECT DISTINCT ON (apn) {_COLUMNS} FROM gis.duplicate
    WHERE {_OURS} ORDER BY apn, floor NULLS FIRST, content_hash
"""
_UNSTACK = f"""
    DELETE FROM gis.duplicate WHERE {_OURS}
      AND apn IN (SELECT apn FROM gis.duplicate WHERE {_OURS} GROUP BY apn HAVING sum(copies) = 1)
"""
_FORGET_OLDER = """
    DELETE FROM gis.duplicate s USING gis.roll r
    WHERE r.job_id = s.job_id AND r.walk = s.walk AND r.layer = %(layer)s
      AND (s.job_id, s.walk) <> (%(job)s, %(walk)s)
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


def without_known(cursor: Cursor, rows: Lines) -> Lines:
    """Keep the rows of a walk's APNs that come twice here, or are known to be stacked; return those that are
    to be merged now.

    What is known to be stacked is settled at the end of the walk, without a version of the row that stands.
    """
    twice = (
        {key for key, count in Counter(rows.keys).items() if count > 1}
        if len(set(rows.keys)) < len(rows)
        else set()
    )
    # By cost: the table is small, the array is not.
    cursor.execute(BY_COST)
    cursor.execute(_KNOWN, (array_of(rows.keys),))
    known = {apn for (apn,) in cursor.fetchall()}
    several = twice | known
    if not several:
        return rows
    aside = rows.where(lambda at: rows.keys[at] in several)
    cursor.execute(_TABLE.create_stage)
    distinct = dict(zip(zip(aside.keys, aside.digests, strict=True), aside.lines, strict=True))
    copy_bytes(cursor, _TABLE.copy, list(distinct.values()))
    cursor.execute(_HOLD)
    cursor.execute(f"TRUNCATE {_TABLE.stage}")
    lowest = lowest_of_each(aside.where(lambda at: aside.keys[at] not in known))
    return joined([rows.where(lambda at: rows.keys[at] not in several), lowest])


def keep_replaced(cursor: Cursor, rows: Lines) -> Lines:
    """Keep the stored rows that others are about to replace, as long as a walk goes on; returns those
    others.
    """
    cursor.execute(_IS_WALKED)
    if (cursor.fetchone() or (False,))[0]:
        cursor.execute(_KEEP.format(origin="gis.parcel WHERE apn = ANY(%s::text[])"), (array_of(rows.keys),))
    return rows


def without_doubtful(cursor: Cursor, run: Run, target: Target, rows: Lines) -> Lines:
    """Of the deeds since a day, have APNs asked for whose other rows may be lower; returns the rows that are
    to be merged now.
    """
    detail = RangeDetail.of(target)
    floors = [None if rank < 0 else rank for rank in rows.ranks or []]
    cursor.execute(_DOUBTFUL, (rows.keys, floors))
    doubtful = sorted(apn for (apn,) in cursor.fetchall())
    shared = detail.shared().stored()
    parts = [doubtful[at : at + detail.list] for at in range(0, len(doubtful), detail.list)]
    targets = []
    for part in parts:
        key = f"{detail.layer} all floors of {part[0]}-{part[-1]} ({len(part)}), target {target.id}"
        asked = ListDetail(**shared, layer=detail.layer, apns=tuple(part))
        targets.append(FollowOn(run.source, "list", key, asked))
    if targets:
        add_targets(cursor, run.job_id, targets)
    left = set(doubtful)
    return keep_replaced(cursor, rows.where(lambda at: rows.keys[at] not in left))


def find_doubled(cursor: Cursor, job: int, walk: int) -> int:
    """Note the APNs that a walk has seen more than once; returns how many rows they have beyond one each."""
    values = {"job": job, "walk": walk}
    cursor.execute(f"DELETE FROM gis.duplicate_count WHERE {_OURS}", values)
    cursor.execute(_DOUBLED, values)
    cursor.execute("ANALYZE gis.duplicate_count")
    cursor.execute(_SURPLUS, values)
    (surplus,) = cursor.fetchone() or (0,)
    return int(surplus)


def unexplained(cursor: Cursor, job: int, walk: int, layer: str, most: int) -> Sequence[tuple[str, int]]:
    """Return (APN, rows) of up to `most` APNs that came more often than in the last complete roll of the
    layer.
    """
    cursor.execute(_UNEXPLAINED, {"job": job, "walk": walk, "layer": layer, "most": most})
    return [(apn, int(copies)) for apn, copies in cursor.fetchall()]


def settle(cursor: Cursor, run: Run, walk: int, layer: str, started: dt.datetime, first_change: int) -> None:
    """At the end of a walk, complete or not: let the row of the lowest floor stand for each APN that came
    more than once.
    """
    values = {
        "job": run.job_id,
        "walk": walk,
        "layer": layer,
        "started": started,
        "first_change": first_change,
    }
    # What stood before the walk comes with its own dates: it is kept before the same from elsewhere.
    for origin in ("gis.parcel", "gis.duplicate"):
        cursor.execute(_GATHER.format(origin=origin), values)
    cursor.execute(f"DELETE FROM gis.duplicate WHERE {_OURS}", values)
    cursor.execute(_STACK, values)
    cursor.execute(_TOUCHED, values)
    for statement in _REWIND:
        cursor.execute(statement, values)
    cursor.execute(_TABLE.create_stage)
    cursor.execute(_WINNERS, values)
    cursor.execute(_TABLE.merge, {"run": run.id, "shared": shared_fields(cursor)})
    cursor.execute(f"TRUNCATE {_TABLE.stage}")
    cursor.execute(_UNSTACK, values)


def forget(cursor: Cursor, run: Run, walk: int, layer: str) -> None:
    """After a complete roll: forget the stacked rows of earlier ones of its layer."""
    cursor.execute(_FORGET_OLDER, {"job": run.job_id, "walk": walk, "layer": layer})
