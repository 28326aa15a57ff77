"""The answers of an ArcGIS layer: what it is, how much it holds, and its features, a page of up to 2,000 at a
time.

Facts and their certainty: docs/sources.md, "GIS layers". An error comes as {"error": ...} with status 200.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maricopa_scrapy.items import IDS_MOST, Detail, Extent, Issue, IssueKind, Rows
from maricopa_scrapy.parsing.bodies import VALUES_MOST, decode
from maricopa_scrapy.parsing.errors import (
    ABSENT,
    BadRequest,
    Malformed,
    PageError,
    ServiceError,
    SourceChanged,
    Throttled,
    shown,
)
from maricopa_scrapy.parsing.identifiers import APN_PATTERN, IdentifierError, parse_apn
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.parsing.values import INT8
from maricopa_scrapy.sources.gis.geometry import geojson
from maricopa_scrapy.sources.gis.layer_fields import (
    Parcels,
    Spots,
    attributes,
    check_type,
    plain_page,
    section,
    types_of,
)
from maricopa_scrapy.sources.gis.layer_values import KINDS, Odd, are_many, constant
from maricopa_scrapy.sources.gis.records import GisAbsent, GisOutline, GisParcel, GisWithheld

_APN = re.compile(APN_PATTERN, re.ASCII)
_SHOWN = 20
# A page of fewer rows may be streets only; of so many, none without an APN is believed.
_UNKEYED_LEAST = 50
# Codes of {"error": {"code": ...}} that mean more than a failure.
_ERRORS: dict[str, type[PageError]] = {"429": Throttled, "400": BadRequest}
COLUMNS = tuple(GisParcel.model_fields)


@dataclass(frozen=True)
class Shape:
    """One layer's fields: `columns` and `optional` map a column of ours to (field, kind); `ignored` are known
    and not stored.

    Nobody is told of a layer without an optional field. Raises ValueError for a column or a kind that there
    is not.
    """

    layer: str
    days: str
    columns: Mapping[str, tuple[str, str]]
    optional: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for column, (_, kind) in {**self.columns, **self.optional}.items():
            if column not in COLUMNS or column == "layer":
                raise ValueError(
                    f"layer {self.layer}: there is no column {column}; there are {', '.join(COLUMNS)}"
                )
            if kind not in KINDS:
                raise ValueError(
                    f"layer {self.layer}: {column}: there is no kind {kind}; there are {', '.join(KINDS)}"
                )
        if "apn" not in self.columns:
            raise ValueError(f"layer {self.layer}: column apn is missing")

    @property
    def all_columns(self) -> dict[str, tuple[str, str]]:
        """The columns that the layer may have."""
        return {**self.columns, **self.optional}

    def without(self, lacking: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return the columns that are asked for when the layer lacks some fields."""
        gone = set(lacking)
        return {
            column: one for column, one in self.all_columns.items() if one[0] not in gone or column == "apn"
        }


@dataclass(slots=True)
class Layer:
    """What a layer says of itself: its field of row ids, the most rows an answer (0 where it does not say),
    what is lacking or new.

    `lacking` are mapped fields that are not asked for: the layer does not have them, or in another type.
    """

    object_id: str
    page: int
    lacking: list[str]
    new_fields: list[str]
    notes: Notes


@dataclass(slots=True)
class Page:
    """The features of one answer: `pages` for the tables, the row ids, what a person should know of, sections
    that are unread.
    """

    pages: list[Rows]
    ids: list[int]
    is_cut: bool
    unkeyed: int = 0
    issues: list[Issue] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    @property
    def apns(self) -> list[str]:
        return list(self.pages[0].columns[0]) if self.pages else []


def parse_layer(body: bytes, shape: Shape) -> Layer:
    """Read a layer's metadata. Raises SourceChanged without a field of row ids, or without the APN; other
    fields may be lacking.
    """
    raw = _object(body)
    fields = _list(raw, "fields")
    types = types_of(fields)
    object_id = next((name for name, kind in types.items() if kind == "OID"), None)
    if object_id is None:
        raise SourceChanged("fields", "a field of row ids", fields)
    name, kind = shape.columns["apn"]
    check_type(types, name, kind)
    notes = Notes()
    lacking = []
    for column, (name, kind) in shape.all_columns.items():
        if name not in types:
            lacking.append(name)
            if column in shape.columns:
                notes.is_absent(f"{shape.layer}.{name}")
            continue
        with notes.section(section(column)):
            check_type(types, name, kind)
        if section(column) in notes.unread:
            lacking.append(name)
    page = raw.get("maxRecordCount", ABSENT)
    if type(page) is not int or page < 1:
        notes.is_absent(f"{shape.layer}.maxRecordCount")
        page = 0
    ours = {name for name, _ in shape.all_columns.values()} | {object_id, *shape.ignored}
    return Layer(
        object_id,
        page,
        lacking,
        [name for name, kind in types.items() if name not in ours and kind != "Geometry"],
        notes,
    )


def new_fields_issue(layer: str, names: list[str]) -> list[Issue]:
    """Return the issue of fields that a layer has and nobody mapped."""
    if not names:
        return []
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return [
        Issue(
            IssueKind.NEW_FIELD,
            f"layer {layer}",
            f"layer {layer} has fields that we do not know: {shown}",
            {"fields": list(names)},
        )
    ]


def parse_extent(body: bytes, layer: str, page: int, read_at: dt.datetime, detail: Detail) -> Extent:
    """Read lowest and highest row id and the number of rows, as outStatistics names them: first_id, last_id,
    row_count.
    """
    features = _list(_object(body), "features")
    values = features[0].get("attributes") if features and isinstance(features[0], dict) else None
    if not isinstance(values, dict):
        raise Malformed("features", "one row of statistics", features)
    # A hosted layer may answer in another case than it was asked in.
    lower = {str(name).lower(): value for name, value in values.items()}
    found = []
    for name in ("first_id", "last_id", "row_count"):
        value = lower.get(name, ABSENT)
        if type(value) not in (int, float) or value != int(value) or abs(value) > INT8:
            raise SourceChanged(f"features[0].{name}", "a whole number", value)
        found.append(int(value))
    first, last, count = found
    if not 0 < count <= last - first + 1:
        raise SourceChanged(
            "features[0]", f"as many ids as rows, and a row at least, from {first} to {last}", count
        )
    return Extent(layer, first, last, count, page, read_at, detail)


def parse_count(body: bytes) -> int:
    """Read how many rows a query has."""
    count = _object(body).get("count", ABSENT)
    if type(count) is not int or count < 0:
        raise Malformed("count", "a number of rows", count)
    return count


def parse_ids(body: bytes) -> list[int]:
    """Read all row ids of a query, in order; null is none."""
    ids = _object(body, IDS_MOST + 1_000).get("objectIds", ABSENT)
    if ids is None:
        return []
    if not isinstance(ids, list) or not {type(one) for one in ids} <= {int}:
        raise Malformed("objectIds", "a list of row ids", ids)
    return sorted(set(ids))


def parse_features(
    body: bytes, shape: Shape, object_id: str, lacking: Iterable[str] = (), outlines: bool = False
) -> Page:
    """Read a page of features, of f=json or f=geojson. Row ids and APNs are strict; each other field is a
    section of its own.

    Raises SourceChanged for a page without row ids or APNs, or of which no field can be read.
    """
    columns = shape.without(lacking)
    names = [object_id, *(name for name, _ in columns.values())]
    extra: set[str] = set()
    missing: dict[str, Spots] = {}
    features: list[Any] = []
    plain = None if outlines else plain_page(body, object_id, columns)
    if plain is not None:
        rows, fields, cut = plain
    else:
        raw = _object(body)
        features, fields, nested = _list(raw, "features"), raw.get("fields"), raw.get("properties")
        cut = raw.get("exceededTransferLimit") or (
            isinstance(nested, dict) and nested.get("exceededTransferLimit")
        )
        rows = []
        if features:
            rows, extra, missing = attributes(features, names, [*names[:1], columns["apn"][0]])
    is_cut = bool(cut)
    if not rows:
        return Page([], [], is_cut)
    ids = _row_ids(rows[0], object_id)
    apns = _apns(rows[1 + list(columns).index("apn")])
    parcels = Parcels(shape.layer, shape.days, shape.all_columns, columns)
    parcels.reading.is_plain = plain is not None
    parcels.convert(rows[1:], missing, types_of(fields) if isinstance(fields, list) else {})
    parcels.withhold(len(ids))
    nothing: list[None] = [None] * len(ids)
    given = {**parcels.found, "apn": apns, "layer": constant(shape.layer, len(ids))}
    page = Rows(GisParcel, [given.get(column, nothing) for column in COLUMNS], tuple(columns), parcels.absent)
    kept, unkeyed, issues = _with_apn(page, apns, shape.layer)
    pages = [kept]
    notes = parcels.notes
    if outlines:
        with notes.section("outline"):
            outline_rows, broken = _outlines(features, apns, shape.layer, notes)
            pages.append(outline_rows)
            issues += broken
    pages += withheld_rows(
        apns,
        rows[1 + list(columns).index("owner_name")] if parcels.reading.withheld else (),
        parcels.reading.withheld,
    )
    notes.raise_if_all_unread()
    issues += [_odd_value(shape.layer, odd) for odd in parcels.reading.odd.values()]
    issues += notes.issues(f"layer {shape.layer}") + new_fields_issue(
        shape.layer, sorted(extra.difference(shape.ignored))
    )
    return Page(pages, ids, is_cut, unkeyed, issues, tuple(notes.unread))


def _odd_value(layer: str, odd: Odd) -> Issue:
    is_shown = isinstance(odd.value, int) and not isinstance(odd.value, bool) and abs(odd.value) <= INT8
    example = {"value": odd.value if is_shown else shown(odd.value), "rows": len(odd.at)}
    return Issue(
        IssueKind.ODD_VALUE,
        f"{layer}.{odd.field}",
        f"{odd.field} cannot be {shown(odd.value)}; stored without it",
        example,
    )


def withheld_rows(apns: Sequence[str | None], owners: Sequence[Any], at: Iterable[int]) -> list[Rows]:
    """Return the parcels of a page whose owner is withheld, by their positions, with what is said in its
    place.
    """
    found = [(apns[spot], str(owners[spot]).strip()) for spot in sorted(at) if apns[spot] is not None]
    return [Rows(GisWithheld, [list(column) for column in zip(*found, strict=True)])] if found else []


def absent_rows(apns: list[str], layer: str) -> Rows:
    """Return APNs that a layer does not have."""
    return Rows(GisAbsent, [apns, constant(layer, len(apns))])


def _object(body: bytes, most: int = VALUES_MOST) -> dict[str, Any]:
    raw = decode(body, most)
    if not isinstance(raw, dict):
        raise Malformed("body", "an object", raw)
    error = raw.get("error")
    if error is not None:
        said = f"{error.get('code')} {error.get('message')}" if isinstance(error, dict) else error
        code = error.get("code") if isinstance(error, dict) else None
        raise _ERRORS.get(str(code), ServiceError)("error", "an answer", str(said))
    return raw


def _list(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key, ABSENT)
    if not isinstance(value, list):
        raise Malformed(key, "a list", value)
    return value


def _row_ids(values: tuple[Any, ...], name: str) -> list[int]:
    ids = list(values)
    if {type(one) for one in ids} != {int}:
        raise SourceChanged(f"features.{name}", "row ids", ids)
    if len(set(ids)) != len(ids):
        raise Malformed(f"features.{name}", "each row id once", ids)
    return ids


def _apns(values: tuple[Any, ...]) -> list[str | None]:
    return [value if type(value) is str and _APN.fullmatch(value) else _odd_apn(value) for value in values]


def _odd_apn(value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise SourceChanged("features.APN", "an APN", value)
    try:
        return parse_apn(value) if value else None
    except IdentifierError:
        return None


def _with_apn(page: Rows, apns: list[str | None], layer: str) -> tuple[Rows, int, list[Issue]]:
    """Leave out rows that have no APN: streets, say. They count, but no table can hold them."""
    unkeyed = apns.count(None)
    if not unkeyed:
        return page, 0, []
    if unkeyed == len(apns) >= _UNKEYED_LEAST:
        raise SourceChanged("features.APN", "APNs", "none in a whole page")
    places = [at for at, apn in enumerate(apns) if apn is not None]
    kept = [[column[at] for at in places] for column in page.columns]
    absent = {
        column: spots if spots is None else frozenset(now for now, at in enumerate(places) if at in spots)
        for column, spots in page.absent.items()
    }
    told = Issue(
        IssueKind.NO_APN,
        f"layer {layer}",
        f"layer {layer} has rows without an APN; they are counted and not stored",
    )
    return Rows(page.record, kept, page.mapped, absent), unkeyed, [told]


def _outlines(
    features: list[Any], apns: list[str | None], layer: str, notes: Notes
) -> tuple[Rows, list[Issue]]:
    """Return the polygons of a page; of those that cannot be read, which are few, none. Raises SourceChanged
    when they are not.
    """
    found: list[tuple[str, str | None]] = []
    broken: list[tuple[str, SourceChanged]] = []
    absent = []
    for one, apn in zip(features, apns, strict=True):
        if apn is None:
            continue
        if "geometry" not in one:
            notes.is_absent(f"{layer}.geometry")
            continue
        try:
            shape = geojson(one["geometry"])
        except SourceChanged as error:
            broken.append((apn, error))
            absent.append(len(found))
            found.append((apn, None))
        else:
            if shape is not None:
                found.append((apn, shape))
    if broken and are_many(len(broken), len(features)):
        raise broken[0][1]
    issues = []
    if broken:
        message = (
            f"the outline of {', '.join(apn for apn, _ in broken[:_SHOWN])} cannot be read ({broken[0][1]});"
            " stored without it"
        )
        issues.append(
            Issue(
                IssueKind.ODD_VALUE,
                f"{layer}.geometry",
                message,
                {"apns": [apn for apn, _ in broken], "rows": len(broken)},
            )
        )
    columns: list[list[Any]] = [[apn for apn, _ in found], [text for _, text in found]]
    return Rows(GisOutline, columns, absent={"geometry": frozenset(absent)} if absent else {}), issues
