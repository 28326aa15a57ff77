"""The rows of a list: what each gives, or what is wrong with it, kept for one message that names them all."""

import re
from dataclasses import dataclass, field

from maricopa_scrapy.arguments.list_cells import Kind, NotOne, cleaned, is_compact_date
from maricopa_scrapy.arguments.list_layout import Layout, priority_word
from maricopa_scrapy.arguments.list_lines import is_comment, is_decoration
from maricopa_scrapy.items import PRIORITIES

# Wrong rows that are named one by one, and rows left out that are kept to be told.
_SHOWN = 10
_KEPT = 1_000
# What another column has where something may be lost.
_SUSPECT = re.compile(rf"[0-9]|^\W*(?:{'|'.join(PRIORITIES)})", re.IGNORECASE)


class WrongPriority(ValueError):
    """A priority that is none; the message says where, and which there are."""


@dataclass(slots=True)
class Mistakes:
    """Rows that hold none of what the list is of. `place`: what stands before a row's number, such as `line
    `.
    """

    kind: Kind
    path: str = ""
    place: str = "line "
    skip: bool = False
    is_sure: bool = True
    skipped: list[str] = field(default_factory=list)
    left_out: int = 0
    count: int = 0
    _first: str = ""
    _numbers: list[int] = field(default_factory=list)

    def add(self, number: int, text: str, reason: str) -> None:
        """Keep one: to be left out, or to be told."""
        why = f" ({reason})" if reason else ""
        if self.skip:
            self.left_out += 1
            if self.left_out <= _KEPT:
                self.skipped.append(f"{self.path}, {self.place}{number}: {shown(text)}{why}")
            return
        if self._numbers[-1:] == [number]:
            return
        self.count += 1
        self._first = self._first or f"{self.place}{number}: {shown(text)} is not {self.kind.article}{why}"
        if len(self._numbers) < _SHOWN:
            self._numbers.append(number)

    def message(self) -> str:
        """Return the line that names them."""
        unit = self.place.split()[-1]
        others = ", ".join(str(number) for number in self._numbers[1:])
        also = f", nor {f'is {unit}' if self.count == 2 else f'are {unit}s'} {others}" if others else ""
        also += f" and {self.count - _SHOWN:,} more" if self.count > _SHOWN else ""
        remedy = f"correct {'it' if self.count == 1 else 'them'}, or leave such lines out with --skip-invalid"
        if not self.is_sure:
            remedy += (
                f"; no column of it holds {self.kind.what}s: {self.kind.option} names the one that should"
            )
        return f"{self._first}{also}; {remedy}"


@dataclass(slots=True)
class Rows:
    """Reads row by row, as the layout says. `priorities`: how urgent single ones are; of one that comes again
    the first word counts.
    """

    kind: Kind
    layout: Layout
    mistakes: Mistakes
    priorities: dict[str, int]

    def read(self, number: int, cells: list[str]) -> list[str]:
        """Return what a row gives; what is wrong is kept. Raises WrongPriority."""
        laid = self.layout
        found: list[str] = []
        is_wrong = False
        for at in laid.columns:
            cell = cells[at] if at < len(cells) else ""
            try:
                values = self.kind.values(cell)
            except NotOne as error:
                # A heading that comes again, where files were put together; a rule below it.
                if cells == laid.heading or is_decoration(cells):
                    return []
                is_wrong = True
                self.mistakes.add(number, cell, str(error))
                continue
            if laid.is_parted and is_compact_date(cell):
                is_wrong = True
                self.mistakes.add(
                    number,
                    cell,
                    "it may be a date; if it is none, write it with its separators, as the others are",
                )
                continue
            found += values
            # A comment goes on to the end of the line.
            if "#" in cell:
                break
        if not found and not is_wrong:
            if not is_decoration(cells) and not is_comment(cells[0]):
                self.mistakes.add(number, ",".join(cells), f"{laid.named(laid.columns[0])} is empty")
            return found
        is_looked_at = (
            laid.twin is not None or laid.is_strict or (laid.width is not None and len(cells) > laid.width)
        )
        if found and is_looked_at and (lost := self._lost_of(cells, found)):
            self.mistakes.add(number, *lost)
            return []
        if laid.priority is not None and found:
            self._urge(number, cells, found, laid.priority)
        return found

    def _lost_of(self, cells: list[str], found: list[str]) -> tuple[str, str] | None:
        """Return what another column holds that would be lost, and why that is a mistake."""
        laid, kind = self.layout, self.kind
        if laid.twin is not None:
            cell = cells[laid.twin] if laid.twin < len(cells) else ""
            if cleaned(cell) and not (kind.holds(cell) and list(kind.values(cell)) == found):
                return cell, f"{laid.named(laid.columns[0])} says {found[0]}; {kind.option} says which counts"
            return None
        suspects = _SUSPECT.search
        others = [
            (at, cell)
            for at, cell in enumerate(cells)
            if at not in laid.columns and at != laid.priority and suspects(cell)
        ]
        if not laid.is_strict or not others:
            # Where a cell has a delimiter without quotes all behind it stand one place to the right.
            lost = next((cell for at, cell in others if at > laid.columns[0] and kind.holds(cell)), None)
            reason = (
                f"its row has {len(cells)} cells below a heading of {laid.width}: put a cell that has the"
                " delimiter in quotes"
            )
            return (
                None
                if lost is None or all(map(is_decoration, ([cell] for cell in cells[laid.width :])))
                else (lost, reason)
            )
        for at, cell in others:
            place = f"beside {found[0]}, in {laid.named(at)}"
            if kind.hides(cell) and not is_compact_date(cell):
                return cell, f"it stands {place}; {kind.option} says which counts"
            if at > laid.columns[-1] and at not in laid.other and kind.short.fullmatch(cell.strip()):
                return (
                    cell,
                    (
                        f"it may be short for another {place}; write it in full, or {kind.option} says which"
                        " counts"
                    ),
                )
            if priority_word(cell) in PRIORITIES:
                return (
                    cell,
                    (
                        f"it is a priority {place}, which is not that of the priorities; give the columns a"
                        " heading"
                    ),
                )
        return None

    def _urge(self, number: int, cells: list[str], found: list[str], at: int) -> None:
        word = priority_word(cells[at]) if at < len(cells) else ""
        if not word:
            return
        if word not in PRIORITIES:
            raise WrongPriority(
                f"{self.mistakes.place}{number}: priority {word!r} is not one of {', '.join(PRIORITIES)}"
            )
        for value in found:
            self.priorities.setdefault(value, PRIORITIES.index(word))


def shown(text: str) -> str:
    """Return a text as a message shows it: marks that nobody sees stand there by name, and what is long is
    cut.
    """
    plain = text.strip()
    return repr(plain if len(plain) <= 60 else plain[:57] + "...")
