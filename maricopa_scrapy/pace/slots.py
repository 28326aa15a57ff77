"""Scrapy's download slots, with a clock that does not drift and a word for "wait"."""

import logging
import random
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from scrapy import Request
from scrapy.core.downloader import Slot
from scrapy.exceptions import IgnoreRequest

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.items import Reason
from maricopa_scrapy.pace.scrapy_internals import OpenDownloader, is_closing

if TYPE_CHECKING:
    from scrapy.http import Response

logger = logging.getLogger(__name__)

# Never zero, at which Scrapy sends all that waits at once.
_LEAST_S = 1e-6
_FAR_S = 3600.0
# Keys of a request's meta: when it was sent, monotonic seconds; and the part of the slot's width that it may
# be sent in (0: alone).
SENT_AT = "maricopa_sent_at"
WIDTH = "maricopa_width"


class _Begun(set[Request]):
    """The requests under way; `total` counts all that ever were."""

    total = 0

    def add(self, request: Request) -> None:
        self.total += 1
        request.meta[SENT_AT] = monotonic()
        super().add(request)


class PacedSlot(Slot):
    """A slot whose requests are due at times of their own: one sent late does not make the next one later.

    `sent` counts its requests. `may_send` is False while nothing may go; `only_one` lets one go, then none.
    """

    def __init__(self, concurrency: int, delay: float, jitter: float) -> None:
        super().__init__(concurrency, delay, jitter)
        # Scrapy 2.18 keeps only whether there is any.
        self.jitter = jitter
        self.sent = 0
        self.may_send = True
        self.only_one = False
        self._due = 0.0
        self._is_held = False
        self._noted = self.lastseen
        self._begun = self.transferring = _Begun()

    def free_transfer_slots(self) -> int:
        """Return how many more may be under way: one that was just sent is not in Scrapy's set before the
        loop's next turn.
        """
        width = self.concurrency
        if self.queue:
            width = max(1, int(width * self.queue[0][0].meta.get(WIDTH, 1.0)))
        return width - len(self.transferring) - (self.sent - self._begun.total)

    def pace(self, delay: float) -> None:
        """Send every `delay` seconds from now on, also what is waiting already."""
        self.delay = delay
        if not self._is_held:
            self._due = min(self._due, self.lastseen + delay * (1 + self.jitter))

    def hold_until(self, at: float) -> None:
        """Send nothing before `at` (monotonic seconds)."""
        self._is_held = True
        self._due = max(self._due, at)

    def release(self) -> None:
        """End a hold."""
        if self._is_held:
            self._is_held = False
            self._due = min(self._due, monotonic())

    def download_delay(self) -> float:
        """Return what Scrapy asks for before each request: seconds from the last one to the next."""
        if self.lastseen != self._noted:
            self._noted = self.lastseen
            self.sent += 1
            # A little lateness is made good, an idle time is not.
            begun = self._due if self.lastseen - self._due < self.delay else self.lastseen
            self._due = begun + self.delay * (1 + random.uniform(-self.jitter, self.jitter))
            if self.only_one:
                self.only_one = self.may_send = False
        if not self.may_send:
            return monotonic() - self.lastseen + _FAR_S
        return max(self._due - self.lastseen, _LEAST_S)


class Dropped(IgnoreRequest):
    """A request that was not sent, or not awaited, because the run ends; its target is given back."""


class PacedDownloader(OpenDownloader):
    """Scrapy's downloader, whose slots of sources are paced, and stay when nothing is asked for a minute.

    `listeners` are called with each request and its response, None when it has none, before the slot's next
    request is sent. Nothing is sent while somebody holds it, or `is_stale` says that the run may not know
    what has become of it.
    """

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler)
        manifests: dict[str, Manifest] = self.settings["MARICOPA_MANIFESTS"]
        for name in manifests:
            self.slots[name] = PacedSlot(**self.per_slot_settings[name])
        self.listeners: list[Callable[[Request, Response | None], None]] = []
        self.is_stale: Callable[[], bool] = lambda: False
        self._held_by: set[str] = set()

    @classmethod
    def of(cls, crawler: Any) -> Self:
        """Return the downloader of a crawler that runs."""
        downloader = crawler.engine.downloader
        assert isinstance(downloader, cls)
        return downloader

    def slot(self, source: str) -> PacedSlot:
        """Return the slot of a source."""
        slot = self.slots[source]
        assert isinstance(slot, PacedSlot)
        return slot

    async def ask(self, request: Request) -> "Response":
        """Have a request fetched, and tell the listeners: Scrapy's signals take a twentieth of a fast run's
        time for an answer.
        """
        response = None
        try:
            response = await super().ask(request)
            return response
        finally:
            for listener in self.listeners:
                try:
                    listener(request, response)
                except Exception:
                    logger.exception("a listener of the downloader broke")
                    spider: Any = self.crawler.spider
                    spider.stop(Reason.PIPELINE_ERROR)

    @property
    def is_closing(self) -> bool:
        """Whether the run ends."""
        engine: Any = self.crawler.engine
        return is_closing(engine)

    def drop_waiting(self) -> None:
        """Send nothing of what waits in a slot."""
        for slot in self.slots.values():
            while slot.queue:
                _, waiting = slot.queue.popleft()
                waiting.errback(self.why_dropped())

    def why_dropped(self) -> Exception:
        """Return what a request that is not awaited any more fails with."""
        return Dropped("the run ends")

    def may_send(self) -> bool:
        """Whether anything may be sent now; of a run that ends, nothing that waits."""
        # Ctrl-C may come while requests are on their way here, behind robots.txt: the engine would wait for
        # all of them.
        if self.is_closing:
            self.drop_waiting()
            return False
        return not self._held_by and not self.is_stale()

    def is_kept(self, slot: Slot) -> bool:
        """Whether a slot stays when nothing is asked for a minute: that of a source does."""
        return isinstance(slot, PacedSlot)

    def hold(self, who: str) -> None:
        """Send nothing from now on, for somebody's sake."""
        self._held_by.add(who)

    def let_go(self, who: str) -> None:
        """Send what is due, unless somebody else holds it still."""
        self._held_by.discard(who)
        for slot in self.slots.values():
            if isinstance(slot, PacedSlot):
                self.look_again(slot)

    def look_again(self, slot: PacedSlot) -> None:
        """Send what is due now, whatever the slot was waiting for."""
        if slot.latercall:
            slot.latercall.cancel()
            slot.latercall = None
        self.send_due(slot)
