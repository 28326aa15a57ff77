"""A layer's values as columns of ours, a whole column at a time: 2,000 rows a page leave no time for a call a value.

Each coercion takes the values of one field over a page and returns those of a column; None where the layer says nothing.
A value that cannot be true (a year 3024) becomes None and is noted in `odd`; so does one of another form, as long as no more
than 1 % of the page's, or a single one, are. Of more, and of another type, the first raises SourceChanged, naming its row.
Forms: docs/sources.md, "GIS layers".
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isfinite
from typing import Any

from maricopa_scrapy.pages.errors import SourceChanged
from maricopa_scrapy.pages.values import CODE_MOST, INT4, INT8, YEARS

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_EPOCH = dt.date(1970, 1, 1)
# Milliseconds after 00:00 UTC at which a layer's day begins. Arizona had daylight saving time until 1967.
DAY_BEGINS = {"utc": (0,), "phoenix": (7 * _HOUR_MS, 6 * _HOUR_MS)}
_TEXT_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_NONE = type(None)
_DAYS_KEPT = 50_000
# One value in so many may have another form: a slip of the county's, and no other format.
_FEW_OF = 100
# Leading zeros and all; int() raises at some thousand.
_DIGITS_MOST = 40


@dataclass(slots=True)
class Odd:
    """A value that cannot be true, or not be read: left out of its row, and reported."""

    field: str
    value: Any
    count: int = 1


@dataclass(slots=True)
class Reading:
    """What the coercions of one page share: the rule for its dates, and what they found odd."""

    days: str
    odd: dict[str, Odd]

    def note(self, field: str, value: Any) -> None:
        if field in self.odd:
            self.odd[field].count += 1
        else:
            self.odd[field] = Odd(field, value)


Values = Sequence[Any]
Coercion = Callable[[Values, str, Reading], Values]


def text(values: Values, field: str, reading: Reading) -> Values:
    """Text without blanks at its ends; empty is missing."""
    _check_types(values, field, "text", {str, _NONE})
    if "" not in values:
        # What has no blank at an end is the same object when it is stripped.
        present = list(filter(None, values))
        if list(map(str.strip, present)) == present:
            return values
    return [(value.strip() or None) if value else None for value in values]


def code(values: Values, field: str, reading: Reading) -> Values:
    """Text of at most 64 characters, zeros kept."""
    found = text(values, field, reading)
    if len(max(filter(None, found), key=len, default="")) > CODE_MOST:
        return _leave_out(found, field, f"a code of at most {CODE_MOST} characters", lambda value: len(value) > CODE_MOST, reading)
    return found


def words(values: Values, field: str, reading: Reading) -> Values:
    """Text or a number as the layer writes it, for fields whose type nobody has documented."""
    _check_types(values, field, "text or a number", {str, int, float, _NONE})
    return [None if value is None else (str(value).strip() or None) for value in values]


def whole(values: Values, field: str, reading: Reading) -> Values:
    """A whole number that fits int4."""
    return _whole(values, field, INT4, reading)


def money(values: Values, field: str, reading: Reading) -> Values:
    """Whole dollars or square feet; the layers print doubles with 17 digits, so they are rounded."""
    if float in _types(values):
        values = [round(value) if type(value) is float and isfinite(value) else value for value in values]
    return _whole(values, field, INT8, reading)


def decimal(values: Values, field: str, reading: Reading) -> Values:
    """A number that may have decimals, such as acres."""
    return _floats(values, field, "a number")


def degrees(values: Values, field: str, reading: Reading) -> Values:
    """Degrees of longitude or latitude."""
    found = _floats(values, field, "degrees")
    numbers = _numbers(found)
    if numbers and not -180 <= min(numbers) <= max(numbers) <= 180:
        return _leave_out(found, field, "degrees from -180 to 180", lambda value: not -180 <= value <= 180, reading)
    return found


def padded(values: Values, field: str, reading: Reading) -> Values:
    """A whole number written as text, with blanks before it and commas in it."""
    _check_types(values, field, "digits", {str, _NONE})
    digits = [value.replace(",", "").strip() if value else "" for value in values]
    # int() would also take an underscore, a sign, and the digits of other scripts.
    if not _are_digits("".join(digits)) or len(max(digits, key=len, default="")) > _DIGITS_MOST:
        values = _leave_out(values, field, "digits", lambda value: not _is_number(value.replace(",", "").strip()), reading)
        digits = [value.replace(",", "").strip() if value else "" for value in values]
    return _whole([int(value) if value else None for value in digits], field, INT8, reading)


def year(values: Values, field: str, reading: Reading) -> Values:
    """A year from 1800 to 2100, as a number or as text; 0 and empty are none."""
    if str in _types(values):
        numbers = padded([str(value) if type(value) is int else value for value in values], field, reading)
    else:
        numbers = _whole(values, field, INT4, reading)
    return [_plausible_year(number, field, reading) if number else None for number in numbers]


def date(values: Values, field: str, reading: Reading) -> Values:
    """The day of a moment in epoch milliseconds, which is midnight in the layer's own zone."""
    _check_types(values, field, "epoch milliseconds", {int, _NONE})
    begins = DAY_BEGINS[reading.days]
    if not {value % _DAY_MS for value in set(values) - {None}} <= set(begins):
        midnight = f"midnight by the layer's clock ({reading.days})"
        values = _leave_out(values, field, midnight, lambda value: value % _DAY_MS not in begins, reading)
    return [None if value is None else _day(value, field, reading) for value in values]


def text_date(values: Values, field: str, reading: Reading) -> Values:
    """A day written as MM/DD/YYYY."""
    _check_types(values, field, "a date MM/DD/YYYY", {str, _NONE})
    days = {value: _text_day(value) for value in set(values)}
    if any(value and value.strip() and days[value] is None for value in days):
        values = _leave_out(values, field, "a date MM/DD/YYYY", lambda value: value.strip() and days[value] is None, reading)
        days[None] = None
    return [days[value] for value in values]


# kind of a column in config/sources/gis.yaml: its coercion, and the types of Esri that may hold it.
_NUMBERS = ("SmallInteger", "Integer", "BigInteger", "Single", "Double")
KINDS: dict[str, tuple[Coercion, tuple[str, ...]]] = {
    "text": (text, ("String",)),
    "code": (code, ("String",)),
    "words": (words, ("String", *_NUMBERS)),
    "whole": (whole, _NUMBERS),
    "money": (money, _NUMBERS),
    "decimal": (decimal, _NUMBERS),
    "degrees": (degrees, ("Single", "Double")),
    "padded": (padded, ("String",)),
    "year": (year, ("String", *_NUMBERS)),
    "date": (date, ("Date",)),
    "text_date": (text_date, ("String",)),
}


def _floats(values: Values, field: str, expected: str) -> Values:
    types = _types(values)
    if not types <= {float, int, _NONE}:
        _refuse(values, field, expected, lambda value: type(value) not in (float, int, _NONE))
    return [None if value is None else float(value) for value in values] if int in types else values


def _numbers(values: Values) -> Values:
    return [value for value in values if value is not None] if None in values else values


def _types(values: Values) -> set[type]:
    return set(map(type, values))


def _check_types(values: Values, field: str, expected: str, allowed: set[type]) -> None:
    if not _types(values) <= allowed:
        _refuse(values, field, expected, lambda value: type(value) not in allowed)


def _are_digits(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _is_number(text: str) -> bool:
    return _are_digits(text) and len(text) <= _DIGITS_MOST


def _whole(values: Values, field: str, most: int, reading: Reading) -> Values:
    _check_types(values, field, "a whole number", {int, float, _NONE})
    if float in _types(values):
        if any(type(value) is float and not value.is_integer() for value in values):
            wanted = "a whole number"
            values = _leave_out(values, field, wanted, lambda value: type(value) is float and not value.is_integer(), reading)
        values = [int(value) if type(value) is float else value for value in values]
    numbers = _numbers(values)
    if numbers and not 0 <= min(numbers) <= max(numbers) <= most:
        return _leave_out(values, field, f"a whole number from 0 to {most}", lambda value: not 0 <= value <= most, reading)
    return values


def most_odd(rows: int) -> int:
    """Return how many rows of a page may have an odd value of one field."""
    return max(1, rows // _FEW_OF)


def _leave_out(values: Values, field: str, expected: str, is_wrong: Callable[[Any], Any], reading: Reading) -> Values:
    """Return the values without those of another form, which are few. Raises SourceChanged when they are not."""
    wrong = {at for at, value in enumerate(values) if value is not None and is_wrong(value)}
    if len(wrong) > most_odd(len(values)):
        _refuse(values, field, expected, lambda value: value is not None and bool(is_wrong(value)))
    for at in sorted(wrong):
        reading.note(field, values[at])
    return [None if at in wrong else value for at, value in enumerate(values)]


def _refuse(values: Values, field: str, expected: str, is_wrong: Callable[[Any], bool]) -> Values:
    at, value = next(((at, value) for at, value in enumerate(values) if is_wrong(value)), (0, values[0]))
    raise SourceChanged(f"features[{at}].{field}", expected, value)


def _plausible_year(number: int, field: str, reading: Reading) -> int | None:
    if YEARS[0] <= number <= YEARS[1]:
        return number
    reading.note(field, number)
    return None


_days: dict[int, dt.date | None] = {}


def _day(ms: int, field: str, reading: Reading) -> dt.date | None:
    # Both clocks of a county day begin on that day in UTC.
    if ms not in _days:
        if len(_days) >= _DAYS_KEPT:
            _days.clear()
        number = ms // _DAY_MS
        found = _EPOCH + dt.timedelta(days=number) if -62_000 <= number <= 48_000 else None
        _days[ms] = found if found is not None and YEARS[0] <= found.year <= YEARS[1] else None
    if _days[ms] is None:
        reading.note(field, ms)
    return _days[ms]


def _text_day(value: str | None) -> dt.date | None:
    match = _TEXT_DATE.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    month, day, in_year = map(int, match.groups())
    try:
        return dt.date(in_year, month, day)
    except ValueError:
        return None


def constant(value: str, rows: int) -> Values:
    """The same value in every row."""
    return list(repeat(value, rows))
