"""The recorder's JSON: a document's detail, the list of codes, and how far the index of names has come.

The same field is a number in one answer and text in another, and a list here and text there: both are read.
The number says whose answer it is; what else is odd costs its own section, and what is absent costs nothing
that is stored.
"""

import datetime as dt
import re
from dataclasses import dataclass, field

from maricopa_scrapy.items import Issue, IssueKind, Record
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged, WrongDocument, shown
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_recording_number
from maricopa_scrapy.parsing.notes import Notes, record_of
from maricopa_scrapy.parsing.shapes import Shape, as_list
from maricopa_scrapy.parsing.values import count, date_of, flag, text
from maricopa_scrapy.sources.recorder.records import CodeLabel, Document, DocumentCode, Party

# Says whose answer it is.
IDENTITY = ("recordingNumber",)
# Sections of a detail, a table each: a value that is not of its kind leaves its own section unread.
SECTIONS = ("document", "document_code", "party")
_DAY = re.compile(r"([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{4})")
QUERY_CODE = re.compile(r"[A-Z0-9]{2}")
# Seen: names of 54 characters, codes of 9. Both are keys, and an index takes no more than some 2,700 bytes.
NAME_MOST, CODE_MOST = 300, 40
_WHOSE = "the recorder's answer"


@dataclass(slots=True)
class DocumentPage:
    """A document's rows. `names` and `codes` as the recorder lists them; None where it does not, or they were
    not read, as `document`.
    """

    number: str
    notes: Notes
    document: Document | None = None
    names: list[str] | None = None
    codes: list[str] | None = None

    @property
    def records(self) -> list[Record]:
        return [
            *([self.document] if self.document else []),
            *(
                DocumentCode(recording_number=self.number, display_code=c, position=i)
                for i, c in enumerate(self.codes or (), 1)
            ),
            *(Party(recording_number=self.number, name=name) for name in self.names or ()),
        ]

    @property
    def complete(self) -> list[tuple[type[Record], str]]:
        """The tables of which the answer has all of the document's rows."""
        return [
            (kind, self.number)
            for kind, found in ((DocumentCode, self.codes), (Party, self.names))
            if found is not None
        ]

    @property
    def issues(self) -> list[Issue]:
        """What a person must know of the answer."""
        return self.notes.issues(_WHOSE) + year_issues(
            self.number, self.document.recording_date if self.document else None
        )

    @property
    def recorded(self) -> dt.date | None:
        """The day by which the document's age is counted: None where it is not told, or of another year than
        the number.
        """
        date = self.document.recording_date if self.document else None
        return date if is_of_year(self.number, date) else None


@dataclass(slots=True)
class CodeList:
    """The codes that can be asked for, their labels as far as those could be read, and the entries that are
    no such code.
    """

    codes: list[str] = field(default_factory=list)
    labels: list[CodeLabel] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)

    @property
    def issues(self) -> list[Issue]:
        """What a person must know of the list."""
        told = [
            Issue(
                IssueKind.ODD_CODE, code, f"the recorder's list has {code} for a code; it cannot be asked for"
            )
            for code in self.odd
        ]
        return told + self.notes.issues("the recorder's list of codes")


def parse_document(body: bytes, number: str, image_url: str | None = None) -> DocumentPage:
    """Read /documents/{number}: Document, its DocumentCode rows and Party rows.

    Raises WrongDocument for another document's detail, Malformed, NotFound or Soft404; SourceChanged without
    a number, and when no section can be read.
    """
    raw = decode(body)
    if not isinstance(raw, dict):
        raise Malformed("body", "a document", raw)
    (key,) = IDENTITY
    said = raw.pop(key, ABSENT)
    if said is ABSENT:
        raise SourceChanged(key, "this key", ABSENT)
    found = recording_number(said, key)
    if found is None:
        raise Malformed(key, "a recording number", said)
    if found != number:
        raise WrongDocument(key, number, found)
    names, codes = raw.pop("names", ABSENT), raw.pop("documentCodes", ABSENT)
    notes = Notes()
    page = DocumentPage(found, notes)
    with notes.section("party"):
        page.names = _listed(names, "names", NAME_MOST, notes)
    with notes.section("document_code"):
        listed = _listed(codes, "documentCodes", CODE_MOST, notes)
        page.codes = None if listed is None else [display_code(code, "documentCodes")[0] for code in listed]
    with notes.section("document"):
        columns = _DOCUMENT.take(raw, notes)
        columns["name_count"] = ABSENT if page.names is None else len(page.names)
        page.document = record_of(Document, columns, recording_number=found, suffix=None, image_url=image_url)
    _DOCUMENT.audit(raw, notes)
    notes.raise_if_all_unread()
    return page


def parse_codes(body: bytes) -> CodeList:
    """Read /documentcodes/short. Raises SourceChanged when none of it can be asked for, Malformed, NotFound
    or Soft404.
    """
    raw = decode(body)
    if not isinstance(raw, list) or not raw:
        raise SourceChanged("body", "a list of codes", raw)
    codes = CodeList()
    for entry in as_list(raw, "body"):
        _take_code(entry, codes)
    if not codes.codes:
        raise SourceChanged("[].docType", "codes of two letters", raw)
    return codes


def _take_code(entry: object, codes: CodeList) -> None:
    """Read an entry. One that is odd costs itself, and one whose code can be read is asked for all the
    same.
    """
    said, before = entry, len(codes.codes)
    with codes.notes.section("code_label"):
        if not isinstance(entry, dict):
            raise SourceChanged("[]", "an object", entry)
        _CODE.audit({key: None for key in entry if key not in _CODE.keys}, codes.notes)
        said, label = entry.get("docType", ABSENT), entry.get("docLongName", ABSENT)
        if said is ABSENT:
            raise SourceChanged("[].docType", "this key", ABSENT)
        code = text(said, "[].docType")
        if code is not None and QUERY_CODE.fullmatch(code):
            codes.codes.append(code)
            if label is ABSENT:
                codes.notes.is_absent("[].docLongName")
            columns = {"label": ABSENT if label is ABSENT else text(label, "[].docLongName")}
            codes.labels.append(record_of(CodeLabel, columns, query_code=code))
    if len(codes.codes) == before:
        codes.odd.append(shown(entry if said is ABSENT else said))


def parse_index(body: bytes) -> dt.date:
    """Read /documents/index: the last day whose names are all indexed. Raises SourceChanged, Malformed,
    NotFound or Soft404.
    """
    raw = decode(body)
    found = day(raw, "body") if isinstance(raw, str) else None
    if found is None:
        raise SourceChanged("body", "a day M/D/YYYY", raw)
    return found


def _listed(value: object, path: str, most: int, notes: Notes) -> list[str] | None:
    if value is ABSENT:
        notes.is_absent(path)
        return None
    return texts(value, path, most)


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


def is_of_year(number: str, date: dt.date | None) -> bool:
    """Whether a day may be that of the number, which begins with a year."""
    return date is None or number[:4] == str(date.year)


def year_issues(number: str, date: dt.date | None) -> list[Issue]:
    """Return the issue of a document whose day is of another year than its number: 3 of 988 are so, and
    stored as they are told.
    """
    if is_of_year(number, date):
        return []
    return [
        Issue(
            IssueKind.YEAR_DIFFERS,
            number,
            f"{number} was recorded on {date}, by what the recorder tells; it is stored so",
        )
    ]


def check_days(number: str, date: dt.date | None, since: dt.date, until: dt.date, path: str) -> None:
    """Raise SourceChanged for a day outside of those that were asked for: the filter was dropped.

    A day of another year than the number's says nothing of that; then the number's year is one of those asked
    for.
    """
    if date is None or since <= date <= until:
        return
    if is_of_year(number, date) or not since.year <= int(number[:4]) <= until.year:
        raise SourceChanged(path, f"a day from {since} to {until}", str(date))


def book(value: object, path: str) -> str | None:
    """Return a docket book or page: text or a number; 0 is none."""
    if type(value) is int:
        value = str(value)
    found = text(value, path)
    return None if found is None or found.strip("0") == "" else found


def texts(value: object, path: str, most: int) -> list[str]:
    """Return the texts of a list, each once."""
    return list(
        dict.fromkeys(read for one in as_list(value, path) if (read := words(one, path, most)) is not None)
    )


def words(value: object, path: str, most: int) -> str | None:
    """Return text of at most `most` characters."""
    read = text(value, path)
    if read is not None and len(read) > most:
        raise SourceChanged(path, f"text of at most {most} characters", read)
    return read


def display_code(value: str, path: str = "") -> tuple[str, bool]:
    """Return a display code, and whether its document has more of them. Raises SourceChanged for none.

    >>> display_code("SPEC/W D+"), display_code("N/TR SALE")
    (('SPEC/W D', True), ('N/TR SALE', False))
    """
    found = value.removesuffix("+").rstrip()
    if not found:
        raise SourceChanged(path, "a code", value)
    return found, value.endswith("+")


_CODE = Shape("[]", code=("docType", text), label=("docLongName", text))
# After the functions that read its values.
_DOCUMENT = Shape(
    "",
    recording_date=("recordingDate", day),
    docket_book=("docketBook", book),
    page_map=("pageMap", book),
    page_amount=("pageAmount", count),
    affidavit_present=("affidavitPresent", flag),
    affidavit_page_amount=("affidavitPageAmount", count),
    restricted=("restricted", flag),
)
