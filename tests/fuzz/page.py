"""The assessor's public page under mutation: what is stored stands in the page, read here by lxml and other
words than the parser's.
"""

import datetime as dt
import re
from typing import Any

from maricopa_scrapy.configuration import load
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.sandbox.assessor.public_page import HIDDEN_TOKEN
from maricopa_scrapy.sandbox.assessor.public_page import page as sandbox_page
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.assessor import public_page
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets
from tests.fuzz.reading import Subject, check_one_page, same, shown, storable, tree

_TREASURER = "https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}"
_NOTHING = ("", "na", "n/a")


def _labels() -> public_page.Layout:
    labels = load()[1]["assessor_page"].labels
    assert labels is not None
    return public_page.Layout(**dict(labels))


LAYOUT = _labels()


def _words(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split()) if isinstance(element.tag, str) else ""


def _is_header(element: Any) -> bool:
    return isinstance(element.tag, str) and (
        "td-header" in (element.get("class") or "").split() or element.tag in ("th", "dt")
    )


def _letters(text: str) -> str:
    text = re.sub(r"\( *[0-9,]+ +parcels? *\)", "", text.lower())
    return " ".join(re.sub(r"[^0-9a-z/# ]", " ", text).split())


def _apn(text: str) -> str:
    try:
        return parse_apn(text)
    except IdentifierError:
        return text


def check(body: bytes, apn: str, page: public_page.Page) -> None:
    """Assert that a page read from a body is what the body tells."""
    kept = without_secrets(body)
    text = re.sub("[\0\ud800-\udfff]", "", kept.decode())
    check_one_page(text)
    root = tree(text)
    if page.record is None:
        assert re.search("parcel not found|no results found|no parcel found", _words(root).lower())
        return
    for error in page.notes.unread.values():
        assert HIDDEN_TOKEN not in str(error)
    named = [one.get("value", "").strip() for one in root.xpath("//*[@id='APN_RAW']")]
    named += [
        name
        for one in root.xpath("//h1|//title")
        for name in re.findall(r"\b\d{3}-\d{2}-\d{3}[A-Za-z]?\b", shown(one), re.ASCII)
    ]
    record = page.record
    assert record.apn == apn
    assert {_apn(name) for name in named if name} <= {apn}
    unread = {column for name in page.notes.unread for column in public_page.SECTIONS[name]}
    assert unread <= record.absent
    assert all(getattr(record, column) is None for column in record.absent)
    beside = _beside(root)
    for column, labels in LAYOUT.columns.items():
        stored = getattr(record, column)
        storable(stored)
        values: set[str] = set().union(*(beside.get(_letters(label), set()) for label in labels))
        if stored is not None:
            assert any(_shows(column, value, stored) for value in values), f"{column}: {stored!r} of {values}"
        elif column not in record.absent and not record.is_redacted:
            assert all(
                value.lower() in _NOTHING or re.fullmatch(r"(na|n/a|0|[\s,])+", value.lower())
                for value in values
            ), (column, values)
    _check_unlabelled(root, record)


def _beside(root: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in root.iter():
        follower = one.getnext()
        while follower is not None and not isinstance(follower.tag, str):
            follower = follower.getnext()
        if _is_header(one) and follower is not None and not _is_header(follower):
            found.setdefault(_letters(_words(one)), set()).add(_words(follower))
    return found


def _check_unlabelled(root: Any, record: Any) -> None:
    everything = _words(root)
    if record.ownership is not None:
        owners = {" ".join(one.get("value", "").split()) for one in root.xpath("//*[@id='Owner_Ownership']")}
        assert record.ownership in owners
        assert record.is_redacted is False
        if "The current owner is" in everything:
            assert f"The current owner is {record.ownership}" in everything or not root.xpath(
                "//*[@id='property-glance']"
            )
    if record.is_redacted:
        assert (record.ownership, record.mailing_address, record.in_care_of) == (None, None, None)
    for value in (record.property_address, record.property_type):
        assert value is None or value in everything


def _shows(column: str, value: str, stored: Any) -> bool:
    if column == "assessor_market":
        return value.replace(" ", "").startswith(f"{stored}/")
    if isinstance(stored, dt.date):
        return same(value, stored)
    if isinstance(stored, int):
        digits = re.fullmatch(r"\$? ?([0-9,]+?)(\.00)?( ?sq\.? ?ft\.?| ?square feet)?", value, re.IGNORECASE)
        return digits is not None and int(digits[1].replace(",", "")) == stored
    return bool(value == stored)


def subjects() -> list[Subject]:
    """Return the page's parser."""
    county = County()
    seeds = [(sandbox_page(apn, county.undrawn(apn)[0]), apn) for apn in county.apns(6)]
    return [
        Subject(
            "assessor public page",
            "html",
            seeds,
            lambda body, apn: public_page.parse_page(body, apn, LAYOUT, _TREASURER),
            check,
        )
    ]
