"""What loads of bulk files have left in the ledger."""

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session

_LAST = """
    SELECT rows FROM crawl.target
    WHERE kind = 'file' AND state = 'done' AND detail->>'file' = %s AND detail->>'book' IS NOT DISTINCT
    FROM %s
    ORDER BY done_at DESC LIMIT 1
"""


def last_rows(session: Session, file: str, book: str | None) -> int | None:
    """Return how many rows the last load of the same file had; None when there was none."""

    def work(cursor: Cursor) -> int | None:
        cursor.execute(_LAST, (file, book))
        row = cursor.fetchone()
        return row[0] if row else None

    return session.transact(work)
