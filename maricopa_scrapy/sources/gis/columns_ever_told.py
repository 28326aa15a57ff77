"""What each layer has ever told: a field that only one of two layers has is no change of the county's when a
roll takes another layer.
"""

import json

from psycopg2.extensions import cursor as Cursor

_NOTE = """
    INSERT INTO gis.layer AS l (layer, columns) VALUES (%s, %s)
    ON CONFLICT (layer) DO UPDATE SET columns = l.columns || ARRAY(SELECT unnest(excluded.columns) EXCEPT
        SELECT unnest(l.columns))
    WHERE NOT l.columns @> excluded.columns
"""


def note_columns(cursor: Cursor, layer: str, columns: tuple[str, ...]) -> None:
    """Note which columns of gis.parcel a layer tells; what it told before, and does not have any more, is
    stored still.
    """
    cursor.execute(_NOTE, (layer, list(columns)))


def told_columns(cursor: Cursor) -> set[str]:
    """Return the columns of gis.parcel that any layer has told; the others are NULL in every row."""
    cursor.execute("SELECT DISTINCT unnest(columns) FROM gis.layer")
    return {column for (column,) in cursor.fetchall()}


def shared_fields(cursor: Cursor) -> str:
    """Return, as JSON, the fields that count as changes by the layer before and the layer after: those that
    both tell.
    """
    cursor.execute("SELECT layer, columns FROM gis.layer")
    mapped = {layer: set(columns) for layer, columns in cursor.fetchall()}
    return json.dumps(
        {
            old: {new: sorted((had & has) | {"removed_at"}) for new, has in mapped.items() if new != old}
            for old, had in mapped.items()
        }
    )
