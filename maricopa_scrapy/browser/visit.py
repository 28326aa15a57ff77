"""One parcel in one page of a browser: one navigation, then its tabs in place.

What ends a wait is seen, not timed: a filled grid, the search's view, a data call that is refused. What is on
the page then is the answer, whatever it is: to read it is the parser's work. Where the server pushes rows
(Blazor Server), no call tells when all have come: there the grid and the channel must have been quiet for a
while.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, Page, Request, Response, WebSocket
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from maricopa_scrapy.browser.page_scripts import (
    FILLED,
    IS_ABSENT,
    OPEN_RESULT,
    OPEN_TAB,
    STALE,
    TEXT,
    link_of,
    order_of,
)
from maricopa_scrapy.configuration import PageLayout, Refusals
from maricopa_scrapy.pace.answer_check import BrowserFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What a page is made of; the rest (pictures, sockets that stay open) is not waited for.
_AWAITED = ("document", "script", "xhr", "fetch")
_LONG_POLLS = "_blazor"
# Of `Visit.check`: the page in place of a parcel's tabs.
ABSENT = "absent"
_ALIVE_S = 2.0
_TRIES = 3
_AGAIN_S = 0.2
# Once a page has the words of a challenge, it may still be a parcel's; for so many seconds.
_DOUBT_S = 3.0


@dataclass(frozen=True, slots=True)
class Visit:
    """What is wanted of a page: which tabs. `key` is the parcel's.

    `check` says what is wrong with the HTML of a tab, at an address of the page, or None. Of the view of a
    parcel that is not there, it is asked as of the tab `ABSENT`.
    """

    layout: PageLayout
    refusals: Refusals
    tabs: tuple[str, ...]
    key: str
    check: Callable[[str, str, str], str | None]


@dataclass(slots=True)
class Shown:
    """What was shown: the HTML of each tab, or that of a page in their place (`kind` absent, shell, or page).

    `status`, `headers`: of the document, or of the data call that was refused. `problem`: what `check` said
    of the last tab. `address`: the page's own, when that was shown.
    """

    kind: str
    html: dict[str, str] = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    address: str = ""


class _Refused(Exception):
    """A data call of the page was answered by an error."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status} for {response.url}")
        self.response = response


class PageVisit:
    """One visit. Use once."""

    def __init__(self, page: Page, session: CDPSession, visit: Visit) -> None:
        self._page = page
        self._session = session
        self._visit = visit
        self._layout = visit.layout
        self._pending: set[Request] = set()
        self._failed: list[str] = []
        self._none_pending = asyncio.Event()
        self._none_pending.set()
        self._trouble: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._host = ""
        # When the server pushed something last; None where it pushes nothing.
        self._pushed_at: float | None = None
        self.is_well = True

    async def run(self, url: str) -> Shown:
        """Show the parcel. Raises TimeoutError, ConnectionError or BrowserFailed."""
        self._host = urlsplit(url).netloc
        listeners: dict[str, Callable[..., None]] = {
            "request": self._asked,
            "requestfinished": self._answered,
            "requestfailed": self._lost,
            "response": self._seen,
            "crash": self._crashed,
            "websocket": self._connected,
        }
        for event, listener in listeners.items():
            self._page.on(event, listener)  # type: ignore[call-overload]
        try:
            return await self._show(url)
        except (PlaywrightError, TimeoutError, ConnectionError) as error:
            self.is_well = False
            failure = _translated(error)
            if not isinstance(failure, BrowserFailed):
                # A browser that dies breaks its connections first.
                await self._must_answer()
            raise failure from None
        except BaseException:
            self.is_well = False
            raise
        finally:
            for event, listener in listeners.items():
                self._page.remove_listener(event, listener)
            self._trouble.cancel()

    async def picture(self) -> bytes | None:
        """Return a PNG of what is shown now; None when the browser makes none in time."""
        try:
            return await asyncio.wait_for(self._page.screenshot(type="png"), self._layout.timeouts.snapshot)
        except (PlaywrightError, TimeoutError) as error:
            logger.warning("no picture of %s: %s", self._visit.key, _first_line(error))
            return None

    async def _show(self, url: str) -> Shown:
        try:
            response = await self._raced(
                self._page.goto(url, wait_until="domcontentloaded", timeout=0), self._layout.timeouts.load
            )
            if response is None:
                raise ConnectionError(f"no answer for {url}")
            if response.status != 200:
                self.is_well = False
                return Shown(
                    "page", {"page": await response.text()}, response.status, await response.all_headers()
                )
            shown = Shown("parcel", {}, 200, await response.all_headers())
            for tab in self._visit.tabs:
                if not await self._show_tab(tab, shown):
                    break
        except _Refused as refused:
            # A call may be refused before the page's own end has come.
            self.is_well = False
            answer = refused.response
            return Shown("page", {"page": await self._html()}, answer.status, await answer.all_headers())
        return shown

    async def _show_tab(self, tab: str, shown: Shown) -> bool:
        is_first = not shown.html
        is_open = is_first and self._layout.starts_with == "summary"
        state: str | None = "filled"
        stale: str | None = None
        if is_first:
            state = await self._arrived(tab if is_open else None)
        if not is_open and state == "filled":
            # The grid that is still there, whose rows are not the new tab's.
            stale = await self._page.evaluate(STALE, self._layout.grid)
            if not await self._page.evaluate(OPEN_TAB, link_of(self._layout, tab)):
                # What is there instead is read as this tab, which it is not.
                await self._keep(tab, shown)
                shown.problem = self._checked(tab, tab, shown)
                return False
            state = await self._filled(tab, stale)
        html = await self._keep(tab, shown)
        if state in ("absent", "found"):
            # Of one that was found and could not be opened, the parser says so.
            shown.kind = "absent"
        elif state is None and is_first and await self._is_empty():
            if self._is_suspicious(html):
                shown.kind = "page"
            elif await self._page.evaluate(IS_ABSENT, [self._layout.absent, self._layout.parcel]):
                # It does not say what it should of a parcel that is not there: to be refused by the parser.
                shown.kind = "absent"
            else:
                shown.kind, shown.problem = "shell", "a shell without data"
        if shown.kind == "absent":
            shown.problem = self._checked(ABSENT, tab, shown)
        if shown.kind != "parcel":
            return False
        shown.problem = self._checked(tab, tab, shown)
        if state is None and shown.problem is None:
            # It reads well, but is not as it should be: rows may be missing.
            raise TimeoutError(f"the tab {tab} was not filled within {self._layout.timeouts.settle:g} s")
        return shown.problem is None

    async def _keep(self, tab: str, shown: Shown) -> str:
        shown.html[tab], shown.address = await self._html(), self._page.url
        return shown.html[tab]

    def _checked(self, name: str, tab: str, shown: Shown) -> str | None:
        return self._visit.check(name, shown.html[tab], shown.address)

    async def _arrived(self, tab: str | None) -> str | None:
        """Wait until the page shows the parcel: a tab, or None for the links of its tabs; opens it where the
        search lists it.
        """
        state = await self._filled(tab, None)
        results = self._layout.results
        if state == "found" and results is not None:
            if not await self._page.evaluate(OPEN_RESULT, [results.rows, results.open, self._visit.key]):
                return state
            state = await self._filled(tab, None, is_opened=True)
        return state

    async def _filled(self, tab: str | None, stale: str | None, is_opened: bool = False) -> str | None:
        """Wait until the tab is filled; returns "filled", "absent", "found", or None when it is not in time.
        Raises _Refused.

        Without a tab, a link to the summary is enough. `is_opened`: what the search found does not count any
        more.
        """
        order = order_of(self._layout, self._visit.key, tab, stale, is_opened)
        patience = self._layout.patience
        seconds = self._layout.timeouts.settle
        if not stale and self._is_suspicious(await self._html()):
            seconds = min(seconds, _DOUBT_S)
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            quiet = self._layout.quiet if self._pushed_at is None else patience
            try:
                state: str = await self._raced(self._page.evaluate(FILLED, [*order, quiet, patience]), left)
                if not self._pending and self._is_quiet(quiet):
                    return state
                # Data is still to come: what was filled may yet be added to.
                await self._raced(self._none_pending.wait(), until - asyncio.get_running_loop().time())
            except TimeoutError:
                break
            except PlaywrightError as error:
                if "Execution context was destroyed" not in str(error):
                    raise
        self.is_well = False
        if self._failed:
            raise ConnectionError(self._failed[0])
        if self._pending:
            raise TimeoutError(
                f"{len(self._pending)} calls of the page got no answer, among them"
                f" {next(iter(self._pending)).url}"
            )
        return None

    def _is_quiet(self, quiet: float) -> bool:
        """Whether the server pushed nothing while the grid was quiet for so long."""
        return (
            self._pushed_at is None
            or asyncio.get_running_loop().time() - self._pushed_at >= quiet >= self._layout.patience
        )

    async def _raced(self, work: Any, seconds: float) -> Any:
        """Await work for so many seconds, or until there is trouble."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._trouble), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._trouble.done():
                return self._trouble.result()
            if not task.done():
                raise TimeoutError(f"nothing came within {seconds:g} s")
            return task.result()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, PlaywrightError):
                await task

    async def _html(self) -> str:
        try:
            return await asyncio.wait_for(self._page.content(), self._layout.timeouts.close)
        except TimeoutError:
            raise BrowserFailed("the browser gave no HTML of the page") from None

    async def _is_empty(self) -> bool:
        """Whether the page has nothing of a parcel: neither its number nor money. With them it is a page that
        has changed.
        """
        text: str = await self._page.evaluate(TEXT)
        key = self._visit.key
        return "$" not in text and f"{key[:3]}-{key[3:5]}-{key[5:]}" not in text

    def _is_suspicious(self, html: str) -> bool:
        marks = self._visit.refusals
        title = html.lower().partition("<title")[2].partition("</title")[0]
        return any(mark in html for mark in marks.challenge) or any(
            mark.lower() in title for mark in marks.maintenance
        )

    async def _must_answer(self) -> None:
        """Tell a slow county from a browser that hangs. Raises BrowserFailed."""

        async def answer() -> None:
            # A navigation under way would keep the question back.
            await self._session.send("Page.stopLoading")
            await self._session.send("Runtime.evaluate", {"expression": "1"})

        for _ in range(_TRIES):
            try:
                await asyncio.wait_for(answer(), _ALIVE_S)
                return
            except TimeoutError:
                continue
            except PlaywrightError:
                # A question that meets a change of pages is lost.
                await asyncio.sleep(_AGAIN_S)
        raise BrowserFailed("the browser does not answer")

    def _connected(self, socket: WebSocket) -> None:
        self._pushed()
        socket.on("framereceived", self._pushed)

    def _pushed(self, _: object = None) -> None:
        self._pushed_at = asyncio.get_running_loop().time()

    def _asked(self, request: Request) -> None:
        if _LONG_POLLS in request.url and urlsplit(request.url).netloc == self._host:
            self._pushed()
        if request.resource_type in _AWAITED and _LONG_POLLS not in request.url:
            self._pending.add(request)
            self._none_pending.clear()

    def _answered(self, request: Request) -> None:
        if _LONG_POLLS in request.url and self._pushed_at is not None:
            self._pushed()
        self._pending.discard(request)
        if not self._pending:
            self._none_pending.set()

    def _lost(self, request: Request) -> None:
        if request in self._pending:
            failure = request.failure or ""
            if "ERR_ABORTED" not in failure and urlsplit(request.url).netloc == self._host:
                self._failed.append(f"{failure} for {request.url}")
                self._fail(ConnectionError(self._failed[0]))
        self._answered(request)

    def _seen(self, response: Response) -> None:
        # A navigation's own status is looked at by itself.
        is_call = (
            response.request.resource_type in ("xhr", "fetch") and urlsplit(response.url).netloc == self._host
        )
        if is_call and (response.status in (403, 429) or response.status >= 500):
            self._fail(_Refused(response))

    def _crashed(self, _: Page) -> None:
        self._fail(BrowserFailed("the page's process is gone"))

    def _fail(self, error: Exception) -> None:
        if not self._trouble.done():
            self._trouble.set_exception(error)
            # It may come when nobody waits any more.
            self._trouble.exception()


def _translated(error: Exception) -> Exception:
    line = _first_line(error)
    if isinstance(error, PlaywrightTimeout | TimeoutError) or "TIMED_OUT" in line:
        return TimeoutError(line)
    if isinstance(error, ConnectionError):
        return error
    return ConnectionError(line) if "net::ERR_" in line else BrowserFailed(line)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
