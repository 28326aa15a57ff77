"""All that reaches into the private or undocumented parts of Scrapy and Twisted; read in Scrapy 2.18 and
2.19, Twisted 26.

A new release of Scrapy is held against this file, and against tests/crawl/test_scrapy_internals.py, which has
a test for each part. No other module uses a name of Scrapy that begins with an underscore
(tests/test_structure.py). These rely on names without one that Scrapy does not document, and are tested there
too:

- pace/slots.py: `Slot` of the downloader (`queue`, `transferring`, `lastseen`, `latercall`,
  `free_transfer_slots`, `download_delay`), and the downloader's `slots` and `per_slot_settings`
- pace/robots.py: `RobotsTxtMiddleware.robot_parser`
- crawl/scrapy_stats.py: `CoreStats.item_scraped`
- sources/recorder/scans.py: `FSFilesStore` (`basedir`, `created_directories`), `FilesPipeline.expires`

What reaches into scrapy-playwright and Playwright is in browser/playwright_internals.py.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from scrapy import Request, signals
from scrapy.commands import BaseRunSpiderCommand
from scrapy.core.downloader import Downloader, Slot
from scrapy.core.downloader.handlers import http11
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler, TunnelError
from scrapy.core.engine import ExecutionEngine
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.exceptions import DownloadCancelledError
from scrapy.extensions.throttle import AutoThrottle
from scrapy.pipelines.media import MediaPipeline
from scrapy.spiders import Spider
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.internet.defer import Deferred

# Bytes of status and headers, those of interim answers (1xx) too, without what came in one piece with their
# end. Servers and proxies in common use send at most 8 to 64 kB.
HEAD_MOST = 128 * 1024
_IN_HEAD = ("STATUS", "HEADER")
_HEAD_END = b"\r\n\r\n"
# The loop itself holds its tasks only weakly.
_closings: set[asyncio.Task[None]] = set()


# --- the engine ---


def is_closing(engine: ExecutionEngine) -> bool:
    """Whether the engine closes its spider. Relies on `_slot`, None before the spider opens, and its
    `closing`, None until it closes.
    """
    run = engine._slot
    return run is not None and run.closing is not None


def is_idle(engine: ExecutionEngine) -> bool:
    """Whether no request waits or is under way, and no answer is read or in a pipeline.

    Relies on `downloader.active`, on `scraper.slot` with `is_idle()`, and on `_slot.scheduler`:
    `engine.scheduler` came with 2.19.
    """
    scraper, run = engine.scraper.slot, engine._slot
    return not (
        engine.downloader.active
        or (scraper and not scraper.is_idle())
        or (run and run.scheduler.has_pending_requests())
    )


def close_soon(engine: ExecutionEngine, reason: str) -> None:
    """Have the engine close its spider, without waiting for it.

    Relies on `close_spider_async`, which may be called again while it closes. CloseSpider ends nothing where
    a middleware raises it.
    """
    closing = asyncio.ensure_future(engine.close_spider_async(reason=reason))
    _closings.add(closing)
    closing.add_done_callback(_closings.discard)


def end_idle_scraper(engine: ExecutionEngine, spider: Spider) -> None:
    """Let a spider close that waits for its scraper, when nothing is left in there.

    Scrapy looks only when a response has been read, not when an item of start() has ended. Relies on
    `scraper.slot`, whose `closing` is the Deferred that the engine waits for.
    """
    slot = engine.scraper.slot
    if slot is not None and slot.closing is not None and not slot.closing.called and slot.is_idle():
        slot.closing.callback(spider)


# --- the downloader ---


class OpenDownloader(Downloader):
    """Scrapy's downloader, whose private steps a subclass finds under public names.

    Relies on: `_process_queue(slot)` is called whenever a slot may send, and sends what is due;
    `_wait_for_download(slot, request, deferred)` runs as a task of its own for each request that is sent, and
    answers by the Deferred; `_slot_gc` drops slots that were idle for a minute; the handlers are asked by
    their `download_request_async`.
    """

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler)
        self._sent: set[asyncio.Task[None]] = set()
        self._ask_handlers = self.handlers.download_request_async
        self.handlers.download_request_async = self.ask  # type: ignore[method-assign]

    async def ask(self, request: Request) -> "Response":
        """Have a request fetched by its handler."""
        return await self._ask_handlers(request)

    def may_send(self) -> bool:
        """Whether anything may be sent now; called each time that something could be."""
        return True

    def is_kept(self, slot: Slot) -> bool:
        """Whether a slot stays when nothing is asked for a minute."""
        raise NotImplementedError

    def why_dropped(self) -> Exception:
        """Return what a request that is not awaited any more fails with."""
        raise NotImplementedError

    def send_due(self, slot: Slot) -> None:
        """Send what is due in a slot, unless it is looked at later anyhow."""
        self._process_queue(slot)

    def drop_under_way(self) -> None:
        """Await nothing of what was sent."""
        for task in list(self._sent):
            task.cancel()

    def _process_queue(self, slot: Slot) -> None:
        if self.may_send():
            super()._process_queue(slot)

    async def _wait_for_download(self, slot: Slot, request: Request, queue_dfd: "Deferred[Response]") -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sent.add(task)
        try:
            await super()._wait_for_download(slot, request, queue_dfd)
        except asyncio.CancelledError:
            queue_dfd.errback(self.why_dropped())
        finally:
            self._sent.discard(task)

    def _slot_gc(self, age: float = 60) -> None:
        kept = {name: slot for name, slot in self.slots.items() if self.is_kept(slot)}
        for name in kept:
            del self.slots[name]
        super()._slot_gc(age)
        self.slots.update(kept)


class BareThrottle(AutoThrottle):
    """AutoThrottle that adjusts no slot by itself. Relies on its `_response_downloaded`, which it connects
    when it is made.
    """

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        crawler.signals.disconnect(self._response_downloaded, signal=signals.response_downloaded)


# --- proxies and connections ---


class OpenHttpProxyMiddleware(HttpProxyMiddleware):
    """Scrapy's, but that a subclass may read a proxy's name otherwise. Relies on `_get_proxy(url, scheme)`,
    called for each name.
    """

    def address(self, url: str) -> str:
        """Return the address that a proxy's name stands for."""
        return url

    def _get_proxy(self, url: str, orig_type: str) -> Any:
        return super()._get_proxy(self.address(url), orig_type)


def set_bounds(handler: HTTP11DownloadHandler) -> None:
    """Have a handler cut each connection on which the headers of an answer are longer than HEAD_MOST.

    The download then fails because of a DownloadCancelledError, as for a body that is too big. Tunnels are
    bound for all handlers. Relies on the handler's `_pool`, Twisted's, whose `_factory` makes the protocol of
    each connection, and on that one's `_parser` (its `state` is STATUS or HEADER until the headers have
    ended) and `_giveUp`; and on `_TunnelingTCP4ClientEndpoint`, by its name.
    """
    factory: type[Any] = handler._pool._factory

    class Factory(factory):  # type: ignore[misc]
        def buildProtocol(self, addr: Any) -> Any:
            return _bounded(super().buildProtocol(addr))

    handler._pool._factory = Factory
    http11._TunnelingTCP4ClientEndpoint = _Tunnel  # type: ignore[misc]


def _bounded(protocol: Any) -> Any:
    receive = protocol.dataReceived
    length = 0

    def received(data: bytes) -> None:
        nonlocal length
        receive(data)
        parser = protocol._parser
        if parser is None or parser.state not in _IN_HEAD:
            length = 0
            return
        length += len(data)
        if length > HEAD_MOST:
            # As the protocol does with what it cannot parse; but a sender without end is not waited for.
            protocol._giveUp(Failure(DownloadCancelledError(f"headers of more than {HEAD_MOST:,} bytes")))  # type: ignore[no-untyped-call]
            protocol.transport.abortConnection()

    protocol.dataReceived = received
    return protocol


class _Tunnel(http11._TunnelingTCP4ClientEndpoint):
    """Fails at once where the proxy closes the connection or sends headers without end, and leaves none open
    that came to nothing.
    """

    def connect(self, protocolFactory: Any) -> Any:
        """Connect to the proxy, and through it."""
        return super().connect(protocolFactory).addErrback(self._close)

    def requestTunnel(self, protocol: Any) -> Any:
        """Ask the proxy for a tunnel."""
        lost = protocol.connectionLost

        def connection_lost(reason: Any) -> None:
            self._fail("it closed the connection")
            lost(reason)

        protocol.connectionLost = connection_lost
        return super().requestTunnel(protocol)

    def processProxyResponse(self, data: bytes) -> None:
        """Take what the proxy answers."""
        if len(self._connectBuffer) + len(data) > HEAD_MOST:
            self._fail(f"it sent headers of more than {HEAD_MOST:,} bytes")
        else:
            super().processProxyResponse(data)

    def _fail(self, why: str) -> None:
        if not self._tunnelReadyDeferred.called:
            self._tunnelReadyDeferred.errback(
                TunnelError(f"Could not open CONNECT tunnel with proxy {self._host}:{self._port} [{why}]")
            )

    def _close(self, failure: Failure) -> Failure:
        protocol: Any = getattr(self, "_protocol", None)
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abortConnection()
        return failure


# --- commands and pipelines ---


def crawler_of(command: BaseRunSpiderCommand, name: str) -> "Crawler":
    """Return the crawler of a command's spider, as `scrapy crawl` makes it: it also warns of `-o` where
    nothing is exported.

    Relies on the command's `_create_crawler(name)`.
    """
    return command._create_crawler(name)


def forget_media(info: MediaPipeline.SpiderInfo) -> None:
    """Have a pipeline fetch everything anew that is asked for again. Relies on `downloaded`, which it answers
    from.
    """
    info.downloaded.clear()
