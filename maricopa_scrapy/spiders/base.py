"""What every spider shares: it leases targets from the ledger, asks for them, and turns what comes into answers."""

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Request, Spider, signals
from scrapy.http import Response
from scrapy.utils.defer import _schedule_coro
from twisted.python.failure import Failure

from maricopa_scrapy import arguments
from maricopa_scrapy.download.certificates import Unverified
from maricopa_scrapy.download.pace import retry_after
from maricopa_scrapy.download.refusals import Refusal, Unauthorized, cause_of, check_json_answer, said_of
from maricopa_scrapy.download.slots import WIDTH, Dropped, PacedDownloader
from maricopa_scrapy.items import PRIORITIES, Answer, Capture, Cause, FollowOn, Issue, Json, Outcome, Reason, Target
from maricopa_scrapy.pages.errors import PageError, Throttled
from maricopa_scrapy.pages.treasurer_signs import check_signs
from maricopa_scrapy.settings_files import Manifest
from maricopa_scrapy.spiders.company import Company
from maricopa_scrapy.spiders.connection import StartError, connect_to
from maricopa_scrapy.spiders.work import Handler, Ledger, Reading, Work, read
from maricopa_scrapy.store.signs import signs_of

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor
    from scrapy.crawler import Crawler

    from maricopa_scrapy.download.pace import Pace
    from maricopa_scrapy.store.ledger import Lease, Run

__all__ = ["Handler", "LedgerSpider", "Reading", "StartError", "Work"]

# Seconds between two looks at the ledger while the last targets are under way: at first, and at least soon after.
_POLL_FIRST_S = 0.03
_POLL_S = 0.25
_POLL_MOST_S = 3.0
# Of the slot's width, by the priority of a target, critical first: how much a job may use whose execution is hybrid. 0: one at a time.
_HYBRID = (1.0, 1.0, 0.5, 0.0)
# A failure of these kinds is ordinary weather: the ledger's cause says enough, no person needs to look.
_WEATHER = frozenset((Cause.THROTTLED, Cause.TIMEOUT, Cause.CONNECTION, Cause.SERVER_ERROR))


class LedgerSpider(Spider):
    """Base class. A leaf has `name`, `source`, `known_arguments`, `work()` and `request()`."""

    source: ClassVar[str]
    needed_paths: ClassVar[tuple[str, ...]] = ()
    known_arguments: ClassVar[tuple[str, ...]] = ()
    common_arguments: ClassVar[tuple[str, ...]] = ("job", "priority", "skip_invalid")
    # Whether its captures are what a browser showed.
    is_rendered: ClassVar[bool] = False
    # Kind of target: the method that reads its answers into rows. `maricopa reparse` reads captures by the same one.
    handlers: ClassVar[dict[str, Callable[[Any, bytes, Target], "Reading"]]] = {}
    # Whether `via` chooses the spider; a job then goes on by the way on which it began.
    has_ways: ClassVar[bool] = False
    # Answers a transaction at most: fewer where one answer is thousands of rows.
    batch_most: ClassVar[int] = 1_000_000
    # Whether `start()` yields answers too: an engine that closes meanwhile must be told when they are done (extensions/run.py).
    answers_at_start: ClassVar[bool] = False
    # Statuses that speak of a mistake of ours: another try cannot mend it.
    final_statuses: ClassVar[tuple[int, ...]] = ()
    # Spiders whose sources this one serves beside its own, in jobs whose parameter `sources` names them.
    also: ClassVar[tuple[type["LedgerSpider"], ...]] = ()

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
        self._company = Company()
        self._lead: LedgerSpider = self
        self._desks: list[LedgerSpider] = [self]
        # Of one source beside others: its requests under way, so that one that is held keeps no room from the rest.
        self._places: asyncio.Semaphore | None = None

    @classmethod
    def from_crawler(cls, crawler: "Crawler", *args: Any, **kwargs: Any) -> Self:
        """Build the spider. Raises ArgumentError or StartError."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.assigned = cls.read_arguments(kwargs)
        spider.manifest, spider.base_url, spider.headers = cls.connection(crawler.settings)
        spider.is_sandbox = bool(crawler.settings["MARICOPA_SANDBOX"])
        return spider

    @classmethod
    def chosen(cls, given: dict[str, str]) -> type["LedgerSpider"]:
        """Return the spider that does what is asked, and take out of `given` what chose it. Raises ArgumentError."""
        return cls

    @classmethod
    def read_arguments(cls, given: dict[str, str]) -> Work:
        """Turn the arguments of `-a` into work. Raises ArgumentError."""
        # scrapyd adds names of its own, such as _job.
        given = {name: value for name, value in given.items() if not name.startswith("_")}
        arguments.check_names(given, cls.known_arguments + cls.common_arguments)
        if "job" in given:
            arguments.one_of(given, (*cls.common_arguments, *cls.known_arguments))
            return Work(cls.name, {}, job_id=arguments.number("job", given["job"]))
        work = cls.work(given)
        work.priority = arguments.choice("priority", given.get("priority", "normal"), PRIORITIES)
        return work

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Return the work that the spider's own arguments describe. Raises ArgumentError."""
        raise NotImplementedError

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
        """Return a spider of which only the `handlers` can be used: it has no crawler, no host, no ledger. Raises StartError."""
        spider = cls(name=cls.name or cls.source)
        spider.manifest, spider.base_url, spider.headers, spider.is_sandbox = manifests[cls.source], "", {}, False
        return spider

    @classmethod
    def take_up(cls, cursor: "Cursor", run: "Run") -> None:
        """Prepare the ledger for a run that opens; called in a transaction of its own, by the thread that may."""

    def begin(self, run: "Run") -> None:
        """Take up a run: what its job was asked for, and the other sources that it serves. Raises StartError."""
        self.parameters, self.execution = run.parameters, run.execution
        self.downloader.listeners.append(self._glance)
        for desk in self.also:
            if desk.source in run.also:
                self._desks.append(desk.beside(self, run))
        if len(self._desks) > 1:
            for one in self._desks:
                one._places = asyncio.Semaphore(one.manifest.concurrency + 2)

    def servable(self) -> tuple[type["LedgerSpider"], ...]:
        """Return the spiders of `also` that can ask their source."""
        return self.also

    def serves(self, source: str) -> bool:
        """Whether this run leases the targets of a source."""
        return any(desk.source == source for desk in self._lead._desks)

    @classmethod
    def beside(cls, lead: "LedgerSpider", run: "Run") -> Self:
        """Return a spider that serves its own source in the run of another. Raises StartError."""
        desk = cls(name=cls.name or lead.name)
        desk.crawler, desk.settings = lead.crawler, lead.settings
        desk.manifest, desk.base_url, desk.headers = cls.connection(lead.settings)
        desk.is_sandbox, desk.ledger, desk.pace, desk._lead = lead.is_sandbox, lead.ledger, lead.pace, lead
        desk.begin(run)
        return desk

    def request(self, target: Target) -> Request:
        """Return the request that answers the target."""
        raise NotImplementedError

    async def start(self) -> AsyncIterator[Request]:
        """Lease targets as the engine has room for them, until none of the job's is open."""
        try:
            async for request in self._requests() if len(self._desks) == 1 else self._merged():
                yield request
        except asyncio.CancelledError:
            # Ctrl-C: the engine would wait for what waits in the slot, for as long as that is held, and for locks of others.
            self.ledger.hurry()
            self.downloader.drop_waiting()
            raise

    async def _merged(self) -> AsyncIterator[Request]:
        """Yield the requests of all sources, each as it comes."""
        waiting: asyncio.Queue[Request] = asyncio.Queue(1)

        async def feed(desk: LedgerSpider) -> None:
            async for request in desk._requests():
                await waiting.put(request)

        feeds = asyncio.gather(*map(feed, self._desks))
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
                    if self._places:
                        await self._places.acquire()
                        request.meta["maricopa_place"] = True
                    yield request
                    while not self._places and self.crawler.engine.needs_backout():
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
        engine = self.crawler.engine
        # Not engine.scheduler, which came with Scrapy 2.19.
        scraper, run = engine.scraper.slot, engine._slot
        is_busy = engine.downloader.active or (scraper and not scraper.is_idle()) or (run and run.scheduler.has_pending_requests())
        return not is_busy and not self.ledger.backlog

    def _glance(self, request: Request, response: Response | None) -> None:
        # Scrapy sends the slot's next request between this and the callback.
        if response is not None and response.status == 401 and response.url.startswith(self.base_url):
            self.stop(Reason.UNAUTHORIZED)

    def _lease_soon(self) -> "asyncio.Future[Lease]":
        slot = self.crawler.engine.downloader.slots.get(self.source)
        rate = 1 / slot.delay if slot else self.manifest.rate.start
        # About a second of work, and another in advance: other runs of the job find some too.
        limit = max(2 * self.manifest.concurrency, min(250, int(rate)))
        return asyncio.ensure_future(self.ledger.lease(limit, self.source))

    def fetch(self, target: Target, path: str, handler: Handler) -> Request:
        """Return the request for a path of the source; `handler` reads what passes for an answer."""
        return Request(
            self.base_url + path,
            headers=self.headers,
            callback=self._received,
            errback=self._failed,
            cb_kwargs={"target": target, "handler": handler},
            meta={
                "download_slot": self.source, "download_timeout": self.manifest.timeout, "dont_redirect": True, WIDTH: self._width(target),
                "download_maxsize": self.manifest.max_body, "dont_obey_robotstxt": not self.manifest.obey_robots,
            },
            dont_filter=True,
        )  # fmt: skip

    def check_answer(self, response: Response) -> None:
        """Return when the response may be what was asked for. Raises Refusal or Unauthorized."""
        check_json_answer(response, self.manifest.refusals)

    def _width(self, target: Target) -> float:
        if self.execution == "hybrid":
            return _HYBRID[target.priority]
        return 0.0 if self.execution == "sequential" else 1.0

    @property
    def left_out(self) -> tuple[str, ...]:
        """What `kept_body` leaves out, as captures say it: lower-case words."""
        return ()

    def says_none(self, response: Response, target: Target) -> bool:
        """Tell whether the response says positively that there is no such thing, other than in what `check_answer` lets pass."""
        return False

    def is_doubtful(self, response: Response) -> bool:
        """Tell whether a failure says nothing of its target, because it may be ours: then the target is not marked."""
        return False

    def kept_body(self, body: bytes) -> bytes:
        """Return the part of a body that is kept as the capture."""
        return body

    def kept_of(self, target: Target) -> str:
        """Return whose bodies are kept as captures: of all answers, of those that could not be read, or of none."""
        return self.manifest.captures

    def not_found(self, target: Target, handler: Handler) -> Request | None:
        """Return the request that can prove that there is nothing, or None where an empty answer is a failure."""
        return None

    async def _received(self, response: Response, target: Target, handler: Handler) -> AsyncIterator[Answer | Request]:
        capture: Capture | None = None
        self._leave(response.request)
        try:
            is_none = self.says_none(response, target)
            if not is_none:
                self.check_answer(response)
            await self._company.wait()
            capture = self._capture(response)
            reading = Reading(Outcome.GONE) if is_none else read(handler, (capture.body,), target)
            for signs in reading.signs:
                check_signs(signs, await self.ledger.ask(signs_of, target.key))
        except Unauthorized:
            self.stop(Reason.UNAUTHORIZED)
        except (Refusal, PageError) as error:
            if self.is_doubtful(response):
                # Still leased, and asked for again when nothing else is left.
                self.pace.failed(response.request or Request(response.url), self.source, error.cause)
                return
            proof = self.not_found(target, handler) if error.cause is Cause.NOT_FOUND else None
            if proof:
                self.pace.answered(self.source)
            elif error.cause is Cause.CHALLENGE:
                self.stop(Reason.BLOCKED)
            elif isinstance(error, Throttled) and response.request:
                self.pace.refused(response.request, self.source)
            where = error.path if isinstance(error, PageError) else str(error)
            kept = capture or self._capture(response)
            kept = kept if self.kept_of(target) != "none" else kept.without_body()
            yield proof or self._failure(response.request or Request(response.url), target, error.cause, str(error), where, kept, response)
        else:
            self.pace.answered(self.source)
            is_kept = self.kept_of(target) == "all" or (reading.unread and self.kept_of(target) == "failures")
            kept = capture if is_kept else capture.without_body()
            yield reading.then or Answer(
                target, reading.outcome, reading.records, kept, reading.complete, reading.follow_ons,
                reading.issues, pages=reading.pages, unkeyed=reading.unkeyed, extent=reading.extent,
                shortfall=reading.shortfall, unread=reading.unread,
            )  # fmt: skip

    def _failed(self, failure: Failure) -> Iterator[Answer | Request]:
        error = failure.value
        assert error is not None
        if isinstance(error, Dropped):
            return
        request: Request = failure.request  # type: ignore[attr-defined]
        self._leave(request)
        if isinstance(error, Unverified):
            self.distrust(error)
            return
        target: Target = request.cb_kwargs["target"]
        yield self._failure(request, target, cause_of(error), said_of(error))

    def _failure(
        self,
        request: Request,
        target: Target,
        cause: Cause,
        message: str,
        where: str = "",
        capture: Capture | None = None,
        response: Response | None = None,
    ) -> Answer | Request:
        """Return the answer of a target that failed, or what is asked instead."""
        is_open = self.pace.is_open(self.source)
        self.pace.failed(request, self.source, cause)
        issues = []
        if cause not in _WEATHER:
            example: Json = {"url": capture.url, "status": capture.status} if capture else {}
            screenshot = request.meta.get("maricopa_picture")
            issues.append(Issue(cause, f"{target.kind}: {where or message}"[:200], message, example, screenshot))
        self.logger.warning("%s %s: %s (%s)", target.kind, target.key, cause, message)
        return Answer(target, Outcome.FAILED, capture=capture, issues=issues, cause=cause, message=message,
                      retry_after=retry_after(response) if response and cause is Cause.THROTTLED else None,
                      is_target_s_fault=not is_open,
                      is_final=response is not None and response.status in self.final_statuses)  # fmt: skip

    def _leave(self, request: Request | None) -> None:
        if self._places and request and request.meta.pop("maricopa_place", None):
            self._places.release()

    def _capture(self, response: Response) -> Capture:
        body = self.kept_body(response.body)
        content_type = (response.headers.get(b"Content-Type") or b"").decode("latin-1")
        at = dt.datetime.now(dt.UTC)
        sha256 = hashlib.sha256(body).digest()
        facts = (self.source, response.url, response.status, content_type, at)
        return Capture(sha256, *facts, body, left_out=self.left_out, is_rendered=self.is_rendered)

    def distrust(self, why: Unverified) -> None:
        """End the run because of a certificate, which is no target's fault, and would be that of all."""
        if not self._lead.stopping:
            self.logger.error("%s", why)
        self.stop(Reason.UNVERIFIED)

    def stop(self, reason: str, patience: float | None = None) -> None:
        """End the run at once: what waits in the slot is not sent, what is under way is awaited, for `patience` seconds at most."""
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
        _schedule_coro(engine.close_spider_async(reason=reason))

    @property
    def downloader(self) -> PacedDownloader:
        """The engine's downloader, which knows our slots."""
        downloader = self.crawler.engine.downloader
        assert isinstance(downloader, PacedDownloader)
        return downloader
