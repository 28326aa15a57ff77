"""What a run sends and gets: requests, answers, refusals, bytes, and response times as a histogram. Written with each beat of the run."""

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Self

from scrapy import Request, Spider, signals
from scrapy.http import Response

from maricopa_scrapy.download.pace import refusal_of
from maricopa_scrapy.download.slots import SENT_AT
from maricopa_scrapy.store.histogram import bucket

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

# The rate "now" is that of so many seconds.
_NOW_S = 10.0
# At fast sources, of fewer: a beat must not count through thousands.
_MOST = 2_000


class Traffic:
    """Counts the requests of the spider's own source; robots.txt is none of them."""

    def __init__(self, crawler: "Crawler") -> None:
        self._source = ""
        self._counts = Counter[str]()
        self._times = Counter[int]()
        self._sent: deque[float] = deque(maxlen=_MOST)
        self._since = time.monotonic()
        for handler, signal in (
            (self._opened, signals.spider_opened), (self._downloaded, signals.response_downloaded),
            (self._left, signals.request_left_downloader),
        ):  # fmt: skip
            crawler.signals.connect(handler, signal=signal)

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        return cls(crawler)

    def snapshot(self) -> dict[str, Any]:
        """Return the counts: `requests`, `answers`, `refusals`, `bytes`, seconds waited, times by bucket, and requests per second now."""
        now = time.monotonic()
        while self._sent and self._sent[0] < now - _NOW_S:
            self._sent.popleft()
        window = min(_NOW_S, now - self._since)
        if len(self._sent) == _MOST:
            window = now - self._sent[0]
        rate = len(self._sent) / window if window > 1.0 else 0.0
        waited = self._counts["waited_ms"] / 1000
        plain = {name: self._counts[name] for name in ("requests", "answers", "refusals", "bytes")}
        return plain | {"waited": round(waited, 3), "rate": round(rate, 3), "times": {str(at): n for at, n in sorted(self._times.items())}}

    def _opened(self, spider: Spider) -> None:
        self._source = getattr(spider, "source", "")
        self._since = time.monotonic()

    def _left(self, request: Request, spider: Spider) -> None:
        if request.meta.get("download_slot") == self._source and SENT_AT in request.meta:
            self._counts["requests"] += 1
            self._sent.append(time.monotonic())

    def _downloaded(self, response: Response, request: Request, spider: Spider) -> None:
        if request.meta.get("download_slot") != self._source or SENT_AT not in request.meta:
            return
        waited = time.monotonic() - request.meta[SENT_AT]
        self._counts["refusals" if refusal_of(response) else "answers"] += 1
        self._counts["bytes"] += len(response.body)
        self._counts["waited_ms"] += round(waited * 1000)
        self._times[bucket(waited)] += 1
