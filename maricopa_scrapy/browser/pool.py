"""A pool of pages in one browser: one a context, used for one parcel after another, and replaced after many
or after a failure.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from playwright.async_api import Browser, BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from maricopa_scrapy.pace.answer_check import BrowserFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")

_OPEN_S = 20.0
_LAUNCH_S = 30.0
# Never stylesheets: without them the treasurer's page shows nothing.
_SPARED = ("Image", "Font", "Media")


@dataclass(slots=True, eq=False)
class Tab:
    """A page, the context that it alone is in, their browser, a line to the page, and how many parcels it has
    shown.
    """

    browser: Browser
    context: BrowserContext
    page: Page
    session: CDPSession
    parcels: int = 0


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """`size` pages at once, each for `retire_after` parcels; who it says it is, in turn; a script run first.

    Seconds: `wait` for one of the pages, `close` for one to close.
    """

    size: int
    retire_after: int
    wait: float
    close: float
    user_agents: tuple[str, ...]
    own_name: str
    script: str = ""


class BrowserPool:
    """Pages to take and to give back. `launch` starts a browser, `kill` ends what was started, `end` its
    driver too.
    """

    def __init__(
        self,
        launch: Callable[[], Awaitable[Browser]],
        kill: Callable[[], None],
        end: Callable[[], Awaitable[None]],
        options: PoolOptions,
    ) -> None:
        self._launch = launch
        self._kill = kill
        self._end = end
        self._options = options
        self._room = asyncio.Semaphore(options.size)
        self._starting: asyncio.Task[Browser] | None = None
        self._browser: Browser | None = None
        self._agents: tuple[str, ...] = ()
        self._numbers = itertools.count()
        self._idle: list[Tab] = []
        self._under_way: set[asyncio.Task[Any]] = set()
        self.launched = self.opened = 0

    async def take(self) -> Tab:
        """Return a page that is free, or a new one, when there is room. Raises BrowserFailed."""
        try:
            async with asyncio.timeout(self._options.wait):
                await self._room.acquire()
        except TimeoutError:
            raise BrowserFailed(
                f"none of the browser's pages came free within {self._options.wait:g} s"
            ) from None
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
        """Close all pages and the browser, in `close` seconds; what is left then is killed."""
        if self._starting is not None:
            self._starting.cancel()
        browser, self._browser = self._browser, None
        for tab in self._idle:
            self._retire(tab)
        self._idle.clear()
        with contextlib.suppress(PlaywrightError, TimeoutError):
            async with asyncio.timeout(self._options.close):
                await asyncio.gather(*self._under_way, return_exceptions=True)
                if browser is not None:
                    await browser.close()
        self._kill()

    async def _open(self) -> Tab:
        opening = self._go(self._opened(await self._running()))
        try:
            # What was cut short would leave a context that nobody knows.
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._drop)
            raise

    async def _opened(self, browser: Browser) -> Tab:
        context = None
        try:
            async with asyncio.timeout(_OPEN_S):
                agent = self._agents[next(self._numbers) % len(self._agents)]
                context = await browser.new_context(user_agent=agent, service_workers="block")
                page = await context.new_page()
                if self._options.script:
                    await page.add_init_script(self._options.script)
                session = await context.new_cdp_session(page)
                await _spare(session)
        except TimeoutError:
            self._replace(browser)
            raise BrowserFailed(f"the browser opened no page within {_OPEN_S:g} s") from None
        except PlaywrightError as error:
            if context is not None:
                self._go(self._close_all(browser, context))
            elif browser is self._browser:
                # Of a driver that was killed it never hears: it calls itself connected.
                logger.warning("the browser opens no page (%s); starting another", first_line(error))
                self._replace(browser)
            raise BrowserFailed(f"no page could be opened: {first_line(error)}") from None
        self.opened += 1
        return Tab(browser, context, page, session)

    async def _running(self) -> Browser:
        if self._browser is not None and self._browser.is_connected():
            return self._browser
        if self._starting is None or self._starting.done():
            self._starting = self._go(self._started())
        # Who waits may be called off; the browser comes all the same, for the next one.
        return await asyncio.shield(self._starting)

    async def _started(self) -> Browser:
        if self._browser is not None:
            logger.warning("the browser is gone; starting another")
        self._browser = None
        try:
            if self.launched:
                # What is left of the one before.
                await self._end()
            async with asyncio.timeout(_LAUNCH_S):
                browser = await self._launch()
                self._agents = self._options.user_agents or (
                    f"{await _own_agent(browser)} {self._options.own_name}",
                )
        except (PlaywrightError, RuntimeError, OSError) as error:
            # With its driver, which may yet start one.
            await self._end()
            if isinstance(error, TimeoutError):
                raise BrowserFailed(f"no browser was started within {_LAUNCH_S:g} s") from None
            raise BrowserFailed(f"no browser could be started: {first_line(error)}") from None
        self._browser = browser
        self.launched += 1
        return browser

    def _go(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._gone)
        return task

    def _gone(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Nobody may be left who is told.
            task.exception()

    def _drop(self, opening: asyncio.Task[Tab]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._retire(opening.result())

    def _retire(self, tab: Tab) -> None:
        self._go(self._close_all(tab.browser, tab.page, tab.context))

    async def _close_all(self, browser: Browser, *opened: Page | BrowserContext) -> None:
        for each in opened:
            if not await self._closed(each):
                if browser is self._browser and browser.is_connected():
                    logger.warning(
                        "a page did not close within %.0f s; the browser is replaced", self._options.close
                    )
                self._replace(browser)
                return

    def _replace(self, browser: Browser) -> None:
        """It hangs as a whole: the next page gets another browser, unless that is so already."""
        if browser is self._browser:
            self._browser = None
            self._kill()
            # One that was only connected to keeps no pages of ours.
            self._go(self._closed(browser))

    async def _closed(self, what: Page | BrowserContext | Browser) -> bool:
        """Return False when it took too long; what is gone already counts as closed."""
        try:
            async with asyncio.timeout(self._options.close):
                await what.close()
        except TimeoutError:
            return False
        except PlaywrightError:
            pass
        return True


async def _own_agent(browser: Browser) -> str:
    session = await browser.new_browser_cdp_session()
    version = await session.send("Browser.getVersion")
    await session.detach()
    return str(version["userAgent"])


async def _spare(session: CDPSession) -> None:
    """Have pictures, fonts and films fail before they are asked for: not by Playwright's route, which turns
    the cache off.
    """

    async def fail(event: dict[str, Any]) -> None:
        with contextlib.suppress(PlaywrightError):
            await session.send(
                "Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "BlockedByClient"}
            )

    session.on("Fetch.requestPaused", fail)
    await session.send(
        "Fetch.enable", {"patterns": [{"urlPattern": "*", "resourceType": kind} for kind in _SPARED]}
    )


def first_line(error: BaseException) -> str:
    """Return an error's first line, or its kind: Playwright's go on with a log."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
