"""Which column of a grid is which: by headings, by what the cells hold, and by the sums that must be right in
every row.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import permutations
from typing import Literal

from maricopa_scrapy.probe.page_parts import MONEY
from maricopa_scrapy.sources.treasurer.bill_status import status_by_words

_YEAR = re.compile(r"(19|20)\d{2}", re.ASCII)
_DATE = re.compile(r"\d{1,2}/\d{1,2}/\d{4}", re.ASCII)
# Words of a heading, by what the column is; a heading is of the first that it has.
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("interest", re.compile(r"interest|penalt", re.IGNORECASE)),
    ("fees", re.compile(r"\bfees?\b|\bcosts?\b", re.IGNORECASE)),
    ("amount_due", re.compile(r"\bdue\b|balance|owed|owing|outstanding|to pay", re.IGNORECASE)),
    ("paid", re.compile(r"\bpaid\b|\bpayments?\b|received|credit", re.IGNORECASE)),
    ("assessed", re.compile(r"assess|billed|levied|levy|\btax\b|charge|original", re.IGNORECASE)),
)
_ORDER = ("assessed", "paid", "interest", "fees", "amount_due")
# For `status_words` of the manifest: two given parcels seldom have all statuses between them.
STATUS_WORDS: dict[str, tuple[str, ...]] = {
    "paid": ("paid", "settled", "satisfied", "redeemed", "cleared", "closed", "complete", "completed"),
    "unpaid": ("unpaid", "due", "overdue", "owed", "owing", "outstanding", "delinquent", "balance", "open",
    "pending", "payable", "late"),
    "lien": ("lien", "liens", "certificate", "certificates", "cp", "investor"),
    "state_lien": ("state", "county", "available", "unsold", "unassigned", "struck"),
    "not": ("no", "not", "nothing", "none", "zero"),
    "other": (
        "tax", "taxes", "in", "full", "fully", "of", "purchase", "the", "and", "held", "holder", "sold",
        "sale", "by", "to", "past",
        "amount",
        "bill", "is", "are", "year", "a", "on", "for", "at", "off",
    ),
}  # fmt: skip
_NEAR = 0.5
_YEARLY, _ADVERTISING, _FEES = Decimal("0.16"), Decimal("0.05"), Decimal(100)


@dataclass(slots=True)
class Table:
    """The same grid of several parcels: its headings ([] where it has none), and the rows of each parcel."""

    headings: list[str]
    parcels: list[list[list[str]]] = field(default_factory=list)

    @property
    def rows(self) -> list[list[str]]:
        return [row for rows in self.parcels for row in rows]

    @property
    def width(self) -> int:
        return max(map(len, self.rows), default=0)

    def kind(self, at: int) -> str:
        """Return what a column holds: year, money, date, text, or blank."""
        cells = [row[at] for row in self.rows if at < len(row)]
        if not cells or all(len(cell) < 2 for cell in cells):
            return "blank"
        for kind, pattern in (("year", _YEAR), ("money", MONEY), ("date", _DATE)):
            if all(pattern.fullmatch(cell) for cell in cells):
                return kind
        return "text"

    def of_kind(self, kind: str) -> list[int]:
        return [at for at in range(self.width) if self.kind(at) == kind]

    def heading(self, at: int) -> str:
        return self.headings[at] if len(self.headings) == self.width else ""


def is_summary(table: Table) -> bool:
    """Tell whether it is a bill a row: a year once for each parcel, three amounts, a text."""
    years = table.of_kind("year")
    if not years or len(table.of_kind("money")) < 3 or not table.of_kind("text") or table.of_kind("date"):
        return False
    return all(len({row[years[0]] for row in rows}) == len(rows) for rows in table.parcels)


def is_payments(table: Table) -> bool:
    """Tell whether it is a payment a row: a year, a day, an amount, a text."""
    return all(table.of_kind(kind) for kind in ("year", "date", "money", "text"))


def summary_columns(table: Table) -> tuple[dict[str, int], Literal["right", "several", "wrong"]]:
    """Return where each column of the summary stands, and what the sums of all rows say: that they are right
    so, that they are right in several ways that are as likely, or that they are right in none.
    """
    fixed = {"tax_year": table.of_kind("year")[0], "status": _status_at(table)}
    scored = sorted(
        ((_score(table, roles), roles) for roles in _assignments(table)), key=lambda one: -one[0][0]
    )
    right = [(score, roles) for (score, is_right), roles in scored if is_right]
    if not right:
        return fixed | (scored[0][1] if scored else {}), "wrong"
    # Where no heading speaks, what is nearly as likely is a question for a person.
    near = 0.0 if table.headings else _NEAR
    best = [roles for score, roles in right if score >= right[0][0] - near]
    # Interest and fees are added up: which is which makes no difference.
    ways = {(one["assessed"], one["paid"], one["amount_due"], frozenset(one.values())) for one in best}
    return fixed | best[0], "right" if len(ways) == 1 else "several"


def payment_columns(table: Table) -> dict[str, int]:
    """Return where each column of the payment history stands."""
    dates, amounts, texts = table.of_kind("date"), table.of_kind("money"), table.of_kind("text")
    return {
        "tax_year": table.of_kind("year")[0],
        "description": max(
            texts,
            key=lambda at: (bool(re.search("descr|activity|type", table.heading(at), re.IGNORECASE)), -at),
        ),
        "amount": max(
            amounts,
            key=lambda at: (bool(re.search("amount|total|paid", table.heading(at), re.IGNORECASE)), -at),
        ),
        "paid_on": max(
            dates,
            key=lambda at: (bool(re.search("paid|payment|receiv", table.heading(at), re.IGNORECASE)), -at),
        ),
    }


def money(text: str) -> Decimal:
    """Return an amount as the page shows it.

    >>> money("($1,234.56)")
    Decimal('-1234.56')
    """
    number = Decimal(re.sub(r"[^0-9.]", "", text))
    return -number if text[:1] in "-(" else number


def _status_at(table: Table) -> int:
    texts = table.of_kind("text")
    named = [at for at in texts if re.search("status|state", table.heading(at), re.IGNORECASE)]
    return named[0] if named else min(texts, key=lambda at: (len({row[at] for row in table.rows}), at))


def _assignments(table: Table) -> Iterator[dict[str, int]]:
    amounts = table.of_kind("money")
    named = {said for at in amounts if (said := _said(table.heading(at)))}
    for extra in ((), ("interest",), ("interest", "fees")):
        roles = ("assessed", "paid", "amount_due", *extra)
        # What a heading calls interest is not left out of the sum.
        if not named <= {*roles}:
            continue
        for places in permutations(amounts, len(roles)):
            yield dict(zip(roles, places, strict=True))


def _score(table: Table, roles: dict[str, int]) -> tuple[float, bool]:
    """Return how likely the columns are these, and whether the sums allow it."""
    score = 0.0
    for role, at in roles.items():
        said = _said(table.heading(at))
        score += 4 if said == role else -6 if said else 0
    # An amount that no column takes would be left out of the sum.
    score -= 3 * (len(table.of_kind("money")) - len(roles))
    known = [roles[name] for name in _ORDER if name in roles]
    score += 1.5 if known == sorted(known) else 0
    rows = [{name: money(row[at]) for name, at in roles.items()} for row in table.rows]
    # Most bills are paid, and bear no interest.
    score += sum(not row["amount_due"] for row in rows) > sum(not row["paid"] for row in rows)
    score += 3 * sum(row["assessed"] > row.get("interest", Decimal(0)) for row in rows) / max(len(rows), 1)
    at = _status_at(table)
    for row, amounts in zip(table.rows, rows, strict=True):
        if (is_paid := says_paid(row[at])) is not None:
            score += (1 if is_paid == (not amounts["amount_due"]) else -2) / len(rows)
    year = table.of_kind("year")[0]
    return score, all(
        is_right(row, {**roles, "tax_year": year}, max(int(one[year]) for one in rows))
        for rows in table.parcels
        for row in rows
    )


def _said(heading: str) -> str | None:
    return next((name for name, pattern in _WORDS if pattern.search(heading)), None)


def says_paid(status: str) -> bool | None:
    """Return whether a status says that a bill is paid, or that it is not; None where its words tell neither.

    >>> says_paid("Paid in Full"), says_paid("Unpaid"), says_paid("Tax Lien Sold"), says_paid("Withdrawn")
    (True, False, False, None)
    """
    found = status_by_words(status, STATUS_WORDS)
    return None if found is None else found == "paid"


def is_right(row: Sequence[str], roles: Mapping[str, int], newest: int) -> bool:
    """Tell whether a row adds up when its columns are these; `newest`: the newest year of its parcel."""
    amounts = {name: money(row[at]) for name, at in roles.items() if name in _ORDER}
    more = amounts["amount_due"] + amounts["paid"] - amounts["assessed"]
    if min(amounts.values()) < 0:
        return False
    if "interest" in amounts:
        return more == amounts["interest"] + amounts.get("fees", Decimal(0))
    # As the parser has it (sources/treasurer/page.py).
    years = newest - int(row[roles["tax_year"]]) + 2
    return 0 <= more <= amounts["assessed"] * (_YEARLY * years + _ADVERTISING) + _FEES
