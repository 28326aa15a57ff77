"""Where an unknown page shows owner and situs address, and where it says which parcel it is of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from parsel import Selector

from maricopa_scrapy.probe import page_parts as parts
from maricopa_scrapy.probe.explore import Explored
from maricopa_scrapy.sources.treasurer.parcel_numbers import (
    DASHED,
    NUMBER,
    is_apn,
    numbers_in_address,
    text_of,
)

_NO_IDENTITY = "where does the page say which parcel it is of? Its place belongs in page.identity"


@dataclass(slots=True)
class Found:
    """What was found: the section, (what, by what) of each part, questions, and selectors by what they
    mark.
    """

    page: dict[str, Any]
    evidence: list[tuple[str, str]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)

    def note(self, what: str, by: str, css: str | None = None) -> None:
        self.evidence.append((what, by))
        if css:
            self.marks[what] = css


def find_account(found: Found, parcels: Sequence[Explored]) -> None:
    """Find the block of owner and situs address, its headings, and how owners are listed."""
    roots = [Selector(text=one.first, type="html") for one in parcels]
    pages = [
        (root, parts.block_headings(root, parts.OWNER), parts.block_headings(root, parts.SITUS))
        for root in roots
    ]
    owners, places = pages[0][1], pages[0][2]
    if not owners or not places or not all(one[1] and one[2] for one in pages):
        found.questions.append(
            "where does the page show owner and situs address? page.account and page.blocks"
        )
        return
    meant = [
        (root, parts.common_parent([heading.root for heading in (*mine, *situs[:1])]))
        for root, mine, situs in pages
    ]
    css = parts.css_in_all(meant, lambda elements, one: elements[:1] == [one])
    if css is None:
        found.questions.append("what selects the block of owner and situs address? page.account")
        return
    tags = list(dict.fromkeys(heading.root.tag for heading in (*owners, *places[:1])))
    headings = ", ".join(tags)
    inside = [text_of(heading) for heading in pages[0][0].css(css)[0].css(headings)]
    title = min(inside.index(text_of(owners[0])), inside.index(text_of(places[0])))
    several = len(owners) > 1
    blocks = {
        "owner": [_common(text_of(one) for one in owners) if several else text_of(owners[0])],
        "situs_address": [text_of(places[0])],
    }
    found.page |= {
        "account": css,
        "account_container": None,
        "headings": headings,
        "title": title,
        "blocks": blocks,
    }
    found.page["owners"] = {"listed": "blocks"} if several else _listed(owners[0], set(tags))
    found.note("account", f"headings {', '.join(map(repr, inside[title:]))}", css)
    found.note("owner", f"{len(owners)} block{'s' if several else ''}, {found.page['owners']['listed']}")


def _common(texts: Any) -> str:
    """Return the words that all headings begin with."""
    split = [text.split() for text in texts]
    same = [words[0] for words in zip(*split, strict=False) if len({word.casefold() for word in words}) == 1]
    return " ".join(same) or "Owner"


def _listed(heading: Selector, tags: set[str]) -> dict[str, str]:
    below = []
    for element in heading.xpath("following-sibling::*"):
        if element.root.tag in tags or element.xpath(" | ".join(f".//{tag}" for tag in sorted(tags))):
            break
        below.append(element)
    own = [element for element in below if text_of(element)]
    if len(own) > 1 and len({element.root.tag for element in own}) == 1:
        return {"listed": "list", "items": own[0].root.tag}
    return {"listed": "lines"}


def find_identity(found: Found, parcels: Sequence[Explored]) -> None:
    """Find the places that name the parcel in each step; the page's address counts where there is no
    other.
    """
    ways: list[dict[str, str]] = []
    account = str(found.page.get("account"))
    if all(_names(one, partial(_account_numbers, css=account, page=found.page)) for one in parcels):
        ways.append({"at": "account"})
    selector = _heading_css(parcels, account)
    if selector:
        ways.append({"at": "heading", "selector": selector})
    tabs = str(found.page.get("tabs"))
    if all(_names(one, partial(_numbers_at, css=tabs)) for one in parcels):
        ways.append({"at": "tab"})
    if not ways and all(_is_named(numbers_in_address(one.address), one.apn) for one in parcels):
        ways.append({"at": "address"})
        found.note(
            "identity",
            "the page's address alone: it counts with an owner or a situs address that is stored of the"
            " parcel",
        )
    elif ways:
        found.note("identity", ", ".join(" ".join(way.values()) for way in ways), selector)
    else:
        found.questions.append(_NO_IDENTITY)
        return
    found.page["identity"] = ways


def _names(one: Explored, numbers: Callable[[Selector], list[str]]) -> bool:
    return all(_is_named(numbers(Selector(text=step.html, type="html")), one.apn) for step in one.steps)


def _numbers_at(root: Selector, css: str) -> list[str]:
    return [number for element in root.css(css) for number in NUMBER.findall(text_of(element))]


def _is_named(numbers: list[str], apn: str) -> bool:
    return bool(numbers) and all(is_apn(number, apn) for number in numbers)


def _account_numbers(root: Selector, css: str, page: dict[str, Any]) -> list[str]:
    for account in root.css(css)[:1]:
        headings = " ".join(text_of(heading) for heading in account.css(str(page.get("headings", "h3"))))
        return DASHED.findall(text_of(account)) or NUMBER.findall(headings)
    return []


def _heading_css(parcels: Sequence[Explored], account: str) -> str | None:
    """Return a selector of an element outside of account and tabs that names the parcel, in each step, and no
    other.
    """
    first = Selector(text=parcels[0].first, type="html")
    for element in parts.elements_with_number(first, parcels[0].apn):
        if element.xpath(
            "ancestor-or-self::nav | ancestor-or-self::a | ancestor-or-self::button | ancestor-or-self::title"
        ):
            continue
        if any(element.root in [*inner.root.iter()] for inner in first.css(account)):
            continue
        for css in parts.css_of(element.root):
            if all(_names(one, partial(_numbers_at, css=css)) for one in parcels):
                return css
    return None
