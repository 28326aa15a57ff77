"""What every spider shares: it asks for the targets that it leases, and turns what comes into answers."""

import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request
from scrapy.http import Response
from twisted.python.failure import Failure

from maricopa_scrapy.crawl.argument_spider import Handler, Work, read
from maricopa_scrapy.crawl.grouped_reading import ReadingGate
from maricopa_scrapy.crawl.leasing_spider import LeasingSpider
from maricopa_scrapy.crawl.source_connection import StartError
from maricopa_scrapy.database.stored_identity import signs_of
from maricopa_scrapy.items import Answer, Capture, Cause, Issue, Json, Outcome, Reason, Target
from maricopa_scrapy.pace.answer_check import Refusal, Unauthorized, cause_of, check_json_answer, said_of
from maricopa_scrapy.pace.certificates import Unverified
from maricopa_scrapy.pace.slots import WIDTH, Dropped
from maricopa_scrapy.pace.throttle import retry_after
from maricopa_scrapy.parsing.errors import PageError, Throttled
from maricopa_scrapy.parsing.identity import check_signs

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


__all__ = ["Handler", "LedgerSpider", "StartError", "Work"]

# Of the slot's width, by the priority of a target, critical first: how much a job may use whose execution is
# hybrid. 0: one at a time.
_HYBRID = (1.0, 1.0, 0.5, 0.0)
# A failure of these kinds is ordinary weather: the ledger's cause says enough, no person needs to look.
_WEATHER = frozenset((Cause.THROTTLED, Cause.TIMEOUT, Cause.CONNECTION, Cause.SERVER_ERROR))


class LedgerSpider(LeasingSpider):
    """Base class. A leaf has `name`, `source`, `known_arguments`, `work()` and `request()`."""

    # Spiders whose sources this one serves besides its own, in jobs whose parameter `sources` names them.
    also: ClassVar[tuple[type["LedgerSpider"], ...]] = ()
    # Whether `via` chooses the spider; a job then goes on by the way on which it began.
    has_ways: ClassVar[bool] = False
    # Whether its captures are what a browser showed.
    is_rendered: ClassVar[bool] = False
    # Kind of target: the method that reads its answers into rows. `maricopa reparse` reads captures by the
    # same one.
    handlers: ClassVar[dict[str, Callable[[Any, bytes, Target], Answer | Request]]] = {}
    # Answers a transaction at most: fewer where one answer is thousands of rows.
    batch_most: ClassVar[int] = 1_000_000
    # Whether `start()` yields answers too: an engine that closes meanwhile must be told when they are done
    # (crawl/run_record.py).
    answers_at_start: ClassVar[bool] = False
    # Statuses that speak of a mistake of ours: another try cannot mend it.
    final_statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = ReadingGate()

    @classmethod
    def chosen(cls, given: dict[str, str]) -> type["LedgerSpider"]:
        """Return the spider that does what is asked, and take out of `given` what chose it. Raises
        ArgumentError.
        """
        return cls

    @classmethod
    def from_crawler(cls, crawler: "Crawler", *args: Any, **kwargs: Any) -> Any:
        """Build the spider that does what is asked; `connected`: what `connection` has said already. Raises
        ArgumentError or StartError.
        """
        if (chosen := cls.chosen(kwargs)) is not cls:
            return chosen.from_crawler(crawler, *args, **kwargs)
        connected = kwargs.pop("connected", None)
        spider = super().from_crawler(crawler, *args, **kwargs)
        # Before the arguments, which are read by what the manifest says.
        spider.manifest, spider.base_url, spider.headers = connected or cls.connection(crawler.settings)
        spider.assigned = cls.read_arguments(kwargs)
        spider.is_sandbox = bool(crawler.settings["MARICOPA_SANDBOX"])
        return spider

    def servable(self) -> tuple[type["LedgerSpider"], ...]:
        """Return the spiders of `also` that can ask their source."""
        return self.also

    def fetch(self, target: Target, path: str, handler: Handler) -> Request:
        """Return the request for a path of the source; `handler` reads what passes for an answer."""
        return Request(
            self.base_url + path,
            headers=self.headers,
            callback=self._received,
            errback=self._failed,
            cb_kwargs={"target": target, "handler": handler},
            meta={
                "download_slot": self.source,
                "download_timeout": self.manifest.timeout,
                "dont_redirect": True,
                WIDTH: self._width(target),
                "download_maxsize": self.manifest.max_body,
                "dont_obey_robotstxt": not self.manifest.obey_robots,
            },
            dont_filter=True,
        )

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
        """Tell whether the response says positively that there is no such thing, other than in what
        `check_answer` lets pass.
        """
        return False

    def is_doubtful(self, response: Response) -> bool:
        """Tell whether a failure says nothing of its target, because it may be ours: then the target is not
        marked.
        """
        return False

    def kept_body(self, body: bytes) -> bytes:
        """Return the part of a body that is kept as the capture."""
        return body

    def kept_of(self, target: Target) -> str:
        """Return whose bodies are kept as captures: of all answers, of those that could not be read, or of
        none.
        """
        return self.manifest.captures

    def not_found(self, target: Target, handler: Handler) -> Request | None:
        """Return the request that can prove that there is nothing, or None where an empty answer is a
        failure.
        """
        return None

    async def _received(
        self, response: Response, target: Target, handler: Handler
    ) -> AsyncIterator[Answer | Request]:
        capture: Capture | None = None
        self._leave(response.request)
        try:
            is_none = self.says_none(response, target)
            if not is_none:
                self.check_answer(response)
            await self._gate.wait()
            capture = self._capture(response)
            answer = Answer(target, Outcome.GONE) if is_none else read(handler, (capture.body,), target)
            for signs in answer.signs if isinstance(answer, Answer) else ():
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
            yield proof or self._failure(
                response.request or Request(response.url),
                target,
                error.cause,
                str(error),
                where,
                kept,
                response,
            )
        else:
            self.pace.answered(self.source)
            if isinstance(answer, Answer):
                is_kept = self.kept_of(target) == "all" or (
                    answer.unread and self.kept_of(target) == "failures"
                )
                answer.capture = capture if is_kept else capture.without_body()
            yield answer

    def _failed(self, failure: Failure) -> Iterator[Answer | Request]:
        error, request = failure.value, failure.request  # type: ignore[attr-defined]
        assert error is not None
        if isinstance(error, Dropped):
            return
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
            issues.append(
                Issue(cause, f"{target.kind}: {where or message}"[:200], message, example, screenshot)
            )
        self.logger.warning("%s %s: %s (%s)", target.kind, target.key, cause, message)
        return Answer(
            target,
            Outcome.FAILED,
            capture=capture,
            issues=issues,
            cause=cause,
            message=message,
            retry_after=retry_after(response) if response and cause is Cause.THROTTLED else None,
            is_target_s_fault=not is_open,
            is_final=response is not None and response.status in self.final_statuses,
        )

    def _capture(self, response: Response) -> Capture:
        body = self.kept_body(response.body)
        content_type = (response.headers.get(b"Content-Type") or b"").decode("latin-1")
        at = dt.datetime.now(dt.UTC)
        sha256 = hashlib.sha256(body).digest()
        facts = (self.source, response.url, response.status, content_type, at)
        return Capture(sha256, *facts, body, left_out=self.left_out, is_rendered=self.is_rendered)
