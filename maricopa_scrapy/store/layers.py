"""What each layer maps: a field that only one of two layers has is no change of the county's when a roll takes another layer."""

import json

from psycopg2.extensions import cursor as Cursor

_NOTE = """
    INSERT INTO gis.layer AS l (layer, columns) VALUES (%s, %s)
    ON CONFLICT (layer) DO UPDATE SET columns = excluded.columns WHERE l.columns <> excluded.columns
"""


def note_columns(cursor: Cursor, layer: str, columns: tuple[str, ...]) -> None:
    """Note which columns of gis.parcel a layer maps."""
    cursor.execute(_NOTE, (layer, list(columns)))


def shared_fields(cursor: Cursor) -> str:
    """Return, as JSON, the fields that count as changes by the layer before and the layer after: those that both map."""
    cursor.execute("SELECT layer, columns FROM gis.layer")
    mapped = {layer: set(columns) for layer, columns in cursor.fetchall()}
    return json.dumps(
        {old: {new: sorted((had & has) | {"removed_at"}) for new, has in mapped.items() if new != old} for old, had in mapped.items()}
    )
