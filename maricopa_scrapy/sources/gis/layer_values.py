"""A layer's values as columns of ours, a whole column at a time: 2,000 rows a page leave no time for a call a
value.

Each coercion takes the values of one field over a page and returns those of a column; None where the layer
says nothing. A value that cannot be true (a year 3024) becomes None and is noted in `odd`; so does one of
another type or form, as long as no more than 1 % of the page's, or a single one, are. Of more, or of all, the
first raises SourceChanged: the field is unread in the page. Forms: docs/sources.md, "GIS layers".
"""

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product, repeat
from typing import Annotated, Any

import msgspec

from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.parsing.values import CODE_MOST, EXACT, INT4, INT8, YEARS

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_EPOCH = dt.date(1970, 1, 1)
# Milliseconds after 00:00 UTC at which a layer's day begins. Arizona had daylight saving time until 1967.
DAY_BEGINS = {"utc": (0,), "phoenix": (7 * _HOUR_MS, 6 * _HOUR_MS)}
_TEXT_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_NONE = type(None)
_DAYS_KEPT = 50_000
# Of texts between NULs: an empty one, one with a blank at an end, and what else str.strip takes for a blank.
_NOT_BARE = ("\0\0", "\0 ", " \0", *"\t\n\v\f\r\x1c\x1d\x1e\x1f")
# One value in so many may have another form: a slip of the county's, and no other format.
_FEW_OF = 100
# Leading zeros and all; int() raises at some thousand.
_DIGITS_MOST = 40
# What values.is_withheld says yes to, of text without blanks at its ends: a set finds it in a column at once.
_WITHHELD = frozenset(
    "".join(letters) for word in ("na", "n/a") for letters in product(*({one, one.upper()} for one in word))
)
_WITHHELD_ZIP = _WITHHELD | {"0"}


@dataclass(slots=True)
class Odd:
    """Values of a field that cannot be true, or not be read: the first of them, and the positions of all."""

    field: str
    value: Any
    at: set[int]


@dataclass(slots=True)
class Reading:
    """What the coercions of one page share: the rule for its dates, what they found odd, and the rows whose
    owner is withheld. `is_plain`: all values are of the types in KINDS.
    """

    days: str
    odd: dict[str, Odd] = field(default_factory=dict)
    withheld: set[int] = field(default_factory=set)
    is_plain: bool = False

    def note(self, field: str, value: Any, positions: Sequence[int]) -> None:
        """Note odd values of a field, of which `value` is the first."""
        self.odd.setdefault(field, Odd(field, value, set())).at.update(positions)


Values = Sequence[Any]
Coercion = Callable[[Values, str, Reading], Values]


def text(values: Values, field: str, reading: Reading) -> Values:
    """Text without blanks at its ends; empty is missing."""
    if _is_bare(values):
        return values
    values = _of_types(values, field, "text", {str, _NONE}, reading)
    return [(value.strip() or None) if value else None for value in values]


def code(values: Values, field: str, reading: Reading) -> Values:
    """Text of at most 64 characters, zeros kept."""
    found = text(values, field, reading)
    if not reading.is_plain and len(max(filter(None, found), key=len, default="")) > CODE_MOST:
        return _leave_out(
            found,
            field,
            f"a code of at most {CODE_MOST} characters",
            lambda value: len(value) > CODE_MOST,
            reading,
        )
    return found


def words(values: Values, field: str, reading: Reading) -> Values:
    """Text or a number as the layer writes it, for fields whose type nobody has documented."""
    values = _of_types(values, field, "text or a number", {str, int, float, _NONE}, reading)
    # A whole number of more than 64 bits has been rounded by the reader of JSON.
    if float in _types(values) and any(type(value) is float and abs(value) > INT8 for value in values):
        values = _leave_out(
            values,
            field,
            "a number of 64 bits",
            lambda value: type(value) is float and abs(value) > INT8,
            reading,
        )
    return [None if value is None else (str(value).strip() or None) for value in values]


def owner(values: Values, field: str, reading: Reading) -> Values:
    """The name of an owner; NA or N/A says that it is withheld, and with it the addresses of the row."""
    found = text(values, field, reading)
    if _WITHHELD.isdisjoint(found):
        return found
    reading.withheld.update(at for at, value in enumerate(found) if value in _WITHHELD)
    return _without(found, _WITHHELD)


def address(values: Values, field: str, reading: Reading) -> Values:
    """Text of an owner's or a parcel's address; NA and N/A are missing."""
    return _without(text(values, field, reading), _WITHHELD)


def address_code(values: Values, field: str, reading: Reading) -> Values:
    """A code in an address; NA and N/A are missing."""
    return _without(code(values, field, reading), _WITHHELD)


def address_words(values: Values, field: str, reading: Reading) -> Values:
    """Text or a number in an address; NA and N/A are missing."""
    return _without(words(values, field, reading), _WITHHELD)


def zip_code(values: Values, field: str, reading: Reading) -> Values:
    """A ZIP as a code; NA, N/A and 0 are missing."""
    return _without(code(values, field, reading), _WITHHELD_ZIP)


def whole(values: Values, field: str, reading: Reading) -> Values:
    """A whole number that fits int4."""
    return _whole(values, field, INT4, reading)


def money(values: Values, field: str, reading: Reading) -> Values:
    """Whole dollars or square feet; the layers print doubles with 17 digits, so they are rounded."""
    if float in _types(values):
        values = [round(value) if type(value) is float and abs(value) <= EXACT else value for value in values]
    return _whole(values, field, INT8, reading)


def decimal(values: Values, field: str, reading: Reading) -> Values:
    """A number that may have decimals, such as acres."""
    return _floats(values, field, "a number", reading)


def degrees(values: Values, field: str, reading: Reading) -> Values:
    """Degrees of longitude or latitude."""
    found = _floats(values, field, "degrees", reading)
    numbers = list(filter(None, found))
    if numbers and not -180 <= min(numbers) <= max(numbers) <= 180:
        return _leave_out(
            found, field, "degrees from -180 to 180", lambda value: not -180 <= value <= 180, reading
        )
    return found


def padded(values: Values, field: str, reading: Reading) -> Values:
    """A whole number written as text, with blanks before it and commas in it."""
    values = _of_types(values, field, "digits", {str, _NONE}, reading)
    digits = [value.replace(",", "").strip() if value else "" for value in values]
    # int() would also take an underscore, a sign, and the digits of other scripts.
    if not _are_digits("".join(digits)) or len(max(digits, key=len, default="")) > _DIGITS_MOST:
        values = _leave_out(
            values, field, "digits", lambda value: not _is_number(value.replace(",", "").strip()), reading
        )
        digits = [value.replace(",", "").strip() if value else "" for value in values]
    return _whole([int(value) if value else None for value in digits], field, INT8, reading)


def year(values: Values, field: str, reading: Reading) -> Values:
    """A year from 1800 to 2100, as a number or as text; 0 and empty are none."""
    if str in _types(values):
        numbers = padded([str(value) if type(value) is int else value for value in values], field, reading)
    else:
        numbers = _whole(values, field, INT4, reading)
    found = [number or None for number in numbers]
    present = list(filter(None, found))
    if present and not YEARS[0] <= min(present) <= max(present) <= YEARS[1]:
        return _without_untrue(
            found,
            [number if number and YEARS[0] <= number <= YEARS[1] else None for number in found],
            field,
            reading,
        )
    return found


def date(values: Values, field: str, reading: Reading) -> Values:
    """The day of a moment in epoch milliseconds, which is midnight in the layer's own zone."""
    values = _of_types(values, field, "epoch milliseconds", {int, _NONE}, reading)
    begins, days = DAY_BEGINS[reading.days], _days[reading.days]
    # Nearly all days came before, in an earlier page.
    with contextlib.suppress(KeyError):
        return list(map(days.__getitem__, values))
    if not {value % _DAY_MS for value in set(values) - {None}} <= set(begins):
        midnight = f"midnight by the layer's clock ({reading.days})"
        values = _leave_out(values, field, midnight, lambda value: value % _DAY_MS not in begins, reading)
    new = {moment: _day(moment) for moment in set(values)}
    found = list(map(new.__getitem__, values))
    if len(days) >= _DAYS_KEPT:
        days.clear()
    days.update((moment, day) for moment, day in new.items() if day is not None or moment is None)
    return (
        found if found.count(None) == values.count(None) else _without_untrue(values, found, field, reading)
    )


def text_date(values: Values, field: str, reading: Reading) -> Values:
    """A day written as MM/DD/YYYY."""
    values = _of_types(values, field, "a date MM/DD/YYYY", {str, _NONE}, reading)
    days = {value: _text_day(value) for value in set(values)}
    if any(value and value.strip() and days[value] is None for value in days):
        values = _leave_out(
            values, field, "a date MM/DD/YYYY", lambda value: value.strip() and days[value] is None, reading
        )
        days[None] = None
    return [days[value] for value in values]


# What a plain page has. Of a whole number of more than 64 bits orjson makes another one.
WHOLE = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_CODE = Annotated[str, msgspec.Meta(max_length=CODE_MOST)] | None
_TEXT, _NUMBER = str | None, WHOLE | float | None
# kind of a column in config/sources/gis.yaml: its coercion, the types of Esri that may hold it, and what a
# plain page has of it: no more than the coercion takes without a look.
_NUMBERS = ("SmallInteger", "Integer", "BigInteger", "Single", "Double")
KINDS: dict[str, tuple[Coercion, tuple[str, ...], Any]] = {
    "text": (text, ("String",), _TEXT),
    "code": (code, ("String",), _CODE),
    "words": (words, ("String", *_NUMBERS), str | _NUMBER),
    "owner": (owner, ("String",), _TEXT),
    "address": (address, ("String",), _TEXT),
    "address_code": (address_code, ("String",), _CODE),
    "address_words": (address_words, ("String", *_NUMBERS), str | _NUMBER),
    "zip": (zip_code, ("String",), _CODE),
    "whole": (whole, _NUMBERS, _NUMBER),
    "money": (money, _NUMBERS, _NUMBER),
    "decimal": (decimal, _NUMBERS, _NUMBER),
    "degrees": (degrees, ("Single", "Double"), _NUMBER),
    "padded": (padded, ("String",), _TEXT),
    "year": (year, ("String", *_NUMBERS), str | WHOLE | None),
    "date": (date, ("Date",), WHOLE | None),
    "text_date": (text_date, ("String",), _TEXT),
}
# Kinds of the columns that are NULL where the owner of a row is withheld.
PRIVATE = ("owner", "address", "address_code", "address_words", "zip")


def _floats(values: Values, field: str, expected: str, reading: Reading) -> Values:
    values = _of_types(values, field, expected, {float, int, _NONE}, reading)
    return [None if value is None else float(value) for value in values] if int in _types(values) else values


def _is_bare(values: Values) -> bool:
    """Whether values are None or ASCII text that has a sign, and no blank at an end: said by few looks at all
    of it at once.
    """
    present = [value for value in values if value is not None]
    try:
        joined = "\0".join(["", *present, ""])
    except TypeError:
        return False
    return joined.isascii() and not any(map(joined.__contains__, _NOT_BARE))


def _without(values: Values, words: frozenset[str]) -> Values:
    return values if words.isdisjoint(values) else [None if value in words else value for value in values]


def _types(values: Values) -> set[type]:
    return set(map(type, values))


def _of_types(values: Values, field: str, expected: str, allowed: set[type], reading: Reading) -> Values:
    if reading.is_plain or _types(values) <= allowed:
        return values
    return _leave_out(values, field, expected, lambda value: type(value) not in allowed, reading)


def _are_digits(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _is_number(text: str) -> bool:
    return _are_digits(text) and len(text) <= _DIGITS_MOST


def _is_inexact(value: object) -> bool:
    return type(value) is float and not (value.is_integer() and abs(value) <= EXACT)


def _whole(values: Values, field: str, most: int, reading: Reading) -> Values:
    values = _of_types(values, field, "a whole number", {int, float, _NONE}, reading)
    if float in _types(values):
        if any(map(_is_inexact, values)):
            values = _leave_out(values, field, "a whole number", _is_inexact, reading)
        values = [int(value) if type(value) is float else value for value in values]
    numbers = list(filter(None, values))
    if numbers and not 0 <= min(numbers) <= max(numbers) <= most:
        return _leave_out(
            values, field, f"a whole number from 0 to {most}", lambda value: not 0 <= value <= most, reading
        )
    return values


def are_many(odd: int, rows: int) -> bool:
    """Whether so many odd values of a field, or polygons, leave it unread in a page: over 1 % and over one,
    or all.
    """
    return odd > max(1, rows // _FEW_OF) or odd == rows


def _leave_out(
    values: Values, field: str, expected: str, is_wrong: Callable[[Any], Any], reading: Reading
) -> Values:
    """Return the values without those of another type or form, which are few. Raises SourceChanged when they
    are not.
    """
    wrong = [at for at, value in enumerate(values) if value is not None and is_wrong(value)]
    before = reading.odd.get(field)
    if are_many(len(wrong) + (len(before.at) if before else 0), len(values)):
        reading.odd.pop(field, None)
        raise SourceChanged(f"features[].{field}", expected, values[wrong[0]])
    reading.note(field, values[wrong[0]], wrong)
    found = list(values)
    for at in wrong:
        found[at] = None
    return found


def _without_untrue(values: Values, found: list[Any], field: str, reading: Reading) -> Values:
    """Note the values of which nothing was found, and return what was: these have the right form, so any
    number of them may be.
    """
    untrue = [
        at
        for at, (value, one) in enumerate(zip(values, found, strict=True))
        if value is not None and one is None
    ]
    reading.note(field, values[untrue[0]], untrue)
    return found


# By the layer's clock: moments that are midnights, and their days.
_days: dict[str, dict[int | None, dt.date | None]] = {clock: {} for clock in DAY_BEGINS}


def _day(ms: int | None) -> dt.date | None:
    if ms is None:
        return None
    # Both clocks of a county day begin on that day in UTC.
    number = ms // _DAY_MS
    found = _EPOCH + dt.timedelta(days=number) if -62_000 <= number <= 48_000 else None
    return found if found is not None and YEARS[0] <= found.year <= YEARS[1] else None


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
