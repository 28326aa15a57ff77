"""Pages in a browser: what a visit shows, for the treasurer's checks, and pictures of pages that are already anonymous."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Request
from scrapy.settings import Settings
from scrapy_playwright.handler import Config as PlaywrightConfig

from maricopa_scrapy.download.browser_launch import BrowserProvider
from maricopa_scrapy.download.browser_page import PageVisit, Visit
from maricopa_scrapy.download.browser_pool import BrowserPool, PoolOptions, first_line
from maricopa_scrapy.download.refusals import BrowserFailed
from maricopa_scrapy.settings_files import BrowserSettings, Manifest

_CALLS = ("xhr", "fetch")
_PICTURE_S = 15.0
# Of the page's own style nothing is fetched: it would be asked of the county once more.
_STYLE = "body{font:14px sans-serif;margin:16px}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:2px 6px}"
_MARK = """marks => marks.forEach(([name, selector]) => {
  let found = [];
  try { found = [...document.querySelectorAll(selector)].slice(0, 20) } catch { return }
  found.forEach((element, at) => {
    element.style.outline = '2px solid #c00';
    if (at) return;
    const label = document.createElement('span');
    label.textContent = name;
    label.style.cssText = 'position:absolute;background:#c00;color:#fff;font:11px sans-serif;padding:0 3px;z-index:9';
    const box = element.getBoundingClientRect();
    label.style.left = box.left + scrollX + 'px'; label.style.top = Math.max(0, box.top + scrollY - 14) + 'px';
    document.body.append(label);
  });
})"""


@dataclass(slots=True)
class Visited:
    """One navigation. `kind`: parcel, absent, shell, or page (another one in its place); `html` by tab, as the browser had it.

    `calls`: the page's own calls for data, as "xhr <url>" or "websocket <url>"; `error`: why nothing was shown.
    """

    apn: str
    url: str
    kind: str = "page"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    html: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    error: str = ""


class Browser:
    """One page of one browser."""

    def __init__(self, pool: BrowserPool) -> None:
        self._pool = pool

    async def visit(
        self, manifest: Manifest, url: str, apn: str, tabs: tuple[str, ...], check: Callable[[str, str], str | None]
    ) -> Visited:
        """Show a parcel and its tabs; `check` says what is wrong with the HTML of one."""
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
            shown = await seen.run(url)
        except (TimeoutError, ConnectionError, BrowserFailed, PlaywrightError) as error:
            visited.error = first_line(error)
        else:
            visited.kind, visited.status, visited.headers, visited.html = shown.kind, shown.status, shown.headers, shown.html
        finally:
            with contextlib.suppress(PlaywrightError):
                tab.page.remove_listener("request", asked)
                tab.page.remove_listener("websocket", connected)
            self._pool.give_back(tab, seen.is_well)
        return visited

    async def picture(self, html: str, marks: dict[str, str]) -> bytes:
        """Return a PNG of a page, with what the selectors find marked by their names. Nothing is fetched. Raises BrowserFailed."""
        tab = await self._pool.take()
        try:
            page = tab.page
            await page.context.set_offline(True)
            await page.set_content(html, wait_until="domcontentloaded", timeout=_PICTURE_S * 1000)
            await page.add_style_tag(content=_STYLE)
            await page.evaluate(_MARK, list(marks.items()))
            return await page.screenshot(type="png", full_page=True, timeout=_PICTURE_S * 1000)
        except PlaywrightError as error:
            raise BrowserFailed(first_line(error)) from None
        finally:
            # What was offline shows nothing else.
            self._pool.give_back(tab, is_well=False)


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
