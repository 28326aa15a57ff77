"""Scrapy's download handler with bounds that it lacks: on the headers of an answer, and on a proxy that opens
no tunnel.
"""

from typing import TYPE_CHECKING

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.exceptions import DownloadFailedError
from scrapy.http import Request, Response

from maricopa_scrapy.pace.certificates import check_failure
from maricopa_scrapy.pace.scrapy_internals import set_bounds

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class HttpHandler(HTTP11DownloadHandler):
    """For sources that need no browser."""

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        set_bounds(self)

    async def download_request(self, request: Request) -> Response:
        """Fetch. Raises Unverified besides what Scrapy's raises."""
        try:
            return await super().download_request(request)
        except DownloadFailedError as error:
            check_failure(error, request.url)
            raise
