"""The assessor's API: /parcel/{apn} and the search, as records.

One /parcel/{apn} answer has 41 keys and holds what the sub-resources repeat, so these are never asked for. No
key carries the APN: the answer is matched with the asked one by the treasurer's link and the sketches. Source
of all shapes: docs/sources.md, "Assessor".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from maricopa_scrapy.items import Record
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, NotFound, SourceChanged, WrongParcel
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.parsing.links import TREASURER, leads_elsewhere, names, parcels_in
from maricopa_scrapy.parsing.notes import Notes, record_of
from maricopa_scrapy.parsing.redaction import redact, sketch_digest, without_phones, without_sketches
from maricopa_scrapy.parsing.shapes import plain_rows
from maricopa_scrapy.parsing.values import is_missing, is_withheld, text
from maricopa_scrapy.sources.assessor import parcel_fields as shapes
from maricopa_scrapy.sources.assessor.records import (
    Improvement,
    Owner,
    Parcel,
    Related,
    Rental,
    Residence,
    Valuation,
)
from maricopa_scrapy.sources.assessor.search import (
    SearchPage,
    SearchRow,
    matches_address,
    matches_owner,
    parse_search,
)

__all__ = [
    "Page",
    "SearchPage",
    "SearchRow",
    "matches_address",
    "matches_owner",
    "parse_parcel",
    "parse_search",
    "redact",
    "without_phones",
    "without_sketches",
]

# What stands in /parcel/{apn} besides its plain keys.
_PARTS = (
    "Geo", "Owner", "Valuations", "ResidentialPropertyData", "Improvements", "RentalInformation",
    "SimilarParcels", "MapIDs", "Sketches",
)  # fmt: skip
_SHA256 = re.compile(r"[0-9a-f]{64}")
# One call for all years.
_VALUATIONS = TypeAdapter(list[Valuation])
# Text of three characters or more can be neither empty nor "na".
_MAP_FILES: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(plain_rows(shapes.MAP_FILE, least=3))
_LENGTH_MOST = 2**31 - 1


# Sections of /parcel/{apn}, a table each: a value that is not of its kind leaves its own section unread.
SECTIONS = ("parcel", "owner", "valuation", "residence", "improvement", "rental", "related")
# What says whose answer it is; of the first two, one is enough.
IDENTITY = (TREASURER, "Sketches.Pages[].APN", "RentalInformation.ParcelNumber")
# Owner and mailing address: nothing is stored of them where the owner is withheld.
_OF_OWNER = (
    "ownership", "in_care_of", "contract_ownership", "mailing_address_1", "mailing_address_2", "mailing_city",
    "mailing_state",
    "mailing_zip", "mailing_country", "mailing_address",
)  # fmt: skip


@dataclass(slots=True)
class Page:
    """What one answer says. `complete`: records of which it has all of the parcel's; `moved_links`: (key,
    URL) of links that lead elsewhere than expected.
    """

    records: list[Record]
    notes: Notes
    complete: list[type[Record]] = field(default_factory=list)
    moved_links: list[tuple[str, str]] = field(default_factory=list)


def parse_parcel(body: bytes, apn: str, links: Mapping[str, str] | None = None) -> Page:
    """Read /parcel/{apn}: Parcel, Owner, Valuation of each year, Residence, Improvement of each, Rental if
    registered, Related.

    `apn` is the one asked for, normalised; `links` the expected URL of each link key (see
    links.leads_elsewhere).
    Raises PageError: NotFound, Soft404, Malformed, WrongParcel; SourceChanged when no section of it can be
    read.
    """
    raw = decode(body)
    if is_missing(raw):
        raise NotFound("body", "a parcel", raw)
    if not isinstance(raw, dict):
        raise Malformed("body", "an object", raw)
    _check_identity(raw, apn)
    notes = Notes()
    page = Page([], notes, moved_links=_moved_links(raw, links or {}, apn))
    is_rental = raw.get("IsRental")
    # First for all sections: what none of them takes is new.
    parts = {key: raw.pop(key, ABSENT) for key in _PARTS}
    with notes.section("parcel"):
        columns = shapes.PARCEL.take(raw, notes) | shapes.GEO.read(parts["Geo"], notes)
        page.records.append(record_of(Parcel, columns, apn=apn))
    with notes.section("owner"):
        page.records.append(_owner(parts["Owner"], apn, notes))
    with notes.section("valuation"):
        page.records += _valuations(parts["Valuations"], apn, notes)
    with notes.section("residence"):
        page.records.append(_residence(parts["ResidentialPropertyData"], apn, notes))
    with notes.section("improvement"):
        page.records += _improvements(parts["Improvements"], apn, notes)
        if parts["Improvements"] is not ABSENT:
            page.complete.append(Improvement)
    with notes.section("rental"):
        _rental(parts["RentalInformation"], is_rental, apn, page)
    with notes.section("related"):
        page.records.append(_related(raw, parts, apn, notes))
    shapes.PARCEL.audit(raw, notes)
    notes.raise_if_all_unread()
    return page


def _owner(raw: object, apn: str, notes: Notes) -> Owner:
    is_na = isinstance(raw, dict) and is_withheld(raw.get("Ownership"))
    columns = shapes.OWNER.read(raw, notes)
    if columns["is_redacted"] is True or (is_na and columns["is_redacted"] is not False):
        # Of a withheld owner the key is absent (11 captured answers).
        notes.absent.pop("Owner.Redacted", None)
        columns |= {"is_redacted": True} | dict.fromkeys(_OF_OWNER)
    return record_of(Owner, columns, apn=apn)


def _residence(raw: object, apn: str, notes: Notes) -> Residence:
    columns = shapes.RESIDENCE.read(raw, notes)
    details = columns.pop("parking_details")
    pool = columns["pool_sqft"]
    has_pool = pool > 0 if type(pool) is int else pool
    columns |= shapes.PARKING_DETAILS.read(details, notes)
    return record_of(Residence, columns | {"has_pool": has_pool}, apn=apn)


def _valuations(raw: object, apn: str, notes: Notes) -> list[Valuation]:
    rows = shapes.VALUATION.rows(raw, notes)
    _check_key(rows, "tax_year", "Valuations[].TaxYear")
    if notes.absent:
        return [record_of(Valuation, row, apn=apn) for row in rows]
    for row in rows:
        row["apn"] = apn
    return _VALUATIONS.validate_python(rows)


def _improvements(raw: object, apn: str, notes: Notes) -> list[Improvement]:
    rows = shapes.IMPROVEMENT.rows(raw, notes)
    _check_key(rows, "improvement_number", "Improvements[].ImprovementNumber")
    return [record_of(Improvement, row, apn=apn) for row in rows]


def _check_key(rows: list[dict[str, Any]], column: str, path: str) -> None:
    seen = set()
    for row in rows:
        value = row[column]
        if value is None or value in seen:
            raise SourceChanged(path, "one of its own for each row", value)
        seen.add(value)


def _rental(raw: object, is_rental: object, apn: str, page: Page) -> None:
    """Read the registration. The key is served for rentals only; empty, it says that nothing is
    registered.
    """
    if raw is ABSENT:
        if is_rental is True:
            page.notes.is_absent("RentalInformation")
        elif is_rental is False:
            page.complete.append(Rental)
        return
    if not is_missing(raw):
        columns = shapes.RENTAL.read(raw, page.notes)
        number = columns.pop("parcel_number")
        if isinstance(number, str):
            _compare([("RentalInformation.ParcelNumber", number)], apn)
        page.records.append(record_of(Rental, columns, apn=apn))
    page.complete.append(Rental)


def _related(raw: dict[str, Any], parts: dict[str, Any], apn: str, notes: Notes) -> Related:
    """Read what the parcel points at. Of a list in which a known key is absent, a stored one stays."""
    try:
        columns = shapes.LINKS.take(raw, notes)
    finally:
        # Taken whatever became of the links: what is left over is new.
        associated = shapes.ASSOCIATED.take(raw, notes)
    columns |= associated
    kept: list[str] = []
    for key, reader in (
        ("SimilarParcels", _similar_parcels),
        ("MapIDs", _map_files),
        ("Sketches", partial(_sketches, apn=apn)),
    ):
        before = len(notes.absent)
        found = reader(parts[key], notes)
        kept += found if len(notes.absent) > before else []
        columns |= found
    row = record_of(Related, columns, apn=apn)
    return row.lacking(row.absent.union(kept)) if kept else row


def _similar_parcels(raw: object, notes: Notes) -> dict[str, Any]:
    return {"similar_parcels": [_said(row) for row in shapes.SIMILAR_PARCEL.rows(raw, notes)] or None}


def _map_files(raw: object, notes: Notes) -> dict[str, Any]:
    """File names by kind of map, under the county's own keys. `UpdateDate` stays text: its year has two
    digits.
    """
    if is_missing(raw):
        return {"map_files": None}
    kinds = shapes.MAP_FILES.read(raw, notes)
    return {
        "map_files": (
            {kind: _files(files, notes) for kind, files in kinds.items() if files is not ABSENT} or None
        )
    }


def _files(files: object, notes: Notes) -> list[dict[str, Any]]:
    try:
        # A third of an answer's values is here, nearly always as expected: one call tells, and trims.
        return _MAP_FILES.validate_python(files)
    except ValidationError:
        return [_said(row) for row in shapes.MAP_FILE.rows(files, notes)]


def _sketches(raw: object, notes: Notes, apn: str) -> dict[str, Any]:
    columns = shapes.SKETCHES.read(raw, notes)
    pages = [] if (pages := columns.pop("pages")) is ABSENT else shapes.SKETCH.rows(pages, notes)
    # A page's APN was compared before: here it is only spelled as we spell it.
    kept = [
        {"page_num": page["page_num"], "apn": page["apn"] and apn} | _digest(page["sketch"])
        for page in map(_said, pages)
    ]
    return columns | {"sketches": kept or None}


def _said(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value is ABSENT else value for key, value in row.items()}


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
        if (
            isinstance(sha256, str)
            and _SHA256.fullmatch(sha256)
            and type(length) is int
            and 0 < length <= _LENGTH_MOST
        ):
            return {"sha256": sha256, "length": length}
    raise SourceChanged("Sketches.Pages[].Sketch", "base64", sketch)


def _check_identity(raw: dict[str, Any], apn: str) -> None:
    named = _sketch_apns(raw.get("Sketches"))
    url = raw.get(TREASURER)
    if isinstance(url, str):
        # A form that we do not know yet counts where it has the APN: that the treasurer moved is no failure
        # of the parcel.
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
        got = raw.get(key)
        got = got.strip() if isinstance(got, str) else None
        if got and leads_elsewhere(got, expected, apn):
            moved.append((key, got))
    return moved
