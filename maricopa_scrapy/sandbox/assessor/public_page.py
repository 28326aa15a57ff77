"""The assessor's public page below /assessor_page: /mcs/?q={apn}&mod=pd, with what the server writes itself.

Of the shape of a captured page (sections, classes, ids, what is in comments and scripts), shorter where
nothing of the parcel is said. The cells of valuations and residence are empty, for a script that fills none
here.
"""

from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

from aiohttp import web

from maricopa_scrapy.parsing.identifiers import IdentifierError, format_apn, parse_apn
from maricopa_scrapy.sandbox.answers.behaviour import PAGE_NOT_FOUND, Answer
from maricopa_scrapy.sandbox.assessor.api import Asked, Assessor
from maricopa_scrapy.sandbox.county.parcel import withheld_parcel

PREFIX = "/assessor_page"
_YEARS = 5
_VALUATIONS = {
    "Tax Year": "TaxYear", "Full Cash Value": "FullCashValue", "Limited Value": "LimitedPropertyValue",
    "Legal Class": "LegalClassificationCode", "Description": "LegalClassification",
    "Assessment Ratio": "AssessmentRatioPercentage",
    "Assessed LPV": "AssessedLPV", "Property Use Code": "PropertyUseCode", "PU Description": "PEPropUseDesc",
    "Tax Area Code": "TaxAreaCode", "Valuation Source": "ValuationSource",
}  # fmt: skip
_RESIDENCE = {
    "Construction Year": "ConstructionYear", "Weighted Construction Year": "WeightedAge", "Pool": "Pool",
    "Main Livable Area": "LivableSpace", "Patio(s)": "", "Exterior Wall Type": "ExteriorWalls",
    "Roof Type": "RoofType",
    "Bath Fixtures": "BathFixtures", "Garage Stalls": "NumberOfGarages",
}  # fmt: skip
# As the county's page hides one in a field, percent-encoded twice; it opens nothing.
HIDDEN_TOKEN = "SandboxToken%2F%252Bopens%252Bnothing%253D%253D"
_SITE = "https://mcassessor.maricopa.gov/"
_MAPS = "https://maps.mcassessor.maricopa.gov/"
_TREASURER = "https://treasurer.maricopa.gov/PropertyTaxInformation/"
_RECORDER = "https://recorder.maricopa.gov/recording/"
_TIP = (
    'data-toggle="tooltip" data-html="true" data-original-title="<h5>NOTICE: Leaving the Assessor\'s'
    " Website</h5>Click here.\" data-template=\"<div class='tooltip' role='tooltip'><div"
    " class='arrow'></div></div>\""
)

Cells = list[tuple[str, str]]


def _property_cells(parcel: dict[str, Any]) -> Cells:
    return [
        ("MCR #", parcel["MCR"]),
        ("Description", parcel["PropertyDescription"]),
        ("Lat/Long", " | "),
        ("Lot Size", f"{int(parcel['LotSize']):,} sq ft."),
        ("Lot #", parcel["Lot"]),
        ("High School District", parcel["HighSchoolDistrict"]),
        ("Elementary School District", parcel["ElementarySchoolDistrict"]),
        ("Local Jurisdiction", parcel["LocalJusidiction"]),
        ("S/T/R\xa0", parcel["SectionTownshipRange"]),
        ("Market Area/Neighborhood", f"{parcel['AssessorMarket']}/{parcel['AreaNeighborhood']}"),
        (f"Subdivision ({parcel['NumberOfParcelsInSubdivision']:,} Parcels)", parcel["SubdivisionName"]),
    ]


def _owner_cells(parcel: dict[str, Any]) -> Cells:
    owner = parcel["Owner"]
    price = owner["SalePrice"]
    return [
        ("Mailing Address", owner["FullMailingAddress"] or ""),
        ("In Care Of", owner["InCareOf"] or ""),
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
    "new_field": lambda cells: [*cells, ("Green Score", "7")] if cells[0][0] == "MCR #" else cells,
}
# The county's pages show no value of these without a link.
_LINKS: dict[str, Callable[[str], str]] = {
    "MCR #": lambda value: f"{_RECORDER}map-results.html?book={value[:-2]}&page={value[-2:]}",
    "Deed Number": lambda value: f"{_RECORDER}document-details.html?recordingNumber={value}&suffix=",
    "Lat/Long": lambda _: f"{_MAPS}ipa.aspx?a=",
}


def _row(label: str, value: str) -> str:
    link = _LINKS.get(label)
    shown = (
        f'<a {_TIP} href="{link(value)}" target="_blank">{escape(value)}</a>'
        if link and value != "n/a"
        else escape(value)
    )
    tip = f"<span {_TIP}><i class='far fa-question-circle'></i></span>" if label.endswith("\xa0") else ""
    return (
        f'<div class="row mb-1">\n\t<div class="col-12 col-md-3 td-header">{escape(label)}{tip}</div>'
        f'<div class="col-12 col-md-9 td-body">{shown}</div>\n</div>\n'
    )


def _section(name: str, title: str, banner: str, content: str, icon: str = "fa-building") -> str:
    return (
        f'<div{name and f" id={name!r}"} class="col-12"><div class="{name or "parcel"}-section bg-white'
        f' rounded shadow col-12">\n<div class="ribbon ribbon-info"><h4>{title}</h4></div>\n<hr class="my-3'
        f' mt-5-5"/>\n<div class="row mx-0 py-3 mb-3"><div class="col-md-1 text-center"><i class="fas {icon}'
        f' fa-3x"></i></div>\n<div class="col-md-11 pt-3 banner-text">\n\t{banner}\n</div></div>\n<div'
        f' class="col-12 smaller-font">\n{content}</div></div></div>\n'
    )


def page(
    apn: str,
    parcel: dict[str, Any],
    edit: Callable[[Cells], Cells] = lambda cells: cells,
    *,
    named: bool = True,
) -> bytes:
    """Return the page of a parcel, as /parcel/{apn} describes it; not `named`: one that does not say whose it
    is.
    """
    owner, situs = parcel["Owner"]["Ownership"] or "", parcel["PropertyAddress"]
    kind = parcel["PropertyType"].strip()
    place = (
        f'<a href="{_MAPS}?esearch={apn if named else ""}&slayer=0" {_TIP}'
        f' target="_blank">{escape(situs)}</a>'
    )
    plat = (
        f"<a {_TIP}"
        f' href="/mcs/?q={quote(parcel["SubdivisionName"])}&search-type=sub">'
        f"{escape(parcel['SubdivisionName'])}</a>"
    )
    sentence = f"The current owner is {escape(owner)}. " if owner else ""
    treasurer = f"{_TREASURER}?Parcel={apn}" if named else _TREASURER
    years = "".join(
        f'<div class="row mb-1"><div class="col-12 col-md-2 td-header">{label}</div>'
        + "".join(
            f'<div class="col-12 col-md-2 td-body" id="Valuations_{i}_{key}"></div>' for i in range(_YEARS)
        )
        + "</div>\n"
        for label, key in _VALUATIONS.items()
    )
    patios = "".join(
        f'{word}: <span id="ResidentialPropertyData_Numberof{word}Patios"></span> | '
        for word in ("Covered", "Uncovered")
    )
    residence = "".join(
        f'<div class="row mb-1"><div class="td-header">{label}</div>'
        + (
            f'<div class="td-body" id="ResidentialPropertyData_{key}"></div></div>\n'
            if key
            else f'<div class="td-body">{patios}</div></div>\n'
        )
        for label, key in _RESIDENCE.items()
    )
    ours = "".join(
        f'<a class="btn" href="{link}" {_TIP}>{name}</a>\n'
        for name, link in (("Treasurer", treasurer), ("Owner", "#owner"))
    )
    return _whole(
        apn if named else "",
        f"""<div class="container"><div id="parcel-content" class="col-12"><div class="col-12 form-group">
<div class="parcel-section col-12 bg-white"><div class="row">
<div class="col-md-5 text-left banner-text"><h3 class="h5 mt-2">{format_apn(apn) if named else ""}</h3></div>
<div class="col-md-7 text-right banner-text"><h3 class="h5 mt-2">{escape(kind)} Parcel</h3></div></div>
<div id="property-glance" class="col-md-12">
This is a {escape(kind)} parcel located at {place}. {sentence}It is located in the {
            plat
        } subdivision, and MCR {parcel["MCR"]}.
<span id="property-glance-valuation"></span></div>
{ours}</div></div>
{_section("", "Property Information", place, "".join(_row(*cell) for cell in edit(_property_cells(parcel))))}
<!--<div class="row mb-1"><div class="td-header">Zoning</div><div class="td-body"></div></div>-->
{
            _section(
                "owner",
                "Owner Information",
                f'<a href="/mcs/?q={quote(owner)}" {_TIP}>{escape(owner)}</a>',
                "".join(_row(*cell) for cell in edit(_owner_cells(parcel))),
                "fa-user",
            )
        }
{
            _section(
                "valuation",
                "Valuation Information",
                f'<a href="{treasurer}">CLICK HERE TO PAY YOUR TAXES</a>',
                years,
            )
        }
{_section("addinfo", "Additional Property Information", "Additional property data.", residence)}
<table><thead><tr><th>APN</th><th>Address</th><th>Sale Info</th></tr></thead>
<tbody id="SIMILARS"><tr><td>Please wait</td></tr></tbody></table>
</div>
<input type="hidden" value="{apn if named else ""}" id="APN_RAW" />
<input type="hidden" value="{parcel["MCR"]}" id="MCR" />
<input type="hidden" value="{_SITE}" id="WWWSURL" />
<input type="hidden" value="{1 if parcel["IsCommercial"] else ""}" id="IsCommercial" />
<input type="hidden" value="{HIDDEN_TOKEN}" id="Token" />
<input type="hidden" value="{escape(owner)}" id="Owner_Ownership" />
</div>
<script>
var g_apn = $('#APN_RAW').val(), g_token = $('#Token').val();
$.ajax({{method: "GET", url: g_path + 'parcel/' + g_apn + '/valuations/',
  headers: {{'Authorization': g_token}}}});
</script>""",
    )


def _whole(asked: str, body: str) -> bytes:
    head = (
        '<meta charset="utf-8">\n<meta name="description" content="">\n<title>Maricopa County Assessor\'s'
        " Office</title>"
    )
    box = (
        '<input id="search_search" placeholder="Search Website" aria-label="Search" class="searchfield"'
        f" value='{asked}'>"
    )
    footer = "<footer><p>&copy; 2026 Maricopa County Assessor's Office. All rights reserved.</p></footer>"
    return (
        "\ufeff<!DOCTYPE html>\n<html"
        f' lang="en">\n<head>\n{head}\n</head>\n<body>\n{box}\n{body}\n{footer}\n</body>\n</html>\n'.encode()
    )


def _absent(apn: str) -> bytes:
    return _whole(apn, '<div class="main-content" role="main"><h3>Parcel not found</h3></div>')


def _html(body: bytes) -> Answer:
    return Answer(200, body, "text/html; charset=utf-8")


class AssessorPage(Assessor):
    """The source on one county: the API's faults and manners, by a page instead of JSON and without a
    token.
    """

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
        if fault == "withheld_owner":
            parcel = withheld_parcel(parcel)
        if fault in ("owner_as_list", "nul_text"):
            parcel = parcel | {
                "Owner": parcel["Owner"] | {"Ownership": f"EXAMPLE\0 {parcel['Owner']['Ownership'] or ''}"}
            }
        return _html(page(apn, parcel, _EDITS.get(fault, lambda cells: cells), named=fault != "no_identity"))
