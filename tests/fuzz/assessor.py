"""The assessor's API and public page under mutation."""

import base64
import datetime as dt
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.items_assessor import Improvement, Owner, Parcel, Related, Rental, Residence, Valuation
from maricopa_scrapy.pages import assessor, assessor_page
from maricopa_scrapy.pages.errors import PageError
from maricopa_scrapy.sandbox.assessor_page import page as sandbox_page
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.settings_files import load
from tests.fuzz.reading import Subject, alike, at, check_columns, check_one_page, nothing, said, same, shown, storable, tree
from tests.pages.assessor_mapping import PLACES

LINKS = {"DeedTransitionUrl": "https://recorder.maricopa.gov/recording/document-details.html", "McrTransitionUrl": "//[y"}
FIXTURES = Path(__file__).parents[1] / "fixtures" / "assessor"
CAPTURES = os.environ.get("MARICOPA_CAPTURES")
# Columns whose 0 is none, or whose false is 0.
_LOOSE = ("construction_year", "original_construction_year", "year_built", "pool_sqft")
_LISTS = {Valuation: "Valuations", Improvement: "Improvements"}
_NESTED = ("associated_parcels", "zoning", "similar_parcels", "map_files", "sketches")


def _keys(kind: type) -> dict[str, str]:
    """Return the path of each column, in the object that the rows of the kind are made of."""
    found = {}
    for path, (owner, column, _) in PLACES.items():
        if owner is kind and column not in (*_NESTED, "apn") and path != "ResidentialPropertyData.ParkingDetails":
            found[column] = re.sub(r"^(Owner|ResidentialPropertyData|RentalInformation|Valuations\[\]|Improvements\[\])\.", "", path)
    return found


_KEYS = {kind: _keys(kind) for kind in (Parcel, Owner, Valuation, Residence, Improvement, Rental, Related)}


def _object(raw: Any, name: str, kind: type, number: int) -> Any:
    inside = {Owner: "Owner", Residence: "ResidentialPropertyData", Rental: "RentalInformation"}.get(kind)
    return raw[name][number] if name else raw[inside] if inside else raw


def check_parcel(body: bytes, apn: str, page: assessor.Page) -> None:
    raw = said(body)
    counts: dict[type, int] = {}
    for record in page.records:
        kind, columns = type(record), record.__dict__
        assert columns["apn"] == apn
        number = counts[kind] = counts.get(kind, -1) + 1
        check_columns(_object(raw, _LISTS.get(kind, ""), kind, number), columns, _KEYS[kind], _LOOSE)
        storable(list(columns.values()))
    for kind, name in _LISTS.items():
        assert counts.get(kind, -1) + 1 == (0 if nothing(raw[name]) else len(raw[name]))
    (related,) = [record.__dict__ for record in page.records if isinstance(record, Related)]
    assert _is_named(raw, apn)
    assert alike(raw["AssociatedParcels"] or None, related["associated_parcels"])
    similar, stored = raw["SimilarParcels"] or [], related["similar_parcels"] or []
    assert len(similar) == len(stored)
    for one, row in zip(similar, stored, strict=True):
        assert all(same(at(one, key), value) for key, value in row.items())
    _check_sketches(at(raw, "Sketches.Pages") or [], related["sketches"] or [])
    redacted = assessor.redact(body)
    again = assessor.parse_parcel(redacted, apn, LINKS)
    assert again == page, "the capture gives something else"


def _is_named(raw: Any, apn: str) -> bool:
    names = re.findall(
        r"\d{3}-?\d{2}-?\d{3}-?[A-Za-z]?(?![0-9A-Za-z])", str(raw.get("TreasurersTransitionUrl")).replace("%2D", "-"), re.ASCII
    )
    names += [str(one.get("APN")) for one in at(raw, "Sketches.Pages") or [] if isinstance(one, dict)]
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
        sketch = page["Sketch"]
        if isinstance(sketch, dict) and sketch:
            assert (row["sha256"], row["length"]) == (sketch["sha256"], sketch["length"])
        elif nothing(sketch) and sketch != "na":
            assert (row["sha256"], row["length"]) == (None, 0)
        else:
            assert (row["sha256"], row["length"]) == (hashlib.sha256(base64.b64decode(sketch, validate=True)).hexdigest(), len(sketch))
        assert same(page["PageNum"], row["page_num"])


def _check_rows(kind: type) -> Callable[[bytes, str, assessor.Page], None]:
    def check(body: bytes, apn: str, page: assessor.Page) -> None:
        raw = said(body)
        rows = raw if kind in _LISTS else [raw]
        rows = [] if nothing(rows) else rows
        assert len(rows) == len(page.records)
        for one, record in zip(rows, page.records, strict=True):
            assert record.__dict__["apn"] == apn
            check_columns(one, record.__dict__, _KEYS[kind], _LOOSE)

    return check


def _check_info(body: bytes, key: str, part: assessor.Part) -> None:
    raw = said(body)
    keys = {column: path for kind in (Parcel, Related) for column, path in _KEYS[kind].items() if column in part.columns}
    check_columns(raw, part.columns, keys)
    if "associated_parcels" in part.columns and raw:
        assert alike(raw["AssociatedParcels"] or None, part.columns["associated_parcels"])


def _check_maps(body: bytes, key: str, part: assessor.Part) -> None:
    raw, stored = said(body), part.columns["map_files"]
    if stored is None:
        assert nothing(raw)
        return
    for kind, files in stored.items():
        assert len(files) == len(raw[kind] or [])
        for file, one in zip(files, raw[kind] or [], strict=True):
            assert all(same(one.get(name), value) for name, value in file.items()) if one else not any(file.values())


def _check_sketch_part(body: bytes, apn: str, part: assessor.Part) -> None:
    raw = said(body)
    _check_sketches(at(raw, "Pages") or [], part.columns["sketches"] or [])
    assert same(at(raw, "TotalPages"), part.columns["sketch_pages"])


_ROW = {
    "mcr": "MCR", "subdivision_name": "SubdivisonName", "section_township_range": "SectionTownshipRange", "ownership": "Ownership",
    "situs_address": "SitusAddress", "situs_city": "SitusCity", "situs_zip": "SitusZip", "property_type": "PropertyType",
    "rental_id": "RentalID",
}  # fmt: skip


def _check_search(body: bytes, key: str, page: assessor.SearchPage) -> None:
    raw = said(body)
    assert same(at(raw, "TOTAL"), page.total)
    rows = at(raw, "Results") or []
    assert len(rows) == page.count
    found = [row for row in rows if "Ownership" in row]
    assert len(found) == len(page.rows)
    for one, row in zip(found, page.rows, strict=True):
        assert _apn(one["APN"]) == row.apn
        check_columns(one, {name: getattr(row, name) for name in _ROW}, _ROW)


def _labels() -> assessor_page.Layout:
    labels = load()[1]["assessor_page"].labels
    assert labels is not None
    return assessor_page.Layout(**dict(labels))


LAYOUT = _labels()


def _words(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split()) if isinstance(element.tag, str) else ""


def _is_header(element: Any) -> bool:
    return isinstance(element.tag, str) and ("td-header" in (element.get("class") or "").split() or element.tag in ("th", "dt"))


def _letters(text: str) -> str:
    return " ".join(re.sub(r"[^0-9a-z/# ]", " ", text.lower()).split())


def _check_page(body: bytes, apn: str, page: assessor_page.Page) -> None:
    text = re.sub("[\0\ud800-\udfff]", "", body.decode())
    check_one_page(text)
    root = tree(text)
    if page.record is None:
        assert "No results found" in _words(root)
        assert apn in _words(root).replace("-", "")
        return
    named = [one.get("value", "").strip() for one in root.xpath("//*[@id='APN_RAW']")]
    named += [name for one in root.xpath("//h1|//title") for name in re.findall(r"\b\d{3}-\d{2}-\d{3}[A-Za-z]?\b", shown(one), re.ASCII)]
    assert page.record.apn == apn
    assert {_apn(name) for name in named if name} <= {apn}
    beside: dict[str, set[str]] = {}
    for one in root.iter():
        follower = one.getnext()
        while follower is not None and not isinstance(follower.tag, str):
            follower = follower.getnext()
        if _is_header(one) and follower is not None and not _is_header(follower):
            beside.setdefault(_letters(_words(one)), set()).add(_words(follower))
    for column, labels in LAYOUT.columns.items():
        stored = getattr(page.record, column)
        values = set().union(*(beside.get(_letters(label), set()) for label in labels))
        if stored is None:
            assert not values - {"", "n/a", "N/A"} or column in LAYOUT.optional or values <= {"", "na", "NA", "n/a", "N/A"}, (
                column,
                values,
            )
        else:
            assert any(_shows(value, stored) for value in values), f"{column}: {stored!r} of {values}"


def _shows(value: str, stored: Any) -> bool:
    if isinstance(stored, dt.date):
        return same(value, stored)
    if isinstance(stored, int):
        return re.fullmatch(rf"\$? ?{stored}(\.00)?( ?sq.*)?", value.replace(",", ""), re.IGNORECASE) is not None or (
            re.fullmatch(r"\$? ?0*(\d+)(\.00)?( ?sq.*| ?square feet)?", value.replace(",", ""), re.IGNORECASE) is not None
            and int(re.sub(r"\D", "", value.replace(",", "").split(".00")[0].split("sq")[0].split("SQ")[0].split("Sq")[0]) or 0) == stored
        )
    return bool(value == stored)


def subjects() -> list[Subject]:
    county = County()
    apns = county.apns(40)[::8]
    parcels = [(file.read_bytes(), file.parts[-2].partition("-")[0]) for file in FIXTURES.glob("parcel/*/input.json")]
    parcels = [seed for seed in parcels if _reads(*seed)] + [(orjson.dumps(county.parcel(apn)), apn) for apn in apns]
    if CAPTURES:
        parcels.append(((Path(CAPTURES) / "assessor" / "parcel_165-28-054" / "parcel.json").read_bytes(), "16528054"))
    whole = {apn: orjson.loads(body) for body, apn in parcels}

    def part(key: str) -> list[tuple[bytes, str]]:
        return [(orjson.dumps(raw[key]), apn) for apn, raw in whole.items() if raw[key]]

    info = [(orjson.dumps(dict(list(raw.items())[:19])), apn) for apn, raw in whole.items()]
    searches = [(file.read_bytes(), "") for file in sorted(FIXTURES.glob("search/*/input.json")) if _finds(file.read_bytes())]
    pages = [(sandbox_page(apn, county.undrawn(apn)[0]), apn) for apn in apns]
    treasurer = "https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}"
    return [
        Subject("assessor parcel", "json", parcels, lambda body, apn: assessor.parse_parcel(body, apn, LINKS), check_parcel),
        Subject("assessor owner", "json", part("Owner"), assessor.parse_owner, _check_rows(Owner)),
        Subject("assessor valuations", "json", part("Valuations"), assessor.parse_valuations, _check_rows(Valuation)),
        Subject("assessor residence", "json", part("ResidentialPropertyData"), assessor.parse_residence, _check_rows(Residence)),
        Subject("assessor improvements", "json", part("Improvements"), assessor.parse_improvements, _check_rows(Improvement)),
        Subject("assessor property info", "json", info, lambda body, _: assessor.parse_property_info(body), _check_info),
        Subject("assessor address", "json", [(b'{"PropertyAddress": "1 E MAIN ST  PHOENIX 85001"}', "")],
                lambda body, _: assessor.parse_address(body), _check_info),
        Subject("assessor map files", "json", part("MapIDs"), lambda body, _: assessor.parse_map_files(body), _check_maps),
        Subject("assessor sketches", "json", part("Sketches"), assessor.parse_sketches, _check_sketch_part),
        Subject("assessor search", "json", searches, lambda body, _: assessor.parse_search(body), _check_search),
        Subject("assessor public page", "html", pages, lambda body, apn: assessor_page.parse_page(body, apn, LAYOUT, treasurer),
                _check_page),
    ]  # fmt: skip


def _reads(body: bytes, apn: str) -> bool:
    try:
        assessor.parse_parcel(body, apn)
    except PageError:
        return False
    return True


def _finds(body: bytes) -> bool:
    try:
        return bool(assessor.parse_search(body).rows)
    except PageError:
        return False
