"""A pool of pages in one browser: one a context, used for one parcel after another, and replaced after many or after a failure."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from playwright.async_api import Browser, BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from maricopa_scrapy.download.refusals import BrowserFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")

_OPEN_S = 10.0
_LAUNCH_S = 30.0
# Never stylesheets: without them the treasurer's page shows nothing.
_SPARED = ("Image", "Font", "Media")


@dataclass(slots=True, eq=False)
class Tab:
    """A page, the context that it alone is in, their browser, a line to the page, and how many parcels it has shown."""

    browser: Browser
    context: BrowserContext
    page: Page
    session: CDPSession
    parcels: int = 0


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """`size` pages at once, each for `retire_after` parcels; seconds to close one; who it says it is, in turn; a script run first."""

    size: int
    retire_after: int
    close: float
    user_agents: tuple[str, ...]
    own_name: str
    script: str = ""


class BrowserPool:
    """Pages to take and to give back. `launch` starts a browser, `kill` ends the one that was started last."""

    def __init__(self, launch: Callable[[], Awaitable[Browser]], kill: Callable[[], None], options: PoolOptions) -> None:
        self._launch = launch
        self._kill = kill
        self._options = options
        self._room = asyncio.Semaphore(options.size)
        self._launching = asyncio.Lock()
        self._browser: Browser | None = None
        self._agents: tuple[str, ...] = ()
        self._numbers = itertools.count()
        self._idle: list[Tab] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self.launched = self.opened = 0

    async def take(self) -> Tab:
        """Return a page that is free, or a new one, when there is room. Raises BrowserFailed."""
        await self._room.acquire()
        try:
            while self._idle:
                tab = self._idle.pop()
                if tab.browser is self._browser and tab.browser.is_connected() and not tab.page.is_closed():
                    return tab
                self._retire(tab)
            return await self._open()
        except BaseException:
            self._room.release()
            raise

    def give_back(self, tab: Tab, is_well: bool) -> None:
        """Take a page back; one that failed, or has shown enough, is closed."""
        tab.parcels += 1
        if is_well and tab.parcels < self._options.retire_after:
            self._idle.append(tab)
        else:
            self._retire(tab)
        self._room.release()

    async def close(self) -> None:
        """Close all pages and the browser, none of them for longer than a moment."""
        for tab in self._idle:
            self._retire(tab)
        self._idle.clear()
        await asyncio.gather(*self._retiring)
        browser, self._browser = self._browser, None
        if browser is not None:
            await self._close(browser.close())
            self._kill()

    async def _open(self) -> Tab:
        browser = await self._running()
        try:
            agent = self._agents[next(self._numbers) % len(self._agents)]
            context = await self._timely(browser.new_context(user_agent=agent, service_workers="block"))
            page = await self._timely(context.new_page())
            if self._options.script:
                await self._timely(page.add_init_script(self._options.script))
            session = await self._timely(context.new_cdp_session(page))
            await self._timely(_spare(session))
        except PlaywrightError as error:
            raise BrowserFailed(f"no page could be opened: {_first_line(error)}") from None
        self.opened += 1
        return Tab(browser, context, page, session)

    async def _running(self) -> Browser:
        async with self._launching:
            if self._browser is None or not self._browser.is_connected():
                if self._browser is not None:
                    logger.warning("the browser is gone; starting another")
                    # What is left of it.
                    self._kill()
                try:
                    self._browser = await asyncio.wait_for(self._launch(), _LAUNCH_S)
                    self._agents = self._options.user_agents or (f"{await _own_agent(self._browser)} {self._options.own_name}",)
                except (PlaywrightError, TimeoutError, RuntimeError) as error:
                    self._browser = None
                    self._kill()
                    raise BrowserFailed(f"no browser could be started: {_first_line(error)}") from None
                self.launched += 1
            return self._browser

    async def _timely(self, work: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(work, _OPEN_S)
        except TimeoutError:
            self._replace()
            raise BrowserFailed(f"the browser opened no page within {_OPEN_S:.0f} s") from None

    def _retire(self, tab: Tab) -> None:
        task = asyncio.ensure_future(self._close_tab(tab))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _close_tab(self, tab: Tab) -> None:
        closed = await self._close(tab.page.close()) and await self._close(tab.context.close())
        if not closed and tab.browser is self._browser and tab.browser.is_connected():
            logger.warning("a page did not close within %.0f s; the browser is replaced", self._options.close)
            self._replace()

    def _replace(self) -> None:
        """It hangs as a whole: the next page gets another browser."""
        self._browser = None
        self._kill()

    async def _close(self, closing: Awaitable[Any]) -> bool:
        """Return False when it took too long; what is gone already counts as closed."""
        with contextlib.suppress(PlaywrightError):
            try:
                await asyncio.wait_for(closing, self._options.close)
            except TimeoutError:
                return False
        return True


async def _own_agent(browser: Browser) -> str:
    session = await browser.new_browser_cdp_session()
    version = await session.send("Browser.getVersion")
    await session.detach()
    return str(version["userAgent"])


async def _spare(session: CDPSession) -> None:
    """Have pictures, fonts and films fail before they are asked for: not by Playwright's route, which turns the cache off."""

    async def fail(event: dict[str, Any]) -> None:
        with contextlib.suppress(PlaywrightError):
            await session.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "BlockedByClient"})

    session.on("Fetch.requestPaused", fail)
    await session.send("Fetch.enable", {"patterns": [{"urlPattern": "*", "resourceType": kind} for kind in _SPARED]})


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
