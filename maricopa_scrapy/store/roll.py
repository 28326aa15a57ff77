"""A roll: one walk over a whole layer in ranges of row ids, from its extent to its completion.

The extent is one target. It is asked at the beginning, when an interrupted job goes on, and when no range is open any more;
what it says then decides: a reloaded layer begins a new walk, the same one completes the walk or has missing rows asked again.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from maricopa_scrapy.items import Extent, FollowOn, Target
from maricopa_scrapy.store import stacked
from maricopa_scrapy.store.columns import BY_COST, array_of
from maricopa_scrapy.store.ledger import Run, add_targets

logger = logging.getLogger(__name__)

# A walk that misses more than this part of the parcels that are there is not believed.
MISSING_MOST = 0.02
_ROUNDS_MOST = 3
_WALKS_MOST = 5

_OPEN_ROLL = """
    SELECT walk, layer, first_id, last_id, row_count, rounds, started_at FROM gis.roll
    WHERE job_id = %s AND state = 'open' ORDER BY walk DESC LIMIT 1
"""
_OPEN_RANGES = """
    SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state IN ('pending', 'leased'))
"""
_ASK_EXTENT = """
    UPDATE crawl.target SET state = 'pending', not_before = NULL, attempts = 0, done_at = NULL, run_id = NULL
    WHERE job_id = %s AND source = 'gis' AND kind = 'extent' AND state IN ('done', 'dead')
"""
_DEAD_EXTENT = "SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'extent' AND state = 'dead')"
_LAST_RANGE = "SELECT max(done_at) FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state = 'done'"
_CANCEL_RANGES = """
    UPDATE crawl.target SET state = 'gone', message = 'the layer was reloaded; its ids are others now', done_at = now()
    WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state IN ('pending', 'leased', 'dead')
"""
_RELOADED = """
    INSERT INTO crawl.issue AS i (job_id, run_id, source, kind, signature, message, target_key, first_at, last_at)
    VALUES (%s, %s, 'gis', 'source_reloaded', %s, %s, %s, now(), now())
    ON CONFLICT (job_id, source, kind, signature) DO UPDATE SET count = i.count + 1, last_at = now()
"""
# A range that was asked again counts once, with its fullest answer.
_RECEIVED = """
    SELECT coalesce(sum(rows), 0), coalesce(sum(unkeyed), 0) FROM (
        SELECT DISTINCT ON (first_id) cardinality(keys) + unkeyed AS rows, unkeyed FROM gis.seen
        WHERE job_id = %s AND walk = %s ORDER BY first_id, cardinality(keys) + unkeyed DESC
    ) ranges
"""
_INCOMPLETE_RANGES = """
    SELECT DISTINCT ON ((detail->>'first')::bigint) detail FROM crawl.target
    WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state IN ('done', 'gone') AND (detail->>'walk')::int = %s
    ORDER BY (detail->>'first')::bigint, rows DESC NULLS LAST
"""
_FULL_RANGES = (
    "SELECT first_id FROM gis.seen WHERE job_id = %s AND walk = %s GROUP BY first_id HAVING max(cardinality(keys) + unkeyed) >= %s"
)
_DEAD_RANGES = """
    SELECT count(*) FROM crawl.target
    WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state = 'dead' AND (detail->>'walk')::int = %s
"""
_KEYS = """
    CREATE TEMP TABLE roll_key ON COMMIT DROP AS
    SELECT DISTINCT unnest(keys) AS apn FROM gis.seen WHERE job_id = %s AND walk = %s
"""
_PRESENT = "SELECT count(*) FROM gis.parcel WHERE removed_at IS NULL"
_MISSING = f"{_PRESENT.replace('gis.parcel', 'gis.parcel t')} AND NOT EXISTS (SELECT FROM roll_key k WHERE k.apn = t.apn)"
_MARK_MISSING = """
    WITH missing AS (
        UPDATE gis.parcel t SET removed_at = %(at)s
        WHERE t.removed_at IS NULL AND NOT EXISTS (SELECT FROM roll_key k WHERE k.apn = t.apn) RETURNING t.apn
    ), logged AS (
        INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
        SELECT 'gis.parcel', jsonb_build_object('apn', apn), 'removed_at', NULL, %(at)s::text, %(at)s, %(run)s FROM missing
    )
    SELECT count(*) FROM missing
"""
_END = """
    UPDATE gis.roll SET state = %(state)s, received = %(received)s, parcels = %(parcels)s, stacked = %(stacked)s, unkeyed = %(unkeyed)s,
        missing = %(missing)s, finished_at = %(at)s
    WHERE job_id = %(job)s AND walk = %(walk)s
"""
_OUTLINE_VIEW = """
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis') AND to_regclass('gis.parcel_outline') IS NULL
"""
_CREATE_OUTLINE_VIEW = """
    CREATE VIEW gis.parcel_outline AS
    SELECT p.*, ST_SetSRID(ST_GeomFromGeoJSON(o.geometry), 4326) AS outline FROM gis.parcel p JOIN gis.outline o USING (apn)
"""


@dataclass(frozen=True, slots=True)
class _Roll:
    walk: int
    layer: str
    first: int
    last: int
    count: int
    rounds: int
    started_at: dt.datetime

    def agrees_with(self, extent: Extent) -> bool:
        return (self.layer, self.first, self.last, self.count) == (extent.layer, extent.first, extent.last, extent.count)


def ranges(extent: Extent, walk: int) -> Iterator[FollowOn]:
    """Yield the targets of a walk. In a layer without gaps each has an exact number of rows."""
    is_dense = extent.last - extent.first + 1 == extent.count
    for first in range(extent.first, extent.last + 1, extent.page):
        last = min(first + extent.page - 1, extent.last)
        detail = {"layer": extent.layer, "walk": walk, "first": first, "last": last, **extent.detail}
        if is_dense:
            detail["expected"] = last - first + 1
        yield FollowOn("gis", "range", f"{extent.layer} walk {walk} ids {first}-{last}", detail)


def note_seen(cursor: Cursor, run: Run, target: Target, keys: list[str], unkeyed: int) -> None:
    """Note what a range's answer held, for the end of its walk."""
    assert target.detail is not None
    cursor.execute(
        "INSERT INTO gis.seen (target_id, job_id, walk, first_id, keys, unkeyed) VALUES (%s, %s, %s, %s, %s::text[], %s)",
        (target.id, run.job_id, target.detail["walk"], target.detail["first"], array_of(keys), unkeyed),
    )


def take_up(cursor: Cursor, run: Run) -> None:
    """Have the extent of an interrupted walk read again before it goes on. Called for every run that opens."""
    cursor.execute(_OPEN_ROLL, (run.job_id,))
    if cursor.fetchone():
        cursor.execute(_ASK_EXTENT, (run.job_id,))
        cursor.execute("UPDATE crawl.job SET shortfall = NULL WHERE id = %s", (run.job_id,))


def note_dead_extent(cursor: Cursor, run: Run) -> None:
    """After an extent failed: when that was for good, the walk stays open, and the job says that it is incomplete."""
    cursor.execute(_OPEN_ROLL, (run.job_id,))
    row = cursor.fetchone()
    cursor.execute(_DEAD_EXTENT, (run.job_id,))
    if row and (cursor.fetchone() or (False,))[0]:
        _fall_short(cursor, run, f"layer {row[1]} no longer says how much it holds; scrapy crawl roll -a job={run.job_id} asks again")


def advance(cursor: Cursor, run: Run) -> None:
    """After targets were acknowledged: when no range is open, have the extent read a last time."""
    cursor.execute(_OPEN_ROLL, (run.job_id,))
    if cursor.fetchone() and not _has_open_ranges(cursor, run):
        cursor.execute(_ASK_EXTENT, (run.job_id,))


def settle(cursor: Cursor, run: Run, extent: Extent) -> None:
    """After the extent was acknowledged: begin a walk, begin anew, go on, or end it."""
    cursor.execute(_OPEN_ROLL, (run.job_id,))
    row = cursor.fetchone()
    if row is None:
        _begin(cursor, run, extent, 1)
        return
    roll = _Roll(*row)
    if not roll.agrees_with(extent):
        _begin_anew(cursor, run, roll, extent)
    elif not _has_open_ranges(cursor, run):
        cursor.execute(_LAST_RANGE, (run.job_id,))
        (last_range,) = cursor.fetchone() or (None,)
        if last_range and last_range > extent.read_at:
            cursor.execute(_ASK_EXTENT, (run.job_id,))
        else:
            _finish(cursor, run, roll, extent)


def _has_open_ranges(cursor: Cursor, run: Run) -> bool:
    cursor.execute(_OPEN_RANGES, (run.job_id,))
    return bool((cursor.fetchone() or (False,))[0])


def _begin(cursor: Cursor, run: Run, extent: Extent, walk: int) -> None:
    cursor.execute(
        "INSERT INTO gis.roll (job_id, walk, layer, first_id, last_id, row_count, page, detail) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (run.job_id, walk, extent.layer, extent.first, extent.last, extent.count, extent.page, Json(extent.detail)),
    )
    asked = add_targets(cursor, run.job_id, ranges(extent, walk))
    logger.info("layer %s: %d rows, ids %d to %d, %d requests", extent.layer, extent.count, extent.first, extent.last, asked)


def _begin_anew(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> None:
    before = f"{roll.count} rows, ids {roll.first} to {roll.last}"
    after = f"{extent.count} rows, ids {extent.first} to {extent.last}"
    message = f"layer {extent.layer} was reloaded during walk {roll.walk}: {before}, now {after}"
    logger.warning("%s; the walk begins anew", message)
    cursor.execute(_RELOADED, (run.job_id, run.id, f"layer {extent.layer}", message, extent.layer))
    cursor.execute(_CANCEL_RANGES, (run.job_id,))
    counts = {"received": None, "parcels": None, "stacked": None, "unkeyed": None, "missing": None}
    cursor.execute(_END, {"job": run.job_id, "walk": roll.walk, "state": "reloaded", "at": dt.datetime.now(dt.UTC), **counts})
    _forget(cursor, run)
    if roll.walk >= _WALKS_MOST:
        _fall_short(cursor, run, f"layer {extent.layer} was reloaded in each of {roll.walk} walks")
    else:
        _begin(cursor, run, extent, roll.walk + 1)


def _finish(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> None:
    cursor.execute(BY_COST)
    cursor.execute("SET LOCAL work_mem = '128MB'")
    cursor.execute(_RECEIVED, (run.job_id, roll.walk))
    received, unkeyed = cursor.fetchone() or (0, 0)
    if received < roll.count and _ask_again(cursor, run, roll, extent):
        return
    cursor.execute(_KEYS, (run.job_id, roll.walk))
    parcels = cursor.rowcount
    counts: dict[str, Any] = {
        "received": received, "parcels": parcels, "stacked": received - unkeyed - parcels, "unkeyed": unkeyed, "missing": None,
    }  # fmt: skip
    shortfall = _shortfall(cursor, run, roll, received)
    if shortfall is None:
        stacked.settle(cursor, run, roll.walk, roll.started_at)
        present, missing = _count_missing(cursor, parcels)
        if missing > present * MISSING_MOST and not extent.accept_shrink:
            shortfall = (
                f"layer {roll.layer} misses {missing} of the {present} parcels that are stored ({missing / present:.1%}); none was "
                "marked missing; if that is right: scrapy crawl roll -a accept_shrink=yes"
            )
    if shortfall is None:
        counts["missing"] = _mark_missing(cursor, run) if missing else 0
        cursor.execute("DELETE FROM gis.absent a USING roll_key k WHERE a.apn = k.apn")
        _show_outlines(cursor)
    state = "incomplete" if shortfall else "complete"
    # By the clock that dates rows and changes, and after the last of them: `maricopa diff` begins there.
    cursor.execute(_END, {"job": run.job_id, "walk": roll.walk, "state": state, "at": dt.datetime.now(dt.UTC), **counts})
    _forget(cursor, run)
    if shortfall:
        _fall_short(cursor, run, shortfall)
        return
    logger.info(
        "layer %s is complete: %d rows, %d parcels, %d further rows of stacked ones, %d without an APN, %d missing since the last roll",
        roll.layer, received, parcels, counts["stacked"], unkeyed, counts["missing"],
    )  # fmt: skip


def _count_missing(cursor: Cursor, seen: int) -> tuple[int, int]:
    """Return how many parcels are there, and how many of them the walk has not seen."""
    cursor.execute(_PRESENT)
    (present,) = cursor.fetchone() or (0,)
    # All that was seen is there: as many as that, and no more are.
    if present == seen:
        return present, 0
    cursor.execute("ANALYZE roll_key")
    cursor.execute(_MISSING)
    (missing,) = cursor.fetchone() or (0,)
    return present, missing


def _mark_missing(cursor: Cursor, run: Run) -> int:
    cursor.execute(_MARK_MISSING, {"at": dt.datetime.now(dt.UTC), "run": run.id})
    (missing,) = cursor.fetchone() or (0,)
    return int(missing)


def _ask_again(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> bool:
    """Ask again for the ranges that may have had more rows than came; returns whether there are any."""
    if roll.rounds >= _ROUNDS_MOST:
        return False
    cursor.execute(_FULL_RANGES, (run.job_id, roll.walk, extent.page))
    full = {first for (first,) in cursor.fetchall()}
    cursor.execute(_INCOMPLETE_RANGES, (run.job_id, roll.walk))
    again = [
        FollowOn("gis", "range", f"{roll.layer} walk {roll.walk} ids {d['first']}-{d['last']} again {roll.rounds + 1}", d)
        for (d,) in cursor.fetchall()
        if d["first"] not in full and "expected" not in d
    ]
    if not again:
        return False
    logger.warning("layer %s: fewer rows came than it has; %d ranges are asked again", roll.layer, len(again))
    cursor.execute("UPDATE gis.roll SET rounds = rounds + 1 WHERE job_id = %s AND walk = %s", (run.job_id, roll.walk))
    return add_targets(cursor, run.job_id, again) > 0


def _shortfall(cursor: Cursor, run: Run, roll: _Roll, received: int) -> str | None:
    cursor.execute(_DEAD_RANGES, (run.job_id, roll.walk))
    (dead,) = cursor.fetchone() or (0,)
    if dead:
        return f"{dead} requests for layer {roll.layer} failed for good; {received} of its {roll.count} rows came"
    if received != roll.count:
        return f"layer {roll.layer} says that it has {roll.count} rows; {received} came"
    return None


def _fall_short(cursor: Cursor, run: Run, reason: str) -> None:
    logger.error("the roll is incomplete: %s", reason)
    cursor.execute("UPDATE crawl.job SET shortfall = %s WHERE id = %s", (reason, run.job_id))


def _forget(cursor: Cursor, run: Run) -> None:
    cursor.execute("DELETE FROM gis.seen WHERE job_id = %s", (run.job_id,))


def _show_outlines(cursor: Cursor) -> None:
    cursor.execute(_OUTLINE_VIEW)
    if (cursor.fetchone() or (False,))[0]:
        cursor.execute(_CREATE_OUTLINE_VIEW)
