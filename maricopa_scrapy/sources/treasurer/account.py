"""Whose page it is: the places that name the parcel, the account's owner and situs address, the view of a
parcel that is not there.
"""

import re
from typing import Any

from parsel import Selector

from maricopa_scrapy.parsing.bodies import check_whole
from maricopa_scrapy.parsing.errors import SourceChanged, WrongParcel
from maricopa_scrapy.parsing.page_layout import Identity, Layout
from maricopa_scrapy.sources.treasurer.grid import PAGERS, VIRTUAL, check_pagers
from maricopa_scrapy.sources.treasurer.parcel_numbers import (
    DASHED,
    NUMBER,
    is_apn,
    numbers_in_address,
    text_of,
)
from maricopa_scrapy.sources.treasurer.records import TaxAccount

# Elements that a browser begins a line with, and ends one.
_LINES = re.compile(
    "address|article|aside|blockquote|br|dd|div|dl|dt|fieldset|footer|form|h[1-6]|header|hr|li|main|nav|ol|p|section|table|tbody|td|tfoot"
    "|th|thead|tr|ul"
)


def account_of(root: Selector, layout: Layout) -> Selector:
    """Return the block of the owner and the situs address. Raises SourceChanged."""
    if layout.account_container is None:
        if found := root.css(layout.account):
            return found[0]
    else:
        around = {element.root for element in root.css(layout.account_container)}
        for grid in root.css(layout.grid):
            container = next(
                (parent for parent in grid.xpath("ancestor::*")[::-1] if parent.root in around), None
            )
            if container is not None and (found := container.xpath("..").css(layout.account)):
                return found[0]
    raise SourceChanged(
        "account",
        f"a {layout.account} beside a {layout.grid}",
        None,
        "where does the page show owner and situs address?",
    )


def is_named(root: Selector, account: Selector, apn: str, layout: Layout, address: str) -> bool:
    """Return True when the page itself names the parcel, False when only its address does.

    Raises WrongParcel where anything that may name it names another, SourceChanged where nothing names it.
    """
    named = set()
    for one in layout.identity:
        numbers = _numbers(one, root, account, layout, address)
        for number in numbers:
            if not is_apn(number, apn):
                raise WrongParcel(one.at, f"parcel {apn}", number)
        if numbers:
            named.add(one.at)
    # Of an account that need not name it, a number that it has all the same.
    for number in DASHED.findall(text_of(account)):
        if not is_apn(number, apn):
            raise WrongParcel("account", f"parcel {apn}", number)
    if not named:
        ask = "where does the page say which parcel it is of? Its place belongs in page.identity"
        raise SourceChanged(
            "/".join(one.at for one in layout.identity), f"parcel {apn} named", text_of(account), ask
        )
    return named != {"address"}


def _numbers(one: Identity, root: Selector, account: Selector, layout: Layout, address: str) -> list[str]:
    if one.at == "address":
        return numbers_in_address(address)
    if one.at == "account":
        headings = " ".join(text_of(heading) for heading in account.css(layout.headings))
        return DASHED.findall(text_of(account)) or NUMBER.findall(headings)
    elements = root.css(layout.tabs if one.at == "tab" else one.selector or "")
    return [number for element in elements for number in NUMBER.findall(text_of(element))]


def read_account(account: Selector, apn: str, layout: Layout) -> TaxAccount:
    """Return whom the page bills, and where the parcel is. Raises SourceChanged."""
    found = {
        column: _lines_below(account, layout, column) for column, words in layout.blocks.items() if words
    }
    return TaxAccount(
        apn=apn, **{column: "\n".join(found.get(column, ())) or None for column in layout.blocks}
    )


def _lines_below(account: Selector, layout: Layout, column: str) -> list[str]:
    words = [word.casefold() for word in layout.blocks[column]]
    listed = layout.owners.listed if column == "owner" else "lines"
    headings = account.css(layout.headings)
    named = [
        heading
        for heading in headings[layout.title :]
        if any(word in text_of(heading).casefold() for word in words)
    ]
    if not named or (len(named) > 1 and listed != "blocks"):
        shown = ", ".join(text_of(heading) for heading in headings[layout.title :])
        ask = f"under which heading does the page show it? A word of it belongs in page.blocks.{column}"
        raise SourceChanged(
            f"account.{column}", f"one heading with {' or '.join(layout.blocks[column])}", shown, ask
        )
    ends = {heading.root for heading in headings}
    lines: list[str] = []
    for heading in named:
        below = _until(heading.xpath("following-sibling::*"), ends)
        if listed == "list":
            items = _items(below, {item.root for item in account.css(layout.owners.items)})
        else:
            items = [element.root for element in below[:1]]
        if not items:
            raise SourceChanged(f"account.{column}", f"a text below {text_of(heading)}", None)
        lines += [line for item in items for line in _lines_of(item)]
    return lines


def _until(elements: list[Selector], ends: set[Any]) -> list[Selector]:
    """Return the elements before the first that is a heading, or has one in it."""
    found: list[Selector] = []
    for element in elements:
        if any(node in ends for node in element.root.iter()):
            break
        found.append(element)
    return found


def _items(elements: list[Selector], items: set[Any]) -> list[Any]:
    """Return the items in some elements, in order; of one within another, the outer one."""
    found: list[Any] = []
    for element in elements:
        for node in element.root.iter():
            if node in items and not any(parent in items for parent in node.iterancestors()):
                found.append(node)
    return found


def _lines_of(element: Any) -> list[str]:
    """Return the lines that a browser shows of an element (lxml's), as far as its tags tell."""
    pieces: list[str] = []
    # Not by recursion: a page may be nested as deep as it likes.
    waiting: list[Any] = [element]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            pieces.append(one)
            continue
        inner: list[Any] = [_flat(one.text)] if isinstance(one.tag, str) else []
        for child in one if inner else ():
            inner += [child, _flat(child.tail)]
        if inner and _LINES.fullmatch(one.tag):
            inner = ["\n", *inner, "\n"]
        waiting += reversed(inner)
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return [line for line in lines if line]


def _flat(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def check_absent(html: str, apn: str, layout: Layout) -> None:
    """Return when the page says that there is no such parcel, as the manifest knows it. Raises PageError."""
    check_whole("absent", html)
    root = Selector(text=html, type="html")
    found = root.css(layout.absent)
    if len(found) != 1:
        raise SourceChanged("absent", f"one {layout.absent}", len(found))
    text = text_of(found[0])
    shown = [one for one in root.css(layout.parcel) if found[0].root not in one.root.iterancestors()]
    rows = root.css(layout.results.rows) if layout.results else []
    listed = [NUMBER.findall(text_of(row)) for row in rows]
    if any(is_apn(number, apn) for numbers in [NUMBER.findall(text), *listed] for number in numbers):
        ask = "it is among those that were found: how is it opened? page.results says so"
        raise SourceChanged("absent", f"no parcel {apn} among those found", apn, ask)
    if any(listed):
        _check_results(root, listed)
        return
    if shown:
        raise SourceChanged("absent", "no parcel beside it", text_of(shown[0]))
    if not layout.absent_alone and text.casefold() not in {known.casefold() for known in layout.absent_texts}:
        ask = "does this text say that there is no such parcel? Then it belongs in page.absent_texts"
        raise SourceChanged(
            "absent",
            f"one of the absent_texts: {', '.join(layout.absent_texts) or 'none is known'}",
            text,
            ask,
        )


def _check_results(root: Selector, listed: list[list[str]]) -> None:
    """Return when all that was found is shown, each with its parcel. Raises SourceChanged."""
    if not all(listed):
        raise SourceChanged("absent.results", "a parcel in each row", f"{listed.count([])} rows without one")
    if root.css(VIRTUAL):
        raise SourceChanged("absent.results", "all rows, not only those in sight", "a virtual grid")
    check_pagers("absent.pager", root.css(PAGERS), len(listed))
