"""Identifiers of the county's records: parse, normalise, format.

The Assessor Parcel Number (APN) is book (3 digits), map (2), item (3) and at most one letter. The letter
counts: 11205131 and 11205131A are two parcels. Source: the assessor's API documentation and 108,515 observed
rows.

A recording number is the year and a running number of seven digits; a few of 2000 and 2001 have a letter as
suffix. The county prints 2001-0849180. Source: 2,876 captured documents of the recorder.
"""

import re

APN_PATTERN = r"\d{8}[A-Z]?"
RECORDING_NUMBER_PATTERN = r"(19|20)\d{9}[A-Z]?"
# Of a recording number without a letter.
DIGITS = 11

# Dashes of every kind that word processors make, blanks, dots, slashes and underscores stand between the
# parts.
_SEPARATORS = re.compile(r"[\s.\-_/\u00ad\u2010-\u2015\u2212\ufeff\u200b]+")
_CHECK_DIGIT = re.compile(r"^(\d{3}-?\d{2}-?\d{3}[A-Za-z]?)-\d$", re.ASCII)
_APN = re.compile(r"(\d{3})(\d{2})(\d{3})([A-Z]?)", re.ASCII)
# No dot: 20261870426.0 is what a spreadsheet made of a number, and 2026187042.6 is none.
_DASH = r"[\s\-\u2010-\u2015\u2212]*"
_RECORDING_NUMBER = re.compile(rf"((?:19|20)[0-9]{{2}}){_DASH}([0-9]{{7}}){_DASH}([A-Z]?)")


class IdentifierError(ValueError):
    """Text that is not an identifier of the kind asked for."""


def parse_apn(text: str) -> str:
    """Return the APN in its stored form: upper case, no separators.

    Raises IdentifierError when the text is not an APN.

    >>> parse_apn("123-45-678"), parse_apn("12345678"), parse_apn(" 117 01 001a ")
    ('12345678', '12345678', '11701001A')
    >>> parse_apn("101-04-006-D")
    '10104006D'
    >>> parse_apn("12-34")
    Traceback (most recent call last):
        ...
    maricopa_scrapy.parsing.identifiers.IdentifierError: '12-34' is not an APN
    """
    apn = _SEPARATORS.sub("", text).upper()
    if not _APN.fullmatch(apn):
        raise IdentifierError(f"{text.strip()!r} is not an APN")
    return apn


def parse_bill_number(text: str) -> str:
    """Return the APN of a tax bill's number, which may end in a check digit. Raises IdentifierError.

    >>> parse_bill_number("123-45-678-1"), parse_bill_number("123-45-678A-1"), parse_bill_number("12345678")
    ('12345678', '12345678A', '12345678')
    """
    return parse_apn(_CHECK_DIGIT.sub(r"\1", text.strip()))


def format_apn(apn: str) -> str:
    """Return the APN as the county prints it.

    >>> format_apn("11701001A")
    '117-01-001A'
    """
    match = _APN.fullmatch(apn)
    if match is None:
        raise IdentifierError(f"{apn!r} is not an APN")
    book, map_, item, letter = match.groups()
    return f"{book}-{map_}-{item}{letter}"


def form_of(text: str) -> str:
    """Return the form of an identifier: 9 for each digit, A for each letter; at most 40 characters.

    >>> form_of("NOD-12345"), form_of("12345-0678")
    ('AAA-99999', '99999-9999')
    """
    return "".join("9" if c.isdigit() else "A" if c.isalpha() else c for c in text.strip())[:40]


def parse_recording_number(text: str) -> str:
    """Return the recording number in its stored form: 11 digits, and the suffix letter if there is one.

    Raises IdentifierError when the text is not a recording number.

    >>> parse_recording_number("2001-0849180"), parse_recording_number(" 20130183449 ")
    ('20010849180', '20130183449')
    >>> parse_recording_number("2000-0784158 a")
    '20000784158A'
    >>> parse_recording_number("20261870426.0")
    Traceback (most recent call last):
        ...
    maricopa_scrapy.parsing.identifiers.IdentifierError: '20261870426.0' is not a recording number
    """
    match = _RECORDING_NUMBER.fullmatch(text.strip().upper())
    if match is None or match[2] == "0000000":
        raise IdentifierError(f"{text.strip()!r} is not a recording number")
    return "".join(match.groups())
