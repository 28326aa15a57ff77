"""The bulk files below /bulk: the address of an item redirects to where its zip lies, which is sent whole or,
when asked, in pieces.

The Sales Affidavits are written to a file of this machine when they are first asked for; the sandbox's end
removes it.
"""

import asyncio
import tempfile
from pathlib import Path

from aiohttp import web

from maricopa_scrapy.sandbox.answers.behaviour import FAULTY, Conduct, admitted, dropped
from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import Fault, Faults
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter
from maricopa_scrapy.sandbox.bulk.affidavits import lines, write_zip
from maricopa_scrapy.sandbox.county.county import County

PREFIX = "/bulk"
AFFIDAVITS = "f3484c72a938497286adc4e5de7e9963"
_ITEM = f"/sharing/rest/content/items/{AFFIDAVITS}/data"
_STORED = "/storage/Sales_Affidavits.zip"
_BLOCK = 1 << 16


class Files:
    """The source on one county: `count` sales, `dirty` of them not of the file's shape; `parcels` as of the
    layers.
    """

    def __init__(
        self,
        county: County,
        count: int,
        dirty: int,
        conduct: Conduct,
        counts: Counts,
        faults: Faults,
        limiter: Limiter,
        parcels: int = 0,
    ) -> None:
        self._county, self._count, self._dirty, self._parcels = county, count, dirty, parcels
        self._conduct, self._counts, self._faults, self._limiter = conduct, counts, faults, limiter
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writing = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any path below the prefix."""
        path = request.path[len(PREFIX) :]
        kind = {_ITEM: "item", _STORED: "file"}.get(path, "unknown")
        serial = self._counts.begin(kind)
        try:
            if kind == "unknown":
                self._counts.unknown(request.path_qs)
            if self._conduct.latency:
                await asyncio.sleep(self._conduct.latency)
            if (refusal := await admitted(self._limiter, self._counts)) is not None:
                return self._sent(web.Response(status=429, headers=refusal))
            fault = self._faults.choose(serial, kind, None, False) if self._faults else None
            if fault is not None:
                self._counts.faulted(fault.name)
                return await self._misbehave(request, fault)
            if kind == "unknown":
                # As the county's portal says it: an error of status 200.
                return self._sent(
                    web.json_response(
                        {"error": {"code": 400, "message": "Item does not exist or is inaccessible."}}
                    )
                )
            if kind == "item":
                return self._sent(web.Response(status=302, headers={"Location": f"{PREFIX}{_STORED}"}))
            return self._sent(web.FileResponse(await self._file(), chunk_size=_BLOCK))
        finally:
            self._counts.end()

    def _sent(self, response: web.StreamResponse) -> web.StreamResponse:
        self._counts.sent(response.status, getattr(response, "content_length", None) or 0)
        return response

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.name in ("throttled", "unavailable"):
            self._counts.refused()
            status = 429 if fault.name == "throttled" else 503
            return self._sent(web.Response(status=status, headers={"Retry-After": fault.retry_after or "1"}))
        if fault.name in ("hang", "reset", "truncated"):
            if fault.name == "truncated":
                response = web.StreamResponse(headers={"Content-Length": str(2 * _BLOCK)})
                await response.prepare(request)
                await response.write(b"PK\x03\x04" + b"\0" * _BLOCK)
            return await dropped(request, fault)
        if fault.name == "challenge":
            one = FAULTY["challenge"]
            return self._sent(
                web.Response(
                    status=one.status, body=one.body, content_type=one.content_type, headers=one.headers
                )
            )
        if fault.name in ("soft_404", "maintenance", "malformed"):
            return self._sent(
                web.Response(text="<!doctype html><title>Sign In</title>", content_type="text/html")
            )
        return self._sent(web.Response(status={"unauthorized": 401, "forbidden": 403}.get(fault.name, 500)))

    async def _file(self) -> Path:
        async with self._writing:
            if self._folder is None:
                folder = tempfile.TemporaryDirectory(prefix="sandbox-bulk-")
                path = Path(folder.name) / "Sales_Affidavits.zip"
                text = lines(self._county, self._count, self._dirty, self._parcels)
                await asyncio.to_thread(write_zip, path, text)
                self._folder = folder
            return Path(self._folder.name) / "Sales_Affidavits.zip"

    async def close(self, _: web.Application) -> None:
        """Remove what was written."""
        if self._folder is not None:
            self._folder.cleanup()
