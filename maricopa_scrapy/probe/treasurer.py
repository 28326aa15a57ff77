"""The treasurer's page in a browser: identity, blocks, tabs, columns, statuses, sums, and what an unknown parcel shows."""

from typing import TYPE_CHECKING

from parsel import Selector
from scrapy.http import Headers, Response

from maricopa_scrapy.download.refusals import Refusal, check_page_answer, is_challenge, is_refusal
from maricopa_scrapy.identifiers import format_apn
from maricopa_scrapy.items_treasurer import TaxBill
from maricopa_scrapy.pages import treasurer as pages
from maricopa_scrapy.pages import treasurer_tabs
from maricopa_scrapy.pages.errors import PageError
from maricopa_scrapy.pages.treasurer_account import check_absent
from maricopa_scrapy.probe.asking import Asker, Ended, Seen
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.settings_files import Manifest, PageLayout

if TYPE_CHECKING:
    from maricopa_scrapy.probe.visits import Browser, Visited

TABS = ("summary", "payments")
_SHOWN, _IDENTITY, _BLOCKS, _TABS = "a page shows a parcel", "it names the parcel", "it names owner and situs", "it has the tabs"
_COLUMNS, _ROWS, _CELLS = "columns of the tab {}", "rows of the tab {} are whole", "cells of the tab {}: kinds and sums"
_STATUSES, _CALLS, _ABSENT = "its statuses are known", "its data come in a way that is waited for", "an unknown parcel is shown as absent"
# What the parser looks at, in its order: the beginning of an error's path, and the line of the manifest.
_STEPS = ("identity", "blocks", "columns", "rows", "cells")


def assumptions(_: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    return (_SHOWN, _IDENTITY, _BLOCKS, _TABS, *(one.format(tab) for tab in TABS for one in (_COLUMNS, _ROWS, _CELLS)),
            _STATUSES, _CALLS, _ABSENT)  # fmt: skip


async def check(asker: Asker, browser: "Browser") -> "list[Visited]":
    """Visit, and note what held; returns what was shown. Raises Ended."""
    visited = []
    found = _Found(asker)
    try:
        for apn in (*asker.planned.apns, asker.planned.absent):
            one = await _visit(asker, browser, apn)
            if one is not None:
                visited.append(one)
                if apn != asker.planned.absent:
                    found.parcel(one)
    finally:
        found.conclude()
    for one in visited:
        if one.apn == asker.planned.absent:
            found.absence(one)
    return visited


async def _visit(asker: Asker, browser: "Browser", apn: str) -> "Visited | None":
    manifest = asker.manifest
    url = asker.url(manifest.paths["parcel"].format(apn=apn))
    if not await asker.may_ask(url):
        raise Ended("robots.txt forbids it")
    async with asker.turns.one(asker.planned.name):
        # All tabs of one parcel: nobody has seen those that the parser does not read.
        every = apn == asker.planned.apns[0]
        one = await browser.visit(manifest, url, apn, TABS, lambda tab, html, at: _said(problem(manifest, apn, tab, html, at)), every)
    what = f"parcel {format_apn(apn)}"
    shown = [(tab, html) for tab, html in one.html.items()] + [(f"tab {at}", html) for at, html in enumerate(one.tabs.values())]
    kept = [(f"{what}, {tab}", html.encode("utf-8", "ignore"), "") for tab, html in shown] or [(what, b"", one.error)]
    asker.seen += [Seen(name, "GET", url, one.status, {"content-type": "text/html"}, body, error) for name, body, error in kept]
    if one.error:
        asker.sheet.broken(f"{what} is shown", one.error, line_of("treasurer", "page", "timeouts"))
        return None
    if one.kind == "page":
        _refused(asker, one, what)
        return None
    return one


def _refused(asker: Asker, one: "Visited", what: str) -> None:
    """Note another page in the parcel's place. Raises Ended."""
    body = "".join(one.html.values()).encode("utf-8", "ignore")
    response = Response(one.url, one.status, Headers(one.headers | {"Content-Type": "text/html"}), body)
    if is_challenge(response, asker.manifest.refusals):
        raise asker.challenged(f"HTTP {one.status} with a challenge, asked for: {what}")
    try:
        check_page_answer(response, asker.manifest.refusals)
    except Refusal as error:
        asker.sheet.broken(f"{what} is shown", str(error), "see the body in the bundle; try again later")
    else:
        asker.sheet.broken(f"{what} is shown", f"HTTP {one.status} with another page", "see the body in the bundle")
    if is_refusal(response) or one.status == 403:
        raise Ended(f"it answered HTTP {one.status}")


def problem(manifest: Manifest, apn: str, tab: str, html: str, address: str) -> PageError | None:
    """Return what the parser says of a tab's HTML ("absent": of the view of a parcel that is not there); None when it reads it."""
    try:
        _parse(manifest, apn, tab, html, address)
    except PageError as error:
        return error
    return None


def _parse(manifest: Manifest, apn: str, tab: str, html: str, address: str) -> pages.Page:
    assert manifest.page is not None
    kept = treasurer_tabs.keep(html)
    if tab == "absent":
        check_absent(kept, apn, manifest.page)
        return pages.Page()
    return pages.parse_tab(tab, kept, apn, manifest.page, address)


def _said(error: PageError | None) -> str | None:
    return str(error) if error else None


def _step(error: PageError) -> str:
    first, _, rest = error.path.partition(".")
    if first not in TABS:
        return "blocks" if rest else "identity"
    if rest == "headings":
        return "columns"
    return "rows" if rest.split(" ")[0] in ("rows", "row", "pager") else "cells"


class _Found:
    """What the visits say together: of each step whether it was passed, and what was wrong."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._passed: dict[str, int] = {}
        self._wrong: dict[str, str] = {}
        self._statuses: dict[str, None] = {}
        self._calls: dict[str, None] = {}
        self._shown = 0
        self._tabs: list[list[str]] = []
        self._by_address = 0
        self._kinds: list[str] = []

    def parcel(self, one: "Visited") -> None:
        """Take in the page of a parcel that should exist."""
        manifest = self._asker.manifest
        assert manifest.page is not None
        self._kinds.append(f"{format_apn(one.apn)}: {one.kind}")
        self._calls |= dict.fromkeys(_place(call) for call in one.calls)
        if one.kind != "parcel":
            return
        self._shown += 1
        for html in one.html.values():
            links = Selector(text=html, type="html").css(manifest.page.tabs)
            self._tabs.append([" ".join("".join(link.xpath(".//text()").getall()).split()) for link in links])
        for tab in TABS:
            if tab not in one.html:
                continue
            error = problem(manifest, one.apn, tab, one.html[tab], one.address)
            at = _STEPS.index(_step(error)) if error else len(_STEPS)
            for step in _STEPS[:at]:
                self._passed[f"{step} {tab}"] = self._passed.get(f"{step} {tab}", 0) + 1
            if error:
                self._wrong.setdefault(f"{_step(error)} {tab}", f"{format_apn(one.apn)}: {error}")
                continue
            page = _parse(manifest, one.apn, tab, one.html[tab], one.address)
            self._statuses |= dict.fromkeys(bill.status_text for bill in page.records if isinstance(bill, TaxBill))
            self._by_address += bool(page.signs)

    def absence(self, one: "Visited") -> None:
        """Take in the page of a parcel that does not exist."""
        sheet, apn = self._asker.sheet, format_apn(one.apn)
        correct = f"{line_of('treasurer', 'page', 'absent')}, {line_of('treasurer', 'page', 'absent_texts')}"
        if one.kind == "parcel" and not any(
            problem(self._asker.manifest, one.apn, tab, html, one.address) for tab, html in one.html.items()
        ):
            sheet.untold(_ABSENT, f"there is a parcel {apn}")
            return
        error = problem(self._asker.manifest, one.apn, "absent", next(iter(one.html.values())), one.address)
        sheet.check(_ABSENT, one.kind == "absent" and error is None, f"{apn}: {error or 'by words that are known'}", correct)

    def conclude(self) -> None:
        """Note what was found of all parcels."""
        sheet, page = self._asker.sheet, self._asker.manifest.page
        assert page is not None
        if not self._kinds:
            return
        correct = line_of("treasurer", "page", "parcel")
        sheet.check(_SHOWN, self._shown > 0, ", ".join(self._kinds), f"{correct}; or name a parcel that exists with --apn")
        if self._calls:
            sheet.held(_CALLS, ", ".join(list(self._calls)[:6]))
        if not self._shown:
            return
        self._step(_IDENTITY, "identity", TABS, f"{line_of('treasurer', 'page', 'identity')}, {line_of('treasurer', 'page', 'account')}")
        self._step(_BLOCKS, "blocks", TABS, line_of("treasurer", "page", "blocks"))
        if self._by_address:
            sheet.untold(
                "it is named by more than its address",
                f"{self._by_address} tabs are named by the address alone, which repeats what was asked",
                "stored where owner or situs address agree with what is stored of the parcel: `scrapy crawl assessor` first",
            )
        shown = ", ".join(self._tabs[0] if self._tabs else []) or "none"
        lacking = [tab for tab in TABS if not all(_has(links, page, tab) for links in self._tabs)]
        sheet.check(
            _TABS,
            not lacking,
            f"not there: {', '.join(lacking)}; there are: {shown}" if lacking else shown,
            f"{line_of('treasurer', 'page', 'tabs')}, {line_of('treasurer', 'page', 'places')}",
        )
        for tab in TABS:
            self._step(_COLUMNS.format(tab), "columns", (tab,), line_of("treasurer", "page", "columns", tab))
            self._step(_ROWS.format(tab), "rows", (tab,), line_of("treasurer", "page", "grid"))
            self._step(_CELLS.format(tab), "cells", (tab,), line_of("treasurer", "page", "columns", tab))
        wrong = self._wrong.get("cells summary", "")
        if "summary.status: expected one of" in wrong:
            sheet.broken(_STATUSES, wrong, line_of("treasurer", "page", "statuses"))
        elif self._statuses:
            sheet.held(_STATUSES, ", ".join(self._statuses))

    def _step(self, assumption: str, step: str, tabs: tuple[str, ...], correct: str) -> None:
        wrong = "; ".join(self._wrong[f"{step} {tab}"] for tab in tabs if f"{step} {tab}" in self._wrong)
        passed = max(self._passed.get(f"{step} {tab}", 0) for tab in tabs)
        if wrong or passed:
            self._asker.sheet.check(assumption, not wrong, wrong or f"{passed} of {self._shown} parcels", f"correct {correct}")


def _has(links: list[str], page: PageLayout, tab: str) -> bool:
    place, texts = page.places[tab], page.texts_of(tab)
    if texts is None:
        return isinstance(place, int) and place < len(links)
    return any(link.casefold() in texts for link in links)


def _place(call: str) -> str:
    """Return a call without its query: what parcel it was for is nothing new."""
    return call.split("?")[0]
