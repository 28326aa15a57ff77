"""Whatever the bytes: a PageError or records that Postgres can store, never another exception."""

import copy
import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.items import Cause, Parcel
from maricopa_scrapy.pages import assessor
from maricopa_scrapy.pages.errors import Malformed, NotFound, PageError, Soft404, SourceChanged, WrongParcel

ROOT = Path(__file__).parents[1] / "fixtures" / "assessor"
SEEDS = {
    file.parts[-2].partition("-")[0]: file.read_bytes()
    for name in ("residential", "commercial", "rental", "vacant", "owner_empty", "redacted")
    for file in ROOT.glob(f"parcel/*-{name}/input.json")
}
APN = "90101001"
SEED = SEEDS[APN]
PARSERS: tuple[Callable[[bytes], Any], ...] = (
    lambda body: assessor.parse_parcel(body, APN),
    lambda body: assessor.parse_owner(body, APN),
    lambda body: assessor.parse_valuations(body, APN),
    lambda body: assessor.parse_residence(body, APN),
    lambda body: assessor.parse_improvements(body, APN),
    assessor.parse_property_info,
    assessor.parse_address,
    assessor.parse_map_files,
    lambda body: assessor.parse_sketches(body, APN),
    assessor.parse_search,
)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e300, 2**31, 2**63, "", "na", "NA", "x", "5", "1" * 25, "٣", "x\0y", [], {}, [1], ["x"],
    {"a": 1}, [[]], [{}], [None], "2024-01-01", "13/45/2020", "90101001", "AAAA",
    {"sha256": "0" * 64, "length": 4}, {"sha256": "x", "length": 4},
)  # fmt: skip


def parse(body: bytes, apn: str = APN) -> assessor.Page | type[PageError]:
    """Return the page, or the kind of its error; anything stored must be storable."""
    try:
        page = assessor.parse_parcel(body, apn, {"DeedTransitionUrl": "https://recorder.maricopa.gov/x", "McrTransitionUrl": "//[y"})
    except PageError as error:
        return _checked(error)
    for record in page.records:
        for cell in record.__dict__.values():
            _check_cell(cell)
    "".join(page.new_fields).encode()
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


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place below the top."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [spot for key in keys for spot in [(*path, key), *spots(value[key], (*path, key))]]


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(part, rng) for part in value]
    if isinstance(value, dict):
        items = [(key, shuffled(part, rng)) for key, part in value.items()]
        rng.shuffle(items)
        return dict(items)
    return value


def parent_of(raw: Any, spot: tuple[Any, ...]) -> Any:
    for key in spot[:-1]:
        raw = raw[key]
    return raw


BYTES = (
    b"", b" ", b"null", b"[]", b"{}", b"0", b'"x"', b"false", b"[1]", b"\xff\xfe", b"\xef\xbb\xbf{}", b"NaN", b'{"a":NaN}', b"[" * 100_000,
    b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b"1" * 5000, b'{"TOTAL":' + b"9" * 5000 + b"}", b'{"MCR":1e999}',
    b'{"MCR":"\\ud800"}', b'"\\ud83d\\ude00"', b'{"\\udfff":"\\u0000"}', b"<html></html>", b"\n <!DOCTYPE html>", b"{", b'{"a":1}x', b"\0",
    b'{"Sketches":{"Pages":[{"APN":5}]}}', b'{"Sketches":[1],"TreasurersTransitionUrl":7}', b'{"TreasurersTransitionUrl":"http://[?parcel=%ff"}',
)  # fmt: skip


@pytest.mark.parametrize("body", BYTES, ids=lambda body: repr(body[:30]))
def test_bytes_that_are_no_answer(body: bytes) -> None:
    for parser in PARSERS:
        try:
            parser(body)
        except PageError as error:
            str(error).encode()
    parse(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", NotFound), (b" \n", NotFound), (b"null", NotFound), (b"[]", NotFound), (b"{}", NotFound), (b" <html>", Soft404),
        (b'"x"', Malformed), (b"[1]", Malformed), (b'{"message":"x"}', Malformed), (b"{", Malformed),
    ],
)  # fmt: skip
def test_what_no_parcel_is_called(body: bytes, kind: type[PageError]) -> None:
    assert parse(body) is kind


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_changed_answer_gives_a_page_error_or_storable_records(data: st.DataObject) -> None:
    apn = data.draw(st.sampled_from(sorted(SEEDS)))
    raw = orjson.loads(SEEDS[apn])
    for _ in range(data.draw(st.integers(1, 3))):
        spot = data.draw(st.sampled_from(spots(raw)))
        parent = parent_of(raw, spot)
        match data.draw(st.sampled_from(("delete", "retype", "inject", "text"))):
            case "delete":
                del parent[spot[-1]]
            case "retype":
                parent[spot[-1]] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
            case "inject" if isinstance(parent, dict):
                parent[data.draw(st.text(max_size=8))] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
            case _:
                parent[spot[-1]] = data.draw(st.text(max_size=12))
        if not spots(raw):
            break
    body = orjson.dumps(raw)
    assert parse(assessor.redact(body), apn) == parse(body, apn)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_changed_bytes_give_a_page_error_or_storable_records(data: st.DataObject) -> None:
    body = bytearray(SEED[: data.draw(st.integers(0, len(SEED)))] if data.draw(st.booleans()) else SEED)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from((b'"', b"\\", b"{", b"]", b"\0", b"\xed\xa0\x80", b"\\ud800", b",", b"9" * 30))
        )
    for parser in PARSERS:
        try:
            parser(bytes(body))
        except PageError:
            continue
    parse(bytes(body))
    assessor.redact(bytes(body))


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(SEEDS)))
def test_the_order_of_keys_changes_nothing(rng: random.Random, apn: str) -> None:
    page = assessor.parse_parcel(SEEDS[apn], apn)
    other = assessor.parse_parcel(orjson.dumps(shuffled(orjson.loads(SEEDS[apn]), rng)), apn)
    assert other == page
    # Equal dictionaries may differ in order, and the writer's hash with them.
    cells = [[orjson.dumps(row.__dict__, default=str) for row in records] for records in (other.records, page.records)]
    assert cells[0] == cells[1]


def test_every_documented_key_is_required() -> None:
    for apn, body in SEEDS.items():
        for spot in spots(orjson.loads(body)):
            raw = orjson.loads(body)
            parent = parent_of(raw, spot)
            if not isinstance(parent, dict) or len(parent) == 1 or "phone" in str(spot[-1]).lower():
                continue
            del parent[spot[-1]]
            if {"BusinessContact", "Agent", "Zoning"} & set(spot[:-1]):
                continue
            outcome = parse(orjson.dumps(raw), apn)
            identity = spot[0] in ("TreasurersTransitionUrl", "Sketches")
            optional = spot == ("RentalInformation",) and raw["IsRental"] is False
            assert outcome in ((SourceChanged, Malformed) if identity else (SourceChanged,)) or optional, (apn, spot)


def test_a_key_nobody_knows_is_reported_wherever_it_stands() -> None:
    raw = orjson.loads(SEED)
    objects = [(), *(spot for spot in spots(raw) if isinstance(parent_of(raw, (*spot, None)), dict) and spot[-1] != "Sketch")]
    for spot in objects:
        changed = orjson.loads(SEED)
        parent_of(changed, (*spot, None))["Brand\0New"] = "x"
        page = parse(orjson.dumps(changed))
        assert isinstance(page, assessor.Page)
        assert [path.rpartition(".")[2] for path in page.new_fields] == ["BrandNew"], spot


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
    raw["Sketches"] = {"TotalPages": len(apns), "Pages": [{"Sketch": "AAAA", "PageNum": 1, "APN": apn} for apn in apns]}
    found = parse(orjson.dumps(raw))
    assert isinstance(found, assessor.Page) if kind is None else found is kind


@pytest.mark.parametrize(
    ("is_rental", "rental", "rows"),
    [(True, "absent", SourceChanged), (True, [], 0), (True, None, 0), (False, "absent", 0), (False, [], 0), (True, [1], SourceChanged),
     (True, "full", 1), (False, "full", 1), (True, "other", WrongParcel)],
)  # fmt: skip
def test_rental(is_rental: bool, rental: Any, rows: Any) -> None:
    raw = orjson.loads(SEED)
    raw["IsRental"] = is_rental
    full = orjson.loads(SEEDS["90103003"])["RentalInformation"]
    given = {"full": full | {"ParcelNumber": APN}, "other": full}[rental] if rental in ("full", "other") else rental
    if given != "absent":
        raw["RentalInformation"] = given
    found = parse(orjson.dumps(raw))
    assert found is rows if isinstance(rows, type) else sum(row.table == "assessor.rental" for row in found.records) == rows


def test_a_lone_surrogate_costs_a_character_not_the_parcel() -> None:
    body = SEED.replace(b"EXAMPLE UNION", b"EX\\ud800A\\\\ud800 \\ud83d\\ude00\\u0000")
    page = parse(body)
    assert isinstance(page, assessor.Page)
    assert isinstance(page.records[0], Parcel)
    assert page.records[0].high_school_district == "EXA\\ud800 😀 #210"


@pytest.mark.parametrize(
    ("got", "moved"),
    [
        ("https://recorder.maricopa.gov/recording/map-results.html?book=1", False),
        ("HTTP://RECORDER.maricopa.gov/recording/map-results.html", False),
        ("https://recorder.maricopa.gov/recording/maps.html", True), ("https://x.maricopa.gov/recording/map-results.html", True),
        ("nonsense", True), ("https://[", True), (None, False), ("", False),
    ],
)  # fmt: skip
def test_moved_links(got: str | None, moved: bool) -> None:
    raw = orjson.loads(SEED)
    raw["McrTransitionUrl"] = got
    page = assessor.parse_parcel(orjson.dumps(raw), APN, {"McrTransitionUrl": "https://recorder.maricopa.gov/recording/map-results.html"})
    assert page.moved_links == ([("McrTransitionUrl", got)] if moved else [])
