"""What passes between a spider and what surrounds it: its work, the ledger that it asks, what it read from a
response.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from scrapy import Request, Spider

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.items import PRIORITIES, Answer, Detail, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.parsing.bodies import lost_of

if TYPE_CHECKING:
    from maricopa_scrapy.ledger.ledger import Lease


@dataclass(slots=True)
class Work:
    """What a spider was asked to do: go on with `job_id`, or a new job of `targets`. `mode`: api_only or
    scraping_only.
    """

    type: str
    parameters: dict[str, Any]
    targets: Iterable[FollowOn] = ()
    job_id: int | None = None
    priority: str = "normal"
    apns: ApnList | None = None
    mode: str = "api_only"


class Ledger(Protocol):
    """What a spider may ask of the ledger (crawl/run_record.py)."""

    async def lease(self, limit: int, source: str, details: Mapping[str, type[Detail]]) -> "Lease": ...

    async def give_back(self, source: str) -> None: ...

    async def ask(self, question: Callable[..., Any], *args: Any) -> Any: ...

    def flush(self) -> None: ...

    def hurry(self) -> None: ...

    @property
    def backlog(self) -> int: ...


# Reads the kept body of an answer, that is, its capture.
# Or says what must be asked before the target can be answered.
Handler = Callable[[bytes, Target], Answer | Request]

# Stands among the unread sections for characters that are left out of what is stored.
CHARACTERS = "characters"


def read(
    handler: Callable[..., Answer | Request], bodies: Sequence[bytes], target: Target
) -> Answer | Request:
    """Return what a handler reads of the kept bodies of an answer; what of them cannot be stored is told.
    Raises PageError, Refusal.
    """
    answer = handler(*bodies, target)
    if not isinstance(answer, Answer) or answer.outcome is not Outcome.DONE:
        return answer
    if lost := next(filter(None, map(lost_of, bodies)), ""):
        lose(
            answer,
            f"{target.kind}: {lost}",
            f"{lost} is no text, and is left out of what is stored; the capture has it",
        )
    return answer


def lose(answer: Answer, signature: str, message: str) -> None:
    """Note that characters of an answer are not stored as they came."""
    answer.issues = [*answer.issues, Issue(IssueKind.LOST_CHARACTERS, signature, message)]
    answer.unread = (*answer.unread, CHARACTERS)


class ArgumentSpider(Spider):
    """What a spider does with its arguments: they become work, or an error that a person can act on."""

    # Name: what it means, for people (docs/arguments.md).
    known_arguments: ClassVar[dict[str, str]] = {}
    common_arguments: ClassVar[dict[str, str]] = {
        "job": "go on with a job that was interrupted or fell short; goes with no other argument",
        "priority": "critical, high, normal (default) or low: which targets come first",
        "skip_invalid": (
            "`yes`: leave out the lines of a list that are not what it should hold; log, `status` and"
            " `report` tell them"
        ),
    }

    @classmethod
    def read_arguments(cls, given: dict[str, str]) -> Work:
        """Turn the arguments of `-a` into work. Raises ArgumentError."""
        # scrapyd adds names of its own, such as _job.
        given = {name: value for name, value in given.items() if not name.startswith("_")}
        spider_arguments.check_names(given, cls.known_arguments | cls.common_arguments)
        if "job" in given:
            spider_arguments.one_of(given, (*cls.common_arguments, *cls.known_arguments))
            return Work(cls.name, {}, job_id=spider_arguments.number("job", given["job"]))
        work = cls.work(given)
        work.priority = spider_arguments.choice("priority", given.get("priority", "normal"), PRIORITIES)
        return work

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Return the work that the spider's own arguments describe. Raises ArgumentError."""
        raise NotImplementedError
