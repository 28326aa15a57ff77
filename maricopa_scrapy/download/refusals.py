"""What an answer is before anyone parses it, by status and content: the assessor answers 200 to unknown paths."""

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

from maricopa_scrapy.download.rate import refusal_of
from maricopa_scrapy.items import Cause

_CHALLENGE_MARKS = (b"cf-chl", b"challenge-platform", b"Just a moment...", b"cf_chl_opt")
_TIMEOUTS = (DownloadTimeoutError, neterror.TimeoutError, neterror.TCPTimedOutError, TimeoutError)
_CONNECTION = (
    CannotResolveHostError, DownloadConnectionRefusedError, DownloadFailedError, ResponseDataLossError,
    neterror.ConnectError, neterror.ConnectionClosed, neterror.DNSLookupError, OSError,
)  # fmt: skip


class Refusal(Exception):
    """An answer that is not what was asked for; `cause` names why."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Unauthorized(Exception):
    """401: the token is missing, wrong or withdrawn."""


def check_json_answer(response: Response) -> None:
    """Return when the answer may be the JSON that was asked for. Raises Refusal or Unauthorized otherwise."""
    status, body = response.status, response.body
    if status == 401:
        raise Unauthorized
    is_html = b"html" in (response.headers.get(b"Content-Type") or b"").lower() or body.lstrip()[:1] == b"<"
    if is_html and any(mark in body for mark in _CHALLENGE_MARKS):
        raise Refusal(Cause.CHALLENGE, f"HTTP {status} with a challenge page")
    if refusal_of(response):
        raise Refusal(Cause.THROTTLED, f"HTTP {status}")
    if status == 404 or status == 204 or (status == 200 and not body.strip()):
        if body.strip():
            raise Refusal(Cause.SOFT_404, f"HTTP {status} with {len(body)} bytes where an empty body says 'no data'")
        raise Refusal(Cause.NOT_FOUND, f"HTTP {status} with an empty body")
    if status == 408:
        raise Refusal(Cause.TIMEOUT, "HTTP 408")
    if status >= 500:
        raise Refusal(Cause.SERVER_ERROR, f"HTTP {status}" + ("" if body else " with an empty body"))
    if status != 200:
        raise Refusal(Cause.REFUSED, f"HTTP {status}")
    if is_html:
        raise Refusal(Cause.SOFT_404, "HTTP 200 with an HTML page where JSON is due")


def cause_of(error: BaseException) -> Cause:
    """Return the cause of a download that gave no answer at all."""
    if isinstance(error, IgnoreRequest):
        return Cause.REFUSED
    if isinstance(error, DownloadCancelledError):
        return Cause.MALFORMED
    if isinstance(error, _TIMEOUTS):
        return Cause.TIMEOUT
    if isinstance(error, _CONNECTION):
        return Cause.CONNECTION
    raise error
