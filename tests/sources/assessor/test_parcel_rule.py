"""The rule of sections on /parcel/{apn}: each key of each body absent, renamed or of another kind, one at a
time.

What says whose answer it is is refused by name. Anything else leaves the other sections as they were, leaves
its own section unread or its own columns NULL, and is told. There is no other outcome.
"""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.items import Record
from maricopa_scrapy.parsing.errors import Malformed, PageError, SourceChanged, WrongParcel
from maricopa_scrapy.sources.assessor import parcel
from maricopa_scrapy.sources.assessor.records import Improvement, Rental
from tests.helpers.assessor_mapping import check_parcel

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "assessor" / "parcel"
WHOLE = (
    "residential",
    "commercial",
    "rental",
    "vacant",
    "owner_empty",
    "redacted",
    "withheld",
    "zoning_text",
)
# By top-level key; all others are the parcel's own.
SECTIONS = {
    "Owner": "owner",
    "Valuations": "valuation",
    "ResidentialPropertyData": "residence",
    "Improvements": "improvement",
    "RentalInformation": "rental",
    "SimilarParcels": "related",
    "MapIDs": "related",
    "Sketches": "related",
    "AssociatedParcels": "related",
    "MoreAssociatedParcelsExist": "related",
    "TreasurersTransitionUrl": "related",
    "DeedTransitionUrl": "related",
    "McrTransitionUrl": "related",
}
# Values that are not of the kind of any key. A name may be an object with `Name`, and what no document
# describes is any list or object.
OTHER_KINDS: tuple[Any, ...] = ({"odd": 1}, [{"odd": 1}], [7])
ANY_JSON = ("Zoning", "AssociatedParcels")
Spot = tuple[str | int, ...]


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, APN, body)."""
    for name in WHOLE:
        (case,) = FIXTURES.glob(f"*-{name}/input.json")
        yield name, case.parent.name.partition("-")[0], case.read_bytes()
    for file in sorted((Path(CAPTURES) / "assessor").glob("parcel_*/parcel.json")) if CAPTURES else ():
        yield file.parent.name, file.parent.name.removeprefix("parcel_").replace("-", ""), file.read_bytes()


def spots(raw: Any, at: Spot = ()) -> Iterator[Spot]:
    """Yield the place of each key, and of lists that of the first two elements."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield (*at, key)
            yield from spots(value, (*at, key))
    elif isinstance(raw, list):
        for index, value in enumerate(raw[:2]):
            yield from spots(value, (*at, index))


def changed(raw: Any, spot: Spot, how: Any) -> Any:
    """Return the body with one key absent ("-"), renamed ("+") or with another value."""
    made = copy.deepcopy(raw)
    parent = made
    for part in spot[:-1]:
        parent = parent[part]
    if how == "-":
        del parent[spot[-1]]
    elif how == "+":
        parent[f"{spot[-1]}Renamed"] = parent.pop(spot[-1])
    else:
        parent[spot[-1]] = how
    return made


def by_section(records: list[Record]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {section: [] for section in parcel.SECTIONS}
    for record in records:
        found[record.table.removeprefix("assessor.")].append(dict(record.__dict__))
    return found


def ways(spot: Spot) -> list[Any]:
    if "phone" in str(spot[-1]).lower():
        return ["-", "+"]
    if spot[0] in ANY_JSON:
        return ["-", "+", 7] if len(spot) == 1 else []
    return ["-", "+", *OTHER_KINDS]


@pytest.mark.parametrize(("name", "apn", "body"), list(bodies()), ids=[name for name, _, _ in bodies()])
def test_each_key_absent_renamed_and_of_another_kind(name: str, apn: str, body: bytes) -> None:
    raw = orjson.loads(body)
    before = by_section(parcel.parse_parcel(body, apn).records)
    tried = 0
    for spot in spots(raw):
        for how in ways(spot):
            tried += 1
            where = f"{name}: {spot} {how!r}"
            found = outcome(orjson.dumps(changed(raw, spot, how)), apn)
            if isinstance(found, parcel.Page):
                check(found, before, spot, how, where)
            else:
                assert is_identity(raw, spot), f"{where}: {found}"
                assert found in (Malformed, WrongParcel), where
    assert tried > 400


def outcome(body: bytes, apn: str) -> parcel.Page | type[PageError]:
    try:
        return parcel.parse_parcel(body, apn)
    except PageError as error:
        return type(error)


def is_identity(raw: Any, spot: Spot) -> bool:
    """Whether the key is all that says whose answer it is, or names another parcel when it is changed."""
    pages = raw["Sketches"].get("Pages") or [] if isinstance(raw["Sketches"], dict) else []
    signs = bool(raw["TreasurersTransitionUrl"]) + any(page.get("APN") for page in pages)
    of_signs = spot[0] == "TreasurersTransitionUrl" or (
        spot[0] == "Sketches" and (len(spot) < 3 or spot[-1] == "APN")
    )
    return signs <= 1 and of_signs


def check(
    page: parcel.Page, before: dict[str, list[dict[str, Any]]], spot: Spot, how: Any, where: str
) -> None:
    section = SECTIONS.get(str(spot[0]), "parcel")
    after = by_section(page.records)
    for other in parcel.SECTIONS:
        if other != section:
            assert after[other] == before[other], f"{where}: {other}"
    assert set(page.notes.unread) <= {section}, where
    if "phone" in str(spot[-1]).lower():
        assert after == before
        assert page.notes.unread == {}
        return
    if section in page.notes.unread:
        assert after[section] == [], where
        assert record_class(section) not in page.complete, where
        assert page.notes.issues("x")[-1].kind == "unread_section"
        return
    assert how in ("-", "+"), f"{where}: neither unread nor refused"
    assert page.notes.absent, f"{where}: not told"
    assert bool(page.notes.new) == (how == "+"), where
    assert_only_missing(before[section], after[section], page, section, where)


def record_class(section: str) -> type[Record] | None:
    classes: dict[str, type[Record]] = {"improvement": Improvement, "rental": Rental}
    return classes.get(section)


def assert_only_missing(
    before: list[dict[str, Any]], after: list[dict[str, Any]], page: parcel.Page, section: str, where: str
) -> None:
    """Whatever differs is NULL now, and noted as absent, so that a stored value stays."""
    if not after:
        # The whole list is absent: nothing is removed for it.
        assert record_class(section) not in page.complete, where
        return
    assert len(after) == len(before), where
    rows = [record for record in page.records if record.table == f"assessor.{section}"]
    for old, new, record in zip(before, after, rows, strict=True):
        for column in old:
            if old[column] != new[column]:
                assert column in record.absent, f"{where}: {column}"
                assert new[column] is None or isinstance(new[column], list | dict), f"{where}: {column}"


@pytest.mark.parametrize("name", WHOLE)
def test_every_leaf_of_a_parcel_has_its_column(name: str) -> None:
    apn, body = next((apn, body) for one, apn, body in bodies() if one == name)
    page = parcel.parse_parcel(body, apn)
    assert page.notes.new == {}
    assert check_parcel(orjson.loads(body), apn, page.records) > 100


def test_a_body_with_no_section_that_can_be_read_is_refused() -> None:
    _, apn, body = next(bodies())
    raw = orjson.loads(body)
    odd = {key: {"odd": 1} for key in raw} | {
        "TreasurersTransitionUrl": raw["TreasurersTransitionUrl"],
        "RentalInformation": [1],
    }
    with pytest.raises(SourceChanged):
        parcel.parse_parcel(orjson.dumps(odd), apn)


@pytest.mark.parametrize(
    "url", ["https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel=90199999", None]
)
def test_another_s_answer_is_refused_whatever_its_sections_are(url: str | None) -> None:
    _, apn, body = next(bodies())
    raw = orjson.loads(body) | {
        "TreasurersTransitionUrl": url,
        "Sketches": {"TotalPages": 0, "Pages": []},
        "Owner": 7,
    }
    with pytest.raises(WrongParcel if url else Malformed):
        parcel.parse_parcel(orjson.dumps(raw), apn)
