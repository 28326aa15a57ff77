"""The treasurer's parser by manifests unlike the shipped one: each thing that may be otherwise on a page that
nobody has seen.
"""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.items import Signs
from maricopa_scrapy.parsing.errors import Malformed, PageError, SourceChanged, WrongParcel
from maricopa_scrapy.parsing.identity import Stored, check_signs
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.sources.treasurer.page import Page, parse_page
from maricopa_scrapy.sources.treasurer.records import TaxAccount, TaxBill
from maricopa_scrapy.sources.treasurer.tabs import Tabs, pack
from tests.helpers.treasurer_skins import PAGES, layout
from tests.sources.treasurer.test_page import (
    APN,
    BLOCKS,
    HISTORY,
    LAYOUT,
    OWED,
    PAID,
    SUMMARY,
    grid,
    of,
    page,
)

NAMELESS = BLOCKS.replace("Parcel 123-45-678-9", "Property Tax")
ADDRESS = f"https://treasurer.example/PropertyTaxInformation/?Parcel={APN}"
GRID = grid(SUMMARY, [OWED, PAID])
PAYMENT = ["+", "2024", "Tax Payment", "$1,234.56", "10/01/2024"]


def read(summary: str, known: Layout, payments: str | None = None, address: str = "") -> Page:
    tabs = {"summary": summary} | ({"payments": payments} if payments is not None else {})
    return parse_page(pack(Tabs("parcel", tabs, 2, address)), APN, known)


def refused(summary: str, known: Layout, **more: str) -> PageError:
    with pytest.raises(PageError) as error:
        read(summary, known, **more)
    return error.value


def with_heading(text: str, blocks: str = NAMELESS) -> str:
    return page(GRID, blocks).replace("<body>", f"<body><h1>{text}</h1>")


HEADING = layout(identity=[{"at": "heading", "selector": "h1"}])
BY_ADDRESS = layout(identity=[{"at": "account"}, {"at": "address"}])


@pytest.mark.parametrize("text", ["Parcel 123-45-678", "Parcel 12345678", "123-45-678-9"])
def test_a_heading_names_the_parcel(text: str) -> None:
    found = read(with_heading(text), HEADING)
    assert (len(of(TaxBill, found)), found.signs) == (2, [])


def test_a_heading_that_names_another_parcel_or_none_is_refused() -> None:
    wrong = refused(with_heading("Parcel 123-45-679"), HEADING)
    assert (type(wrong), wrong.path) == (WrongParcel, "heading")
    # A number that names another where none need stand is another's all the same; so are two headings of
    # which one is another's.
    assert (
        type(refused(with_heading("Parcel 123-45-678", BLOCKS.replace("678-9", "679-9")), HEADING))
        is WrongParcel
    )
    assert type(refused(with_heading("12345678</h1><h1>12345679"), HEADING)) is WrongParcel
    nobody = refused(with_heading("Property Tax"), HEADING)
    assert (type(nobody), nobody.path) == (SourceChanged, "heading")
    assert "Question: where does the page say which parcel it is of?" in str(nobody)


def test_a_tab_names_the_parcel() -> None:
    tab = layout(identity=[{"at": "account"}, {"at": "tab"}])
    link = '<body><ul id="ptiNav"><li><a>Summary of {}</a></li><li><a>Payments</a></li></ul>'
    assert read(page(GRID, NAMELESS).replace("<body>", link.format("123-45-678")), tab).signs == []
    assert (
        type(refused(page(GRID, NAMELESS).replace("<body>", link.format("123-45-679")), tab)) is WrongParcel
    )
    assert type(refused(page(GRID, BLOCKS).replace("<body>", link.format("123-45-679")), tab)) is WrongParcel


def test_an_address_alone_is_no_identity() -> None:
    found = read(page(GRID, NAMELESS), BY_ADDRESS, page(grid(HISTORY, [PAYMENT]), NAMELESS), address=ADDRESS)
    assert found.signs == [Signs(APN, "A TRUST\n1 N MAIN ST", "2 S MAIN ST")]
    # Where the page itself names the parcel, nothing more is needed; of each tab, for either may have been
    # left over.
    assert read(page(GRID, BLOCKS), BY_ADDRESS, address=ADDRESS).signs == []
    assert (
        read(page(GRID, BLOCKS), BY_ADDRESS, page(grid(HISTORY, [PAYMENT]), NAMELESS), address=ADDRESS).signs
        != []
    )
    other = refused(page(GRID, NAMELESS), BY_ADDRESS, address=ADDRESS.replace("678", "679"))
    assert (type(other), other.path) == (WrongParcel, "address")
    assert type(refused(page(GRID, BLOCKS), BY_ADDRESS, address=ADDRESS.replace("678", "679"))) is WrongParcel
    # Unless the manifest says so, an address is no sign of anything.
    assert refused(page(GRID, NAMELESS), LAYOUT, address=ADDRESS).path == "account"
    with pytest.raises(Malformed):
        parse_page(b'{"kind":"parcel","version":2,"tabs":{"summary":"x"},"address":7}', APN, BY_ADDRESS)


@pytest.mark.parametrize(
    "address", ["", "https://treasurer.example/PropertyTaxInformation/", "no address", "http://[x"]
)
def test_an_address_without_a_parcel_names_none(address: str) -> None:
    assert type(refused(page(GRID, NAMELESS), BY_ADDRESS, address=address)) is SourceChanged


SIGNS = Signs(APN, "A TRUST\n1 N MAIN ST\nMESA AZ", "2 S MAIN ST")
AGREE: dict[str, list[Stored]] = {
    "situs": [("assessor", None, "2 S MAIN ST")],
    "situs with its town": [("assessor", "B TRUST", "2 S MAIN ST   PHOENIX  85003")],
    "one of several": [("assessor", None, "3 S MAIN ST"), ("gis", None, "2 s. main st")],
    "owner, and no situs is stored": [("assessor_page", "a  trust", None)],
    "owner, and the situs has no number": [("assessor", "A TRUST", "MAIN ST")],
    "the treasurer's own": [("treasurer", "A TRUST\nPO BOX 1", None)],
}
DISAGREE: dict[str, list[Stored]] = {
    "nothing is stored": [],
    "nothing comparable": [("assessor", None, None), ("gis", None, "PHOENIX")],
    "another situs of the same owner": [("assessor", "A TRUST", "2 N MAIN ST")],
    "a unit at the same situs": [("assessor", None, "2 S MAIN ST UNIT 5")],
    "another owner": [("assessor", "B TRUST", None)],
    "an owner that begins so": [("assessor", "A TRUST II", None)],
    "a part of the mailing address": [("assessor", "MESA", None)],
}


@pytest.mark.parametrize("case", AGREE)
def test_a_sign_that_agrees_settles_it(case: str) -> None:
    check_signs(SIGNS, AGREE[case])


@pytest.mark.parametrize("case", DISAGREE)
def test_without_one_a_person_is_asked(case: str) -> None:
    with pytest.raises(SourceChanged, match=f"Question: is this page parcel {APN}'s") as error:
        check_signs(SIGNS, DISAGREE[case])
    assert "TRUST" not in str(error.value)


def test_what_has_no_sign_agrees_with_nothing() -> None:
    with pytest.raises(SourceChanged):
        check_signs(Signs(APN, None, None), [("assessor", "", ""), ("gis", None, None)])


POSITIONS = layout(**PAGES["no_headings"])


def headless(rows: list[list[str]]) -> str:
    return grid([], rows).replace("<table><thead><tr></tr></thead></table>", "")


def test_columns_without_headings_are_found_by_position() -> None:
    history = page(grid(HISTORY, [PAYMENT]).replace("".join(f"<th>{name}</th>" for name in HISTORY), ""))
    found = read(page(headless([OWED, PAID])), POSITIONS, history)
    assert found.records == read(page(GRID), LAYOUT, page(grid(HISTORY, [PAYMENT]))).records
    assert found.new_fields == []


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("summary.assessed", headless([[*OWED[:3], "x", *OWED[4:]]])),
        ("summary.tax_year", headless([[OWED[0], *OWED[2:], "x"]])),
        ("summary.row 2", headless([OWED, OWED[:6]])),
        ("summary.row 1", headless([OWED[:6]])),
        # Two columns in each other's place.
        ("summary.amount_due", headless([[*OWED[:5], OWED[6], OWED[5]]])),
        # Of a grid that has headings the manifest must name them.
        ("summary.headings", GRID),
        ("summary.headings", headless([OWED]) + headless([PAID])),
    ],
    ids=range(7),
)
def test_columns_that_are_not_where_the_manifest_says_are_refused(path: str, shown: str) -> None:
    assert refused(page(shown), POSITIONS).path == path


def test_a_blank_heading_has_a_position_and_a_name_goes_first() -> None:
    known = layout(columns={"summary": {"interest": {"headings": ["Interest/Fees"], "position": 5}}})
    blank = [*SUMMARY[:5], "", SUMMARY[6]]
    assert read(page(grid(blank, [OWED])), known).records == read(page(grid(SUMMARY, [OWED])), known).records
    moved = grid([*SUMMARY[:5], "", "Total Due", "Interest/Fees"], [[*OWED[:5], "x", OWED[6], OWED[5]]])
    assert of(TaxBill, read(page(moved), known))[0].interest == Decimal("20.00")
    # Another name at that place is another column.
    named = read(page(grid([*SUMMARY[:5], "Levy", SUMMARY[6]], [OWED])), known)
    assert (of(TaxBill, named)[0].interest, named.new_fields) == (None, ["summary: Levy"])


def test_interest_and_fees_apart_are_one_column_of_ours() -> None:
    fees = {"headings": ["Fees"], "kind": "money", "optional": True}
    known = layout(columns={"summary": {"interest": {"headings": ["Interest"]}, "fees": fees}})
    apart = [*SUMMARY[:5], "Interest", "Fees", "Total Due"]
    found = read(page(grid(apart, [[*OWED[:5], "$15.00", "$5.00", "$520.00"]])), known)
    assert of(TaxBill, found)[0].interest == Decimal("20.00")
    assert (
        refused(page(grid(apart, [[*OWED[:5], "$15.00", "$6.00", "$520.00"]])), known).path
        == "summary.amount_due"
    )


def account(blocks: str, known: Layout) -> TaxAccount:
    found: TaxAccount = of(TaxAccount, read(page(GRID, blocks), known))[0]
    return found


NAMED, SITUS = "<h3>Parcel 123-45-678</h3>", "<h3>Situs</h3><p>2 S MAIN ST</p>"
THREE = "<h3>Owner 1</h3><p>A</p><h3>Owner 2</h3><p>B<br>OF C</p><h3>Owner 3</h3><p>D</p>"
LISTED = "<h3>Owner</h3><ul><li>A <b>AND</b> B</li><li><i>C</i></li></ul><div>or <ul><li>D</li></ul></div>"


NESTED = "<h3>Owner</h3><div>A <span>TRUST</span><div>1 N\n MAIN</div>ST<br><br>MESA<!-- x --></div>"
CARDS = '<h3>Owner</h3><div class="card">A</div><div class="card">B</div><div>note</div>'
IN_BLOCKS, IN_ITEMS = layout(owners={"listed": "blocks"}), layout(owners={"listed": "list"})
IN_CARDS = layout(owners={"listed": "list", "items": ".card"})


@pytest.mark.parametrize(
    ("shown", "known", "owner"),
    [
        (THREE, IN_BLOCKS, "A\nB\nOF C\nD"),
        (LISTED, IN_ITEMS, "A AND B\nC\nD"),
        (NESTED, LAYOUT, "A TRUST\n1 N MAIN\nST\nMESA"),
        (CARDS, IN_CARDS, "A\nB"),
    ],
    ids=["blocks", "items", "lines", "cards"],
)
def test_owners_are_a_line_of_the_page_a_line(shown: str, known: Layout, owner: str) -> None:
    assert account(f"{NAMED}{shown}{SITUS}", known).owner == owner


@pytest.mark.parametrize(
    ("shown", "known"),
    [
        (THREE, LAYOUT),
        (LISTED.replace("Owner", "Holder"), IN_ITEMS),
        ("<h3>Owner</h3>", IN_BLOCKS),
        ("<h3>Owner</h3><p>A</p>", IN_ITEMS),
        ("<h3>Owner</h3><p>A</p><h3>Owner</h3><p>B</p>", LAYOUT),
    ],
    ids=range(5),
)
def test_owners_who_are_not_where_the_manifest_says_are_refused(shown: str, known: Layout) -> None:
    assert refused(page(GRID, f"{NAMED}{shown}{SITUS}"), known).path == "account.owner"


def test_the_account_stands_where_the_manifest_says() -> None:
    elsewhere = (
        "<html><body><dl"
        f' class="facts"><dt>Owner</dt><dd>A</dd><dt>Situs</dt><dd>B</dd></dl>'
        f"<h1>{APN}</h1>{GRID}</body></html>"
    )
    known = layout(
        identity=[{"at": "heading", "selector": "h1"}],
        account=".facts",
        account_container=None,
        headings="dt",
        title=0,
    )
    assert of(TaxAccount, read(elsewhere, known)) == [TaxAccount(apn=APN, owner="A", situs_address="B")]
    assert refused(elsewhere.replace("facts", "other"), known).path == "account"
    # What the page has not is not stored as anything.
    without = known.model_copy(update={"blocks": {"owner": ("Owner",), "situs_address": ()}})
    assert of(TaxAccount, read(elsewhere.replace("Situs", "Lot"), without)) == [
        TaxAccount(apn=APN, owner="A", situs_address=None)
    ]


def test_a_status_is_one_of_the_manifest_s_words_or_a_question() -> None:
    known = layout(**PAGES["other_words"])
    found = read(
        page(grid(SUMMARY, [[*OWED[:2], "BALANCE  due", *OWED[3:]], [*PAID[:2], "Paid in Full", *PAID[3:]]])),
        known,
    )
    assert [(bill.status, bill.status_text) for bill in of(TaxBill, found)] == [
        ("unpaid", "BALANCE due"),
        ("paid", "Paid in Full"),
    ]
    error = refused(page(grid(SUMMARY, [PAID])), known)
    assert error.path == "summary.status"
    assert "Question: is a bill of this status paid, unpaid, a lien or a state_lien?" in str(error)


def view(inner: str, beside: str = "") -> bytes:
    html = f'<html><body><div id="propertyOwnerSearchResultColumn">{inner}</div>{beside}</body></html>'
    return pack(Tabs("absent", {"summary": html}, 2))


def neighbours(*rows: str, more: str = "") -> str:
    return grid(["", "Parcel"], [["+", row] for row in rows], more=more).replace(
        "<span>", '<span class="k-table-td trs-fs-16">'
    )


RESULTS = layout(**PAGES["absent_grid"])
ALONE = layout(absent_alone=True)
ALL = '<div class="k-pager"><i class="k-pager-info">1 - 2 of 2 items</i></div>'
ABSENT: dict[str, tuple[bytes, Layout]] = {
    "neighbours": (view(neighbours("123-45-677", "123-45-678A")), RESULTS),
    "neighbours, all of them": (view(neighbours("123-45-677", "123-45-679", more=ALL)), RESULTS),
    "words where there might be neighbours": (view("No results found."), RESULTS),
    "the element alone": (view("Whatever it says"), ALONE),
    "the element, empty": (view(""), ALONE),
}
PARCEL = '<div class="k-grid-table"><div class="k-table-td"><b class="trs-fs-16">2024</b></div></div>'
NOT_ABSENT: dict[str, tuple[bytes, Layout, str]] = {
    "it is among them": (view(neighbours("123-45-677", "123-45-678-9")), RESULTS, "absent"),
    "it is among them, and the element alone would do": (view(neighbours("123-45-678")), ALONE, "absent"),
    "a row without a parcel": (view(neighbours("123-45-677", "Loading...")), RESULTS, "absent.results"),
    "more of them": (
        view(neighbours("123-45-677", more=ALL.replace("2 of 2", "1 of 9"))),
        RESULTS,
        "absent.pager",
    ),
    "a pager without numbers": (
        view(neighbours("123-45-677", more='<i class="k-pager">1 2</i>')),
        RESULTS,
        "absent.pager",
    ),
    "those in sight": (
        view(neighbours("123-45-677", more='<i class="k-virtual-content"></i>')),
        RESULTS,
        "absent.results",
    ),
    "neighbours that nobody expects": (view(neighbours("123-45-677")), LAYOUT, "absent"),
    "other words": (view("Whatever it says"), RESULTS, "absent"),
    "a parcel beside it": (view("", PARCEL), ALONE, "absent"),
}


@pytest.mark.parametrize("case", ABSENT)
def test_a_parcel_is_absent_where_the_manifest_says_how(case: str) -> None:
    body, known = ABSENT[case]
    assert not parse_page(body, APN, known).exists


@pytest.mark.parametrize("case", NOT_ABSENT)
def test_nothing_else_makes_a_parcel_absent(case: str) -> None:
    body, known, path = NOT_ABSENT[case]
    with pytest.raises(SourceChanged) as error:
        parse_page(body, APN, known)
    assert error.value.path == path


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=100), st.integers(0, 2_000), st.integers(0, 40), st.text(max_size=30))
def test_whatever_the_page_only_page_errors_are_raised(text: str, at: int, cut: int, more: str) -> None:
    known = layout(
        identity=[{"at": "heading", "selector": "h1"}, {"at": "tab"}, {"at": "address"}],
        owners={"listed": "list"},
    )
    html = page(GRID, f"{NAMELESS}{LISTED}").replace("<h3>Owner</h3><p>A TRUST<br>1 N MAIN ST</p>", "")
    try:
        found = read(html[:at] + text + html[at + cut :], known, address=ADDRESS + more)
    except PageError:
        return
    assert all(bill.amount_due == 0 for bill in of(TaxBill, found) if bill.status == "paid")
    assert len(found.signs) <= 1
