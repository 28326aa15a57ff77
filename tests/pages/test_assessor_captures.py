"""Real answers of the county: the folder that MARICOPA_CAPTURES names."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.items_assessor import Owner, Parcel, Related, Residence, Valuation
from maricopa_scrapy.pages import assessor
from maricopa_scrapy.pages.errors import PageError, Soft404
from maricopa_scrapy.pages.notes import Notes
from tests.pages.assessor_mapping import check_parcel

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
pytestmark = pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
ROOT = Path(CAPTURES or ".") / "assessor"
APN = "16528054"
# What older answers, and those of a withheld owner, do not have.
LACKING = {"parcel_509-11-455": ["IsPending"], "parcel_901-93-630": ["Owner.DeedTypeID"]}


def read(name: str) -> bytes:
    return (ROOT / name).read_bytes()


def parcel_records(kind: type) -> list[Any]:
    return [row for row in assessor.parse_parcel(read("parcel_165-28-054/parcel.json"), APN).records if type(row) is kind]


def test_every_leaf_of_the_captured_parcel_has_its_column() -> None:
    body = read("parcel_165-28-054/parcel.json")
    page = assessor.parse_parcel(body, APN, {"TreasurersTransitionUrl": "https://treasurer.maricopa.gov/PropertyTaxInformation/"})
    assert page.notes == Notes(read=dict.fromkeys(assessor.SECTIONS))
    assert [key for key, _ in page.moved_links] == ["TreasurersTransitionUrl"]
    assert check_parcel(orjson.loads(body), APN, page.records) > 250


def test_a_leaf_without_a_column_fails() -> None:
    raw = orjson.loads(read("parcel_165-28-054/parcel.json"))
    records = assessor.parse_parcel(orjson.dumps(raw), APN).records
    raw["Owner"]["Extra"] = "x"
    with pytest.raises(AssertionError, match=r"Owner\.Extra"):
        check_parcel(raw, APN, records)


def test_sub_resources_repeat_the_parcel() -> None:
    folder = "parcel_165-28-054/"
    assert assessor.parse_owner(read(folder + "owner-details.json"), APN).records == parcel_records(Owner)
    assert assessor.parse_residence(read(folder + "residential-details.json"), APN).records == parcel_records(Residence)
    assert assessor.parse_valuations(read(folder + "valuations.json"), APN).records == parcel_records(Valuation)
    (parcel,), (related,) = parcel_records(Parcel), parcel_records(Related)
    info = assessor.parse_property_info(read(folder + "propertyinfo.json"))
    assert len(info.columns) == 19
    assert info.columns.pop("property_type") == parcel.property_type.upper()
    assert info.columns.items() <= (parcel.__dict__ | related.__dict__).items()
    address = assessor.parse_address(read(folder + "address.json"))
    assert address.columns == {"property_address": parcel.property_address}


def test_parts_of_a_commercial_parcel() -> None:
    folder, apn = "parcel_13238011/", "13238011"
    assert [row.improvement_number for row in assessor.parse_improvements(read(folder + "improvements.json"), apn).records] == [
        "000101", "000201",
    ]  # fmt: skip
    assert len(assessor.parse_valuations(read(folder + "valuations.json"), apn).records) == 6
    (residence,) = assessor.parse_residence(read(folder + "residential-details.json"), apn).records
    assert (residence.has_pool, residence.pool_sqft, residence.bath_fixtures) == (False, 0, 0)
    assert assessor.parse_sketches(read(folder + "sketches.json"), apn).columns == {"sketch_pages": 0, "sketches": None}
    files = assessor.parse_map_files(read(folder + "mapids.json")).columns["map_files"]
    assert files == orjson.loads(read(folder + "mapids.json"))
    row = assessor.parse_search_row(orjson.loads(read(folder + "search-row.json")))
    assert isinstance(row, assessor.SearchRow)
    assert (row.apn, row.situs_zip, row.ownership_cut) == (apn, "85288", False)


def test_answers_about_an_unknown_parcel_prove_nothing() -> None:
    folder, apn = "parcel_501-38-034A_unknown/", "50138034A"
    assert assessor.parse_sketches(read(folder + "sketches.json"), apn).columns["sketch_pages"] == 0
    files = assessor.parse_map_files(read(folder + "mapids.json")).columns["map_files"]
    assert [kind for kind, names in files.items() if names] == ["Book/Map Maps"]


def test_every_captured_file_is_read_by_a_parser() -> None:
    read_by_name = {
        "parcel": assessor.parse_parcel, "owner-details": assessor.parse_owner, "valuations": assessor.parse_valuations,
        "residential-details": assessor.parse_residence, "improvements": assessor.parse_improvements,
        "sketches": assessor.parse_sketches,
        "propertyinfo": lambda body, apn: assessor.parse_property_info(body),
        "address": lambda body, apn: assessor.parse_address(body),
        "mapids": lambda body, apn: assessor.parse_map_files(body),
        "search-row": lambda body, apn: assessor.parse_search_row(orjson.loads(body)),
    }  # fmt: skip
    files = sorted(ROOT.glob("parcel_*/*.json"))
    assert files
    for file in files:
        apn = file.parent.name.removeprefix("parcel_").removesuffix("_unknown").replace("-", "")
        answer = read_by_name[file.stem](file.read_bytes(), apn)
        if file.stem != "search-row":
            assert (answer.notes.new, answer.notes.unread) == ({}, {}), file
            assert list(answer.notes.absent) == LACKING.get(file.parent.name, []), file
        assert orjson.loads(assessor.redact(file.read_bytes())) is not None


def test_every_captured_search_row_is_recognised() -> None:
    kinds: Counter[str] = Counter()
    for file in sorted((ROOT / "search").glob("*.json")):
        content = orjson.loads(file.read_bytes())
        rows = content if isinstance(content, list) else content["first_records"]
        page = assessor.parse_search(orjson.dumps({"Results": rows, "TOTAL": len(rows)}))
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
        ("owner_two_words", "WYATT PAUL", assessor.matches_owner, ["17504051", "17604180", "20112064"]),
        ("owner_two_words", "paul  wyatt", assessor.matches_owner, ["17504051", "17604180", "20112064"]),
        ("owner_arizona_state_land_dept", "ARIZONA STATE LAND DEPT", assessor.matches_owner,
         ["12113007F", "21231067", "21231153D", "21231964A"]),
        ("owner_county_of_maricopa", "COUNTY OF MARICOPA", assessor.matches_owner, ["10226030"]),
        ("address_1_e_washington_st", "1 E WASHINGTON ST", assessor.matches_address, []),
        ("address_1_e_washington_st", "1601 E WASHINGTON ST, PHOENIX AZ 85034", assessor.matches_address, ["11505034C"]),
        ("address_301_w_jefferson_st", "301 W JEFFERSON ST", assessor.matches_address, []),
        ("address_301_w_jefferson_st", "601 w jefferson st", assessor.matches_address, ["11219127"]),
        ("address_1234_main_street", "1234 MAIN STREET", assessor.matches_address, []),
    ],
)  # fmt: skip
def test_matching(file: str, query: str, match: Any, expected: list[str]) -> None:
    rows = orjson.loads(read(f"search/{file}.json"))["first_records"]
    page = assessor.parse_search(orjson.dumps({"Results": rows}))
    assert [row.apn for row in page.rows if match(row, query)] == expected


def test_the_soft_404_is_one_for_every_parser() -> None:
    body = read("soft404_page.html")
    for parse in (assessor.parse_search, assessor.parse_property_info, assessor.parse_map_files):
        with pytest.raises(Soft404):
            parse(body)
    with pytest.raises(PageError):
        assessor.parse_parcel(body, APN)
