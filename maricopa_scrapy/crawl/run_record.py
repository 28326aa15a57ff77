"""The run record: a run is written when the spider opens, beats while it lives, and is judged by the ledger
at its end.
"""

import asyncio
import gc
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from psycopg2.extensions import cursor as Cursor
from scrapy import Spider, signals
from scrapy.exceptions import CloseSpider

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.configuration import Config
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, StartError, Work
from maricopa_scrapy.crawl.traffic import Traffic
from maricopa_scrapy.database.connect import DatabaseUnavailable, Session, database_url, migrate
from maricopa_scrapy.database.store_and_acknowledge import take_turns
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.database.writer import Writer, WriterOptions
from maricopa_scrapy.items import Detail, Floor, FollowOn, Reason
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.ledger import source_state as source
from maricopa_scrapy.ledger.ledger import Lease, LedgerError, RunLost
from maricopa_scrapy.ledger.lost_runs import SILENCE_S
from maricopa_scrapy.ledger.source_state import Step
from maricopa_scrapy.ledger.verdict import Counts
from maricopa_scrapy.pace.scrapy_internals import end_idle_scraper
from maricopa_scrapy.pace.throttle import Pace

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Scrapy signal: the run is open, before the first target is leased. Its handlers get `spider`.
run_opened = object()

_SOON_S = 0.1
# So long the beat waits for a question that is asked of the ledger before it.
_BUSY_S = 1.0
# For so long a run that ends tries to say so while somebody holds a lock of the ledger; else its leases go
# back by themselves.
_LOCKED_S = 3.0
_BEAT_EVERY = round(ledger.HEARTBEAT_S / ledger.GLANCE_S)
_REASON_OF_REQUEST = {"pause": Reason.PAUSED, "cancel": Reason.CANCELLED}
# Seconds that a run which is to pause waits for answers under way; what comes later is asked for again.
_PATIENCE_S = 1.0


def open_work(session: Session, work: Work, is_sandbox: bool) -> int:
    """Write the job of a spider's work, unless it goes on with one; returns the job's id."""
    if work.job_id is not None:
        return work.job_id
    if work.apns is None:
        job_id, _ = ledger.open_job(
            session, work.type, work.targets, work.parameters, work.mode, work.priority, is_sandbox
        )
        return job_id
    apns = work.apns
    job_id, accepted = ledger.open_job(
        session,
        type_=work.type,
        targets=_as_urgent(apns, work),
        parameters=work.parameters,
        mode=work.mode,
        priority=work.priority,
        is_sandbox=is_sandbox,
        also=lambda cursor, job_id: ledger.add_parameters(cursor, job_id, apns.told),
    )
    accepted = accepted if apns.distinct is None else apns.distinct
    for note in apns.notes:
        logger.info("%s: %s", apns.path, note)
    logger.info(
        "job %d: %d %s (%d given, %d duplicates, %d lines skipped)",
        job_id,
        accepted,
        apns.kind.things,
        apns.given,
        apns.given - accepted,
        apns.left_out,
    )
    for line in apns.skipped:
        logger.warning("skipped, as it holds no %s: %s", apns.kind.what, line)
    if apns.left_out > len(apns.skipped):
        logger.warning("skipped: %d more lines", apns.left_out - len(apns.skipped))
    return job_id


def _as_urgent(apns: ApnList, work: Work) -> Iterator[FollowOn]:
    """Yield the targets, each as urgent as the list says."""
    for target in work.targets:
        urgent = apns.priorities.get(target.key)
        yield target if urgent is None else replace(target, priority=urgent)


class RunLedger:
    """The ledger as the reactor sees it: every call is made in one thread, in order, but for a beat that
    would have to wait.
    """

    def __init__(self, url: str, options: WriterOptions, spider: LedgerSpider) -> None:
        self._spider = spider
        self._url = url
        self._options = options
        self._session = Session(url, options.patience, self._trouble("the ledger"))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._writer: Writer | None = None
        self._closed = False
        self.run: Run
        # Seconds since 1970 at which the ledger last heard of the run; and the same by the monotonic clock.
        self.beat_at = 0.0
        self._heard_at = 0.0

    def _trouble(self, whose: str) -> Callable[[bool], None]:
        """Return what a session calls when the database is waited for, and when it is back: what would come
        has no place meanwhile.
        """
        loop = asyncio.get_running_loop()

        def tell(is_in_trouble: bool) -> None:
            downloader = self._spider.downloader
            loop.call_soon_threadsafe(downloader.hold if is_in_trouble else downloader.let_go, whose)

        return tell

    def is_stale(self) -> bool:
        """Whether the ledger has not heard of the run for so long that others may have taken it for lost."""
        return time.monotonic() - self._heard_at > SILENCE_S

    def _heard(self) -> None:
        self.beat_at, self._heard_at = time.time(), time.monotonic()

    def lost(self, error: RunLost) -> None:
        """End the run, which is not its own any more."""
        if not self._spider.stopping:
            logger.error("%s", error)
        self.hurry()
        self._spider.stop(Reason.LOST)

    async def _do(self, work: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: work(self._session, *args)
            )
        except DatabaseUnavailable:
            self._session.patience = self._session.lock_patience = 0  # it was waited for once
            raise

    async def _at_once(self, work: Callable[..., T], *args: Any) -> T:
        """As `_do`; while the thread is at a long question, by a thread and a connection for this alone."""
        asked = self._thread.submit(lambda: work(self._session, *args))
        answer = asyncio.wrap_future(asked)
        done, _ = await asyncio.wait({answer}, timeout=_BUSY_S)
        if not done and asked.cancel():
            return await asyncio.to_thread(self._apart, work, *args)
        return await answer

    def _apart(self, work: Callable[..., T], *args: Any) -> T:
        session = Session(self._url, self._session.patience)
        try:
            return work(session, *args)
        finally:
            session.close()

    async def open(self, spider: LedgerSpider) -> None:
        def opened(session: Session) -> Run:
            migrate(self._url)
            # Without patience: a list can be read only once.
            hasty = Session(self._url)
            job_id = open_work(hasty, spider.assigned, spider.is_sandbox)
            hasty.close()
            planned = getattr(spider, "_planned", None)
            number = None if planned is None else spider_arguments.number("_planned", planned)
            also = [spider.source for spider in spider.servable()]
            run = ledger.open_run(
                session, job_id, spider.name, spider.source, spider.is_sandbox, number, also
            )

            def take_up(cursor: Cursor) -> None:
                # In turn with what other runs of the job store: one that ends meanwhile is seen before or
                # after its end.
                take_turns(cursor, {run.source})
                spider.take_up(cursor, run)

            session.transact(take_up)
            return run

        self.run = await self._do(opened)
        self._heard()
        self._spider.downloader.is_stale = self.is_stale

    async def ask(self, question: Callable[..., T], *args: Any) -> T:
        """Return what a function of the store says: it is given the session, and `args`.

        Raises DatabaseUnavailable; the run ends then.
        """
        try:
            return await self._do(question, *args)
        except DatabaseUnavailable as error:
            logger.error("%s", error)
            self._spider.stop(Reason.DATABASE_UNAVAILABLE)
            raise

    async def lease(self, limit: int, source: str, details: Mapping[str, type[Detail]]) -> Lease:
        if self._closed:
            return Lease([])
        try:
            return await self._do(ledger.lease, self.run, limit, source, details)
        except DatabaseUnavailable as error:
            logger.error("%s", error)
            self._spider.stop(Reason.DATABASE_UNAVAILABLE)
        except RunLost as error:
            self.lost(error)
        return Lease([])

    async def give_back(self, source: str) -> None:
        await self._do(ledger.give_back, self.run, source)

    @property
    def backlog(self) -> int:
        return self._writer.backlog if self._writer is not None else 0

    @property
    def rows(self) -> int:
        return self._writer.rows if self._writer is not None else 0

    async def heartbeat(self, traffic: dict[str, Any]) -> None:
        await self._at_once(ledger.heartbeat, self.run, traffic)
        self._heard()
        self._spider.downloader.let_go("silence")

    async def requested_state(self) -> str:
        return await self._at_once(ledger.requested_state, self.run.job_id)

    async def exchange(self, name: str, wants: bool, step: Step[T]) -> T:
        return await self._do(source.exchange, self.run, name, wants, step)

    async def counts(self) -> Counts:
        return await self._do(ledger.counts, self.run.job_id, self.run.sources)

    async def close(
        self, reason: str, stats: dict[str, Any], traffic: dict[str, Any], floors: Sequence[Floor]
    ) -> tuple[str, Counts]:
        self._closed = True
        try:
            return await self._do(ledger.close_run, self.run, reason, stats, traffic, floors)
        finally:
            await self._do(Session.close)
            self._thread.shutdown(wait=False)

    def writer(self, on_room: Callable[[], None], on_failure: Callable[[Exception], None]) -> Writer:
        self._writer = Writer(
            self._url, self.run, self._options, on_room, on_failure, self._trouble("the writer")
        )
        return self._writer

    def hurry(self) -> None:
        """Wait hardly any more for locks that others hold: the run ends."""
        self._session.lock_patience = min(self._session.lock_patience, _LOCKED_S)
        if self._writer is not None:
            self._writer.hurry()

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()


class RunRecord:
    """Opens the run with the spider and closes it with the ledger's verdict."""

    def __init__(self, crawler: "Crawler") -> None:
        self._crawler = crawler
        self._beating: asyncio.Task[None] | None = None
        self._ledger: RunLedger | None = None
        self._floors: Sequence[Floor] = ()
        self._traffic: Traffic
        crawler.signals.connect(self.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(self.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(self.broken, signal=signals.item_error)
        crawler.signals.connect(self.broken, signal=signals.spider_error)

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        return cls(crawler)

    async def spider_opened(self, spider: Spider) -> None:
        if not isinstance(spider, LedgerSpider):
            return
        config: Config = self._crawler.settings["MARICOPA_CONFIG"]
        options = WriterOptions(
            batch_size=min(config.writer.batch_size, spider.batch_most),
            flush_interval=config.writer.flush_interval,
            patience=config.writer.database_patience,
            attempts=spider.manifest.attempts,
            attempts_of=spider.manifest.attempts_of,
        )
        try:
            url = await asyncio.to_thread(database_url)
            opened = RunLedger(url, options, spider)
            await opened.open(spider)
            pace = self._crawler.get_extension(Pace)
            traffic = self._crawler.get_extension(Traffic)
            assert pace is not None
            assert traffic is not None
            self._traffic = traffic
            for source in opened.run.sources:
                await pace.join(opened, source)
            self._ledger, spider.ledger, spider.pace = opened, opened, pace
            spider.begin(opened.run)
        except (ArgumentError, DatabaseUnavailable, LedgerError, StartError) as error:
            logger.error("%s", error)
            unavailable = isinstance(error, DatabaseUnavailable)
            raise CloseSpider(Reason.DATABASE_UNAVAILABLE if unavailable else Reason.REFUSED_START) from error
        if spider.answers_at_start:
            for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
                self._crawler.signals.connect(self.item_ended, signal=signal)
        self._floors = spider.manifest.floors
        _take_over_garbage_collection()
        self._beating = asyncio.ensure_future(self._beat(spider))
        self._beating.add_done_callback(lambda task: self._beat_ended(spider, task))
        logger.info(
            "job %d, run %d: %s from %s", opened.run.job_id, opened.run.id, spider.name, spider.base_url
        )
        self._crawler.signals.send_catch_log(run_opened, spider=spider)

    async def _beat(self, spider: LedgerSpider) -> None:
        assert self._ledger is not None
        try:
            for glance in itertools.count(1):
                await asyncio.sleep(ledger.GLANCE_S)
                if glance % _BEAT_EVERY == 0:
                    gc.collect()
                    await self._ledger.heartbeat(self._traffic.snapshot())
                requested_state = await self._ledger.requested_state()
                if requested_state in _REASON_OF_REQUEST:
                    self._ledger.hurry()
                    spider.stop(_REASON_OF_REQUEST[requested_state], _PATIENCE_S)
        except DatabaseUnavailable as error:
            logger.error("%s", error)
            spider.stop(Reason.DATABASE_UNAVAILABLE)
        except RunLost as error:
            self._ledger.lost(error)

    def _beat_ended(self, spider: LedgerSpider, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            # Without its beat others would take the run for lost.
            logger.error("the heartbeat broke", exc_info=error)
            spider.stop(Reason.PIPELINE_ERROR)

    def broken(self, spider: Spider) -> None:
        """A pipeline or a callback raised: what it held is not acknowledged, and the run ends rather than
        wait for it.
        """
        if isinstance(spider, LedgerSpider):
            spider.stop(Reason.PIPELINE_ERROR)

    def item_ended(self, spider: Spider, response: object) -> None:
        """An item of start() has ended: a spider that closes meanwhile waits for it, and Scrapy 2.19 looks
        only when a response has.
        """
        if response is None:
            asyncio.get_running_loop().call_later(_SOON_S, self._close_if_idle, spider)

    def _close_if_idle(self, spider: Spider) -> None:
        assert self._crawler.engine is not None
        end_idle_scraper(self._crawler.engine, spider)

    async def spider_closed(self, spider: Spider, reason: str) -> None:
        if self._ledger is None:
            return
        if self._beating is not None:
            self._beating.cancel()
        if (pace := self._crawler.get_extension(Pace)) is not None:
            pace.leave()
        gc.enable()
        stats = self._crawler.stats.get_stats()
        plain = {key: value for key, value in stats.items() if isinstance(value, int | float | str)}
        try:
            verdict, counts = await self._ledger.close(reason, plain, self._traffic.snapshot(), self._floors)
        except DatabaseUnavailable as error:
            logger.error("the run could not be closed: %s; its leases go back by themselves", error)
            return
        run = self._ledger.run
        logger.info(
            "job %d %s (%s): %d done, %d gone, %d dead, %d open",
            run.job_id,
            verdict,
            reason,
            counts.done,
            counts.gone,
            counts.dead,
            counts.open,
        )
        if counts.unread:
            logger.warning(
                "%d answers have sections that could not be read; `maricopa issues %d` says why",
                counts.unread,
                run.job_id,
            )
        if reason == Reason.PAUSED:
            logger.info("`maricopa resume %d` goes on", run.job_id)
        elif counts.open and reason == Reason.FINISHED:
            logger.warning(
                "%d targets are due later: what they ask for is not there yet; `scrapy crawl %s -a job=%d`"
                " goes on with them then",
                counts.open,
                spider.name,
                run.job_id,
            )
        elif counts.open and reason != Reason.CANCELLED:
            logger.warning(
                "%d targets are left; `scrapy crawl %s -a job=%d` goes on with them",
                counts.open,
                spider.name,
                run.job_id,
            )


def _take_over_garbage_collection() -> None:
    # Left to itself it looks through all of Scrapy again and again, for a tenth of a fast run's time: once a
    # beat is enough.
    gc.collect()
    gc.freeze()
    gc.disable()
