"""What an answer is before anyone parses it, by status and content: the assessor answers 200 to unknown
paths.
"""

import re
from urllib.parse import urlsplit

from scrapy.core.downloader.handlers.http11 import TunnelError
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Response
from twisted.internet import error as neterror
from twisted.web.client import RequestTransmissionFailed

from maricopa_scrapy.configuration import Refusals
from maricopa_scrapy.items import Cause
from maricopa_scrapy.pace.certificates import reasons_of
from maricopa_scrapy.pace.proxies import tunnel_refused, wants_password

# A tag that never ends is looked at once, not again from each `<title` in it.
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
# Of a file in whose place a challenge may come: no more of it is looked at.
WORDS_WITHIN = 20_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON_BEGINS = (b"{", b"[", b'"', b"n")
# Scrapy takes whichever of the packages is there, and their errors have no parent in common.
_UNPACKING = re.compile("zlib|gzip|brotli|zstd")
_TIMEOUTS = (DownloadTimeoutError, neterror.TimeoutError, neterror.TCPTimedOutError, TimeoutError)
_CONNECTION = (
    CannotResolveHostError, DownloadConnectionRefusedError, DownloadFailedError, ResponseDataLossError,
    neterror.ConnectError, neterror.ConnectionClosed, neterror.DNSLookupError, OSError, TunnelError,
    RequestTransmissionFailed,
)  # fmt: skip


class Refusal(Exception):
    """An answer that is not what was asked for; `cause` names why."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class BrowserFailed(Exception):
    """The browser failed, not the county: it crashed, was killed, or does not answer."""


class Unauthorized(Exception):
    """401: the token is missing, wrong or withdrawn."""


def begins(body: bytes) -> bytes:
    """Return the first byte of a body that says something, after a byte order mark and blanks; b"" of an
    empty one.
    """
    while body.startswith(_BYTE_ORDER_MARK):
        body = body[len(_BYTE_ORDER_MARK) :]
    return body.lstrip()[:1]


def is_refusal(response: Response) -> bool:
    """Tell whether the answer means "too fast": 429 or 503."""
    return response.status in (429, 503)


def is_challenge(response: Response, marks: Refusals, within: int | None = None) -> bool:
    """Tell whether the answer is a page that wants to see a human, by its header or its words, these in so
    many first bytes.
    """
    text = response.body[:within].decode("latin-1")
    return says_challenge(response) or any(mark in text for mark in marks.challenge)


def says_challenge(response: Response) -> bool:
    """Tell whether its header says so, which can be read before the body is unpacked.

    Cloudflare's documentation promises it for every kind of challenge ("Detect a Challenge Page response").
    """
    return bool(response.headers.get(b"cf-mitigated") == b"challenge")


def check_json_answer(response: Response, marks: Refusals) -> None:
    """Return when the answer may be the JSON that was asked for. Raises Refusal or Unauthorized otherwise."""
    if response.status == 401:
        raise Unauthorized
    content_type, is_html = _check_status(response, marks)
    if is_html:
        raise Refusal(Cause.SOFT_404, "HTTP 200 with an HTML page where JSON is due")
    if content_type and "json" not in content_type and begins(response.body) not in _JSON_BEGINS:
        raise Refusal(Cause.MALFORMED, f"HTTP 200 with {content_type.split(';')[0]} where JSON is due")


def check_page_answer(response: Response, marks: Refusals) -> None:
    """Return when the answer may be the HTML page that was asked for. Raises Refusal otherwise, also for 401:
    a page has no token.
    """
    content_type, is_html = _check_status(response, marks)
    if not is_html:
        raise Refusal(
            Cause.MALFORMED,
            f"HTTP 200 with {content_type.split(';')[0] or 'no type'} where an HTML page is due",
        )
    title = _title(response.body.decode("latin-1"))
    if any(mark.lower() in title for mark in marks.soft_404):
        raise Refusal(Cause.SOFT_404, "HTTP 200 with the page for unknown addresses")


def _check_status(response: Response, marks: Refusals) -> tuple[str, bool]:
    """Return the content type of an answer of status 200, and whether it is HTML. Raises Refusal."""
    status, body = response.status, response.body
    check_proxy(response)
    content_type = (response.headers.get(b"Content-Type") or b"").decode("latin-1").lower()
    is_html = "html" in content_type or begins(body) == b"<"
    if is_html:
        _check_page(response, marks)
    if is_refusal(response):
        raise Refusal(Cause.THROTTLED, f"HTTP {status}")
    if status == 404 or status == 204 or (status == 200 and not begins(body)):
        if begins(body):
            raise Refusal(
                Cause.SOFT_404, f"HTTP {status} with {len(body)} bytes where an empty body says 'no data'"
            )
        raise Refusal(Cause.NOT_FOUND, f"HTTP {status} with an empty body")
    if status == 408:
        raise Refusal(Cause.TIMEOUT, "HTTP 408")
    if status >= 500:
        raise Refusal(Cause.SERVER_ERROR, f"HTTP {status}" + ("" if body else " with an empty body"))
    if status != 200:
        raise Refusal(Cause.REFUSED, f"HTTP {status}")
    return content_type, is_html


def check_proxy(response: Response) -> None:
    """Return when the answer is not a proxy's that wants a password. Raises Refusal."""
    if proxy := wanting_proxy(response):
        raise Refusal(Cause.CONNECTION, wants_password(proxy))


def wanting_proxy(response: Response) -> str | None:
    """Return the proxy that wants a password, of an answer by http; None of any other. By https it is a
    TunnelError.
    """
    proxy = response.request.meta.get("proxy") if response.request else None
    return urlsplit(proxy).netloc if proxy and response.status == 407 else None


def _check_page(response: Response, marks: Refusals) -> None:
    if is_challenge(response, marks):
        raise Refusal(Cause.CHALLENGE, f"HTTP {response.status} with a challenge page")
    # Only the title: an ordinary page may speak of maintenance too.
    if not is_refusal(response) and any(
        mark.lower() in _title(response.body.decode("latin-1")) for mark in marks.maintenance
    ):
        raise Refusal(Cause.SERVER_ERROR, f"HTTP {response.status} with a maintenance page")


def _title(text: str) -> str:
    title = _TITLE.search(text)
    return title[1].lower() if title else ""


def cause_of(error: BaseException) -> Cause:
    """Return the cause of a download that gave no answer at all."""
    if isinstance(error, IgnoreRequest):
        # What robots.txt forbids has no cause; a body that grew beyond its limit while it was unpacked has.
        return Cause.MALFORMED if isinstance(error.__cause__, ValueError) else Cause.REFUSED
    if isinstance(error, EOFError) or _UNPACKING.search(type(error).__module__):
        return Cause.MALFORMED
    if isinstance(error, BrowserFailed):
        return Cause.BROWSER
    if any(isinstance(reason, DownloadCancelledError) for reason in reasons_of(error)):
        return Cause.MALFORMED
    if isinstance(error, _TIMEOUTS):
        return Cause.TIMEOUT
    if isinstance(error, _CONNECTION):
        return Cause.CONNECTION
    raise error


def said_of(error: BaseException) -> str:
    """Return what a failed download says for itself, as a person would."""
    if isinstance(error, TunnelError):
        return tunnel_refused(str(error))
    if isinstance(error, DownloadFailedError):
        # Its own text is a list of what it wraps.
        error = next(
            (reason for reason in reversed([*reasons_of(error)]) if not hasattr(reason, "reasons")), error
        )
    return str(error) or type(error).__name__
