"""A GeoJSON FeatureCollection a table (RFC 7946), a feature a line: properties with their place, the others
as features without one.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.records.export.selection import Selection, Table


class GeoJsonWriter:
    """WGS 84: the parcel's outline where one is stored, else its point; NULL is null, a decimal is a number
    with all its digits.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError."""
        names = [column.name for column in table.columns]
        count = 0
        with (self._folder / f"{table.name}.geojson").open("wb") as file:
            file.write(b'{"type":"FeatureCollection","features":[')
            for chunk in selection.rows(table, geometry=True):
                for *values, geometry in chunk:
                    place = None if geometry is None else orjson.Fragment(geometry)
                    feature = {
                        "type": "Feature",
                        "geometry": place,
                        "properties": dict(zip(names, values, strict=True)),
                    }
                    file.write(b",\n" if count else b"\n")
                    file.write(orjson.dumps(feature, default=_exact))
                    count += 1
            file.write(b"\n]}\n")
        return count

    def close(self) -> None:
        """All is written."""


def _exact(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(type(value).__name__)
