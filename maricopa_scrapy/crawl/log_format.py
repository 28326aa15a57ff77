"""What Scrapy says of each response and item: nothing, unless its DEBUG lines are asked for. Whatever is said
is visible.
"""

import logging
from typing import TYPE_CHECKING, Any, Self

from scrapy import signals
from scrapy.logformatter import LogFormatter

from maricopa_scrapy.machine.safe_text import VisibleFormatter

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class QuietLogFormatter(LogFormatter):
    """Scrapy's own makes a record for each line, and only its handlers drop those below LOG_LEVEL."""

    def __init__(self, is_debug: bool) -> None:
        self._is_debug = is_debug

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        # Scrapy makes its handler anew after this, and before the spider opens.
        crawler.signals.connect(_make_visible, signal=signals.spider_opened)
        level = crawler.settings["LOG_LEVEL"]
        return cls((level if isinstance(level, int) else logging.getLevelName(level)) <= logging.DEBUG)

    def crawled(self, *args: Any, **kwargs: Any) -> Any:
        """A line a response."""
        return super().crawled(*args, **kwargs) if self._is_debug else None

    def scraped(self, *args: Any, **kwargs: Any) -> Any:
        """A line an item."""
        return super().scraped(*args, **kwargs) if self._is_debug else None


def _make_visible() -> None:
    """Of Scrapy's own handler, and of those that a program of the user's has."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, VisibleFormatter):
            handler.setFormatter(VisibleFormatter(handler.formatter))
