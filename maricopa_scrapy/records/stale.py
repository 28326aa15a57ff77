"""Which stored parcels have a section that is missing, or older than asked."""

import datetime as dt
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.parsing.identifiers import DIGITS, IdentifierError, parse_recording_number

_STORED = """
    SELECT apn FROM (SELECT apn FROM assessor.parcel UNION SELECT apn FROM gis.parcel WHERE removed_at IS NULL
        UNION SELECT apn FROM assessor_page.parcel) stored
    WHERE %(apns)s::text[] IS NULL OR apn = ANY (%(apns)s::text[])
"""
# Of a source whose targets are parcels: when the county last answered for it, be it that there is none.
_ANSWERED = """
    SELECT FROM crawl.target t
    WHERE t.source = %(source)s AND t.kind = 'parcel' AND t.key = s.apn AND t.state IN ('done', 'gone')
      AND (%(before)s::timestamptz IS NULL OR t.done_at >= %(before)s)
"""
# Of the GIS, whose targets are lists and pages: what a complete roll saw, or a list told.
_SEEN = """
    SELECT FROM gis.parcel g
    WHERE g.apn = s.apn AND g.removed_at IS NULL AND (%(before)s::timestamptz IS NULL OR greatest(
        g.changed_at, (SELECT max(finished_at) FROM gis.roll WHERE state = 'complete')) >= %(before)s)
"""
# Of the recorder, whose targets are documents: the parcel's last deed.
_RECORDED = """
    SELECT FROM crawl.target t
    WHERE t.source = %(source)s AND t.state IN ('done', 'gone') AND t.key = upper(regexp_replace(coalesce(
        (SELECT o.deed_number FROM assessor.owner o WHERE o.apn = s.apn), (SELECT g.deed_number
            FROM gis.parcel g WHERE g.apn = s.apn)),
        '[^0-9A-Za-z]', '', 'g'))
      AND (%(before)s::timestamptz IS NULL OR t.done_at >= %(before)s)
"""
# The page shows nothing that the API does not tell: who was answered by either needs no page.
_ON_PAGE = _ANSWERED.replace("t.source = %(source)s", "t.source IN ('assessor', 'assessor_page')")
_DEEDS = """
    SELECT number, count(*) FROM (
        SELECT coalesce(o.deed_number, g.deed_number) AS number
        FROM unnest(%(apns)s::text[]) AS s (apn) LEFT JOIN assessor.owner o USING (apn)
        LEFT JOIN gis.parcel g USING (apn)
    ) last WHERE number IS NOT NULL GROUP BY number ORDER BY number
"""
_BY_SOURCE = {"gis": _SEEN, "recorder": _RECORDED, "assessor_page": _ON_PAGE}
# Each list is opened once, and everything else is joined with it as a whole.
MISSING = """
    WITH asked AS MATERIALIZED (
        SELECT t.state, one.apn, one.place FROM crawl.target t
        CROSS JOIN LATERAL jsonb_array_elements_text(t.detail -> 'apns') WITH ORDINALITY AS one (apn, place)
        WHERE t.job_id = %(job)s AND t.source = 'gis' AND t.kind = 'layer'
    ), unanswered AS MATERIALIZED (
        SELECT DISTINCT one.apn FROM crawl.target t
        CROSS JOIN LATERAL jsonb_array_elements_text(t.detail -> 'apns') AS one (apn)
        WHERE t.job_id = %(job)s AND t.source = 'gis' AND t.kind IN ('list', 'absent')
          AND t.state NOT IN ('done', 'gone')
    )
    SELECT asked.apn FROM asked
    LEFT JOIN gis.absent a ON a.apn = asked.apn
    LEFT JOIN gis.parcel g ON g.apn = asked.apn
    LEFT JOIN unanswered u ON u.apn = asked.apn
    WHERE asked.state <> 'done' OR a.apn IS NOT NULL OR g.apn IS NULL OR u.apn IS NOT NULL
    ORDER BY asked.place
"""
_IS_CANCELLED = "SELECT FROM assessor.parcel p WHERE p.apn = s.apn AND p.is_cancelled"


def stale(
    session: Session,
    source: str,
    older_than: dt.timedelta | None,
    apns: list[str] | None,
    without_cancelled: bool,
) -> list[str]:
    """Return the stored parcels, of `apns` or of all, for which `source` was not asked, or not since
    `older_than` ago.
    """
    before = None if older_than is None else dt.datetime.now(dt.UTC) - older_than

    def work(cursor: Cursor) -> list[str]:
        fresh = _BY_SOURCE.get(source, _ANSWERED)
        leave = f" AND NOT EXISTS ({_IS_CANCELLED})" if without_cancelled else ""
        cursor.execute(
            f"WITH s AS ({_STORED}) SELECT apn FROM s"  # noqa: S608 - texts of ours alone
            f" WHERE NOT EXISTS ({fresh}){leave} ORDER BY apn",
            {"source": source, "before": before, "apns": apns},
        )
        return [apn for (apn,) in cursor.fetchall()]

    return session.transact(work)


@dataclass(frozen=True, slots=True)
class Deeds:
    """The last deeds of parcels: recording numbers that the recorder's API can be asked for, each once;
    `others` counts the parcels whose deed number is of another form, or has a letter; `example` is one of
    those.
    """

    numbers: list[str]
    others: int = 0
    example: str | None = None


def deeds(session: Session, apns: list[str]) -> Deeds:
    """Return the last deeds of stored parcels."""

    def work(cursor: Cursor) -> list[tuple[str, int]]:
        cursor.execute(_DEEDS, {"apns": apns})
        return cursor.fetchall()

    numbers: dict[str, None] = {}
    others, example = 0, None
    for number, count in session.transact(work):
        try:
            found = parse_recording_number(number)
        except IdentifierError:
            found = ""
        if len(found) == DIGITS:
            numbers[found] = None
        else:
            others, example = others + count, example or number
    return Deeds(list(numbers), others, example)


def missing_of_lists(cursor: Cursor, job_id: int) -> list[str]:
    """Return the APNs that the job asked the GIS for and that it does not have, in the order in which they
    were asked for.
    """
    # Nobody knows beforehand how long a list is; taken for short, it would be looked through for each APN.
    cursor.execute("SET LOCAL enable_nestloop = off")
    cursor.execute(MISSING, {"job": job_id})
    missing = [apn for (apn,) in cursor.fetchall()]
    cursor.execute("SET LOCAL enable_nestloop = on")
    return missing
