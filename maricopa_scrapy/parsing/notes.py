"""What a parser notes besides the values: fields that are new, fields that are absent, sections that could
not be read.

The rule of all parsers: the smallest thing is refused. Whose answer it is (identity) must be right, else
nothing is stored. A section, which is one table of one answer, is left out as a whole when a value of it is
not of its kind; what is stored of it stays. An absent field is NULL in a new row and leaves a stored value as
it is.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from maricopa_scrapy.items import ISSUES_MOST, Issue, IssueKind, Record, few
from maricopa_scrapy.parsing.errors import ABSENT, SourceChanged
from maricopa_scrapy.parsing.values import clean

_SHOWN = 80
_R = TypeVar("_R", bound=Record)


@dataclass(slots=True)
class Notes:
    """What was noted of one answer; paths have `[]` for any element of a list.

    `new` and `absent` are dicts because those are ordered sets; of `new` as many are kept as are told, `more`
    counts the rest.
    `unread` has the reason by section, `read` the sections that could be read.
    """

    new: dict[str, None] = field(default_factory=dict)
    more: int = 0
    absent: dict[str, None] = field(default_factory=dict)
    unread: dict[str, SourceChanged] = field(default_factory=dict)
    read: dict[str, None] = field(default_factory=dict)

    def section(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which SourceChanged leaves the section unread, and nothing else."""
        return _Section(self, name)

    def is_new(self, path: str) -> None:
        """Note a field that nobody knows."""
        if len(self.new) >= ISSUES_MOST and path not in self.new:
            # A hostile answer has hundreds of thousands.
            self.more += 1
            return
        self.new[clean(path)[:_SHOWN]] = None

    def is_absent(self, path: str) -> None:
        """Note a known field that the answer does not have."""
        self.absent[path] = None

    def raise_if_all_unread(self) -> None:
        """Raise the first section's SourceChanged when none could be read."""
        if self.unread and not self.read:
            raise next(iter(self.unread.values()))

    def issues(self, whose: str) -> list[Issue]:
        """Return what a person must know, one issue for each field or section; `whose` is the source as a
        person calls it.
        """
        issues = [Issue(IssueKind.NEW_FIELD, path, f"{whose} has a new field: {path}") for path in self.new]
        issues += [
            Issue(
                IssueKind.ABSENT_FIELD,
                path,
                f"{whose} lacks a field: {path}; it is NULL in new rows, and stored values stay",
            )
            for path in self.absent
        ]
        issues += [
            Issue(
                IssueKind.UNREAD_SECTION,
                f"{name}: {error.path}"[:200],
                f"section {name} could not be read, what is stored of it stays: {error}",
            )
            for name, error in self.unread.items()
        ]
        return few(issues, self.more)


class _Section(AbstractContextManager[None]):
    def __init__(self, notes: Notes, name: str) -> None:
        self._notes = notes
        self._name = name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self._notes.read[self._name] = None
            return False
        if not isinstance(error, SourceChanged):
            return False
        self._notes.unread.setdefault(self._name, error)
        return True


def record_of(kind: type[_R], columns: Mapping[str, Any], **more: Any) -> _R:
    """Return the record of columns as `Shape.read` returns them, where ABSENT stands for what the answer does
    not say.
    """
    absent = [column for column, value in columns.items() if value is ABSENT]
    if not absent:
        return kind(**columns, **more)
    return kind(**{**columns, **dict.fromkeys(absent), **more}).lacking(absent)
