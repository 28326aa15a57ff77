"""The treasurer's tabs under mutation: of their HTML, and of the body that keeps them."""

import re
from decimal import Decimal
from typing import Any

from maricopa_scrapy import configuration
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.treasurer.bills import taxes
from maricopa_scrapy.sources.treasurer.page import Page, parse_page
from maricopa_scrapy.sources.treasurer.records import TaxBill, TaxPayment
from maricopa_scrapy.sources.treasurer.tabs import Tabs, pack, unpack
from tests.fuzz.reading import Subject, check_one_page, same, shown, storable, tree
from tests.helpers.treasurer_skins import PAGES, merged

_SUMMARY = ("", "Tax Year", "Status", "Assessed Tax", "Tax Paid", "Interest/Fees", "Total Due")
_HISTORY = ("", "Tax Year", "Description", "Amount", "Paid Date")
_PAGE = configuration.load()[1]["treasurer"].page
assert _PAGE is not None
LAYOUT = _PAGE
# A page without headings in its grids, whose parcel a heading of its own names, and whose owners are a list.
BARE = Layout.model_validate(
    merged(
        LAYOUT.model_dump(exclude={"timeouts", "quiet", "patience"}),
        PAGES["no_headings"] | PAGES["heading_identity"] | {"owners": {"listed": "list"}},
    )
)


def _grid(headings: tuple[str, ...], rows: list[list[str]], none: str) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td><span>{cell}</span></td>" for cell in ("+", *row)) + "</tr>" for row in rows
    )
    body = body or f'<tr class="k-grid-norecords"><td>{none}</td></tr>'
    return (
        f'<div class="k-grid"><table><thead><tr>{head}</tr></thead></table><table'
        f' class="k-grid-table"><tbody>{body}</tbody></table></div>'
    )


def _tab(apn: str, grid: str) -> str:
    blocks = (
        f"<h3>Parcel {apn[:3]}-{apn[3:5]}-{apn[5:]}</h3><p></p><h3>Owner</h3><p>A TRUST<br>1 N MAIN ST</p>"
        "<h3>Property Situs</h3><p>2 S MAIN ST</p>"
    )
    return (
        f'<html><body><div><div class="container">{blocks}</div><div'
        f' class="container-fluid">{grid}</div></div></body></html>'
    )


def _dollars(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02d}"


def _tabs(apn: str) -> tuple[str, str]:
    known = taxes(1, 0, apn)
    bills = [
        [str(b.tax_year), b.status, *map(_dollars, (b.assessed, b.paid, b.interest, b.due))]
        for b in known.bills
    ]
    paid = [
        [str(p.tax_year), p.description, _dollars(p.amount), f"{p.paid_on:%m/%d/%Y}"] for p in known.payments
    ]
    return _tab(apn, _grid(_SUMMARY, bills, "No tax records.")), _tab(
        apn, _grid(_HISTORY, paid, "No payment records.")
    )


def _bare(html: str) -> str:
    """The same page as BARE has it."""
    html = re.sub(r"<table><thead>.*?</thead></table>", "", html)
    html = html.replace("<p>A TRUST<br>1 N MAIN ST</p>", "<ul><li>A TRUST<li>1 N MAIN ST</ul>")
    named = re.findall("Parcel [0-9A-Z-]+", html)[0]
    return html.replace(f"<h3>{named}</h3>", "<h3></h3>").replace("<body>", f"<body><h1>{named}</h1>")


def _places(headings: list[str], tab: str, layout: Layout) -> dict[str, int] | None:
    """Return where each column stands, by its heading or, where there is none, by its position; None where
    that cannot be told.
    """
    found: dict[str, int] = {}
    for name, column in layout.columns[tab].items():
        names = {heading.casefold() for heading in column.headings}
        at = [at for at, heading in enumerate(headings) if heading and heading in names]
        if (
            not at
            and column.position is not None
            and (not any(headings) or headings[column.position : column.position + 1] == [""])
        ):
            at = [column.position]
        if len(at) > 1 or not (at or column.optional):
            return None
        found |= {name: at[0]} if at else {}
    return found


def _cells(html: str, tab: str, layout: Layout) -> list[dict[str, str]]:
    """Return the rows of the grid that has the tab's columns: the text of each cell by the column's name."""
    root = tree(html)
    found = []
    for grid in root.xpath("//*[contains(concat(' ', normalize-space(@class), ' '), ' k-grid ')]"):
        places = _places(
            [" ".join(shown(one).split()).casefold() for one in grid.xpath("(.//thead)[1]/tr[1]/th")],
            tab,
            layout,
        )
        for row in grid.xpath(".//tbody/tr") if places else ():
            cells = [" ".join(shown(one).split()) for one in row.xpath("./td")]
            if len(cells) > 1 and "k-detail-row" not in (row.get("class") or ""):
                found.append({column: cells[at] for column, at in places.items()} if places else {})
    return found


def _money(text: str) -> Decimal:
    found = re.fullmatch(r"(-?\(?-?)\$([0-9,]+\.[0-9]{2})\)?", text)
    assert found, text
    return Decimal(found[2].replace(",", "")) * (-1 if found[1] else 1)


def _check(body: bytes, apn: str, page: Page, layout: Layout = LAYOUT) -> None:
    tabs = unpack(body)
    if not page.exists:
        assert tabs.kind == "absent"
        return
    for name, html in tabs.html.items():
        check_one_page(html)
        assert apn in html.replace("-", "").upper()
        rows = _cells(html, name, layout)
        kind = TaxBill if name == "summary" else TaxPayment
        stored = [record.__dict__ for record in page.records if isinstance(record, kind)]
        assert len(rows) == len(stored), f"{len(stored)} rows of {len(rows)}"
        for row, record in zip(rows, stored, strict=True):
            _check_row(row, record)
    for columns in (record.__dict__ for record in page.records):
        storable(list(columns.values()))
        assert columns["apn"] == apn


def _check_row(row: dict[str, str], record: dict[str, Any]) -> None:
    for column, text in row.items():
        if column == "status":
            assert record["status_text"] == text
        elif column in ("assessed", "paid", "interest", "amount_due", "amount"):
            assert record[column] == _money(text)
        else:
            assert same(text, record[column])


def subjects() -> list[Subject]:
    apns = County().apns(30)[::6]
    packed = [
        (pack(Tabs("parcel", dict(zip(("summary", "payments"), _tabs(apn), strict=True)), 1)), apn)
        for apn in apns
    ]
    bare = [
        (
            pack(Tabs("parcel", dict(zip(("summary", "payments"), map(_bare, _tabs(apn)), strict=True)), 1)),
            apn,
        )
        for apn in apns
    ]
    summaries = [(_tabs(apn)[0].encode(), apn) for apn in apns]
    histories = [(_tabs(apn)[1].encode(), apn) for apn in apns]

    def summary(body: bytes, apn: str) -> Page:
        return parse_page(_summary(body), apn, LAYOUT)

    def payments(body: bytes, apn: str) -> Page:
        return parse_page(_payments(body, apn), apn, LAYOUT)

    return [
        Subject("treasurer tabs", "json", packed, lambda body, apn: parse_page(body, apn, LAYOUT), _check),
        Subject(
            "treasurer bare tabs",
            "json",
            bare,
            lambda body, apn: parse_page(body, apn, BARE),
            lambda body, apn, page: _check(body, apn, page, BARE),
        ),
        Subject(
            "treasurer summary",
            "html",
            summaries,
            summary,
            lambda body, apn, page: _check(_summary(body), apn, page),
        ),
        Subject(
            "treasurer payments",
            "html",
            histories,
            payments,
            lambda body, apn, page: _check(_payments(body, apn), apn, page),
        ),
    ]


def _summary(body: bytes) -> bytes:
    return pack(Tabs("parcel", {"summary": body.decode("utf-8", "replace")}, 1))


def _payments(body: bytes, apn: str) -> bytes:
    return pack(Tabs("parcel", {"summary": _tabs(apn)[0], "payments": body.decode("utf-8", "replace")}, 1))
