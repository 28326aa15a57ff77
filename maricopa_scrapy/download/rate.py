"""The pace of each source: an AutoThrottle that adapts a rate to refusals instead of a delay to latency.

Nothing sleeps: the download slot of the source is told when its next request may go.
"""

import email.utils
import time
from typing import TYPE_CHECKING, Any

from scrapy.extensions.throttle import AutoThrottle
from scrapy.http import Request, Response
from scrapy.spiders import Spider

from maricopa_scrapy.settings_files import Config, Manifest

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_GROWTH = 1.05
_CUT = 0.7
_HOLD_S = 5.0
_HOLD_MOST_S = 300.0


class AdaptiveRate:
    """Requests per second for one source, between a floor and a ceiling.

    Grows with every answer, is cut once per congestion event, and holds the source while it refuses.
    """

    def __init__(self, start: float, floor: float, ceiling: float) -> None:
        self.floor = min(floor, ceiling)
        self.ceiling = ceiling
        self.current = min(start, ceiling)
        self._holds = 0
        self._cut_at = float("-inf")

    @property
    def delay(self) -> float:
        """Seconds between two requests."""
        return 1 / self.current

    def answered(self) -> None:
        """The source answered."""
        self._holds = 0
        self.current = min(self.ceiling, self.current * _GROWTH)

    def refused(self, now: float, sent_at: float, retry_after: float | None) -> float:
        """The source refused a request that was sent at `sent_at` (monotonic seconds); returns seconds to hold it."""
        if sent_at >= self._cut_at:
            self._cut_at = now
            self._holds += 1
            self.current = max(self.floor, self.current * _CUT)
        hold = retry_after if retry_after is not None else _HOLD_S * 2 ** (self._holds - 1)
        return min(max(hold, self.delay), _HOLD_MOST_S)


class Pace(AutoThrottle):
    """Scrapy's AutoThrottle with `AdaptiveRate` in place of its formula, for slots that are sources."""

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        self.rates = rates_of(crawler.settings)
        self._held_until: dict[str, float] = {}

    def _spider_opened(self, spider: Spider) -> None:
        super()._spider_opened(spider)
        for name, rate in self.rates.items():
            self._remember(name, rate)

    def _remember(self, name: str, rate: AdaptiveRate) -> None:
        # Scrapy drops a slot that is idle for 60 s, and makes the next one from these settings.
        self.crawler.engine.downloader.per_slot_settings[name]["delay"] = rate.delay

    def _response_downloaded(self, response: Response, request: Request, spider: Spider) -> None:
        source, slot = self._get_slot(request, spider)
        rate = self.rates.get(source or "")
        if source is None or rate is None or slot is None:
            return
        if refusal_of(response):
            self.crawler.stats.inc_value(f"maricopa/pace/refused/{source}")
            now = time.monotonic()
            sent_at = now - float(request.meta.get("download_latency", 0.0))
            hold = rate.refused(now, sent_at, retry_after(response))
            self._held_until[source] = max(self._held_until.get(source, 0.0), now + hold)
        elif response.status < 300 or response.status == 404:
            rate.answered()
        slot.delay = rate.delay
        if source in self._held_until:
            # The slot's next request goes at lastseen + delay, less its jitter.
            slot.lastseen = max(slot.lastseen, self._held_until[source] - slot.delay * (1 - slot.jitter))
        self._remember(source, rate)


def rates_of(settings: Any) -> dict[str, AdaptiveRate]:
    """Return the rate of every source: its manifest's start and floor, below the user's ceiling."""
    config: Config = settings["MARICOPA_CONFIG"]
    manifests: dict[str, Manifest] = settings["MARICOPA_MANIFESTS"]
    lifted = settings.getfloat("MARICOPA_RATE_LIMIT")
    rates = {}
    for name, manifest in manifests.items():
        ceiling = lifted or config.batch_processing.api_rate_limit
        rates[name] = AdaptiveRate(lifted or manifest.rate.start, manifest.rate.floor, ceiling)
    return rates


def refusal_of(response: Response) -> bool:
    """Tell whether the answer means "too fast": 429, or 503 with a Retry-After."""
    return response.status == 429 or (response.status == 503 and b"Retry-After" in response.headers)


def retry_after(response: Response) -> float | None:
    """Return the seconds of a Retry-After header, at most 300, given as seconds or as a date; None without a usable one."""
    value = (response.headers.get(b"Retry-After") or b"").decode("latin-1").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _HOLD_MOST_S)
    try:
        due = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(0.0, due - time.time()), _HOLD_MOST_S)
