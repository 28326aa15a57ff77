"""The assessor's API under mutation."""

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.assessor import parcel
from maricopa_scrapy.sources.assessor.records import (
    Improvement,
    Owner,
    Parcel,
    Related,
    Rental,
    Residence,
    Valuation,
)
from tests.fuzz.reading import Subject, alike, at, check_columns, nothing, said, same, storable
from tests.helpers.assessor_mapping import PLACES

LINKS = {
    "DeedTransitionUrl": "https://recorder.maricopa.gov/recording/document-details.html",
    "McrTransitionUrl": "//[y",
}
FIXTURES = Path(__file__).parents[1] / "fixtures" / "assessor"
CAPTURES = os.environ.get("MARICOPA_CAPTURES")
# Columns whose 0 is none, or whose false is 0.
_LOOSE = ("construction_year", "original_construction_year", "year_built", "pool_sqft")
_LISTS: dict[type, str] = {Valuation: "Valuations", Improvement: "Improvements"}
_INSIDE: dict[type, str] = {Owner: "Owner", Residence: "ResidentialPropertyData", Rental: "RentalInformation"}
_SECTIONS: dict[type, str] = {Valuation: "valuation", Improvement: "improvement"}
# Columns in which NA, N/A and a ZIP of 0 say that the county withholds the value; of a rental, also what has
# no letter and no digit.
_WITHHELD = (
    "property_address",
    "geo_address",
    "ownership",
    "in_care_of",
    "contract_ownership",
    "mailing_address_1",
    "mailing_address_2",
    "mailing_city",
    "mailing_state",
    "mailing_zip",
    "mailing_country",
    "mailing_address",
)
_FILLED = (
    "situs_address",
    "owner_business_entity",
    "owner_name",
    "owner_address",
    "business_contact_name",
    "business_contact_address",
    "agent_name",
    "agent_address",
)
_NESTED = ("associated_parcels", "zoning", "similar_parcels", "map_files", "sketches")


def _keys(kind: type) -> dict[str, str]:
    """Return the path of each column, in the object that the rows of the kind are made of."""
    found = {}
    for path, (owner, column, _) in PLACES.items():
        if (
            owner is kind
            and column not in (*_NESTED, "apn")
            and path != "ResidentialPropertyData.ParkingDetails"
        ):
            found[column] = re.sub(
                r"^(Owner|ResidentialPropertyData|RentalInformation|Valuations\[\]|Improvements\[\])\.",
                "",
                path,
            )
    return found


_KEYS: dict[type, dict[str, str]] = {
    kind: _keys(kind) for kind in (Parcel, Owner, Valuation, Residence, Improvement, Rental, Related)
}


def _object(raw: Any, name: str, kind: type, number: int) -> Any:
    inside = _INSIDE.get(kind)
    return raw[name][number] if name else raw.get(inside, {}) if inside else raw


def check_parcel(body: bytes, apn: str, page: parcel.Page) -> None:
    raw = said(body)
    counts: dict[type, int] = {}
    for record in page.records:
        kind, columns = type(record), record.__dict__
        assert columns["apn"] == apn
        number = counts[kind] = counts.get(kind, -1) + 1
        _check_told(_object(raw, _LISTS.get(kind, ""), kind, number), columns, kind)
        storable(list(columns.values()))
    for listed, name in _LISTS.items():
        rows = [] if _SECTIONS[listed] in page.notes.unread or nothing(raw.get(name)) else raw[name]
        assert counts.get(listed, -1) + 1 == len(rows)
    assert _is_named(raw, apn)
    for related in [record.__dict__ for record in page.records if isinstance(record, Related)]:
        assert alike(raw.get("AssociatedParcels") or None, related["associated_parcels"])
        similar, stored = raw.get("SimilarParcels") or [], related["similar_parcels"] or []
        assert len(similar) == len(stored)
        for one, row in zip(similar, stored, strict=True):
            assert all(same(at(one, key), value) for key, value in row.items())
        _check_sketches(at(raw, "Sketches.Pages") or [], related["sketches"] or [])
    assert set(page.notes.unread) | set(page.notes.read) == set(parcel.SECTIONS)
    redacted = parcel.redact(body)
    again = parcel.parse_parcel(redacted, apn, LINKS)
    assert again.records == page.records, "the capture gives something else"
    assert again.notes.unread.keys() == page.notes.unread.keys()


def _check_told(raw: Any, columns: dict[str, Any], kind: type) -> None:
    keys = dict(_KEYS[kind])
    is_withheld = False
    if kind is Owner and isinstance(raw, dict):
        is_na = _is_na(raw.get("Ownership"))
        is_withheld = raw.get("Redacted") is True or (is_na and raw.get("Redacted") is not False)
        if is_withheld:
            assert columns["is_redacted"] is True
            keys.pop("is_redacted")
    for column in [*(_WITHHELD if kind in (Owner, Parcel) else ()), *(_FILLED if kind is Rental else ())]:
        value = at(raw, keys[column]) if column in keys else None
        if columns.get(column, "") is not None:
            continue
        if column in _FILLED and isinstance(value, dict):
            value = value.get("Name")
        is_blank = column in _FILLED and (
            nothing(value) or (isinstance(value, str) and not any(map(str.isalnum, value)))
        )
        is_zip = column == "mailing_zip" and isinstance(value, str) and value.strip() == "0"
        is_hidden = is_withheld and column not in ("property_address", "geo_address")
        if is_hidden or _is_na(value) or is_blank or is_zip:
            keys.pop(column, None)
    for column in ("owner_name", "business_contact_name", "agent_name") if kind is Rental else ():
        if column in keys and isinstance(at(raw, keys[column]), dict):
            keys[column] += ".Name"
    check_columns(raw, columns, keys, _LOOSE)


def _is_na(value: Any) -> bool:
    return isinstance(value, str) and value.strip().upper() in ("NA", "N/A")


def _is_named(raw: Any, apn: str) -> bool:
    names = re.findall(
        r"\d{3}-?\d{2}-?\d{3}-?[A-Za-z]?(?![0-9A-Za-z])",
        str(raw.get("TreasurersTransitionUrl")).replace("%2D", "-"),
        re.ASCII,
    )
    sketches = at(raw, "Sketches.Pages")
    names += [
        str(one.get("APN"))
        for one in (sketches if isinstance(sketches, list) else [])
        if isinstance(one, dict)
    ]
    return apn in [_apn(name) for name in names]


def _apn(text: str) -> str | None:
    try:
        return parse_apn(text)
    except IdentifierError:
        return None


def _check_sketches(pages: list[Any], stored: list[Any]) -> None:
    assert len(pages) == len(stored)
    for page, row in zip(pages, stored, strict=True):
        if nothing(page):
            continue
        sketch = page.get("Sketch")
        if isinstance(sketch, dict) and sketch:
            assert (row["sha256"], row["length"]) == (sketch["sha256"], sketch["length"])
        elif nothing(sketch) and sketch != "na":
            assert (row["sha256"], row["length"]) == (None, 0)
        else:
            assert (row["sha256"], row["length"]) == (
                hashlib.sha256(base64.b64decode(sketch, validate=True)).hexdigest(),
                len(sketch),
            )
        assert same(page.get("PageNum"), row["page_num"])


_ROW = {
    "mcr": "MCR",
    "subdivision_name": "SubdivisonName",
    "section_township_range": "SectionTownshipRange",
    "ownership": "Ownership",
    "situs_address": "SitusAddress",
    "situs_city": "SitusCity",
    "situs_zip": "SitusZip",
    "property_type": "PropertyType",
    "rental_id": "RentalID",
}


def _check_search(body: bytes, key: str, page: parcel.SearchPage) -> None:
    raw = said(body)
    assert "total" in page.notes.unread or same(at(raw, "TOTAL"), page.total)
    rows = at(raw, "Results") or []
    assert len(rows) == page.count
    left = iter([row for row in rows if isinstance(row, dict)])
    for row in page.rows:
        # In order, others between them: rentals have an APN too.
        one = next(
            one
            for one in left
            if isinstance(one.get("APN"), str) and _apn(one["APN"]) == row.apn and "Address" not in one
        )
        check_columns(one, {name: getattr(row, name) for name in _ROW}, _ROW)


def subjects() -> list[Subject]:
    county = County()
    apns = county.apns(40)[::8]
    parcels = [
        (file.read_bytes(), file.parts[-2].partition("-")[0]) for file in FIXTURES.glob("parcel/*/input.json")
    ]
    parcels = [seed for seed in parcels if _reads(*seed)] + [
        (orjson.dumps(county.parcel(apn)), apn) for apn in apns
    ]
    if CAPTURES:
        parcels.append(
            ((Path(CAPTURES) / "assessor" / "parcel_165-28-054" / "parcel.json").read_bytes(), "16528054")
        )
    searches = [
        (file.read_bytes(), "")
        for file in sorted(FIXTURES.glob("search/*/input.json"))
        if _finds(file.read_bytes())
    ]
    return [
        Subject(
            "assessor parcel",
            "json",
            parcels,
            lambda body, apn: parcel.parse_parcel(body, apn, LINKS),
            check_parcel,
        ),
        Subject(
            "assessor search", "json", searches, lambda body, _: parcel.parse_search(body), _check_search
        ),
    ]


def _reads(body: bytes, apn: str) -> bool:
    try:
        return not parcel.parse_parcel(body, apn).notes.unread
    except PageError:
        return False


def _finds(body: bytes) -> bool:
    try:
        page = parcel.parse_search(body)
    except PageError:
        return False
    return bool(page.rows) and not page.notes.unread
