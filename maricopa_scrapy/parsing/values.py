"""The county's way of writing values, as values of Python.

Each function takes a decoded JSON value and the path it stood at, and returns the value or None when the
county says nothing: null, "", "na", [] and {}. Anything unexpected raises SourceChanged with path and raw
value. The county documents no types; the rules are those of the captured answers (docs/sources.md,
"Coercion").
"""

import contextlib
import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any

from maricopa_scrapy.parsing.errors import ABSENT, SourceChanged

Coercion = Callable[[object, str], Any]

INT4 = 2**31 - 1
INT8 = 2**63 - 1
# Up to here a number with a point is what the source wrote; beyond, its last digits have been rounded.
EXACT = 2**53
YEARS = (1800, 2100)

# Longest code seen: OwnerID, 36. Postgres can't index a key of some 2,700 bytes.
CODE_MOST = 64
# Neither fits in a text column, and one of them fails a whole batch.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# What stands in place of an owner or an address that is withheld: eleven captured answers.
WITHHELD = ("NA", "N/A")
_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_FRACTION = re.compile(r"[0-9](\.[0-9]{1,8})?")
_COORDINATE = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,20})?")


def is_missing(value: object) -> bool:
    """Whether a value that is not text says nothing: null, [] or {} (the server is PHP, where the two are
    one).
    """
    return value is None or (isinstance(value, list | dict) and not value)


def is_phone(key: str) -> bool:
    """Whether a key holds a telephone number. They are neither stored nor reported."""
    return "phone" in key.lower()


def clean(value: str) -> str:
    """Return text without NUL and lone surrogates."""
    if value.isascii():
        return value.replace("\0", "") if "\0" in value else value
    return _UNSTORABLE.sub("", value)


def text(value: object, path: str) -> str | None:
    """Return text without blanks at its ends. "na" is missing as the county writes it; "NA" may be a name, a
    country.
    """
    if type(value) is str:
        value = value.strip()
        return None if value == "" or value == "na" else value
    if is_missing(value):
        return None
    raise SourceChanged(path, "text", value)


def is_withheld(value: object) -> bool:
    """Whether the county writes that it withholds a value of an owner or an address: NA or N/A, as all of the
    text.
    """
    return type(value) is str and value.strip().upper() in WITHHELD


def withheld(value: object, path: str) -> str | None:
    """Return text of an owner or an address; what the county withholds is missing."""
    return None if is_withheld(value) else text(value, path)


def withheld_zip(value: object, path: str) -> str | None:
    """Return a ZIP as a code; one that the county withholds is missing: "0", NA or N/A."""
    found = code(None if is_withheld(value) else value, path)
    return None if found == "0" else found


def filled(value: object, path: str) -> str | None:
    """Return text that has a letter or a digit: an address of which nothing is known reads " ,  "."""
    found = withheld(value, path)
    return found if found is not None and any(map(str.isalnum, found)) else None


def name(value: object, path: str) -> str | None:
    """Return a name as `filled` does; also of an object with `Name`, as one client met it."""
    if isinstance(value, dict) and value:
        if "Name" not in value:
            raise SourceChanged(f"{path}.Name", "this key", ABSENT)
        return filled(value["Name"], f"{path}.Name")
    return filled(value, path)


def code(value: object, path: str) -> str | None:
    """Return a code or identifier: text of at most 64 characters, zeros kept. A number is an error: its zeros
    are lost.
    """
    found = text(value, path)
    if found is not None and len(found) > CODE_MOST:
        raise SourceChanged(path, f"a code of at most {CODE_MOST} characters", value)
    return found


def required_code(value: object, path: str) -> str:
    """Return a code that must be there, because it is part of a key."""
    found = code(value, path)
    if found is None:
        raise SourceChanged(path, "a code", value)
    return found


def count(value: object, path: str) -> int | None:
    """Return a whole number that fits int4: counts, ages and the areas of buildings (square feet)."""
    return _whole(value, path, INT4, "a whole number")


def money(value: object, path: str) -> int | None:
    """Return whole dollars, which fit int8."""
    return _whole(value, path, INT8, "whole dollars")


def land(value: object, path: str) -> int | None:
    """Return the area of land, square feet; int8, for int4 ends at 77 square miles."""
    return _whole(value, path, INT8, "whole square feet")


def quantity(value: object, path: str) -> int | None:
    """Return an area that is `false` where there is none: 0, which is not the same as missing."""
    return 0 if value is False else _whole(value, path, INT4, "false or a whole number")


def year(value: object, path: str) -> int | None:
    """Return a year from 1800 to 2100. 0 is how numbers say "none" here, and no year."""
    found = _whole(value, path, INT4, "a year")
    if found is None or found == 0:
        return None
    if not YEARS[0] <= found <= YEARS[1]:
        raise SourceChanged(path, "a year from 1800 to 2100", value)
    return found


def required_year(value: object, path: str) -> int:
    """Return a year that must be there, because it is part of a key."""
    found = year(value, path)
    if found is None:
        raise SourceChanged(path, "a year", value)
    return found


def _whole(value: object, path: str, most: int, expected: str) -> int | None:
    if type(value) is str:
        digits = value.strip()
        if digits.isascii() and digits.isdigit() and len(digits) <= 19:
            number = int(digits)
        elif digits == "" or digits.lower() == "na":
            return None
        else:
            raise SourceChanged(path, expected, value)
    elif type(value) is int:
        number = value
    elif type(value) is float and value.is_integer() and value <= EXACT:
        number = int(value)
    elif is_missing(value):
        return None
    else:
        raise SourceChanged(path, expected, value)
    if not 0 <= number <= most:
        raise SourceChanged(path, f"{expected} up to {most}", value)
    return number


def fraction(value: object, path: str) -> Decimal | None:
    """Return a ratio from 0 to 1, from text such as "0.1500". Above 1 it would be a percentage: an error."""
    found = _word(value, path)
    if found is None:
        return None
    if not _FRACTION.fullmatch(found) or Decimal(found) > 1:
        raise SourceChanged(path, "a fraction from 0 to 1", value)
    return Decimal(found)


def coordinate(value: object, path: str) -> Decimal | None:
    """Return degrees from -180 to 180. Every captured one is null: text and numbers are both taken."""
    if type(value) is float or type(value) is int:
        number = Decimal(repr(value)) if isfinite(value) and abs(value) <= 180 else None
    else:
        found = _word(value, path)
        if found is None:
            return None
        number = Decimal(found) if _COORDINATE.fullmatch(found) else None
    if number is None or abs(number) > 180:
        raise SourceChanged(path, "degrees", value)
    return number


def date(value: object, path: str) -> dt.date | None:
    """Return the date that MM/DD/YYYY writes, in the years 1800 to 2100."""
    found = _word(value, path)
    if found is None:
        return None
    return date_of(_DATE.fullmatch(found), path, "a date MM/DD/YYYY", value)


def date_of(match: re.Match[str] | None, path: str, expected: str, value: object) -> dt.date:
    """Return the date whose month, day and year matched, in the years 1800 to 2100. Raises SourceChanged
    where there is none.
    """
    if match is not None:
        month, day, in_year = map(int, match.groups())
        # Of a day that there is not (31 April), date() raises ValueError.
        with contextlib.suppress(ValueError):
            if YEARS[0] <= in_year <= YEARS[1]:
                return dt.date(in_year, month, day)
    raise SourceChanged(path, expected, value)


def flag(value: object, path: str) -> bool | None:
    """Return a JSON boolean; no other value stands for one."""
    if value is True or value is False:
        return value
    if is_missing(value) or (type(value) is str and _word(value, path) is None):
        return None
    raise SourceChanged(path, "true or false", value)


def yes_no(value: object, path: str) -> bool | None:
    """Return whether "Y" or "N" is said."""
    found = _word(value, path)
    if found in ("Y", "N"):
        return found == "Y"
    if found is None:
        return None
    raise SourceChanged(path, "Y or N", value)


def _word(value: object, path: str) -> str | None:
    found = text(value, path)
    return None if found is not None and found.lower() == "na" else found


def scalar(value: object, path: str) -> str | int | None:
    """Return text or a whole number as the county wrote it, for JSON columns."""
    if type(value) is int and abs(value) <= INT8:
        return value
    return text(value, path)
