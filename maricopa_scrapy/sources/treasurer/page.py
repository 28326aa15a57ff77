"""The treasurer's page of a parcel: who is billed, every year's bill, the payments. HTML of each tab in,
records out.

No real page was ever captured: what a page looks like is the manifest's to say (parsing/page_layout.py),
every cell is checked against its column's kind, and what cannot be told for certain is an error, never a
value (docs/sources.md). Account, bills and payments are one section: whatever contradicts refuses all of it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from parsel import Selector

from maricopa_scrapy.items import Record, Signs
from maricopa_scrapy.parsing.bodies import check_whole
from maricopa_scrapy.parsing.errors import Malformed, Soft404, SourceChanged
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.sources.treasurer import tabs as treasurer_tabs
from maricopa_scrapy.sources.treasurer.account import account_of, check_absent, is_named, read_account
from maricopa_scrapy.sources.treasurer.calendar import instalments
from maricopa_scrapy.sources.treasurer.grid import Grid
from maricopa_scrapy.sources.treasurer.parcel_numbers import text_of
from maricopa_scrapy.sources.treasurer.records import TaxBill, TaxPayment

# What can be due besides the tax: 16 % a year, 5 % for advertising, and fees of a sale.
_YEARLY, _ADVERTISING, _FEES = Decimal("0.16"), Decimal("0.05"), Decimal(100)


@dataclass(slots=True)
class Page:
    """What a page says: its records, and headings that nobody knows yet. `exists` is False when it says that
    there is no such parcel.

    `signs`: of a page that only its address names, what must agree with what is stored before anything of it
    is.
    """

    records: list[Record] = field(default_factory=list)
    new_fields: list[str] = field(default_factory=list)
    exists: bool = True
    signs: list[Signs] = field(default_factory=list)


def parse_page(
    body: bytes, apn: str, layout: Layout, read_tab: Callable[[str, str, str, str], Page] | None = None
) -> Page:
    """Read the kept tabs of a parcel: a TaxAccount, its TaxBills and, where that tab was opened, TaxPayments.
    `read_tab` is `parse_tab` without the layout, where some may be read already. Raises PageError.
    """
    tabs = treasurer_tabs.unpack(body)
    if tabs.kind == "shell":
        raise Soft404(
            "page",
            "a parcel, or the search's view",
            text_of(Selector(text=next(iter(tabs.html.values())), type="html")),
        )
    page = Page(exists=tabs.kind == "parcel")
    if not page.exists:
        for html in tabs.html.values():
            check_absent(html, apn, layout)
        return page
    if "summary" not in tabs.html:
        raise Malformed("body", "the tab summary", list(tabs.html))
    for name, html in tabs.html.items():
        if read_tab is None:
            found = parse_tab(name, html, apn, layout, tabs.address)
        else:
            found = read_tab(name, html, apn, tabs.address)
        page.records += found.records
        page.new_fields += found.new_fields
        page.signs += [signs for signs in found.signs if signs not in page.signs]
    return page


def parse_tab(name: str, html: str, apn: str, layout: Layout, address: str = "") -> Page:
    """Read one tab of a page with that address. Raises PageError."""
    if name not in layout.columns:
        raise Malformed("body", f"one of the tabs {', '.join(layout.columns)}", name)
    check_whole(name, html)
    root = Selector(text=html, type="html")
    account = account_of(root, layout)
    is_told = is_named(root, account, apn, layout, address)
    page = Page()
    if name == "summary" or not is_told:
        owner = read_account(account, apn, layout)
        page.records += [owner] if name == "summary" else []
        page.signs += [] if is_told else [Signs(apn, owner.owner, owner.situs_address)]
    rows = Grid(root, name, layout, page.new_fields).rows()
    page.records += _bills(rows, apn) if name == "summary" else _payments(rows, apn)
    return page


def _bills(rows: list[dict[str, Any]], apn: str) -> list[Record]:
    _check_years(rows)
    newest = max((row["tax_year"] for row in rows), default=0)
    bills: list[Record] = []
    for row in rows:
        row["status"], row["status_text"] = row["status"]
        fees = row.pop("fees", None)
        # One column of ours, whichever the page has of the two.
        row["interest"] = fees if row["interest"] is None else row["interest"] + (fees or 0)
        _check_sums(row, newest)
        first, second = instalments(row["tax_year"], row["assessed"])
        bills.append(TaxBill(apn=apn, **row, first_half_until=first, second_half_until=second))
    _check_interest(rows, newest)
    return bills


def _check_years(rows: list[dict[str, Any]]) -> None:
    twice = [year for year, count in Counter(row["tax_year"] for row in rows).items() if count > 1]
    if twice:
        raise SourceChanged("summary.tax_year", "a row a year", twice[0])


def _check_sums(row: dict[str, Any], newest: int) -> None:
    """A bill that contradicts itself has its values in the wrong columns, or is not what we take it for."""
    status, assessed, paid, due = row["status"], row["assessed"], row["paid"], row["amount_due"]
    ask = (
        f"what do the values of {row['tax_year']} mean, that they do not add up: {row['status_text']!r},"
        f" assessed {assessed}, paid {paid}, interest {row['interest']}, due {due}? Which column is which"
        " belongs in page.columns.summary"
    )
    if row["interest"] is not None and assessed + row["interest"] - paid != due:
        raise SourceChanged(
            "summary.amount_due",
            f"assessed + interest - paid = {assessed + row['interest'] - paid}",
            str(due),
            ask,
        )
    if status == "paid" and (due or paid < assessed):
        raise SourceChanged(
            "summary.status", "nothing due where it is paid", f"paid {paid} of {assessed}, due {due}", ask
        )
    if status != "paid" and not due and assessed:
        raise SourceChanged(
            "summary.status",
            "something due where it is not paid",
            f"paid {paid} of {assessed}, due {due}",
            ask,
        )
    # Until the autumn after the next bill.
    most = assessed * (_YEARLY * (newest - row["tax_year"] + 2) + _ADVERTISING) + _FEES
    more = due + paid - assessed
    if not 0 <= more <= most:
        raise SourceChanged(
            "summary.amount_due", f"interest and fees from 0 to {most:.2f} beside the tax", str(more), ask
        )


def _check_interest(rows: list[dict[str, Any]], newest: int) -> None:
    """What is owed of earlier years bears interest. Where nothing was ever paid, columns in reverse add up,
    with the interest as paid.
    """
    owed = [
        row
        for row in rows
        if row["status"] != "paid" and row["tax_year"] < newest and row["interest"] is not None
    ]
    if owed and all(row["paid"] and not row["interest"] for row in owed):
        raise SourceChanged(
            "summary.interest",
            "interest on what is owed of earlier years",
            f"none, of {len(owed)} bills paid in part",
        )


def _payments(rows: list[dict[str, Any]], apn: str) -> list[Record]:
    seen: Counter[tuple[Any, ...]] = Counter()
    payments: list[Record] = []
    for row in rows:
        same = tuple(row.values())
        seen[same] += 1
        payments.append(TaxPayment(apn=apn, **row, ordinal=seen[same]))
    return payments
