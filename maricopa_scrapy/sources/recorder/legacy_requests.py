"""The recorder's legacy pages, as a source besides its API: lists by code and days, and documents. One
request at a time.
"""

import datetime as dt
from typing import Any, ClassVar
from urllib.parse import quote

from scrapy import Request
from scrapy.http import Response

from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.items import Answer, Cause, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.pace.answer_check import Refusal, check_json_answer
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sources.recorder import legacy_pages as pages
from maricopa_scrapy.sources.recorder.api_requests import PHOENIX
from maricopa_scrapy.sources.recorder.document import check_days
from maricopa_scrapy.sources.recorder.records import CodePair, Image, LegacyDocument, SearchWindow
from maricopa_scrapy.sources.recorder.target_details import AgainDetail, LegacyListDetail, number_of


class LegacyPages(LedgerSpider):
    """Targets: `list`, the documents of a code and some days from a number on, and `page`, one document."""

    # Not a spider of its own: `scrapy crawl documents -a via=legacy` runs it.
    name = ""
    source = "recorder_legacy"
    needed_paths: ClassVar[tuple[str, ...]] = ("list", "document", "recent")
    details = {"list": LegacyListDetail, "page": AgainDetail}

    def request(self, target: Target) -> Request:
        """Ask for a list or for a document."""
        if target.kind == "page":
            return self._page(target, "document", self.parse_page)
        detail = LegacyListDetail.of(target)
        since, until = (quote(f"{day:%m/%d/%Y}", safe="") for day in (detail.since, detail.until))
        path = self.manifest.paths["list"].format(
            cursor=detail.cursor,
            code=detail.code,
            most=self.manifest.search_page_size,
            since=since,
            until=until,
        )
        return self.fetch(target, path, self.parse_list)

    def check_answer(self, response: Response) -> None:
        """Return for an HTML page that is no challenge. Raises Refusal."""
        try:
            check_json_answer(response, self.manifest.refusals)
        except Refusal as error:
            if response.status == 200 and error.cause is Cause.SOFT_404:
                return
            raise
        raise Refusal(Cause.MALFORMED, "HTTP 200 without an HTML page")

    def parse_list(self, body: bytes, target: Target) -> Answer:
        """Read a list. It is cut at its most without a word, and begins with the last row of the one before:
        fewer rows are its end.
        """
        detail = LegacyListDetail.of(target)
        found = pages.parse_legacy_list(body)
        since, until = detail.since, detail.until
        for row in found.rows:
            if row.number:
                check_days(row.number, row.date, since, until, "Grid1.RECORDING DATE")
        if found.rows and all(row.date is None for row in found.rows):
            raise SourceChanged(
                "Grid1.RECORDING DATE", f"a day from {since} to {until}, of one row at least", None
            )
        fresh = found.rows
        if detail.cursor != "0":
            first = found.rows[0].number if found.rows else None
            # One that cannot be read may be the one that is asked for.
            if not found.rows or first not in (None, detail.cursor):
                raise SourceChanged("Grid1", f"a list that begins with {detail.cursor}", first)
            fresh = found.rows[1:]
        numbers = [row.number for row in fresh if row.number]
        answer = Answer(
            target,
            follow_ons=[FollowOn(self.source, "page", number) for number in numbers],
            issues=found.issues,
            unread=tuple(found.notes.unread),
        )
        seen = detail.seen + len(fresh)
        unread = detail.unread + sum(not row.is_read for row in fresh)
        if len(found.rows) >= self.manifest.search_page_size:
            if not numbers:
                told = f"{detail.code} of {since} to {until}: the list does not go on after {detail.cursor}"
                answer.issues.append(Issue(IssueKind.SATURATED_WINDOW, told[:200], told))
                answer.records, answer.shortfall = [self._window(detail, seen, "saturated")], told
                return answer
            answer.follow_ons.append(
                legacy_list(detail.code, since, until, found.cursor or numbers[-1], seen, unread)
            )
        else:
            # Nothing reports how many there are.
            answer.records.append(self._window(detail, seen, "unread" if unread else "walked"))
        return answer

    def parse_page(self, body: bytes, target: Target) -> Answer | Request:
        """Read a document; where this page does not know it, the page for documents whose names are not
        indexed may.
        """
        return self._document(body, target, is_last=False)

    def parse_recent(self, body: bytes, target: Target) -> Answer | Request:
        """Read a document whose names are not indexed."""
        return self._document(body, target, is_last=True)

    def _document(self, body: bytes, target: Target, is_last: bool) -> Answer | Request:
        number = number_of(target)
        if pages.is_blocked(body):
            image = Image(
                recording_number=number,
                url=self._url(target, "document"),
                path=None,
                sha256=None,
                size=None,
                is_restricted=True,
            )
            return Answer(target, records=[image])
        try:
            page = pages.parse_legacy_document(body, number)
        except SourceChanged as error:
            if is_last or error.path != "lblRecNum":
                raise
            return self._page(target, "recent", self.parse_recent)
        document = page.document
        records: list[Any] = [document]
        codes = list(document.display_codes or ())
        if document.query_code and len(codes) == 1:
            records.append(CodePair(query_code=document.query_code, display_code=codes[0]))
        again = [] if document.names else self._again(document, target)
        return Answer(
            target,
            Outcome.DONE,
            records=records,
            follow_ons=again,
            issues=page.issues,
            unread=tuple(page.notes.unread),
        )

    def _again(self, document: LegacyDocument, target: Target) -> list[FollowOn]:
        """Return the page as a target for when the names of a fresh document may be indexed."""
        recorded, rules, now = document.recorded_at, self.manifest.names, dt.datetime.now(dt.UTC)
        if recorded is None or (now.astimezone(PHOENIX).date() - recorded.date()).days > rules.give_up_after:
            return []
        again, number = AgainDetail.of(target).again + 1, number_of(target)
        due = now + dt.timedelta(hours=rules.again_after)
        return [
            FollowOn(
                self.source,
                "page",
                f"{number} again {again}",
                AgainDetail(number=number, again=again),
                due,
            )
        ]

    handlers = {"list": parse_list, "page": parse_page}

    def _window(self, detail: LegacyListDetail, seen: int, state: str) -> SearchWindow:
        return SearchWindow(
            query=f"legacy {detail.code}",
            since=detail.since,
            until=detail.until,
            total=seen,
            row_count=seen,
            junk_rows=0,
            state=state,
        )

    def _page(self, target: Target, which: str, handler: Any) -> Request:
        return self.fetch(target, self._path(target, which), handler)

    def _url(self, target: Target, which: str) -> str:
        return self.manifest.base_url + self._path(target, which)

    def _path(self, target: Target, which: str) -> str:
        number = number_of(target)
        return self.manifest.paths[which].format(number=number[:11], suffix=number[11:])


def legacy_list(
    code: str, since: dt.date, until: dt.date, cursor: str = "0", seen: int = 0, unread: int = 0
) -> FollowOn:
    """Return a list from a number on as a target (LegacyListDetail)."""
    detail = LegacyListDetail(code=code, since=since, until=until, cursor=cursor, seen=seen, unread=unread)
    return FollowOn("recorder_legacy", "list", f"{code} {since}..{until} from {cursor}", detail)
