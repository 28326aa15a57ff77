"""Pages in a browser: what a visit shows, for the treasurer's checks, and pictures of pages that are already
anonymous.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Request
from scrapy.settings import Settings
from scrapy_playwright.handler import Config as PlaywrightConfig

from maricopa_scrapy.browser.launch import BrowserProvider
from maricopa_scrapy.browser.pool import BrowserPool, PoolOptions, first_line
from maricopa_scrapy.browser.visit import PageVisit, Visit
from maricopa_scrapy.configuration import BrowserSettings, Manifest
from maricopa_scrapy.pace.answer_check import BrowserFailed
from maricopa_scrapy.probe.explore import Explored, Explorer

_CALLS = ("xhr", "fetch")
_PICTURE_S = 15.0
# Of the page's own style nothing is fetched: it would be asked of the county once more.
_STYLE = (
    "body{font:14px sans-serif;margin:16px}table{border-collapse:collapse}td,th{border:1px solid"
    " #bbb;padding:2px 6px}"
)
_MARK = resources.files("maricopa_scrapy.probe").joinpath("marks.js").read_text(encoding="utf-8")


@dataclass(slots=True)
class Visited:
    """One navigation. `kind`: parcel, absent, shell, or page (another one in its place); `html` by tab, as
    the browser had it.

    `address`: the page's own in the end.
    `calls`: the page's own calls for data, as "xhr <url>" or "websocket <url>"; `error`: why nothing was
    shown.
    """

    apn: str
    url: str
    kind: str = "page"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    html: dict[str, str] = field(default_factory=dict)
    address: str = ""
    calls: list[str] = field(default_factory=list)
    error: str = ""


class Browser:
    """One page of one browser."""

    def __init__(self, pool: BrowserPool) -> None:
        self._pool = pool

    async def visit(
        self,
        manifest: Manifest,
        url: str,
        apn: str,
        tabs: tuple[str, ...],
        check: Callable[[str, str, str], str | None],
    ) -> Visited:
        """Show a parcel and its tabs as a crawl would; `check` says what is wrong with the HTML of one at an
        address.
        """
        assert manifest.page is not None
        visited = Visited(apn, url)
        tab = await self._pool.take()
        seen = PageVisit(tab.page, tab.session, Visit(manifest.page, manifest.refusals, tabs, apn, check))

        def asked(request: Request) -> None:
            if request.resource_type in _CALLS:
                visited.calls.append(f"{request.resource_type} {request.url}")

        def connected(socket: Any) -> None:
            visited.calls.append(f"websocket {socket.url}")

        tab.page.on("request", asked)
        tab.page.on("websocket", connected)
        try:
            async with asyncio.timeout(manifest.timeout):
                shown = await seen.run(url)
        except (TimeoutError, ConnectionError, BrowserFailed, PlaywrightError) as error:
            visited.error = first_line(error)
        else:
            visited.kind, visited.status, visited.headers, visited.html = (
                shown.kind,
                shown.status,
                shown.headers,
                shown.html,
            )
            visited.address = shown.address
        finally:
            with contextlib.suppress(PlaywrightError):
                tab.page.remove_listener("request", asked)
                tab.page.remove_listener("websocket", connected)
            self._pool.give_back(tab, seen.is_well)
        return visited

    async def explore(self, url: str, apn: str, still: float) -> Explored:
        """Show a page, whatever it looks like, and each of its tabs, once they are still for so many
        seconds.
        """
        tab = await self._pool.take()
        try:
            return await Explorer(tab.page, tab.session, still).run(url, apn)
        finally:
            # What blocks other documents goes with the page.
            self._pool.give_back(tab, is_well=False)

    async def picture(self, html: str, marks: dict[str, str]) -> bytes:
        """Return a PNG of a page, with what the selectors find marked by their names. Raises BrowserFailed.

        Nothing is fetched, and nothing can be visited afterwards.
        """
        tab, is_well = await self._pool.take(), False
        try:
            page = tab.page
            await page.context.set_offline(True)
            await page.set_content(html, wait_until="domcontentloaded", timeout=_PICTURE_S * 1000)
            await page.add_style_tag(content=_STYLE)
            await page.evaluate(_MARK, list(marks.items()))
            drawn = await page.screenshot(type="png", full_page=True, timeout=_PICTURE_S * 1000)
            is_well = True
            return drawn
        except PlaywrightError as error:
            raise BrowserFailed(first_line(error)) from None
        finally:
            self._pool.give_back(tab, is_well)


@contextlib.asynccontextmanager
async def browser(settings: BrowserSettings, own_name: str) -> AsyncIterator[Browser]:
    """Start the browser that a crawl would use, or connect to it; it says who we are behind its own name."""
    provider = BrowserProvider(PlaywrightConfig.from_settings(Settings()), settings)
    options = PoolOptions(1, settings.retire_after, 60.0, 5.0, settings.user_agents, own_name)
    pool = BrowserPool(provider.launch_browser, provider.kill, provider.close, options)
    try:
        yield Browser(pool)
    finally:
        try:
            await pool.close()
        finally:
            await provider.close()
