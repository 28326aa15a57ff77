"""The recorder's legacy pages: a list by code and days, and one document of it."""

import datetime as dt
from typing import Any
from urllib.parse import quote

from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.probe.client import Asker
from maricopa_scrapy.probe.key_differences import noted
from maricopa_scrapy.sources.recorder import legacy_pages as pages

_LIST, _DAYS, _DOCUMENT = "a list: its table", "a list is of the days asked for", "a document's page is read"
_REPORT = "attach the bundle to an issue; maricopa_scrapy/sources/recorder/legacy_pages.py reads it"
# Enough for a document to be indexed; few enough for a short list.
_AGO, _LONG = 14, 7
_CODE = "NS"


def assumptions(_: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    return (_LIST, _DAYS, _DOCUMENT)


async def check(asker: Asker, _: Any) -> None:
    """Ask, and note what held. Raises Ended."""
    until = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=_AGO)
    since = until - dt.timedelta(days=_LONG - 1)
    days = {name: quote(f"{day:%m/%d/%Y}", safe="") for name, day in (("since", since), ("until", until))}
    path = asker.manifest.paths["list"].format(
        cursor="0", code=_CODE, most=asker.manifest.search_page_size, **days
    )
    body = await asker.page("a list", asker.url(path))
    if body is None:
        return
    try:
        found = pages.parse_legacy_list(body)
    except PageError as error:
        asker.sheet.broken(_LIST, str(error), _REPORT)
        return
    said = noted(found.notes)
    asker.sheet.check(_LIST, not said, said or f"{len(found.rows)} rows", _REPORT)
    if not found.rows:
        asker.sheet.untold(_DAYS, f"{_CODE} of {since} to {until}: no rows")
        return
    outside = [row for row in found.rows if row.date is None or not since <= row.date <= until]
    evidence = f"{_CODE} of {since} to {until}: {len(outside)} of {len(found.rows)} rows are of other days"
    asker.sheet.check(_DAYS, not outside, evidence, _REPORT)
    number = next((row.number for row in found.rows if row.number), None)
    if number is None:
        return
    path = asker.manifest.paths["document"].format(number=number[:11], suffix=number[11:])
    body = await asker.page(f"document {number}", asker.url(path))
    if body is None:
        return
    try:
        page = pages.parse_legacy_document(body, number)
    except PageError as error:
        asker.sheet.broken(_DOCUMENT, str(error), _REPORT)
    else:
        said, document = noted(page.notes), page.document
        asker.sheet.check(
            _DOCUMENT,
            not said,
            said or f"{len(document.names or ())} names, recorded {document.recorded_at}",
            _REPORT,
        )
