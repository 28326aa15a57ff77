"""The treasurer's site below /treasurer, for a real browser: an empty shell, its data calls, and the answers
to everything else.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from importlib import resources
from typing import Any, Protocol

import orjson
from aiohttp import web

from maricopa_scrapy.parsing.identifiers import IdentifierError, format_apn, parse_apn
from maricopa_scrapy.sandbox.answers.behaviour import (
    CHALLENGE,
    FAULTY,
    MAINTENANCE,
    SOFT_404,
    Conduct,
    admitted,
    dropped,
)
from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import ANY_PATH, Fault, Faults
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.treasurer.bills import Bill, Payment, taxes
from maricopa_scrapy.sandbox.treasurer.skins import Grid, Skin, money, owner_blocks, skin_of

PREFIX = "/treasurer"
_PAGE = "/PropertyTaxInformation/"
_DATA = ("account", "bills", "notices", "payments", "valuations")
_ASSETS = {"treasurer.js": ("script", "text/javascript"), "treasurer.css": ("stylesheet", "text/css")}
# Names of what the page asks for and may be spared.
_SPARED = {"logo.png": "image", "banner.png": "image", "font.woff2": "font"}
_VISITS_KEPT = 10_000
_SUMMARY = ("Tax Year", "Status", "Assessed Tax", "Tax Paid", "Interest/Fees", "Total Due")
_HISTORY = ("Tax Year", "Description", "Amount", "Paid Date")
_VALUES = ("Tax Year", "Full Cash Value", "Limited Value")
_VALUE_KEYS = ("FullCashValue", "LimitedPropertyValue")
# Telerik's own; and how long rows that come late are awaited.
_GENERIC_NONE = "No records available."
_LATE_S = 0.4
_NONE = {"bills": "No tax records.", "payments": "No activity records.", "valuations": "No valuations."}
_SHELL = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Property Tax Information</title>
<link rel="stylesheet" href="treasurer.css"><link rel="icon" href="data:,"></head>
<body><div class="trs-header"><img src="logo.png" alt="Treasurer"> Questions? Call (602) 555-0142</div>
<div id="app" data-visit="{visit}" data-apn="{apn}"><div class="trs-loading">Loading...</div></div>
<script src="treasurer.js"></script></body></html>
"""
_STATUS = {"throttled": 429, "unavailable": 503, "server_error": 500, "unauthorized": 401, "forbidden": 403}
_FORBIDDEN = b"<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"


def _other_order(grid: Grid) -> Grid:
    """Columns and their headings in another order."""
    order = list(range(1, len(grid["columns"]))) or [0]
    order = [order[1], order[0], *reversed(order[2:])]
    columns = [grid["columns"][0], *(grid["columns"][at] for at in order)]
    return grid | {"columns": columns, "rows": [[row[at - 1] for at in order] for row in grid["rows"]]}


def _other_values(grid: Grid) -> Grid:
    """The headings as ever, the values below them in another order."""
    return grid | {"rows": [row[:2] + row[:1:-1] for row in grid["rows"]]}


def _with_heading(old: str, new: str) -> Callable[[Grid], Grid]:
    return lambda grid: grid | {"columns": [new if title == old else title for title in grid["columns"]]}


def _first_row(at: int, value: str) -> Callable[[Grid], Grid]:
    return lambda grid: (
        grid
        | {
            "rows": [
                [*row[:at], value, *row[at + 1 :]] if not n else row for n, row in enumerate(grid["rows"])
            ]
        }
    )


def _without_column(grid: Grid) -> Grid:
    return grid | {
        "columns": [*grid["columns"][:2], *grid["columns"][3:]],
        "rows": [row[:1] + row[2:] for row in grid["rows"]],
    }


def _with_column(grid: Grid) -> Grid:
    return grid | {
        "columns": [*grid["columns"], "Green Levy"],
        "rows": [[*row, "$1.00"] for row in grid["rows"]],
    }


# Of the summary, by the fault of the visit.
GRID_EDITS: dict[str, Callable[[Grid], Grid]] = {
    "changed_order": _other_order,
    "swapped_values": _other_values,
    "renamed_heading": _with_heading("Total Due", "Balance"),
    "unknown_status": _first_row(1, "Partially Paid"),
    "paid_but_due": _first_row(1, "Paid"),
    "retyped_field": _first_row(2, "12x"),
    "blank_cell": _first_row(5, ""),
    "missing_field": _without_column,
    "new_field": _with_column,
    "empty_grid": lambda grid: grid | {"rows": [], "none": None},
    "more_pages": lambda grid: grid | {"pager": f"1 - {len(grid['rows'])} of {len(grid['rows']) + 7} items"},
    "bare_pager": lambda grid: grid | {"pager": ""},
    "virtual_grid": lambda grid: grid | {"is_virtual": True},
    "missing_year": lambda grid: grid | {"rows": grid["rows"][:-1]},
}
# What is in the search's view of a parcel, by the fault of the visit.
_SEARCHES = {"search_first": "Loading...", "search_loading": "Loading...", "search_empty": ""}


class TreasurerConduct(Conduct, Protocol):
    """How this source behaves: `treasurer_skin` names how its page is shown."""

    @property
    def treasurer_skin(self) -> str: ...


class Treasurer:
    """The source on one county."""

    def __init__(
        self, county: County, conduct: TreasurerConduct, counts: Counts, faults: Faults, limiter: Limiter
    ) -> None:
        self._county = county
        self._conduct = conduct
        self._counts = counts
        self._faults = faults
        self._limiter = limiter
        # Which fault the page of a visit got: its data calls tell the same story.
        self._visits: OrderedDict[str, str] = OrderedDict()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any path below the prefix."""
        kind, name = _read(request.path)
        serial = self._counts.begin(kind)
        if kind == "unknown":
            self._counts.unknown(request.path_qs)
        try:
            if kind in ("script", "stylesheet"):
                return _asset(name)
            if kind in ("image", "font", "unknown"):
                return web.Response(status=404)
            if kind == "socket":
                return await self._push(request)
            await asyncio.sleep(self._conduct.latency)
            return await (
                self._page(request, serial) if kind == "parcel" else self._data(request, kind, serial)
            )
        finally:
            self._counts.end()

    async def _page(self, request: web.Request, serial: int) -> web.StreamResponse:
        if (refusal := await admitted(self._limiter, self._counts)) is not None:
            return web.Response(status=429, headers=refusal)
        apn = _apn(request.query.get("Parcel") or request.query.get("parcel") or "")
        exists = apn is not None and self._county.exists(apn)
        self._counts.agent(request.headers.get("User-Agent", ""))
        if apn:
            self._counts.fetched(apn)
        fault = self._faults.choose(serial, "parcel", apn, exists) if self._faults else None
        if fault is not None:
            self._counts.faulted(fault.name)
            if fault.name in ANY_PATH:
                return await self._misbehave(request, fault)
            self._visits[str(serial)] = fault.name
            if len(self._visits) > _VISITS_KEPT:
                self._visits.popitem(last=False)
        body = _SHELL.format(visit=serial, apn=apn or "").encode()
        self._counts.sent(200, len(body))
        if fault is None or fault.name != "late_end":
            return web.Response(body=body, content_type="text/html", charset="utf-8")
        # Its script is there and asks for data, long before the browser calls it loaded.
        response = web.StreamResponse(headers={"Content-Type": "text/html; charset=utf-8"})
        await response.prepare(request)
        script = body.index(b"</body>")
        await response.write(body[:script])
        await asyncio.sleep(_LATE_S)
        await response.write(body[script:])
        return response

    async def _data(self, request: web.Request, kind: str, serial: int) -> web.StreamResponse:
        apn = _apn(request.query.get("Parcel", ""))
        exists = apn is not None and self._county.exists(apn)
        of_page = self._visits.get(request.query.get("visit", ""))
        fault = self._faults.choose(serial, kind, apn, exists) if self._faults else None
        if fault is not None:
            self._counts.faulted(fault.name)
            return await self._misbehave(request, fault)
        body = orjson.dumps(self._answer(kind, apn, exists, of_page))
        self._counts.sent(200, len(body))
        return web.Response(body=body, content_type="application/json")

    async def _push(self, request: web.Request) -> web.StreamResponse:
        """Answer the names of data by frames, as Blazor Server: first a part of the rows, then all of
        them.
        """
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        apn = _apn(request.query.get("Parcel", ""))
        async for message in socket:
            if message.data not in _DATA:
                break
            grid = self._answer(message.data, apn, apn is not None and self._county.exists(apn), None)
            await asyncio.sleep(self._conduct.latency)
            for rows in (grid["rows"][:1], grid["rows"]):
                await socket.send_str(
                    orjson.dumps({"name": message.data, "grid": grid | {"rows": rows}}).decode()
                )
                await asyncio.sleep(_LATE_S)
        return socket

    def _answer(self, kind: str, apn: str | None, exists: bool, fault: str | None) -> Any:
        if kind == "notices":
            return []
        skin = skin_of(self._conduct.treasurer_skin)
        if apn is None or not exists:
            found = self._found(self._neighbours(apn)) if skin.absent_by == "grid" and apn else None
            return {"results": found} if found else {"absent": "No properties match your search."}
        if kind == "account":
            return self._account(apn, fault, skin)
        known = taxes(self._county.seed, self._county.epoch, apn, self._county.changed)
        if kind == "payments":
            grid = _grid("payments", _HISTORY, [_line(payment) for payment in known.payments])
        elif kind == "valuations":
            values = self._county.part(apn, "valuations")
            grid = _grid(
                kind, _VALUES, [[one["TaxYear"], *(f"${one[key]}" for key in _VALUE_KEYS)] for one in values]
            )
        else:
            grid = _grid("bills", _SUMMARY, [_row(bill) for bill in known.bills])
        if fault == "generic_none" and not grid["rows"]:
            return grid | {"none": _GENERIC_NONE}
        grid |= {"has_headings": skin.has_headings, "portions": skin.portions}
        if kind != "bills":
            return grid
        return skin.summary(GRID_EDITS[fault](grid) if fault in GRID_EDITS else grid)

    def _neighbours(self, apn: str) -> list[str]:
        """Return the existing parcels next to one on its map."""
        numbers = (f"{apn[:5]}{item:03d}" for item in range(max(1, int(apn[5:8]) - 2), int(apn[5:8]) + 5))
        return [one for one in numbers if one != apn and self._county.exists(one)][:3]

    def _found(self, apns: list[str]) -> Grid:
        """Return what the search shows of some parcels."""
        rows = [[format_apn(apn), identity(self._county, apn)[1]] for apn in apns]
        return _grid("bills", ("Parcel", "Situs"), rows) | {"has_headings": True, "portions": 1}

    def _account(self, apn: str, fault: str | None, skin: Skin) -> Any:
        if fault == "endless_shell":
            return {}
        shown = next(each for each in self._county.walk() if each != apn) if fault == "wrong_parcel" else apn
        # Without its number, only what it says tells a page that is another parcel's.
        lines, situs = identity(self._county, shown if skin.named == "address" else apn)
        number = "" if fault == "no_identity" else f" {format_apn(shown)}-{int(shown[:8]) % 10}"
        title = f"Property Tax Information{number if skin.named == 'account' else ''}"
        blocks: list[tuple[str, list[str] | None]] = [
            (title, []),
            *owner_blocks(skin, self._county, apn, lines),
        ]
        blocks.append(("Property Situs Address", [situs]))
        if fault == "lone_heading":
            blocks = [blocks[0], blocks[-1], ("Owner Name and Mailing Address", None)]
        early = _GENERIC_NONE if fault == "late_rows" else None
        search = (
            {"search": _SEARCHES[fault], "is_found": fault == "search_first"} if fault in _SEARCHES else {}
        )
        facts = {
            "blocks": blocks,
            "patch": fault == "patched_grid",
            "is_pushed": fault == "pushed_rows",
            "early": early,
        }
        of_skin = {
            "heading": f"Parcel{number}" if skin.named == "heading" else None,
            "is_nameless": skin.named == "nowhere",
            "portions": skin.portions,
            "tabs": skin.tabs,
            "opens": "valuations" if fault == "other_tab_first" else "bills",
            "results": (
                self._found([*self._neighbours(apn)[:1], apn, *self._neighbours(apn)[1:]])
                if skin.is_found
                else None
            ),
        }
        return facts | search | of_skin | {"late_ms": 1000 * _LATE_S}

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.name in ("hang", "reset"):
            return await dropped(request, fault)
        if fault.name in ("truncated", "malformed"):
            # Promise more than is sent.
            response = web.StreamResponse(headers={"Content-Type": "text/html", "Content-Length": "5000"})
            await response.prepare(request)
            await response.write(_SHELL[:60].encode())
            if request.transport:
                request.transport.close()
            return response
        status = _STATUS.get(fault.name, 403 if fault.name == "challenge" else 200)
        bodies = {
            "challenge": CHALLENGE,
            "maintenance": MAINTENANCE,
            "soft_404": SOFT_404,
            "forbidden": _FORBIDDEN,
        }
        if status in (429, 503):
            self._counts.refused()
        body = bodies.get(fault.name, b"")
        self._counts.sent(status, len(body))
        headers = dict(FAULTY["challenge"].headers) if fault.name == "challenge" else {}
        headers |= {"Retry-After": fault.retry_after} if fault.retry_after else {}
        return web.Response(status=status, body=body, content_type="text/html", headers=headers)


def identity(county: County, apn: str) -> tuple[list[str], str]:
    """Return the lines of the owner's block and the situs address."""
    parcel = county.known_to_others(apn)
    owner = parcel["Owner"]
    lines = [owner["Ownership"], owner["MailingAddress1"], owner["MailingAddress2"]]
    town = (
        f"{owner['MailingCity']}, {owner['MailingState']} {owner['MailingZip']}"
        if owner["MailingCity"]
        else None
    )
    return [line for line in (*lines, town) if line], parcel["PropertyAddress"].strip()


def _grid(name: str, headings: tuple[str, ...], rows: list[list[str]]) -> Grid:
    return {
        "columns": ["", *headings],
        "rows": rows,
        "none": None if rows else _NONE[name],
        "pager": None,
        "is_virtual": False,
    }


def _row(bill: Bill) -> list[str]:
    return [str(bill.tax_year), bill.status, *map(money, (bill.assessed, bill.paid, bill.interest, bill.due))]


def _line(payment: Payment) -> list[str]:
    return [str(payment.tax_year), payment.description, money(payment.amount), f"{payment.paid_on:%m/%d/%Y}"]


def _read(path: str) -> tuple[str, str]:
    if not path.startswith(PREFIX + _PAGE):
        return "unknown", ""
    name = path[len(PREFIX + _PAGE) :]
    if not name:
        return "parcel", ""
    if name.removeprefix("api/") in _DATA:
        return name.removeprefix("api/"), ""
    if name == "_blazor":
        return "socket", ""
    if name in _ASSETS:
        return _ASSETS[name][0], name
    return _SPARED.get(name, "unknown"), name


def _asset(name: str) -> web.Response:
    body = (resources.files("maricopa_scrapy.sandbox.treasurer") / name).read_bytes()
    return web.Response(body=body, content_type=_ASSETS[name][1], headers={"Cache-Control": "max-age=3600"})


def _apn(text: str) -> str | None:
    try:
        return parse_apn(text)
    except IdentifierError:
        return None
