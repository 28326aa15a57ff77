"""What a run sends and gets: requests, answers, refusals, bytes, and response times as a histogram. Written
with each beat of the run.
"""

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Self

from scrapy import Request, signals
from scrapy.http import Response

from maricopa_scrapy.ledger.response_times import bucket
from maricopa_scrapy.pace.answer_check import is_refusal
from maricopa_scrapy.pace.slots import SENT_AT, PacedDownloader

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

# The rate "now" is that of so many seconds.
_NOW_S = 10.0
# At fast sources, of fewer: a beat must not count through thousands.
_MOST = 2_000


class Traffic:
    """Counts the requests of each source that the run asks; robots.txt is none of them."""

    def __init__(self, crawler: "Crawler") -> None:
        self._sources = {name: _Source() for name in crawler.settings["MARICOPA_MANIFESTS"]}
        self._crawler = crawler
        crawler.signals.connect(self.spider_opened, signal=signals.spider_opened)

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        return cls(crawler)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return by source: `requests`, `answers`, `refusals`, `bytes`, response times by bucket, and
        requests per second now (`rate`).
        """
        return {name: source.snapshot() for name, source in self._sources.items() if source.requests}

    def spider_opened(self) -> None:
        PacedDownloader.of(self._crawler).listeners.append(self._count)

    def _count(self, request: Request, response: Response | None) -> None:
        source = self._sources.get(request.meta.get("download_slot", ""))
        if source is None or SENT_AT not in request.meta:
            return
        now = time.monotonic()
        source.requests += 1
        source.sent.append(now)
        if response is not None:
            source.answered(now - request.meta[SENT_AT], len(response.body), is_refusal(response))


class _Source:
    """The counts of one source."""

    def __init__(self) -> None:
        self.requests = 0
        self.sent: deque[float] = deque(maxlen=_MOST)
        self._answers = self._refusals = self._bytes = 0
        self._times = Counter[int]()
        self._since = time.monotonic()

    def answered(self, seconds: float, size: int, is_refusal: bool) -> None:
        if is_refusal:
            self._refusals += 1
        else:
            self._answers += 1
        self._bytes += size
        self._times[bucket(seconds)] += 1

    def snapshot(self) -> dict[str, Any]:
        now = time.monotonic()
        while self.sent and self.sent[0] < now - _NOW_S:
            self.sent.popleft()
        window = now - self.sent[0] if len(self.sent) == _MOST else min(_NOW_S, now - self._since)
        return {
            "requests": self.requests,
            "answers": self._answers,
            "refusals": self._refusals,
            "bytes": self._bytes,
            "rate": round(len(self.sent) / window, 3) if window > 1.0 else 0.0,
            "times": {str(at): count for at, count in sorted(self._times.items())},
        }
