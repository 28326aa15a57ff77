"""What passes between a spider and what surrounds it: its work, the ledger that it asks, what it read from a response."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from scrapy import Request

from maricopa_scrapy.items import Extent, FollowOn, Issue, Outcome, Rows, Target
from maricopa_scrapy.lists import ApnList
from maricopa_scrapy.pages.answers import lost_of
from maricopa_scrapy.pages.treasurer_signs import Signs

if TYPE_CHECKING:
    from maricopa_scrapy.store.ledger import Lease


@dataclass(slots=True)
class Work:
    """What a spider was asked to do: go on with `job_id`, or a new job of `targets`. `mode`: api_only or scraping_only."""

    type: str
    parameters: dict[str, Any]
    targets: Iterable[FollowOn] = ()
    job_id: int | None = None
    priority: str = "normal"
    apns: ApnList | None = None
    mode: str = "api_only"


class Ledger(Protocol):
    """What a spider may ask of the ledger (extensions/run.py)."""

    async def lease(self, limit: int, source: str) -> "Lease": ...

    async def give_back(self, source: str) -> None: ...

    async def ask(self, question: Callable[..., Any], *args: Any) -> Any: ...

    def flush(self) -> None: ...

    def hurry(self) -> None: ...

    @property
    def backlog(self) -> int: ...


@dataclass(slots=True)
class Reading:
    """What a page handler read from one response."""

    outcome: Outcome = Outcome.DONE
    records: list[Any] = field(default_factory=list)
    complete: list[Any] = field(default_factory=list)
    follow_ons: list[FollowOn] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    pages: list[Rows] = field(default_factory=list)
    unkeyed: int = 0
    extent: Extent | None = None
    # Why the job is incomplete, although the target is answered.
    shortfall: str | None = None
    # Sections that could not be read, although others could.
    unread: tuple[str, ...] = ()
    # What must be asked before the target can be answered.
    then: Request | None = None
    # What must agree with what is stored of the target, or nothing of the reading is.
    signs: list[Signs] = field(default_factory=list)


# Reads the kept body of an answer, that is, its capture.
Handler = Callable[[bytes, Target], Reading]
# Stands among the unread sections for characters that are left out of what is stored.
CHARACTERS = "characters"


def read(handler: Callable[..., Reading], bodies: Sequence[bytes], target: Target) -> Reading:
    """Return what a handler reads of the kept bodies of an answer; what of them cannot be stored is told. Raises PageError, Refusal."""
    reading = handler(*bodies, target)
    if reading.outcome is Outcome.DONE and (lost := next(filter(None, map(lost_of, bodies)), "")):
        lose(reading, f"{target.kind}: {lost}", f"{lost} is no text, and is left out of what is stored; the capture has it")
    return reading


def lose(reading: Reading, signature: str, message: str) -> None:
    """Note that characters of an answer are not stored as they came."""
    reading.issues = [*reading.issues, Issue("lost_characters", signature, message)]
    reading.unread = (*reading.unread, CHARACTERS)
