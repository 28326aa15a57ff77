"""Scrapy's own counts, without a task of the event loop for every answer."""

from typing import TYPE_CHECKING, Self

from scrapy import signals
from scrapy.extensions.corestats import CoreStats

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class Stats(CoreStats):
    """CoreStats, but that the pipeline counts `item_scraped_count`."""

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        stats = super().from_crawler(crawler)
        crawler.signals.disconnect(stats.item_scraped, signal=signals.item_scraped)
        return stats
