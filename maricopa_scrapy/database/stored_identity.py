"""By what a parcel is known: its owner and its situs address, as each source stored them."""

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session

_SIGNS = """
    SELECT 'assessor', o.ownership, p.property_address FROM assessor.parcel p LEFT JOIN assessor.owner o USING (apn) WHERE p.apn = %(apn)s
    UNION ALL SELECT 'assessor_page', ownership, NULL FROM assessor_page.parcel WHERE apn = %(apn)s
    UNION ALL SELECT 'gis', owner_name, property_address FROM gis.parcel WHERE apn = %(apn)s AND removed_at IS NULL
    UNION ALL SELECT 'treasurer', owner, situs_address FROM treasurer.account WHERE apn = %(apn)s
"""


def signs_of(session: Session, apn: str) -> list[tuple[str, str | None, str | None]]:
    """Return source, owner and situs address of each row that is stored of a parcel. Raises DatabaseUnavailable."""

    def work(cursor: Cursor) -> list[tuple[str, str | None, str | None]]:
        cursor.execute(_SIGNS, {"apn": apn})
        return cursor.fetchall()

    return session.transact(work)
