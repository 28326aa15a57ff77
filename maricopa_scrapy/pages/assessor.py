"""The assessor's API: /parcel/{apn}, its sub-resources, and the search, as records.

One /parcel/{apn} answer has 41 keys and holds what the sub-resources repeat. No key carries the APN: the answer is
matched with the asked one by the treasurer's link and the sketches. Source of all shapes: docs/sources.md, "Assessor".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from maricopa_scrapy.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.items import Json, Record
from maricopa_scrapy.items_assessor import Improvement, Owner, Parcel, Related, Rental, Residence, Valuation
from maricopa_scrapy.pages import assessor_shapes as shapes
from maricopa_scrapy.pages.answers import decode
from maricopa_scrapy.pages.assessor_search import (
    OtherRow,
    SearchPage,
    SearchRow,
    matches_address,
    matches_owner,
    parse_search,
    parse_search_row,
)
from maricopa_scrapy.pages.errors import Malformed, NotFound, SourceChanged, WrongParcel
from maricopa_scrapy.pages.links import TREASURER, leads_elsewhere, names, parcels_in
from maricopa_scrapy.pages.redaction import redact, sketch_digest, without_phones, without_sketches
from maricopa_scrapy.pages.shapes import NewFields, plain_rows, pop
from maricopa_scrapy.pages.values import is_missing, text

__all__ = [
    "OtherRow", "Page", "Part", "SearchPage", "SearchRow", "matches_address", "matches_owner", "parse_address",
    "parse_improvements", "parse_map_files", "parse_owner", "parse_parcel", "parse_property_info", "parse_residence",
    "parse_search", "parse_search_row", "parse_sketches", "parse_valuations", "redact", "without_phones", "without_sketches",
]  # fmt: skip

_SHA256 = re.compile(r"[0-9a-f]{64}")
# One call for all years.
_VALUATIONS = TypeAdapter(list[Valuation])
# Text of three characters or more can be neither empty nor "na".
_MAP_FILES: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(plain_rows(shapes.MAP_FILE, least=3))
_LENGTH_MOST = 2**31 - 1


@dataclass(slots=True)
class Page:
    """What one answer says: `new_fields` are paths of keys that nobody knows yet, `[]` for any element of a list;
    `moved_links` are (key, URL) of links that lead elsewhere than expected."""

    records: list[Record]
    new_fields: list[str] = field(default_factory=list)
    moved_links: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """What a sub-resource says that is less than a row: columns of Parcel and Related, by name."""

    columns: dict[str, Any]
    new_fields: list[str] = field(default_factory=list)


def parse_parcel(body: bytes, apn: str, links: Mapping[str, str] | None = None) -> Page:
    """Read /parcel/{apn}: Parcel, Owner, Valuation of each year, Residence, Improvement of each, Rental if registered, Related.

    `apn` is the one asked for, normalised; `links` the expected URL of each link key (see links.leads_elsewhere).
    Raises PageError: NotFound, Soft404, Malformed, WrongParcel, SourceChanged.
    """
    raw = decode(body)
    if is_missing(raw):
        raise NotFound("body", "a parcel", raw)
    if not isinstance(raw, dict):
        raise Malformed("body", "an object", raw)
    _check_identity(raw, apn)
    new: NewFields = {}
    moved = _moved_links(raw, links or {}, apn)
    columns = shapes.PROPERTY_INFO.take(raw) | shapes.PARCEL.take(raw) | shapes.GEO.read(pop(raw, "Geo", ""), new)
    related = {column: columns.pop(column) for column in shapes.RELATED_COLUMNS}
    related |= shapes.LINKS.take(raw)
    related["similar_parcels"] = _similar_parcels(pop(raw, "SimilarParcels", ""), new)
    related["map_files"] = _map_files(pop(raw, "MapIDs", ""), new)
    related |= _sketches(pop(raw, "Sketches", ""), apn, new)
    records: list[Record] = [
        Parcel(apn=apn, **columns),
        _owner(pop(raw, "Owner", ""), apn, new),
        *_valuations(pop(raw, "Valuations", ""), apn, new),
        _residence(pop(raw, "ResidentialPropertyData", ""), apn, new),
        *_improvements(pop(raw, "Improvements", ""), apn, new),
        *_rentals(raw, columns["is_rental"], apn, new),
        Related(apn=apn, **related),
    ]
    shapes.PARCEL.audit(raw, new)
    return Page(records, list(new), moved)


def parse_owner(body: bytes, apn: str) -> Page:
    """Read /parcel/{apn}/owner-details: one Owner. It names no APN: the caller's is believed. Raises PageError."""
    new: NewFields = {}
    return Page([_owner(decode(body), apn, new)], list(new))


def parse_valuations(body: bytes, apn: str) -> Page:
    """Read /parcel/{apn}/valuations: a Valuation for each tax year. Raises PageError."""
    new: NewFields = {}
    return Page([*_valuations(decode(body), apn, new)], list(new))


def parse_residence(body: bytes, apn: str) -> Page:
    """Read /parcel/{apn}/residential-details: one Residence. Raises PageError."""
    new: NewFields = {}
    return Page([_residence(decode(body), apn, new)], list(new))


def parse_improvements(body: bytes, apn: str) -> Page:
    """Read /parcel/{apn}/improvements: an Improvement for each. Raises PageError."""
    new: NewFields = {}
    return Page([*_improvements(decode(body), apn, new)], list(new))


def parse_property_info(body: bytes) -> Part:
    """Read /parcel/{apn}/propertyinfo: the first 19 keys of the parcel; only the case of property_type differs. Raises PageError."""
    new: NewFields = {}
    return Part(shapes.PROPERTY_INFO.read(decode(body), new), list(new))


def parse_address(body: bytes) -> Part:
    """Read /parcel/{apn}/address: `property_address`. Raises PageError."""
    new: NewFields = {}
    return Part(shapes.ADDRESS.read(decode(body), new), list(new))


def parse_map_files(body: bytes) -> Part:
    """Read /parcel/{apn}/mapids: `map_files`. The county also answers for APNs that don't exist. Raises PageError."""
    new: NewFields = {}
    return Part({"map_files": _map_files(decode(body), new)}, list(new))


def parse_sketches(body: bytes, apn: str) -> Part:
    """Read /parcel/{apn}/sketches: `sketch_pages` and `sketches`. Raises PageError, WrongParcel by a page's APN among them."""
    new: NewFields = {}
    raw = decode(body)
    _compare(_sketch_apns(raw), apn)
    return Part(_sketches(raw, apn, new), list(new))


def _owner(raw: object, apn: str, new: NewFields) -> Owner:
    return Owner(apn=apn, **shapes.OWNER.read(raw, new))


def _residence(raw: object, apn: str, new: NewFields) -> Residence:
    columns = shapes.RESIDENCE.read(raw, new)
    details = columns.pop("parking_details")
    pool = columns["pool_sqft"]
    return Residence(apn=apn, has_pool=None if pool is None else pool > 0, **columns, **shapes.PARKING_DETAILS.read(details, new))


def _valuations(raw: object, apn: str, new: NewFields) -> list[Valuation]:
    rows = shapes.VALUATION.rows(raw, new)
    _check_key(rows, "tax_year", "Valuations[].TaxYear")
    for row in rows:
        row["apn"] = apn
    return _VALUATIONS.validate_python(rows)


def _improvements(raw: object, apn: str, new: NewFields) -> list[Improvement]:
    rows = shapes.IMPROVEMENT.rows(raw, new)
    _check_key(rows, "improvement_number", "Improvements[].ImprovementNumber")
    return [Improvement(apn=apn, **row) for row in rows]


def _check_key(rows: list[dict[str, Any]], column: str, path: str) -> None:
    seen = set()
    for row in rows:
        value = row[column]
        if value is None or value in seen:
            raise SourceChanged(path, "one of its own for each row", value)
        seen.add(value)


def _rentals(raw: dict[str, Any], is_rental: bool | None, apn: str, new: NewFields) -> list[Rental]:
    """The key is served for rentals only; empty, it says that nothing is registered."""
    path = "RentalInformation"
    rental = pop(raw, path, "") if is_rental else raw.pop(path, None)
    if is_missing(rental):
        return []
    if not isinstance(rental, dict):
        raise SourceChanged(path, "an object", rental)
    owner = shapes.RENTAL_OWNER.read(pop(rental, "Owner", path), new)
    columns = shapes.RENTAL.read(rental, new)
    number = columns.pop("parcel_number")
    if number is not None:
        _compare([(f"{path}.ParcelNumber", number)], apn)
    return [Rental(apn=apn, **columns, **owner)]


def _similar_parcels(raw: object, new: NewFields) -> Json | None:
    return shapes.SIMILAR_PARCEL.rows(raw, new) or None


def _map_files(raw: object, new: NewFields) -> Json | None:
    """File names by kind of map, under the county's own keys. `UpdateDate` stays text: its year has two digits."""
    if is_missing(raw):
        return None
    kinds = shapes.MAP_FILES.read(raw, new)
    return {kind: _files(files, new) for kind, files in kinds.items()}


def _files(files: object, new: NewFields) -> list[dict[str, Any]]:
    try:
        # A third of an answer's values is here, nearly always as expected: one call tells, and trims.
        return _MAP_FILES.validate_python(files)
    except ValidationError:
        return shapes.MAP_FILE.rows(files, new)


def _sketches(raw: object, apn: str, new: NewFields) -> dict[str, Any]:
    columns = shapes.SKETCHES.read(raw, new)
    pages = shapes.SKETCH.rows(columns.pop("pages"), new)
    # A page's APN was compared before: here it is only spelled as we spell it.
    kept = [{"page_num": page["page_num"], "apn": page["apn"] and apn} | _digest(page["sketch"]) for page in pages]
    return columns | {"sketches": kept or None}


def _digest(sketch: object) -> dict[str, Any]:
    """Take the base64 text, or what a capture keeps in its place."""
    if is_missing(sketch) or sketch == "":
        return {"sha256": None, "length": 0}
    if isinstance(sketch, str):
        digest = sketch_digest(sketch)
        if digest is not None:
            return {"sha256": digest[0], "length": digest[1]}
    elif isinstance(sketch, dict) and sketch.keys() == {"sha256", "length"}:
        sha256, length = sketch["sha256"], sketch["length"]
        if isinstance(sha256, str) and _SHA256.fullmatch(sha256) and type(length) is int and 0 < length <= _LENGTH_MOST:
            return {"sha256": sha256, "length": length}
    raise SourceChanged("Sketches.Pages[].Sketch", "base64", sketch)


def _check_identity(raw: dict[str, Any], apn: str) -> None:
    named = _sketch_apns(raw.get("Sketches"))
    url = raw.get(TREASURER)
    if isinstance(url, str):
        # A form that we do not know yet counts where it has the APN: that the treasurer moved is no failure of the parcel.
        named += [(TREASURER, number) for number in parcels_in(url) or [apn] * names(url, apn)]
    if not named:
        raise Malformed(TREASURER, f"a link or a sketch that names parcel {apn}", url)
    _compare(named, apn)


def _sketch_apns(sketches: object) -> list[tuple[str, str]]:
    pages = sketches.get("Pages") if isinstance(sketches, dict) else None
    if not isinstance(pages, list):
        return []
    found = [page.get("APN") for page in pages if isinstance(page, dict)]
    path = "Sketches.Pages[].APN"
    return [(path, number) for value in found if isinstance(value, str) and (number := text(value, path))]


def _compare(named: list[tuple[str, str]], apn: str) -> None:
    for path, number in named:
        try:
            same = number == apn or parse_apn(number) == apn
        except IdentifierError:
            same = False
        if not same:
            raise WrongParcel(path, f"parcel {apn}", number)


def _moved_links(raw: dict[str, Any], links: Mapping[str, str], apn: str) -> list[tuple[str, str]]:
    moved = []
    for key, expected in links.items():
        got = text(raw.get(key), key)
        if got is not None and leads_elsewhere(got, expected, apn):
            moved.append((key, got))
    return moved
