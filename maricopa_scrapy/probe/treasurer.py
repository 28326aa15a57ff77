"""The treasurer's page in a browser: identity, blocks, tabs, columns, statuses, sums, and what an unknown
parcel shows.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from parsel import Selector
from scrapy.http import Headers, Response

from maricopa_scrapy.configuration import Manifest, PageLayout
from maricopa_scrapy.pace.answer_check import Refusal, check_page_answer, is_challenge, is_refusal
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.probe.client import Asker, Ended, Seen
from maricopa_scrapy.probe.explore import STILL_S, Explored
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.probe.proposal import Proposal, propose
from maricopa_scrapy.sources.treasurer import page as pages
from maricopa_scrapy.sources.treasurer import tabs as treasurer_tabs
from maricopa_scrapy.sources.treasurer.account import check_absent
from maricopa_scrapy.sources.treasurer.records import TaxBill

if TYPE_CHECKING:
    from maricopa_scrapy.probe.visits import Browser, Visited

TABS = ("summary", "payments")
# On this machine a page that is shown is shown at once.
_STILL_IN_SANDBOX_S = 0.6
_SHOWN, _IDENTITY, _BLOCKS, _TABS = (
    "a page shows a parcel",
    "it names the parcel",
    "it names owner and situs",
    "it has the tabs",
)
_COLUMNS, _ROWS, _CELLS = (
    "columns of the tab {}",
    "rows of the tab {} are whole",
    "cells of the tab {}: kinds and sums",
)
_AT_ONCE, _WHOLE, _READ = "a parcel is shown at once", "rows come without a pause", "every column is read"
_STATUSES, _CALLS, _ABSENT = (
    "its statuses are known",
    "its data come in a way that is waited for",
    "an unknown parcel is shown as absent",
)
# What the parser looks at, in its order: the beginning of an error's path, and the line of the manifest.
_STEPS = ("identity", "blocks", "columns", "rows", "cells")


def assumptions(_: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    return (
        _SHOWN,
        _IDENTITY,
        _BLOCKS,
        _TABS,
        *(one.format(tab) for tab in TABS for one in (_COLUMNS, _ROWS, _CELLS)),
        _STATUSES,
        _CALLS,
        _ABSENT,
        _AT_ONCE,
        _WHOLE,
        _READ,
    )


async def check(asker: Asker, browser: "Browser") -> Proposal | None:
    """Explore, note what held of the manifest, and return one that fits where something did not hold. Raises
    Ended.
    """
    explored: list[Explored] = []
    found = _Found(asker)
    try:
        for apn in (*asker.planned.apns, asker.planned.absent):
            one = await _explore(asker, browser, apn)
            if one is not None:
                explored.append(one)
                if apn != asker.planned.absent:
                    found.parcel(shown_by(one, _page(asker)))
    finally:
        found.conclude()
    absent = next((one for one in explored if one.apn == asker.planned.absent), None)
    if absent is not None:
        found.absence(shown_by(absent, _page(asker)))
    if not explored:
        return None
    parcels = [one for one in explored if one is not absent]
    proposal = propose(parcels, absent, asker.manifest)
    if parcels:
        _compare(asker, parcels, proposal)
    if not any(one.held is False for one in asker.sheet.findings):
        return None
    return proposal if proposal.questions else await _confirmed(asker, browser, proposal, absent)


def _compare(asker: Asker, parcels: list[Explored], proposal: Proposal) -> None:
    """Note what a look that waits and opens what it finds has seen, and a crawl by the present manifest would
    not see.
    """
    page, sheet = _page(asker), asker.sheet
    opened = sum(one.opened is not None for one in parcels)
    sheet.check(
        _AT_ONCE,
        not opened or page.results is not None,
        f"{opened} of {len(parcels)} parcels were opened from a list",
        line_of("treasurer", "page", "results"),
    )
    gap = max(one.gap for one in parcels)
    sheet.check(_WHOLE, gap <= page.quiet, f"up to {gap:.2f} s apart", line_of("treasurer", "page", "quiet"))
    if proposal.questions:
        return
    manifest = asker.manifest.model_copy(update={"page": PageLayout.model_validate(proposal.section["page"])})
    unread: dict[str, None] = {}
    for one in parcels:
        for tab, html in shown_by(one, page).html.items():
            if tab in TABS and not any(
                problem(by, one.apn, tab, html, one.address) for by in (asker.manifest, manifest)
            ):
                ours, theirs = (
                    _parse(by, one.apn, tab, html, one.address).records for by in (asker.manifest, manifest)
                )
                for old, new in zip(ours, theirs, strict=False):
                    values = old.model_dump()
                    unread |= {
                        f"{tab}.{name}": None
                        for name, value in new.model_dump().items()
                        if value is not None and values.get(name) is None
                    }
    sheet.check(
        _READ,
        not unread,
        f"not read: {', '.join(unread)}" if unread else "no other was found",
        line_of("treasurer", "page", "columns"),
    )


async def _explore(asker: Asker, browser: "Browser", apn: str) -> Explored | None:
    url = await _url(asker, apn)
    async with asker.turns.one(asker.planned.name):
        one = await browser.explore(url, apn, STILL_S if asker.turns.is_slow else _STILL_IN_SANDBOX_S)
    what = f"parcel {format_apn(apn)}"
    named = [(step.tab or "at first", step.raw) for step in one.steps]
    kept = [(f"{what}, {tab}", html.encode("utf-8", "ignore"), "") for tab, html in named] or [
        (what, b"", one.error)
    ]
    asker.seen += [
        Seen(name, "GET", url, one.status, {"content-type": "text/html"}, body, error)
        for name, body, error in kept
    ]
    if not one.steps:
        asker.sheet.broken(f"{what} is shown", one.error, line_of("treasurer", "page", "timeouts"))
        return None
    if shown_by(one, _page(asker)).kind == "page" and (one.status != 200 or _is_challenged(asker, one)):
        _refused(asker, one, what)
        return None
    return one


async def _url(asker: Asker, apn: str) -> str:
    url = asker.url(asker.manifest.paths["parcel"].format(apn=apn))
    if not await asker.may_ask(url):
        raise Ended("robots.txt forbids it")
    return url


async def _confirmed(
    asker: Asker, browser: "Browser", proposal: Proposal, absent: Explored | None
) -> Proposal:
    """Return the proposal once a crawl's own visits have read two parcels by it, and the one that does not
    exist; else with a question.
    """
    manifest = asker.manifest.model_copy(update={"page": PageLayout.model_validate(proposal.section["page"])})
    questions = []
    for apn in (*asker.planned.apns[:2], *([asker.planned.absent] if absent is not None else [])):
        url = await _url(asker, apn)
        async with asker.turns.one(asker.planned.name):
            one = await browser.visit(manifest, url, apn, TABS, partial(_problem_of, manifest, apn))
        wanted = "absent" if absent is not None and apn == absent.apn else "parcel"
        wrong = (
            [one.error]
            if one.error
            else [_problem_of(manifest, apn, tab, html, one.address) for tab, html in _told(one)]
        )
        if one.kind != wanted or any(wrong):
            why = next(filter(None, wrong), None) or "no more is known"
            questions.append(
                f"why is parcel {format_apn(apn)} shown as {one.kind}, and not read by what is proposed?"
                f" {why}"
            )
    confirmed = [] if questions else [("confirmed", f"{len(asker.planned.apns[:2])} parcels were read by it")]
    return replace(proposal, evidence=[*proposal.evidence, *confirmed], questions=questions)


def _told(one: "Visited") -> list[tuple[str, str]]:
    return [("absent" if one.kind == "absent" else tab, html) for tab, html in one.html.items()]


def _page(asker: Asker) -> PageLayout:
    assert asker.manifest.page is not None
    return asker.manifest.page


def shown_by(one: Explored, page: PageLayout) -> "Visited":
    """Return what a crawl would have of an explored page by this layout."""
    from maricopa_scrapy.probe.found_layout import step_of
    from maricopa_scrapy.probe.visits import Visited

    visited = Visited(
        one.apn, one.url, "page", one.status, one.headers, {}, one.address, one.calls, one.error
    )
    root = Selector(text=one.first, type="html")
    is_absent = bool(root.css(page.absent)) or bool(page.results and root.css(page.results.rows))
    if one.status == 200 and root.css(page.parcel) and not (is_absent and page.results):
        visited.kind = "parcel"
        visited.html = {tab: step.html for tab in TABS if (step := step_of(one, page, tab)) is not None}
    elif one.status == 200 and is_absent:
        visited.kind, visited.html = "absent", {"absent": one.first}
    else:
        visited.html = {"page": one.steps[0].raw if one.steps else ""}
    return visited


def _is_challenged(asker: Asker, one: Explored) -> bool:
    return any(mark in one.steps[0].raw for mark in asker.manifest.refusals.challenge)


def _refused(asker: Asker, one: Explored, what: str) -> None:
    """Note another page in the parcel's place. Raises Ended."""
    body = "".join(step.raw for step in one.steps).encode("utf-8", "ignore")
    response = Response(one.url, one.status, Headers(one.headers | {"Content-Type": "text/html"}), body)
    if is_challenge(response, asker.manifest.refusals):
        raise asker.challenged(f"HTTP {one.status} with a challenge, asked for: {what}")
    try:
        check_page_answer(response, asker.manifest.refusals)
    except Refusal as error:
        asker.sheet.broken(f"{what} is shown", str(error), "see the body in the bundle; try again later")
    else:
        asker.sheet.broken(
            f"{what} is shown", f"HTTP {one.status} with another page", "see the body in the bundle"
        )
    if is_refusal(response) or one.status == 403:
        raise Ended(f"it answered HTTP {one.status}")


def problem(manifest: Manifest, apn: str, tab: str, html: str, address: str) -> PageError | None:
    """Return what the parser says of a tab's HTML ("absent": of the view of a parcel that is not there); None
    when it reads it.
    """
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


def _problem_of(manifest: Manifest, apn: str, tab: str, html: str, address: str) -> str | None:
    error = problem(manifest, apn, tab, html, address)
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
            self._statuses |= dict.fromkeys(
                bill.status_text for bill in page.records if isinstance(bill, TaxBill)
            )
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
        sheet.check(
            _ABSENT,
            one.kind == "absent" and error is None,
            f"{apn}: {error or 'by words that are known'}",
            correct,
        )

    def conclude(self) -> None:
        """Note what was found of all parcels."""
        sheet, page = self._asker.sheet, self._asker.manifest.page
        assert page is not None
        if not self._kinds:
            return
        correct = line_of("treasurer", "page", "parcel")
        sheet.check(
            _SHOWN,
            self._shown > 0,
            ", ".join(self._kinds),
            f"{correct}; or name a parcel that exists with --apn",
        )
        if self._calls:
            sheet.held(_CALLS, ", ".join(list(self._calls)[:6]))
        if not self._shown:
            return
        self._step(
            _IDENTITY,
            "identity",
            TABS,
            f"{line_of('treasurer', 'page', 'identity')}, {line_of('treasurer', 'page', 'account')}",
        )
        self._step(_BLOCKS, "blocks", TABS, line_of("treasurer", "page", "blocks"))
        if self._by_address:
            sheet.untold(
                "it is named by more than its address",
                f"{self._by_address} tabs are named by the address alone, which repeats what was asked",
                "stored where owner or situs address agree with what is stored of the parcel: `scrapy crawl"
                " assessor` first",
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
            self._asker.sheet.check(
                assumption, not wrong, wrong or f"{passed} of {self._shown} parcels", f"correct {correct}"
            )


def _has(links: list[str], page: PageLayout, tab: str) -> bool:
    place, texts = page.places[tab], page.texts_of(tab)
    if texts is None:
        return isinstance(place, int) and place < len(links)
    return any(link.casefold() in texts for link in links)


def _place(call: str) -> str:
    """Return a call without its query: what parcel it was for is nothing new."""
    return call.split("?")[0]
