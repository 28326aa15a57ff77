"""A crawl that uses each part of pace/scrapy_internals.py once, and prints what came of it as JSON: run as a
program of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.core.downloader import Slot
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import DownloadFailedError, IgnoreRequest

from maricopa_scrapy.pace import scrapy_internals
from maricopa_scrapy.pace.scrapy_internals import BareThrottle, OpenDownloader, is_closing, is_idle

FACTS: dict[str, Any] = {}
SOON_S = 0.2


class Handler(HTTP11DownloadHandler):
    """Scrapy's, with bounds."""

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler)
        scrapy_internals.set_bounds(self)


class Downloader(OpenDownloader):
    """Notes what it is asked."""

    asked = 0
    is_open = True

    async def ask(self, request: Request) -> Any:
        self.asked += 1
        return await super().ask(request)

    def may_send(self) -> bool:
        return self.is_open

    def is_kept(self, slot: Slot) -> bool:
        return slot is self.slots.get("kept")

    def why_dropped(self) -> Exception:
        return IgnoreRequest("dropped")


class SlowPipeline:
    """Takes its time for an item."""

    async def process_item(self, item: Any) -> Any:
        await asyncio.sleep(SOON_S)
        return item


class Internals(Spider):
    """Asks a server of its own."""

    name = "internals"

    async def start(self) -> AsyncIterator[Any]:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        engine: Any = self.crawler.engine
        self.downloader: Downloader = engine.downloader
        FACTS["closes at the start"] = is_closing(engine)
        await self._ask("/", download_slot="kept")
        FACTS["asked"] = self.downloader.asked
        FACTS["delay"] = self.downloader.slots["kept"].delay
        try:
            await self._ask("/endless")
        except DownloadFailedError as error:
            FACTS["headers without end"] = str(error)
        await self._drop(engine)
        self.downloader.is_open = False
        held = asyncio.ensure_future(self._ask("/", download_slot="kept"))
        await asyncio.sleep(SOON_S)
        FACTS["sent while held"] = held.done()
        self.downloader.is_open = True
        self.downloader.send_due(self.downloader.slots["kept"])
        FACTS["sent when due"] = await asyncio.wait_for(held, 5)
        FACTS["slots"] = sorted(self.downloader.slots)
        self.downloader._slot_gc(-60)
        FACTS["slots that are kept"] = sorted(self.downloader.slots)
        self.crawler.signals.connect(self._item_ended, signal=signals.item_scraped)
        yield {"item": "of start()"}
        scrapy_internals.close_soon(engine, "closed soon")
        await asyncio.sleep(0)
        FACTS["closes at the end"] = is_closing(engine)

    async def _drop(self, engine: Any) -> None:
        slow = asyncio.ensure_future(self._ask("/slow"))
        await asyncio.sleep(SOON_S)
        FACTS["idle with a request under way"] = is_idle(engine)
        self.downloader.drop_under_way()
        try:
            await asyncio.wait_for(slow, 5)
        except IgnoreRequest as error:
            FACTS["dropped"] = str(error)
        FACTS["idle without"] = is_idle(engine)

    async def _ask(self, path: str, **meta: str) -> int:
        engine: Any = self.crawler.engine
        response = await engine.download_async(Request(self.url + path, meta=meta))
        return int(response.status)

    def _item_ended(self) -> None:
        engine: Any = self.crawler.engine
        asyncio.get_running_loop().call_later(SOON_S, scrapy_internals.end_idle_scraper, engine, self)

    def closed(self, reason: str) -> None:
        FACTS["reason"] = reason


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readuntil(b"\r\n\r\n")
    with suppress(ConnectionError):
        if b"/slow" in asked:
            await reader.read()
        elif b"/endless" in asked:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not writer.is_closing():
                writer.write(b"X-More: " + b"x" * 4_000 + b"\r\n")
                await writer.drain()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    process = CrawlerProcess(
        {
            "DOWNLOADER": Downloader,
            "DOWNLOAD_HANDLERS": {"http": Handler},
            "DOWNLOAD_SLOTS": {"kept": {"concurrency": 1, "delay": 0.01}},
            "AUTOTHROTTLE_ENABLED": True,
            "AUTOTHROTTLE_START_DELAY": 0.05,
            "DOWNLOAD_DELAY": 0.05,
            "ITEM_PIPELINES": {SlowPipeline: 1},
            "EXTENSIONS": {"scrapy.extensions.throttle.AutoThrottle": None, BareThrottle: 1},
            "LOG_LEVEL": "WARNING",
            "TELNETCONSOLE_ENABLED": False,
            "RETRY_ENABLED": False,
            "HTTPPROXY_ENABLED": False,
        }
    )
    process.crawl(Internals)
    process.start()
    print(json.dumps(FACTS))
