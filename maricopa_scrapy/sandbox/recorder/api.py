"""The recorder's API below /recorder, with its habits: what it does not understand it ignores, and what it
cannot count it calls 501.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import orjson
from aiohttp import web

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_recording_number
from maricopa_scrapy.sandbox.answers.behaviour import FAULTY, Answer, admitted, dropped
from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import OF_DETAILS, Fault, Faults
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter
from maricopa_scrapy.sandbox.county.seeded_chance import number, share
from maricopa_scrapy.sandbox.recorder.codes import CODES, DISPLAY
from maricopa_scrapy.sandbox.recorder.documents import FIRST_YEAR, Documents, Facts
from maricopa_scrapy.sandbox.recorder.legacy_pages import blocked_page, legacy_document, legacy_list

PREFIX, LEGACY, STORAGE = "/recorder", "/recorder_legacy", "/recorder_storage"
PHOENIX = ZoneInfo("America/Phoenix")
_COUNTED_MOST = 500
_INDEX_LAG_DAYS = 2
_PDF = (
    b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%"
    b" %s\n%%%%EOF\n"
)


class Conduct(Protocol):
    """How the recorder behaves: seconds before each answer, and the last day whose names are indexed,
    YYYY-MM-DD.
    """

    @property
    def latency(self) -> float: ...
    @property
    def recorder_indexed(self) -> str | None: ...


class Recorder:
    """The API, the legacy pages and the storage of scans."""

    def __init__(
        self,
        documents: Documents,
        conduct: Conduct,
        counts: Mapping[str, Counts],
        faults: Mapping[str, Faults],
        limiters: Mapping[str, Limiter],
        seed: int,
    ) -> None:
        self.documents = documents
        self._conduct = conduct
        self._counts = counts
        self._faults = faults
        self._limiters = limiters
        self._seed = seed

    @property
    def indexed(self) -> dt.date:
        """The last day whose names are indexed."""
        said = self._conduct.recorder_indexed
        return (
            dt.date.fromisoformat(said) if said else self.documents.today - dt.timedelta(days=_INDEX_LAG_DAYS)
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any path below the prefixes."""
        source = "recorder_legacy" if request.path.startswith(LEGACY) else "recorder"
        kind, key = _kind(request)
        counts = self._counts[source]
        serial = counts.begin(kind)
        if kind == "unknown":
            counts.unknown(request.path_qs)
        try:
            await asyncio.sleep(self._conduct.latency)
            if (refusal := await admitted(self._limiters[source], counts)) is not None:
                return self._send(counts, Answer(429, headers=refusal))
            if key:
                counts.fetched(key)
            fault = self._faults[source].choose(serial, kind, key, exists=False)
            if fault is None:
                return self._send(counts, self._answer(request, kind, key))
            counts.faulted(fault.name)
            return await self._misbehave(request, counts, kind, key, fault)
        finally:
            counts.end()

    def _send(self, counts: Counts, answer: Answer) -> web.Response:
        counts.sent(answer.status, len(answer.body))
        headers = dict(answer.headers) | (
            {"Content-Type": answer.content_type} if answer.content_type else {}
        )
        return web.Response(status=answer.status, body=answer.body or None, headers=headers)

    async def _misbehave(
        self, request: web.Request, counts: Counts, kind: str, key: str, fault: Fault
    ) -> web.StreamResponse:
        if fault.name in ("throttled", "unavailable"):
            counts.refused()
            return self._send(
                counts,
                Answer(
                    FAULTY[fault.name].status,
                    headers={"Retry-After": fault.retry_after} if fault.retry_after else {},
                ),
            )
        if fault.name in FAULTY:
            return self._send(counts, FAULTY[fault.name])
        if fault.name in ("hang", "reset"):
            return await dropped(request, fault)
        if fault.name == "wrong_document":
            return self._send(counts, self._answer(request, kind, f"{key[:4]}{int(key[4:11]) + 1:07d}"))
        if fault.name == "dropped_filter":
            return self._send(counts, self._search({}))
        answer = self._answer(request, kind, key)
        if fault.name in OF_DETAILS:
            edited = _EDITS[fault.name](orjson.loads(answer.body)) if answer.status == 200 else None
            return self._send(counts, answer if edited is None else _json(edited))
        if fault.name == "malformed":
            return self._send(
                counts, Answer(200, answer.body[: len(answer.body) * 2 // 3], answer.content_type)
            )
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": answer.content_type or "text/plain"}
        )
        response.content_length = max(len(answer.body), 2)
        response.force_close()
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
        counts.sent(answer.status, len(answer.body) // 2)
        if request.transport:
            request.transport.close()
        return response

    def _answer(self, request: web.Request, kind: str, key: str) -> Answer:
        query = dict(request.query)
        if kind == "search":
            return self._search(query)
        if kind == "document":
            facts = self.documents.find(key)
            return (
                _json(self._detail(facts))
                if facts
                else _spring(404, "Not Found", request.path, self.documents.today)
            )
        if kind == "bad_number":
            return Answer(400, b"Invalid recording number", "text/plain")
        if kind == "index":
            return _json(f"{self.indexed.month}/{self.indexed.day}/{self.indexed.year}")
        if kind == "codes":
            return _json([{"docType": code, "docLongName": label} for code, _, label, _ in CODES])
        if kind in ("preview", "scan", "blocked"):
            return self._image(request, kind, key)
        if kind == "list":
            return legacy_list(self.documents, query, lambda facts: self._cells("recorder_legacy", facts))
        if kind == "page":
            is_recent = "Recent" in request.path
            day = partial(self._told, "recorder_legacy")
            return legacy_document(self.documents, key, query.get("suf", ""), self.indexed, is_recent, day)
        return _spring(404, "Not Found", request.path, self.documents.today)

    def _image(self, request: web.Request, kind: str, key: str) -> Answer:
        if kind == "blocked":
            return Answer(200, blocked_page(), "text/html")
        facts = self.documents.find(key)
        if facts is None:
            return Answer(404)
        if kind == "preview":
            place = f"{LEGACY}/RecDocBlocked.aspx" if facts.restricted else f"{STORAGE}/{key[:4]}/{key}.pdf"
            return Answer(302, headers={"Location": f"http://{request.host}{place}"})
        # The scan is there some days after the document.
        return (
            Answer(404) if facts.date > self.indexed else Answer(200, _PDF % key.encode(), "application/pdf")
        )

    def _detail(self, facts: Facts) -> dict[str, Any]:
        return {
            "names": list(facts.names) if facts.date <= self.indexed else [],
            "documentCodes": [
                DISPLAY[code] if code != "AF" or facts.codes[0] == "AF" else "AF DISCLS"
                for code in facts.codes
            ],
            "recordingDate": _day(self._told("recorder", facts)),
            "recordingNumber": facts.number,
            "pageAmount": facts.pages,
            "docketBook": facts.docket_book,
            "pageMap": facts.page_map,
            "affidavitPresent": facts.affidavit_pages > 0,
            "affidavitPageAmount": facts.affidavit_pages,
            "restricted": facts.restricted,
        }

    def _search(self, query: Mapping[str, str]) -> Answer:
        try:
            at, size = int(query.get("pageNumber", "1")), int(query.get("pageSize", "20"))
            begin = _asked_day(query.get("beginDate"), dt.date(FIRST_YEAR, 1, 1))
            end = _asked_day(query.get("endDate"), self.documents.today)
            if at < 1 or not 1 <= size <= 200 or int(query.get("maxResults", "500")) > _COUNTED_MOST:
                raise ValueError
        except ValueError:
            return _spring(400, "Bad Request", "/documents/search", self.documents.today)
        code = query.get("documentCode", "").strip()[:2].upper()
        name = " ".join(
            filter(None, (query.get(key, "").strip() for key in ("lastNames", "firstNames", "middleNameIs")))
        ).upper()
        name = name or query.get("businessNames", "").strip().upper()
        found: Sequence[tuple[str, Facts]]
        if name:
            found = self.documents.named(name, begin, end)
        elif code:
            found = [("", facts) for facts in self.documents.of_code(code, begin, end)]
        else:
            found = self._all(begin, end, at * size)
        rows = [self._row(name, facts) for name, facts in found[(at - 1) * size : at * size]]
        rows = [row for row in rows if not self._is_met("recorder", "hidden_rows", row["recordingNumber"])]
        for row in rows:
            if self._is_met("recorder", "odd_rows", row["recordingNumber"]):
                row["recordingDate"] = int(row["recordingDate"].replace("-", "") or 0)
            elif self._is_met("recorder", "unnumbered_rows", row["recordingNumber"]):
                row["recordingNumber"] = None
        return _json(
            {"searchResults": rows, "totalResults": min(len(found), _COUNTED_MOST + 1) if at == 1 else -1}
        )

    def _all(self, begin: dt.date, end: dt.date, enough: int) -> list[tuple[str, Facts]]:
        found: list[tuple[str, Facts]] = []
        for day in self.documents.days(begin, min(end, begin + dt.timedelta(days=366))):
            found += [("", facts) for facts in self.documents.of_day(day)]
            if len(found) > max(enough, _COUNTED_MOST):
                break
        return found

    def _is_met(self, source: str, fault: str, number: object) -> bool:
        """Whether a fault meets a document, or the row of it: always the same ones."""
        probability = self._faults[source].share_of(fault)
        is_met = bool(probability) and share(self._seed, fault.removesuffix("_rows"), number) < probability
        if is_met:
            self._counts[source].faulted(fault)
        return is_met

    def _told(self, source: str, facts: Facts) -> dt.date:
        """Return the day that a document is told to be of."""
        return other_year(facts.date) if self._is_met(source, "other_year", facts.number) else facts.date

    def _cells(self, source: str, facts: Facts) -> tuple[str, str]:
        """Return the number and the day of a row of a legacy list."""
        day = f"{self._told(source, facts):%m/%d/%Y}"
        is_odd, has_none = (
            self._is_met(source, name, facts.number) for name in ("odd_rows", "unnumbered_rows")
        )
        return "pending" if has_none else facts.number, "soon" if is_odd else day

    def _row(self, name: str, facts: Facts) -> dict[str, Any]:
        # A document whose number is hidden, among those of a name.
        is_junk = bool(name) and number(self._seed, "junk", facts.number) % 199 == 0
        return {
            "names": name,
            "recordingNumber": 0 if is_junk else int(facts.number),
            "recordingSuffix": facts.suffix,
            "recordingDate": "" if is_junk else _day(self._told("recorder", facts)),
            "documentCode": DISPLAY[facts.codes[0]] + "+" * (len(facts.codes) > 1),
            "docketBook": str(facts.docket_book or ""),
            "pageMap": str(facts.page_map or ""),
        }


def _kind(request: web.Request) -> tuple[str, str]:
    path, query = request.path, request.query
    if path.startswith(STORAGE):
        return "scan", path.rsplit("/", 1)[1].removesuffix(".pdf")
    if path.startswith(LEGACY):
        name = path.removeprefix(LEGACY).strip("/")
        kinds = {
            "GetRecDataRecentPgDn.aspx": "list",
            "GetRecDataDetail.aspx": "page",
            "GetRecDataRecentDetail.aspx": "page",
            "RecDocBlocked.aspx": "blocked",
        }
        return kinds.get(name, "unknown"), query.get("rec", "") if kinds.get(name) == "page" else ""
    parts = path.removeprefix(PREFIX).strip("/").split("/")
    if parts == ["documents", "search"]:
        return ("search" if request.method == "GET" else "unknown"), ""
    if parts == ["documents", "index"]:
        return "index", ""
    if parts == ["documentcodes", "short"]:
        return "codes", ""
    key = (
        query.get("recordingNumber", "")
        if parts == ["preview", "pdf"]
        else parts[1]
        if len(parts) == 2 and parts[0] == "documents"
        else None
    )
    if key is None:
        return "unknown", ""
    try:
        return ("preview" if parts[0] == "preview" else "document"), parse_recording_number(key)[:11]
    except IdentifierError:
        return "bad_number", ""


def other_year(day: dt.date) -> dt.date:
    """Return a day eleven years before, as a few documents have it."""
    return day.replace(year=day.year - 11, day=min(day.day, 28))


def _retyped(detail: dict[str, Any]) -> dict[str, Any]:
    return detail | {"pageAmount": f"{detail['pageAmount']} pages"}


def _renamed(detail: dict[str, Any]) -> dict[str, Any]:
    return {"affidavitFiled" if key == "affidavitPresent" else key: value for key, value in detail.items()}


_EDITS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "missing_field": lambda detail: {
        key: value for key, value in detail.items() if key != "affidavitPresent"
    },
    "new_field": lambda detail: detail | {"recordingTime": "8:47:00 AM"},
    "renamed_field": _renamed,
    "retyped_field": _retyped,
}


def _json(value: Any) -> Answer:
    return Answer(200, orjson.dumps(value), "application/json")


def _spring(status: int, error: str, path: str, today: dt.date) -> Answer:
    body = {"timestamp": _day(today), "status": status, "error": error, "path": path.removeprefix(PREFIX)}
    return Answer(status, orjson.dumps(body), "application/json")


def _day(day: dt.date) -> str:
    return f"{day.month}-{day:%d-%Y}"


def _asked_day(text: str | None, otherwise: dt.date) -> dt.date:
    return dt.date.fromisoformat(text) if text else otherwise


def today_in_phoenix() -> dt.date:
    return dt.datetime.now(PHOENIX).date()
