"""The shape of a bulk file, and where one file has the columns of its shape: by the names of its header, or
by position.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from maricopa_scrapy.items import Issue, IssueKind, Record
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.sources.bulk.file_values import KINDS

# Of all lines of a file: beyond it the file is shifted, damaged or another one. With a header the columns are
# known for sure.
_MISFIT_MOST = 0.02
_MISFIT_MOST_HEADED = 0.1
_FEW = 5
# So many known names make a first line a header. A data line has none.
_NAMES_LEAST = 3
# Without names more columns that do not fit than these have moved, unless all are of one kind: then its form
# has changed.
_CHANGED_MOST = 2
# As the county, or a client, names the column of the APN.
_APN_NAMES = ("PARCELNUMBER", "PARCEL", "APN")
_NO_LETTER = re.compile("[^A-Z0-9]")


@dataclass(frozen=True)
class FileShape:
    """One file: its record, and the kind of each column in order.

    `header`: names of the columns, "" of one that nobody knows; `is_headed`: a file without a line of them is
    another file. `key`: the columns by which a row is known, its APN first. Of a key that comes again the
    first line stands; with `is_numbered` all stand, and the record's last field numbers them. `raw`: columns
    that are also kept as they came. `dates`: fields that should not lie in the future.
    """

    name: str
    record: type[Record]
    kinds: Sequence[str]
    header: tuple[str, ...]
    is_headed: bool = False
    key: tuple[int, ...] = (0,)
    raw: tuple[int, ...] = ()
    is_numbered: bool = False
    dates: tuple[str, ...] = ()
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        fields = tuple(self.record.model_fields)
        object.__setattr__(self, "columns", fields[: len(self.kinds)])
        assert len(fields) == len(self.kinds) + len(self.raw) + self.is_numbered
        assert len(self.header) == len(self.kinds)

    def section(self, number: int) -> str:
        """Return what the section of a column is called."""
        return f"{self.record.table.split('.')[1]}.{self.columns[number]}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one file has the columns of its shape: position of each, of `width`; None where it has not.

    `is_headed`: its first line is one of names; `new` are those that we do not know, `unnamed` those of
    columns that are read by position.
    `unread`: columns of the shape that are not read, because too much of the file does not fit them.
    """

    order: tuple[int | None, ...]
    width: int
    is_headed: bool = False
    new: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    unread: frozenset[int] = frozenset()

    def place(self, number: int) -> int | None:
        """Return where a column is read."""
        return None if number in self.unread else self.order[number]


def layout_of(shape: FileShape, first_line: str) -> Layout:
    """Read the first line of a file. Raises SourceChanged for a header without a column by which rows are
    known.
    """
    names = first_line.split("|")
    at = {_plain(name): position for position, name in enumerate(names)}
    wanted = [_plain(name) for name in shape.header]
    found = {number: at[name] for number, name in enumerate(wanted) if name and name in at}
    if (
        0 not in found
        and (position := next((at[name] for name in _APN_NAMES if name in at), None)) is not None
    ):
        found[0] = position
    if not shape.is_headed and len(found) < _NAMES_LEAST:
        return Layout(tuple(range(len(shape.kinds))), len(shape.kinds))
    missing = [shape.header[number] for number in shape.key if number not in found]
    if missing:
        raise SourceChanged(
            "line 1", f"the column names of the {shape.name}, {', '.join(missing)} among them", first_line
        )
    by_position = dict(_between(found, wanted, len(names)))
    read = {**found, **by_position}
    unknown = [position for position in range(len(names)) if position not in read.values()]
    return Layout(
        tuple(read.get(number) for number in range(len(wanted))),
        len(names),
        True,
        tuple(names[position].strip() for position in unknown),
        tuple(names[position].strip() for position in sorted(by_position.values())),
    )


def _plain(name: str) -> str:
    return _NO_LETTER.sub("", name.upper())


def _between(found: Mapping[int, int], wanted: Sequence[str], width: int) -> Iterator[tuple[int, int]]:
    """Yield the place of each column without a name, where the columns with names around it leave no
    doubt.
    """
    for (left, begin), (right, end) in pairwise([(-1, -1), *sorted(found.items()), (len(wanted), width)]):
        columns = range(left + 1, right)
        places = [place for place in range(begin + 1, end) if place not in found.values()]
        unnamed = [number for number in columns if not wanted[number]]
        # As many as should be: one with a name was renamed. As many as have none: one with a name is gone.
        if len(places) == len(columns):
            yield from (
                (number, place) for number, place in zip(columns, places, strict=True) if not wanted[number]
            )
        elif len(places) == len(unnamed):
            yield from zip(unnamed, places, strict=True)


def too_many(misfits: int, lines: int, is_headed: bool) -> bool:
    """Whether so many lines that do not fit make a file, or a column, another one: over a share of all and
    over five, or half of a few.
    """
    share = _MISFIT_MOST_HEADED if is_headed else _MISFIT_MOST
    return misfits > max(lines * share, min(_FEW, lines / 2))


def unread_columns(
    shape: FileShape, layout: Layout, misfits: Mapping[int, int], lines: int
) -> frozenset[int]:
    """Return the columns that too many of the lines do not fit; `misfits` counts them.

    Raises SourceChanged when a row is known by one of them, or when the columns have moved: where a column
    without a form has gone, then, nothing tells.
    """
    found = frozenset(number for number, count in misfits.items() if too_many(count, lines, layout.is_headed))
    for number in shape.key:
        if number in found:
            raise SourceChanged(
                column_name(shape, layout, number),
                KINDS[shape.kinds[number]][0],
                f"{misfits[number]:,} of {lines:,} lines",
            )
    if (
        not layout.is_headed
        and len(found) > _CHANGED_MOST
        and len({shape.kinds[number] for number in found}) > 1
    ):
        named = ", ".join(column_name(shape, layout, number) for number in sorted(found))
        raise SourceChanged(
            named,
            f"the columns of the {shape.name} in their order",
            f"others in up to {max(misfits.values()):,} lines",
        )
    return found


def column_issues(shape: FileShape, layout: Layout, misfits: Mapping[int, int], lines: int) -> list[Issue]:
    """Return what a person must know of a file's columns: which it does not have, which are not read, and
    which are new.
    """
    notes = Notes()
    for number, place in enumerate(layout.order):
        if place is None:
            notes.is_absent(f"{shape.name}.{shape.header[number] or shape.columns[number]}")
    for number in sorted(layout.unread):
        told = f"another form in {misfits[number]:,} of {lines:,} lines"
        notes.unread[shape.section(number)] = SourceChanged(
            column_name(shape, layout, number), KINDS[shape.kinds[number]][0], told
        )
    issues = notes.issues(f"the {shape.name}")
    new, unnamed = ", ".join(layout.new), ", ".join(layout.unnamed)
    if new:
        issues.append(
            Issue(IssueKind.NEW_FIELD, new[:200], f"the {shape.name} has columns that are not stored: {new}")
        )
    if unnamed:
        told = f"columns of the {shape.name} that are known by their position have these names: {unnamed}"
        issues.append(Issue(IssueKind.NEW_FIELD, unnamed[:200], told))
    return issues


def column_name(shape: FileShape, layout: Layout, number: int) -> str:
    """Return how a person is told of a column of the file."""
    place = layout.order[number]
    name = (layout.is_headed and shape.header[number]) or shape.columns[number]
    return name if place is None else f"column {place + 1} ({name})"
