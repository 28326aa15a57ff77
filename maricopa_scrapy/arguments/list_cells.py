"""What a cell of a list says: one parcel number, several, none; and what is no parcel number though it has
eight digits.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_recording_number

_NUMBERED = "a spreadsheet dropped its zeros or its last digit: format the column as text"
_DATED = "it is a date"
_FORMULA = "a formula whose value is not in the file: open it in the spreadsheet, and save it"
_ERROR = "an error of the spreadsheet"

# Marks that nobody sees: direction, joiners, soft hyphen, byte order mark.
_UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_CONTROL = "".join(map(chr, range(33))) + "\u00a0"
_QUOTES = "'\"`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e"
_FORMULA_TEXT = re.compile(r'=\s*(?:"+([^"]*)"+|(\d+))')
# What spreadsheets write into a cell whose formula failed: it begins like a comment.
SHEET_ERROR = re.compile(r"#(?:N/?A|REF|VALUE|NAME|DIV/0|NULL|NUM|SPILL|CALC)\b[!?]?", re.IGNORECASE)
_NUMBER = re.compile(
    r"[+-]?[0-9]+[.,][0-9]+|[+-]?[0-9]+(?:[.,][0-9]+)?E[+-]?[0-9]+|[0-9]{5,7}", re.IGNORECASE
)
_YEAR, _DAY = "(?:19|20)[0-9]{2}", "[0-9]{1,2}"
_DATE = re.compile(rf"(?:{_YEAR}([-/. ]){_DAY}\1{_DAY}|{_DAY}([-/. ]){_DAY}\2{_YEAR})(?:[ T][0-9:.]+Z?)?")
_SEPARATOR = r"[\s.\-_/\u2010-\u2015\u2043\u2212\ufe58\ufe63]*"
# Digits, letters and signs as wide as Chinese ones.
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
# Book, map, item, letter; behind them the check digit of a tax bill, which is no part of the APN.
_APN = re.compile(
    rf"([0-9]{{3}}){_SEPARATOR}([0-9]{{2}}){_SEPARATOR}([0-9]{{3}})(?:{_SEPARATOR}([A-Z]))?(?:[\s\-_\u2010-\u2015\u2212]+[0-9])?"
)
# The same eight digits as a spreadsheet groups them.
_GROUPED = re.compile(r"([0-9]{2})([.,' \u2019])([0-9]{3})\2([0-9]{3})")
_HEADING_MOST = 60
_BETWEEN = (re.compile(r"[,;|&+/\n\u3001]+|\sAND\s"), re.compile(r"\s+"))
# So many digits look like a number that somebody mistyped.
_NEARLY = 7


class NotOne(ValueError):
    """A cell that holds none of what the list is of; the message is the reason, where there is one to
    tell.
    """


def _apn(text: str) -> str:
    found = _APN.fullmatch(text)
    if found:
        apn = "".join(part or "" for part in found.groups())
    elif grouped := _GROUPED.fullmatch(text):
        apn = grouped[1] + grouped[3] + grouped[4]
    else:
        raise NotOne("")
    # The county's books begin at 100.
    if apn[0] == "0":
        raise NotOne(f"there is no book {apn[:3]}")
    return apn


def _is_nearly_one(text: str) -> bool:
    return sum(c.isdigit() for c in text) >= _NEARLY and sum(c.isalpha() for c in text) <= 1


def _recording_number(text: str) -> str:
    try:
        return parse_recording_number(text)
    except IdentifierError:
        raise NotOne("") from None


@dataclass(frozen=True)
class Kind:
    """What a list is of. `plain`: the forms that nearly all cells have; `one` reads the others, of cleaned
    upper-case text.
    """

    what: str
    things: str
    examples: tuple[str, str, str]
    column: str
    plain: re.Pattern[str]
    one: Callable[[str], str]
    # Letters of a heading that names such a column.
    headings: re.Pattern[str]
    # Whether a bare number of this form is hardly anything else.
    is_telling: bool
    # The plain form with all its separators.
    parted: re.Pattern[str]
    # Finds one in other text, where it is written with its separators.
    within: re.Pattern[str]
    # What stands behind one, and is short for another: the end of its number.
    short: re.Pattern[str]

    def values(self, cell: str) -> tuple[str, ...]:
        """Return what the cell holds, nothing of a blank one. Raises NotOne."""
        found = self.plain.fullmatch(cell)
        if found:
            return ("".join(found.groups()).upper(),)
        text = cleaned(cell)
        if SHEET_ERROR.match(text):
            raise NotOne(_ERROR)
        text = text.split("#", 1)[0].rstrip().upper()
        return self._several(text) if text else ()

    def _several(self, text: str) -> tuple[str, ...]:
        try:
            return (self._one(text),)
        except NotOne:
            for between in _BETWEEN:
                parts = [part for part in between.split(text) if part.strip(_CONTROL + _QUOTES)]
                if len(parts) > 1:
                    try:
                        values = tuple(
                            value for part in parts for value in self._several(part.strip(_CONTROL + _QUOTES))
                        )
                    except NotOne:
                        break
                    self.check_dates(parts)
                    return values
            raise

    def check_dates(self, parts: Sequence[str]) -> None:
        """Return unless one of several is eight digits that may be a day, and all others have separators.
        Raises NotOne.
        """
        dates = [part for part in parts if is_compact_date(part)]
        if (
            dates
            and (others := [part for part in parts if part not in dates])
            and not any(map(is_bare, others))
        ):
            raise NotOne(f"{dates[0].strip()} may be a date; if it is none, write it with its separators")

    def _one(self, text: str) -> str:
        if _NUMBER.fullmatch(text):
            raise NotOne(_NUMBERED)
        if _DATE.fullmatch(text):
            raise NotOne(_DATED)
        if text.startswith("="):
            raise NotOne(_FORMULA)
        try:
            return self.one(text)
        except NotOne as error:
            strange = next((c for c in text if not (c.isascii() or re.fullmatch(_SEPARATOR, c))), None)
            if str(error) or strange is None or not _is_nearly_one(text):
                raise
            raise NotOne(f"{strange!r} is a sign of another script: type it anew") from None

    def hides(self, cell: str) -> bool:
        """Tell whether a cell of another column has one somewhere: among words, or in brackets."""
        return bool(
            self.within.search(cell) or self.plain.fullmatch(cell.strip(_CONTROL + _QUOTES + "()[]{}<>"))
        )

    def holds(self, cell: str) -> bool:
        """Tell whether the cell holds one, or several."""
        try:
            return bool(self.values(cell))
        except NotOne:
            return False

    def names(self, heading: str) -> bool:
        """Tell whether a heading is that of a column of such."""
        letters = "".join(c for c in heading[:_HEADING_MOST].lower() if c.isalpha())
        return (
            len(heading) < _HEADING_MOST
            and bool(self.headings.fullmatch(letters))
            and sum(c.isdigit() for c in heading) <= 2
        )

    @property
    def option(self) -> str:
        """Return the option, and the argument, that says which column counts."""
        return f"--{self.column.replace('_', '-')} (-a {self.column}=)"

    @property
    def article(self) -> str:
        """Return it with its article."""
        return f"{'an' if self.what[0] in 'AEIO' else 'a'} {self.what}"


_ABOUT = "assessors?|tax|county|maricopa|property|site|subject|s"
_FORM = (
    "ids?|nos?|nums?|numbers?|nbr|nr|code|key|identification|identifier|dash|dashed|dashes|with|without|"
    "formatted|format|raw|full|list"
)
_PARCEL = "apns?|parcels?|prcl|pcl"
_DOCUMENT = (
    "rec|recording|recorded|recorders?|recordation|recordings|docs?|documents?|deeds?|instruments?|numbers?"
)


def _words(core: str) -> re.Pattern[str]:
    others = f"(?:{_ABOUT}|{_FORM}|{core})*"
    return re.compile(f"pins?|{others}(?:{core}){others}")


APN = Kind(
    what="APN",
    things="parcels",
    examples=("165-28-054", "16528054", "123-45-678"),
    column="apn_column",
    plain=re.compile(r"[ \t]*([1-9][0-9]{2})[- ]?([0-9]{2})[- ]?([0-9]{3})([A-Za-z]?)[ \t]*"),
    one=_apn,
    headings=_words(_PARCEL),
    is_telling=False,
    parted=re.compile(r"[ \t]*([1-9][0-9]{2})[- ]([0-9]{2})[- ]([0-9]{3})([A-Za-z]?)[ \t]*"),
    within=re.compile(r"(?<![0-9A-Za-z-])[1-9][0-9]{2}-[0-9]{2}-[0-9]{3}(?![0-9]|[A-Za-z]{2}|-[0-9]{2})"),
    short=re.compile(r"(?:[0-9]{2}-)?[0-9]{3}[A-Za-z]?"),
)
RECORDING_NUMBER = Kind(
    what="recording number",
    things="documents",
    examples=("2001-0849180", "20010849180", "20130183449"),
    column="number_column",
    plain=re.compile(r"[ \t]*((?:19|20)[0-9]{2})-?((?!0{7})[0-9]{7})([A-Za-z]?)[ \t]*"),
    one=_recording_number,
    headings=_words(_DOCUMENT),
    is_telling=True,
    parted=re.compile(r"[ \t]*((?:19|20)[0-9]{2})-((?!0{7})[0-9]{7})([A-Za-z]?)[ \t]*"),
    within=re.compile(r"(?<![0-9A-Za-z-])(?:19|20)[0-9]{2}-[0-9]{7}(?![0-9]|[A-Za-z]{2})"),
    short=re.compile(r"[0-9]{7}[A-Za-z]?"),
)


def cleaned(cell: str) -> str:
    """Return a cell's text without what programs put around it: quotes, `="..."`, unseen marks, control
    characters.
    """
    text = _UNSEEN.sub("", cell).strip(_CONTROL)
    if not text.isascii():
        text = text.translate(_WIDE)
    if text.startswith("="):
        found = _FORMULA_TEXT.fullmatch(text)
        text = text if found is None else found[1] or found[2] or ""
    return text.strip(_CONTROL + _QUOTES)


def told(text: str) -> str:
    """Return a name that a list gives, as a message tells it: short, and without what would do something to a
    terminal.
    """
    plain = " ".join(text.split())
    plain = plain if len(plain) <= 60 else plain[:57] + "..."
    return plain if plain.isprintable() else repr(plain)


def is_bare(cell: str) -> bool:
    """Tell whether a cell is a number without separators, or with those of a spreadsheet."""
    text = cleaned(cell)
    return text.isdigit() or bool(_GROUPED.fullmatch(text))


def is_grouped(cell: str) -> bool:
    """Tell whether a cell is eight digits in groups, as a spreadsheet shows a price."""
    return bool(_GROUPED.fullmatch(cleaned(cell)))


def is_compact_date(cell: str) -> bool:
    """Tell whether eight digits may be a day: YYYYMMDD, MMDDYYYY or DDMMYYYY of 1900 to 2099.

    >>> is_compact_date("20240115"), is_compact_date("12312024"), is_compact_date("14288378")
    (True, True, False)
    """
    text = cleaned(cell)
    if not re.fullmatch("[0-9]{8}", text):
        return False
    orders = (
        (text[:4], text[4:6], text[6:]),
        (text[4:], text[:2], text[2:4]),
        (text[4:], text[2:4], text[:2]),
    )
    return any(
        1900 <= int(year) < 2100 and 1 <= int(month) <= 12 and 1 <= int(day) <= 31
        for year, month, day in orders
    )
