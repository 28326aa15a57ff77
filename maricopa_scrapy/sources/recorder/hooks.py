"""What the database asks of the recorder: which documents name somebody who is not shown."""

from collections.abc import Collection

from psycopg2.extensions import cursor as Cursor


def withheld_documents(cursor: Cursor) -> Collection[str]:
    """Return the recording numbers of the documents whose names are not shown."""
    cursor.execute("SELECT recording_number FROM recorder.withheld_document")
    return [number for (number,) in cursor.fetchall()]
