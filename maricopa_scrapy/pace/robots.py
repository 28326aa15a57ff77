"""What robots.txt allows, by RFC 9309: of a host that does not say it (5xx, no connection) nothing may be
fetched, so it is asked again.

Scrapy's own takes a robots.txt that cannot be had for leave to fetch everything.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.utils.misc import build_from_crawler, load_object

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.items import Reason
from maricopa_scrapy.pace.answer_check import cause_of, said_of, wanting_proxy
from maricopa_scrapy.pace.certificates import Unverified
from maricopa_scrapy.pace.proxies import wants_password
from maricopa_scrapy.pace.slots import Dropped, PacedDownloader

if TYPE_CHECKING:
    from scrapy.robotstxt import RobotParser

logger = logging.getLogger(__name__)

_GLANCE_S = 0.1
# An answer is given so long, however little patience is left.
_LEAST_S = 2.0
_MOVED = (301, 302, 303, 307, 308)
# RFC 9309, 2.3.1.2 and 2.5.
_HOPS_MOST = 5
_READ_MOST = 512_000


class RobotsTxt(RobotsTxtMiddleware):
    """Holds a host's requests until its robots.txt is known."""

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler)
        self._rules = load_object(crawler.settings["ROBOTSTXT_PARSER"])
        self._known: dict[str, asyncio.Future[RobotParser]] = {}

    async def robot_parser(self, request: Request) -> "RobotParser":
        """Return what the request's host allows. Raises Dropped when the run ends before that is known."""
        parts = urlsplit(request.url)
        if parts.netloc not in self._known:
            self._known[parts.netloc] = asyncio.ensure_future(
                self._asked(f"{parts.scheme}://{parts.netloc}/robots.txt", request)
            )
        # One that is called off leaves the others waiting.
        return await asyncio.shield(self._known[parts.netloc])

    async def _asked(self, url: str, request: Request) -> "RobotParser":
        source: str = request.meta.get("download_slot", "")
        manifest: Manifest = self.crawler.settings["MARICOPA_MANIFESTS"][source]
        robots = manifest.robots
        # A run bears no more silence of this kind than of any other.
        patience = min(robots.patience, manifest.breaker.silence)
        pause, begun = robots.again_after, time.monotonic()
        left = patience
        while True:
            answer = await self._fetched(url, min(manifest.timeout, max(left, _LEAST_S)))
            if isinstance(answer, bytes):
                parser: RobotParser = build_from_crawler(self._rules, self.crawler, answer[:_READ_MOST])
                return parser
            left = patience - (time.monotonic() - begun)
            if left <= 0:
                logger.error(
                    "%s: no answer for %.0f s from %s (%s), without which nothing may be asked for; what is"
                    " left stays pending",
                    source,
                    time.monotonic() - begun,
                    url,
                    answer,
                )
                spider: Any = self.crawler.spider
                spider.stop(Reason.SOURCE_UNAVAILABLE)
                raise Dropped("the run ends")
            pause = min(pause, left)
            logger.warning(
                "%s: %s: %s; nothing is asked for until it answers, it is tried again in %.1f s",
                source,
                url,
                answer,
                pause,
            )
            await self._wait(pause)
            pause = min(2 * pause, robots.again_most)

    async def _fetched(self, url: str, timeout: float) -> bytes | str:
        """Return the rules, none where there is no such file, or why they could not be had. Raises
        Dropped.
        """
        for _ in range(1 + _HOPS_MOST):
            try:
                response = await self._download(url, timeout)
            except Dropped:
                raise
            except Unverified as error:
                spider: Any = self.crawler.spider
                spider.distrust(error)
                raise Dropped("the run ends") from None
            except Exception as error:  # noqa: BLE001 - cause_of raises what it does not know
                return f"{cause_of(error)}, {said_of(error)}"
            if proxy := wanting_proxy(response):
                return wants_password(proxy)
            if response.status >= 500:
                return f"HTTP {response.status}"
            if response.status not in _MOVED:
                return response.body if response.status < 300 else b""
            url = urljoin(url, (response.headers.get(b"Location") or b"").decode("latin-1"))
            if urlsplit(url).scheme not in ("http", "https"):
                break
        return b""

    async def _download(self, url: str, timeout: float) -> Response:
        meta = {"dont_obey_robotstxt": True, "download_timeout": timeout, "dont_redirect": True}
        asked = Request(url, priority=self.DOWNLOAD_PRIORITY, meta=meta, callback=NO_CALLBACK)
        self.crawler.stats.inc_value("robotstxt/request_count")
        response: Response = await self.crawler.engine.download_async(asked)
        return response

    async def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        downloader = PacedDownloader.of(self.crawler)
        while time.monotonic() < until:
            # An engine that closes waits for all requests that it knows, also for those behind this.
            if downloader.is_closing:
                raise Dropped("the run ends")
            await asyncio.sleep(min(_GLANCE_S, seconds))
