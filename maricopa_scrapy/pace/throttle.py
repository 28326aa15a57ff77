"""The pace: AutoThrottle with the rate that all runs on a source share in place of its formula.

A refusal stops the source's slot at once; what follows from it is agreed on with the other runs, in the
source's row. Nothing sleeps here: the slot is told when its next request may go.
"""

import asyncio
import contextlib
import email.utils
import logging
import random
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from scrapy import signals
from scrapy.http import Request, Response

from maricopa_scrapy.configuration import Config, Manifest
from maricopa_scrapy.database.connect import DatabaseUnavailable
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Cause, Reason
from maricopa_scrapy.ledger.source_state import Step
from maricopa_scrapy.pace.answer_check import is_refusal, says_challenge
from maricopa_scrapy.pace.rate import Limits
from maricopa_scrapy.pace.scrapy_internals import BareThrottle
from maricopa_scrapy.pace.shared_state import Allowance, Refusal, Report, SourceState
from maricopa_scrapy.pace.slots import SENT_AT, PacedDownloader, PacedSlot

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

# Seconds between two reports: at a fast source, and at a slow one.
_REPORT_S = 0.5
_REPORT_MOST_S = 2.0
_RETRY_AFTER_MOST_S = 300.0
# So long the spider may take to read a challenge, which ends the run.
_READ_S = 1.0
# Use is judged over about this many requests.
_USE_REQUESTS = 5.0
_IS_USED = 0.7
# An answer's weight in the latency that is now. What is usual for a source is the fifth that came fastest, of
# so many.
_LATENCY_WEIGHT = 0.2
_LATENCIES = 200
_LATENCIES_LEAST = 10
# Below this, seconds, no source is slow.
_SWIFT_S = 0.1
# Causes that speak of the source, not of one target.
_SOURCE_FAILS = (
    Cause.SERVER_ERROR,
    Cause.TIMEOUT,
    Cause.CONNECTION,
    Cause.REFUSED,
    Cause.SOFT_404,
    Cause.MALFORMED,
    Cause.BROWSER,
)


class Ledger(Protocol):
    """What the pace asks of the run's ledger (crawl/run_record.py)."""

    run: Run

    async def exchange(self, source: str, wants: bool, step: Step[Allowance]) -> Allowance: ...


class _Source:
    """One source as this process sees it, between two reports."""

    def __init__(self, manifest: Manifest, limits: Limits) -> None:
        self.manifest = manifest
        self.limits = limits
        self.report = Report()
        self.unread_until = 0.0
        self.wake = asyncio.Event()
        self.reported_at = time.monotonic()
        self.allowance: Allowance | None = None
        self.task: asyncio.Task[None] | None = None
        self._sent = 0
        self._used = self._allowed = 0.0
        self._latency = 0.0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)

    def see_latency(self, seconds: float) -> None:
        self._latency += _LATENCY_WEIGHT * (seconds - self._latency) if self._latency else seconds
        self._latencies.append(seconds)

    def at_once(self, share: float) -> int:
        """Return how many requests this process may have under way: less of a source that takes ever longer,
        but never none.
        """
        most = self.manifest.concurrency * share
        if len(self._latencies) >= _LATENCIES_LEAST:
            usual = sorted(self._latencies)[len(self._latencies) // 5]
            most *= min(1.0, self.manifest.rate.slow_at * max(usual, _SWIFT_S) / self._latency)
        return max(1, int(most))

    def close_report(self, slot: PacedSlot) -> Report:
        """Return what was seen since the last report, and begin the next."""
        now = time.monotonic()
        report, self.report = self.report, Report()
        rate = 1 / slot.delay
        expected = 0.0 if self.allowance is None or self.allowance.hold else rate * (now - self.reported_at)
        kept = 0.5 ** (expected / _USE_REQUESTS)
        self._used = self._used * kept + slot.sent - self._sent
        self._allowed = self._allowed * kept + expected
        self._sent, self.reported_at = slot.sent, now
        report.is_used = self._used >= _IS_USED * self._allowed
        report.wants = bool(slot.queue or slot.transferring)
        return report

    def reopen_report(self, report: Report) -> None:
        """Take back a report that nobody got."""
        report.accepted += self.report.accepted
        report.refusals += self.report.refusals
        report.failures = (
            self.report.failures if self.report.accepted else report.failures + self.report.failures
        )
        self.report = report


class Pace(BareThrottle):
    """Owns the delay and the width of each source's slot."""

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        crawler.signals.connect(self._listen, signal=signals.spider_opened)
        self._sources = {
            name: _Source(crawler.settings["MARICOPA_MANIFESTS"][name], limits)
            for name, limits in _limits(crawler).items()
        }
        self._ledger: Ledger | None = None

    async def join(self, ledger: Ledger, source: str) -> None:
        """Take a share of the source before the first request. Raises DatabaseUnavailable."""
        self._ledger = ledger
        local = self._sources[source]
        await self._exchange(source, local, is_first=True)
        local.task = asyncio.ensure_future(self._report(source, local))
        local.task.add_done_callback(self._ended)

    def leave(self) -> None:
        """Report no more."""
        for local in self._sources.values():
            if local.task is not None:
                local.task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.error("the pace broke", exc_info=error)
            spider: Any = self.crawler.spider
            spider.stop(Reason.PIPELINE_ERROR)

    def is_open(self, source: str) -> bool:
        """Whether the breaker is open: what fails now is the source's fault, not the target's."""
        allowance = self._sources[source].allowance
        return allowance is not None and allowance.is_open

    def allowed(self, source: str) -> float:
        """Return the requests per second that this run may send of the source: 0 while it is held, or its
        breaker open.
        """
        allowance = self._sources[source].allowance
        return 0.0 if allowance is None or allowance.hold or allowance.is_open else allowance.rate

    def answered(self, source: str) -> None:
        """An answer of the source passed for one."""
        local = self._sources[source]
        local.report.accepted += 1
        local.report.failures.clear()
        if local.allowance is not None and local.allowance.may_probe is not None:
            local.wake.set()

    def refused(self, request: Request, source: str) -> None:
        """An answer of status 200 says "too fast" in its body, which nobody could see before it was read."""
        now = time.monotonic()
        self._refused(
            source, self._sources[source], Refusal(now, float(request.meta.get(SENT_AT, now)), None)
        )

    def failed(self, request: Request, source: str, cause: Cause) -> None:
        """A request of the source failed; a refusal was seen when it came."""
        if cause not in _SOURCE_FAILS:
            if cause not in (Cause.THROTTLED, Cause.CHALLENGE):
                self.answered(source)
            return
        local = self._sources[source]
        local.report.failures.append(request.meta.get(SENT_AT, time.monotonic()))
        if self.is_open(source) or len(local.report.failures) >= local.manifest.breaker.failures:
            local.wake.set()

    def _listen(self) -> None:
        PacedDownloader.of(self.crawler).listeners.append(self._look)

    def _look(self, request: Request, response: Response | None) -> None:
        local = self._sources.get(source := request.meta.get("download_slot", ""))
        if local is None or response is None:
            return
        now = time.monotonic()
        sent_at = float(request.meta.get(SENT_AT, now))
        if response.status == 200:
            local.see_latency(now - sent_at)
        if is_refusal(response):
            self._refused(source, local, Refusal(now, sent_at, retry_after(response)))
        elif says_challenge(response):
            # The spider ends the run when it has read it; until then the slot would send one for each that
            # comes back.
            local.unread_until = now + _READ_S
            self._paced(source).may_send = False

    def _refused(self, source: str, local: _Source, refusal: Refusal) -> None:
        local.report.refusals.append(refusal)
        # Before the slot sends its next request; the exchange that is due at once says for how long.
        self._paced(source).may_send = False
        local.wake.set()
        self.crawler.stats.inc_value(f"maricopa/pace/refused/{source}")

    def _paced(self, source: str) -> PacedSlot:
        return PacedDownloader.of(self.crawler).slot(source)

    async def _report(self, source: str, local: _Source) -> None:
        while True:
            pause = min(max(_REPORT_S, self._paced(source).delay), _REPORT_MOST_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(local.wake.wait(), pause)
            local.wake.clear()
            try:
                await self._exchange(source, local)
            except DatabaseUnavailable as error:
                # The run record ends the run; until then nothing goes faster.
                logger.debug("%s: no pace agreed: %s", source, error)

    async def _exchange(self, source: str, local: _Source, is_first: bool = False) -> None:
        assert self._ledger is not None
        slot = self._paced(source)
        report = local.close_report(slot)
        if is_first:
            report.wants = True
        step = _step(self._ledger.run.id, report, local, is_first)
        try:
            allowance = await self._ledger.exchange(source, report.wants, step)
        except DatabaseUnavailable:
            local.reopen_report(report)
            raise
        if is_first and allowance.share < 1:
            # Runs that join together do not all begin at once.
            slot.hold_until(time.monotonic() + random.uniform(0, 1 / allowance.rate))
        self._apply(source, local, slot, allowance)
        if allowance.silent >= local.manifest.breaker.silence:
            spider: Any = self.crawler.spider
            logger.error("%s: no answer for %.0f s; what is left stays pending", source, allowance.silent)
            spider.stop(Reason.SOURCE_UNAVAILABLE)

    def _apply(self, source: str, local: _Source, slot: PacedSlot, allowance: Allowance) -> None:
        before, local.allowance = local.allowance, allowance
        if allowance.is_open and not (before and before.is_open):
            logger.warning(
                "%s: %d failures in a row; it is tried by single requests now",
                source,
                local.manifest.breaker.failures,
            )
        elif before and before.is_open and not allowance.is_open:
            logger.info("%s: it answers again", source)
        if allowance.hold > 1 and not (before and before.hold):
            logger.info(
                "%s: refused; nothing is asked for %.1f s, then %.2f/s",
                source,
                allowance.hold,
                allowance.rate / allowance.share,
            )
        slot.pace(1 / allowance.rate)
        slot.concurrency = local.at_once(allowance.share)
        slot.only_one = allowance.may_probe is True
        is_refused = bool(local.report.refusals) or time.monotonic() < local.unread_until
        # A probe that is under way is not followed by another.
        slot.may_send = (
            not is_refused and allowance.may_probe is not False and not (slot.only_one and slot.transferring)
        )
        if allowance.hold:
            slot.hold_until(time.monotonic() + allowance.hold)
        elif before:
            slot.release()
        PacedDownloader.of(self.crawler).look_again(slot)


def _step(run: int, report: Report, local: _Source, is_first: bool) -> Step[Allowance]:
    """Return what is done to the source's row: times become those of the database's clock."""

    def step(row: dict[str, Any], now: float, share: float, alone: bool) -> tuple[dict[str, Any], Allowance]:
        manifest, limits = local.manifest, local.limits
        state = SourceState.load(row, limits, manifest.retries)
        if is_first and alone:
            state.restart(now, limits)
        offset = now - time.monotonic()
        refusals = [
            replace(refusal, at=refusal.at + offset, sent_at=refusal.sent_at + offset)
            for refusal in report.refusals
        ]
        seen = replace(report, refusals=refusals, failures=[sent_at + offset for sent_at in report.failures])
        state.take(run, seen, now, limits, manifest.breaker, manifest.retries)
        allowance = state.allow(run, share, now, limits, manifest.timeout, report.wants)
        return state.dump(), allowance

    return step


def _limits(crawler: "Crawler") -> dict[str, Limits]:
    """Return each source's limits: its manifest's, below the user's ceiling, or what a sandbox's user lifts
    it to.
    """
    settings = crawler.settings
    config: Config = settings["MARICOPA_CONFIG"]
    manifests: dict[str, Manifest] = settings["MARICOPA_MANIFESTS"]
    pinned, lifted = settings.getfloat("MARICOPA_RATE_LIMIT"), settings.getfloat("MARICOPA_RATE_CEILING")
    limits = {}
    for name, manifest in manifests.items():
        rate = manifest.rate
        ceiling = pinned or lifted or config.batch_processing.ceiling(rate.kind)
        limits[name] = Limits(pinned or rate.start, rate.floor, ceiling, rate.hold, rate.hold_most)
    return limits


def retry_after(response: Response) -> float | None:
    """Return the seconds of a Retry-After header, at most 300, given as seconds or as a date; None without a
    usable one.
    """
    value = (response.headers.get(b"Retry-After") or b"").decode("latin-1").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _RETRY_AFTER_MOST_S)
    due = _date(value)
    if due is None:
        return None
    # By the server's own clock, when it tells it. A date names the second in which it is due, not its end.
    now = _date((response.headers.get(b"Date") or b"").decode("latin-1")) or time.time()
    return min(max(0.0, due - now + 1.0), _RETRY_AFTER_MOST_S)


def _date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
