"""Redirects of the few requests that follow any: without a Referer, which no request of ours has."""

from typing import TYPE_CHECKING, Self

from scrapy.downloadermiddlewares.redirect import RedirectMiddleware
from scrapy.http import Request, Response

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class Redirects(RedirectMiddleware):
    """Scrapy's, which looks for the RefererMiddleware when the engine starts, and warns of what is meant
    here: that there is none.
    """

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        middleware = cls(crawler.settings)
        middleware.crawler = crawler
        return middleware

    def handle_referer(self, request: Request, response: Response) -> None:
        """Tell the next host nothing of the one before."""
        request.headers.pop("Referer", None)
