"""A page that nobody has described is looked at as a person would: wait until it is still, open what was
found, click each tab once.
"""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from parsel import Selector
from playwright.async_api import CDPSession, Page, Request
from playwright.async_api import Error as PlaywrightError

from maricopa_scrapy.probe.page_parts import FoundRows, TabLinks, may_click, results_in, tabs_in
from maricopa_scrapy.sources.treasurer.tabs import keep

# Seconds without a change and without a call under way until a page is still; of one that shows nothing of a
# parcel, longer.
STILL_S, EMPTY_STILL_S = 1.5, 4.0
# A working client waits as long for a tab.
MOST_S = 90.0
_LOAD_S = 30.0
_LOOK_S = 0.1
_TABS_MOST = 12
_NO_DOCUMENTS = [{"urlPattern": "*", "resourceType": kind} for kind in ("Image", "Font", "Media", "Document")]
_AWAITED = ("document", "script", "xhr", "fetch")
_WATCH = """() => {
  if (window.__seen) return;
  const seen = window.__seen = { last: performance.now(), rows: [] };
  new MutationObserver((changes) => {
    seen.last = performance.now();
    const inRows = (node) => node.nodeType === 1 ? !!(node.closest('tbody') || node.querySelector('tbody'))
      : !!(node.parentElement && node.parentElement.closest('tbody'));
    const touchesRows = (one) => inRows(one.target) || [...one.addedNodes].some(inRows);
    if (changes.some(touchesRows)) seen.rows.push(seen.last);
  }).observe(document, { subtree: true, childList: true, characterData: true });
}"""
# What was seen of the rows before is another tab's.
_CLICK = "element => { if (window.__seen) window.__seen.rows = []; element.click(); }"
_STATE = """() => {
  const seen = window.__seen, text = document.body ? document.body.innerText : '';
  const gaps = seen ? seen.rows.slice(1).map((at, before) => at - seen.rows[before]) : [];
  const isTold = /\\$\\d|\\d{3}-?\\d{2}-?\\d{3}/.test(text) && !/^\\s*loading/i.test(text);
  const quiet = seen ? (performance.now() - seen.last) / 1000 : 0;
  return [quiet, isTold, gaps.length ? Math.max(...gaps) / 1000 : 0];
}"""


@dataclass(frozen=True, slots=True)
class Step:
    """What was shown after one step: the tab's text ("" at first) and its place (None at first), the HTML as
    the browser had it (`raw`), and as the spider keeps it.
    """

    tab: str
    place: int | None
    raw: str
    html: str


@dataclass(slots=True)
class Explored:
    """One navigation. `address`: the page's own in the end; `opened`: the result grid that listed the parcel,
    which was opened.

    `gap`: the longest time between two changes of a grid's rows, seconds; `error`: why nothing was shown.
    """

    apn: str
    url: str
    address: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    tabs: TabLinks | None = None
    opened: FoundRows | None = None
    gap: float = 0.0
    calls: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def first(self) -> str:
        """The HTML at first; "" when nothing was shown."""
        return self.steps[0].html if self.steps else ""


class Explorer:
    """Explores one page of a browser. Use once."""

    def __init__(self, page: Page, session: CDPSession, still: float = STILL_S) -> None:
        self._page = page
        self._session = session
        self._still = still
        self._pending: set[Request] = set()
        self._found: Explored

    async def run(self, url: str, apn: str, with_tabs: bool = True) -> Explored:
        """Show a parcel; `with_tabs`: and click each of its tabs. What goes wrong is told in `error`."""
        self._found = found = Explored(apn, url)
        listeners = {
            "request": self._asked,
            "requestfinished": self._ended,
            "requestfailed": self._ended,
            "websocket": self._connected,
        }
        for event, listener in listeners.items():
            self._page.on(event, listener)  # type: ignore[call-overload]
        try:
            response = await self._page.goto(url, wait_until="domcontentloaded", timeout=_LOAD_S * 1000)
            if response is None:
                raise ConnectionError(f"no answer for {url}")
            found.status, found.headers = response.status, await response.all_headers()
            await self._take("", None)
            if found.status == 200:
                await self._open_result()
                if with_tabs:
                    await self._click_tabs()
            found.address = self._page.url
        except (PlaywrightError, TimeoutError, ConnectionError) as error:
            found.error = (str(error).strip() or type(error).__name__).splitlines()[0]
        finally:
            for event, listener in listeners.items():
                self._page.remove_listener(event, listener)
        return found

    async def _take(self, tab: str, place: int | None) -> None:
        await self._settle()
        raw = await self._page.content()
        self._found.steps.append(Step(tab, place, raw, keep(raw)))

    async def _settle(self) -> None:
        """Wait until nothing changes any more, and no call is under way."""
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < MOST_S:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._page.evaluate(_WATCH)
                still, is_told, gap = await self._page.evaluate(_STATE)
            except PlaywrightError as error:
                # The page went to another address meanwhile.
                if "context was destroyed" not in str(error):
                    raise
                continue
            enough = self._still if is_told else max(self._still, EMPTY_STILL_S * self._still / STILL_S)
            if not self._pending and still >= enough and waited >= enough:
                self._found.gap = max(self._found.gap, gap if gap < enough else 0.0)
                return

    async def _open_result(self) -> None:
        rows = results_in(Selector(text=self._found.first, type="html"), self._found.apn)
        if rows is None or rows.place is None:
            return
        row = self._page.locator(rows.rows).nth(rows.place)
        await (row.locator(rows.open).first if rows.open else row).evaluate(_CLICK)
        self._found.opened = rows
        self._found.steps.clear()
        await self._take("", None)

    async def _click_tabs(self) -> None:
        tabs = self._found.tabs = tabs_in(Selector(text=self._found.first, type="html"))
        if tabs is None:
            return
        path = urlsplit(self._page.url).path
        # Whatever is clicked, no other page is asked for.
        await self._session.send("Fetch.enable", {"patterns": _NO_DOCUMENTS})
        for place, text in enumerate(tabs.texts[:_TABS_MOST]):
            if not may_click(text):
                continue
            await self._page.locator(tabs.css).nth(place).evaluate(_CLICK)
            await self._take(text, place)
            if urlsplit(self._page.url).path != path or await self._page.locator(tabs.css).count() <= place:
                # It led away from the parcel's page.
                self._found.steps.pop()
                return

    def _asked(self, request: Request) -> None:
        if request.resource_type in _AWAITED and "_blazor" not in request.url:
            self._pending.add(request)
        if request.resource_type in ("xhr", "fetch"):
            self._found.calls.append(f"{request.resource_type} {request.url}")

    def _ended(self, request: Request) -> None:
        self._pending.discard(request)

    def _connected(self, socket: object) -> None:
        self._found.calls.append(f"websocket {getattr(socket, 'url', '')}")
