"""The end of a roll: which parcels the layer no longer has. They are marked (`removed_at`), never deleted."""

import datetime as dt
import logging
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.sources.gis import duplicates

logger = logging.getLogger(__name__)

# A walk that misses more than this part of the parcels that are there is not believed.
_MISSING_MOST = 0.02

_KEYS = f"""
    CREATE TEMP TABLE roll_key ON COMMIT DROP AS
    SELECT DISTINCT unnest(keys) AS apn FROM ({duplicates.RANGES}) ranges
"""
_PRESENT = "SELECT count(*) FROM gis.parcel WHERE removed_at IS NULL"
# What another layer told, and no complete roll of this one has had, this one cannot miss.
_UNSEEN = """
    CREATE TEMP TABLE roll_unseen ON COMMIT DROP AS
    SELECT t.apn, t.layer = %(layer)s OR coalesce(t.first_seen_at < last.at, false)
        AND NOT EXISTS (SELECT FROM gis.not_in_layer n
            WHERE n.layer = %(layer)s AND n.apn = t.apn) AS is_missing
    FROM gis.parcel t, (SELECT max(finished_at) AS at FROM gis.roll
        WHERE state = 'complete' AND layer = %(layer)s) last
    WHERE t.removed_at IS NULL AND NOT EXISTS (SELECT FROM roll_key k WHERE k.apn = t.apn)
"""
_MISSING = (
    "SELECT count(*) FILTER (WHERE is_missing), count(*) FILTER (WHERE NOT is_missing) FROM roll_unseen"
)
_MARK_MISSING = """
    WITH missing AS (
        UPDATE gis.parcel t SET removed_at = %(at)s FROM roll_unseen u WHERE t.apn = u.apn AND u.is_missing
        RETURNING t.apn
    ), logged AS (
        INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
        SELECT 'gis.parcel', jsonb_build_object('apn', apn), 'removed_at', NULL, %(at)s::text, %(at)s,
            %(run)s FROM missing
    )
    SELECT count(*) FROM missing
"""
_NOT_IN_LAYER = """
    INSERT INTO gis.not_in_layer (layer, apn) SELECT %(layer)s, apn FROM roll_unseen WHERE NOT is_missing
    ON CONFLICT DO NOTHING
"""
_IN_LAYER = """
    DELETE FROM gis.not_in_layer n WHERE layer = %(layer)s
      AND EXISTS (SELECT FROM gis.parcel t WHERE t.apn = n.apn AND t.removed_at IS NULL)
"""
_NOT_ABSENT = """
    DELETE FROM gis.absent a USING gis.parcel t WHERE a.apn = t.apn AND t.removed_at IS NULL
      AND NOT EXISTS (SELECT FROM gis.not_in_layer n WHERE n.layer = %(layer)s AND n.apn = t.apn)
"""


@dataclass(frozen=True, slots=True)
class Missing:
    """How many parcels are stored, how many of them the walk misses, and how many only other layers have."""

    present: int
    missing: int = 0
    elsewhere: int = 0

    def shortfall(self, layer: str) -> str | None:
        """Return why the layer is not believed, None when it is."""
        if self.missing <= self.present * _MISSING_MOST:
            return None
        return (
            f"layer {layer} misses {self.missing} of the {self.present} parcels that are stored"
            f" ({self.missing / self.present:.1%}); none was marked missing; if that is right: scrapy crawl"
            " roll -a accept_shrink=yes"
        )


def count(cursor: Cursor, run: Run, walk: int, layer: str, seen: int) -> Missing:
    """Hold the `seen` parcels of a walk against those that are stored."""
    cursor.execute(_PRESENT)
    (present,) = cursor.fetchone() or (0,)
    # All that was seen is there: as many as that, and no more are.
    if present == seen:
        return Missing(present)
    cursor.execute(_KEYS, {"job": run.job_id, "walk": walk})
    cursor.execute("ANALYZE roll_key")
    cursor.execute(_UNSEEN, {"layer": layer})
    cursor.execute(_MISSING)
    missing, elsewhere = cursor.fetchone() or (0, 0)
    return Missing(present, missing, elsewhere)


def mark(cursor: Cursor, run: Run, layer: str, found: Missing) -> int:
    """Mark what the walk misses, and note what only other layers have, in the transaction of `count`; returns
    how many were marked.
    """
    marked = 0
    if found.missing:
        cursor.execute(_MARK_MISSING, {"at": dt.datetime.now(dt.UTC), "run": run.id})
        (marked,) = cursor.fetchone() or (0,)
    # All that are present were seen now, but for those that other layers have.
    cursor.execute(_IN_LAYER, {"layer": layer})
    if found.elsewhere:
        cursor.execute(_NOT_IN_LAYER, {"layer": layer})
        logger.info(
            "%d parcels of other layers are not in layer %s, and stay as they are", found.elsewhere, layer
        )
    cursor.execute(_NOT_ABSENT, {"layer": layer})
    return marked
