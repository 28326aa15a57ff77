"""The recorder's legacy pages as the sandbox shows them: a list by code and days, a document, the page of a
restricted one.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from zoneinfo import ZoneInfo

from maricopa_scrapy.sandbox.answers.behaviour import Answer
from maricopa_scrapy.sandbox.county.seeded_chance import number as draw
from maricopa_scrapy.sandbox.recorder.codes import DISPLAY
from maricopa_scrapy.sandbox.recorder.documents import Documents, Facts

_ID = "ctl00_ContentPlaceHolder1_"
_MOST = (20, 250, 500, 1000)


def _page(title: str, body: str) -> bytes:
    return (
        '<!doctype html>\n<html class="no-js" lang="en"><head><meta charset="utf-8"'
        f' /><title>\n\t{title}\n</title></head><body>\n<form name="aspnetForm" method="post"'
        ' id="aspnetForm"><input type="hidden" name="__VIEWSTATE" value="x"'
        f" />\n{body}\n</form></body></html>"
    ).encode()


def blocked_page() -> bytes:
    """Return the page that stands for a restricted document."""
    return _page("Information Blocked", "<h1>Information Blocked</h1><p>This document cannot be shown.</p>")


def legacy_list(
    documents: Documents,
    query: Mapping[str, str],
    cells: Callable[[Facts], tuple[str, str]] = lambda facts: (facts.number, f"{facts.date:%m/%d/%Y}"),
) -> Answer:
    """Return a list: oldest first, cut without a word at `max`; `rec` is the number that it begins with;
    `cells` shows number and day.
    """
    try:
        begin, end = (
            dt.datetime.strptime(query.get(name, ""), "%m/%d/%Y").replace(tzinfo=ZoneInfo("UTC")).date()
            for name in ("bdt", "edt")
        )
        most = int(query.get("max", "20"))
    except ValueError:
        return Answer(500)
    if end > documents.today:
        return _html(_page("Recorded Documents", "<span>The End date is not a valid date.</span>"))
    found = documents.of_code(query.get("cde", "")[:2].upper(), begin, end)
    cursor = query.get("rec", "0")
    found = [facts for facts in found if not facts.suffix and int(facts.number) >= int(cursor or "0")][
        : most if most in _MOST else 20
    ]
    if not found:
        return _html(_page("Recorded Documents", "<span>No results exist for this search</span>"))
    rows = "".join(
        f'<tr><td><a href="GetRecDataDetail.aspx?rec={facts.number}&amp;suf=&amp;nm=">{number}</a></td>'
        f"<td>{day}</td><td>{DISPLAY[facts.codes[0]]}</td></tr>"
        for facts in found
        for number, day in [cells(facts)]
    )
    table = (
        f'<table id="{_ID}Grid1"><tr><th>RECORDING NUMBER</th><th>RECORDING DATE</th><th>DOCUMENT'
        f" CODE</th></tr>{rows}</table>"
    )
    return _html(
        _page(
            "Recorded Documents",
            table + _hidden("hiddenrec", found[-1].number) + f'<a id="{_ID}btnNext" href="#">Next</a>',
        )
    )


def _true_day(facts: Facts) -> dt.date:
    return facts.date


def legacy_document(
    documents: Documents,
    key: str,
    suffix: str,
    indexed: dt.date,
    is_recent: bool,
    day: Callable[[Facts], dt.date] = _true_day,
) -> Answer:
    """Return the page of a document; `is_recent` is the one for documents whose names are not indexed; `day`
    is the day shown.
    """
    facts = documents.find(key) if len(key) == 11 and key.isdecimal() else None
    if facts is None:
        return _html(_page("Recorded Document Search Detail", "<span>No document was found.</span>"))
    if facts.restricted:
        return _html(blocked_page())
    codes = "".join(f"{DISPLAY[code]}<br>" for code in facts.codes)
    names = (
        "".join(f"{escape(name):<55}<br>" for name in facts.names)
        if facts.date <= indexed and not is_recent
        else ""
    )
    if is_recent:
        shown = (
            f'<select id="{_ID}lbRecDocCode">'
            + "".join(f"<option>{DISPLAY[code]}</option>" for code in facts.codes)
            + "</select>"
        )
    else:
        shown = f'<span id="{_ID}lblRecDocName">{names}</span><span id="{_ID}lblRecDocCode">{codes}</span>'
    at = recorded_at(replace(facts, date=day(facts)))
    moment = f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S %p}"
    scan = f"unofficialpdfdocs.aspx?rec={key}&amp;pg=1&amp;cls=RecorderDocuments&amp;suf={suffix}"
    body = (
        f'{shown}<span id="{_ID}lblRecDate">{moment}<br></span><span id="{_ID}lblRecNum">{key} <br></span>'
        f'<a id="{_ID}lnkPages" class="recordingdoclink" href="{scan}" target="_blank">{facts.pages}</a>'
        + "".join(
            _hidden(name, value)
            for name, value in (
                ("hidcls", "RecorderDocuments"),
                ("hidnaf", str(facts.affidavit_pages)),
                ("hidpages", str(facts.pages)),
                ("hidpgs", str(facts.pages)),
                ("hidrec", key),
                ("hidsuf", suffix),
                ("hidcde", facts.codes[0]),
                ("hidbk", str(facts.docket_book or "")),
                ("hidmap", str(facts.page_map or "")),
            )
        )
    )
    return _html(_page("Recorded Document Search Detail", body))


def recorded_at(facts: Facts) -> dt.datetime:
    """Return the time of day of a document, Arizona's, from eight to five by its number."""
    second = 8 * 3600 + draw("moment", facts.number) % (9 * 3600)
    return dt.datetime.combine(facts.date, dt.time()) + dt.timedelta(seconds=second)


def _hidden(name: str, value: str) -> str:
    said = f' value="{value}"' if value else ""
    return f'<input type="hidden" name="ctl00$ContentPlaceHolder1${name}" id="{_ID}{name}"{said}>'


def _html(body: bytes) -> Answer:
    return Answer(200, body, "text/html")
