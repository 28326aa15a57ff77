"""Records of the recorder: documents, their parties and codes, and what searches for them said.

A recording number is the county's 11 digits, with the suffix letter of the few documents that have one. The
recorder knows no parcel, no price and no roles; what ties a document to parcels is in the view `document`.
"""

import datetime as dt

from maricopa_scrapy.items import Json, Record


class Document(Record):
    """`recorder.document`: one recorded document, as its detail tells it. `name_count` is 0 until its names
    are indexed.
    """

    table = "recorder.document"
    key = ("recording_number",)

    recording_number: str
    suffix: str | None
    recording_date: dt.date | None
    docket_book: str | None
    page_map: str | None
    page_amount: int | None
    affidavit_present: bool | None
    affidavit_page_amount: int | None
    restricted: bool | None
    name_count: int | None
    image_url: str | None


class DocumentCode(Record):
    """`recorder.document_code`: a display code of a document; position 1 is the one that searches show."""

    table = "recorder.document_code"
    key = ("recording_number", "display_code")
    complete_by = "recording_number"

    recording_number: str
    display_code: str
    position: int


class Party(Record):
    """`recorder.party`: a name on a document, as indexed (LAST FIRST M, cut at 54 characters); the recorder
    knows no roles.
    """

    table = "recorder.party"
    key = ("recording_number", "name")
    complete_by = "recording_number"

    recording_number: str
    name: str


class CodeLabel(Record):
    """`recorder.code_label`: a two-letter query code and what the recorder calls it."""

    table = "recorder.code_label"
    key = ("query_code",)

    query_code: str
    label: str | None


class CodePair(Record):
    """`recorder.code_pair`: the display code of the documents that a query code found."""

    table = "recorder.code_pair"
    key = ("query_code", "display_code")

    query_code: str
    display_code: str


class NameIndex(Record):
    """`recorder.name_index`: the last day whose names are all indexed, by the recorder's word."""

    table = "recorder.name_index"
    key = ("complete_until",)

    complete_until: dt.date


class SearchWindow(Record):
    """`recorder.search_window`: what one search found, against what the recorder reported.

    `total` is exact to 500; 501 means more; NULL where it was not told. `state`: complete (as many rows as
    reported), split (more than can be counted: halved), walked (not counted, read to its end), short (fewer
    rows than reported), saturated (one day that could not be read on), unread (all rows came, and some could
    not be read).
    """

    table = "recorder.search_window"
    key = ("query", "since", "until")

    query: str
    since: dt.date
    until: dt.date
    total: int | None
    row_count: int
    junk_rows: int
    state: str


class NameMatch(Record):
    """`recorder.name_match`: a document that a search for an owner's name found, by a name that begins with
    it.
    """

    table = "recorder.name_match"
    key = ("owner", "recording_number", "name")

    owner: str
    recording_number: str
    name: str


class Neighbour(Record):
    """`recorder.neighbour`: a document recorded right after a deed; `confidence` and `reason` say what ties
    the two.
    """

    table = "recorder.neighbour"
    key = ("recording_number", "deed_number")

    recording_number: str
    deed_number: str
    distance: int
    confidence: str
    reason: str


class LegacyDocument(Record):
    """`recorder.legacy_document`: a document as the legacy page tells it; `recorded_at` is Arizona's time of
    day.
    """

    table = "recorder.legacy_document"
    key = ("recording_number",)

    recording_number: str
    suffix: str | None
    recorded_at: dt.datetime | None
    page_amount: int | None
    affidavit_page_amount: int | None
    docket_book: str | None
    page_map: str | None
    query_code: str | None
    display_codes: Json | None
    names: Json | None
    image_path: str | None


class Image(Record):
    """`recorder.image`: the scan of a document: a file below the data folder, or `is_restricted` where the
    recorder withholds it.
    """

    table = "recorder.image"
    key = ("recording_number",)

    recording_number: str
    url: str
    path: str | None
    sha256: str | None
    size: int | None
    is_restricted: bool
