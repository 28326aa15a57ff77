"""`/metrics` for Prometheus, from a running crawl, on this machine alone; off unless `metrics.port` of
config.yaml says otherwise.

Labels are sources, states and status classes: no parcel, no owner, no token.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from scrapy import Request, Spider, signals
from scrapy.exceptions import NotConfigured
from scrapy.http import Response

from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.crawl.run_record import run_opened
from maricopa_scrapy.database.connect import DatabaseUnavailable
from maricopa_scrapy.ledger.verdict import by_source
from maricopa_scrapy.pace.answer_check import is_refusal
from maricopa_scrapy.pace.slots import SENT_AT, PacedDownloader, PacedSlot
from maricopa_scrapy.pace.throttle import Pace

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from maricopa_scrapy.crawl.run_record import RunLedger

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
# The runs of a job are processes of their own: each takes the first port that is free, of so many.
PORTS = 10
_FIRST_S = 1.0
_LOOK_S = 10.0
_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def serve(registry: CollectorRegistry, port: int) -> tuple[WSGIServer, Thread] | None:
    """Answer on the first free port from `port` on, or on any for 0; None, with one line in the log, when
    there is none.
    """
    last = min(port + PORTS - 1, 65_535) if port else 0
    for candidate in range(port, last + 1):
        try:
            return start_http_server(candidate, HOST, registry)
        except OSError as error:
            reason = error.strerror
    logger.warning(
        "no /metrics: ports %d to %d of %s cannot be had (%s); the crawl goes on without",
        port,
        last,
        HOST,
        reason,
    )
    return None


class Metrics:
    """Counts by Scrapy's signals; what others hold is read when Prometheus asks."""

    def __init__(self, crawler: "Crawler", port: int) -> None:
        self._crawler = crawler
        self._port = port
        self._server: tuple[WSGIServer, Thread] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        by = ("source",)
        self._requests = Counter("maricopa_requests", "Requests sent", by, registry=registry)
        self._refusals = Counter(
            "maricopa_refusals", "Answers that mean too fast: 429 and 503", by, registry=registry
        )
        self._responses = Counter(
            "maricopa_responses", "Answers by class of their status", ("source", "status"), registry=registry
        )
        self._seconds = Histogram(
            "maricopa_response_seconds",
            "Seconds from a request to its answer",
            by,
            registry=registry,
            buckets=_SECONDS,
        )
        self._targets = Gauge(
            "maricopa_targets",
            "Targets of the job by state, as of the last ten seconds",
            ("source", "state"),
            registry=registry,
        )
        self._waiting = Gauge(
            "maricopa_requests_waiting", "Requests that wait for their turn", by, registry=registry
        )
        self._under_way = Gauge(
            "maricopa_requests_under_way",
            "Requests that were sent and are not answered",
            by,
            registry=registry,
        )
        self._allowed = Gauge(
            "maricopa_allowed_rate",
            "Requests per second that this run may send; 0 while the source is held",
            by,
            registry=registry,
        )
        self._unstored = Gauge(
            "maricopa_answers_unstored", "Answers that wait for the database", registry=registry
        )
        self._beat = Gauge(
            "maricopa_last_heartbeat_timestamp_seconds",
            "When the run last beat in the ledger",
            registry=registry,
        )
        self._run = Gauge(
            "maricopa_run_info", "The run that answers", ("spider", "job", "run"), registry=registry
        )
        for handler, signal in (
            (self.spider_opened, signals.spider_opened),
            (self.spider_closed, signals.spider_closed),
            (self._begin, run_opened),
            (self._left, signals.request_left_downloader),
            (self._downloaded, signals.response_downloaded),
        ):
            crawler.signals.connect(handler, signal=signal)

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        port = crawler.settings["MARICOPA_METRICS_PORT"]
        if port in (None, ""):
            raise NotConfigured
        return cls(crawler, int(port))

    def spider_opened(self, spider: Spider) -> None:
        if isinstance(spider, LedgerSpider):
            self._server = serve(self._registry, self._port)
        if self._server is not None:
            logger.info("metrics on http://%s:%d/metrics", HOST, self._server[0].server_port)

    async def spider_closed(self, spider: Spider) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            server, thread = self._server
            # It ends at its next look, half a second later at most.
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()

    def _begin(self, spider: Any) -> None:
        """The run is open: bind what is read when Prometheus asks."""
        if self._server is None:
            return
        ledger: RunLedger = spider.ledger
        pace = self._crawler.get_extension(Pace)
        assert pace is not None
        for source in ledger.run.sources:
            slot = PacedDownloader.of(self._crawler).slot(source)
            for metric in (self._requests, self._refusals, self._seconds):
                metric.labels(source)
            self._waiting.labels(source).set_function(_length_of(slot, "queue"))
            self._under_way.labels(source).set_function(_length_of(slot, "transferring"))
            self._allowed.labels(source).set_function(_rate_of(pace, source))
        self._unstored.set_function(lambda: ledger.backlog)
        self._beat.set_function(lambda: ledger.beat_at)
        self._run.labels(spider.name, str(ledger.run.job_id), str(ledger.run.id)).set(1)
        self._registry.register(_Rows(ledger))
        self._looking = asyncio.ensure_future(self._look(ledger))

    async def _look(self, ledger: "RunLedger") -> None:
        # The first targets are leased before any are counted.
        await asyncio.sleep(_FIRST_S)
        while True:
            begun = time.monotonic()
            try:
                found = await ledger.ask(by_source, ledger.run.job_id)
            except DatabaseUnavailable:
                return  # the run record says so, and ends the run
            for source in ledger.run.sources:
                counts = found.get(source)
                for state in ("pending", "leased", "done", "gone", "dead"):
                    self._targets.labels(source, state).set(getattr(counts, state, 0))
            # Counting a million targets takes its time: no more than a twentieth of the run's.
            await asyncio.sleep(max(_LOOK_S, 20 * (time.monotonic() - begun)))

    def _left(self, request: Request, spider: Spider) -> None:
        if SENT_AT in request.meta:
            self._requests.labels(request.meta["download_slot"]).inc()

    def _downloaded(self, response: Response, request: Request, spider: Spider) -> None:
        if SENT_AT not in request.meta:
            return
        source = request.meta["download_slot"]
        self._responses.labels(source, f"{response.status // 100}xx").inc()
        self._seconds.labels(source).observe(time.monotonic() - request.meta[SENT_AT])
        if is_refusal(response):
            self._refusals.labels(source).inc()


class _Rows(Collector):
    """The writer's own count: a gauge would not do, as it only grows."""

    def __init__(self, ledger: "RunLedger") -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "maricopa_rows_stored",
            "Rows of answers stored, new or known, under the run's own source",
            labels=["source"],
        )
        family.add_metric([self._ledger.run.source], self._ledger.rows)
        yield family


def _length_of(slot: PacedSlot, name: str) -> Callable[[], int]:
    return lambda: len(getattr(slot, name))


def _rate_of(pace: Pace, source: str) -> Callable[[], float]:
    return lambda: pace.allowed(source)
