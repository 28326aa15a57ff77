"""The search's envelope, its rows, and which of them fit a query."""

from dataclasses import asdict
from typing import Any

import orjson
import pytest

from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sources.assessor.parcel import (
    SearchRow,
    matches_address,
    matches_owner,
    parse_search,
)

COLUMNS = {
    "MCR": "mcr",
    "SubdivisonName": "subdivision_name",
    "SectionTownshipRange": "section_township_range",
    "Ownership": "ownership",
    "SitusAddress": "situs_address",
    "SitusCity": "situs_city",
    "SitusZip": "situs_zip",
    "PropertyType": "property_type",
    "RentalID": "rental_id",
}


def raw_row(**changes: Any) -> dict[str, Any]:
    return {
        "MCR": "9641",
        "SubdivisonName": "MARIGOLD GARDENS",
        "SectionTownshipRange": "127N5W",
        "APN": "901-01-001a",
        "Ownership": "TURNSTONE PAUL L/CARTER-WYATT ELOISE",
        "SitusAddress": "1601 E WASHINGTON ST",
        "SitusCity": "PHOENIX",
        "SitusZip": "85034",
        "PropertyType": "RESIDENTIAL",
        "RentalID": None,
    } | changes


def row(**changes: Any) -> SearchRow:
    (found,) = parse_search(orjson.dumps({"Results": [raw_row(**changes)]})).rows
    return found


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b'{"TOTAL":0}', b'{"TOTAL":"0","Took":1}', b'{"Results":[],"TOTAL":0}', b'{"Results":[]}'],
)
def test_no_hits(body: bytes) -> None:
    page = parse_search(body)
    assert (page.rows, page.others, page.count) == ([], {}, 0)
    assert page.total in (0, None)


@pytest.mark.parametrize(
    "envelope",
    [
        {"RealProperty": []},
        {"RealProperty": {"results": []}, "TOTAL": 0},
        {"TOTAL": 5},
        {"message": "x"},
        {"Results": None, "TOTAL": 3},
        {"Results": "x"},
        {"Results": {"0": {}}},
        {"Results": [None]},
        {"Results": [[]]},
        {"Results": [{}]},
        {"Results": [], "TOTAL": -1},
        {"Results": [], "TOTAL": True},
        {"Results": [], "TOTAL": "many"},
        {"Results": [{}, {}]},
        [raw_row()],
        {"Results": [raw_row(APN="12")]},
        {"Results": [raw_row(APN=None)]},
        {"Results": [raw_row(Ownership=7)]},
        {
            "Results": [
                raw_row()
                | {
                    "Address": "",
                    "City": "",
                    "Zip": "",
                    "Owner": "",
                    "Contact": "",
                    "Agent": "",
                    "Property": "",
                }
            ]
        },
    ],
)
def test_an_envelope_that_is_not_as_documented(envelope: Any) -> None:
    with pytest.raises(SourceChanged):
        parse_search(orjson.dumps(envelope))


@pytest.mark.parametrize("missing", sorted(raw_row()))
def test_a_row_without_one_of_its_keys_is_read_without_it_but_for_its_number(missing: str) -> None:
    raw = raw_row()
    del raw[missing]
    page = parse_search(orjson.dumps({"Results": [raw, raw_row(APN="90101002")], "TOTAL": 2}))
    if missing == "APN":
        assert ([row.apn for row in page.rows], page.unread, page.count, list(page.notes.unread)) == (
            ["90101002"],
            1,
            2,
            ["row"],
        )
        return
    whole, found = asdict(row()), asdict(page.rows[0])
    assert page.notes.unread == {}
    assert list(page.notes.absent) == [f"Results[].{missing}"]
    assert {column for column in whole if whole[column] != found[column]} <= {COLUMNS[missing]}
    assert found[COLUMNS[missing]] is None


@pytest.mark.parametrize(
    ("ownership", "cut"), [("A" * 100, True), ("A" * 99, False), (None, False), ("", False)]
)
def test_cut_ownership(ownership: str | None, cut: bool) -> None:
    assert row(Ownership=ownership).ownership_cut is cut


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("turnstone paul", True),
        ("PAUL TURNSTONE", True),
        ("wyatt", True),
        ("CARTER-WYATT", True),
        ("paul & eloise", True),
        ("turn", False),
        ("turnstone mary", False),
        ("washington", False),
        ("", False),
        ("&", False),
        ("O'NEIL", False),
    ],
)
def test_owner(query: str, fits: bool) -> None:
    assert matches_owner(row(), query) is fits


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("TURNSTONE PAUL", True),  # both are seen
        ("PAUL PEMBERTON", True),  # the cut last word begins it
        ("PAUL HIDDEN", True),  # in no column: it must be in the hidden part
        ("PAUL WASHINGTON", False),  # the street explains it
        ("GARDENS", False),  # the subdivision explains it
    ],
)
def test_cut_owner(query: str, fits: bool) -> None:
    names = ("TURNSTONE PAUL L/" + "X" * 78 + " PEMB").ljust(100, "E")[:100]
    assert len(names) == 100
    assert matches_owner(row(Ownership=names), query) is fits


def test_owner_without_dots_and_apostrophes() -> None:
    assert matches_owner(row(Ownership="O'NEIL J.R. LLC"), "oneil jr l.l.c.")


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("1601 E WASHINGTON ST", True),
        ("1601 washington phoenix 85034", True),
        ("1601 E WASHINGTON ST, PHOENIX, AZ 85034", True),
        ("WASHINGTON ST", True),
        ("1 E WASHINGTON ST", False),
        ("E WASHINGTON ST 1601", True),
        ("160 E WASHINGTON ST", False),
        ("1601 W WASHINGTON ST", False),
        ("1601 E WASHINGTON STREET", False),
        ("85034", False),
        ("", False),
        ("AZ", False),
        ("1601 MARIGOLD", False),
    ],
)
def test_address(query: str, fits: bool) -> None:
    assert matches_address(row(), query) is fits


def test_address_of_a_numbered_street_and_of_none() -> None:
    assert matches_address(row(SitusAddress="10810 N 91ST AVE"), "91ST AVE")
    assert not matches_address(row(SitusAddress="91 N 10810TH AVE"), "10810 N")
    assert not matches_address(row(SitusAddress="", SitusCity="", SitusZip=""), "1601 E WASHINGTON ST")
