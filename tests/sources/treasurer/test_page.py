"""The treasurer's parser, on reconstructed pages: no real one was ever captured."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.parsing.errors import Malformed, PageError, SourceChanged, WrongParcel
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.sources.treasurer.page import Page, parse_page
from maricopa_scrapy.sources.treasurer.records import TaxAccount, TaxBill
from maricopa_scrapy.sources.treasurer.tabs import Tabs, keep, pack, unpack
from tests.helpers.treasurer_skins import layout

APN = "12345678"
SUMMARY = ["", "Tax Year", "Status", "Assessed Tax", "Tax Paid", "Interest/Fees", "Total Due"]
HISTORY = ["", "Tax Year", "Description", "Amount", "Paid Date"]
PLAIN = [*SUMMARY[:5], SUMMARY[6]]
PAID = ["+", "2024", "Paid", "$1,234.56", "$1,234.56", "$0.00", "$0.00"]
OWED = ["+", "2025", "Unpaid", "$1,000.00", "$500.00", "$20.00", "$520.00"]
BLOCKS = (
    "<h3>Parcel 123-45-678-9</h3><p></p><h3>Owner</h3><p>A TRUST<br>1 N MAIN ST</p><h3>Property"
    " Situs</h3><p>2 S MAIN ST</p>"
)


LAYOUT = layout()


def grid(headings: list[str], rows: list[list[str]], none: str = "", more: str = "") -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td><span>{cell}</span></td>" for cell in row) + "</tr>" for row in rows
    )
    body += f'<tr class="k-grid-norecords"><td>{none}</td></tr>' if none else ""
    table = f'<table class="k-grid-table"><tbody>{body}</tbody></table>'
    return f'<div class="k-grid"><table><thead><tr>{head}</tr></thead></table>{table}{more}</div>'


def page(grids: str, blocks: str = BLOCKS) -> str:
    return (
        f'<html><body><div><div class="container">{blocks}</div><div'
        f' class="container-fluid">{grids}</div></div></body></html>'
    )


def read(summary: str, payments: str | None = None) -> Page:
    tabs = {"summary": summary} | ({"payments": payments} if payments is not None else {})
    return parse_page(pack(Tabs("parcel", tabs, 1)), APN, LAYOUT)


def of(kind: type, found: Page) -> list[Any]:
    return [record for record in found.records if isinstance(record, kind)]


def replaced(row: list[str], **cells: str) -> list[str]:
    return [cells.get(f"c{at}", cell) for at, cell in enumerate(row)]


WRONG: dict[str, tuple[str, type[PageError], str]] = {
    "status in part": (page(grid(SUMMARY, [replaced(OWED, c2="Not Paid")])), SourceChanged, "summary.status"),
    "unpaid, but nothing due": (
        page(grid(SUMMARY[:5] + SUMMARY[6:], [[*OWED[:5], "$0.00"]])),
        SourceChanged,
        "summary.status",
    ),
    "money in odd groups": (
        page(grid(SUMMARY, [replaced(OWED, c3="$10,00.00")])),
        SourceChanged,
        "summary.assessed",
    ),
    "negative tax": (
        page(grid(SUMMARY, [replaced(OWED, c3="-$1,000.00")])),
        SourceChanged,
        "summary.assessed",
    ),
    "a heading gone": (page(grid(["", *SUMMARY[2:]], [[*OWED[1:]]])), SourceChanged, "summary.headings"),
    "two grids": (page(grid(SUMMARY, [OWED]) + grid(SUMMARY, [PAID])), SourceChanged, "summary.headings"),
    "a pager without numbers": (
        page(grid(SUMMARY, [OWED], more='<i class="k-pager"><b>1</b><b>2</b></i>')),
        SourceChanged,
        "summary.pager",
    ),
    "a pager beside the grid": (
        page(grid(SUMMARY, [OWED]) + '<i class="k-pager">1 2</i>'),
        SourceChanged,
        "summary.pager",
    ),
    "a pager of a later page": (
        page(
            grid(SUMMARY, [OWED], more='<i class="k-pager"><b class="k-pager-info">2 - 2 of 2 items</b></i>')
        ),
        SourceChanged,
        "summary.pager",
    ),
    "none, and a pager": (
        page(grid(SUMMARY, [], "No tax records.", '<i class="k-pager">1 2</i>')),
        SourceChanged,
        "summary.pager",
    ),
    "a lien of which nothing is due": (
        page(grid(SUMMARY, [replaced(OWED, c2="Tax Lien", c4="$1,020.00", c6="$0.00")])),
        SourceChanged,
        "summary.status",
    ),
    "values shifted": (
        page(grid(PLAIN, [[*OWED[:3], "$500.00", "$520.00", "$1,000.00"]])),
        SourceChanged,
        "summary.amount_due",
    ),
    "values reversed": (
        page(grid(PLAIN, [[*OWED[:3], "$520.00", "$0.00", "$500.00"]])),
        SourceChanged,
        "summary.amount_due",
    ),
    "values reversed where nothing was ever paid": (
        page(
            grid(
                SUMMARY,
                [
                    ["+", "2025", "Unpaid", "$900.00", "$0.00", "$0.00", "$900.00"],
                    ["+", "2024", "Unpaid", "$1,020.00", "$120.00", "$0.00", "$900.00"],
                ],
            )
        ),
        SourceChanged,
        "summary.interest",
    ),
    "another word for none": (page(grid(SUMMARY, [], "Loading")), SourceChanged, "summary.rows"),
    "two parcels": (
        page(grid(SUMMARY, [OWED]), BLOCKS.replace("2 S MAIN", "123-45-679")),
        WrongParcel,
        "account",
    ),
    "no parcel": (page(grid(SUMMARY, [OWED]), BLOCKS.replace("123-45-678-9", "")), SourceChanged, "account"),
    "an owner's heading alone": (
        page(grid(SUMMARY, [OWED]), BLOCKS.replace("<p>A TRUST<br>1 N MAIN ST</p>", "")),
        SourceChanged,
        "account.owner",
    ),
    "no grid": ("<html><body>$12.00</body></html>", SourceChanged, "account"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_certain_is_an_error_and_no_value(case: str) -> None:
    html, kind, path = WRONG[case]
    with pytest.raises(kind) as error:
        read(html)
    assert type(error.value) is kind
    assert error.value.path == path


def test_a_number_in_an_owner_s_name_is_no_parcel() -> None:
    found = read(page(grid(SUMMARY, [PAID]), BLOCKS.replace("A TRUST", "TRUST NO 80001234 602-555-0123")))
    assert of(TaxAccount, found)[0].owner == "TRUST NO 80001234\n1 N MAIN ST"


def test_a_pager_that_shows_all_is_well() -> None:
    more = '<div class="k-pager"><b>1</b><span class="k-pager-info">1 - 2 of 2 items</span></div>'
    assert len(of(TaxBill, read(page(grid(SUMMARY, [OWED, PAID], more=more))))) == 2
    other = (
        '<div class="k-grid"><table><thead><tr><th>Notice</th></tr></thead></table><i class="k-pager">1'
        " 2</i></div>"
    )
    assert len(of(TaxBill, read(page(grid(SUMMARY, [OWED]) + other)))) == 1


def absent(text: str, layout: Layout) -> Page:
    view = f'<div id="propertyOwnerSearchResultColumn">{text}</div>'
    return parse_page(pack(Tabs("absent", {"summary": view}, 1)), APN, layout)


KNOWN = layout(absent_texts=["Nothing found.", "123-45-678 A TRUST"])


def test_absent_when_the_search_s_view_says_so() -> None:
    assert not absent("<b>Nothing</b> found.", KNOWN).exists


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Loading...",
        "Error",
        "Nothing found. Loading",
        "123-45-678 A TRUST",
        '</div><p>Nothing found.</p><div id="propertyOwnerSearchResultColumn">Nothing found.',
    ],
)
def test_no_other_view_says_that_there_is_none(text: str) -> None:
    with pytest.raises(SourceChanged):
        absent(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "PO BOX 602555 0142",
        "PO BOX 602555-0142",
        "ACCOUNT #602-555-0142",
        "LOT 602 155 0142",
        "PHOENIX AZ 85003-1234",
        "123-45-678-9",
    ],
)
def test_digits_that_are_no_telephone_number_stay(text: str) -> None:
    found = read(page(grid(SUMMARY, [PAID]), BLOCKS.replace("1 N MAIN ST", text)))
    assert of(TaxAccount, found)[0].owner == f"A TRUST\n{text}"


@pytest.mark.parametrize(
    "text",
    ["(602) 555-0142", "602-555-0142", "602.555.0142", "602 555 0142", "+1 602 555 0142", "1-800-555-0142"],
)
def test_telephone_numbers_go(text: str) -> None:
    assert keep(f"<p>Call {text} now</p>") == "<p>Call  now</p>"


def test_what_is_kept_has_no_telephone_number_and_reads_the_same() -> None:
    html = page(grid(SUMMARY, [OWED, PAID])).replace(
        "<body>", '<body><script>1</script><a href="tel:+16025550142">(602) 555-0142</a>'
    )
    kept = keep(html)
    assert "555" not in kept
    assert "<script>" not in kept
    assert keep(kept) == kept
    assert read(kept).records == read(html).records
    with pytest.raises(Malformed):
        unpack(b"[]")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.integers(0, 2_000), st.integers(0, 40))
def test_whatever_the_page_only_page_errors_are_raised(text: str, at: int, cut: int) -> None:
    html = page(grid(SUMMARY, [OWED, PAID]))
    broken = html[:at] + text + html[at + cut :]
    try:
        found = read(broken)
    except PageError:
        return
    # What is read is what stands there: nothing is paid that was not.
    assert all(bill.amount_due == 0 for bill in of(TaxBill, found) if bill.status == "paid")


@given(st.binary(max_size=100))
def test_whatever_the_bytes_only_page_errors_are_raised(body: bytes) -> None:
    with pytest.raises(PageError):
        parse_page(body, APN, LAYOUT)
