"""APNs asked for by list: those that do not come are asked for once more, together, before they count as
absent.

The second look asks how many rows there are of them: mostly none, and then no further list is needed.
"""

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.columns import array_of
from maricopa_scrapy.database.targets import Run, add_targets
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.sources.gis.target_details import ListDetail

_NOTE = "INSERT INTO gis.unfound (job_id, apn) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING"
_IS_OPEN = """
    SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %(job)s AND source = 'gis' AND kind = 'list'
        AND state IN ('pending', 'leased'))
"""
_SHARED = (
    "SELECT detail FROM crawl.target WHERE job_id = %(job)s AND source = 'gis' AND kind = 'list'"
    " ORDER BY id LIMIT 1"
)
_TAKE = "DELETE FROM gis.unfound WHERE job_id = %(job)s RETURNING apn"


def note_unfound(cursor: Cursor, run: Run, apns: list[str]) -> None:
    """Note what a list did not bring."""
    cursor.execute(_NOTE, (run.job_id, array_of(apns)))


def ask_again(cursor: Cursor, run: Run) -> None:
    """After a list was acknowledged: when none is open any more, have what did not come asked for once
    more.
    """
    values = {"job": run.job_id}
    cursor.execute(_IS_OPEN, values)
    if (cursor.fetchone() or (False,))[0]:
        return
    cursor.execute(_TAKE, values)
    apns = sorted(apn for (apn,) in cursor.fetchall())
    if not apns:
        return
    cursor.execute(_SHARED, values)
    (first,) = cursor.fetchone() or ({},)
    shared = ListDetail.model_validate(first | {"apns": []})
    size = shared.list
    parts = [apns[at : at + size] for at in range(0, len(apns), size)]
    add_targets(
        cursor,
        run.job_id,
        [
            FollowOn(
                "gis",
                "absent",
                f"{part[0]}-{part[-1]} ({len(part)})",
                shared.model_copy(update={"again": True, "apns": tuple(part)}),
            )
            for part in parts
        ],
    )
