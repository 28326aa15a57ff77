"""Skins of the sandbox's treasurer: nobody has seen the county's present page, so it is shown in several
ways, each unlike the plain one in one thing. What a parcel owes is the same in all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.county.ownership import owner

Grid = dict[str, Any]
# Title and what it shows: the name of data, or "" for nothing.
Tabs = tuple[tuple[str, str], ...]

TABS: Tabs = (
    ("Tax Summary", "bills"), ("Payment History", "payments"), ("Tax Details", ""), ("Tax Stubs", ""),
    ("Districts", ""),
    ("Valuations", "valuations"),
)  # fmt: skip
# The status that the plain page has, and what another may call it.
_OTHER_WORDS = {
    "Paid": "Paid in Full", "Unpaid": "Balance Due", "Tax Lien": "Tax Lien Sold",
    "Available Tax Lien": "State-Held Tax Lien",
}  # fmt: skip
_CENTS = 100


def _same(grid: Grid) -> Grid:
    return grid


def _in_other_words(grid: Grid) -> Grid:
    return grid | {"rows": [[_OTHER_WORDS.get(cell, cell) for cell in row] for row in grid["rows"]]}


def _with_interest_before_tax(grid: Grid) -> Grid:
    """The interest under another name, and in another place: before the tax, not behind what is paid."""
    order = [0, 1, 4, 2, 3, 5]
    titles = ["Accrued Interest" if title == "Interest/Fees" else title for title in grid["columns"]]
    return grid | {
        "columns": [titles[0], *(titles[at + 1] for at in order)],
        "rows": [[row[at] for at in order] if len(row) == len(order) else row for row in grid["rows"]],
    }


def _with_wrong_sums(grid: Grid) -> Grid:
    """What is due is more than tax, interest and fees can come to, and something is due of what is paid."""
    return grid | {
        "rows": [
            [*row[:-1], money(cents(row[-1]) + 2 * cents(row[2]) + 500 * _CENTS)] for row in grid["rows"]
        ]
    }


@dataclass(frozen=True, slots=True)
class Skin:
    """How the page is shown. `named`: where the parcel's number stands: in the account's block, in a heading
    above it, or in the page's address alone, which is taken away where even that is not to name it
    (`nowhere`).

    `owners`: so many are shown, each with a heading of its own when there are more than one. `summary`: what
    is done to the grid of bills.
    `absent_by`: an unknown parcel is a word or a grid of its neighbours; `is_found`: a known one is first in
    such a grid, to be opened.
    `portions`: rows come in so many.
    """

    named: Literal["account", "heading", "address", "nowhere"] = "account"
    owners: int = 1
    has_headings: bool = True
    summary: Callable[[Grid], Grid] = field(default=_same)
    tabs: Tabs = TABS
    absent_by: Literal["words", "grid"] = "words"
    is_found: bool = False
    portions: int = 1


SKINS: Mapping[str, Skin] = {
    "plain": Skin(),
    "heading_identity": Skin(named="heading"),
    "address_identity": Skin(named="address"),
    "three_owners": Skin(owners=3),
    "no_headings": Skin(has_headings=False),
    "interest_column": Skin(summary=_with_interest_before_tax),
    "other_words": Skin(summary=_in_other_words),
    "absent_grid": Skin(absent_by="grid"),
    "six_tabs": Skin(tabs=(TABS[5], TABS[4], TABS[0], TABS[3], TABS[1], TABS[2])),
    "two_portions": Skin(portions=2),
    "found_grid": Skin(is_found=True),
    # Nobody can tell what these say.
    "no_identity": Skin(named="nowhere"),
    "wrong_sums": Skin(summary=_with_wrong_sums),
}


def skin_of(name: str) -> Skin:
    """Return a skin by its name. Raises ValueError."""
    if name not in SKINS:
        raise ValueError(f"there is no treasurer skin {name!r}; there are {', '.join(SKINS)}")
    return SKINS[name]


def owner_blocks(skin: Skin, county: County, apn: str, lines: list[str]) -> list[tuple[str, list[str]]]:
    """Return heading and lines of each block of the owner, whose lines the plain page has in one."""
    if skin.owners == 1:
        return [("Owner Name and Mailing Address", lines)]
    parcel, _ = county.undrawn(apn)
    others = (
        owner(county.seed, county.epoch, f"{apn}/{number}", "")["Ownership"]
        for number in range(2, skin.owners + 1)
    )
    names = [name for name in (parcel["Owner"]["Ownership"], *others) if name]
    mailing = [line for line in lines if line != parcel["Owner"]["Ownership"]]
    return [
        *((f"Owner {number}", [name]) for number, name in enumerate(names, start=1)),
        ("Mailing Address", mailing),
    ]


def money(amount: int) -> str:
    """Return cents as the page shows them."""
    return f"${amount // _CENTS:,}.{amount % _CENTS:02d}"


def cents(text: str) -> int:
    """Return the cents of money as the page shows it.

    >>> cents(money(123456))
    123456
    """
    return int(text.translate(str.maketrans("", "", "$,.")))
