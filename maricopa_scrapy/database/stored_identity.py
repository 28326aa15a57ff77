"""By what a parcel is known: its owner and its situs address, as each source stored them."""

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.source_hooks import of_all


def signs_of(session: Session, apn: str) -> list[tuple[str, str | None, str | None]]:
    """Return source, owner and situs address of each row that is stored of a parcel. Raises
    DatabaseUnavailable.
    """

    def work(cursor: Cursor) -> list[tuple[str, str | None, str | None]]:
        cursor.execute(" UNION ALL ".join(of_all("IDENTITIES")), {"apn": apn})
        return cursor.fetchall()

    return session.transact(work)
