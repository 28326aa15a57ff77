"""Pages in a browser: what a visit shows, for the treasurer's checks, and pictures of pages that are already anonymous."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Request
from scrapy.settings import Settings
from scrapy_playwright.handler import Config as PlaywrightConfig

from maricopa_scrapy.download.browser_launch import BrowserProvider
from maricopa_scrapy.download.browser_page import PageVisit, Visit
from maricopa_scrapy.download.browser_pool import BrowserPool, PoolOptions, Tab, first_line
from maricopa_scrapy.download.refusals import BrowserFailed
from maricopa_scrapy.settings_files import BrowserSettings, Manifest

_CALLS = ("xhr", "fetch")
_PICTURE_S = 15.0
# Of the page's own style nothing is fetched: it would be asked of the county once more.
_STYLE = "body{font:14px sans-serif;margin:16px}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:2px 6px}"
_CLICK, _MARK = (resources.files("maricopa_scrapy.probe").joinpath(name).read_text(encoding="utf-8") for name in ("tabs.js", "marks.js"))
_TABS_MOST, _TAB_S, _LOOK_S = 8, 15.0, 0.1
_NO_DOCUMENTS = [{"urlPattern": "*", "resourceType": kind} for kind in ("Image", "Font", "Media", "Document")]


@dataclass(slots=True)
class Visited:
    """One navigation. `kind`: parcel, absent, shell, or page (another one in its place); `html` by tab, as the browser had it.

    `address`: the page's own in the end. `tabs`: the HTML of every tab that was found, by its number and text, where all were opened.
    `calls`: the page's own calls for data, as "xhr <url>" or "websocket <url>"; `error`: why nothing was shown.
    """

    apn: str
    url: str
    kind: str = "page"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    html: dict[str, str] = field(default_factory=dict)
    address: str = ""
    tabs: dict[str, str] = field(default_factory=dict)
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
        every: bool = False,
    ) -> Visited:
        """Show a parcel and its tabs; `check` says what is wrong with the HTML of one at an address. `every`: then open each tab that
        there is."""
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
            visited.kind, visited.status, visited.headers, visited.html = shown.kind, shown.status, shown.headers, shown.html
            visited.address = shown.address
            if every and shown.kind != "page":
                seen.is_well = False
                with contextlib.suppress(PlaywrightError, TimeoutError):
                    visited.tabs = await _every_tab(tab, manifest.page.tabs, manifest.page.patience)
        finally:
            with contextlib.suppress(PlaywrightError):
                tab.page.remove_listener("request", asked)
                tab.page.remove_listener("websocket", connected)
            self._pool.give_back(tab, seen.is_well)
        return visited

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


async def _every_tab(tab: Tab, selector: str, quiet: float) -> dict[str, str]:
    """Open one tab after another, and return the HTML of each. Whatever is clicked, no other page is asked for."""
    await tab.session.send("Fetch.enable", {"patterns": _NO_DOCUMENTS})
    pending: set[Request] = set()
    tab.page.on("request", lambda one: pending.add(one))
    tab.page.on("requestfinished", lambda one: pending.discard(one))
    tab.page.on("requestfailed", lambda one: pending.discard(one))
    found: dict[str, str] = {}
    for at in range(_TABS_MOST):
        text = await tab.page.evaluate(_CLICK, [selector, at])
        if text is None:
            break
        found[f"{at} {' '.join(text.split())}"] = await _quiet(tab.page, pending, quiet)
    return found


async def _quiet(page: Page, pending: set[Request], quiet: float) -> str:
    """Return the HTML of the page once it has not changed for so long, and no call is under way; or what is there after 15 s."""
    loop = asyncio.get_running_loop()
    until, html, since = loop.time() + _TAB_S, "", loop.time()
    while loop.time() < until:
        await asyncio.sleep(_LOOK_S)
        now = await asyncio.wait_for(page.content(), _TAB_S)
        calls = [one for one in pending if one.resource_type in _CALLS and "_blazor" not in one.url]
        if now != html or calls:
            html, since = now, loop.time()
        elif loop.time() - since >= quiet:
            break
    return html


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
