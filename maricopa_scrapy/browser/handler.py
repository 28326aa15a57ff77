"""The download handler of sources that only a browser can show: scrapy-playwright's, with pages that are used
again.

scrapy-playwright opens a page for each request and closes it, without a timeout on either, and asks the same
page again when its browser is gone. Here a page serves many parcels, everything ends in time, and a failure
goes back through the ledger. Requests without a `Visit` in their meta (robots.txt) go the ordinary way.
"""

import asyncio
import logging
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as PlaywrightError
from scrapy import Request
from scrapy.exceptions import DownloadFailedError
from scrapy.http import Headers
from scrapy.http import Response as ScrapyResponse

from maricopa_scrapy.browser.launch import BrowserProvider
from maricopa_scrapy.browser.playwright_internals import OpenPlaywrightHandler
from maricopa_scrapy.browser.pool import BrowserPool, PoolOptions, first_line
from maricopa_scrapy.browser.visit import PageVisit, Shown, Visit
from maricopa_scrapy.configuration import Config
from maricopa_scrapy.pace.answer_check import BrowserFailed
from maricopa_scrapy.pace.certificates import check_failure, check_shown
from maricopa_scrapy.pace.proxies import proxy_with_password
from maricopa_scrapy.pace.scrapy_internals import set_bounds

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

# Keys of a request's meta: its Visit; then the PNG of what went wrong.
VISIT = "maricopa_visit"
PICTURE = "maricopa_picture"


class BrowserHandler(OpenPlaywrightHandler):
    """`pack` of the spider makes one body of what was shown; the rest is Scrapy's."""

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        set_bounds(self)
        self._config: Config = crawler.settings["MARICOPA_CONFIG"]
        self._own_name: str = crawler.settings["USER_AGENT"]
        self._pages: BrowserPool | None = None
        self._pictured: set[str] = set()

    def _opened(self, visit: Visit, seconds: float, url: str) -> BrowserPool:
        if self._pages is None:
            browser, timeouts = self._config.browser, visit.layout.timeouts
            proxy = proxy_with_password(url) if self.crawler.settings.getbool("HTTPPROXY_ENABLED") else None
            self.browser_provider = BrowserProvider(self.config, browser, proxy)
            script = (
                resources.files("maricopa_scrapy.browser").joinpath("stealth.js").read_text()
                if browser.stealth
                else ""
            )
            options = PoolOptions(
                size=self._config.batch_processing.browser_pool_size,
                retire_after=browser.retire_after,
                wait=seconds + timeouts.snapshot,
                close=timeouts.close,
                user_agents=browser.user_agents,
                own_name=self._own_name,
                script=script,
            )
            self._pages = BrowserPool(
                self._launched, self.browser_provider.kill, self.browser_provider.close, options
            )
        return self._pages

    async def _launched(self) -> Any:
        browser = await self.browser_provider.launch_browser()
        self.stats.inc_value("maricopa/browser/launched")
        return browser

    async def download_request(self, request: Request) -> ScrapyResponse:
        """Show what the request's Visit asks for. Raises TimeoutError, ConnectionError, Unverified or
        BrowserFailed.
        """
        visit: Visit | None = request.meta.get(VISIT)
        if visit is None:
            try:
                response: ScrapyResponse = await super().download_request(request)
            except DownloadFailedError as error:
                check_failure(error, request.url)
                raise
            return response
        seconds: float = request.meta["download_timeout"]
        pool = self._opened(visit, seconds, request.url)
        tab = await pool.take()
        seen = PageVisit(tab.page, tab.session, visit)
        try:
            async with asyncio.timeout(seconds) as limit:
                shown = await seen.run(request.url)
            if shown.problem is not None and shown.problem not in self._pictured:
                self._pictured.add(shown.problem)
                request.meta[PICTURE] = await seen.picture()
        except TimeoutError as error:
            raise (
                TimeoutError(f"the parcel was not shown within {seconds:g} s") if limit.expired() else error
            ) from None
        except ConnectionError as error:
            check_shown(error, request.url)
            raise
        except PlaywrightError as error:
            # Of a browser that went in the middle of it.
            raise BrowserFailed(first_line(error)) from None
        finally:
            pool.give_back(tab, seen.is_well)
            self.stats.set_value("maricopa/browser/pages", pool.opened)
        return _response(request, shown, self.crawler.spider.pack)

    async def close_browser(self) -> None:
        """End the pages, then the browser and its driver."""
        if self._pages is not None:
            try:
                await self._pages.close()
            finally:
                await self.browser_provider.close()


def _response(request: Request, shown: Shown, pack: Callable[[Shown], bytes]) -> ScrapyResponse:
    if shown.kind == "page":
        kept = {
            name: value
            for name, value in shown.headers.items()
            if name in ("retry-after", "date", "cf-mitigated")
        }
        body = "".join(shown.html.values()).encode("utf-8", "ignore")
        return ScrapyResponse(
            request.url, shown.status, Headers(kept | {"Content-Type": "text/html"}), body, request=request
        )
    headers = Headers({"Content-Type": "application/json"})
    return ScrapyResponse(request.url, 200, headers, pack(shown), request=request)
