"""The pipeline: every answer into the writer, which stores it and acknowledges its target in one
transaction.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Self

from maricopa_scrapy.database.connect import DatabaseUnavailable
from maricopa_scrapy.database.writer import Writer
from maricopa_scrapy.items import Answer, Reason

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)


class StorePipeline:
    """Hands answers to the writer's thread, and waits when Postgres is slower than the county."""

    def __init__(self, crawler: "Crawler") -> None:
        self._crawler = crawler
        self._stats = crawler.stats
        self._room = asyncio.Event()
        self._writer: Writer | None = None

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        return cls(crawler)

    async def process_item(self, item: Any) -> Any:
        """Take an answer; other items pass."""
        if isinstance(item, Answer):
            writer = self._writer or self._open()
            if not writer.put(item):
                self._room.clear()
                await self._room.wait()
        self._stats.inc_value("item_scraped_count")
        return item

    def _open(self) -> Writer:
        loop = asyncio.get_running_loop()
        spider: Any = self._crawler.spider
        writer: Writer = spider.ledger.writer(
            on_room=lambda: loop.call_soon_threadsafe(self._room.set),
            on_failure=lambda error: loop.call_soon_threadsafe(self._broken, error),
        )
        writer.start()
        self._writer = writer
        return writer

    def _broken(self, error: Exception) -> None:
        spider: Any = self._crawler.spider
        unavailable = isinstance(error, DatabaseUnavailable)
        logger.error("nothing more can be stored: %s", error)
        if spider is not None:
            spider.stop(Reason.DATABASE_UNAVAILABLE if unavailable else Reason.PIPELINE_ERROR)

    async def close_spider(self) -> None:
        """Store what is waiting."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
            self._crawler.stats.set_value("maricopa/store/rows", self._writer.rows)
            self._crawler.stats.set_value("maricopa/store/flushes", self._writer.flushes)
