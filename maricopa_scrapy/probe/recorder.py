"""The recorder's API: its codes, its index, the search's envelope and its limits, a document, and a number
that is none.
"""

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from scrapy.http import Response

from maricopa_scrapy.items import Cause
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.probe.client import Asker
from maricopa_scrapy.probe.key_differences import listed, noted
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.sources.recorder import document as pages
from maricopa_scrapy.sources.recorder.search import SearchPage, check_answers, parse_search

_INDEX, _CODES, _LISTED, _PAIRS = (
    "the index of names has a day",
    "its list of codes",
    "the manifest's codes are in the list",
    "query codes find the display codes of the manifest",
)
_SEARCH, _FILTER, _SIZE, _SECOND = (
    "a search: its envelope and rows",
    "a search is filtered by code and days",
    "a page of a search has at most {} rows",
    "the second page of a search has other rows",
)
_DOCUMENT, _SAME = "a document: its keys and kinds", "a document is what the search says of it"
_UNKNOWN = "an unknown number is answered by 404"
_REPORT = "attach the bundle to an issue; maricopa_scrapy/sources/recorder/document.py reads it"
_DAYS = 6


def assumptions(asker: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    size = _SIZE.format(asker.manifest.search_page_size)
    return (_INDEX, _CODES, _LISTED, _SEARCH, _FILTER, _PAIRS, _SECOND, size, _DOCUMENT, _SAME, _UNKNOWN)


async def check(asker: Asker, _: Any) -> None:
    """Ask, and note what held. Raises Ended."""
    day = await _index(asker)
    await _codes(asker)
    found = await _searches(asker, day)
    number = next((row.number for row in found.rows if not row.suffix), None) if found else None
    if number is not None and found is not None:
        await _document(asker, number, next(row.date for row in found.rows if row.number == number))
    await _unknown(asker, day)


async def _json(asker: Asker, what: str, url: str) -> bytes | None:
    """As the client's; an HTML page, of whatever kind, is a guard before the API. Raises Ended."""
    body = await asker.json(what, url)
    last = asker.seen[-1]
    if (
        asker.cause in (Cause.SOFT_404, Cause.REFUSED)
        and last.body.lstrip()[:1] == b"<"
        and last.status < 429
    ):
        raise asker.challenged(f"HTTP {last.status} with an HTML page where JSON is due, asked for: {what}")
    return body


async def _index(asker: Asker) -> dt.date:
    today = dt.datetime.now(dt.UTC).date()
    body = await _json(asker, "the index", asker.url(asker.manifest.paths["index"]))
    if body is None:
        return today
    try:
        day = pages.parse_index(body)
    except PageError as error:
        asker.sheet.broken(_INDEX, str(error), _REPORT)
        return today
    is_plausible = today - dt.timedelta(days=60) <= day <= today + dt.timedelta(days=1)
    asker.sheet.check(_INDEX, is_plausible, f"names are indexed until {day}", "ask again in some days")
    return min(day, today)


async def _codes(asker: Asker) -> None:
    body = await _json(asker, "the list of codes", asker.url(asker.manifest.paths["codes"]))
    if body is None:
        return
    try:
        codes = pages.parse_codes(body)
    except PageError as error:
        asker.sheet.broken(_CODES, str(error), _REPORT)
        return
    differs = noted(codes.notes)
    evidence = (
        f"{len(codes.codes)} codes of two letters"
        + f"; odd: {listed(set(codes.odd))}" * bool(codes.odd)
        + f"; {differs}" * bool(differs)
    )
    asker.sheet.check(
        _CODES,
        not codes.odd and not differs,
        evidence,
        "odd ones cannot be asked for; attach the bundle to an issue",
    )
    gone = asker.manifest.codes.keys() - set(codes.codes)
    evidence = f"not there: {listed(gone)}" if gone else f"all {len(asker.manifest.codes)}"
    asker.sheet.check(_LISTED, not gone, evidence, line_of("recorder", "codes", *sorted(gone)[:1]))


def _query(asker: Asker, code: str, since: dt.date, until: dt.date, page: int, size: int) -> str:
    query = {"documentCode": code, "beginDate": since, "endDate": until, "pageNumber": page, "pageSize": size}
    return f"{asker.url(asker.manifest.paths['search'])}?{urlencode(query)}"


async def _searches(asker: Asker, day: dt.date) -> SearchPage | None:
    since, size = day - dt.timedelta(days=_DAYS), asker.manifest.search_page_size
    code = next(iter(asker.manifest.codes), "NS")
    found = await _search(asker, "a search", _query(asker, code, since, day, 1, size))
    if found is not None:
        _filtered(asker, found, code, since, day)
        few = await _search(
            asker, "a search, page 2", _query(asker, code, since, day, 2, max(1, min(20, found.count // 2)))
        )
        if few is not None and found.count > 1:
            half = max(1, min(20, found.count // 2))
            begin = {row.number for row in found.rows[:half]}
            same = begin & {row.number for row in few.rows}
            evidence = f"{few.count} rows, {len(same)} of them of the first page"
            asker.sheet.check(
                _SECOND,
                not same,
                evidence,
                "pageNumber is ignored: nothing beyond a page is found; attach the bundle to an issue",
            )
    await _too_many(asker, _query(asker, code, since, day, 1, size + 1), size)
    return found


async def _search(asker: Asker, what: str, url: str) -> SearchPage | None:
    body = await _json(asker, what, url)
    if body is None:
        return None
    try:
        found = parse_search(body)
    except PageError as error:
        asker.sheet.broken(
            _SEARCH,
            f"{what}: {error}",
            "attach the bundle to an issue; maricopa_scrapy/sources/recorder/search.py reads it",
        )
        return None
    if what == "a search":
        differs = noted(found.notes)
        asker.sheet.check(
            _SEARCH, not differs, differs or f"{found.count} rows, total {found.total}", _REPORT
        )
    return found


def _filtered(asker: Asker, found: SearchPage, code: str, since: dt.date, until: dt.date) -> None:
    display = asker.manifest.codes.get(code)
    try:
        check_answers(found, since, until, None, None)
    except PageError as error:
        asker.sheet.broken(
            _FILTER, str(error), "rows that were not asked for come: attach the bundle to an issue"
        )
        return
    if not found.rows:
        asker.sheet.untold(_FILTER, f"{code} of {since} to {until}: no rows")
        return
    asker.sheet.held(_FILTER, f"{code} of {since} to {until}: all {len(found.rows)} rows are of these days")
    remedy = f"{line_of('recorder', 'codes', code)}: {next(iter(found.pair), '')}"
    asker.sheet.check(
        _PAIRS, found.pair <= {display}, f"{code} finds {', '.join(sorted(found.pair)) or 'nothing'}", remedy
    )


async def _too_many(asker: Asker, url: str, size: int) -> None:
    response = await asker.answer(f"a search for {size + 1} rows", url)
    if response is None:
        return
    assumption, evidence = _SIZE.format(size), f"asked for {size + 1}: HTTP {response.status}"
    if response.status == 400:
        asker.sheet.held(assumption, evidence)
        return
    rows = _count(response)
    is_so = rows is not None and rows <= size
    asker.sheet.check(
        assumption,
        is_so,
        f"{evidence}, {rows} rows",
        f"it may take more: {line_of('recorder', 'search_page_size')}",
    )


def _count(response: Response) -> int | None:
    try:
        return parse_search(response.body).count
    except PageError:
        return None


async def _document(asker: Asker, number: str, date: dt.date | None) -> None:
    body = await _json(
        asker, f"document {number}", asker.url(asker.manifest.paths["document"].format(number=number))
    )
    if body is None:
        return
    try:
        found = pages.parse_document(body, number)
    except PageError as error:
        asker.sheet.broken(_DOCUMENT, str(error), _REPORT)
        return
    differs = noted(found.notes)
    evidence = f"{len(found.codes or ())} codes, {len(found.names or ())} names"
    asker.sheet.check(_DOCUMENT, not differs, differs or evidence, _REPORT)
    if found.document is None:
        return
    said = found.document.recording_date
    asker.sheet.check(
        _SAME,
        said == date,
        f"recorded {said}, by the search {date}",
        "stored as the document says it; attach the bundle to an issue",
    )


async def _unknown(asker: Asker, day: dt.date) -> None:
    number = f"{day.year}9999999"
    response = await asker.answer(
        f"unknown document {number}", asker.url(asker.manifest.paths["document"].format(number=number))
    )
    if response is None:
        return
    is_json = response.body.lstrip()[:1] == b"{"
    evidence = f"HTTP {response.status}, {'JSON' if is_json else f'{len(response.body)} bytes'}"
    asker.sheet.check(
        _UNKNOWN,
        response.status == 404 and is_json,
        evidence,
        "an unknown number would be taken for a failure: attach the bundle to an issue",
    )
