"""The rule of all parsers on the public page: each label and each element absent, of another kind or renamed,
one at a time.

Whose page it is is refused by name; of everything else the other sections are as before, and what was touched
is told.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from maricopa_scrapy.configuration import load
from maricopa_scrapy.parsing.errors import Malformed, PageError, WrongParcel
from maricopa_scrapy.sandbox.assessor.public_page import page
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.assessor.public_page import IDENTITY, SECTIONS, Layout, Page, parse_page

LABELS = load()[1]["assessor_page"].labels
assert LABELS is not None
LAYOUT = Layout(**dict(LABELS))
CAPTURES = os.environ.get("MARICOPA_CAPTURES")
COLUMNS = {label: column for column, labels in LAYOUT.columns.items() for label in labels}
# Columns beside the one that a label names.
ALSO = {"assessor_market": {"area_neighborhood"}, "subdivision_name": {"parcels_in_subdivision"}}
_IN_SECTION = "//div[contains(@class, 'parcel-section')]"
# Elements without a label: where, the columns that they tell, and whether another element must say the same.
ELEMENTS: dict[str, tuple[str, set[str]]] = {
    "hidden owner": ("//input[@id='Owner_Ownership']", {"ownership", "is_redacted"}),
    "owner's heading": ("//div[@id='owner']//div[contains(@class, 'banner-text')]/a", set()),
    "situs": (f"{_IN_SECTION}//div[contains(@class, 'banner-text')]/a", {"property_address"}),
    "kind": (f"{_IN_SECTION}//h3[contains(., 'Parcel')]", {"property_type"}),
}
SECTION_OF_ELEMENT = {
    "hidden owner": "owner",
    "owner's heading": "owner",
    "situs": "property",
    "kind": "property",
}
WHOSE = {
    "APN_RAW": "//input[@id='APN_RAW']",
    "heading": f"{_IN_SECTION}//h3[contains(., '-')]",
    "link to the treasurer": "//a[contains(@href, 'treasurer') and contains(@href, 'Parcel=')]",
}


def _bodies() -> Iterator[Any]:
    county = County()
    found = [
        apn
        for apn in county.apns(200)
        if all((parcel := county.undrawn(apn)[0])["Owner"][key] for key in ("InCareOf", "SaleDate"))
        and parcel["PropertyAddress"]
    ]
    yield pytest.param(page(found[0], county.undrawn(found[0])[0]), found[0], id="sandbox")
    if CAPTURES:
        yield pytest.param(
            (Path(CAPTURES) / "assessor" / "page_30477566.html").read_bytes(), "30477566", id="captured"
        )


BODIES = pytest.mark.parametrize(("body", "apn"), list(_bodies()))


def _edited(body: bytes, edit: Callable[[Any], None]) -> bytes:
    root = html.document_fromstring(
        body.decode().lstrip("\ufeff").encode(), parser=html.HTMLParser(encoding="utf-8")
    )
    edit(root)
    changed: bytes = html.tostring(root, encoding="utf-8")
    return changed


def _read(body: bytes, apn: str) -> Page:
    return parse_page(body, apn, LAYOUT)


def _cells(root: Any) -> dict[str, tuple[Any, Any]]:
    """Return (label, value) by column of the cells that the server fills."""
    found = {}
    for header in root.xpath("//div[contains(@class, 'td-header')]"):
        label = " ".join(header.text_content().split()).partition(" (")[0]
        value = header.getnext()
        if label in COLUMNS and not value.get("id"):
            found[COLUMNS[label]] = (header, value)
    return found


def _removed(element: Any) -> None:
    element.drop_tree()


def _emptied_to(element: Any, text: str) -> None:
    for child in list(element):
        element.remove(child)
    element.text = text


def _check(before: Page, after: Page, section: str, columns: set[str], *, is_unread: bool) -> None:
    """Assert that all but the touched section is as before, and of that either nothing or all but the touched
    columns.
    """
    assert before.record is not None
    assert after.record is not None
    assert list(after.notes.unread) == ([section] if is_unread else [])
    gone = set(SECTIONS[section]) if is_unread else columns
    assert after.record == before.record.model_copy(update=dict.fromkeys(gone))
    assert after.record.absent == gone
    assert is_unread or after.notes.absent


@BODIES
def test_the_page_itself_is_read_whole(body: bytes, apn: str) -> None:
    found = _read(_edited(body, lambda root: None), apn)
    assert found.record == _read(body, apn).record
    assert (found.notes.new, found.notes.absent, found.notes.unread) == ({}, {}, {})
    root = html.document_fromstring(body)
    assert _cells(root).keys() == LAYOUT.columns.keys()
    for place in (*WHOSE.values(), *(place for place, _ in ELEMENTS.values())):
        assert root.xpath(place), place


@BODIES
@pytest.mark.parametrize("column", LAYOUT.columns)
def test_each_label(body: bytes, apn: str, column: str) -> None:
    before = _read(body, apn)
    section = next(name for name, columns in SECTIONS.items() if column in columns)
    columns = {column} | ALSO.get(column, set())

    def absent(root: Any) -> None:
        _removed(_cells(root)[column][0].getparent())

    def valueless(root: Any) -> None:
        _removed(_cells(root)[column][1])

    def renamed(root: Any) -> None:
        _emptied_to(_cells(root)[column][0], "Another Label")

    def retyped(root: Any) -> None:
        _emptied_to(_cells(root)[column][1], "?" * 5000)

    def twice(root: Any) -> None:
        label, _ = _cells(root)[column]
        label.getparent().addnext(
            html.fragment_fromstring(f"<dl><dt>{label.text_content()}</dt><dd>1</dd></dl>")
        )

    for edit in (absent, valueless, renamed):
        after = _read(_edited(body, edit), apn)
        _check(before, after, section, columns, is_unread=False)
        assert LAYOUT.columns[column][0] in after.notes.absent
        assert list(after.notes.new) == (["another label"] if edit is renamed else [])
    for edit in (retyped, twice):
        _check(before, _read(_edited(body, edit), apn), section, columns, is_unread=True)


@BODIES
@pytest.mark.parametrize("name", ELEMENTS)
def test_each_element_without_a_label(body: bytes, apn: str, name: str) -> None:
    before = _read(body, apn)
    place, columns = ELEMENTS[name]
    section = SECTION_OF_ELEMENT[name]

    def absent(root: Any) -> None:
        for element in root.xpath(place):
            _removed(element)

    def renamed(root: Any) -> None:
        for element in root.xpath(place):
            element.tag, element.attrib["id"] = "span", "Another"

    def retyped(root: Any) -> None:
        for element in root.xpath(place):
            element.attrib["value"] = "?" * 5000
            _emptied_to(element, "?" * 5000)

    for edit in (absent, renamed):
        after = _read(_edited(body, edit), apn)
        _check(before, after, section, columns, is_unread=False)
    _check(before, _read(_edited(body, retyped), apn), section, columns, is_unread=True)


@BODIES
def test_the_sentence_above_the_sections(body: bytes, apn: str) -> None:
    def saying(text: str, root: Any) -> None:
        _emptied_to(root.get_element_by_id("property-glance"), text)

    before = _read(body, apn)
    assert before.record is not None
    after = _read(_edited(body, lambda root: _removed(root.get_element_by_id("property-glance"))), apn)
    assert after.record == before.record
    assert list(after.notes.absent) == ["The current owner is", "located at"]
    for what, section in (("current owner is", "owner"), ("located at", "property")):
        text = (
            f"This is located at {before.record.property_address}. The current owner is"
            f" {before.record.ownership}."
        )
        odd = text.replace(what, f"{what} NOT")
        after = _read(_edited(body, partial(saying, odd)), apn)
        _check(before, after, section, set(), is_unread=True)


@BODIES
def test_whose_page_it_is(body: bytes, apn: str) -> None:
    before = _read(body, apn)

    def without(*names: str) -> bytes:
        def edit(root: Any) -> None:
            for name in names:
                for element in root.xpath(WHOSE[name]):
                    _removed(element)

        return _edited(body, edit)

    for name in IDENTITY:
        after = _read(without(name), apn)
        assert after.record == before.record
        assert list(after.notes.absent) == [name]
        alone = _read(without(*(other for other in IDENTITY if other != name)), apn)
        assert alone.record == before.record
    with pytest.raises(Malformed, match=f"names parcel {apn}"):
        _read(without(*IDENTITY), apn)

    def another(name: str, number: str, root: Any) -> None:
        for element in root.xpath(WHOSE[name]):
            if name == "heading":
                _emptied_to(element, number)
            else:
                key = "value" if name == "APN_RAW" else "href"
                element.set(
                    key, number if name == "APN_RAW" else f"https://treasurer.maricopa.gov/x?Parcel={number}"
                )

    for name in IDENTITY:
        numbers = ["901-01-001", "90101001"] + (["none"] if name != "heading" else [])
        for number in numbers if name != "heading" else numbers[:1]:
            with pytest.raises(PageError) as caught:
                _read(_edited(body, partial(another, name, number)), apn)
            assert (type(caught.value), caught.value.path) == (WrongParcel, name)
