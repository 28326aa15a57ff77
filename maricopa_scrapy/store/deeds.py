"""What a run of the recorder finds in its job: deeds of parcels that are stored already, and a day that must be asked for anew."""

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.store.ledger import Run, add_targets

# The parcels that this job has asked for and stored; of one that the assessor is asked for, he says which deed is the last.
_DEEDS = """
    SELECT DISTINCT deed_number FROM (
        SELECT o.deed_number FROM crawl.target t JOIN assessor.owner o ON o.apn = t.key
        WHERE t.job_id = %(job)s AND t.source = 'assessor' AND t.kind = 'parcel' AND t.state = 'done'
        UNION ALL
        SELECT g.deed_number FROM crawl.target t CROSS JOIN jsonb_array_elements_text(t.detail -> 'apns') AS a (apn)
        JOIN gis.parcel g USING (apn)
        WHERE t.job_id = %(job)s AND t.source = 'gis' AND t.kind = 'list' AND t.state = 'done'
          AND NOT EXISTS (SELECT FROM crawl.target n
                          WHERE n.job_id = t.job_id AND n.source = 'assessor' AND n.kind = 'parcel' AND n.key = g.apn)
    ) stored WHERE deed_number ~ '^(19|20)[0-9]{9}$' ORDER BY deed_number
"""


def ask_index_again(cursor: Cursor, run: Run) -> None:
    """Have it asked anew how far the index of names has come, where a run before did: it has moved since."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'recorder' AND kind = 'index' AND state = 'done')",
        (run.job_id,),
    )
    (was_asked,) = cursor.fetchone() or (False,)
    if was_asked:
        add_targets(cursor, run.job_id, [FollowOn("recorder", "index", f"names, run {run.id}")])


def add_stored_deeds(cursor: Cursor, run: Run) -> int:
    """Add the documents of parcels that the job stored before anyone asked for their deeds; returns how many were new."""
    cursor.execute(_DEEDS, {"job": run.job_id})
    detail = {"neighbours": True} if run.parameters.get("neighbours") == "yes" else None
    return add_targets(cursor, run.job_id, [FollowOn("recorder", "document", number, detail) for (number,) in cursor.fetchall()])
