"""What travels from a page to Postgres: records, and the answer that carries them.

A record is one row of one table, typed, with its natural key; its class is in the records.py of its source.
An `Answer` is everything that came of one target: its records, the capture they were read from, the work it
uncovered. One answer is one Scrapy item, so that the pipeline stores it, and acknowledges its target, in one
transaction.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Json = list[Any] | dict[str, Any]

# How urgent a job or a target is, by name and as `crawl.target.priority`.
PRIORITIES = ("critical", "high", "normal", "low")
NORMAL = PRIORITIES.index("normal")


class Cause(StrEnum):
    """Why a target could not be answered."""

    THROTTLED = "throttled"
    REFUSED = "refused"
    CHALLENGE = "challenge"
    NOT_FOUND = "not_found"
    SOFT_404 = "soft_404"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    MALFORMED = "malformed"
    WRONG_PARCEL = "wrong_parcel"
    WRONG_DOCUMENT = "wrong_document"
    SOURCE_CHANGED = "source_changed"
    BROWSER = "browser"
    STORE = "store"
    UNKNOWN_DETAIL = "unknown_detail"


class IssueKind(StrEnum):
    """Kinds of surprises that are not the cause of a failed target; docs/logs.md says what to do about
    each.
    """

    NEW_FIELD = "new_field"
    ABSENT_FIELD = "absent_field"
    UNREAD_SECTION = "unread_section"
    LOST_CHARACTERS = "lost_characters"
    MORE_ISSUES = "more_issues"
    MOVED_LINK = "moved_link"
    TREASURER_MOVED = "treasurer_moved"
    UNSEEN_ROWS = "unseen_rows"
    SEARCH_TOTAL = "search_total"
    REPEATED_PAGE = "repeated_page"
    SOURCE_RELOADED = "source_reloaded"
    LAYER_FAILED = "layer_failed"
    ODD_VALUE = "odd_value"
    NO_APN = "no_apn"
    NO_DEED_NUMBER = "no_deed_number"
    ODD_DEED_NUMBER = "odd_deed_number"
    ODD_CODE = "odd_code"
    MIXED_CODES = "mixed_codes"
    SHORT_WINDOW = "short_window"
    SATURATED_WINDOW = "saturated_window"
    WALKED_WINDOW = "walked_window"
    UNREAD_WINDOW = "unread_window"
    YEAR_DIFFERS = "year_differs"
    JUNK_ROW = "junk_row"
    SUFFIX = "suffix"
    NO_NAMES = "no_names"
    NO_PDF = "no_pdf"
    REJECTED_LINE = "rejected_line"
    FUTURE_DATE = "future_date"
    FEWER_ROWS = "fewer_rows"


class Reason(StrEnum):
    """Why a run ended, where Scrapy has no word for it."""

    FINISHED = "finished"
    UNAUTHORIZED = "unauthorized"
    UNVERIFIED = "unverified"
    BLOCKED = "blocked"
    SOURCE_UNAVAILABLE = "source_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    PIPELINE_ERROR = "pipeline_error"
    DUE_LATER = "due_later"
    REFUSED_START = "refused_start"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    LOST = "lost"


class Record(BaseModel):
    """One row. Field order is column order; empty text is stored as NULL."""

    model_config = ConfigDict(extra="forbid")
    # Not a field: most records have none, and a private attribute would cost each of them as much as all its
    # fields.
    __slots__ = ("_absent",)

    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]
    # Rows of the same value here that a later, complete answer no longer has are marked removed.
    complete_by: ClassVar[str | None] = None
    # Whether other answers take its rows away again: one that is not there is not missing.
    comes_and_goes: ClassVar[bool] = False
    # Columns that say who told the row: not in its hash, and no change of it.
    told_by: ClassVar[tuple[str, ...]] = ()

    @property
    def absent(self) -> frozenset[str]:
        """The columns of which the answer said nothing: in a new row they have the values given here, in a
        stored one they stay.
        """
        return getattr(self, "_absent", frozenset())

    def lacking(self, columns: Iterable[str]) -> Self:
        """Note columns of which the answer said nothing; returns the record."""
        object.__setattr__(self, "_absent", frozenset(columns))
        return self


@dataclass(slots=True)
class Rows:
    """Many records of one class by column, in the order of its fields: a page of 2,000 needs no object for
    each.

    `mapped`: the columns that the source has at all; empty where nobody needs to know. `absent`: columns of
    which the answer said nothing, at these positions, or in all rows (None). The values given there are None:
    NULL in a new row; in a stored one its own stay.
    """

    record: type[Record]
    columns: Sequence[Sequence[Any]]
    mapped: tuple[str, ...] = ()
    absent: Mapping[str, frozenset[int] | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns[0])


# Row ids that one answer may list: of eight digits, so many have room in the largest answer of a layer
# (max_body of gis.yaml).
IDS_MOST = 1_800_000


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a layer holds at one moment: lowest and highest row id and the number of rows; `page` rows an
    answer.

    `detail` goes with every range of the walk over it. `confirmed`: whether the layer has as many rows of the
    APNs that came more than once in `walk` as came; None when it was not asked.
    """

    layer: str
    first: int
    last: int
    count: int
    page: int
    read_at: dt.datetime
    detail: "Detail"
    accept_shrink: bool = False
    confirmed: bool | None = None
    walk: int | None = None


class Detail(BaseModel):
    """What a target says besides its key: jsonb in `crawl.target`, in which fields that were not given are
    not there. Each kind of target that has one has a class of its own in its source's folder (`details` of
    its spider).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, told: "Target | FollowOn | Extent") -> Self:
        """Return what is told, which is of this class; where there is nothing, what the class has by
        itself.
        """
        detail = cls() if told.detail is None else told.detail
        assert isinstance(detail, cls)
        return detail

    def stored(self) -> dict[str, Any]:
        """Return it as it is stored, without what was not given."""
        return self.model_dump(mode="json", exclude_unset=True)


class Floor(BaseModel):
    """What a healthy run of a source leaves in one table, less a fifth; a run below is incomplete.

    `kind`: of the targets that bring the rows, `file`: which bulk file's. `each`: rows a target, on average;
    `whole`: of the table when all of the county was asked for. `filled`: least share with a value, by column.
    Judged from `least` rows on; no row at all never passes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    kind: str
    file: str | None = None
    each: Annotated[float, Field(gt=0)] | None = None
    whole: Annotated[int, Field(gt=0)] | None = None
    least: Annotated[int, Field(gt=0)] = 50
    filled: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}

    @model_validator(mode="after")
    def _scoped(self) -> "Floor":
        if (self.each is None) == (self.whole is None):
            raise ValueError("give either each or whole")
        return self


@dataclass(frozen=True, slots=True)
class Capture:
    """A response as it came, before it is parsed. `body` is what is kept, `sha256` its digest.

    `left_out` names what was replaced in the body, `is_rendered` says that a browser made it of what was
    sent.
    """

    sha256: bytes
    source: str
    url: str
    status: int
    content_type: str
    fetched_at: dt.datetime
    body: bytes
    # By the source's policy: of an answer that is not kept, only these facts are stored, and `size`, the
    # bytes that it had.
    is_kept: bool = True
    size: int | None = None
    left_out: tuple[str, ...] = ()
    is_rendered: bool = False

    def without_body(self) -> "Capture":
        """Return the capture of an answer whose body is not kept."""
        return replace(self, body=b"", is_kept=False, size=len(self.body) if self.size is None else self.size)


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fetch: what is asked of which source. `detail` is what the page before handed on,
    `failures` counts by cause.
    """

    id: int
    source: str
    kind: str
    key: str
    attempts: int = 0
    detail: Detail | None = None
    failures: dict[str, int] | None = None
    priority: int = NORMAL


@dataclass(frozen=True, slots=True)
class FollowOn:
    """Work that an answer uncovered, for this source or another, not asked for before `not_before`; as urgent
    as the target answered.
    """

    source: str
    kind: str
    key: str
    detail: Detail | None = None
    not_before: dt.datetime | None = None
    priority: int = NORMAL


@dataclass(frozen=True, slots=True)
class Issue:
    """Something that a person must look at. `signature` is what makes two of them the same, `screenshot` a
    PNG of what a browser showed.
    """

    kind: IssueKind | Cause
    signature: str
    message: str
    example: Json | None = None
    screenshot: bytes | None = None


# Of one answer: what has more surprises is one surprise. These kinds are left out first.
ISSUES_MOST = 20
_LEAST = (IssueKind.ABSENT_FIELD, IssueKind.NEW_FIELD)


def few(issues: list[Issue], uncounted: int = 0) -> list[Issue]:
    """Return 20 of an answer's issues, those that cost rows first, and one that says how many there are
    besides, `uncounted` included.
    """
    if issues and issues[-1].kind is IssueKind.MORE_ISSUES and len(issues) <= ISSUES_MOST + 1:
        return issues
    more = len(issues) - ISSUES_MOST + uncounted if len(issues) > ISSUES_MOST else uncounted
    if not more:
        return issues
    # By their place in the tuple, what is not in it before all.
    kept = sorted(issues, key=lambda issue: _LEAST.index(issue.kind) + 1 if issue.kind in _LEAST else 0)[
        :ISSUES_MOST
    ]
    return [
        *kept,
        Issue(IssueKind.MORE_ISSUES, "more", f"{more:,} more issues of one answer; its capture has them all"),
    ]


class Outcome(StrEnum):
    """What became of a target: answered, positively absent, or failed for now (`Answer.cause` says why)."""

    DONE = "done"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Signs:
    """The owner and the situs address that a page shows, a line of it a line; its address says that it is the
    parcel `apn`'s.
    """

    apn: str
    owner: str | None
    situs_address: str | None


@dataclass(slots=True)
class Answer:
    """All that came of one target."""

    target: Target
    outcome: Outcome = Outcome.DONE
    records: list[Record] = field(default_factory=list)
    capture: Capture | None = None
    # Tables of which this answer has all rows of a parcel: those that it lacks are marked removed.
    complete: list[tuple[type[Record], str]] = field(default_factory=list)
    follow_ons: list[FollowOn] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    cause: Cause | None = None
    message: str = ""
    retry_after: float | None = None
    # Not while the source as a whole fails: then no attempt is spent.
    is_target_s_fault: bool = True
    pages: list[Rows] = field(default_factory=list)
    unkeyed: int = 0
    extent: Extent | None = None
    # is_part: more is to come, the target stays open. is_final: a failure that another try cannot mend.
    is_part: bool = False
    is_final: bool = False
    # Why the job is incomplete, although the target is answered.
    shortfall: str | None = None
    # Sections of the answer that could not be read, although others could; what is stored of them stays.
    unread: tuple[str, ...] = ()
    # What must agree with what is stored of the target, or nothing of the answer is.
    signs: list[Signs] = field(default_factory=list)
    # The answer as the writer takes it (database/store_and_acknowledge.py).
    encoded: Any = None

    @property
    def size(self) -> int:
        """Records and further targets that the answer holds."""
        of_pages = sum(len(page) for page in self.pages) + self.unkeyed
        return len(self.records) + len(self.follow_ons) + of_pages + (self.extent is not None)

    def __repr__(self) -> str:
        end = f" {self.cause}: {self.message}" if self.cause else ""
        return (
            f"<Answer {self.target.kind} {self.target.key} {self.outcome},"
            f" {len(self.records) + sum(map(len, self.pages))} records{end}>"
        )
