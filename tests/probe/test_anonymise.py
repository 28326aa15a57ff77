"""What an answer becomes in a bundle: by allow-list, the same for the same, in JSON, HTML, addresses and
evidence.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parsel import Selector

from maricopa_scrapy.configuration import load
from maricopa_scrapy.probe.anonymise import Anonymiser
from maricopa_scrapy.probe.words_to_keep import LETTERS, allowed_words, is_person_key

ALLOWED = allowed_words(load()[1])
CAPTURES = os.environ.get("MARICOPA_CAPTURES")
needs_captures = pytest.mark.skipif(CAPTURES is None, reason="MARICOPA_CAPTURES is not set")


@pytest.fixture
def to() -> Anonymiser:
    return Anonymiser(b"a key of a test", ALLOWED, ["5f1c0de2-secret-of-ours"])


def _json(to: Anonymiser, value: Any) -> Any:
    return json.loads(to.body(json.dumps(value).encode(), "application/json"))


KEPT = [
    ("TaxYear", "2026"),
    ("FullCashValue", "573300"),
    ("LimitedPropertyValue", "255234      "),
    ("SALE_PRICE", "     561,200"),
    ("LegalClassificationCode", "2.R "),
    ("DeedDate", "02/26/2018"),
    ("MostCurrentDeed", "20180142724"),
    ("recordingDate", "7-18-2022"),
    ("APN", "112-19-038A"),
    ("MCRNUM", "554-19"),
    ("SectionTownshipRange", "26 3N 3E"),
    ("UpdateDate", "04-AUG-08"),
    ("SalesPriceDate", "$715000 / 3 -2025"),
    ("DeedType", "WD"),
    ("PropertyType", "Residential"),
    ("AssessedFCV", "na"),
    ("Ownership", "NA"),
    ("MailingZip", "0"),
    ("SitusAddress", " ,  "),
    ("Anything", "1947-01-02T00:00:00Z"),
    ("OBJECTID", 980332),
    ("SalePrice", 4.2),
    ("name", None),
    ("documentCodes", ["N/TR SALE", "DEED TRST"]),
]


@pytest.mark.parametrize(("key", "value"), KEPT)
def test_codes_dates_numbers_and_labels_stay(to: Anonymiser, key: str, value: Any) -> None:
    assert _json(to, {key: value}) == {key: value}


REPLACED = [
    ("Ownership", "WEXLER ARTHUR/JUNE"),
    ("PropertyAddress", "10010 N 29TH ST PHOENIX, AZ 85028"),
    ("MailingZip", "85028"),
    ("PHYSICAL_STREET_NUM", "3674"),
    ("Whatever", "WEXLER"),
    ("Whatever", "Lee"),
    ("Notes", "call 602-555-0188"),
    ("OwnerPhone", "6025550188"),
    ("Fax2", "(602) 555-0188"),
    ("Whatever", "a.wexler@example.org"),
    ("OwnerID", "7D2F3B1A-0000-4C55-B0AA-0123456789AB"),
    ("Vin1", "CAV123456X"),
    ("LotSize", "WEXLER ARTHUR"),
    ("names", ["WEXLER ARTHUR"]),
    ("Whatever", 6025550188),
    ("MailingZip", 85028),
    ("docLongName", "WEXLER'S LIEN"),
]


@pytest.mark.parametrize(("key", "value"), REPLACED)
def test_what_is_not_known_is_replaced_by_the_same_shape(to: Anonymiser, key: str, value: Any) -> None:
    (made,) = _json(to, {key: value}).values()
    old, new = ("".join(each) if isinstance(each, list) else str(each) for each in (value, made))
    assert new != old
    if isinstance(value, str):
        assert [(char.isupper(), char.isalpha(), char.isdigit()) for char in new] == [
            (c.isupper(), c.isalpha(), c.isdigit()) for c in old
        ]
    for word in ("wexler", "arthur", "85028", "3674", "0188", "cav", "lee"):
        assert word not in new.lower()


def test_the_same_value_is_replaced_by_the_same_everywhere(to: Anonymiser) -> None:
    first = _json(to, {"Ownership": "WEXLER ARTHUR"})["Ownership"]
    assert _json(to, {"names": ["Arthur Wexler"]})["names"] == [" ".join(first.title().split()[::-1])]
    assert (
        to.url(
            "https://publicapi.recorder.maricopa.gov/documents/search?lastNames=WEXLER%20ARTHUR&pageSize=200"
        )
        == "https://publicapi.recorder.maricopa.gov/documents/search"
        f"?lastNames={first.replace(' ', '%20')}&pageSize=200"
    )
    assert first in to.html("<html><body><h3>Owner</h3><div>WEXLER ARTHUR</div></body></html>")
    assert first in to.said("Owner: expected a code, got 'WEXLER ARTHUR'")
    assert Anonymiser(b"another", ALLOWED).personal("WEXLER ARTHUR") != first


def test_what_was_a_person_s_is_nowhere_else_either(to: Anonymiser) -> None:
    to.body(b'{"Ownership": "WEXLER ARTHUR"}')
    assert "wexler" not in to.body(b'{"WEXLER": "WEXLER1", "error": "no wexler"}').decode().lower()
    assert "wexler" not in to.sweep("https://example.org/Wexler").lower()


@pytest.mark.parametrize(
    "said",
    [
        "expected text, got 'WEXLER ARTHUR 10010 N 29TH ST...",
        "got \"O'WEXLER ARTHUR\"; then 'x'",
        r"got 'O\'WEXLER ARTHUR'",
    ],
)
def test_evidence_that_quotes_a_person_does_not(to: Anonymiser, said: str) -> None:
    assert "WEXLER" not in to.said(said)
    assert "10010" not in to.said(said)


PAGE = """<!DOCTYPE html><html><head><title>Assessor WEXLER</title><meta name="csrf" content="abc123">
<script>var t = "5f1c";</script></head><body>
<!-- WEXLER --><input type="hidden" id="Token" value="0a1b2c3d-1111-2222-3333-444455556666">
<input type="hidden" name="__VIEWSTATE" value="zUuE7DNRWPQ/QL2">
<input type="hidden" id="Owner_Ownership" value="WEXLER ARTHUR">
<div class="td-header">Owner</div><a class="banner-text" href="/mcs/?q=WEXLER&amp;mod=pd">WEXLER ARTHUR</a>
<div class="td-header">Lot Size</div><div class="td-body">10,453</div>
<p>The current owner is Arthur Wexler, call (602) 555-0188.</p>
<table><thead><tr><th>Tax Year</th><th>Status</th><th>Owner</th><th>Total Due</th></tr></thead>
<tbody><tr><td>2025</td><td>Partially Paid</td><td>County Land</td><td>$1,234.56</td></tr></tbody></table>
<a href="mailto:a.wexler@example.org" onclick="x('WEXLER')" title="Wexler">mail</a>
<a class="__cf_email__" data-cfemail="5a3b" href="/cdn-cgi/l/email-protection#5a3b74">x</a>
<span data-owner="WEXLER" data-apn="16528054">10010 N 29TH ST</span>
<ul id="ptiNav"><li><a>Tax Summary</a></li></ul></body></html>"""


def test_of_a_page_headings_numbers_and_statuses_stay_and_persons_and_tokens_go(to: Anonymiser) -> None:
    made = to.body(PAGE.encode(), "text/html").decode()
    for gone in (
        "wexler",
        "arthur",
        "0a1b2c3d",
        "zuue",
        "abc123",
        "5f1c",
        "10010",
        "0188",
        "5a3b",
        "<script",
        "<!--",
        "onclick",
        "county land",
        "29th",
    ):
        assert gone not in made.lower(), gone
    page = Selector(text=made, type="html")
    assert page.css("th::text").getall() == ["Tax Year", "Status", "Owner", "Total Due"]
    assert page.css("td::text").getall()[:2] == ["2025", "Partially Paid"]
    assert page.css("td::text").getall()[3] == "$1,234.56"
    assert page.css("#ptiNav a::text").get() == "Tax Summary"
    assert page.css(".td-header::text").getall() == ["Owner", "Lot Size"]
    assert page.css(".td-body::text").get() == "10,453"
    assert page.css("#Token::attr(value)").get() == ""
    assert page.css("[data-apn]::attr(data-apn)").get() == "16528054"
    # The owner is the same one in the field and in the banner.
    assert page.css("#Owner_Ownership::attr(value)").get() == page.css(".banner-text::text").get()


def test_with_names_only_tokens_go() -> None:
    keeping = Anonymiser(b"k", ALLOWED, ["5f1c0de2-secret-of-ours"], keep_names=True)
    made = keeping.body(PAGE.encode(), "text/html").decode()
    assert "WEXLER ARTHUR" in made
    for gone in ("0a1b2c3d", "zUuE", "abc123", "<script", "5f1c"):
        assert gone not in made, gone
    assert (
        keeping.body(b'{"Ownership": "WEXLER", "token": "abc", "x": "5f1c0de2-secret-of-ours"}')
        .decode()
        .count("removed")
        == 2
    )
    assert "5f1c0de2" not in keeping.said("got '5f1c0de2-secret-of-ours'")


def test_a_body_that_is_neither_json_nor_a_page_is_still_no_leak(to: Anonymiser) -> None:
    cut = b'{"Owner": {"Ownership": "WEXLER ARTHUR", "OwnerPhone": "602-555-0188'
    assert b"WEXLER" not in to.body(cut, "application/json")
    assert b"0188" not in to.body(cut, "application/json")
    assert b"WEXLER" not in to.body(b"16528054|WEXLER ARTHUR|10010 N 29TH ST", "text/plain")
    assert to.body(b"PK\x03\x04\0\0WEXLER", "application/zip") == b"12 bytes, application/zip\n"
    assert to.body(b"User-agent: *\nDisallow: /\n", "text/plain") == b"User-agent: *\nDisallow: /"


# Keys of the captures whose values the parsers read as owner, mailing address, situs or party.
PERSONS = {
    "Ownership",
    "InCareOf",
    "MailingAddress1",
    "MailingAddress2",
    "MailingCity",
    "FullMailingAddress",
    "PropertyAddress",
    "address",
    "SitusAddress",
    "SitusCity",
    "OwnerName",
    "OwnerAddress",
    "OwnerPhone",
    "BusinessContactName",
    "BusinessContactAddress",
    "BusinessContactPhone",
    "AgentName",
    "AgentAddress",
    "AgentPhone",
    "Name1",
    "Name2",
    "Owner",
    "Contact",
    "Agent",
    "Address",
    "City",
    "names",
    "OwnerCity",
    "PropertyCity",
    "PropertyFullStreetAddress",
    "OWNER_NAME",
    "INCAREOF",
    "MAIL_ADDR1",
    "MAIL_ADDR2",
    "MAIL_CITY",
    "MAIL_ADDRESS",
    "PHYSICAL_ADDRESS",
    "PHYSICAL_STREET_NAME",
    "PHYSICAL_CITY",
}


def _persons(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in ("fields", "fieldAliases"):
                yield from _persons(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _persons(one, key)
    elif isinstance(value, str) and key in PERSONS:
        yield value


def _captured() -> list[Path]:
    return sorted(path for path in Path(CAPTURES).rglob("*") if path.is_file()) if CAPTURES else []


def _read(path: Path) -> set[str]:
    """What is a person's or an address in a captured body."""
    body = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix in (".json", ".geojson"):
        found = set(_persons(json.loads(body)))
    elif path.suffix == ".html":
        page = Selector(text=body, type="html")
        found = {
            *page.css("#Owner_Ownership::attr(value)").getall(),
            *page.css(".banner-text::text").getall(),
        }
        found |= set(page.css("[id$=lblRecDocName] ::text, [id$=lblRecDocName]::text").getall())
    elif path.name in (
        "secured_master_sample.txt",
        "residential_master_row.txt",
        "sales_affidavits_head.txt",
    ):
        rows = [line.split("|") for line in body.splitlines() if "|" in line]
        # Addresses: a number and words.
        found = {
            cell
            for row in rows
            for cell in row
            if len(LETTERS.findall(cell)) >= 2 and any(char.isdigit() for char in cell)
        }
    else:
        found = set()
    return {" ".join(text.split()) for text in found if text.strip() and text.strip() not in ("NA", "N/A")}


@needs_captures
def test_of_every_captured_body_no_person_is_left(to: Anonymiser) -> None:
    paths = _captured()
    assert len(paths) >= 60
    persons = 0
    for path in paths:
        body = path.read_bytes()
        # A bundle is made in two passes.
        to.body(body)
        made = to.body(body).decode("utf-8", "ignore")
        squeezed = " ".join(made.split())
        words = {word.casefold() for word in LETTERS.findall(made)}
        for text in _read(path):
            persons += 1
            known = {word.casefold() for word in LETTERS.findall(text)} <= ALLOWED
            assert known or text not in squeezed, (path, text)
            left = {word.casefold() for word in LETTERS.findall(text) if len(word) >= 4} - ALLOWED
            assert not left & words, (path, left & words)
    assert persons > 200


@needs_captures
def test_the_keys_of_persons_are_known_as_such() -> None:
    assert {key for key in PERSONS if not is_person_key(key)} == set()
