"""The assessor's public page: what is read, and whose page it is. But for two captured ones, pages are
synthetic.
"""

import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsel import Selector

from maricopa_scrapy.configuration import load
from maricopa_scrapy.parsing.errors import Malformed, NotFound, PageError, WrongParcel
from maricopa_scrapy.sandbox.assessor.public_page import HIDDEN_TOKEN, page
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.assessor.public_page import SECTIONS, Layout, Page, parse_page
from maricopa_scrapy.sources.assessor.public_page_records import PageParcel
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets

_, MANIFESTS = load()
LABELS = MANIFESTS["assessor_page"].labels
assert LABELS is not None
LAYOUT = Layout(**dict(LABELS))
APN = "90101001A"
TRUTH = County().parcel(County().apns(1)[0])
HTML = page(APN, TRUTH).decode()
NEW = "https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}"
CAPTURES = os.environ.get("MARICOPA_CAPTURES")

SITUS = "10 N EXAMPLE ST PHOENIX, AZ 85001"
CELLS = {
    "In Care Of": "SOMEBODY",
    "Mailing Address": "1 E EXAMPLE ST<br>PHOENIX, AZ 85001",
    "Deed Number": "<a href='#'>20180142724</a>",
    "Last Deed Date": "2/6/2018",
    "Sale Date": "04/01/2021",
    "Sale Price": "$1,215,000",
    "Description": "EXAMPLE PLACE 3",
    "Lot Size": "17,097 sq ft.",
    "MCR": "09641",
    "Lot #": "007",
    "S/T/R": "22 2S 6E",
    "Market Area/Neighborhood": "05/009",
    "Subdivision (1,223 Parcels)": "EXAMPLE PLACE",
    "High School District": "HIGH #80",
    "Elementary School District": "ELEMENTARY",
    "Local Jurisdiction": "GILBERT",
}
COLUMN = {
    "In Care Of": "in_care_of",
    "Mailing Address": "mailing_address",
    "Deed Number": "deed_number",
    "Last Deed Date": "deed_date",
    "Sale Date": "sale_date",
    "Sale Price": "sale_price",
    "Description": "property_description",
    "Lot Size": "lot_size_sqft",
    "MCR": "mcr",
    "Lot #": "lot",
    "S/T/R": "section_township_range",
    "Market Area/Neighborhood": "assessor_market",
    "Subdivision (1,223 Parcels)": "subdivision_name",
    "High School District": "high_school_district",
    "Elementary School District": "elementary_school_district",
    "Local Jurisdiction": "jurisdiction",
}
SECTION_OF = {column: name for name, columns in SECTIONS.items() for column in columns}
OWNER = "EXAMPLE ONE &amp; SON"


def html(
    cells: dict[str, str] | None = None,
    heading: str = f"<input id='APN_RAW' value='{APN}'>",
    tail: str = "",
    owner: str | None = OWNER,
    link: str | None = None,
    sentence: str | None = None,
    situs: str = SITUS,
    kind: str = "Residential Parcel",
) -> str:
    """A page with just what is read. `owner` None: no hidden field; its other two places say the same unless
    `link` or `sentence` do.
    """
    pairs = CELLS if cells is None else cells
    rows = "".join(
        f"<div class='td-header x'>{label} <i></i>:</div><div class='td-body'>{value}</div>"
        for label, value in pairs.items()
    )
    hidden = "" if owner is None else f"<input type='hidden' value='{owner}' id='Owner_Ownership'>"
    said = owner or "" if sentence is None else sentence
    return (
        f"<!DOCTYPE html><html><head><title>Assessor</title></head><body>{heading}<div class='x"
        " parcel-section'>"
        f"<div class='banner-text'><h3>{kind}</h3></div><p id='property-glance'>This is one located at"
        f" <a>{situs}</a>."
        f" The current owner is {said}. It is here.</p></div>"
        f"<div class='parcel-section'><div class='banner-text y'><a href='#'> {situs}</a></div></div>"
        f"<div id='owner'><div class='banner-text'><a>{owner or '' if link is None else link}</a></div></div>"
        f"{rows}{hidden}{tail}</body></html>"
    )


def parse(text: str, apn: str = APN) -> Page:
    return parse_page(text.encode(), apn, LAYOUT, NEW)


def record(text: str) -> PageParcel:
    found = parse(text).record
    assert found is not None
    return found


WHOLE = PageParcel(
    apn=APN,
    ownership="EXAMPLE ONE & SON",
    in_care_of="SOMEBODY",
    mailing_address="1 E EXAMPLE ST PHOENIX, AZ 85001",
    is_redacted=False,
    deed_number="20180142724",
    deed_date=dt.date(2018, 2, 6),
    sale_date=dt.date(2021, 4, 1),
    sale_price=1_215_000,
    property_address=SITUS,
    property_type="Residential",
    property_description="EXAMPLE PLACE 3",
    lot_size_sqft=17_097,
    mcr="09641",
    lot="007",
    section_township_range="22 2S 6E",
    assessor_market="05",
    area_neighborhood="009",
    subdivision_name="EXAMPLE PLACE",
    parcels_in_subdivision=1223,
    high_school_district="HIGH #80",
    elementary_school_district="ELEMENTARY",
    jurisdiction="GILBERT",
)


@pytest.mark.parametrize("nothing", ["", "n/a", "N/A", " &nbsp; "])
def test_what_the_page_does_not_say_is_null(nothing: str) -> None:
    for label, column in COLUMN.items():
        stored = record(html(CELLS | {label: nothing}))
        gone = {column, "area_neighborhood"} if column == "assessor_market" else {column}
        assert stored == WHOLE.model_copy(update=dict.fromkeys(gone)), label
        assert stored.absent == frozenset()
    with pytest.raises(NotFound):
        parse(html(dict.fromkeys(CELLS, nothing), owner="", situs="", kind="").replace("(1,223 Parcels)", ""))


@pytest.mark.parametrize("label", CELLS)
def test_a_label_that_is_missing_or_renamed_is_an_absent_column_and_told(label: str) -> None:
    column = COLUMN[label]
    gone = {
        "assessor_market": {column, "area_neighborhood"},
        "subdivision_name": {column, "parcels_in_subdivision"},
    }.get(column, {column})
    without = {name: value for name, value in CELLS.items() if name != label}
    for cells, new in (
        (without, []),
        (without | {f"The {label}": CELLS[label]}, [f"the {label.partition(' (')[0].lower()}"]),
    ):
        found = parse(html(cells))
        assert found.record == WHOLE.model_copy(update=dict.fromkeys(gone))
        assert found.record.absent == gone
        assert LAYOUT.columns[column][0] in found.notes.absent
        assert (list(found.notes.new), found.notes.unread) == (new, {})


@pytest.mark.parametrize("label", CELLS)
def test_a_label_that_is_said_twice_costs_its_section(label: str) -> None:
    name = SECTION_OF[COLUMN[label]]
    found = parse(html(tail=f"<table><tr><th>{label}</th><td>another</td></tr></table>"))
    assert found.record == WHOLE.model_copy(update=dict.fromkeys(SECTIONS[name]))
    assert found.record.absent == set(SECTIONS[name])
    assert {section: error.path for section, error in found.notes.unread.items()} == {
        name: LAYOUT.columns[COLUMN[label]][0]
    }
    same = f"<dl><dt>{label.upper()}</dt><dd>{CELLS[label]}</dd></dl>"
    assert record(html(tail=same)) == WHOLE


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("Lot Size", "0.24 acres"),
        ("Lot Size", "17097"),
        ("Lot Size", "1,70 sq ft"),
        ("Lot Size", "-5 sq ft"),
        ("Sale Price", "470000 or more"),
        ("Sale Price", "$470.5"),
        ("Sale Price", "$4,70"),
        ("Sale Price", "$470,000 (2021)"),
        ("Last Deed Date", "2018-02-26"),
        ("Last Deed Date", "13/40/2018"),
        ("Sale Date", "04/01/21"),
        ("Sale Date", "April 2021"),
        ("MCR", "9" * 65),
        ("Deed Number", "1" * 65),
        ("Mailing Address", "X" * 4001),
        ("Market Area/Neighborhood", "05"),
    ],
)
def test_a_value_of_another_form_costs_its_section(label: str, value: str) -> None:
    name = SECTION_OF[COLUMN[label]]
    found = parse(html(CELLS | {label: value}))
    assert found.record == WHOLE.model_copy(update=dict.fromkeys(SECTIONS[name]))
    assert found.record.absent == set(SECTIONS[name])
    assert {section: error.path for section, error in found.notes.unread.items()} == {
        name: LAYOUT.columns[COLUMN[label]][0]
    }


@pytest.mark.parametrize("owner", ["NA", "N/A", " na "])
@pytest.mark.parametrize("mailing", ["NA", "N/A", "NA, NA, NA 0", "NA NA 0", ""])
def test_a_withheld_owner_leaves_no_name_and_no_address(owner: str, mailing: str) -> None:
    found = record(html(CELLS | {"Mailing Address": mailing}, owner=owner, situs="N/A"))
    assert found == WHOLE.model_copy(
        update=dict.fromkeys(SECTIONS["owner"]) | {"is_redacted": True, "property_address": None}
    )
    # Nothing of it stays in a stored row either.
    assert found.absent == frozenset()


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("<h1>901-01-001A Residential</h1>", None),
        ("<input id='APN_RAW' value='901-01-001-a'>", None),
        ("<a href='https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel=90101001A'>taxes</a>", None),
        ("<input id='APN_RAW' value='90101001'>", WrongParcel),
        ("<h1>901-01-002</h1>", WrongParcel),
        (f"<h1>901-01-002</h1><input id='APN_RAW' value='{APN}'>", WrongParcel),
        ("<input id='APN_RAW' value='none'>", WrongParcel),
        ("<a href='https://treasurer.maricopa.gov/x?parcel=90101002'>taxes</a>", WrongParcel),
        ("", Malformed),
        (f"<p>Similar to {APN}</p>", Malformed),
        (f"<input name='q' value='{APN}'>", Malformed),
    ],
)
def test_whose_page_it_is(heading: str, kind: type[PageError] | None) -> None:
    if kind is None:
        assert record(html(heading=heading)) == WHOLE
    else:
        with pytest.raises(kind):
            parse(html(heading=heading))


# What a client has seen counts alone; the box for searches repeats what was asked for.
SAYS_NONE = [
    "No parcel found: 90101001A",
    f"Parcel not found: {APN}",
    f"Parcel not found <input value='{APN}'>",
    "<h3>PARCEL NOT FOUND</h3>",
]
SAYS_NOTHING = [
    "No results found.",
    "No results found for 190101001A",
    "901-01-001A",
    "Parcel not found: 90101002",
    "Parcel not found <input value='901-01-002'>",
    f"Search<script>'No results found for {APN}'</script>",
]


@pytest.mark.parametrize("text", SAYS_NONE)
def test_words_and_the_parcel_together_say_that_there_is_none(text: str) -> None:
    assert parse(f"<html><body><h1>Search</h1><p>{text}</p></body></html>").record is None


@pytest.mark.parametrize("text", SAYS_NOTHING)
def test_nothing_else_says_that_there_is_none(text: str) -> None:
    with pytest.raises(Malformed):
        parse(f"<html><body><h1>Search</h1><p>{text}</p></body></html>")


def test_a_cut_page_gives_nothing() -> None:
    for length in range(0, len(HTML) - 9, 97):
        with pytest.raises(PageError):
            parse(HTML[:length])


@given(st.binary() | st.text().map(lambda text: html(tail=text).encode("utf-8", "replace")))
def test_any_bytes_give_a_page_or_a_page_error(body: bytes) -> None:
    for kept in (body, without_secrets(body)):
        try:
            found: Any = parse_page(kept, APN, LAYOUT, NEW)
        except PageError as error:
            found = error
        assert isinstance(found, Page | PageError)


TOKENS = (
    "INVENTEDTOKEN%2F%252Bvalue",
    "a>b'c=long+enough",
    "12345678-1234-1234-1234-123456789abc",
    "short",
    "30477566",
)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "form",
    [
        '<input type="hidden" value="{0}" id="Token" />',
        '<input id="Token" value="{0}">',
        '<INPUT VALUE="{0}" NAME=token>',
        '<input name="__RequestVerificationToken" type="hidden" value="{0}">',
        '<meta name="csrf-token" content="{0}">',
        '<p data-token="{0}"></p>',
        "<script>var t = '{0}'</script>",
        "<SCRIPT type=x>cut {0}",
        '<input type="hidden" value="{0}',
    ],
)
def test_the_site_s_own_token_is_not_kept_in_any_form(form: str, token: str) -> None:
    kept = without_secrets(f"<p>before</p>{form.format(token)}".encode())
    assert token.encode() not in kept
    assert kept.startswith(b"<p>before</p>")
    # Said in no error either, wherever the body was cut.
    for length in range(20):
        with pytest.raises(PageError) as caught:
            parse(f"<html><body>{form.format(token)}</p>{'x' * length}")
        assert token not in str(caught.value)
    unbalanced = without_secrets(
        b'<p>before</p><input title="un"balanced" value="' + b"x" * 20 + b'" id="Token"><p>'
    )
    assert unbalanced == b"<p>before</p><p>"


def _said(text: str, apn: str = APN) -> tuple[Any, ...]:
    found = parse(text, apn)
    return found.record, found.notes.new, found.notes.absent, found.notes.unread, found.moved


def test_the_token_goes_wherever_it_stands_and_nothing_of_the_parcel_does() -> None:
    kept = without_secrets(HTML.encode())
    assert HTML.count(HIDDEN_TOKEN) == 1
    assert HIDDEN_TOKEN.encode() not in kept
    assert _said(kept.decode()) == _said(HTML)
    assert without_secrets(kept) == kept
    repeated = HTML.replace("<footer>", f"<footer><a href='/x?t={HIDDEN_TOKEN}'>x</a>").encode()
    assert HIDDEN_TOKEN.encode() not in without_secrets(repeated)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_captured_page_for_unknown_addresses_is_no_parcel() -> None:
    body = (Path(CAPTURES or ".") / "assessor" / "soft404_page.html").read_bytes()
    with pytest.raises(Malformed):
        parse_page(without_secrets(body), APN, LAYOUT, NEW)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_captured_page_is_read_whole() -> None:
    body = (Path(CAPTURES or ".") / "assessor" / "page_30477566.html").read_bytes()
    found = parse_page(body, "30477566", LAYOUT, NEW)
    assert found.record == PageParcel(
        apn="30477566",
        ownership="EXAMPLE REVOCABLE TRUST",
        in_care_of="EXAMPLE RILEY D/SAM A TR",
        mailing_address="2889 E JANELLE WAY, GILBERT, AZ 85298",
        is_redacted=False,
        deed_number="20260162239",
        deed_date=dt.date(2026, 3, 20),
        sale_date=None,
        sale_price=None,
        property_address="2778 E COURTNEY ST GILBERT, AZ 85298",
        property_type="Residential",
        property_description="SHAMROCK ESTATES PHASE 2A MCR 799-38",
        lot_size_sqft=11_834,
        lot="224",
        mcr="79938",
        section_township_range="22 2S 6E",
        assessor_market="26",
        area_neighborhood="006",
        subdivision_name="SHAMROCK ESTATES PHASE 2A",
        parcels_in_subdivision=223,
        high_school_district="CHANDLER UNIFIED #80",
        elementary_school_district="CHANDLER UNIFIED SCHOOL DISTRICT",
        jurisdiction="GILBERT",
    )
    assert (found.notes.new, found.notes.absent, found.notes.unread, found.moved) == ({}, {}, {}, None)
    (token,) = re.findall(rb'value="([^"]+)" id="Token"', body)
    kept = without_secrets(body)
    assert token not in kept
    assert _said(kept.decode(), "30477566") == (found.record, {}, {}, {}, None)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_sandbox_s_page_has_the_captured_one_s_shape() -> None:
    real = Selector(text=(Path(CAPTURES or ".") / "assessor" / "page_30477566.html").read_text(), type="html")
    ours = Selector(text=HTML, type="html")
    labels = [
        [
            re.sub(r"[\d,]+", "9", " ".join(text.split()))
            for text in page.css(".td-header").xpath("string()").getall()
        ]
        for page in (real, ours)
    ]
    lacking = {"Improvement Quality", "Detached Livable Area", "Carport Stalls", "Locational Characteristics"}
    assert [label for label in labels[0] if label not in lacking] == labels[1]
    hidden = [page.xpath("//input[@type='hidden']/@id").getall() for page in (real, ours)]
    assert hidden[0] == hidden[1]
    for place in (
        "//*[@id='owner']",
        "//*[@id='property-glance']/a",
        "//*[contains(@class, 'parcel-section')]//h3",
    ):
        assert len(real.xpath(place)) == len(ours.xpath(place)), place
