"""The client: one request after another, at most a dozen of a source, each two seconds after the answer
before.

It asks as a crawl would: the same address, headers, User-Agent and limits, no cookies, no redirects,
certificates verified, robots.txt obeyed. What comes is judged by pace/answer_check.py. The first challenge,
and the first word that it is too fast, end the source.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from scrapy.http import Headers, Response
from scrapy.robotstxt import ProtegoRobotParser

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.items import Cause
from maricopa_scrapy.pace.answer_check import (
    Refusal,
    Unauthorized,
    check_json_answer,
    check_page_answer,
    is_challenge,
    is_refusal,
)
from maricopa_scrapy.probe.findings import Sheet
from maricopa_scrapy.probe.request_plan import MOST, RATE, Planned

# As Scrapy sends them.
_ACCEPT = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en",
}
_KEPT_HEADERS = (
    "content-type",
    "date",
    "server",
    "retry-after",
    "cf-mitigated",
    "content-range",
    "last-modified",
)
_BLOCK = 65_536
ROBOTS, CERTIFICATE, TOKEN = (
    "robots.txt allows what is asked",
    "the certificate is trusted",
    "the token is taken",
)


class Ended(Exception):
    """Nothing more is asked of the source; the message says why."""


class Challenged(Ended):
    """The source wants to see a human."""


@dataclass(slots=True)
class Seen:
    """One request and its answer, for the bundle. `error` when none came."""

    what: str
    method: str
    url: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""


class Turns:
    """When the next request may go: no sooner than `1 / rate` seconds after the one before it has ended."""

    def __init__(self, rate: float) -> None:
        self._wait = 1 / rate
        # As it is at a county's host.
        self.is_slow = rate <= RATE
        self._free_at = 0.0
        self.asked: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def one(self, source: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while the request lasts. Raises Ended when the source has had its
        dozen.
        """
        if self.asked.get(source, 0) >= MOST:
            raise Ended(f"{MOST} requests were sent, and that is all")
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        self.asked[source] = self.asked.get(source, 0) + 1
        try:
            yield
        finally:
            self._free_at = loop.time() + self._wait


class Asker:
    """The client of one source. Every answer is kept in `seen`, every refusal is on the sheet."""

    def __init__(
        self, planned: Planned, sheet: Sheet, turns: Turns, agent: str, session: aiohttp.ClientSession
    ) -> None:
        self.planned = planned
        self.sheet = sheet
        self.turns = turns
        self.seen: list[Seen] = []
        self.bad_statuses: list[int] = []
        # Why the last answer was none, where it was refused by its status or content.
        self.cause: Cause | None = None
        # Values of cookies, which go nowhere: not back, and not into a bundle.
        self.cookies: set[str] = set()
        self._agent = agent
        self._session = session
        self._robots: dict[str, ProtegoRobotParser | None] = {}
        self._forbidden: dict[str, None] = {}
        self._closed: set[str] = set()

    @property
    def manifest(self) -> Manifest:
        """The source's manifest."""
        return self.planned.manifest

    def url(self, path: str) -> str:
        """Return the address of a path of the source."""
        return self.planned.base_url + path

    async def json(self, what: str, url: str, form: str | None = None) -> bytes | None:
        """Return the body of an answer that is JSON; None of any other, which is then on the sheet. Raises
        Ended.
        """
        return await self._checked(what, url, form, "json")

    async def page(self, what: str, url: str) -> bytes | None:
        """Return the body of an answer that is a page, as `json` does."""
        return await self._checked(what, url, None, "page")

    async def _checked(self, what: str, url: str, form: str | None, kind: str) -> bytes | None:
        self.cause = None
        response = await self.answer(what, url, form)
        if response is None:
            return None
        assumption = f"{what}: {'JSON' if kind == 'json' else 'a page'} comes with status 200"
        try:
            (check_json_answer if kind == "json" else check_page_answer)(response, self.manifest.refusals)
        except Unauthorized:
            raise self._unauthorized() from None
        except Refusal as error:
            self.bad_statuses.append(response.status)
            self.cause = error.cause
            self.sheet.broken(assumption, str(error), _remedy(error.cause, self.planned.name))
            return None
        said = (response.headers.get(b"Content-Type") or b"").decode("latin-1")
        self.sheet.held(assumption, f"{said or 'no type'}, {len(response.body):,} bytes")
        return response.body

    def _unauthorized(self) -> Ended:
        header, variable = self.manifest.token_header or "a token", self.manifest.token_env or ""
        self.sheet.broken(
            TOKEN, f"HTTP 401 with the header {header}", f"correct {variable}: {self.manifest.token_help}"
        )
        return Ended("the token was refused")

    async def answer(
        self,
        what: str,
        url: str,
        form: str | None = None,
        headers: Mapping[str, str] | None = None,
        most: int | None = None,
    ) -> Response | None:
        """Return an answer of any status that is neither a challenge nor a word that it is too fast; None
        where none may be asked for.

        `most`: bytes after which the rest is left. Raises Ended.
        """
        if not await self.may_ask(url):
            return None
        response = await self._send(what, url, form, headers or {}, most)
        if response is None:
            return None
        if is_refusal(response):
            self.sheet.broken(
                "the pace is borne",
                f"HTTP {response.status} after {self.turns.asked[self.planned.name]} requests",
                "wait an hour, then try again; a crawl slows down by itself (docs/pace.md)",
            )
            raise Ended(f"it answered HTTP {response.status}")
        return response

    async def may_ask(self, url: str) -> bool:
        """Tell whether robots.txt allows an address; one that it forbids is told when all has been asked.
        Raises Ended.
        """
        parts = urlsplit(url)
        if parts.netloc not in self._robots:
            response = await self._send(
                f"robots of {parts.hostname}", f"{parts.scheme}://{parts.netloc}/robots.txt", None, {}, None
            )
            if self.manifest.obey_robots and (response is None or response.status >= 500):
                self._closed.add(parts.netloc)
                if response is not None:
                    remedy = "nothing may be asked until it answers, by a crawl neither: try again later"
                    self.sheet.broken(ROBOTS, f"{parts.netloc}: HTTP {response.status}", remedy)
            found = response.body if response is not None and response.status == 200 else b""
            # One that is not there forbids nothing, as for a crawl.
            self._robots[parts.netloc] = ProtegoRobotParser(found, None) if found else None
        robots = self._robots[parts.netloc]
        if parts.netloc in self._closed:
            return False
        if robots is None or not self.manifest.obey_robots or robots.allowed(url, self._agent):
            return True
        self._forbidden[f"{parts.netloc} forbids {parts.path}"] = None
        return False

    async def _send(
        self, what: str, url: str, form: str | None, headers: Mapping[str, str], most: int | None
    ) -> Response | None:
        seen = Seen(what, "GET" if form is None else "POST", url)
        # The token is for the source's own host, and not for its robots.txt.
        is_own = urlsplit(url).netloc == urlsplit(self.planned.base_url).netloc and not url.endswith(
            "/robots.txt"
        )
        sent = (
            _ACCEPT | {"User-Agent": self._agent} | dict(headers) | (self.planned.headers if is_own else {})
        )
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.turns.one(self.planned.name):
            self.seen.append(seen)
            try:
                async with self._session.request(
                    seen.method,
                    url,
                    data=form,
                    headers=sent,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=self.manifest.timeout),
                ) as answer:
                    self._certificate(url, answer)
                    body = await _read(answer, most or self.manifest.max_body)
            except (TimeoutError, aiohttp.ClientError) as error:
                self._failed(seen, urlsplit(url).netloc, error)
                return None
        seen.status, seen.body = answer.status, body
        self.cookies |= {
            line.partition("=")[2].partition(";")[0].strip()
            for line in answer.headers.getall("Set-Cookie", [])
        }
        seen.headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        response = Response(
            url, answer.status, Headers({name: answer.headers.getall(name) for name in answer.headers}), body
        )
        if is_challenge(response, self.manifest.refusals):
            raise self.challenged(f"HTTP {answer.status} with a challenge, asked for: {what}")
        return response

    def challenged(self, evidence: str) -> Challenged:
        """Note that the source answered by a challenge; returns the exception that ends it."""
        self.sheet.blocked = evidence
        self.sheet.broken(
            "no challenge",
            evidence,
            "nothing is solved or evaded: wait, ask from another network, or ask the office",
        )
        return Challenged("it answered by a challenge")

    def _failed(self, seen: Seen, host: str, error: Exception) -> None:
        """Note that no answer came. A host that cannot be reached, or is too slow, is asked nothing more."""
        seen.error = str(error) or f"no answer within {self.manifest.timeout:g} s"
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            remedy = "add the missing certificate to this system's trust store; never switch verification off"
            self.sheet.broken(CERTIFICATE, f"{host}: {seen.error}", remedy)
        else:
            self.sheet.broken(
                f"{seen.what}: it answers", seen.error, "try again; `maricopa doctor` looks at this machine"
            )
        if isinstance(error, TimeoutError | aiohttp.ClientConnectorError):
            self._closed.add(host)

    def _certificate(self, url: str, answer: aiohttp.ClientResponse) -> None:
        if urlsplit(url).scheme != "https" or any(
            one.assumption == CERTIFICATE for one in self.sheet.findings
        ):
            return
        found: Any = (
            answer.connection.transport.get_extra_info("peercert")
            if answer.connection and answer.connection.transport
            else None
        )
        until = f", valid until {found['notAfter']}" if found else ""
        self.sheet.held(
            CERTIFICATE, f"{urlsplit(url).hostname}{until} ({ssl.OPENSSL_VERSION.split(' (')[0]})"
        )

    def conclude(self) -> None:
        """Note what is known only when all has been asked: robots.txt, and what of the certificate could not
        be told.
        """
        told = {one.assumption for one in self.sheet.findings}
        if self._forbidden:
            remedy = (
                "nothing is sent there, by a crawl neither; ask the office, or say why in the manifest:"
                " obey_robots"
            )
            self.sheet.broken(ROBOTS, ", ".join(self._forbidden), remedy)
        else:
            answered = {host: robots for host, robots in self._robots.items() if host not in self._closed}
            said = [
                f"{host}: {'has none' if robots is None else 'allows it'}"
                for host, robots in answered.items()
            ]
            if said:
                self.sheet.held(ROBOTS, ", ".join(said))
            elif ROBOTS not in told:
                self.sheet.untold(ROBOTS, "not read")
        if CERTIFICATE not in told:
            self.sheet.untold(
                CERTIFICATE,
                "asked without TLS" if self.planned.base_url.startswith("http:") else "no connection",
            )


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_chunked(_BLOCK):
        body += part
        if len(body) >= most:
            answer.close()
            break
    return bytes(body[:most])


def _remedy(cause: Cause, source: str) -> str:
    if cause in (Cause.SERVER_ERROR, Cause.TIMEOUT, Cause.CONNECTION):
        return "try again later; when it stays, see the body in the bundle"
    return f"see the body in the bundle; paths of config/sources/{source}.yaml"
