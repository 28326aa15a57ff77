"""The assessor's public page of a parcel, /mcs/?q={apn}&mod=pd: what the server itself writes into it, as one
record.

Labels stand in `td-header` and values in the next element; owner, situs and kind have no label (one captured
page, docs/sources.md). Cells that a script fills (Valuations_*, ResidentialPropertyData_*) are empty here and
never read.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parsel import Selector

from maricopa_scrapy.parsing.bodies import check_whole
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, NotFound, SourceChanged, WrongParcel
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.parsing.links import leads_elsewhere, parcels_in
from maricopa_scrapy.parsing.notes import Notes, record_of
from maricopa_scrapy.parsing.values import INT4, INT8, clean, date_of, is_withheld
from maricopa_scrapy.parsing.values import code as json_code
from maricopa_scrapy.sources.assessor.public_page_records import PageParcel
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets

_APN = re.compile(r"(?<![0-9A-Za-z])\d{3}-\d{2}-\d{3}[A-Za-z]?(?![0-9A-Za-z])", re.ASCII)
_NOT_LABEL = re.compile(r"[^0-9a-z/# ]")
_NUMBER = r"([0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})"
_MONEY = re.compile(rf"\$? ?{_NUMBER}(?:\.00)?")
_AREA = re.compile(rf"{_NUMBER} ?(?:sq\.? ?ft\.?|square feet)", re.IGNORECASE)
_DATE = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
# A label with how many there are: "Subdivision (223 Parcels)".
_COUNTED = re.compile(rf"(.*\S)\s*\(\s*{_NUMBER}\s+parcels?\s*\)\W*", re.IGNORECASE)
_MARKET = re.compile(r"([0-9A-Za-z]{1,8}) ?/ ?([0-9A-Za-z]{1,8})")
# An address of which every part is withheld.
_NO_ADDRESS = re.compile(r"(?:NA|N/A)(?:[\s,]+(?:NA|N/A|0))*", re.IGNORECASE)
_KIND = re.compile(r"(.*\S) parcel", re.IGNORECASE)


def _of_class(name: str) -> str:
    return f"contains(concat(' ', normalize-space(@class), ' '), ' {name} ')"


_HEADERS = f"//*[self::th or self::dt or {_of_class('td-header')}]"
_BANNERS = f"//*[{_of_class('parcel-section')}]//*[{_of_class('banner-text')}]"
_OWNER_LINKS = f"//*[@id='owner']//*[{_of_class('banner-text')}]//a"
_BY_SCRIPT = ("Valuations_", "ResidentialPropertyData_")
_SHOWN_TEXT = "//body//text()[not(ancestor::script or ancestor::style or ancestor::noscript)]"
_NAMES_OWNER = "The current owner is"
_TEXT_MOST = 4000

# Sections of the page, columns of one table; an element that has no label is named as it stands in the page.
SECTIONS: dict[str, tuple[str, ...]] = {
    "owner": ("ownership", "is_redacted", "in_care_of", "mailing_address"),
    "sale": ("deed_number", "deed_date", "sale_date", "sale_price"),
    "property": (
        "property_address", "property_type", "property_description", "lot_size_sqft", "lot", "mcr",
        "section_township_range",
        "assessor_market", "area_neighborhood", "subdivision_name", "parcels_in_subdivision",
        "high_school_district",
        "elementary_school_district", "jurisdiction",
    ),
}  # fmt: skip
# What says whose page it is.
IDENTITY = ("APN_RAW", "heading", "link to the treasurer")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the page shows: labels by column, labels passed over, words for "no such parcel".

    `absent` counts next to the APN that was asked for, `absent_alone` also where the page names no parcel.
    """

    columns: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    absent_alone: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.columns.keys() != READERS.keys():
            raise ValueError(f"labels.columns has {', '.join(READERS)}, and no other")


@dataclass(slots=True)
class Page:
    """What one page says; `record` is None when it says that there is no such parcel. `moved` is a link to
    the treasurer that leads elsewhere than expected.
    """

    record: PageParcel | None
    notes: Notes = field(compare=False)
    moved: str | None = None


@dataclass(slots=True)
class _Cells:
    """Values by label, and how many parcels a label counts."""

    values: dict[str, set[str]]
    counts: dict[str, set[str]]


def parse_page(body: bytes, apn: str, layout: Layout, treasurer: str | None = None) -> Page:
    """Read the page of the parcel that was asked for; `treasurer` is where its link to the treasurer should
    lead.

    Raises PageError: Malformed, WrongParcel, NotFound for a page whose values are all empty, SourceChanged
    when no section can be read.
    """
    try:
        # First: no error may quote the site's token.
        html = without_secrets(body).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("body", f"UTF-8 ({error.reason})", b"") from None
    check_whole("body", html)
    page = Selector(text=clean(html), type="html")
    notes = Notes()
    cells = _cells(page, layout, notes)
    if not cells.values and _says_absent(page, apn, layout):
        return Page(None, Notes())
    links = [
        link for link in page.xpath("//a/@href").getall() if "treasurer" in link.lower() and parcels_in(link)
    ]
    _check_identity(page, links, apn, notes)
    columns: dict[str, Any] = {column: ABSENT for of in SECTIONS.values() for column in of}
    with notes.section("owner"):
        columns |= _owner(page, cells, layout, notes)
    with notes.section("sale"):
        columns |= {column: _column(column, cells, layout, notes) for column in SECTIONS["sale"]}
    with notes.section("property"):
        columns |= _property(page, cells, layout, notes)
    notes.raise_if_all_unread()
    if not notes.unread and all(value in (None, ABSENT) for value in columns.values()):
        raise NotFound("page", "a value under any label", "")
    moved = next((link for link in links if treasurer and leads_elsewhere(link, treasurer, apn)), None)
    return Page(record_of(PageParcel, columns, apn=apn), notes, moved)


def _cells(page: Selector, layout: Layout, notes: Notes) -> _Cells:
    """Return the values by label; labels that nobody knows are noted."""
    wanted = {_label(label) for labels in layout.columns.values() for label in labels}
    known = wanted | {_label(label) for label in layout.ignored}
    cells = _Cells({}, {})
    for header in page.xpath(_HEADERS):
        said = _text(header)
        counted = _COUNTED.fullmatch(said)
        label = _label(counted[1] if counted else said)
        value = header.xpath("following-sibling::*[1]")
        # A heading of a table's column has another next to it, or nothing.
        if not label or not value or value.xpath(_HEADERS.replace("//*", "self::*", 1)):
            continue
        if any(
            name.startswith(_BY_SCRIPT) for name in value.xpath("descendant-or-self::*/@id | @name").getall()
        ):
            continue
        if label in wanted:
            cells.values.setdefault(label, set()).add(_text(value[0]))
            if counted:
                cells.counts.setdefault(label, set()).add(counted[2])
        elif label not in known:
            notes.is_new(label)
    return cells


def _owner(page: Selector, cells: _Cells, layout: Layout, notes: Notes) -> dict[str, Any]:
    """Read owner and mailing address. The owner stands in three places, which must agree."""
    columns = {column: _column(column, cells, layout, notes) for column in ("in_care_of", "mailing_address")}
    said = {_folded(value) for value in page.xpath("//*[@id='Owner_Ownership']/@value").getall()}
    if not said:
        notes.is_absent("Owner_Ownership")
        return columns
    if len(said) > 1:
        raise SourceChanged("Owner_Ownership", "one owner", sorted(said))
    (owner,) = said
    links = {_folded(_text(link)) for link in page.xpath(_OWNER_LINKS)}
    sentences = {
        _folded(text).partition(f"{_NAMES_OWNER} ")[2] for text in _glance(page) if _NAMES_OWNER in text
    }
    # No value in the message: an owner may be withheld tomorrow.
    if links - {owner}:
        raise SourceChanged("Owner_Ownership", "the owner in the heading of its section", ABSENT)
    if not all(re.match(rf"{re.escape(owner)} ?(?:\.|$)", sentence) for sentence in sentences):
        raise SourceChanged("Owner_Ownership", f'the owner of "{_NAMES_OWNER} ..."', ABSENT)
    for name, found in (("Owner Information", links), (_NAMES_OWNER, sentences)):
        if owner and not found:
            notes.is_absent(name)
    if is_withheld(owner):
        return dict.fromkeys(SECTIONS["owner"]) | {"is_redacted": True}
    if _is_nothing(owner):
        return columns | {"ownership": None, "is_redacted": None}
    return columns | {"ownership": _words(owner, "Owner_Ownership"), "is_redacted": False}


def _property(page: Selector, cells: _Cells, layout: Layout, notes: Notes) -> dict[str, Any]:
    columns = {
        column: _column(column, cells, layout, notes) for column in SECTIONS["property"] if column in READERS
    }
    market = columns["assessor_market"]
    columns["assessor_market"], columns["area_neighborhood"] = (
        market if isinstance(market, tuple) else (market, market)
    )
    label = layout.columns["subdivision_name"][0]
    counts = set().union(
        *(cells.counts.get(_label(one), set()) for one in layout.columns["subdivision_name"])
    )
    if len(counts) > 1:
        raise SourceChanged(label, "one count of parcels", sorted(counts))
    if not counts and columns["subdivision_name"] is not ABSENT:
        notes.is_absent(f"{label} (... Parcels)")
    columns["parcels_in_subdivision"] = _count(counts.pop(), label) if counts else ABSENT
    return columns | {"property_address": _situs(page, notes), "property_type": _type(page, notes)}


def _situs(page: Selector, notes: Notes) -> Any:
    """Return the address in the first section's heading, which the sentence above repeats."""
    found = {_text(link) for link in page.xpath(f"{_BANNERS}//a")}
    if not found:
        notes.is_absent("Property Information")
        return ABSENT
    if len(found) > 1:
        raise SourceChanged("Property Information", "one address", sorted(found))
    (situs,) = found
    sentences = [text for text in _glance(page) if "located at" in text]
    if not sentences:
        notes.is_absent("located at")
    elif not all(text.partition("located at")[2].lstrip().startswith(situs) for text in sentences):
        raise SourceChanged("Property Information", 'the address of "located at ..."', situs)
    return (
        None if _is_nothing(situs) or _NO_ADDRESS.fullmatch(situs) else _words(situs, "Property Information")
    )


def _type(page: Selector, notes: Notes) -> Any:
    """Return what the banner calls the parcel, "Residential Parcel", as the API does: "Residential"."""
    headings = {_text(heading) for heading in page.xpath(f"{_BANNERS}//*[self::h2 or self::h3 or self::h4]")}
    kinds = {text for text in headings if text and not _APN.search(text)}
    if not kinds:
        notes.is_absent("... Parcel")
        return ABSENT
    found = [kind for text in kinds if (kind := _KIND.fullmatch(text))]
    if len(kinds) > 1 or not found:
        raise SourceChanged("... Parcel", "a kind of parcel", " | ".join(sorted(kinds)))
    return _words(str(found[0][1]), "... Parcel")


def _glance(page: Selector) -> list[str]:
    """Return the sentences about the parcel, above its sections."""
    return [_text(element) for element in page.xpath("//*[@id='property-glance']")]


def _column(column: str, cells: _Cells, layout: Layout, notes: Notes) -> Any:
    labels = layout.columns[column]
    values: set[str] = set().union(*(cells.values.get(_label(label), set()) for label in labels))
    if not values:
        notes.is_absent(labels[0])
        return ABSENT
    if len(values) != 1:
        raise SourceChanged(labels[0], "one value beside this label", sorted(values))
    (value,) = values
    return None if _is_nothing(value) else READERS[column](value, labels[0])


def _is_nothing(value: str) -> bool:
    return value.lower() in ("", "n/a", "na")


def _says_absent(page: Selector, apn: str, layout: Layout) -> bool:
    shown = " ".join(" ".join(page.xpath(_SHOWN_TEXT).getall()).split()).lower()
    # The box for searches repeats what was asked for.
    named = " ".join([shown, *page.xpath("//input/@value").getall()]).lower()
    numbers = set(re.findall(r"[0-9a-z]+", re.sub(r"(?<=[0-9a-z])-(?=[0-9a-z])", "", named)))
    if apn.lower() in numbers:
        return _has_words(shown, (*layout.absent, *layout.absent_alone))
    return not any(re.fullmatch(r"\d{8}[a-z]?", number, re.ASCII) for number in numbers) and _has_words(
        shown, layout.absent_alone
    )


def _has_words(shown: str, phrases: Iterable[str]) -> bool:
    return any(words.lower() in shown for words in phrases)


def _check_identity(page: Selector, links: list[str], apn: str, notes: Notes) -> None:
    headings = (
        page.xpath(f"//title | //h1 | {_BANNERS}//*[self::h2 or self::h3 or self::h4]")
        .xpath("string()")
        .getall()
    )
    found = (
        [value.strip() for value in page.xpath("//*[@id='APN_RAW']/@value").getall() if value.strip()],
        [number for text in headings for number in _APN.findall(text)],
        [number for link in links for number in parcels_in(link)],
    )
    if not any(found):
        raise Malformed("page", f"a page that names parcel {apn}", "one that names none")
    for name, numbers in zip(IDENTITY, found, strict=True):
        if not numbers:
            notes.is_absent(name)
        for number in numbers:
            try:
                same = parse_apn(number) == apn
            except IdentifierError:
                same = False
            if not same:
                raise WrongParcel(name, f"parcel {apn}", number)


def _label(text: str) -> str:
    return " ".join(_NOT_LABEL.sub(" ", text.lower()).split())


def _text(element: Selector) -> str:
    return _folded(" ".join(element.xpath(".//text()[not(ancestor::style)]").getall()))


def _folded(text: str) -> str:
    return " ".join(text.split())


def _words(value: str, label: str) -> str:
    if len(value) > _TEXT_MOST:
        raise SourceChanged(label, f"text of at most {_TEXT_MOST} characters", value)
    return value


def _address(value: str, label: str) -> str | None:
    return None if _NO_ADDRESS.fullmatch(value) else _words(value, label)


def _code(value: str, label: str) -> str | None:
    return json_code(value, label)


def _market(value: str, label: str) -> tuple[str, str]:
    found = _MARKET.fullmatch(value)
    if found is None:
        raise SourceChanged(label, "market area/neighborhood", value)
    return found[1], found[2]


def _money(value: str, label: str) -> int:
    return _amount(_MONEY.fullmatch(value), label, "whole dollars", value)


def _area(value: str, label: str) -> int:
    return _amount(_AREA.fullmatch(value), label, "square feet", value)


def _count(value: str, label: str) -> int:
    return _amount(re.fullmatch(_NUMBER, value), label, "a count", value, INT4)


def _amount(found: re.Match[str] | None, label: str, expected: str, value: str, most: int = INT8) -> int:
    amount = most + 1 if found is None else int(found[1].replace(",", ""))
    if amount > most:
        raise SourceChanged(label, expected, value)
    return amount


def _date(value: str, label: str) -> dt.date:
    return date_of(_DATE.fullmatch(value), label, "a date MM/DD/YYYY", value)


# Of columns with a label; a market area has its neighborhood behind a stroke.
READERS: dict[str, Callable[[str, str], Any]] = {
    "in_care_of": _address,
    "mailing_address": _address,
    "deed_number": _code,
    "deed_date": _date,
    "sale_date": _date,
    "sale_price": _money,
    "property_description": _words,
    "lot_size_sqft": _area,
    "lot": _words,
    "mcr": _code,
    "section_township_range": _code,
    "assessor_market": _market,
    "subdivision_name": _words,
    "high_school_district": _words,
    "elementary_school_district": _words,
    "jurisdiction": _words,
}
