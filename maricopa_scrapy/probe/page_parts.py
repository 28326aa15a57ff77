"""The parts of a treasurer's page that nobody has described yet, found by what they hold: numbers of parcels,
years, money, dates.

Everything here takes HTML and returns elements or CSS selectors; a selector counts only when it finds the
part again in every page.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from parsel import Selector

from maricopa_scrapy.sources.treasurer.parcel_numbers import NUMBER, is_apn, text_of

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6", "dt", "legend", "label", "strong", "b", "th")
MONEY = re.compile(r"[-(]?\$(\d{1,3}(?:,\d{3})+|\d{1,9})\.\d{2}\)?", re.ASCII)
OWNER = re.compile(r"\bowners?\b", re.IGNORECASE)
SITUS = re.compile(
    r"\bsitus\b|\b(property|site|physical|street) (address|location)\b|\blocation\b", re.IGNORECASE
)
_HEADING_MOST = 60
# What a click must never reach: a payment, a print, a way out of the parcel's page.
_LEAVES = re.compile(
    r"\b(pay|make|checkout|cart|print|log|sign|search|home|contact|download|e-?mail|help)\b", re.IGNORECASE
)
_TAX_WORDS = re.compile(
    r"tax|payment|history|summary|valuation|bill|detail|activit|overview|balance", re.IGNORECASE
)
# Ids and classes that a framework makes anew for each visit, or that say how an element stands at the moment.
_PASSING = re.compile(
    r"[0-9a-f]{6,}|\d{3,}|^k-state|active|selected|hover|focus|first|last|show$|^ng-|^css-", re.IGNORECASE
)
_IN_PAGE = re.compile(r"$|#|javascript:")


@dataclass(frozen=True, slots=True)
class TabLinks:
    """The links of a page's tabs: what selects them, and their texts in order."""

    css: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows that each name a parcel: what selects them, what opens one, and at which place the parcel asked
    for stands (None: nowhere).
    """

    rows: str
    open: str | None
    place: int | None


def tabs_in(root: Selector) -> TabLinks | None:
    """Return the links that open parts of the page without leaving it; None when there are none."""
    groups: dict[Any, list[Any]] = {}
    for link in root.xpath("//a | //button | //*[@role='tab']"):
        href = link.attrib.get("href", "")
        if not (_IN_PAGE.match(href) or link.attrib.get("role") == "tab") or not text_of(link):
            continue
        if link.xpath("ancestor::table | ancestor::*[contains(@class, 'pager')]"):
            continue
        holder = link.xpath(
            "(ancestor::ul | ancestor::ol | ancestor::nav | ancestor::*[@role='tablist'])[last()]"
        ) or link.xpath("..")
        groups.setdefault(holder[0].root, []).append(link.root)
    best: tuple[int, int, TabLinks] | None = None
    for holder, links in groups.items():
        texts = tuple(text_of(Selector(root=link, type="html")) for link in links)
        css = group_css(root, holder, links)
        if len(links) < 2 or css is None:
            continue
        score = sum(bool(_TAX_WORDS.search(text)) for text in texts)
        if score and (best is None or (score, len(links)) > best[:2]):
            best = score, len(links), TabLinks(css, texts)
    return best[2] if best else None


def may_click(text: str) -> bool:
    """Tell whether a tab of this text may be opened: nothing that pays, prints, or leads away.

    >>> may_click("Payment History"), may_click("Pay Now"), may_click("Print Stub")
    (True, False, False)
    """
    return not _LEAVES.search(text)


def results_in(root: Selector, apn: str) -> FoundRows | None:
    """Return the rows of a result grid: each names a parcel, none has money; None where there is no such
    grid.
    """
    for body in root.xpath("//tbody | //ul | //ol"):
        rows = body.xpath("./tr | ./li")
        numbers = [NUMBER.findall(text_of(row)) for row in rows]
        if len(rows) < 1 or not all(numbers) or any("$" in text_of(row) for row in rows):
            continue
        places = [at for at, found in enumerate(numbers) if any(is_apn(number, apn) for number in found)]
        css = group_css(root, body.root, [row.root for row in rows])
        if css is not None and len(places) < 2:
            opener = next((tag for tag in ("a", "button") if rows[0].xpath(f".//{tag}")), None)
            return FoundRows(css, opener, places[0] if places else None)
    return None


def grids_in(root: Selector) -> list[Selector]:
    """Return the grids: of each tbody with rows of several cells the smallest element that has its headings
    too, else its table.
    """
    found = []
    for body in root.xpath("//tbody[tr/td]"):
        grid = body.xpath("ancestor::table[1]")
        for parent in body.xpath("ancestor::*")[::-1]:
            if len(parent.xpath(".//tbody[tr/td]")) > 1 or parent.root.tag in ("body", "html"):
                break
            if parent.xpath(".//thead//th"):
                grid = [parent]  # type: ignore[assignment]
                break
        if grid:
            found.append(grid[0])
    return found


def headings_of(grid: Selector) -> list[str]:
    """Return the texts of a grid's headings; an empty list where it has none, or blank ones only."""
    texts = [text_of(heading) for heading in grid.xpath("(.//thead)[1]/tr[1]/th")]
    return texts if any(texts) else []


def cells_of(grid: Selector) -> list[list[str]]:
    """Return the texts of a grid's rows; not of rows that are one cell, which say something instead."""
    rows = [[text_of(cell) for cell in row.xpath("./td")] for row in grid.xpath(".//tbody/tr")]
    return [row for row in rows if len(row) > 1]


def block_headings(root: Selector, wanted: re.Pattern[str]) -> list[Selector]:
    """Return the headings with such a word that have an element behind them, outside of tables and tabs. Its
    text may be empty.
    """
    found = []
    for heading in root.xpath(" | ".join(f"//{tag}" for tag in HEADINGS if tag != "th")):
        text = text_of(heading)
        if (
            len(text) > _HEADING_MOST
            or not wanted.search(text)
            or heading.xpath("ancestor::table | ancestor::nav | ancestor::a")
        ):
            continue
        below = heading.xpath("following-sibling::*[1]")
        if below and below[0].root.tag != heading.root.tag:
            found.append(heading)
    return found


def elements_with_number(root: Selector, apn: str) -> Iterator[Selector]:
    """Yield the innermost elements whose own text names the parcel, headings first, none of a table."""
    named = [
        element
        for element in root.xpath(
            "//body//*[text()][not(ancestor-or-self::table or ancestor-or-self::script)]"
        )
        if any(is_apn(number, apn) for number in NUMBER.findall(" ".join(element.xpath("./text()").getall())))
    ]
    yield from sorted(named, key=lambda element: element.root.tag not in HEADINGS)


def common_parent(elements: Sequence[Any]) -> Any:
    """Return the innermost element (lxml's) that holds all of these."""
    chains = [[element, *element.iterancestors()] for element in elements]
    return next(one for one in chains[0] if all(one in chain for chain in chains[1:]))


def group_css(root: Selector, holder: Any, members: Sequence[Any]) -> str | None:
    """Return a selector of just these elements, by their holder and their tag."""
    tag = members[0].tag
    if any(member.tag != tag for member in members):
        return None
    for outer in css_of(holder):
        for inner in (tag, f"tbody {tag}" if tag == "tr" else tag):
            css = f"{outer} {inner}"
            if [element.root for element in root.css(css)] == list(members):
                return css
    return None


def css_of(element: Any) -> Iterator[str]:
    """Yield selectors that may find an element (lxml's) again, the surest first: its id, its classes, its
    tag, within an id above it.
    """
    own = _own_css(element)
    if own and own[0].startswith("#"):
        yield own[0]
    above = next(
        (
            found[0]
            for parent in element.iterancestors()
            if (found := _own_css(parent)) and found[0].startswith("#")
        ),
        None,
    )
    for css in [*(one for one in own if not one.startswith("#")), element.tag]:
        if above:
            yield f"{above} {css}"
        yield css


def _own_css(element: Any) -> list[str]:
    if not isinstance(element.tag, str):
        return []
    name = element.get("id") or ""
    found = [f"#{name}"] if re.fullmatch(r"[A-Za-z][\w-]*", name) and not _PASSING.search(name) else []
    classes = [
        one
        for one in (element.get("class") or "").split()
        if re.fullmatch(r"[A-Za-z][\w-]*", one) and not _PASSING.search(one)
    ]
    return [*found, *(f".{one}" for one in classes), *(f"{element.tag}.{one}" for one in classes)]


def css_in_all(pages: Sequence[tuple[Selector, Any]], fits: Callable[[list[Any], Any], bool]) -> str | None:
    """Return the first selector of the first element that, in every page, finds what `fits` (elements found,
    the element meant).
    """
    for css in _candidates(pages):
        if all(fits([found.root for found in root.css(css)], meant) for root, meant in pages):
            return css
    return None


def _candidates(pages: Sequence[tuple[Selector, Any]]) -> Iterable[str]:
    return dict.fromkeys(css for _, meant in pages[:1] for css in css_of(meant))
