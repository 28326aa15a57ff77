"""The assessor's parcel changed in one way after another: what must be there, what names it. Any bytes:
test_any_bytes.py.
"""

import datetime as dt
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.items import Cause
from maricopa_scrapy.parsing.errors import Malformed, NotFound, PageError, Soft404, WrongParcel
from maricopa_scrapy.sources.assessor import parcel
from maricopa_scrapy.sources.assessor.records import Parcel, Rental
from tests.fuzz.mutation import parent_of, spots

ROOT = Path(__file__).parents[2] / "fixtures" / "assessor"
SEEDS = {
    file.parts[-2].partition("-")[0]: file.read_bytes()
    for name in (
        "residential",
        "commercial",
        "rental",
        "vacant",
        "owner_empty",
        "redacted",
        "withheld",
        "zoning_text",
    )
    for file in ROOT.glob(f"parcel/*-{name}/input.json")
}
APN = "90101001"
SEED = SEEDS[APN]


def parse(body: bytes, apn: str = APN) -> parcel.Page | type[PageError]:
    """Return the page, or the kind of its error; anything stored must be storable."""
    try:
        page = parcel.parse_parcel(
            body, apn, {"DeedTransitionUrl": "https://recorder.maricopa.gov/x", "McrTransitionUrl": "//[y"}
        )
    except PageError as error:
        return _checked(error)
    for record in page.records:
        for cell in record.__dict__.values():
            _check_cell(cell)
    "".join(page.notes.new).encode()
    return page


def _checked(error: PageError) -> type[PageError]:
    assert isinstance(error.cause, Cause)
    assert "\0" not in str(error)
    str(error).encode()
    return type(error)


def _check_cell(cell: Any) -> None:
    if isinstance(cell, str):
        assert "\0" not in cell
        assert cell == cell.strip() != ""
        cell.encode()
    elif isinstance(cell, list | dict):
        assert b"\\u0000" not in orjson.dumps(cell)
    elif cell is not None:
        assert isinstance(cell, bool | dt.date | Decimal | int)
        assert not isinstance(cell, int) or 0 <= cell < 2**63
        assert not isinstance(cell, Decimal) or cell.is_finite()


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(part, rng) for part in value]
    if isinstance(value, dict):
        items = [(key, shuffled(part, rng)) for key, part in value.items()]
        rng.shuffle(items)
        return dict(items)
    return value


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", NotFound),
        (b" \n", NotFound),
        (b"null", NotFound),
        (b"[]", NotFound),
        (b"{}", NotFound),
        (b" <html>", Soft404),
        (b'"x"', Malformed),
        (b"[1]", Malformed),
        (b'{"message":"x"}', Malformed),
        (b"{", Malformed),
    ],
)
def test_what_no_parcel_is_called(body: bytes, kind: type[PageError]) -> None:
    assert parse(body) is kind


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(SEEDS)))
def test_the_order_of_keys_changes_nothing(rng: random.Random, apn: str) -> None:
    page = parcel.parse_parcel(SEEDS[apn], apn)
    other = parcel.parse_parcel(orjson.dumps(shuffled(orjson.loads(SEEDS[apn]), rng)), apn)
    assert other == page
    # Equal dictionaries may differ in order, and the writer's hash with them.
    cells = [
        [orjson.dumps(row.__dict__, default=str) for row in records]
        for records in (other.records, page.records)
    ]
    assert cells[0] == cells[1]


def test_a_key_nobody_knows_is_reported_wherever_it_stands() -> None:
    raw = orjson.loads(SEED)
    objects = [
        (),
        *(
            spot
            for spot in spots(raw)
            if isinstance(parent_of(raw, (*spot, None)), dict) and spot[-1] != "Sketch"
        ),
    ]
    for spot in objects:
        changed = orjson.loads(SEED)
        parent_of(changed, (*spot, None))["Brand\0New"] = "x"
        page = parse(orjson.dumps(changed))
        assert isinstance(page, parcel.Page)
        assert [path.rpartition(".")[2] for path in page.notes.new] == ["BrandNew"], spot


@pytest.mark.parametrize(
    ("url", "apns", "kind"),
    [
        (f"https://t/?Parcel={APN}", [], None),
        ("https://t/?x=1&PARCEL=901-01-001", ["901-01-001"], None),
        ("https://t/?Parcel=901%2D01%2D001", [], None),
        (None, [APN], None),
        ("https://t/?Parcel=", [APN], None),
        (f"https://t/?Parcel={APN}A", [], WrongParcel),
        (f"https://t/?Parcel={APN}", ["90101002"], WrongParcel),
        (f"https://t/?Parcel={APN}", [APN, "90101001A"], WrongParcel),
        (f"https://t/?Parcel={APN}&parcel=90101002", [], WrongParcel),
        ("https://t/?Parcel=nonsense", [APN], WrongParcel),
        ("https://t/", [], Malformed),
        (None, [], Malformed),
        (f"https://t/#?NotParcel={APN}", [""], Malformed),
    ],
)
def test_identity(url: str | None, apns: list[str], kind: type[PageError] | None) -> None:
    raw = orjson.loads(SEED)
    raw["TreasurersTransitionUrl"] = url
    raw["Sketches"] = {
        "TotalPages": len(apns),
        "Pages": [{"Sketch": "AAAA", "PageNum": 1, "APN": apn} for apn in apns],
    }
    found = parse(orjson.dumps(raw))
    assert isinstance(found, parcel.Page) if kind is None else found is kind


@pytest.mark.parametrize(
    ("is_rental", "rental", "rows"),
    [
        (True, "absent", 0),
        (True, [], 0),
        (True, None, 0),
        (False, "absent", 0),
        (False, [], 0),
        (True, [1], "unread"),
        (True, "full", 1),
        (False, "full", 1),
        (True, "other", WrongParcel),
    ],
)
def test_rental(is_rental: bool, rental: Any, rows: Any) -> None:
    raw = orjson.loads(SEED)
    raw["IsRental"] = is_rental
    full = orjson.loads(SEEDS["90103003"])["RentalInformation"]
    given = (
        {"full": full | {"ParcelNumber": APN}, "other": full}[rental]
        if rental in ("full", "other")
        else rental
    )
    if given != "absent":
        raw["RentalInformation"] = given
    found = parse(orjson.dumps(raw))
    if isinstance(rows, type):
        assert found is rows
        return
    assert isinstance(found, parcel.Page)
    assert sum(row.table == "assessor.rental" for row in found.records) == (0 if rows == "unread" else rows)
    assert list(found.notes.unread) == (["rental"] if rows == "unread" else [])
    # A stored registration is removed only where the answer says that there is none.
    is_told = rental != "absent" or not is_rental
    assert (Rental in found.complete) == (is_told and rows != "unread")
    assert list(found.notes.absent) == ([] if is_told else ["RentalInformation"])


def test_a_lone_surrogate_costs_a_character_not_the_parcel() -> None:
    body = SEED.replace(b"EXAMPLE UNION", b"EX\\ud800A\\\\ud800 \\ud83d\\ude00\\u0000")
    page = parse(body)
    assert isinstance(page, parcel.Page)
    assert isinstance(page.records[0], Parcel)
    assert page.records[0].high_school_district == "EXA\\ud800 😀 #210"


@pytest.mark.parametrize(
    ("got", "moved"),
    [
        ("https://recorder.maricopa.gov/recording/map-results.html?book=1", False),
        ("HTTP://RECORDER.maricopa.gov/recording/map-results.html", False),
        ("https://recorder.maricopa.gov/recording/maps.html", True),
        ("https://x.maricopa.gov/recording/map-results.html", True),
        ("nonsense", True),
        ("https://[", True),
        (None, False),
        ("", False),
    ],
)
def test_moved_links(got: str | None, moved: bool) -> None:
    raw = orjson.loads(SEED)
    raw["McrTransitionUrl"] = got
    page = parcel.parse_parcel(
        orjson.dumps(raw),
        APN,
        {"McrTransitionUrl": "https://recorder.maricopa.gov/recording/map-results.html"},
    )
    assert page.moved_links == ([("McrTransitionUrl", got)] if moved else [])
