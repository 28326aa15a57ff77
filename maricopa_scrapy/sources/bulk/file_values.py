"""What the columns of the assessor's bulk files may hold: by kind, what a person is told was expected, and
the conversion.

A conversion takes a whole column as text and returns its values; one that does not fit raises ValueError.
Empty means missing; of texts it stays empty, which the store takes for NULL.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

from maricopa_scrapy.parsing.identifiers import APN_PATTERN, parse_apn
from maricopa_scrapy.parsing.values import INT4, INT8, YEARS

Convert = Callable[[Sequence[str]], Sequence[Any]]

# The recorder's numbers begin in 1947.
_FIRST_YEAR_OF_NUMBERS = 47
_APN = re.compile(APN_PATTERN, re.ASCII)
_DEED = re.compile(r"(19|20)\d{9}[A-Z]?", re.ASCII)
_SHORT_DEED = re.compile(r"\d{9}", re.ASCII)
_MONTH = re.compile(r"(0[1-9]|1[0-2])(\d{4})", re.ASCII)
# Between the bars of a file: what str.strip would take away.
NOT_BARE = ("| ", " |", *"\t\n\v\f\r\x1c\x1d\x1e\x1f")
_ZERO_CENTS = re.compile(r"(\d+)\.0*", re.ASCII)


def _text(values: Sequence[str]) -> Sequence[Any]:
    joined = "|".join(values)
    if " |" in joined or "| " in joined or joined != joined.strip():
        return [value.strip() for value in values]
    return values


def _each(convert: Callable[[str], Any]) -> Convert:
    """Convert each value that differs once."""

    def column(values: Sequence[str]) -> Sequence[Any]:
        known = {value: convert(value) for value in set(values)}
        return [known[value] for value in values]

    return column


def _matching(pattern: str) -> Convert:
    matcher = re.compile(pattern, re.ASCII)

    def convert(values: Sequence[str]) -> Sequence[Any]:
        for value in set(values):
            if value and not matcher.fullmatch(value):
                raise ValueError(value)
        return values

    return convert


def _apns(values: Sequence[str]) -> Sequence[Any]:
    if all(map(_APN.fullmatch, values)):
        return values
    return [parse_apn(value) for value in values]


def _whole(most: int) -> Convert:
    def convert(values: Sequence[str]) -> Sequence[Any]:
        digits = "".join(values)
        if digits and not (digits.isdecimal() and digits.isascii()):
            raise ValueError(values)
        numbers = [int(value) if value else None for value in values]
        if max(filter(None, numbers), default=0) > most:
            raise ValueError(values)
        return numbers

    return convert


def _dollars(values: Sequence[str]) -> Sequence[Any]:
    if "." in "".join(values):
        values = [match[1] if (match := _ZERO_CENTS.fullmatch(value)) else value for value in values]
    return _whole(INT8)(values)


def _days(pattern: str) -> Convert:
    matcher = re.compile(pattern, re.ASCII)

    def day(value: str) -> dt.date | None:
        if not value:
            return None
        match = matcher.fullmatch(value)
        if match is None or not YEARS[0] <= int(match["y"]) <= YEARS[1]:
            raise ValueError(value)
        return dt.date(int(match["y"]), int(match["m"]), int(match["d"]))

    return _each(day)


def _month(value: str) -> str | None:
    """Return the month of MMYYYY as YYYY-MM: a day would be invented."""
    if not value:
        return None
    match = _MONTH.fullmatch(value)
    if match is None or not YEARS[0] <= int(match[2]) <= YEARS[1]:
        raise ValueError(value)
    return f"{match[2]}-{match[1]}"


def _years(values: Sequence[str]) -> Sequence[Any]:
    numbers = _whole(INT4)(values)
    if any(number and not YEARS[0] <= number <= YEARS[1] for number in numbers):
        raise ValueError(values)
    return [number or None for number in numbers]


def recording_number(value: str) -> str:
    """Return a deed number as the recorder's number of 11 digits. Raises ValueError.

    One of nine digits is the year's last two and the running number; the recorder's numbers begin in 1947.

    >>> recording_number("000000267"), recording_number("990123456"), recording_number("20130183449")
    ('20000000267', '19990123456', '20130183449')
    """
    if _DEED.fullmatch(value):
        return value
    if not _SHORT_DEED.fullmatch(value):
        raise ValueError(value)
    return ("19" if int(value[:2]) >= _FIRST_YEAR_OF_NUMBERS else "20") + value


def _recording_numbers(values: Sequence[str]) -> Sequence[Any]:
    return values if all(map(_DEED.fullmatch, values)) else [recording_number(value) for value in values]


KINDS: dict[str, tuple[str, Convert]] = {
    "apn": ("an APN", _apns),
    "text": ("text", _text),
    "state": ("letters of a state", _matching("[A-Za-z]{2,3}")),
    "country": ("the name of a country", _matching("[A-Za-z][A-Za-z .,'()&/-]{1,39}")),
    "mail_zip": ("a postal code", _matching("[0-9A-Za-z -]{3,12}")),
    "zip": ("a ZIP", _matching(r"\d{5}(-?\d{4})?")),
    "word": ("one word", _matching("[A-Za-z0-9./ -]{1,40}")),
    "letter": ("a letter or two", _matching("[A-Za-z0-9]{1,2}")),
    "use": ("a use code of four digits", _matching(r"\d{4}")),
    "area": ("a tax area code of six digits", _matching(r"\d{6}")),
    "deed": ("a recording number", _matching("[0-9A-Za-z][0-9A-Za-z-]{3,19}")),
    "recording_number": ("a recording number of 9 or 11 digits", _recording_numbers),
    "deed_type": ("a deed type", _matching("[A-Z0-9]{1,4}")),
    "type": ("a property type", _matching("[A-Z][A-Z /&-]*")),
    "classes": (
        "shares of legal classes",
        _matching(r"\d{1,3}(\.\d+)?% [0-9A-Z.]+(; ?\d{1,3}(\.\d+)?% [0-9A-Z.]+)*"),
    ),
    "yes_no": ("Y or N", _matching("[YN]")),
    "direction": ("a direction", _matching("[NSEW]{1,2}")),
    "stories": ("a number of stories", _matching(r"\d{1,3}(\.\d+)?")),
    "percent": ("a percentage", _matching(r"\d{0,3}(\.\d+)?%?")),
    "money": ("whole dollars", _whole(INT8)),
    "dollars": ("whole dollars", _dollars),
    "area_sqft": ("whole square feet", _whole(INT8)),
    "count": ("a whole number", _whole(INT4)),
    "year": ("a year", _years),
    "us_date": ("a date MMDDYYYY", _days(r"(?P<m>\d\d)(?P<d>\d\d)(?P<y>\d{4})")),
    "iso_date": ("a date YYYY-MM-DD", _days(r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)")),
    "month": ("a month MMYYYY", _each(_month)),
}
