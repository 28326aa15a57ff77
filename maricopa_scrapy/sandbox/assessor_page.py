"""The assessor's public page below /assessor_page: /mcs/?q={apn}&mod=pd, with the few values that the server writes itself.

A reconstruction: no page was captured. The cells of valuations and residence are empty, for a script that is not here to fill.
"""

from collections.abc import Callable
from html import escape
from typing import Any

from aiohttp import web

from maricopa_scrapy.identifiers import IdentifierError, format_apn, parse_apn
from maricopa_scrapy.sandbox.assessor import Asked, Assessor
from maricopa_scrapy.sandbox.conduct import PAGE_NOT_FOUND, Answer

PREFIX = "/assessor_page"
_YEARS = 5
_VALUATION_KEYS = ("TaxYear", "FullCashValue", "LimitedPropertyValue", "LegalClassification")
_RESIDENCE = {"Construction Year": "OriginalConstructionYear", "Lot Size": "LotSize", "Pool": "Pool", "Living Area": "LivableSpace"}
# As the county's page hides one in its script; it opens nothing.
HIDDEN_TOKEN = "00000000-5a5a-4000-8000-0123456789ab"
_TREASURER = "https://treasurer.maricopa.gov/PropertyTaxInformation/"

Cells = list[tuple[str, str]]


def _cells(parcel: dict[str, Any]) -> Cells:
    owner = parcel["Owner"]
    price = owner["SalePrice"]
    return [
        ("MCR", parcel["MCR"]),
        ("Description", parcel["PropertyDescription"]),
        ("Lot Size", f"{int(parcel['LotSize']):,} sq ft."),
        ("Lot #", parcel["Lot"]),
        ("High School District", parcel["HighSchoolDistrict"]),
        ("S/T/R", parcel["SectionTownshipRange"]),
        ("Owner", owner["Ownership"] or ""),
        ("In Care Of", owner["InCareOf"] or ""),
        ("Mailing Address", owner["FullMailingAddress"] or ""),
        ("Deed Number", owner["MostCurrentDeed"] or "n/a"),
        ("Last Deed Date", owner["DeedDate"] or "n/a"),
        ("Sale Date", owner["SaleDate"] or "n/a"),
        ("Sale Price", f"${int(price):,}" if price else "n/a"),
    ]


def _renamed(cells: Cells) -> Cells:
    return [("Lot Area" if label == "Lot Size" else label, value) for label, value in cells]


def _missing(cells: Cells) -> Cells:
    return [cell for cell in cells if cell[0] != "Lot Size"]


def _retyped(cells: Cells) -> Cells:
    return [(label, "0.24 acres" if label == "Lot Size" else value) for label, value in cells]


_EDITS: dict[str, Callable[[Cells], Cells]] = {
    "renamed_field": _renamed,
    "missing_field": _missing,
    "retyped_field": _retyped,
    "new_field": lambda cells: [*cells, ("Green Score", "7")],
}


def page(apn: str, parcel: dict[str, Any], edit: Callable[[Cells], Cells] = lambda cells: cells, *, named: bool = True) -> bytes:
    """Return the page of a parcel, as /parcel/{apn} describes it; not `named`: one that does not say whose it is."""
    shown = "\n".join(
        f'<div class="row"><div class="td-header">{escape(label)}<i class="fa"></i>:</div>\n'
        f'<div class="td-body">\n\t{escape(value)}\n</div></div>'
        for label, value in edit(_cells(parcel))
    )
    headings = "".join(f"<th>{key}</th>" for key in _VALUATION_KEYS)
    rows = ("".join(f'<td id="Valuations_{i}_{key}"></td>' for key in _VALUATION_KEYS) for i in range(_YEARS))
    years = "".join(f"<tr>{row}</tr>" for row in rows)
    residence = "".join(
        f'<div class="td-header">{label}</div><div class="td-body" id="ResidentialPropertyData_{key}"></div>'
        for label, key in _RESIDENCE.items()
    )
    identity = f'<h1>{format_apn(apn)}</h1><input type="hidden" id="APN_RAW" value="{apn}">' if named else "<h1>Parcel</h1>"
    treasurer = f'<a href="{_TREASURER}?Parcel={apn}">View Tax Information</a>' if named else ""
    return _whole(f"""{identity}
<form action="/mcs/"><input id="header-search-box" name="q" value=""></form>
{shown}
{treasurer}
<table><thead><tr>{headings}</tr></thead><tbody>{years}</tbody></table>
{residence}
<script>var settings = {{"Authorization": "{HIDDEN_TOKEN}", "endpoint": "/parcel/{apn}/valuations"}};</script>""")


def _whole(body: str) -> bytes:
    head = '<meta charset="utf-8"><title>Maricopa County Assessor\'s Office</title>'
    return f"<!DOCTYPE html>\n<html>\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n".encode()


def _absent(apn: str) -> bytes:
    return _whole(f"<h1>Search</h1><p>No results found for {format_apn(apn)}.</p>")


def _html(body: bytes) -> Answer:
    return Answer(200, body, "text/html; charset=utf-8")


class AssessorPage(Assessor):
    """The source on one county: the API's faults and manners, by a page instead of JSON and without a token."""

    def _read(self, request: web.Request) -> Asked:
        if request.path.rstrip("/") != f"{PREFIX}/mcs" or request.query.get("mod") != "pd":
            return Asked("unknown")
        try:
            return Asked("parcel", key=parse_apn(request.query.get("q", "")))
        except IdentifierError:
            return Asked("unknown")

    def _may_ask(self, request: web.Request) -> bool:
        # A page is asked for without any token, least of all its own.
        return "AUTHORIZATION" not in request.headers

    def _answer(self, request: web.Request, asked: Asked) -> Answer:
        if asked.key is None:
            return PAGE_NOT_FOUND
        if not self._county.exists(asked.key):
            return _html(_absent(asked.key))
        return _html(page(asked.key, self._county.undrawn(asked.key)[0]))

    def _edited(self, apn: str, fault: str) -> Answer:
        if fault == "wrong_parcel":
            apn = self._other(apn)
        parcel = self._county.undrawn(apn)[0]
        if fault in ("owner_as_list", "nul_text"):
            parcel = parcel | {"Owner": parcel["Owner"] | {"Ownership": f"EXAMPLE\0 {parcel['Owner']['Ownership'] or ''}"}}
        return _html(page(apn, parcel, _EDITS.get(fault, lambda cells: cells), named=fault != "no_identity"))
