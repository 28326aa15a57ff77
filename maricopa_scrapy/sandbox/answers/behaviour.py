"""What all sources of the county have in common: how they answer, refuse and fail."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import Fault
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter

_HANG_S = 120.0
_LEFT_EVERY_S = 0.05
SOFT_404 = b"""<!DOCTYPE html>
<html>
<head>
	<meta charset="utf-8">
	<title>Page not found: Maricopa County Assessor's Office</title>
</head>
<body><h1>Page not found</h1><p>The page you were looking for is not here.</p></body>
</html>
"""
MAINTENANCE = (
    b"<!DOCTYPE html><html><head><title>Scheduled maintenance</title></head>"
    b"<body>We will be back soon.</body></html>"
)
CHALLENGE = b"""<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title>
<script>(function(){window._cf_chl_opt={cType:'managed'};})();</script>
<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1" data-mark="cf-chl"></script></head>
<body><noscript>Enable JavaScript and cookies to continue</noscript></body></html>
"""


class Conduct(Protocol):
    """How the source behaves: seconds before each answer, the token it wants, whether it compresses."""

    @property
    def latency(self) -> float: ...
    @property
    def token(self) -> str | None: ...
    @property
    def compress(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent. `content_type` is None for an answer without a body."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


NOT_FOUND = Answer(404)
PAGE_NOT_FOUND = Answer(200, SOFT_404, "text/html")
FAULTY = {
    "throttled": Answer(429),
    "unavailable": Answer(503),
    "server_error": Answer(500),
    "unauthorized": Answer(401),
    "forbidden": Answer(403),
    "soft_404": PAGE_NOT_FOUND,
    "challenge": Answer(403, CHALLENGE, "text/html", {"cf-mitigated": "challenge"}),
    "maintenance": Answer(200, MAINTENANCE, "text/html"),
    "empty_404": NOT_FOUND,
    "null_answer": Answer(200, b"null", "application/json"),
}


async def admitted(limiter: Limiter, counts: Counts) -> Mapping[str, str] | None:
    """Wait for a token where the source has one wait; returns the headers of the 429 where it refuses, None
    where it answers.
    """
    wait = limiter.take()
    refusal = limiter.refusal(wait)
    if refusal is not None:
        counts.refused()
    elif wait:
        await asyncio.sleep(wait)
    return refusal


async def dropped(request: web.Request, fault: Fault) -> web.Response:
    """Cut the connection: at once, or when the fault is a hang, once the client has gone, or after two
    minutes.
    """
    until = time.monotonic() + (_HANG_S if fault.name == "hang" else 0)
    while request.transport and not request.transport.is_closing() and time.monotonic() < until:
        await asyncio.sleep(_LEFT_EVERY_S)
    if request.transport:
        request.transport.abort()
    return web.Response()
