"""The reader of lists: of a file, or of the argument itself; every line counts, or is named with what is
wrong with it.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, Self

from maricopa_scrapy.arguments import list_cells as kinds
from maricopa_scrapy.arguments import list_workbook, spider_arguments
from maricopa_scrapy.arguments.list_cells import Kind, NotOne
from maricopa_scrapy.arguments.list_file import Opened, UnreadableList, is_regular, lines, opened
from maricopa_scrapy.arguments.list_layout import Layout, Undecided, layout, score
from maricopa_scrapy.arguments.list_lines import DELIMITERS, Record, records
from maricopa_scrapy.arguments.list_rows import Mistakes, Rows, WrongPriority, shown
from maricopa_scrapy.arguments.spider_arguments import ArgumentError

# Records by which the layout is told.
_SAMPLE = 200
_SEPARATOR_LINE = "sep="


class ApnList:
    """The APNs of a file or of the argument itself, read as they are asked for; it can be read again, unless
    it is a pipe.

    After reading, `given` is how many APNs there were (duplicates included), `left_out` how many lines were
    none, `skipped` the first of them, `notes` how the list was read, `priorities` how urgent single APNs are,
    0 critical to 3 low, where the list says so.
    """

    kind: ClassVar[Kind] = kinds.APN

    def __init__(self, name: str, value: str, skip_invalid: bool = False, column: str | None = None) -> None:
        """`column`: the heading, or the number from 1, of the column that counts; of a workbook also
        SHEET!COLUMN. Raises ArgumentError.
        """
        self.name = name
        self.skip_invalid = skip_invalid
        self.column = column.strip() if column else None
        self.given = 0
        self.notes: list[str] = []
        self.priorities: dict[str, int] = {}
        # How many differ, where the reader knows before the ledger does.
        self.distinct: int | None = None
        self._value = value
        self._held: Sequence[str] | None = None
        self._mistakes = Mistakes(self.kind)
        # The file, where it is one.
        self.path: Path | None = None
        self._literal, why = self._read_literal(value)
        if self._literal is None:
            self.path = self._find_file(value, why)
        elif not self._literal:
            examples = f"{self.kind.examples[0]},{self.kind.examples[2]}"
            raise ArgumentError(
                name, f"the list is empty; give a file, or {self.kind.what}s such as {examples}"
            )
        elif self.column is not None:
            raise ArgumentError(self.kind.column, "goes with a file")

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> Self:
        """Return the list of a spider's argument `name`, read as its other arguments say; one that was read
        already stands for itself. Raises ArgumentError.
        """
        value: Any = given[name]
        if isinstance(value, cls):
            return value
        return cls(
            name,
            value,
            spider_arguments.flag("skip_invalid", given.get("skip_invalid", "no")),
            given.get(cls.kind.column),
        )

    @classmethod
    def of_values(cls, name: str, values: Sequence[str]) -> Self:
        """Return a list of what is known already."""
        found = cls(name, values[0])
        found._held, found.given = values, len(values)
        return found

    def hold(self) -> Sequence[str]:
        """Read the list, keep it, so that it is not read again, and return it. Raises ArgumentError."""
        self._held = list(self)
        return self._held

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what a job keeps of it."""
        return {self.name: self._value} | ({self.kind.column: self.column} if self.column else {})

    @property
    def skipped(self) -> list[str]:
        """Return the first lines that were left out, each with its place and what is wrong with it."""
        return self._mistakes.skipped

    @property
    def left_out(self) -> int:
        """Return how many lines, or cells, were left out."""
        return self._mistakes.left_out

    @property
    def told(self) -> dict[str, Any]:
        """Return what the job keeps of the lines that were left out; nothing where there were none."""
        return {"left_out": {"lines": self.left_out, "first": self.skipped[:5]}} if self.left_out else {}

    def __iter__(self) -> Iterator[str]:
        if self._held is not None:
            yield from self._held
            return
        self.given, self.notes = 0, []
        self.priorities = {}
        self._mistakes = Mistakes(self.kind)
        if self._literal is not None:
            for value in self._literal:
                self.given += 1
                yield value
            return
        assert self.path is not None
        try:
            with opened(self.path) as found:
                self.notes = found.notes
                yield from self._of_workbook(found) if found.workbook is not None else self._of_text(found)
        except UnreadableList as error:
            if not self._mistakes.count:
                raise ArgumentError(self.name, f"{self.path}: {error}") from error
        except OSError as error:
            if not self._mistakes.count:
                raise ArgumentError(self.name, f"{self.path}: {error.strerror or error}") from error
        if self._mistakes.count:
            raise ArgumentError(self.name, f"{self.path}, {self._mistakes.message()}")
        if not self.given:
            what = self.kind.what
            left_out = "".join(f"; skipped {line}" for line in self.skipped[:5])
            raise ArgumentError(
                self.name,
                f"{self.path}: no {what} in it; one a line, such as {self.kind.examples[0]}{left_out}",
            )

    def _of_text(self, found: Opened) -> Iterator[str]:
        assert found.text is not None
        supply = lines(found.text, found.notes)
        first = list(islice(supply, _SAMPLE))
        given = first[0].lstrip("\ufeff") if first else ""
        if given.lower().startswith(_SEPARATOR_LINE) and len(given.rstrip()) <= len(_SEPARATOR_LINE) + 1:
            # Excel's own first line; it is no record, but counts as a line.
            delimiter: str | None = given[len(_SEPARATOR_LINE) :][:1] or ","
            first[0] = ""
        else:
            delimiter = self._dialect(first)
        laid = self._layout(self._sample(first, delimiter), self.column)
        yield from self._values(records(chain(first, supply), delimiter, self.kind.holds), laid, "line ")

    def _sample(self, first: list[str], delimiter: str | None) -> list[Record]:
        return [record for record in records(first, delimiter, None) if any(record[1])]

    def _dialect(self, first: list[str]) -> str | None:
        there = [None, *(delimiter for delimiter in DELIMITERS if any(delimiter in line for line in first))]
        if len(there) == 1:
            return None
        return max(there, key=lambda delimiter: score(self.kind, self._sample(first, delimiter), self.column))

    def _layout(self, first: list[Record], column: str | None) -> Layout:
        try:
            laid = layout(self.kind, first, column)
        except Undecided as error:
            raise ArgumentError(self.name, f"{self.path}: {error}") from None
        if laid.above > 1:
            self.notes.append(
                f"the heading is in line {first[laid.above - 1][0]}; what stands above it is passed over"
            )
        if laid.note:
            self.notes.append(laid.note)
        return laid

    def _of_workbook(self, found: Opened) -> Iterator[str]:
        assert found.workbook is not None
        with list_workbook.sheets(found.workbook) as sheets:
            sheet, column = self._sheet(sheets)
            self.notes.append(f"reads sheet {sheet.name!r} of the workbook")
            laid = self._layout(list_workbook.grid(sheet, _SAMPLE), column)
            yield from self._values(sheet.rows(), laid, f"sheet {sheet.name!r}, row ")

    def _sheet(self, sheets: list[list_workbook.Sheet]) -> tuple[list_workbook.Sheet, str | None]:
        if self.column and "!" in self.column:
            name, _, column = self.column.rpartition("!")
            named = [
                sheet for sheet in sheets if sheet.name.strip().lower() == name.strip().strip("'").lower()
            ]
            if not named:
                raise ArgumentError(
                    self.kind.column,
                    f"{self.path}: there is no sheet {name!r}; there are {list_workbook.names(sheets)}",
                )
            return named[0], column.strip() or None
        filled = [(sheet, first) for sheet in sheets if (first := list_workbook.grid(sheet, _SAMPLE))]
        fits = [
            sheet
            for sheet, first in filled
            if any(self.kind.holds(cell) for _, cells in first for cell in cells)
        ]
        if len(fits) > 1:
            which = (
                f"say which counts: {self.kind.option} takes SHEET!COLUMN, or SHEET! alone, such as"
                f" {f'{fits[0].name}!'!r}"
            )
            raise ArgumentError(
                self.name,
                f"{self.path}: the sheets {list_workbook.names(fits)} all hold {self.kind.what}s; {which}",
            )
        if fits or len(filled) == 1:
            return (fits or [filled[0][0]])[0], self.column
        raise ArgumentError(
            self.name,
            f"{self.path}: no {self.kind.what} in its sheets, which are {list_workbook.names(sheets)}",
        )

    def _values(self, supply: Iterable[Record], laid: Layout, place: str) -> Iterator[str]:
        assert self.path is not None
        kind, mistakes, above = self.kind, self._mistakes, laid.above
        mistakes.path, mistakes.place, mistakes.skip, mistakes.is_sure = (
            str(self.path),
            place,
            self.skip_invalid,
            laid.is_sure,
        )
        rows = Rows(kind, laid, mistakes, self.priorities)
        plain, only = (kind.parted if laid.is_parted else kind.plain).fullmatch, laid.columns[0]
        width = laid.width or sys.maxsize
        is_simple = (
            laid.priority is None and laid.twin is None and not laid.is_strict and len(laid.columns) == 1
        )
        has_end = is_regular(self.path)
        for number, cells in supply:
            if above:
                above -= any(cells)
                continue
            # Nearly all rows of nearly all lists.
            if (
                is_simple
                and only < len(cells) <= width
                and (found := plain(cells[only]))
                and not mistakes.count
            ):
                self.given += 1
                yield "".join(found.groups()).upper()
                continue
            try:
                values = rows.read(number, cells)
            except WrongPriority as error:
                raise ArgumentError(self.name, f"{self.path}, {error}") from None
            # Once a row is wrong nothing begins: the rest is only looked through, and a pipe may have no end.
            if not mistakes.count:
                self.given += len(values)
                yield from values
            elif not has_end:
                return

    def _read_literal(self, value: str) -> tuple[list[str] | None, str]:
        """Return what the argument itself holds, or None and why not."""
        parts = [part for part in value.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
        try:
            values = [one for part in parts for one in self.kind.values(part)]
            self.kind.check_dates(parts)
            return values, ""
        except NotOne as error:
            return None, f" ({error})" if str(error) else ""

    def _find_file(self, value: str, why: str) -> Path:
        kind = self.kind
        parts = value.split(",")
        if len(parts) > 1 and any(map(kind.holds, parts)):
            part = next((part for part in parts if part.strip() and not kind.holds(part)), value)
            form = f"the form is {kind.examples[0]} or {kind.examples[1]}"
            raise ArgumentError(self.name, f"{shown(part)} is not {kind.article}{why}; {form}")
        try:
            path = Path(value).expanduser()
            is_folder, exists = path.is_dir(), path.exists()
        except (OSError, RuntimeError, ValueError) as error:
            raise ArgumentError(
                self.name, f"{shown(value)} is neither {kind.article} nor the name of a file ({error})"
            ) from error
        if is_folder:
            raise ArgumentError(self.name, f"{value} is a folder; give a file with one {kind.what} a line")
        if not exists:
            form = f"{kind.article} (such as {kind.examples[0]})"
            raise ArgumentError(
                self.name, f"{shown(value)} is neither {form} nor a file here (looked in {Path.cwd()}){why}"
            )
        return path


class RecordingNumbers(ApnList):
    """The recording numbers of a file or of the argument itself, in the same forms."""

    kind = kinds.RECORDING_NUMBER
