"""A page of HTML without persons: headings keep the words that are known, cells stay only when all of them is
known.
"""

import re
from typing import Any, Protocol

from parsel import Selector

from maricopa_scrapy.probe import words_to_keep as known

_GONE = {"script", "style", "svg", "iframe", "object", "embed", "template", "link", "meta", "base", "canvas"}
_LABEL_TAGS = {
    "th",
    "dt",
    "label",
    "legend",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "title",
    "button",
    "option",
    "caption",
    "summary",
}
_LABEL_CLASSES = re.compile(
    r"(?:^|[\s_-])(?:td-header|tab|tabs|nav|menu|k-column-title|k-link)(?:$|[\s_-])", re.IGNORECASE
)
_LABEL_ROLES = {"tab", "columnheader", "heading", "rowheader"}
_NAV = re.compile(r"nav|menu|tab", re.IGNORECASE)
# Attributes that tell how a page is built.
_KEPT = {"class", "id", "name", "type", "role", "scope", "colspan", "rowspan", "for", "method", "lang",
"tabindex", "headers", "selected",
         "checked", "disabled", "hidden", "aria-colindex", "aria-rowindex", "aria-selected",
         "aria-expanded"}  # fmt: skip
_TEXTS = {"title", "alt", "placeholder", "aria-label", "summary", "label"}
_LINKS = {"href", "src", "action"}
_IDENTIFIER = re.compile(r"[\w\s:.\[\]#/-]*")


class Replacements(Protocol):
    """What a page's texts and attributes become."""

    def label(self, text: str) -> str:
        """Return a heading without the words that are not known."""

    def value(self, text: str) -> str:
        """Return the text of a cell, replaced unless all of it is known."""

    def personal(self, text: str) -> str:
        """Return other letters and digits for a text that is a person's."""

    def leaf(self, key: str, text: str) -> str:
        """Return the value of a field or an attribute by its name."""

    def url(self, url: str) -> str:
        """Return an address without what is a person's in it."""


class Page:
    """One page, walked through in the order of its text: what a heading announces holds for what stands
    behind it.
    """

    def __init__(self, replacements: Replacements) -> None:
        self._to = replacements
        self._is_person = False
        self._headings: list[str] = []

    def replaced(self, text: str) -> str:
        """Return the page; scripts, comments and all that is not seen are gone."""
        selector = Selector(text=text.replace("\0", "") or "<html></html>", type="html")
        root: Any = selector.root
        self._tidy(root)
        self._walk(root, False)
        return str(selector.get())

    def _tidy(self, root: Any) -> None:
        for element in list(root.iter()):
            if (
                not isinstance(element.tag, str) or element.tag.lower() in _GONE
            ) and element.getparent() is not None:
                _remove(element)

    def _walk(self, element: Any, in_nav: bool) -> None:
        tag = element.tag.lower()
        in_nav = (
            in_nav
            or tag == "nav"
            or (tag in ("ul", "ol", "div") and bool(_NAV.search(element.get("id") or "")))
        )
        is_label = (
            tag in _LABEL_TAGS or (element.get("role") or "") in _LABEL_ROLES or (tag == "a" and in_nav)
        )
        is_label = is_label or bool(_LABEL_CLASSES.search(element.get("class") or ""))
        if tag == "thead":
            self._headings = [" ".join("".join(th.itertext()).split()) for th in element.iter("th", "td")]
        before = self._is_person
        if is_label:
            self._is_person = False
        if tag == "td" and not is_label:
            self._is_person = self._of_column(element, before)
        self._attributes(element)
        element.text = self._text(element.text, is_label)
        for child in element:
            self._walk(child, in_nav)
            child.tail = self._text(child.tail, is_label)
        if is_label:
            said = "".join(element.itertext())
            # A heading without words announces nothing new.
            self._is_person = known.is_person_label(said) if said.strip() else before

    def _of_column(self, cell: Any, before: bool) -> bool:
        row = cell.getparent()
        at = [one for one in row if isinstance(one.tag, str)].index(cell) if row is not None else 0
        if at < len(self._headings) and self._headings[at]:
            return known.is_person_label(self._headings[at])
        return before if not self._headings else False

    def _text(self, text: str | None, is_label: bool) -> str | None:
        if not text or not text.strip():
            return text
        if is_label:
            return self._to.label(text)
        if not self._is_person:
            return self._to.value(text)
        return text if text.strip() in known.WITHHELD else self._to.personal(text)

    def _attributes(self, element: Any) -> None:
        named = f"{element.get('id') or ''} {element.get('name') or ''}".strip()
        for name, value in list(element.attrib.items()):
            kept = self._attribute(element, name.lower(), value, named)
            if kept is None:
                del element.attrib[name]
            else:
                element.set(name, kept)

    def _attribute(self, element: Any, name: str, value: str, named: str) -> str | None:
        if name == "value":
            if known.is_secret_key(named):
                return ""
            is_hidden = (element.get("type") or "").lower() == "hidden"
            return self._to.leaf(named, value) if is_hidden or named else self._to.value(value)
        if known.is_secret_key(name):
            return None
        if name in _LINKS:
            return (
                None
                if ":" in value.split("/")[0] and not value.startswith(("http:", "https:"))
                else self._to.url(value)
            )
        if name in _TEXTS:
            return self._to.label(value)
        if name in _KEPT or name.startswith(("data-col", "data-index")):
            return value if _IDENTIFIER.fullmatch(value) and not known.PHONE.search(value) else None
        return self._to.leaf(name, value) if name.startswith("data-") else None


def _remove(element: Any) -> None:
    """Take an element out, but not the text behind it."""
    parent, tail = element.getparent(), element.tail
    if tail:
        previous = element.getprevious()
        if previous is not None:
            previous.tail = (previous.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail
    parent.remove(element)
