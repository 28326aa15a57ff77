"""Every case of tests/fixtures/assessor, all synthetic, against the file of what it must give.

A case is <page>/<case>/input.json; a parcel's case begins with the APN that is asked for. Without
expected.json the test writes it and fails: review it.
"""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.sources.assessor import parcel
from tests.helpers.assessor_mapping import check_parcel

ROOT = Path(__file__).parents[2] / "fixtures" / "assessor"
LINKS = {
    "TreasurersTransitionUrl": "https://treasurer.maricopa.gov/PropertyTaxInformation/",
    "DeedTransitionUrl": "https://recorder.maricopa.gov/recording/document-details.html",
    "McrTransitionUrl": "https://recorder.maricopa.gov/recording/map-results.html",
}
PARSERS: dict[str, Callable[[bytes, str], Any]] = {
    "parcel": lambda body, apn: parcel.parse_parcel(body, apn, LINKS),
    "search": lambda body, apn: parcel.parse_search(body),
}
CASES = sorted(ROOT.glob("*/*/input.json"))


def outcome(page: str, body: bytes, apn: str) -> dict[str, Any]:
    try:
        found = PARSERS[page](body, apn)
    except PageError as error:
        return {"error": type(error).__name__, "cause": error.cause, "message": str(error)}
    shown = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if field.name not in ("notes", "records", "complete")
    }
    notes = found.notes
    shown |= {"new_fields": list(notes.new), "absent_fields": list(notes.absent)}
    shown["unread"] = {section: str(error) for section, error in notes.unread.items()}
    if isinstance(found, parcel.Page):
        shown["records"] = [{"table": record.table, **record.__dict__} for record in found.records]
        shown["complete"] = [record.table for record in found.complete]
    return shown


def test_every_page_has_cases() -> None:
    assert {case.parts[-3] for case in CASES} == PARSERS.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "/".join(case.parts[-3:-1]))
def test_case_gives_what_its_file_says(case: Path) -> None:
    page, apn = case.parts[-3], case.parts[-2].partition("-")[0]
    body = case.read_bytes()
    found = orjson.dumps(
        outcome(page, body, apn), default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    expected = case.with_name("expected.json")
    if not expected.exists():
        expected.write_bytes(found)
        pytest.fail(f"{expected} was missing and is written: review it")
    assert orjson.loads(found) == orjson.loads(expected.read_bytes())
    redacted = outcome(page, parcel.redact(body), apn)
    assert orjson.loads(orjson.dumps(redacted, default=str)) == orjson.loads(found)
    assert b"555-01" not in found
    assert b"555-01" not in parcel.redact(body)


@pytest.mark.parametrize(
    "name",
    ["residential", "commercial", "rental", "redacted", "vacant", "owner_empty", "withheld", "zoning_text"],
)
def test_every_leaf_of_a_parcel_has_its_column(name: str) -> None:
    (case,) = ROOT.glob(f"parcel/*-{name}/input.json")
    apn = case.parts[-2].partition("-")[0]
    raw = orjson.loads(case.read_bytes())
    page = parcel.parse_parcel(case.read_bytes(), apn)
    assert page.notes.new == {}
    assert check_parcel(raw, apn, page.records) > 100
