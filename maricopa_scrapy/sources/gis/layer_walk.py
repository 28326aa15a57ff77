"""A roll: one walk over a whole layer in ranges of row ids, from its extent to its completion.

The extent is one target. It is asked at the beginning, when an interrupted job goes on, and when no range is
open any more; what it says then decides: a reloaded layer begins a new walk, the same one completes the walk
or has missing rows asked again. A layer that was reloaded and has the same extent gives some parcels twice:
the layer is asked whether it has as many rows of them.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json, execute_values

from maricopa_scrapy.database.columns import BY_COST, Lines, array_of
from maricopa_scrapy.database.rows import objects
from maricopa_scrapy.database.targets import Run, add_targets
from maricopa_scrapy.items import IDS_MOST, Extent, FollowOn, Target
from maricopa_scrapy.sources.gis import duplicates, removed_parcels
from maricopa_scrapy.sources.gis.target_details import DoubledDetail, IdsDetail, RangeDetail, RowsDetail

logger = logging.getLogger(__name__)

_ROUNDS_MOST = 3
_WALKS_MOST = 5
# Row ids so sparse are not walked by ranges: all ids are asked for first. Of more rows the list would be too
# long for one answer.
_SPARSE = 3
# Lists of APNs that came more than once, and that the layer is asked to confirm.
_CONFIRM_MOST = 4

_OPEN_ROLL = """
    SELECT walk, layer, first_id AS first, last_id AS last, row_count AS count, rounds, started_at,
           first_change, is_confirmed
    FROM gis.roll
    WHERE job_id = %s AND state = 'open' ORDER BY walk DESC LIMIT 1
"""
_ANY_ROLL = "SELECT EXISTS (SELECT FROM gis.roll WHERE job_id = %s)"
_OPEN_RANGES = """
    SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind IN ('range', 'ids')
                   AND state IN ('pending', 'leased'))
"""
_OPEN_DOUBLED = """
    SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'doubled'
        AND state IN ('pending', 'leased'))
"""
_DEAD_DOUBLED = """
    SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'doubled'
        AND state = 'dead')
"""
_OPEN_EXTENT = """
    SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'extent'
        AND state IN ('pending', 'leased'))
"""
_ASK_EXTENT = """
    UPDATE crawl.target SET state = 'pending', not_before = NULL, attempts = 0, done_at = NULL, run_id = NULL
    WHERE job_id = %s AND source = 'gis' AND kind = 'extent' AND state IN ('done', 'dead')
"""
_DEAD_EXTENT = """
    SELECT EXISTS (SELECT FROM crawl.target
        WHERE job_id = %s AND source = 'gis' AND kind IN ('extent', 'doubled') AND state = 'dead')
"""
# A walk that fell short, as long as it is known what it has seen.
_UNFINISHED = """
    UPDATE gis.roll r SET state = 'open', rounds = 0, is_confirmed = false, finished_at = NULL
    WHERE job_id = %(job)s AND state = 'incomplete' AND walk = (SELECT max(walk) FROM gis.roll
        WHERE job_id = %(job)s)
      AND EXISTS (SELECT FROM gis.seen s WHERE s.job_id = r.job_id AND s.walk = r.walk)
"""
_REVIVE = """
    UPDATE crawl.target SET state = 'pending', not_before = NULL, attempts = 0, failures = NULL,
        done_at = NULL, run_id = NULL
    WHERE job_id = %s AND source = 'gis' AND kind IN ('range', 'ids', 'doubled') AND state = 'dead'
      AND (detail->>'walk')::int = %s
"""
_LAST_RANGE = (
    "SELECT max(done_at) FROM crawl.target WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state"
    " = 'done'"
)
_CANCEL_RANGES = """
    UPDATE crawl.target SET state = 'gone', message = 'the layer was reloaded; its ids are others now',
        done_at = now()
    WHERE job_id = %s AND source = 'gis' AND kind IN ('range', 'ids', 'doubled')
      AND state IN ('pending', 'leased', 'dead')
"""
_RELOADED = """
    INSERT INTO crawl.issue AS i (job_id, run_id, source, kind, signature, message, target_key, first_at,
        last_at)
    VALUES (%s, %s, 'gis', 'source_reloaded', %s, %s, %s, now(), now())
    ON CONFLICT (job_id, source, kind, signature) DO UPDATE SET count = i.count + 1, last_at = now()
"""
_RECEIVED = f"""
    SELECT coalesce(sum(rows), 0), coalesce(sum(unkeyed), 0) FROM ({duplicates.RANGES}) ranges
"""
_INCOMPLETE_RANGES = """
    SELECT DISTINCT ON ((detail->>'first')::bigint) detail FROM crawl.target
    WHERE job_id = %s AND source = 'gis' AND kind = 'range' AND state IN ('done', 'gone')
      AND (detail->>'walk')::int = %s
    ORDER BY (detail->>'first')::bigint, rows DESC NULLS LAST
"""
_FULL_RANGES = (
    "SELECT first_id FROM gis.seen WHERE job_id = %s AND walk = %s GROUP BY first_id HAVING"
    " max(cardinality(keys) + unkeyed) >= %s"
)
_DEAD_RANGES = """
    SELECT count(*) FROM crawl.target
    WHERE job_id = %s AND source = 'gis' AND kind IN ('range', 'ids') AND state = 'dead'
      AND (detail->>'walk')::int = %s
"""
_END = """
    UPDATE gis.roll SET state = %(state)s, received = %(received)s, parcels = %(parcels)s,
        duplicates = %(duplicates)s,
        unkeyed = %(unkeyed)s, missing = %(missing)s, finished_at = %(at)s
    WHERE job_id = %(job)s AND walk = %(walk)s
"""
_OUTLINE_VIEW = """
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis')
      AND to_regclass('gis.parcel_outline') IS NULL
"""
_CREATE_OUTLINE_VIEW = """
    CREATE VIEW gis.parcel_outline AS
    SELECT p.*, ST_SetSRID(ST_GeomFromGeoJSON(o.geometry), 4326) AS outline FROM gis.parcel p
    JOIN gis.outline o USING (apn)
"""
# Of this job, and of those that fell short before a roll was complete: a new walk has seen all that they had.
_FORGET_SEEN = """
    DELETE FROM gis.seen s USING gis.roll r
    WHERE r.job_id = s.job_id AND r.walk = s.walk AND (s.job_id = %(job)s OR r.state = 'incomplete')
"""
_EMPTY_ASIDE = """
    DELETE FROM gis.held_row WHERE NOT EXISTS (SELECT FROM gis.roll r JOIN crawl.job j ON j.id = r.job_id
        WHERE (r.state = 'open' AND j.verdict IS DISTINCT FROM 'cancelled') OR EXISTS (SELECT FROM gis.seen s
            WHERE s.job_id = r.job_id))
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
    first_change: int
    is_confirmed: bool

    def agrees_with(self, extent: Extent) -> bool:
        return (self.layer, self.first, self.last, self.count) == (
            extent.layer,
            extent.first,
            extent.last,
            extent.count,
        )


def ranges(extent: Extent, walk: int) -> Iterator[FollowOn]:
    """Yield the targets of a walk. In a layer without gaps each has an exact number of rows; of sparse ids
    all are asked for first.
    """
    span, shared = extent.last - extent.first + 1, extent.detail.stored()
    if span > max(_SPARSE * extent.count, extent.page) and extent.count <= IDS_MOST:
        ids = IdsDetail(layer=extent.layer, walk=walk, page=extent.page, **shared)
        yield FollowOn("gis", "ids", f"{extent.layer} walk {walk} ids", ids)
        return
    for first in range(extent.first, extent.last + 1, extent.page):
        last = min(first + extent.page - 1, extent.last)
        exact: dict[str, Any] = {"expected": last - first + 1} if span == extent.count else {}
        one = RangeDetail(layer=extent.layer, walk=walk, first=first, last=last, **shared, **exact)
        yield FollowOn("gis", "range", f"{extent.layer} walk {walk} ids {first}-{last}", one)


def note_seen(cursor: Cursor, run: Run, seen: Sequence[tuple[Target, Lines, int]]) -> None:
    """Note what the answers of ranges held, and how many rows without an APN, for the end of their walk."""
    rows = []
    for target, page, unkeyed in seen:
        detail = RangeDetail.of(target)
        digests = "".join([digest[:16] for digest in page.digests])
        rows.append((target.id, run.job_id, detail.walk, detail.first, array_of(page.keys), digests, unkeyed))
    execute_values(
        cursor,
        "INSERT INTO gis.seen (target_id, job_id, walk, first_id, keys, digests, unkeyed) VALUES %s",
        rows,
        "(%s, %s, %s, %s, %s::text[], decode(%s, 'hex'), %s)",
    )


def take_up(cursor: Cursor, run: Run) -> None:
    """Have an unfinished walk go on: what failed for good is asked again, its extent first. Called for every
    run that opens.
    """
    cursor.execute(_UNFINISHED, {"job": run.job_id})
    if roll := _open_roll(cursor, run):
        cursor.execute(_REVIVE, (run.job_id, roll.walk))
        cursor.execute(_ASK_EXTENT, (run.job_id,))
        cursor.execute("UPDATE crawl.job SET shortfall = NULL WHERE id = %s", (run.job_id,))


def note_dead_extent(cursor: Cursor, run: Run) -> None:
    """After an extent failed: when that was for good, the walk stays open, and the job says that it is
    incomplete.
    """
    roll = _open_roll(cursor, run)
    if roll and _is_open(cursor, _DEAD_EXTENT, run):
        _fall_short(
            cursor,
            run,
            f"layer {roll.layer} no longer says how much it holds; scrapy crawl roll -a job={run.job_id} asks"
            " again",
        )


def advance(cursor: Cursor, run: Run) -> None:
    """After targets were acknowledged: when no range is open, have the extent read a last time."""
    # While a confirmation is open, its answer has the extent asked for again where that is needed.
    if (
        _open_roll(cursor, run)
        and not _is_open(cursor, _OPEN_RANGES, run)
        and not _is_open(cursor, _OPEN_DOUBLED, run)
    ):
        cursor.execute(_ASK_EXTENT, (run.job_id,))


def settle(cursor: Cursor, run: Run, extent: Extent) -> None:
    """After the extent was acknowledged: begin a walk, begin anew, go on, or end it."""
    roll = _open_roll(cursor, run)
    if roll is None:
        # One that was asked for twice may come after the walk's end.
        if extent.confirmed is None and not _is_open(cursor, _ANY_ROLL, run):
            _begin(cursor, run, extent, 1, extent.read_at)
        return
    if extent.walk not in (None, roll.walk):
        return
    if extent.confirmed:
        # A part that failed for good confirms nothing: the job says that it is incomplete, and asks again
        # when it goes on.
        if _is_open(cursor, _OPEN_DOUBLED, run) or _is_open(cursor, _DEAD_DOUBLED, run):
            return
        cursor.execute(
            "UPDATE gis.roll SET is_confirmed = true WHERE job_id = %s AND walk = %s", (run.job_id, roll.walk)
        )
        roll = replace(roll, is_confirmed=True)
        # A run that took the walk up has the extent read anew: that one counts, and not the one that was read
        # before.
        if _is_open(cursor, _OPEN_EXTENT, run):
            return
    if not roll.agrees_with(extent) or extent.confirmed is False:
        _begin_anew(cursor, run, roll, extent)
    elif not _is_open(cursor, _OPEN_RANGES, run):
        cursor.execute(_LAST_RANGE, (run.job_id,))
        (last_range,) = cursor.fetchone() or (None,)
        if last_range and last_range > extent.read_at:
            cursor.execute(_ASK_EXTENT, (run.job_id,))
        else:
            _finish(cursor, run, roll, extent)


def _open_roll(cursor: Cursor, run: Run) -> _Roll | None:
    cursor.execute(_OPEN_ROLL, (run.job_id,))
    return next(iter(objects(cursor, _Roll)), None)


def _is_open(cursor: Cursor, query: str, run: Run) -> bool:
    cursor.execute(query, (run.job_id,))
    return bool((cursor.fetchone() or (False,))[0])


def _begin(
    cursor: Cursor,
    run: Run,
    extent: Extent,
    walk: int,
    started_at: dt.datetime,
    first_change: int | None = None,
) -> None:
    cursor.execute(
        "INSERT INTO gis.roll (job_id, walk, layer, first_id, last_id, row_count, page, detail, started_at,"
        " first_change) SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, max(id), 0) FROM"
        " crawl.change",
        (
            run.job_id,
            walk,
            extent.layer,
            extent.first,
            extent.last,
            extent.count,
            extent.page,
            Json(extent.detail.stored()),
            started_at,
            first_change,
        ),
    )
    asked = add_targets(cursor, run.job_id, ranges(extent, walk))
    logger.info(
        "layer %s: %d rows, ids %d to %d, %d requests",
        extent.layer,
        extent.count,
        extent.first,
        extent.last,
        asked,
    )


def _begin_anew(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> None:
    before = f"{roll.count} rows, ids {roll.first} to {roll.last}"
    after = f"{extent.count} rows, ids {extent.first} to {extent.last}"
    if extent.confirmed is False:
        after = "and other rows under the same ids: parcels came more than once that it has less often"
    message = f"layer {extent.layer} was reloaded during walk {roll.walk}: {before}, now {after}"
    logger.warning("%s; the walk begins anew", message)
    cursor.execute(_RELOADED, (run.job_id, run.id, f"layer {extent.layer}", message, extent.layer))
    cursor.execute(_CANCEL_RANGES, (run.job_id,))
    counts = {"received": None, "parcels": None, "duplicates": None, "unkeyed": None, "missing": None}
    cursor.execute(
        _END,
        {"job": run.job_id, "walk": roll.walk, "state": "reloaded", "at": dt.datetime.now(dt.UTC), **counts},
    )
    cursor.execute("DELETE FROM gis.seen WHERE job_id = %s", (run.job_id,))
    if roll.walk >= _WALKS_MOST:
        _fall_short(cursor, run, f"layer {extent.layer} was reloaded in each of {roll.walk} walks")
    else:
        # What the walk before has stored and replaced belongs to this one.
        _begin(cursor, run, extent, roll.walk + 1, roll.started_at, roll.first_change)


def _finish(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> None:
    values = {"job": run.job_id, "walk": roll.walk, "layer": roll.layer}
    cursor.execute(BY_COST)
    cursor.execute("SET LOCAL work_mem = '128MB'")
    cursor.execute(_RECEIVED, values)
    received, unkeyed = cursor.fetchone() or (0, 0)
    if received < roll.count and _ask_again(cursor, run, roll, extent):
        return
    further = duplicates.find_doubled(cursor, run.job_id, roll.walk)
    if (
        further
        and not roll.is_confirmed
        and (_is_open(cursor, _OPEN_DOUBLED, run) or _ask_to_confirm(cursor, run, roll, extent))
    ):
        return
    parcels = received - unkeyed - further
    counts: dict[str, Any] = {
        "received": received,
        "parcels": parcels,
        "duplicates": further,
        "unkeyed": unkeyed,
        "missing": None,
    }
    duplicates.settle(cursor, run, roll.walk, roll.layer, roll.started_at, roll.first_change)
    shortfall = _shortfall(cursor, run, roll, received)
    if shortfall is None:
        found = removed_parcels.count(cursor, run, roll.walk, roll.layer, parcels)
        shortfall = None if extent.accept_shrink else found.shortfall(roll.layer)
    if shortfall is None:
        counts["missing"] = removed_parcels.mark(cursor, run, roll.layer, found)
        duplicates.forget(cursor, run, roll.walk, roll.layer)
        _show_outlines(cursor)
    state = "incomplete" if shortfall else "complete"
    # By the clock that dates rows and changes, and after the last of them: `maricopa diff` begins there.
    cursor.execute(_END, {**values, "state": state, "at": dt.datetime.now(dt.UTC), **counts})
    if shortfall:
        # What was seen is kept: the job can be gone on with.
        _fall_short(cursor, run, shortfall)
        return
    _forget(cursor, run)
    logger.info(
        "layer %s is complete: %d rows, %d parcels, %d further rows of stacked ones, %d without an APN, %d"
        " missing since the last roll",
        roll.layer,
        received,
        parcels,
        counts["duplicates"],
        unkeyed,
        counts["missing"],
    )


def _ask_to_confirm(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> bool:
    """Ask the layer how many rows it has of the APNs that came more often than before; returns whether there
    are any.
    """
    size = RowsDetail.of(extent).list
    found = duplicates.unexplained(cursor, run.job_id, roll.walk, roll.layer, _CONFIRM_MOST * size)
    parts = [found[at : at + size] for at in range(0, len(found), size)]
    targets = []
    for part in parts:
        key = (
            f"{roll.layer} walk {roll.walk} rows of {part[0][0]}-{part[-1][0]} ({len(part)}) at"
            f" {extent.read_at:%H:%M:%S.%f}"
        )
        detail = DoubledDetail(
            **extent.detail.stored(),
            layer=roll.layer,
            apns=tuple(apn for apn, _ in part),
            rows=sum(rows for _, rows in part),
            first=extent.first,
            last=extent.last,
            count=extent.count,
            read_at=extent.read_at,
            walk=roll.walk,
            page=extent.page,
            accept_shrink=extent.accept_shrink,
        )
        targets.append(FollowOn("gis", "doubled", key, detail))
    return bool(targets) and add_targets(cursor, run.job_id, targets) > 0


def _ask_again(cursor: Cursor, run: Run, roll: _Roll, extent: Extent) -> bool:
    """Ask again for the ranges that may have had more rows than came; returns whether there are any."""
    if roll.rounds >= _ROUNDS_MOST:
        return False
    cursor.execute(_FULL_RANGES, (run.job_id, roll.walk, extent.page))
    full = {first for (first,) in cursor.fetchall()}
    cursor.execute(_INCOMPLETE_RANGES, (run.job_id, roll.walk))
    again = [
        FollowOn(
            "gis",
            "range",
            f"{roll.layer} walk {roll.walk} ids {d.first}-{d.last} again {roll.rounds + 1}",
            d,
        )
        for d in (RangeDetail.model_validate(stored) for (stored,) in cursor.fetchall())
        if d.first not in full and d.expected is None
    ]
    if not again:
        return False
    logger.warning("layer %s: fewer rows came than it has; %d ranges are asked again", roll.layer, len(again))
    cursor.execute(
        "UPDATE gis.roll SET rounds = rounds + 1 WHERE job_id = %s AND walk = %s", (run.job_id, roll.walk)
    )
    return add_targets(cursor, run.job_id, again) > 0


def _shortfall(cursor: Cursor, run: Run, roll: _Roll, received: int) -> str | None:
    cursor.execute(_DEAD_RANGES, (run.job_id, roll.walk))
    (dead,) = cursor.fetchone() or (0,)
    if dead:
        came = f"{received} of its {roll.count} rows came"
        return (
            f"{dead} requests for layer {roll.layer} failed for good; {came}; scrapy crawl roll -a"
            f" job={run.job_id} asks again"
        )
    if received != roll.count:
        return f"layer {roll.layer} says that it has {roll.count} rows; {received} came"
    return None


def _fall_short(cursor: Cursor, run: Run, reason: str) -> None:
    logger.error("the roll is incomplete: %s", reason)
    cursor.execute("UPDATE crawl.job SET shortfall = %s WHERE id = %s", (reason, run.job_id))


def _forget(cursor: Cursor, run: Run) -> None:
    values = {"job": run.job_id}
    cursor.execute(_FORGET_SEEN, values)
    cursor.execute("DELETE FROM gis.duplicate_count WHERE job_id = %(job)s", values)
    cursor.execute(_EMPTY_ASIDE)


def _show_outlines(cursor: Cursor) -> None:
    cursor.execute(_OUTLINE_VIEW)
    if (cursor.fetchone() or (False,))[0]:
        cursor.execute(_CREATE_OUTLINE_VIEW)
