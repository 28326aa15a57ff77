"""What a run of the recorder finds in its job: deeds of parcels that are stored already, and a day that must
be asked for anew.
"""

from collections import Counter

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.rows import named
from maricopa_scrapy.database.targets import Run, add_targets
from maricopa_scrapy.items import FollowOn, Issue
from maricopa_scrapy.parsing.follow_ons import deeds_of, odd_deed
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_recording_number

# The parcels that this job has asked for and stored; of one that the assessor is asked for, he says which
# deed is the last.
_DEEDS = """
    SELECT source, min(apn) AS apn, deed_number, count(*) FROM (
        SELECT t.source, o.apn, o.deed_number FROM crawl.target t JOIN assessor.owner o ON o.apn = t.key
        WHERE t.job_id = %(job)s AND t.source = 'assessor' AND t.kind = 'parcel' AND t.state = 'done'
        UNION ALL
        SELECT t.source, g.apn, g.deed_number FROM crawl.target t
        CROSS JOIN jsonb_array_elements_text(t.detail -> 'apns') AS a (apn)
        JOIN gis.parcel g USING (apn)
        WHERE t.job_id = %(job)s AND t.source = 'gis' AND t.kind = 'list' AND t.state = 'done'
          AND NOT EXISTS (SELECT FROM crawl.target n
                          WHERE n.job_id = t.job_id AND n.source = 'assessor' AND n.kind = 'parcel'
                            AND n.key = g.apn)
    ) stored WHERE deed_number IS NOT NULL GROUP BY source, deed_number ORDER BY deed_number
"""
# What the answers themselves have told is told already.
_TELL = """
    INSERT INTO crawl.issue (job_id, run_id, source, kind, signature, message, target_key, count, first_at,
        last_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, now(), now())
    ON CONFLICT (job_id, source, kind, signature) DO NOTHING
"""


def ask_index_again(cursor: Cursor, run: Run) -> None:
    """Have it asked anew how far the index of names has come, where a run before did: it has moved since."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM crawl.target WHERE job_id = %s AND source = 'recorder' AND kind = 'index'"
        " AND state = 'done')",
        (run.job_id,),
    )
    (was_asked,) = cursor.fetchone() or (False,)
    if was_asked:
        add_targets(cursor, run.job_id, [FollowOn("recorder", "index", f"names, run {run.id}")])


def add_stored_deeds(cursor: Cursor, run: Run) -> int:
    """Add the documents of parcels that the job stored before anyone asked for their deeds, and tell those
    that cannot be asked for.

    Returns how many targets were new.
    """
    cursor.execute(_DEEDS, {"job": run.job_id})
    found: dict[str, None] = {}
    odd: dict[tuple[str, str], tuple[str, Issue]] = {}
    parcels: Counter[tuple[str, str]] = Counter()
    for deed in named(cursor):
        try:
            found[parse_recording_number(deed.deed_number)] = None
        except IdentifierError:
            issue = odd_deed(deed.apn, deed.deed_number)
            odd.setdefault((deed.source, issue.signature), (deed.apn, issue))
            parcels[deed.source, issue.signature] += deed.count
    for (source, form), (apn, issue) in odd.items():
        cursor.execute(
            _TELL, (run.job_id, run.id, source, issue.kind, form, issue.message, apn, parcels[source, form])
        )
    return add_targets(cursor, run.job_id, deeds_of(run.parameters, found))
