"""The `where` of a query as positions of rows: row ids, APNs and the deed's date, joined by AND."""

import datetime as dt
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.sandbox.gis.layer_shapes import LayerShape
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer, day_of

_BETWEEN = re.compile(r"(\w+)\s+BETWEEN\s+(\d+)\s+AND\s+(\d+)", re.IGNORECASE)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)
_BY_ID = re.compile(r"OBJECTID\s*(>=|<=|>|<|=)\s*(\d+)", re.IGNORECASE)
_IN_IDS = re.compile(r"OBJECTID\s+IN\s*\(([\d,\s]+)\)", re.IGNORECASE)
_BY_APN = re.compile(r"(\w+)\s*(?:IN\s*\(|=)\s*((?:'[^']*'\s*,?\s*)+)\)?", re.IGNORECASE)
_BY_DATE = re.compile(
    r"(\w+)\s*(>=|<=|>|<)\s*(?:timestamp|date)\s*'(\d{4}-\d\d-\d\d)(?: (\d\d):(\d\d):(\d\d))?'", re.IGNORECASE
)
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_DAY_MS = 86_400_000


class Unreadable(Exception):
    """A query that the service refuses."""


def positions(where: str, layer: ParcelLayer, shape: LayerShape) -> Sequence[int]:
    """Return the positions of the rows that a `where` holds for, in order. Raises Unreadable."""
    found: Sequence[int] = range(len(layer.ids))
    text = _BETWEEN.sub(r"\1>=\2 AND \1<=\3", where.strip())
    clauses = [
        clause.strip().strip("()") if clause.count("(") != clause.count(")") else clause.strip()
        for clause in _AND.split(text)
    ]
    # Row ids first: they leave a run.
    for clause in sorted(clauses, key=lambda clause: not clause.upper().startswith("OBJECTID")):
        found = _narrowed(clause, found, layer, shape)
    return found


def _narrowed(clause: str, found: Sequence[int], layer: ParcelLayer, shape: LayerShape) -> Sequence[int]:
    if clause.replace(" ", "") == "1=1":
        return found
    if match := _BY_ID.fullmatch(clause):
        return _by_id(match[1], int(match[2]), found, layer)
    if match := _IN_IDS.fullmatch(clause):
        ids = sorted({int(one) for one in match[1].split(",")})
        return _of_rows([one for one in ids if layer.holds(one)], found, layer)
    if (match := _BY_APN.fullmatch(clause)) and match[1] in shape.apns:
        return _of_rows(
            sorted({row for apn in re.findall("'([^']*)'", match[2]) for row in _rows(apn, layer)}),
            found,
            layer,
        )
    if (match := _BY_DATE.fullmatch(clause)) and match[1] == shape.deed_date:
        hours, minutes, seconds = (int(part or 0) for part in match.groups()[3:])
        moment = (
            day_of(dt.date.fromisoformat(match[3])) * _DAY_MS + (hours * 3600 + minutes * 60 + seconds) * 1000
        )
        compare, begin = _COMPARE[match[2]], shape.days_begin_ms
        return [
            at for at in found if compare(layer.facts(layer.ids[at])["deed_date"] * _DAY_MS + begin, moment)
        ]
    raise Unreadable(clause[:60])


def _by_id(sign: str, row: int, found: Sequence[int], layer: ParcelLayer) -> Sequence[int]:
    low = (
        bisect_left(layer.ids, row)
        if sign in (">=", "=")
        else bisect_right(layer.ids, row)
        if sign == ">"
        else 0
    )
    high = (
        bisect_right(layer.ids, row)
        if sign in ("<=", "=")
        else bisect_left(layer.ids, row)
        if sign == "<"
        else len(layer.ids)
    )
    if isinstance(found, range):
        return range(max(low, found.start), max(low, found.start, min(high, found.stop)))
    return [at for at in found if low <= at < high]


def _rows(apn: str, layer: ParcelLayer) -> list[int]:
    try:
        return layer.rows_of(parse_apn(apn))
    except IdentifierError:
        return []


def _of_rows(rows: list[int], found: Sequence[int], layer: ParcelLayer) -> Sequence[int]:
    at = [bisect_left(layer.ids, row) for row in rows]
    return [one for one in at if one in found] if isinstance(found, range) else sorted(set(at) & set(found))
