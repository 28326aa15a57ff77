"""The assessor's search: /search/property/?q=&page=, 25 rows a page, matched by the county over all columns
at once.

Rows of five kinds share the answer; only real property leads to parcels. A rental row has an APN too, and is
none.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, NotFound, SourceChanged
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.parsing.shapes import Shape, as_list
from maricopa_scrapy.parsing.values import code, is_missing, money, required_code, text

OWNERSHIP_MOST = 100

_ROW = Shape(
    "Results[]",
    mcr=("MCR", code),
    subdivision_name=("SubdivisonName", text),
    section_township_range=("SectionTownshipRange", text),
    apn=("APN", required_code),
    ownership=("Ownership", text),
    situs_address=("SitusAddress", text),
    situs_city=("SitusCity", text),
    situs_zip=("SitusZip", code),
    property_type=("PropertyType", text),
    rental_id=("RentalID", code),
)
_ENVELOPE = Shape("")
_KINDS = {
    "rp": frozenset(
        ("MCR", "SubdivisonName", "SectionTownshipRange", "APN", "Ownership", "SitusAddress", "SitusCity",
        "SitusZip",
         "PropertyType", "RentalID")
    ),
    "bpp": frozenset(("AccountNo", "Name1", "Name2", "SitusAddress", "SitusCity", "SitusZip", "Multi",
    "Lease")),
    "mh": frozenset(
        ("AccountNo", "Name1", "Name2", "SitusAddress", "SitusCity", "SitusZip", "Vin1", "Vin2", "Vin3",
        "Vin4")
    ),
    "rental": frozenset(("APN", "Address", "City", "Zip", "Owner", "Contact", "Agent", "Property")),
    "sub": frozenset(("SubdivisionName", "ParcelCount")),
}  # fmt: skip
# A row whose kind lost a key or two is still of that kind.
_SHARE_LEAST = 0.5
_SILENT = re.compile(r"['’.]")
_WORD = re.compile(r"[^\W_]+")
_HOUSE_NUMBER = re.compile(r"\d+[a-z]?")


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One parcel that a search found. `ownership_cut`: the county shows 100 characters of the names, and
    there are more.

    `section_township_range` is compact ("127N5W" is 12 7N 5W) and stays so: it can't be taken apart without
    doubt.
    """

    apn: str
    mcr: str | None
    subdivision_name: str | None
    section_township_range: str | None
    ownership: str | None
    ownership_cut: bool
    situs_address: str | None
    situs_city: str | None
    situs_zip: str | None
    property_type: str | None
    rental_id: str | None


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A row that is no parcel: kind bpp (business personal property), mh (mobile home), rental or sub
    (subdivision).
    """

    kind: str


@dataclass(slots=True)
class SearchPage:
    """One page of a search. `total` is the county's figure for all pages and kinds; `others` counts rows by
    kind, `unread` those that could not be read.
    """

    total: int | None
    rows: list[SearchRow]
    others: dict[str, int]
    unread: int = 0
    notes: Notes = field(default_factory=Notes)

    @property
    def count(self) -> int:
        """Rows of all kinds on this page."""
        return len(self.rows) + sum(self.others.values()) + self.unread


def parse_search(body: bytes) -> SearchPage:
    """Read a page of a search: an object with `Results` and `TOTAL`.

    Without hits `Results` may be absent. Raises Soft404, Malformed, SourceChanged.
    """
    try:
        raw = decode(body)
    except NotFound as error:
        raise Malformed("body", "a search result", body) from error
    if is_missing(raw):
        return SearchPage(None, [], {})
    if not isinstance(raw, dict):
        raise SourceChanged("body", "an object with Results", raw)
    notes = Notes()
    total = None
    with notes.section("total"):
        total = money(raw.pop("TOTAL", None), "TOTAL")
    results = raw.pop("Results", None)
    if results is None and (total or "RealProperty" in raw or (total is None and raw)):
        raise SourceChanged("Results", "a list, or TOTAL 0", raw)
    page = SearchPage(total, [], {}, notes=notes)
    others: Counter[str] = Counter()
    listed = as_list(results, "Results")
    for result in listed:
        with notes.section("row"):
            row = _row(result, notes)
            if isinstance(row, SearchRow):
                page.rows.append(row)
            else:
                others[row.kind] += 1
    page.others = dict(others)
    page.unread = len(listed) - page.count
    # No hits count only where all that is there says so.
    if notes.unread and page.unread == len(listed):
        raise next(iter(notes.unread.values()))
    _ENVELOPE.audit(raw, notes)
    return page


def _row(raw: object, notes: Notes) -> SearchRow | OtherRow:
    if not isinstance(raw, dict):
        raise SourceChanged("Results[]", "an object", raw)
    kind = _kind(raw)
    if kind != "rp":
        _ROW.audit({key: None for key in raw if key not in _KINDS[kind]}, notes)
        return OtherRow(kind)
    columns: dict[str, Any] = {
        column: None if value is ABSENT else value for column, value in _ROW.read(raw.copy(), notes).items()
    }
    try:
        columns["apn"] = parse_apn(columns["apn"])
    except IdentifierError as error:
        raise SourceChanged("Results[].APN", "an APN", columns["apn"]) from error
    return SearchRow(ownership_cut=_is_cut(raw.get("Ownership")), **columns)


def _kind(raw: dict[str, Any]) -> str:
    """Return the kind of which the row has most keys, and more than half. Raises SourceChanged."""
    shares = {kind: len(keys & raw.keys()) / len(keys) for kind, keys in _KINDS.items()}
    best = max(shares, key=lambda kind: shares[kind])
    if shares[best] <= _SHARE_LEAST or list(shares.values()).count(shares[best]) > 1:
        raise SourceChanged("Results[]", "a row of a known kind", raw)
    return best


def _is_cut(ownership: object) -> bool:
    # The 100th character may be a blank; a short name padded to 100 is not cut.
    return (
        isinstance(ownership, str)
        and len(ownership) >= OWNERSHIP_MOST
        and len(ownership.rstrip()) >= OWNERSHIP_MOST - 1
    )


def words(line: str | None) -> list[str]:
    """Return the words of a name or an address, in lower case; apostrophes and dots are no boundaries.

    >>> words("O'NEIL-WYATT JOAN/ACME L.L.C. & CO")
    ['oneil', 'wyatt', 'joan', 'acme', 'llc', 'co']
    """
    return _WORD.findall(_SILENT.sub("", line or "").lower())


def matches_owner(row: SearchRow, query: str) -> bool:
    """Whether every word of the query is a whole word of the row's Ownership.

    A cut Ownership hides names. The county lists a row only because some column has each word, so a word that
    is seen in no column of a cut row is taken to be in the hidden part, as is one that the last visible,
    perhaps cut, word begins. A word that another column explains (a street, a subdivision) proves nothing
    about the owner: no match.
    """
    wanted, visible = words(query), words(row.ownership)
    if not wanted:
        return False
    missing = set(wanted).difference(visible)
    if not missing:
        return True
    if not row.ownership_cut:
        return False
    columns = (
        row.situs_address,
        row.situs_city,
        row.situs_zip,
        row.subdivision_name,
        row.property_type,
        row.mcr,
    )
    elsewhere = {word for column in columns for word in words(column)}
    last = visible[-1] if visible else ""
    return all(word not in elsewhere or (last != "" and word.startswith(last)) for word in missing)


def matches_address(row: SearchRow, query: str) -> bool:
    """Whether every word of the query is a word of situs address, city and ZIP, and the house number is the
    same.

    A house number is a first word such as 1601 or 12A; it must be the first word of the situs address.
    "AZ" is ignored: every parcel is there, and the rows don't say so. Abbreviations count as written: ST is
    not STREET.
    """
    wanted = [word for word in words(query) if word != "az"]
    street = words(row.situs_address)
    if not wanted or not street:
        return False
    if _HOUSE_NUMBER.fullmatch(wanted[0]) and wanted[0] != street[0]:
        return False
    return set(wanted) <= {*street, *words(row.situs_city), *words(row.situs_zip)}
