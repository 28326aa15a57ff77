"""The assessor's public page: what is read, and that nothing is read from a page that is not as it should be. Pages are synthetic."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maricopa_scrapy.items_page import PageParcel
from maricopa_scrapy.pages.assessor_page import Layout, Page, parse_page, without_scripts
from maricopa_scrapy.pages.errors import Malformed, NotFound, PageError, SourceChanged, WrongParcel
from maricopa_scrapy.sandbox.assessor_page import HIDDEN_TOKEN, page
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.settings_files import load

_, MANIFESTS = load()
LABELS = MANIFESTS["assessor_page"].labels
assert LABELS is not None
LAYOUT = Layout(**dict(LABELS))
APN = "90101001A"
TRUTH = County().parcel(County().apns(1)[0])
HTML = page(APN, TRUTH).decode()
NEW = "https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}"
CAPTURES = os.environ.get("MARICOPA_CAPTURES")

CELLS = {
    "Owner": "EXAMPLE&nbsp;ONE &amp; <b>SON</b>", "In Care Of": "SOMEBODY", "Mailing Address": "1 E EXAMPLE ST<br>PHOENIX, AZ 85001",
    "Deed Number": "<a href='#'>20180142724</a>", "Last Deed Date": "2/6/2018", "Sale Date": "04/01/2021", "Sale Price": "$1,215,000",
    "Description": "EXAMPLE PLACE 3", "Lot Size": "17,097 sq ft.", "MCR": "09641",
}  # fmt: skip


def html(cells: dict[str, str] | None = None, heading: str = f"<input id='APN_RAW' value='{APN}'>", tail: str = "", **changed: str) -> str:
    pairs = (cells or CELLS) | {name.replace("_", " "): value for name, value in changed.items()}
    rows = "".join(f"<div class='td-header x'>{label} <i></i>:</div><div class='td-body'>{value}</div>" for label, value in pairs.items())
    return f"<!DOCTYPE html><html><head><title>Assessor</title></head><body>{heading}{rows}{tail}</body></html>"


def parse(text: str, apn: str = APN) -> Page:
    return parse_page(text.encode(), apn, LAYOUT, NEW)


def record(text: str) -> PageParcel:
    found = parse(text).record
    assert found is not None
    return found


def test_every_column() -> None:
    assert record(html()) == PageParcel(
        apn=APN, ownership="EXAMPLE ONE & SON", in_care_of="SOMEBODY", mailing_address="1 E EXAMPLE ST PHOENIX, AZ 85001",
        deed_number="20180142724", deed_date=dt.date(2018, 2, 6), sale_date=dt.date(2021, 4, 1), sale_price=1_215_000,
        property_description="EXAMPLE PLACE 3", lot_size_sqft=17_097, mcr="09641",
    )  # fmt: skip
    assert parse(html()).new_labels == []


@pytest.mark.parametrize("nothing", ["", "n/a", "N/A", " &nbsp; "])
def test_what_the_page_does_not_say_is_null(nothing: str) -> None:
    label_of = dict(zip(PageParcel.model_fields, [None, *CELLS], strict=True))
    for column, label in label_of.items():
        if label is not None:
            stored = record(html(CELLS | {label: nothing}))
            assert getattr(stored, column) is None, column
            assert sum(value is not None for value in stored.__dict__.values()) == 10
    without = {label: value for label, value in CELLS.items() if label != "In Care Of"}
    assert record(html(without)).in_care_of is None
    with pytest.raises(NotFound):
        parse(html(dict.fromkeys(CELLS, nothing)))


@pytest.mark.parametrize("label", [label for label in CELLS if label != "In Care Of"])
def test_a_label_that_is_missing_renamed_or_said_twice_is_a_change(label: str) -> None:
    without = {name: value for name, value in CELLS.items() if name != label}
    for cells in (without, without | {f"The {label}": CELLS[label]}):
        with pytest.raises(SourceChanged, match=f"^{label}: "):
            parse(html(cells))
    with pytest.raises(SourceChanged, match=f"^{label}: "):
        parse(html(tail=f"<table><tr><th>{label}</th><td>another</td></tr></table>"))
    same = f"<dl><dt>{label.upper()}</dt><dd>{CELLS[label]}</dd></dl>"
    assert record(html(tail=same)) == record(html())


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("Lot Size", "0.24 acres"), ("Lot Size", "17097"), ("Lot Size", "1,70 sq ft"), ("Lot Size", "-5 sq ft"),
        ("Sale Price", "470000 or more"), ("Sale Price", "$470.5"), ("Sale Price", "$4,70"), ("Sale Price", "$470,000 (2021)"),
        ("Last Deed Date", "2018-02-26"), ("Last Deed Date", "13/40/2018"), ("Sale Date", "04/01/21"), ("Sale Date", "April 2021"),
        ("MCR", "9" * 65), ("Deed Number", "1" * 65), ("Owner", "X" * 4001),
    ],
)  # fmt: skip
def test_a_value_of_another_form_is_a_change(label: str, value: str) -> None:
    with pytest.raises(SourceChanged, match=f"^{label}: "):
        parse(html(CELLS | {label: value}))


def test_cells_of_scripts_and_headings_of_columns_are_not_read() -> None:
    tail = (
        "<div class='td-header'>Lot Size</div><div class='td-body' id='ResidentialPropertyData_LotSize'>1 sq ft.</div>"
        "<table><tr><th>Sale Price</th><th>Sale Date</th></tr><tr><td>$1</td><td>01/01/2001</td></tr></table>"
        "<div class='td-header'>Green Score</div><div class='td-body'>7</div>"
        "<script>var x = \"<div class='td-header'>MCR</div><div>1</div>\";</script>"
    )
    found = parse(html(tail=tail))
    assert found.record == record(html())
    assert found.new_labels == ["green score"]


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("<h1>901-01-001A Residential</h1>", None), ("<input id='APN_RAW' value='901-01-001-a'>", None),
        ("<a href='https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel=90101001A'>taxes</a>", None),
        ("<input id='APN_RAW' value='90101001'>", WrongParcel), ("<h1>901-01-002</h1>", WrongParcel),
        (f"<h1>901-01-002</h1><input id='APN_RAW' value='{APN}'>", WrongParcel), ("<input id='APN_RAW' value='none'>", WrongParcel),
        ("<a href='https://treasurer.maricopa.gov/x?parcel=90101002'>taxes</a>", WrongParcel),
        ("", Malformed), (f"<p>Similar to {APN}</p>", Malformed), (f"<input name='q' value='{APN}'>", Malformed),
    ],
)  # fmt: skip
def test_whose_page_it_is(heading: str, kind: type[PageError] | None) -> None:
    if kind is None:
        assert record(html(heading=heading)) == record(html())
    else:
        with pytest.raises(kind):
            parse(html(heading=heading))


def test_only_words_and_the_parcel_together_say_that_there_is_none() -> None:
    def said(text: str, tail: str = "") -> str:
        return f"<html><body><h1>Search</h1><p>{text}</p>{tail}</body></html>"

    assert parse(said("No  results found for <b>901-01-001a</b>.")).record is None
    assert parse(said("No parcel found: 90101001A")).record is None
    for text in ("No results found.", "No results found for 901-01-001", "No results found for 190101001A", "901-01-001A"):
        with pytest.raises(Malformed):
            parse(said(text))
    with pytest.raises(Malformed):
        parse(said("Search", f"<script>'No results found for {APN}'</script>"))
    # A parcel's own page may have such words in a corner.
    assert parse(html(tail=f"<p>No results found in rentals for {APN}</p>")).record == record(html())


def test_a_link_to_a_treasurer_that_moved() -> None:
    assert parse(html(tail=f"<a href='{NEW.format(apn=APN)}'>taxes</a>")).moved is None
    old = f"https://treasurer.maricopa.gov/parcel/default.aspx?Parcel={APN}"
    assert parse(html(tail=f"<a href='{old}'>taxes</a>")).moved == old


def test_a_cut_page_gives_nothing() -> None:
    for length in range(0, len(HTML) - 9, 97):
        with pytest.raises(PageError):
            parse(HTML[:length])
    with pytest.raises(Malformed):
        parse_page(html(Owner="MUÑOZ").encode("latin-1"), APN, LAYOUT)


@given(st.binary() | st.text().map(lambda text: html(tail=text).encode("utf-8", "replace")))
def test_any_bytes_give_a_page_or_a_page_error(body: bytes) -> None:
    for kept in (body, without_scripts(body)):
        try:
            found: Any = parse_page(kept, APN, LAYOUT, NEW)
        except PageError as error:
            found = error
        assert isinstance(found, Page | PageError)


def test_the_site_s_own_token_is_not_kept() -> None:
    body = f"<p data-key='{HIDDEN_TOKEN}'></p><SCRIPT type=x>var t = '{HIDDEN_TOKEN}'</SCRIPT><script>cut {HIDDEN_TOKEN}".encode()
    assert HIDDEN_TOKEN.encode() not in without_scripts(body)
    kept = without_scripts(HTML.encode())
    assert HIDDEN_TOKEN in HTML
    assert HIDDEN_TOKEN.encode() not in kept
    assert parse_page(kept, APN, LAYOUT, NEW) == parse(HTML)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_captured_page_for_unknown_addresses_is_no_parcel() -> None:
    body = (Path(CAPTURES or ".") / "assessor" / "soft404_page.html").read_bytes()
    with pytest.raises(Malformed):
        parse_page(without_scripts(body), APN, LAYOUT, NEW)
