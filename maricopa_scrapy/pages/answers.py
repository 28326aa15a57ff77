"""A body as JSON, before anyone looks for records in it."""

import re
from typing import Any

import orjson

from maricopa_scrapy.pages.errors import Malformed, NotFound, Soft404

# One escape of a JSON string: NUL, a surrogate pair, a lone surrogate, or any other.
_ESCAPE = re.compile(
    rb"\\(?:(?P<nul>u0000)|(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_BEGIN, _END = re.compile(r"<html[\s>]|<!doctype", re.IGNORECASE), re.compile(r"</html\s*>", re.IGNORECASE)


def decode(body: bytes) -> Any:
    """Return the JSON value of an answer. Raises NotFound for an empty body or null, Soft404 for HTML, else Malformed.

    Lone surrogates and NUL are dropped, everywhere at once: they are JSON, but no text that can be stored.
    """
    # One byte is looked for at a hundredth of the price of six.
    if b"\\" in body and b"\\u0000" in body:
        body = _ESCAPE.sub(lambda escape: b"" if escape["nul"] else escape[0], body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _decode_again(body, str(error))
    if value is None:
        raise NotFound("body", "data", value)
    return value


def check_whole(path: str, html: str) -> None:
    """Return when a page that begins as a whole one also ends so: a list that was cut reads as a shorter one. Raises Malformed."""
    if _BEGIN.search(html) and not _END.search(html):
        raise Malformed(path, "a whole page, to </html>", html[-80:])


def _decode_again(body: bytes, reason: str) -> Any:
    start = body.lstrip()[:1]
    if not start:
        raise NotFound("body", "data", body)
    if start == b"<":
        raise Soft404("body", "JSON", body)
    if b"\\ud" in body or b"\\uD" in body:
        try:
            return orjson.loads(_ESCAPE.sub(lambda escape: b"" if escape["lone"] else escape[0], body))
        except orjson.JSONDecodeError as error:
            reason = str(error)
    raise Malformed("body", f"JSON ({reason})", body)
