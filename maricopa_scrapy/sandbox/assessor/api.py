"""The assessor's API below /assessor: parcels, their parts, the searches, and the answers to everything
else.
"""

import asyncio
import zlib
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.sandbox.answers.behaviour import (
    FAULTY,
    NOT_FOUND,
    PAGE_NOT_FOUND,
    Answer,
    Conduct,
    admitted,
    dropped,
)
from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import EDITS, Fault, Faults
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter
from maricopa_scrapy.sandbox.assessor.directory import CATEGORIES, Directory
from maricopa_scrapy.sandbox.county.county import SUB_RESOURCES, County
from maricopa_scrapy.sandbox.county.seeded_chance import number

PREFIX = "/assessor"
_COMPRESSED_FROM = 256
_CUT = b'{"MCR": "9641", "Owner": {}}'


@dataclass(frozen=True, slots=True)
class Asked:
    """A path, understood. `kind` is parcel, search, a sub-resource, or unknown; `key` the APN that a parcel's
    path names.
    """

    kind: str
    name: str = ""
    key: str | None = None


def _json(value: Any) -> Answer:
    return Answer(200, orjson.dumps(value), "application/json")


class Assessor:
    """The source on one county."""

    def __init__(
        self, county: County, conduct: Conduct, counts: Counts, faults: Faults, limiter: Limiter
    ) -> None:
        self._county = county
        self._directory = Directory(county)
        self._conduct = conduct
        self._counts = counts
        self._faults = faults
        self._limiter = limiter

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any path below the prefix."""
        asked = self._read(request)
        serial = self._counts.begin(asked.kind)
        if asked.kind == "unknown":
            self._counts.unknown(request.path_qs)
        try:
            # Without latency too, requests that come together are under way together.
            await asyncio.sleep(self._conduct.latency)
            return await self._respond(request, asked, serial)
        finally:
            self._counts.end()

    async def _respond(self, request: web.Request, asked: Asked, serial: int) -> web.StreamResponse:
        if (refusal := await admitted(self._limiter, self._counts)) is not None:
            return self._send(request, Answer(429, headers=refusal))
        if not self._may_ask(request):
            return self._send(request, Answer(401))
        if asked.kind == "parcel" and asked.key:
            self._counts.fetched(asked.key)
        fault = self._fault(request, asked, serial) if self._faults else None
        if fault is None:
            return self._send(request, self._answer(request, asked))
        self._counts.faulted(fault.name)
        return await self._misbehave(request, asked, fault)

    def _read(self, request: web.Request) -> Asked:
        return _read(request.path)

    def _may_ask(self, request: web.Request) -> bool:
        return self._conduct.token is None or request.headers.get("AUTHORIZATION") == self._conduct.token

    def _fault(self, request: web.Request, asked: Asked, serial: int) -> Fault | None:
        key = _apn(request.query.get("q", "")) if asked.kind == "search" else asked.key
        exists = asked.kind == "parcel" and asked.key is not None and self._county.exists(asked.key)
        return self._faults.choose(serial, asked.kind, key, exists)

    def _answer(self, request: web.Request, asked: Asked) -> Answer:
        if asked.kind == "search":
            page = request.query.get("page", "")
            return _json(
                self._directory.search(
                    asked.name, request.query.get("q", ""), int(page) if page.isdecimal() else 1
                )
            )
        if asked.kind == "unknown":
            return NOT_FOUND if asked.name == "parcel" else PAGE_NOT_FOUND
        if asked.key is None:
            return Answer(500)
        if not self._county.exists(asked.key):
            return self._absent(asked.key, asked.name)
        return _json(
            self._county.part(asked.key, asked.name) if asked.name else self._county.parcel(asked.key)
        )

    def _absent(self, apn: str, part: str) -> Answer:
        if part:
            found = self._county.absent_part(apn, part)
            return NOT_FOUND if found is None else _json(found)
        # Both were seen of the county.
        return _json(None) if number(self._county.seed, "null", apn) % 2 else NOT_FOUND

    async def _misbehave(self, request: web.Request, asked: Asked, fault: Fault) -> web.StreamResponse:
        if fault.name in EDITS or fault.name == "wrong_parcel":
            assert asked.key is not None
            return self._send(request, self._edited(asked.key, fault.name))
        if fault.name in FAULTY:
            answer = FAULTY[fault.name]
            if answer.status in (429, 503):
                self._counts.refused()
                answer = Answer(
                    answer.status, headers={"Retry-After": fault.retry_after} if fault.retry_after else {}
                )
            return self._send(request, answer)
        if fault.name in ("hang", "reset"):
            return await dropped(request, fault)
        answer = self._answer(request, asked)
        if fault.name == "malformed":
            whole, content_type = answer.body or _CUT, answer.content_type or "application/json"
            return self._send(request, Answer(200, whole[: len(whole) * 2 // 3], content_type))
        return await self._send_half(request, answer)

    def _edited(self, apn: str, fault: str) -> Answer:
        if fault != "wrong_parcel":
            return _json(EDITS[fault](self._county.parcel(apn)))
        return _json(self._county.parcel(self._other(apn)))

    def _other(self, apn: str) -> str:
        return next(each for each in self._county.walk() if each != apn)

    def _send(self, request: web.Request, answer: Answer) -> web.Response:
        body, headers = answer.body, dict(answer.headers)
        if (
            self._conduct.compress
            and len(body) >= _COMPRESSED_FROM
            and "gzip" in request.headers.get("Accept-Encoding", "")
        ):
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        self._counts.sent(answer.status, len(body))
        if answer.content_type:
            headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=body or None, headers=headers)

    async def _send_half(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Promise the whole body, send half of it and close."""
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": answer.content_type or "text/plain"}
        )
        response.content_length = max(len(answer.body), 2)
        response.force_close()
        await response.prepare(request)
        half = answer.body[: len(answer.body) // 2]
        await response.write(half)
        self._counts.sent(answer.status, len(half))
        if request.transport:
            request.transport.close()
        return response


def _read(path: str) -> Asked:
    parts = path[len(PREFIX) :].strip("/").split("/")
    if parts[0] == "parcel" and len(parts) > 1:
        name = parts[2] if len(parts) > 2 else ""
        if (
            parts[1] in ("mcr", "str")
            or (name and name not in SUB_RESOURCES)
            or len(parts) > (4 if name == "rental-details" else 3)
        ):
            return Asked("unknown", "parcel")
        return Asked(name or "parcel", name, _apn(parts[1]))
    if parts[0] == "search" and len(parts) == 2 and parts[1] in CATEGORIES:
        return Asked("search", parts[1])
    return Asked("unknown")


def _apn(text: str) -> str | None:
    try:
        return parse_apn(text)
    except IdentifierError:
        return None
