"""Real answers of the county: the folder that MARICOPA_CAPTURES names."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.parsing.errors import PageError, Soft404
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.sources.assessor import parcel
from maricopa_scrapy.sources.assessor.records import Improvement, Parcel, Related, Residence, Valuation
from tests.helpers.assessor_mapping import check_parcel

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
pytestmark = pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
ROOT = Path(CAPTURES or ".") / "assessor"
APN = "16528054"
# What older answers, and those of a withheld owner, do not have.
LACKING = {"parcel_509-11-455": ["IsPending"], "parcel_901-93-630": ["Owner.DeedTypeID"]}


def read(name: str) -> bytes:
    return (ROOT / name).read_bytes()


def test_every_leaf_of_the_captured_parcel_has_its_column() -> None:
    body = read("parcel_165-28-054/parcel.json")
    page = parcel.parse_parcel(
        body, APN, {"TreasurersTransitionUrl": "https://treasurer.maricopa.gov/PropertyTaxInformation/"}
    )
    assert page.notes == Notes(read=dict.fromkeys(parcel.SECTIONS))
    assert [key for key, _ in page.moved_links] == ["TreasurersTransitionUrl"]
    assert check_parcel(orjson.loads(body), APN, page.records) > 250


def test_a_leaf_without_a_column_fails() -> None:
    raw = orjson.loads(read("parcel_165-28-054/parcel.json"))
    records = parcel.parse_parcel(orjson.dumps(raw), APN).records
    raw["Owner"]["Extra"] = "x"
    with pytest.raises(AssertionError, match=r"Owner\.Extra"):
        check_parcel(raw, APN, records)


# What the county also tells by itself, at /parcel/{apn}/NAME, is told under this key of the parcel's own
# answer; None: beside the others.
PARTS = {
    "owner-details": "Owner",
    "valuations": "Valuations",
    "residential-details": "ResidentialPropertyData",
    "mapids": "MapIDs",
    "improvements": "Improvements",
    "sketches": "Sketches",
    "propertyinfo": None,
    "address": None,
}


def with_parts(folder: str) -> dict[str, Any]:
    """The captured parcel, with what was captured of another one's parts in place of its own."""
    raw: dict[str, Any] = orjson.loads(read("parcel_165-28-054/parcel.json"))
    for file in sorted((ROOT / folder).glob("*.json")):
        if file.stem in PARTS:
            told, key = orjson.loads(file.read_bytes()), PARTS[file.stem]
            raw |= told if key is None else {key: told}
    return raw


@pytest.mark.parametrize("folder", ["parcel_165-28-054", "parcel_13238011", "parcel_501-38-034A_unknown"])
def test_the_parts_that_the_county_tells_by_themselves_are_those_of_a_parcel(folder: str) -> None:
    page = parcel.parse_parcel(orjson.dumps(with_parts(folder)), APN)
    assert (page.notes.new, page.notes.unread, page.notes.absent) == ({}, {}, {})
    if folder == "parcel_165-28-054":
        assert [row for row in page.records if type(row) is not Parcel] == [
            row
            for row in parcel.parse_parcel(read(f"{folder}/parcel.json"), APN).records
            if type(row) is not Parcel
        ]


def test_parts_of_a_commercial_parcel() -> None:
    folder = "parcel_13238011"
    records = parcel.parse_parcel(orjson.dumps(with_parts(folder)), APN).records
    assert [row.improvement_number for row in records if isinstance(row, Improvement)] == ["000101", "000201"]
    assert sum(isinstance(row, Valuation) for row in records) == 6
    (residence,) = (row for row in records if isinstance(row, Residence))
    assert (residence.has_pool, residence.pool_sqft, residence.bath_fixtures) == (False, 0, 0)
    (related,) = (row for row in records if isinstance(row, Related))
    assert (related.sketch_pages, related.sketches) == (0, None)
    assert related.map_files == orjson.loads(read(f"{folder}/mapids.json"))
    (row,) = parcel.parse_search(b'{"Results":[%b]}' % read(f"{folder}/search-row.json")).rows
    assert (row.apn, row.situs_zip, row.ownership_cut) == ("13238011", "85288", False)


def test_every_captured_file_is_read() -> None:
    files = sorted(ROOT.glob("parcel_*/*.json"))
    assert files
    for file in files:
        assert orjson.loads(parcel.redact(file.read_bytes())) is not None
        if file.stem == "parcel":
            apn = file.parent.name.removeprefix("parcel_").replace("-", "")
            notes = parcel.parse_parcel(file.read_bytes(), apn).notes
            assert (notes.new, notes.unread) == ({}, {}), file
            assert list(notes.absent) == LACKING.get(file.parent.name, []), file
        else:
            assert file.stem in PARTS or file.stem == "search-row", file


def test_every_captured_search_row_is_recognised() -> None:
    kinds: Counter[str] = Counter()
    for file in sorted((ROOT / "search").glob("*.json")):
        content = orjson.loads(file.read_bytes())
        rows = content if isinstance(content, list) else content["first_records"]
        page = parcel.parse_search(orjson.dumps({"Results": rows, "TOTAL": len(rows)}))
        assert page.count == len(rows) == page.total
        assert (page.notes.new, page.notes.unread, page.unread) == ({}, {}, 0)
        expected = file.stem.removeprefix("rows_") if file.stem.startswith("rows_") else "rp"
        assert set(page.others) == ({expected} if rows and expected != "rp" else set()), file
        kinds.update(page.others)
        kinds["rp"] += len(page.rows)
    assert kinds == {"rp": 35, "bpp": 5, "mh": 5, "rental": 5, "sub": 5}


@pytest.mark.parametrize(
    ("file", "query", "match", "expected"),
    [
        ("owner_two_words", "WYATT PAUL", parcel.matches_owner, ["17504051", "17604180", "20112064"]),
        ("owner_two_words", "paul  wyatt", parcel.matches_owner, ["17504051", "17604180", "20112064"]),
        (
            "owner_arizona_state_land_dept",
            "ARIZONA STATE LAND DEPT",
            parcel.matches_owner,
            ["12113007F", "21231067", "21231153D", "21231964A"],
        ),
        ("owner_county_of_maricopa", "COUNTY OF MARICOPA", parcel.matches_owner, ["10226030"]),
        ("address_1_e_washington_st", "1 E WASHINGTON ST", parcel.matches_address, []),
        (
            "address_1_e_washington_st",
            "1601 E WASHINGTON ST, PHOENIX AZ 85034",
            parcel.matches_address,
            ["11505034C"],
        ),
        ("address_301_w_jefferson_st", "301 W JEFFERSON ST", parcel.matches_address, []),
        ("address_301_w_jefferson_st", "601 w jefferson st", parcel.matches_address, ["11219127"]),
        ("address_1234_main_street", "1234 MAIN STREET", parcel.matches_address, []),
    ],
)
def test_matching(file: str, query: str, match: Any, expected: list[str]) -> None:
    rows = orjson.loads(read(f"search/{file}.json"))["first_records"]
    page = parcel.parse_search(orjson.dumps({"Results": rows}))
    assert [row.apn for row in page.rows if match(row, query)] == expected


def test_the_soft_404_is_one_for_every_parser() -> None:
    body = read("soft404_page.html")
    with pytest.raises(Soft404):
        parcel.parse_search(body)
    with pytest.raises(PageError):
        parcel.parse_parcel(body, APN)
