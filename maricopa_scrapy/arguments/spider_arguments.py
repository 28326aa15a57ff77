"""Spider arguments: the only place where strings become values; for lists see lists/.

Every error is an ArgumentError whose message is one line: which argument, where, what is wrong, the remedy.
"""

import datetime as dt
import difflib
from collections.abc import Iterable

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn

_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}
_TRUE, _FALSE = frozenset(("1", "yes", "true", "on")), frozenset(("0", "no", "false", "off"))


class ArgumentError(ValueError):
    """A spider argument that cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"spider argument `{name}`: {message}")
        self.name = name
        self.message = message


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
        raise ArgumentError(
            name, f"{value!r} is not a length of time; the form is 30d (days), 12h (hours) or 4w (weeks)"
        )
    return int(number) * _UNITS[unit]


def apn(name: str, value: str) -> str:
    """Read one APN, in any notation."""
    try:
        return parse_apn(value)
    except IdentifierError:
        raise ArgumentError(
            name, f"{value.strip()[:60]!r} is not an APN; the form is 165-28-054 or 16528054"
        ) from None


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
        raise ArgumentError(
            options[0], f"missing; give one of {', '.join(f'-a {name}=...' for name in options)}"
        )
    raise ArgumentError(given[1], f"cannot be given together with `{given[0]}`")


def _suggest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
