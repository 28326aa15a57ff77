"""Polygons of Esri as GeoJSON. A parcel of several parts is a MultiPolygon; holes belong to the part around
them.
"""

from itertools import pairwise
from math import isfinite
from typing import Any

import orjson

from maricopa_scrapy.parsing.errors import SourceChanged

_Ring = list[list[float]]
_NUMBERS = (int, float)


def geojson(geometry: object) -> str | None:
    """Return the text of a GeoJSON geometry for one of Esri's or GeoJSON's own; None for none. Raises
    SourceChanged.
    """
    if geometry is None or geometry == {} or (isinstance(geometry, dict) and geometry.get("rings") == []):
        return None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    try:
        if kind == "Polygon":
            parts = [[_ring(ring) for ring in geometry["coordinates"]]]  # type: ignore[index]
        elif kind == "MultiPolygon":
            parts = [[_ring(ring) for ring in part] for part in geometry["coordinates"]]  # type: ignore[index]
        else:
            parts = _parts(geometry["rings"])  # type: ignore[index]
    except (TypeError, ValueError, KeyError):
        parts = []
    if not parts or not all(parts):
        raise SourceChanged("features.geometry", "a polygon", geometry)
    if len(parts) == 1 and kind != "MultiPolygon":
        return orjson.dumps({"type": "Polygon", "coordinates": parts[0]}).decode()
    return orjson.dumps({"type": "MultiPolygon", "coordinates": parts}).decode()


def _ring(points: Any) -> _Ring:
    """Return a ring of at least three corners that ends where it begins. Raises TypeError or ValueError for
    anything else.
    """
    ring = [[float(x), float(y)] for x, y, *_ in points if type(x) in _NUMBERS and type(y) in _NUMBERS]
    if (
        len(ring) != len(points)
        or len(ring) < 4
        or ring[0] != ring[-1]
        or not all(isfinite(x) and isfinite(y) for x, y in ring)
    ):
        raise ValueError("not a closed ring")
    return ring


def _parts(rings: Any) -> list[list[_Ring]]:
    """Esri: outer rings run clockwise, holes the other way. GeoJSON wants the reverse, each part with its
    holes.
    """
    closed = [_ring(ring) for ring in rings]
    outer = [ring for ring in closed if _area(ring) <= 0]
    holes = [ring for ring in closed if _area(ring) > 0]
    if not outer:
        outer, holes = holes, []
    parts = [[ring[::-1]] for ring in outer]
    for hole in holes:
        around = next((part for part in parts if _contains(part[0], hole[0])), parts[0])
        around.append(hole[::-1])
    return parts


def _area(ring: _Ring) -> float:
    """Twice the signed area: above zero when the ring runs against the clock."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring))


def _contains(ring: _Ring, point: list[float]) -> bool:
    x, y = point
    inside = False
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside
