"""How a list is laid out: its heading, and the columns that count, found from the heading and the first
records together.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from maricopa_scrapy.arguments.list_cells import Kind, cleaned, is_bare, is_compact_date, is_grouped, told
from maricopa_scrapy.arguments.list_lines import Record, is_decoration
from maricopa_scrapy.items import PRIORITIES

# Of the cells of a column that are not blank, so many must be what the list is of.
_FITS = 0.5
_HEADING_WITHIN = 20
_URGENT = re.compile("priorit|prio\\b|urgen")
# Days that are eight digits are told from APNs when so many in a row are.
_SURE_OF_DATES = 3
_NO_HEADING = frozenset(
    ["na", "none", "null", "nil", "unknown", "tbd", "pending", "missing", "total", "totals"]
)


class Undecided(ValueError):
    """A list of which the column that counts cannot be told; the message says what to give."""


@dataclass(slots=True)
class Layout:
    """`columns`: those that count, from 0; `above`: records above the first row; `twin`: a column that says
    the same.

    `is_strict`: without a heading, one that stands in another column would be lost, and is a mistake.
    `other`: columns that cannot be short for more of them. `width`: how many cells the heading has.
    `is_parted`: all are written with separators, so eight digits may be a day.
    """

    columns: tuple[int, ...] = (0,)
    above: int = 0
    heading: list[str] | None = None
    priority: int | None = None
    twin: int | None = None
    is_strict: bool = False
    is_sure: bool = True
    is_parted: bool = False
    width: int | None = None
    other: frozenset[int] = frozenset()
    note: str | None = None

    def named(self, at: int) -> str:
        """Return a column as a message tells it."""
        name = told(cleaned(self.heading[at])) if self.heading and at < len(self.heading) else ""
        return f"column {at + 1}" + (f" ({name})" if name else "")


def layout(kind: Kind, first: Sequence[Record], column: str | None) -> Layout:
    """Return the layout of a list from its first records; `column`: the name or number of the one that
    counts.

    Raises Undecided.
    """
    rows = [cells for _, cells in first]
    found = Layout()
    _find_heading(kind, rows, found, column)
    body = [cells for cells in rows[found.above :] if not is_decoration(cells)]
    found.priority, unread = _priority(body, found)
    width = max((len(cells) for cells in (found.heading or [], *body)), default=1)
    if column is not None:
        found.columns = tuple(_given(kind, one, found, width) for one in _split(column, found))
    elif width > 1:
        _choose(kind, body, found, width)
    found.width = None if found.is_strict or found.heading is None else len(found.heading)
    given = [row[at] for row in body for at in found.columns if len(row) > at and kind.holds(row[at])]
    found.is_parted = (
        not kind.is_telling
        and any(not is_bare(cell) for cell in given)
        and all(not is_bare(cell) or is_compact_date(cell) for cell in given)
    )
    if unread is not None:
        named = f"{found.named(unread)} is not read as priorities: its words are not {', '.join(PRIORITIES)}"
        found.note = f"{found.note}; {named}" if found.note else named
    return found


def score(kind: Kind, first: Sequence[Record], column: str | None) -> tuple[int, ...]:
    """Return how well a dialect fits the first records: the more, the better."""
    rows = [cells for _, cells in first]
    held = [[at for at, cell in enumerate(cells) if kind.holds(cell)] for cells in rows]
    best = Counter(at for row in held for at in row)
    widths = Counter(len(cells) for cells in rows)
    has_heading = any(_is_named(kind, cells, column) for cells in rows[:_HEADING_WITHIN])
    return (
        max(best.values(), default=0),
        int(has_heading),
        sum(map(len, held)),
        max(widths.values(), default=0),
    )


def _is_named(kind: Kind, cells: Sequence[str], column: str | None) -> bool:
    if column is not None and any(_plain(cell) == _plain(column) for cell in cells):
        return True
    return len(cells) > 1 and any(kind.names(cleaned(cell)) for cell in cells)


def _plain(text: str) -> str:
    return " ".join(cleaned(text).lower().split())


def _find_heading(kind: Kind, rows: list[list[str]], found: Layout, column: str | None) -> None:
    wanted = set() if column is None else {_plain(column), *map(_plain, column.split(","))} - {""}
    for at, cells in enumerate(rows[:_HEADING_WITHIN]):
        # A title may stand above the heading, but no mistyped row.
        if any(kind.holds(cell) or _is_like_a_number(cell) for cell in cells):
            break
        names = any(kind.names(cleaned(cell)) or _plain(cell) in wanted for cell in cells)
        if names and (found.heading is None or _filled(cells) > _filled(found.heading)):
            found.above, found.heading = at + 1, cells
    if found.heading is None and rows and _is_wordy(kind, rows):
        found.above, found.heading = 1, rows[0]


def _filled(cells: list[str]) -> int:
    return sum(not is_decoration([cell]) for cell in cells)


def _is_like_a_number(cell: str) -> bool:
    return sum(c.isdigit() for c in cell) >= 4 and not any(c.isalpha() for c in cleaned(cell)[:-1])


def _is_wordy(kind: Kind, rows: list[list[str]]) -> bool:
    """Tell whether the first record is a heading by its looks: words that differ, above rows of which one has
    what the list is of.
    """
    names = [_plain(cell) for cell in rows[0]]
    if (
        len(names) < 2
        or any(kind.holds(cell) for cell in rows[0])
        or not any(kind.holds(cell) for cells in rows[1:2] for cell in cells)
    ):
        return False
    filled = [name for name in names if name]
    at = [at for at, cell in enumerate(rows[1]) if kind.holds(cell)]
    is_named = any(
        place < len(names)
        and any(c.isalpha() for c in names[place])
        and not any(c.isdigit() for c in names[place])
        and "".join(c for c in names[place] if c.isalpha()) not in _NO_HEADING
        for place in at
    )
    return (
        is_named
        and len(set(filled)) == len(filled)
        and all(any(c.isalpha() for c in name) for name in filled)
    )


def _priority(body: list[list[str]], found: Layout) -> tuple[int | None, int | None]:
    """Return the column of priorities, and one whose heading sounds so, and whose words are others. Raises
    Undecided.
    """
    # One word above rows of several cells heads the first of them alone.
    if found.heading is None or len(found.heading) == 1:
        return (
            next((at for at in range(max(map(len, body), default=0)) if _are_priorities(body, at)), None),
            None,
        )
    named = [at for at, cell in enumerate(found.heading) if _plain(cell) == "priority"]
    if len(named) > 1:
        raise Undecided(f"{len(named)} columns are headed 'priority'; give the others another heading")
    if named:
        return named[0], None
    near = [at for at, cell in enumerate(found.heading) if _URGENT.search(_plain(cell))]
    fitting = [at for at in near if _are_priorities(body, at)]
    if len(fitting) == 1:
        return fitting[0], None
    return None, next(iter(near), None)


def _are_priorities(body: list[list[str]], at: int) -> bool:
    words = {priority_word(cells[at]) for cells in body if len(cells) > at} - {""}
    return bool(words) and words <= set(PRIORITIES)


def priority_word(cell: str) -> str:
    """Return what a cell of priorities says, without a comment behind it."""
    return _plain(cell.partition("#")[0])


def _split(column: str, found: Layout) -> list[str]:
    whole = found.heading is not None and any(_plain(cell) == _plain(column) for cell in found.heading)
    return [column] if whole else [part for part in column.split(",") if part.strip()] or [column]


def _given(kind: Kind, column: str, found: Layout, width: int) -> int:
    if found.heading is not None:
        named = [at for at, cell in enumerate(found.heading) if _plain(cell) == _plain(column)]
        if len(named) > 1:
            raise Undecided(
                f"{len(named)} columns are headed {column!r}; give the number of the one that counts"
            )
        if named:
            return named[0]
    text = column.strip()
    if text.isascii() and text.isdigit() and 0 < int(text) <= width:
        return int(text) - 1
    if len(text) == 1 and text.isascii() and text.isalpha() and ord(text.upper()) - 65 < width:
        return ord(text.upper()) - 65
    there = ", ".join(told(cleaned(cell)) for cell in (found.heading or [])[:20] if cell.strip())
    raise Undecided(
        f"there is no column {column!r}; there are {f'{there}, or ' if there else ''}the numbers 1 to {width}"
    )


def _choose(kind: Kind, body: list[list[str]], found: Layout, width: int) -> None:
    cells = [
        [row[at] for row in body if len(row) > at and not is_decoration([row[at]])] for at in range(width)
    ]
    fits = [
        at for at in range(width) if cells[at] and sum(map(kind.holds, cells[at])) >= _FITS * len(cells[at])
    ]
    named = [at for at, cell in enumerate(found.heading or []) if kind.names(cleaned(cell))]
    # A list of which each line has several: its heading is one word above the first.
    is_list = found.heading is not None and width > len(found.heading) == 1
    found.is_strict = found.heading is None or is_list
    found.other = frozenset(
        at for at in range(width) if not all(kind.short.fullmatch(cell.strip()) for cell in cells[at])
    )
    if is_list and fits:
        named = []
    if len(named) == 1:
        found.columns = (named[0],)
    elif named:
        _one_of(kind, body, found, [at for at in named if at in fits] or named)
    else:
        fits = _without_dates(kind, cells, found, fits)
        if len(fits) <= 1:
            found.columns, found.is_sure = tuple(fits) or (0,), bool(fits)
        elif (found.heading is not None and not is_list) or _twin(kind, body, fits):
            _one_of(kind, body, found, fits)
        else:
            _all_of(kind, cells, body, found, fits)
    if len(found.columns) == 1 and found.is_sure:
        urgency = f"; {found.named(found.priority)} says how urgent" if found.priority is not None else ""
        found.note = f"the {kind.what}s are those of {found.named(found.columns[0])}{urgency}"


def _one_of(kind: Kind, body: list[list[str]], found: Layout, fits: list[int]) -> None:
    found.columns = (fits[0],)
    if len(fits) == 1:
        return
    if not _twin(kind, body, fits):
        raise Undecided(_question(kind, found, fits))
    found.twin = fits[1]


def _twin(kind: Kind, body: list[list[str]], fits: list[int]) -> bool:
    """Tell whether two columns say the same in every row, in whatever notation."""
    if len(fits) != 2:
        return False
    pairs = [
        tuple(kind.values(row[at]) if at < len(row) and kind.holds(row[at]) else () for at in fits)
        for row in body
    ]
    return bool(pairs) and all(one == other for one, other in pairs)


def _without_dates(kind: Kind, cells: list[list[str]], found: Layout, fits: list[int]) -> list[int]:
    """Leave out the columns whose eight digits are days. Raises Undecided when they may as well be APNs."""
    dates = [at for at in fits if all(map(is_compact_date, cells[at]))]
    others = [at for at in fits if at not in dates]
    if not dates:
        return fits
    are_dashed = bool(others) and not any(_is_bare(cells[at]) for at in others)
    are_headed = found.heading is not None and all(
        "date" in _plain(found.heading[at]) for at in dates if at < len(found.heading)
    )
    if others and (are_dashed or are_headed or min(len(cells[at]) for at in dates) >= _SURE_OF_DATES):
        return others
    raise Undecided(_question(kind, found, fits, "or dates"))


def _is_bare(cells: list[str]) -> bool:
    return all(map(is_bare, cells))


def _all_of(
    kind: Kind, cells: list[list[str]], body: list[list[str]], found: Layout, fits: list[int]
) -> None:
    """Take all columns of a list without a heading. Raises Undecided when some may be something else, or
    are.
    """
    filled = [
        at
        for at in range(len(cells))
        if cells[at] and at != found.priority and not all(map(is_compact_date, cells[at]))
    ]
    # How they are written: with separators, as numbers, as a spreadsheet groups numbers.
    forms = {(_is_bare(cells[at]), any(map(is_grouped, cells[at]))) for at in fits}
    is_table = len({len(row) for row in body}) == 1 and (len(body) > 1 or len(fits) == 2)
    # Bare numbers next to dashed ones may number the rows, those in groups may be prices.
    if fits != filled or (is_table and len(forms) > 1 and not kind.is_telling):
        raise Undecided(_question(kind, found, fits))
    found.columns = tuple(fits)


def _question(kind: Kind, found: Layout, fits: list[int], also: str = "") -> str:
    which = " and ".join(found.named(at) for at in fits[:5])
    may = f"{'holds' if len(fits) == 1 else 'hold'} what may be {kind.what}s{f' {also}' if also else ''}"
    option = kind.column.replace("_", "-")
    each = f", or {','.join(str(at + 1) for at in fits[:5])} for all" if len(fits) > 1 else ""
    return f"{which} {may}; say which counts: --{option} {fits[0] + 1} (-a {kind.column}={fits[0] + 1}){each}"
