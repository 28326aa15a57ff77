"""The assessor's API: token, parcels key by key, links, absence, the search's envelope and its pages."""

from typing import Any
from urllib.parse import quote

from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.parsing.links import TREASURER
from maricopa_scrapy.parsing.shapes import Shape
from maricopa_scrapy.parsing.values import is_missing, is_withheld
from maricopa_scrapy.probe.client import TOKEN, Asker
from maricopa_scrapy.probe.key_differences import Differences, kind_of, listed, noted
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.sources.assessor import parcel as pages
from maricopa_scrapy.sources.assessor import parcel_fields as shapes
from maricopa_scrapy.sources.assessor.public_page_spider import expected_links

_TOP = (shapes.PARCEL, shapes.ASSOCIATED, shapes.LINKS)
# Keys that hold a section, and the shape of what is in it; a list has one for each of its elements.
_SECTIONS: dict[str, Shape] = {
    "Geo": shapes.GEO,
    "Owner": shapes.OWNER,
    "Valuations": shapes.VALUATION,
    "ResidentialPropertyData": shapes.RESIDENCE,
    "Improvements": shapes.IMPROVEMENT,
    "RentalInformation": shapes.RENTAL,
    "SimilarParcels": shapes.SIMILAR_PARCEL,
    "MapIDs": shapes.MAP_FILES,
    "Sketches": shapes.SKETCHES,
}
# Served of some parcels only.
# Of a withheld owner these are absent (12 captured answers).
_WITHHELD = {"Owner.Redacted", "Owner.DeedTypeID"}
_SOMETIMES = frozenset(("RentalInformation",))
_KEYS = "keys and kinds of {}"
_PARCEL, _NEW, _READ, _LINKS = (
    _KEYS.format("the parcel itself"),
    "no key is new",
    "a parcel is read whole",
    "links lead to where we ask",
)
_ABSENT, _EMPTY, _FINDS, _PAGES = (
    "an unknown parcel is answered as absent",
    "a search without hits is empty",
    "a search finds a parcel",
    "a search's page has {} rows, and the next one others",
)
_REPORT = "attach the bundle to an issue; maricopa_scrapy/sources/assessor/parcel_fields.py reads it"
_SEARCH = "attach the bundle to an issue; maricopa_scrapy/sources/assessor/search.py reads it"
# A word of every tenth address.
_COMMON = "PHOENIX"


def assumptions(asker: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    sections = tuple(_KEYS.format(name) for name in _SECTIONS if name not in _SOMETIMES)
    size = asker.manifest.search_page_size
    return (TOKEN, _PARCEL, *sections, _NEW, _READ, _LINKS, _ABSENT, _EMPTY, _FINDS, _PAGES.format(size))


async def check(asker: Asker, manifests: Any) -> None:
    """Ask, and note what held. Raises Ended."""
    bodies: dict[str, bytes] = {}
    for apn in asker.planned.apns:
        body = await asker.json(
            f"parcel {format_apn(apn)}", asker.url(asker.manifest.paths["parcel"].format(apn=apn))
        )
        if body is not None:
            bodies[apn] = body
    _token(asker, bodies)
    if bodies:
        _parcels(asker, bodies, manifests)
    await _absence(asker)
    await _searches(asker)


def _token(asker: Asker, bodies: dict[str, bytes]) -> None:
    if bodies:
        asker.sheet.held(TOKEN, f"{len(bodies)} parcels were answered")
    elif asker.bad_statuses and all(status >= 500 for status in asker.bad_statuses):
        asker.sheet.broken(
            TOKEN,
            f"every answer was HTTP {asker.bad_statuses[0]}, as seen without a valid token",
            f"correct {asker.manifest.token_env}: {asker.manifest.token_help}",
        )


def _parcels(asker: Asker, bodies: dict[str, bytes], manifests: Any) -> None:
    top, sections = Differences(), {name: Differences() for name in _SECTIONS}
    new: set[str] = set()
    for body in bodies.values():
        try:
            raw = decode(body)
        except PageError as error:
            asker.sheet.broken(_PARCEL, str(error), _REPORT)
            continue
        if not isinstance(raw, dict):
            asker.sheet.broken(_PARCEL, f"a parcel is {kind_of(raw)}", _REPORT)
            continue
        _compare(raw, top, sections)
    keys = set().union(*(shape.keys for shape in _TOP)) | (_SECTIONS.keys() - _SOMETIMES)
    asker.sheet.check(
        _PARCEL,
        not (top.absent or top.odd),
        top.evidence(len(keys)),
        f"{_REPORT} (PARCEL, ASSOCIATED, LINKS)",
    )
    for name, found in sections.items():
        new |= found.new
        assumption = _KEYS.format(name)
        if found.seen:
            asker.sheet.check(
                assumption,
                not (found.absent or found.odd),
                found.evidence(len(_SECTIONS[name].keys)),
                _REPORT,
            )
        elif name not in _SOMETIMES:
            asker.sheet.untold(
                assumption, "empty in every parcel asked for", "name another parcel with --apn"
            )
    new |= top.new
    asker.sheet.check(
        _NEW,
        not new,
        f"new: {listed(new)}" if new else "none",
        "nothing breaks, it is not stored: attach the bundle to an issue",
    )
    _read(asker, bodies, manifests)


def _compare(raw: dict[str, Any], top: Differences, sections: dict[str, Differences]) -> None:
    top.seen += 1
    sections_here = frozenset(_SECTIONS)
    for shape in _TOP:
        others = sections_here.union(*(other.keys for other in _TOP if other is not shape))
        part = Differences()
        part.add(shape, raw, others)
        top.absent |= part.absent
        top.odd |= part.odd
        top.new |= part.new
    top.absent |= {name for name in _SECTIONS if name not in raw and name not in _SOMETIMES}
    for name, shape in _SECTIONS.items():
        value = raw.get(name)
        for one in value if isinstance(value, list) else [value]:
            sections[name].add(shape, one)
    owner = raw.get("Owner")
    if isinstance(owner, dict) and is_withheld(owner.get("Ownership")):
        sections["Owner"].absent -= _WITHHELD
    residence, maps, sketches = (raw.get(name) for name in ("ResidentialPropertyData", "MapIDs", "Sketches"))
    if isinstance(residence, dict):
        sections["ResidentialPropertyData"].add(shapes.PARKING_DETAILS, residence.get("ParkingDetails"))
    for files in maps.values() if isinstance(maps, dict) else ():
        for one in files if isinstance(files, list) else ():
            sections["MapIDs"].add(shapes.MAP_FILE, one)
    for one in (
        sketches["Pages"] if isinstance(sketches, dict) and isinstance(sketches.get("Pages"), list) else ()
    ):
        sections["Sketches"].add(shapes.SKETCH, one)


def _read(asker: Asker, bodies: dict[str, bytes], manifests: Any) -> None:
    links = expected_links(asker.manifest.links, manifests)
    moved: dict[str, str] = {}
    refused, tables = [], set()
    for apn, body in bodies.items():
        try:
            page = pages.parse_parcel(body, apn, links)
        except PageError as error:
            refused.append(f"{format_apn(apn)}: {error}")
        else:
            refused += [f"{format_apn(apn)}: {name}: {error}" for name, error in page.notes.unread.items()]
            tables |= {record.table for record in page.records}
            moved |= dict(page.moved_links)
    asker.sheet.check(
        _READ, not refused, "; ".join(refused) or f"rows of {', '.join(sorted(tables))}", _REPORT
    )
    if not tables:
        return
    remedy = "; ".join(
        line_of(*(("treasurer", "base_url") if key == TREASURER else ("assessor", "links", key)))
        for key in moved
    )
    asker.sheet.check(
        _LINKS,
        not moved,
        "; ".join(f"{key} leads to {url}" for key, url in moved.items()) or "as expected",
        remedy,
    )


async def _absence(asker: Asker) -> None:
    absent = asker.planned.absent
    response = await asker.answer(
        f"unknown parcel {format_apn(absent)}", asker.url(asker.manifest.paths["parcel"].format(apn=absent))
    )
    if response is None:
        return
    body = response.body.strip()
    if response.status == 200 and body and not _is_nothing(body):
        asker.sheet.untold(
            _ABSENT,
            f"there is a parcel {format_apn(absent)}, or HTTP 200 with {len(body):,} bytes",
            "see the body in the bundle",
        )
        return
    said = f"HTTP {response.status} with {'an empty body' if not body else f'{len(body)} bytes'}"
    is_known = (response.status in (404, 204) and not body) or response.status == 200
    asker.sheet.check(
        _ABSENT, is_known, said, "see the body in the bundle: an absent parcel would be taken for a failure"
    )


def _is_nothing(body: bytes) -> bool:
    try:
        return is_missing(decode(body))
    except PageError as error:
        return error.cause == "not_found"


async def _searches(asker: Asker) -> None:
    absent = asker.planned.absent
    nothing = await _search(asker, "search without hits", absent, 1)
    if nothing is not None:
        asker.sheet.check(
            _EMPTY,
            not any(row.apn == absent for row in nothing.rows),
            f"{nothing.count} rows, total {nothing.total}",
            _REPORT,
        )
    known = asker.planned.apns[0]
    found = await _search(asker, "search for a parcel", known, 1)
    if found is not None:
        is_found = any(row.apn == known for row in found.rows)
        asker.sheet.check(
            _FINDS,
            is_found,
            f"{found.count} rows, total {found.total}",
            "name a parcel that exists with --apn",
        )
    size = asker.manifest.search_page_size
    assumption = _PAGES.format(size)
    first = await _search(asker, "search, page 1", _COMMON, 1)
    if first is None or first.count < size:
        evidence = "the first page was not read" if first is None else f"only {first.count} rows in all"
        asker.sheet.untold(assumption, evidence)
        return
    second = await _search(asker, "search, page 2", _COMMON, 2)
    if second is not None:
        apns = {row.apn for row in first.rows} & {row.apn for row in second.rows}
        evidence = (
            f"{first.count} rows, then {second.count}, {len(apns)} of them the same; total {first.total}"
        )
        remedy = f"{line_of('assessor', 'search_page_size')}: {first.count}"
        asker.sheet.check(assumption, first.count == size and not apns, evidence, remedy)


async def _search(asker: Asker, what: str, words: str, page: int) -> pages.SearchPage | None:
    body = await asker.json(
        what, asker.url(asker.manifest.paths["search"].format(query=quote(words, safe=""), page=page))
    )
    if body is None:
        return None
    try:
        found = pages.parse_search(body)
    except PageError as error:
        asker.sheet.broken(f"{what}: its envelope and rows", str(error), _SEARCH)
        return None
    said = noted(found.notes)
    asker.sheet.check(f"{what}: its envelope and rows", not said, said or "as known", _SEARCH)
    return found
