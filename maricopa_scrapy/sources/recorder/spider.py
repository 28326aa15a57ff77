"""The recorder's documents: by number, by code and days, or by an owner's name."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlencode

from scrapy import Request

from maricopa_scrapy.arguments import RecordingNumbers, spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, Work
from maricopa_scrapy.items import Answer, FollowOn, Issue, IssueKind, Target
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sources.recorder import document as recorder
from maricopa_scrapy.sources.recorder import search
from maricopa_scrapy.sources.recorder.api_requests import PHOENIX, RecorderSpider
from maricopa_scrapy.sources.recorder.legacy_requests import LegacyPages, legacy_list
from maricopa_scrapy.sources.recorder.records import CodePair, Document, DocumentCode, NameMatch, SearchWindow
from maricopa_scrapy.sources.recorder.search import (
    COUNTED_MOST,
    INDEXED_MOST,
    SearchPage,
    SearchRow,
    squeezed,
)
from maricopa_scrapy.sources.recorder.target_details import DaysDetail, DocumentDetail, WindowDetail

_FIRST_DAY = dt.date(1947, 1, 1)
_CODE = re.compile(r"[A-Z0-9]{2}")
# A name with one of these is a business or a trust, any other a person's: LAST FIRST M.
_BUSINESS = re.compile(
    r"\b(L ?L"
    r" ?C|INC|LLP|LP|CORP|CO|COMPANY|TRUST|TR|BANK|NA|ASSOCIATION|ASSN|HOA|CHURCH|CITY|TOWN|COUNTY|STATE|"
    r"DEPT|DISTRICT|"
    r"PARTNERSHIP|PARTNERS|HOLDINGS|PROPERTIES|GROUP|FUND|FOUNDATION|AUTHORITY|UNION|OF|AND|THE)\b"
)
# Pages of one search: the deepest that anyone walked was 5,000 of 20 rows.
_PAGES_MOST = 1_000
_LISTED = DocumentDetail(listed=True)
_WAYS = ("recording_numbers", "owner", "since")


class DocumentsSpider(RecorderSpider):
    """Targets, besides the recorder's own: `codes` (the list of them) and `window`, a page of a search of
    some days.
    """

    name = "documents"
    known_arguments: ClassVar[dict[str, str]] = {
        "recording_numbers": "a list of documents: a file, or recording numbers separated by commas",
        "number_column": "the column of the list that holds the numbers: its heading, or its number",
        "owner": "a party's name: documents of all days, or from `since` to `until`; matches are no facts",
        "since": "the first day, YYYY-MM-DD: all documents that were recorded since",
        "until": "the last day; else the last that the recorder has indexed",
        "codes": "with `since`: kinds of documents, two-letter codes separated by commas; else all",
        "via": "`legacy`: the recorder's old pages in place of its API, one at a time",
        "pdf": "`yes`: also the scans, into `documents/` of the data folder",
    }
    also: ClassVar[tuple[type[LedgerSpider], ...]] = (LegacyPages,)
    details = RecorderSpider.details | {"codes": DaysDetail, "window": WindowDetail}

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read what is wanted: `recording_numbers`, an `owner`, or `codes` (all without it) of the days
        `since` to `until`.

        `via=legacy` asks the legacy pages in place of the API: for numbers, or for some codes.
        """
        wanted = [name for name in _WAYS if name in given and not (name == "since" and "owner" in given)]
        name = spider_arguments.one_of(given, wanted if wanted else _WAYS)
        only = dict.fromkeys(("skip_invalid", "number_column"), ("recording_numbers",))
        for option, ways in {"until": ("since", "owner"), "codes": ("since",), **only}.items():
            if option in given and name not in ways:
                raise ArgumentError(option, f"does not go with `{name}`")
        is_legacy = spider_arguments.choice("via", given.get("via", "api"), ("api", "legacy")) == "legacy"
        if is_legacy and (name == "owner" or (name == "since" and "codes" not in given)):
            raise ArgumentError(
                "via",
                "the legacy pages are asked by recording_numbers, or by codes of some days: give -a"
                " codes=NS,LP",
            )
        given = given | {"pdf": "yes" if spider_arguments.flag("pdf", given.get("pdf", "no")) else "no"}
        if is_legacy and given["pdf"] == "yes":
            raise ArgumentError(
                "pdf", "does not go with `via=legacy`, whose scans bear a mark; leave via=legacy out"
            )
        also = {"sources": [LegacyPages.source]} if is_legacy else {}
        index = FollowOn(cls.source, "index", "names")
        if name == "recording_numbers":
            numbers = RecordingNumbers.of(name, given)
            targets = _of_numbers(numbers, None if is_legacy else index)
            return Work("documents", given | also, targets, apns=numbers)
        since, until = _span(given, name)
        if name == "owner":
            return Work(
                "documents",
                given,
                [index, _of_owner(spider_arguments.query(name, given[name]).upper(), since, until)],
            )
        days = {"since": str(since), "until": str(until)}
        if "codes" not in given:
            wanted_days = DaysDetail(since=since, until=until)
            return Work("documents", given | days, [index, FollowOn(cls.source, "codes", "all", wanted_days)])
        if is_legacy:
            return Work(
                "documents",
                given | days | also,
                [legacy_list(code, since, until) for code in _codes(given["codes"])],
            )
        return Work(
            "documents",
            given | days,
            [index, *(_of_code(code, since, until) for code in _codes(given["codes"]))],
        )

    def request(self, target: Target) -> Request:
        """Ask for the list of codes, a page of a search, or what every recorder's spider asks for."""
        if target.kind == "codes":
            return self.fetch(target, self.manifest.paths["codes"], self.parse_codes)
        if target.kind != "window":
            return super().request(target)
        detail = WindowDetail.of(target)
        query = detail.query | {
            "beginDate": str(detail.since),
            "endDate": str(detail.until),
            "pageNumber": str(detail.page),
            "pageSize": str(self.manifest.search_page_size),
        }
        return self.fetch(target, f"{self.manifest.paths['search']}?{urlencode(query)}", self.parse_window)

    def parse_codes(self, body: bytes, target: Target) -> Answer:
        """Read the recorder's list of codes: each is searched for the job's days."""
        days = DaysDetail.of(target)
        codes = recorder.parse_codes(body)
        follow_ons = [_of_code(code, days.since, days.until) for code in codes.codes]
        shortfall = f"documents of the codes {', '.join(codes.odd)} were not searched" if codes.odd else None
        return Answer(
            target,
            records=list(codes.labels),
            follow_ons=follow_ons,
            issues=codes.issues,
            shortfall=shortfall,
            unread=tuple(codes.notes.unread),
        )

    def parse_window(self, body: bytes, target: Target) -> Answer:
        """Read a page of a search, and at its end hold the rows against the total.

        What cannot be counted is halved by days; a single day is read on to its end.
        """
        detail = WindowDetail.of(target)
        since, until, owner = detail.since, detail.until, detail.owner
        code = detail.query.get("documentCode")
        display = self.manifest.codes.get(code) if code else None
        page = search.parse_search(body)
        search.check_answers(page, since, until, squeezed(owner[:INDEXED_MOST]) if owner else None, display)
        total = page.total if detail.page == 1 else detail.total
        if detail.page == 1 and total is None and "total" not in page.notes.unread:
            page.notes.is_absent("totalResults")
        if since < until and self._is_beyond(total, detail.seen, page.count):
            halves = self._halved(target, detail, total, page)
            # Its rows come again, and are told, with the halves.
            halves.issues += page.issues
            return halves
        if detail.page == 1 and total is not None and page.count > total:
            raise SourceChanged(
                "totalResults", f"a total of no less than the {page.count} rows of the page", total
            )
        is_counted = total is not None and total <= COUNTED_MOST
        answer = self._found(target, page, owner, code)
        detail = detail.model_copy(update={"unread": detail.unread + page.unread})
        names = tuple((row.name, row.number) for row in page.rows)
        if names and names == detail.before:
            answer.records, answer.follow_ons = [], []
            if not is_counted:
                ended = self._ended(
                    target,
                    detail,
                    total,
                    SearchPage(),
                    "saturated",
                    f"page {detail.page} repeats the page before it",
                )
                return self._joined(answer, ended)
            page, names = SearchPage(), ()
        # A row that comes again is no further one: counted, it would stand for a row that is missing.
        page.count = page.junk + page.lost + len(set(names) - set(detail.before))
        seen = detail.seen + page.count
        if page.count and detail.page < _PAGES_MOST and (seen < (total or 0) or not is_counted):
            # The last page with rows may have fewer than the most; one before it may not.
            so_far = {
                "page": detail.page + 1,
                "seen": seen,
                "junk": detail.junk + page.junk,
                "total": total,
                "before": names,
                "missing": detail.missing + detail.lacks,
                "lacks": max(0, self.manifest.search_page_size - page.count),
            }
            answer.follow_ons.append(_window(detail.model_copy(update=so_far)))
            return answer
        return self._joined(answer, self._end(target, detail, total, page))

    def _is_beyond(self, total: int | None, seen: int, rows: int) -> bool:
        """Whether there are more rows than can be counted, or may be: of a total that is not told a full page
        is a sign of it.
        """
        if total is None:
            return rows >= self.manifest.search_page_size or seen + rows > COUNTED_MOST
        return total > COUNTED_MOST

    def _joined(self, answer: Answer, ended: Answer) -> Answer:
        answer.records += ended.records
        answer.follow_ons += ended.follow_ons
        answer.issues += ended.issues
        answer.shortfall = ended.shortfall
        return answer

    def _end(self, target: Target, detail: WindowDetail, total: int | None, page: SearchPage) -> Answer:
        """Hold what came against what was reported."""
        seen = detail.seen + page.count
        if total is None or total > COUNTED_MOST:
            if total is not None and seen <= COUNTED_MOST + 1:
                return self._ended(
                    target,
                    detail,
                    total,
                    page,
                    "saturated",
                    f"more than {COUNTED_MOST} rows were reported, {seen} could be read",
                )
            if page.count:
                return self._ended(
                    target,
                    detail,
                    total,
                    page,
                    "saturated",
                    f"{seen} rows on {detail.page} pages, and no end",
                )
            if detail.missing:
                told = f"{seen} rows came, and pages before the last lack {detail.missing}"
                return self._ended(target, detail, total, page, "short", told)
            told = (
                f"{seen} rows were read on to the end; beyond {COUNTED_MOST} they are not counted, so none"
                " can be told to be missing"
            )
            if total is None:
                told = (
                    f"{seen} rows were read on to the end; how many there are was not told, so none can be"
                    " told to be missing"
                )
            return self._ended(target, detail, total, page, "walked", told)
        if seen >= total:
            return self._ended(target, detail, total, page, "complete")
        if detail.since < detail.until:
            # By halves it shows which days are short, or that they are not.
            return self._halved(target, detail, total, page)
        return self._ended(target, detail, total, page, "short", f"{total} rows were reported, {seen} came")

    def _halved(self, target: Target, detail: WindowDetail, total: int | None, page: SearchPage) -> Answer:
        middle = detail.since + (detail.until - detail.since) / 2
        parts = [(detail.since, middle), (middle + dt.timedelta(days=1), detail.until)]
        answer = self._ended(target, detail, total, page, "split")
        answer.follow_ons = [
            _first_page(detail.query, detail.label, begin, end, detail.owner) for begin, end in parts
        ]
        return answer

    def _ended(
        self,
        target: Target,
        detail: WindowDetail,
        total: int | None,
        page: SearchPage,
        state: str,
        message: str = "",
    ) -> Answer:
        if detail.unread and state in ("complete", "walked"):
            state, message = (
                "unread",
                f"of {detail.seen + page.count} rows {detail.unread} could not be read, or not wholly",
            )
        window = SearchWindow(
            query=detail.label,
            since=detail.since,
            until=detail.until,
            total=total,
            row_count=detail.seen + page.count,
            junk_rows=detail.junk + page.junk,
            state=state,
        )
        told = f"{detail.label} of {detail.days}: {message}"
        signature = f"{detail.label} {detail.days}"
        issues = [Issue(IssueKind(f"{state}_window"), signature, told)] if message else []
        if message:
            self.logger.warning("%s", told)
        return Answer(
            target,
            records=[window],
            issues=issues,
            shortfall=told if state in ("short", "saturated") else None,
        )

    def _found(self, target: Target, page: SearchPage, owner: str | None, code: str | None) -> Answer:
        """The rows of a page: each document is asked for, except the few with a suffix, which only the row
        tells of.
        """
        answer = Answer(target, issues=page.issues, unread=tuple(page.notes.unread))
        for row in page.rows:
            if owner and row.name and row.is_read:
                answer.records.append(NameMatch(owner=owner, recording_number=row.number, name=row.name))
            if row.suffix:
                answer.records += _of_row(row) if row.is_read else []
                told = f"{row.number} cannot be asked for; only the row of a search tells of it"
                answer.issues.append(Issue(IssueKind.SUFFIX, row.number, told))
            else:
                answer.follow_ons.append(FollowOn(self.source, "document", row.number, _LISTED))
        if code and len(page.pair) == 1:
            answer.records.append(CodePair(query_code=code, display_code=next(iter(page.pair))))
        elif code and page.pair:
            several = ", ".join(sorted(page.pair))
            answer.issues.append(
                Issue(
                    IssueKind.MIXED_CODES,
                    code,
                    f"the query code {code} finds documents of several codes: {several}",
                )
            )
        if page.junk:
            answer.issues.append(
                Issue(IssueKind.JUNK_ROW, "search", "a row with 0 for its number: its document is hidden")
            )
        return answer

    handlers = RecorderSpider.handlers | {"codes": parse_codes, "window": parse_window}


def _of_row(row: SearchRow) -> list[Any]:
    unknown = dict.fromkeys(
        ("page_amount", "affidavit_present", "affidavit_page_amount", "restricted", "name_count", "image_url")
    )
    document = Document(
        recording_number=row.number,
        suffix=row.suffix,
        recording_date=row.date,
        docket_book=row.docket_book,
        page_map=row.page_map,
        **unknown,
    )
    absent = {
        "recording_date" if name == "date" else name for name in row.absent
    } & document.__class__.model_fields.keys()
    codes = (
        [DocumentCode(recording_number=row.number, display_code=row.display_code, position=1)]
        if row.display_code
        else []
    )
    return [document.lacking(unknown.keys() | absent), *codes]


def _of_code(code: str, since: dt.date, until: dt.date) -> FollowOn:
    return _first_page({"documentCode": code}, code, since, until)


def _of_owner(owner: str, since: dt.date, until: dt.date) -> FollowOn:
    words = owner.split()
    if _BUSINESS.search(owner) or len(words) > 4 or len(words) == 1:
        # A longer one begins no name that is stored.
        query = {"businessNames": owner[:INDEXED_MOST].rstrip()}
    else:
        query = dict(
            zip(
                ("lastNames", "firstNames", "middleNameIs"),
                (words[0], words[1], " ".join(words[2:])),
                strict=True,
            )
        )
    query = {key: value for key, value in query.items() if value}
    return _first_page(query, f"owner {owner}", since, until, owner)


def _first_page(
    query: dict[str, str], label: str, since: dt.date, until: dt.date, owner: str | None = None
) -> FollowOn:
    whole = WindowDetail(query=query, label=label, since=since, until=until, page=1, seen=0, junk=0)
    return _window(whole.model_copy(update={"owner": owner}) if owner else whole)


def _window(detail: WindowDetail) -> FollowOn:
    key = f"{detail.label} {detail.since}..{detail.until} page={detail.page}"
    return FollowOn("recorder", "window", key, detail)


def _of_numbers(numbers: RecordingNumbers, index: FollowOn | None) -> Iterator[FollowOn]:
    distinct = dict.fromkeys(numbers)
    numbers.distinct = len(distinct)
    if index is None:
        yield from (FollowOn(LegacyPages.source, "page", number) for number in distinct)
        return
    yield index
    for number in distinct:
        yield FollowOn(index.source, "document", number)


def _span(given: dict[str, str], name: str) -> tuple[dt.date, dt.date]:
    today = dt.datetime.now(PHOENIX).date()
    since = spider_arguments.date("since", given["since"]) if "since" in given else _FIRST_DAY
    until = spider_arguments.date("until", given["until"]) if "until" in given else today
    if until > today:
        raise ArgumentError("until", f"{until} is after today in Arizona, {today}")
    if since > until:
        raise ArgumentError(
            "since", f"{since} is after {'today' if 'until' not in given else 'until'}, {until}"
        )
    if since < _FIRST_DAY:
        raise ArgumentError("since", f"{since} is before {_FIRST_DAY}, where the recorder's numbers begin")
    return since, until


def _codes(value: str) -> list[str]:
    codes = [part.strip().upper() for part in value.replace(";", ",").split(",") if part.strip()]
    for code in codes:
        if not _CODE.fullmatch(code):
            raise ArgumentError(
                "codes",
                f"{code!r} is no query code: it has two letters, such as NS (a longer one is cut by the"
                " recorder)",
            )
    if not codes:
        raise ArgumentError("codes", "the list is empty; give codes of two letters, such as NS,LP,FL")
    return list(dict.fromkeys(codes))
