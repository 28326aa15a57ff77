"""Spider arguments: the only place where strings become values.

Every error is an ArgumentError whose message is one line: which argument, where, what is wrong, the remedy.
"""

import csv
import datetime as dt
import difflib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from maricopa_scrapy.identifiers import IdentifierError, parse_apn, parse_recording_number
from maricopa_scrapy.items import PRIORITIES

# Wrong lines that are named one by one.
_SHOWN_LINES = 10
# What people and spreadsheets call the column, letters only.
_HEADINGS = frozenset(
    ["apn", "apns", "parcel", "parcels", "parcelid", "parcelno", "parcelnumber", "parcelnum", "apnnumber", "assessorparcelnumber"]
)
_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}
_TRUE, _FALSE = frozenset(("1", "yes", "true", "on")), frozenset(("0", "no", "false", "off"))


class ArgumentError(ValueError):
    """A spider argument that cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"spider argument `{name}`: {message}")
        self.name = name
        self.message = message


class ApnList:
    """The APNs of a file or of the argument itself, read as they are asked for.

    A file has one APN a line, in any notation; `#` begins a comment; of a CSV the first column counts.
    After reading, `given` is how many APNs there were (duplicates included), `skipped` the lines that were none.
    """

    what = "APN"
    things = "parcels"
    examples = ("165-28-054", "16528054", "123-45-678")
    headings = _HEADINGS
    parse = staticmethod(parse_apn)

    def __init__(self, name: str, value: str, skip_invalid: bool = False) -> None:
        self.name = name
        self.skip_invalid = skip_invalid
        self.given = 0
        self.skipped: list[str] = []
        # How many differ, where the reader knows before the ledger does.
        self.distinct: int | None = None
        self._literal = self._read_literal(value)
        # The file, where it is one.
        self.path: Path | None = None
        if self._literal is None:
            self.path = self._path = self._find_file(value)
        elif not self._literal:
            raise ArgumentError(name, f"the list is empty; give a file, or {self.what}s such as {self.examples[0]},{self.examples[2]}")

    def __iter__(self) -> Iterator[str]:
        self.given = 0
        self.skipped = []
        apns = iter(self._literal) if self._literal is not None else self._read_file()
        for apn in apns:
            self.given += 1
            yield apn
        if not self.given:
            left_out = "".join(f"; skipped {line}" for line in self.skipped[:5])
            raise ArgumentError(self.name, f"{self._path}: no {self.what} in it; one a line, such as {self.examples[0]}{left_out}")

    def _read_literal(self, value: str) -> list[str] | None:
        parts = [part for part in value.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
        try:
            return [self.parse(part) for part in parts]
        except IdentifierError:
            return None

    def _find_file(self, value: str) -> Path:
        for part in value.split(","):
            if "," in value and not self._is_one(part) and any(self._is_one(other) for other in value.split(",")):
                form = f"the form is {self.examples[0]} or {self.examples[1]}"
                raise ArgumentError(self.name, f"{_shown(part)} is not {_a(self.what)}; {form}")
        try:
            path = Path(value).expanduser()
            is_folder, exists = path.is_dir(), path.exists()
        except (OSError, RuntimeError, ValueError) as error:
            raise ArgumentError(self.name, f"{_shown(value)} is neither {_a(self.what)} nor the name of a file ({error})") from error
        if is_folder:
            raise ArgumentError(self.name, f"{value} is a folder; give a file with one {self.what} a line")
        if not exists:
            form = f"{_a(self.what)} (such as {self.examples[0]})"
            raise ArgumentError(self.name, f"{_shown(value)} is neither {form} nor a file here (looked in {Path.cwd()})")
        return path

    def _read_file(self) -> Iterator[str]:
        wrong: list[int] = []
        first = ""
        try:
            with self._path.open(encoding=_encoding(self._path), newline=None) as file:
                for number, line in enumerate(file, start=1):
                    cell = _first_cell(line)
                    if not cell or (not self.given and not self.skipped and not wrong and _is_heading(cell, self.headings)):
                        continue
                    try:
                        apn = self.parse(cell)
                    except IdentifierError:
                        if self.skip_invalid:
                            self.skipped.append(f"{self._path}, line {number}: {_shown(line)}")
                            continue
                        first = first or line
                        wrong.append(number)
                        # A pipe may have no end, or be long in coming to it.
                        if not self._path.is_file():
                            break
                        continue
                    # Once a line is wrong nothing begins: the rest is only looked through.
                    if not wrong:
                        yield apn
        except (OSError, UnicodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "not a text file in UTF-8 or UTF-16"
            if not wrong:
                raise ArgumentError(self.name, f"{self._path}: {what}") from error
        if wrong:
            raise ArgumentError(self.name, self._wrong_lines(wrong, first))

    def _wrong_lines(self, numbers: list[int], first: str) -> str:
        others = ", ".join(str(number) for number in numbers[1:_SHOWN_LINES])
        more = len(numbers) - _SHOWN_LINES
        also = f", nor {'is line' if len(numbers) == 2 else 'are lines'} {others}" if others else ""
        also += f" and {more:,} more" if more > 0 else ""
        is_heading = numbers[0] == 1 and any(delimiter in first for delimiter in ",;\t|")
        remedy = f"the first column must hold the {self.what}s" if is_heading else f"correct {'it' if len(numbers) == 1 else 'them'}"
        remedy += ", or leave such lines out with --skip-invalid"
        return f"{self._path}, line {numbers[0]}: {_shown(first)} is not {_a(self.what)}{also}; {remedy}"

    def _is_one(self, text: str) -> bool:
        try:
            self.parse(text)
        except IdentifierError:
            return False
        return True


class RecordingNumbers(ApnList):
    """The recording numbers of a file or of the argument itself, in the same forms."""

    what = "recording number"
    things = "documents"
    examples = ("2001-0849180", "20010849180", "20130183449")
    headings = frozenset(["recordingnumber", "recordingno", "recordingnum", "recnum", "deednumber", "documentnumber", "number"])
    parse = staticmethod(parse_recording_number)


def _first_cell(line: str) -> str:
    text = line.split("#", 1)[0].strip().strip("\ufeff")
    for delimiter in ",;\t|":
        if delimiter in text:
            # What is no CSV is no APN either: the caller says so.
            with suppress(csv.Error):
                text = next(csv.reader([text], delimiter=delimiter), [""])[0]
            break
    return text.strip().strip("'\"").strip()


def _a(what: str) -> str:
    return f"{'an' if what[0] in 'AEIO' else 'a'} {what}"


def _is_apn(text: str) -> bool:
    try:
        parse_apn(text)
    except IdentifierError:
        return False
    return True


def _is_heading(cell: str, headings: frozenset[str]) -> bool:
    return "".join(c for c in cell.lower() if c.isalpha()) in headings and not any(c.isdigit() for c in cell)


def _shown(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _encoding(path: Path) -> str:
    if not path.is_file():
        return "utf-8-sig"  # a pipe can be read only once
    with path.open("rb") as file:
        head = file.read(2)
    return "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def flag(name: str, value: str) -> bool:
    """Read yes or no."""
    text = value.strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ArgumentError(name, f"{value!r} is neither yes nor no")


def number(name: str, value: str) -> int:
    """Read a whole number above zero, such as a job's."""
    if value.isascii() and value.isdigit() and 0 < int(value) < 2**63:
        return int(value)
    raise ArgumentError(name, f"{value!r} is not a whole number above zero")


def choice(name: str, value: str, choices: Iterable[str]) -> str:
    """Read one of a few words."""
    known = list(choices)
    if value in known:
        return value
    raise ArgumentError(name, f"{value!r} is not one of {', '.join(known)}{_suggest(value, known)}")


def date(name: str, value: str) -> dt.date:
    """Read a day, YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(value.strip())
    except ValueError:
        raise ArgumentError(name, f"{value!r} is not a day; the form is 2026-09-01") from None


def age(name: str, value: str) -> dt.timedelta:
    """Read a length of time: hours, days or weeks, such as 12h, 30d, 4w."""
    number, unit = value.strip()[:-1], value.strip()[-1:].lower()
    if unit not in _UNITS or not (number.isascii() and number.isdigit() and 0 < int(number) < 100_000):
        raise ArgumentError(name, f"{value!r} is not a length of time; the form is 30d (days), 12h (hours) or 4w (weeks)")
    return int(number) * _UNITS[unit]


def apn(name: str, value: str) -> str:
    """Read one APN, in any notation."""
    try:
        return parse_apn(value)
    except IdentifierError:
        raise ArgumentError(name, f"{_shown(value)} is not an APN; the form is 165-28-054 or 16528054") from None


def query(name: str, value: str) -> str:
    """Read words to search for, blanks folded."""
    text = " ".join(value.split())
    if not any(c.isalnum() for c in text):
        raise ArgumentError(name, f"{value!r} has nothing to search for")
    return text


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an argument that the spider does not have."""
    names = list(known)
    for name in given:
        if name not in names:
            raise ArgumentError(name, f"unknown; the spider has {', '.join(names)}{_suggest(name, names)}")


def one_of(arguments: dict[str, str], names: Iterable[str]) -> str:
    """Return the one argument given of those that exclude each other."""
    options = list(names)
    given = [name for name in options if name in arguments]
    if len(given) == 1:
        return given[0]
    if not given:
        raise ArgumentError(options[0], f"missing; give one of {', '.join(f'-a {name}=...' for name in options)}")
    raise ArgumentError(given[1], f"cannot be given together with `{given[0]}`")


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def priorities(name: str, path: Path) -> dict[str, int]:
    """Return how urgent single APNs are, 0 critical to 3 low: of a CSV file with a heading `priority`, that column; else nothing.

    Lines whose field is empty are left out, and so are those that hold no APN, which ApnList tells of.
    """
    found: dict[str, int] = {}
    with path.open(encoding=_encoding(path), newline="") as file:
        begun, delimiter, names = 0, ",", [""]
        # The heading may stand below blank lines and comments, but above all APNs.
        while "priority" not in names:
            line = file.readline()
            if not line or _is_apn(_first_cell(line)):
                return {}
            begun += 1
            delimiter = next((one for one in ",;\t|" if one in line), ",")
            names = [cell.strip().strip("\ufeff").lower() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        at = names.index("priority")
        for number, row in enumerate(csv.reader(file, delimiter=delimiter), start=begun + 1):
            if len(row) > at and row[at].strip() and _is_apn(row[0]):
                word = row[at].strip().lower()
                if word not in PRIORITIES:
                    raise ArgumentError(name, f"{path}, line {number}: priority {word!r} is not one of {', '.join(PRIORITIES)}")
                found[parse_apn(row[0])] = PRIORITIES.index(word)
    return found
