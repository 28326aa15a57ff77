"""The recorder's JSON: a document's detail, the list of codes, and how far the index of names has come.

The same field is a number in one answer and text in another, and a list here and text there: both are read.
"""

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

from maricopa_scrapy.identifiers import IdentifierError, parse_recording_number
from maricopa_scrapy.items import Record
from maricopa_scrapy.items_recorder import CodeLabel, Document, DocumentCode, Party
from maricopa_scrapy.pages.answers import decode
from maricopa_scrapy.pages.errors import ABSENT, Malformed, SourceChanged, WrongDocument
from maricopa_scrapy.pages.values import count, date_of, is_missing, text

_DETAIL = (
    "names", "documentCodes", "recordingDate", "recordingNumber", "pageAmount", "docketBook", "pageMap", "affidavitPresent",
    "affidavitPageAmount", "restricted",
)  # fmt: skip
_DAY = re.compile(r"([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{4})")
_QUERY_CODE = re.compile(r"[A-Z0-9]{2}")
# Seen: names of 54 characters, codes of 9. Both are keys, and an index takes no more than some 2,700 bytes.
_NAME_MOST, _CODE_MOST = 300, 40


@dataclass(slots=True)
class DocumentPage:
    """A document's rows. `names` and `codes` as the recorder lists them."""

    document: Document
    names: list[str]
    codes: list[str]

    @property
    def records(self) -> list[Record]:
        number = self.document.recording_number
        return [
            self.document,
            *(DocumentCode(recording_number=number, display_code=c, position=i) for i, c in enumerate(self.codes, 1)),
            *(Party(recording_number=number, name=name) for name in self.names),
        ]


@dataclass(slots=True)
class CodeList:
    """The codes that can be asked for, and the entries that are none."""

    labels: list[CodeLabel] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def parse_document(body: bytes, number: str, image_url: str | None = None) -> DocumentPage:
    """Read /documents/{number}. Raises WrongDocument for another document's detail, SourceChanged, Malformed, NotFound or Soft404."""
    raw = decode(body)
    if not isinstance(raw, dict):
        raise Malformed("body", "a document", raw)
    exactly(raw, _DETAIL, "")
    found = recording_number(raw["recordingNumber"], "recordingNumber")
    if found is None:
        raise Malformed("recordingNumber", "a recording number", raw["recordingNumber"])
    if found != number:
        raise WrongDocument("recordingNumber", number, found)
    date = day(raw["recordingDate"], "recordingDate")
    check_year(found, date, "recordingDate")
    names = texts(raw["names"], "names", _NAME_MOST)
    document = Document(
        recording_number=found,
        suffix=None,
        recording_date=date,
        docket_book=book(raw["docketBook"], "docketBook"),
        page_map=book(raw["pageMap"], "pageMap"),
        page_amount=count(raw["pageAmount"], "pageAmount"),
        affidavit_present=_flag(raw["affidavitPresent"], "affidavitPresent"),
        affidavit_page_amount=count(raw["affidavitPageAmount"], "affidavitPageAmount"),
        restricted=_flag(raw["restricted"], "restricted"),
        name_count=len(names),
        image_url=image_url,
    )
    return DocumentPage(document, names, [display_code(code)[0] for code in texts(raw["documentCodes"], "documentCodes", _CODE_MOST)])


def parse_codes(body: bytes) -> CodeList:
    """Read /documentcodes/short. Raises SourceChanged, Malformed, NotFound or Soft404."""
    raw = decode(body)
    if not isinstance(raw, list) or not raw:
        raise SourceChanged("body", "a list of codes", raw)
    codes = CodeList()
    for at, entry in enumerate(raw):
        if not isinstance(entry, dict):
            raise SourceChanged(f"{at}", "an object", entry)
        exactly(entry, ("docType", "docLongName"), f"{at}")
        code = text(entry["docType"], f"{at}.docType")
        if code is not None and _QUERY_CODE.fullmatch(code):
            codes.labels.append(CodeLabel(query_code=code, label=text(entry["docLongName"], f"{at}.docLongName")))
        else:
            codes.odd.append(repr(code))
    if not codes.labels:
        raise SourceChanged("docType", "codes of two letters", raw)
    return codes


def parse_index(body: bytes) -> dt.date:
    """Read /documents/index: the last day whose names are all indexed. Raises SourceChanged, Malformed, NotFound or Soft404."""
    raw = decode(body)
    found = day(raw, "body") if isinstance(raw, str) else None
    if found is None:
        raise SourceChanged("body", "a day M/D/YYYY", raw)
    return found


def exactly(raw: dict[str, Any], keys: tuple[str, ...], path: str) -> None:
    """Raise SourceChanged unless the object has just these keys: what else it says, nobody knows to read."""
    if raw.keys() == set(keys):
        return
    prefix = f"{path}." if path else ""
    for key in keys:
        if key not in raw:
            raise SourceChanged(prefix + key, "this key", ABSENT)
    raise SourceChanged(path or "body", f"only {', '.join(keys)}", dict.fromkeys(raw.keys() - set(keys)))


def recording_number(value: object, path: str) -> str | None:
    """Return the 11 digits of a number or of text; None for 0, which hides the number of a document."""
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise SourceChanged(path, "a recording number", value)
    if value.strip("0 ") == "":
        return None
    try:
        return parse_recording_number(value)
    except IdentifierError:
        raise SourceChanged(path, "a recording number", value) from None


def day(value: object, path: str) -> dt.date | None:
    """Return the day that M-DD-YYYY (or M/D/YYYY) writes; None for empty text."""
    found = text(value, path)
    if found is None:
        return None
    return date_of(_DAY.fullmatch(found), path, "a day M-DD-YYYY", value)


def check_year(number: str, date: dt.date | None, path: str) -> None:
    """Raise SourceChanged when the number is not of the year in which the document was recorded."""
    if date is not None and number[:4] != str(date.year):
        raise SourceChanged(path, f"a day of {number[:4]}, as the number {number} says", str(date))


def book(value: object, path: str) -> str | None:
    """Return a docket book or page: text or a number; 0 is none."""
    if type(value) is int:
        value = str(value)
    found = text(value, path)
    return None if found is None or found.strip("0") == "" else found


def texts(value: object, path: str, most: int) -> list[str]:
    """Return the texts of a list, or of a single text, each once."""
    if type(value) is str:
        value = [value]
    if is_missing(value):
        return []
    if not isinstance(value, list):
        raise SourceChanged(path, "a list of text", value)
    found: dict[str, None] = {}
    for one in value:
        read = text(one, path)
        if read is not None:
            if len(read) > most:
                raise SourceChanged(path, f"text of at most {most} characters", read)
            found[read] = None
    return list(found)


def display_code(value: str) -> tuple[str, bool]:
    """Return a display code, and whether its document has more of them.

    >>> display_code("SPEC/W D+"), display_code("N/TR SALE")
    (('SPEC/W D', True), ('N/TR SALE', False))
    """
    return value.removesuffix("+").rstrip(), value.endswith("+")


def _flag(value: object, path: str) -> bool:
    if value is True or value is False:
        return value
    raise SourceChanged(path, "true or false", value)
