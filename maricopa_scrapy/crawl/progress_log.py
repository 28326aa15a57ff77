"""A line about the run every ten seconds: what is done of what, the rate now, and when it may end."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Self

from scrapy import Spider, signals

from maricopa_scrapy.crawl.run_record import run_opened
from maricopa_scrapy.database.connect import DatabaseUnavailable

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

_FIRST_S = 1.0
_EVERY_S = 10.0


class Progress:
    """Logs the ledger's own counts, so that what it says is what is stored."""

    def __init__(self, crawler: "Crawler") -> None:
        self._crawler = crawler
        self._task: asyncio.Task[None] | None = None
        crawler.signals.connect(self._begin, signal=run_opened)
        crawler.signals.connect(self.spider_closed, signal=signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        return cls(crawler)

    def _begin(self, spider: Spider) -> None:
        self._task = asyncio.ensure_future(self._report(spider))

    def spider_closed(self, spider: Spider) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _report(self, spider: Any) -> None:
        before: int | None = None
        then = time.monotonic()
        # The first targets are leased before any are counted.
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                counts = await spider.ledger.counts()
            except DatabaseUnavailable:
                return  # the run record says so, and ends the run
            final, now = counts.total - counts.open, time.monotonic()
            if before is not None:
                rate = (final - before) / (now - then)
                logger.info(
                    "%s: %d of %d (%d gone, %d dead), %.1f/s, %s",
                    spider.name,
                    final,
                    counts.total,
                    counts.gone,
                    counts.dead,
                    rate,
                    _remaining(counts.open, rate),
                )
            before, then = final, now
            await asyncio.sleep(_EVERY_S)


def _remaining(left: int, rate: float) -> str:
    if not rate:
        return "no end in sight"
    minutes, seconds = divmod(round(left / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes} min left" if hours else f"about {minutes} min {seconds} s left"
