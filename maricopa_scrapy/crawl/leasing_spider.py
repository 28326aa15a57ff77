"""How a spider gets its targets: it leases them from the ledger of its run, of its own source and of those it
serves besides it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Request, signals
from scrapy.http import Response

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl.argument_spider import ArgumentSpider, Ledger, Work
from maricopa_scrapy.crawl.source_connection import connect_to
from maricopa_scrapy.items import Detail, FollowOn, Reason, Target
from maricopa_scrapy.pace.certificates import Unverified
from maricopa_scrapy.pace.scrapy_internals import close_soon, is_idle
from maricopa_scrapy.pace.slots import PacedDownloader

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from maricopa_scrapy.database.targets import Run
    from maricopa_scrapy.ledger.ledger import Lease
    from maricopa_scrapy.pace.throttle import Pace

# Seconds between two looks at the ledger while the last targets are under way: at first, and at least soon
# after.
_POLL_FIRST_S = 0.03
_POLL_S = 0.25
_POLL_MOST_S = 3.0
_IN_FLIGHT = "maricopa_in_flight"


class LeasingSpider(ArgumentSpider):
    """Leases targets, and hands the request of each to the engine. Its subclass says what is asked, and reads
    the answers.
    """

    source: ClassVar[str]
    # Kind of target: what it says besides its key, where it says more.
    details: ClassVar[dict[str, type[Detail]]] = {}
    needed_paths: ClassVar[tuple[str, ...]] = ()
    # Spiders whose sources this one serves besides its own, in jobs whose parameter `sources` names them.
    also: ClassVar[tuple[type["LeasingSpider"], ...]] = ()

    manifest: Manifest
    base_url: str
    headers: dict[str, str]
    is_sandbox: bool
    assigned: Work
    ledger: Ledger
    pace: "Pace"
    # How the job is carried out (crawl.job.execution); known when the run opens.
    execution = "parallel"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopping: str | None = None
        self.parameters: dict[str, Any] = {}
        # The spider whose run this is, and all that lease targets in it: one for each source.
        self._lead: LeasingSpider = self
        self._co_spiders: list[LeasingSpider] = [self]
        # Limits the requests of one source that are in flight, so that a held source keeps no room from the
        # others.
        self._in_flight: asyncio.Semaphore | None = None

    @classmethod
    def opening(cls) -> Iterable[FollowOn]:
        """Return what is asked first in a job whose targets of this source others find."""
        return ()

    @classmethod
    def connection(cls, settings: Any) -> tuple[Manifest, str, dict[str, str]]:
        """Return the source's manifest, its address and the headers it wants. Raises StartError."""
        return connect_to(cls.source, cls.needed_paths, settings)

    @classmethod
    def reader(cls, manifests: Mapping[str, Manifest]) -> Self:
        """Return a spider of which only the `handlers` can be used: it has no crawler, no host, no ledger.
        Raises StartError.
        """
        spider = cls(name=cls.name or cls.source)
        spider.manifest, spider.base_url, spider.headers, spider.is_sandbox = (
            manifests[cls.source],
            "",
            {},
            False,
        )
        return spider

    @classmethod
    def take_up(cls, cursor: "Cursor", run: "Run") -> None:
        """Prepare the ledger for a run that opens; called in a transaction of its own, by the thread that
        may.
        """

    def begin(self, run: "Run") -> None:
        """Take up a run: what its job was asked for, and the other sources that it serves. Raises
        StartError.
        """
        self.parameters, self.execution = run.parameters, run.execution
        self.downloader.listeners.append(self._glance)
        for spider in self.also:
            if spider.source in run.also:
                self._co_spiders.append(spider.for_co_source(self, run))
        if len(self._co_spiders) > 1:
            for one in self._co_spiders:
                one._in_flight = asyncio.Semaphore(one.manifest.concurrency + 2)

    def serves(self, source: str) -> bool:
        """Whether this run leases the targets of a source."""
        return any(spider.source == source for spider in self._lead._co_spiders)

    @classmethod
    def for_co_source(cls, lead: "LeasingSpider", run: "Run") -> Self:
        """Return a spider that serves its own source in the run of another. Raises StartError."""
        spider = cls(name=cls.name or lead.name)
        spider.crawler, spider.settings = lead.crawler, lead.settings
        spider.manifest, spider.base_url, spider.headers = cls.connection(lead.settings)
        spider.is_sandbox, spider.ledger, spider.pace, spider._lead = (
            lead.is_sandbox,
            lead.ledger,
            lead.pace,
            lead,
        )
        spider.begin(run)
        return spider

    def request(self, target: Target) -> Request:
        """Return the request that answers the target."""
        raise NotImplementedError

    async def start(self) -> AsyncIterator[Request]:
        """Lease targets as the engine has room for them, until none of the job's is open."""
        try:
            async for request in self._requests() if len(self._co_spiders) == 1 else self._merged():
                yield request
        except asyncio.CancelledError:
            # Ctrl-C: the engine would wait for what waits in the slot, for as long as that is held, and for
            # locks of others.
            self.ledger.hurry()
            self.downloader.drop_waiting()
            raise

    async def _merged(self) -> AsyncIterator[Request]:
        """Yield the requests of all sources, each as it comes."""
        waiting: asyncio.Queue[Request] = asyncio.Queue(1)

        async def feed(spider: LeasingSpider) -> None:
            async for request in spider._requests():
                await waiting.put(request)

        feeds = asyncio.gather(*map(feed, self._co_spiders))
        try:
            while not feeds.done() or not waiting.empty():
                found = asyncio.ensure_future(waiting.get())
                await asyncio.wait((found, feeds), return_when=asyncio.FIRST_COMPLETED)
                if found.done():
                    yield found.result()
                else:
                    found.cancel()
            feeds.result()
        finally:
            feeds.cancel()

    async def _requests(self) -> AsyncIterator[Request]:
        upcoming = self._lease_soon()
        pause = _POLL_FIRST_S
        while True:
            leased = await upcoming
            if leased.targets:
                upcoming = self._lease_soon()
                pause = _POLL_FIRST_S
                for target in leased.targets:
                    request = self.request(target)
                    if self._in_flight:
                        await self._in_flight.acquire()
                        request.meta[_IN_FLIGHT] = True
                    yield request
                    while not self._in_flight and self.crawler.engine.needs_backout():
                        await self.crawler.signals.wait_for(signals.scheduler_empty)
                continue
            if leased.wait is None or self._lead.stopping:
                return
            self.ledger.flush()
            if leased.wait == 0 and self._is_idle():
                # Leased by this run, and not in its hands: the answer to a lease was lost.
                await self.ledger.give_back(self.source)
            await asyncio.sleep(min(max(leased.wait, pause), _POLL_MOST_S))
            pause = min(2 * pause, _POLL_S)
            upcoming = self._lease_soon()

    def _is_idle(self) -> bool:
        return is_idle(self.crawler.engine) and not self.ledger.backlog

    def _glance(self, request: Request, response: Response | None) -> None:
        # Scrapy sends the slot's next request between this and the callback.
        if response is not None and response.status == 401 and response.url.startswith(self.base_url):
            self.stop(Reason.UNAUTHORIZED)

    def _lease_soon(self) -> "asyncio.Future[Lease]":
        rate = 1 / self.downloader.slot(self.source).delay
        # About a second of work, and another in advance: other runs of the job find some too.
        limit = max(2 * self.manifest.concurrency, min(250, int(rate)))
        return asyncio.ensure_future(self.ledger.lease(limit, self.source, self.details))

    def _leave(self, request: Request | None) -> None:
        if self._in_flight and request and request.meta.pop(_IN_FLIGHT, None):
            self._in_flight.release()

    def distrust(self, why: Unverified) -> None:
        """End the run because of a certificate, which is no target's fault, and would be that of all."""
        if not self._lead.stopping:
            self.logger.error("%s", why)
        self.stop(Reason.UNVERIFIED)

    def stop(self, reason: str, patience: float | None = None) -> None:
        """End the run at once: what waits in the slot is not sent, what is under way is awaited, for
        `patience` seconds at most.
        """
        engine = self.crawler.engine
        if self._lead is not self:
            self._lead.stop(reason)
            return
        if self.stopping:
            return
        self.stopping = reason
        engine.pause()
        self.downloader.drop_waiting()
        if patience is not None:
            asyncio.get_running_loop().call_later(patience, self.downloader.drop_under_way)
        close_soon(engine, reason)

    @property
    def downloader(self) -> PacedDownloader:
        """The engine's downloader, which knows our slots."""
        return PacedDownloader.of(self.crawler)
