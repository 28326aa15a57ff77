"""What the spiders of the recorder's API share: documents by number, and what is asked for again because it
is not indexed yet.
"""

import datetime as dt
import re
from collections.abc import AsyncIterator
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from psycopg2.extensions import cursor as Cursor
from scrapy import Request
from scrapy.http import Response

from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Answer, Cause, Detail, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.pace.answer_check import Refusal, begins, check_json_answer
from maricopa_scrapy.parsing.identifiers import DIGITS
from maricopa_scrapy.sources.recorder import document as pages
from maricopa_scrapy.sources.recorder.records import Image, NameIndex, Neighbour
from maricopa_scrapy.sources.recorder.stored_deeds import ask_index_again
from maricopa_scrapy.sources.recorder.target_details import (
    AgainDetail,
    DocumentDetail,
    NeighbourDetail,
    ScanDetail,
    number_of,
)

PHOENIX = ZoneInfo("America/Phoenix")
# On so many documents that they tie nothing.
_EVERYWHERE = re.compile(
    r"\b(TRUSTEE|TITLE|ESCROW|BANK|MORTGAGE|MERS|LENDING|LOANS?|SERVICING|CREDIT UNION|AGENCY|COUNTY)\b"
)
_NEIGHBOURS = (1, 2)


class RecorderSpider(LedgerSpider):
    """Targets: `document` by number, its `scan`, `neighbour` of a deed, `index`: how far the index of names
    has come.
    """

    source = "recorder"
    needed_paths: ClassVar[tuple[str, ...]] = ("search", "document", "index", "codes", "image")
    # 400: a parameter or a limit that the API does not take.
    final_statuses: ClassVar[tuple[int, ...]] = (400,)
    answers_at_start = True
    details: ClassVar[dict[str, type[Detail]]] = {
        "document": DocumentDetail,
        "neighbour": NeighbourDetail,
        "scan": ScanDetail,
    }
    custom_settings = {
        "ITEM_PIPELINES": {
            "maricopa_scrapy.sources.recorder.scans.ScansPipeline": 300,
            "maricopa_scrapy.crawl.store_pipeline.StorePipeline": 500,
        },
        # The preview of a scan leads to where it is stored; every other request says that it follows nothing.
        "REDIRECT_ENABLED": True,
        "MEDIA_ALLOW_REDIRECTS": True,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._indexed_until: dt.date | None = None
        self._scans: dict[int, Request] = {}

    @classmethod
    def take_up(cls, cursor: Cursor, run: Run) -> None:
        """Have the index's day asked for again."""
        ask_index_again(cursor, run)

    def request(self, target: Target) -> Request:
        """Ask for a document, or how far the index has come."""
        if target.kind == "index":
            return self.fetch(target, self.manifest.paths["index"], self.parse_index)
        if target.kind == "scan":
            return self.fetch(target, self._image_path(number_of(target)), self.parse_document)
        handler = self.parse_neighbour if target.kind == "neighbour" else self.parse_document
        return self.fetch(
            target, self.manifest.paths["document"].format(number=number_of(target)[:11]), handler
        )

    async def _requests(self) -> AsyncIterator[Any]:
        async for request in super()._requests():
            target: Target = request.cb_kwargs["target"]
            has_suffix = target.kind == "document" and len(number_of(target)) > DIGITS
            if target.kind != "scan" and not has_suffix:
                yield request
                continue
            if has_suffix:
                self._leave(request)
                yield _of_suffix(target)
            else:
                # A scan is fetched by the pipeline (sources/recorder/scans.py), which completes the answer.
                self._scans[target.id] = request
                yield Answer(target, Outcome.DONE)

    def scanned(self, target: Target) -> None:
        """A scan's answer is complete: another one may be asked for."""
        self._leave(self._scans.pop(target.id, None))

    def check_answer(self, response: Response) -> None:
        """As for every JSON; and an HTML page, of whatever kind, is a guard before the API: the run ends."""
        try:
            check_json_answer(response, self.manifest.refusals)
        except Refusal as error:
            is_page = begins(response.body) == b"<" and response.status < 429
            if is_page and error.cause in (Cause.SOFT_404, Cause.REFUSED):
                raise Refusal(
                    Cause.CHALLENGE, f"HTTP {response.status} with an HTML page where JSON is due"
                ) from None
            raise

    def says_none(self, response: Response, target: Target) -> bool:
        """404 with a JSON object: there is no such document. Of one that a search has listed it is no
        answer.
        """
        return (
            response.status == 404
            and target.kind in ("document", "neighbour")
            and not (isinstance(target.detail, DocumentDetail) and target.detail.listed)
            and begins(response.body) == b"{"
        )

    def parse_index(self, body: bytes, target: Target) -> Answer:
        """Read the last day whose names are all indexed."""
        self._indexed_until = pages.parse_index(body)
        return Answer(target, records=[NameIndex(complete_until=self._indexed_until)])

    def parse_document(self, body: bytes, target: Target) -> Answer:
        """Read a document; what follows: it again when its names are indexed, its neighbours, its scan."""
        number, detail = number_of(target), DocumentDetail.of(target)
        page = self._read(body, number)
        answer = self._stored(target, page)
        again = self._names_later(answer, page, target)
        is_restricted = page.document is not None and page.document.restricted
        if self.parameters.get("pdf") == "yes" and not detail.again and not is_restricted:
            scan = ScanDetail(number=number, date=page.recorded)
            answer.follow_ons.append(FollowOn(self.source, "scan", number, scan))
        # A deed whose names are not there yet is asked for again, and then with its neighbours: without names
        # nothing ties them to it. So is one whose names or day could not be read, once they can (`maricopa
        # retry --unread`).
        if detail.neighbours and not again and not {"party", "document"} & page.notes.unread.keys():
            for distance in _NEIGHBOURS:
                asked = NeighbourDetail(
                    deed=number,
                    names=tuple(page.names or ()),
                    date=_day_of(page),
                    number=next_number(number, distance),
                    distance=distance,
                )
                answer.follow_ons.append(FollowOn(self.source, "neighbour", f"{number}+{distance}", asked))
        return answer

    def parse_neighbour(self, body: bytes, target: Target) -> Answer:
        """Read a document recorded after a deed: tied to it only where it is of the same day and shares a
        name that is not everywhere.
        """
        detail = NeighbourDetail.of(target)
        page = self._read(body, number_of(target))
        answer = self._stored(target, page)
        self._names_later(answer, page, target)
        shared = [name for name in page.names or () if name in detail.names and not _EVERYWHERE.search(name)]
        if shared and detail.date and _day_of(page) == detail.date:
            reason = f"recorded {detail.distance} after the deed on the same day, and both name {shared[0]}"
            answer.records.append(
                Neighbour(
                    recording_number=page.number,
                    deed_number=detail.deed,
                    distance=detail.distance,
                    confidence="probable",
                    reason=reason,
                )
            )
        return answer

    def _names_later(self, answer: Answer, page: pages.DocumentPage, target: Target) -> bool:
        """Have a document asked for again that has no names yet; returns whether it will be."""
        if page.names or {"party", "document"} & page.notes.unread.keys():
            return False
        # Two deeds may have the same neighbour: it is asked for again for each.
        key = target.key.split(" again ")[0] if target.kind == "neighbour" else page.number
        again, issues = self.look_again(
            page.recorded, page.number, "names", AgainDetail.of(target), (target.kind, key)
        )
        answer.follow_ons += again
        answer.issues += issues
        return bool(again)

    def look_again(
        self,
        recorded: dt.date | None,
        number: str,
        what: str,
        detail: AgainDetail,
        asked: tuple[str, str] | None = None,
    ) -> tuple[list[FollowOn], list[Issue]]:
        """Return the target that asks again for what a fresh document does not have yet; an issue once it is
        too old for that.

        A document whose names are not there is asked for when the index may have passed its day. `asked`:
        kind and key of the target, where they are not `what` and the number.
        """
        again = detail.again + 1
        days = self.manifest.names.give_up_after
        today = dt.datetime.now(PHOENIX).date()
        if recorded is None or (today - recorded).days > days:
            told = f"{number}: no {what}, " + (
                f"{days} days after it was recorded" if recorded else "and no day on which it was recorded"
            )
            return [], [Issue(IssueKind(f"no_{what}"), number, told)] if again > 1 or recorded is None else []
        lag = (recorded - self._indexed_until).days if self._indexed_until else 1
        due = dt.datetime.now(dt.UTC) + dt.timedelta(
            hours=self.manifest.names.again_after * min(max(lag, 1), 3)
        )
        kind, key = asked or (what, number)
        later = detail.model_copy(update={"number": number, "again": again})
        return [FollowOn(self.source, kind, f"{key} again {again}", later, due)], []

    def _image_path(self, number: str) -> str:
        return self.manifest.paths["image"].format(number=number, suffix="")

    def _read(self, body: bytes, number: str) -> pages.DocumentPage:
        return pages.parse_document(body, number, self.manifest.base_url + self._image_path(number))

    def _stored(self, target: Target, page: pages.DocumentPage) -> Answer:
        document, records = page.document, list(page.records)
        if document and document.restricted:
            # Said whether or not scans are wanted: what an answer is read into depends on nothing else.
            records.append(
                Image(
                    recording_number=page.number,
                    url=document.image_url or "",
                    path=None,
                    sha256=None,
                    size=None,
                    is_restricted=True,
                )
            )
        return Answer(
            target,
            records=records,
            complete=page.complete,
            issues=page.issues,
            unread=tuple(page.notes.unread),
        )

    handlers = {"index": parse_index, "document": parse_document, "neighbour": parse_neighbour}


def _of_suffix(target: Target) -> Answer:
    """How a suffix is asked for nobody knows: without it the answer is another document's, or may be."""
    told = (
        f"{target.key} has a suffix, which the API cannot be asked for; ask the legacy pages, -a via=legacy"
    )
    issue = Issue(IssueKind.SUFFIX, target.key, told)
    return Answer(
        target, Outcome.FAILED, issues=[issue], cause=Cause.WRONG_DOCUMENT, message=told, is_final=True
    )


def _day_of(page: pages.DocumentPage) -> dt.date | None:
    return page.document.recording_date if page.document else None


def next_number(number: str, distance: int) -> str:
    """Return the number that was given out `distance` after one."""
    return f"{number[:4]}{int(number[4:11]) + distance:07d}"
