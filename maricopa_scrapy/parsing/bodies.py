"""A body as JSON, before anyone looks for records in it."""

import re
from typing import Any

import orjson

from maricopa_scrapy.parsing.errors import Malformed, NotFound, Soft404
from maricopa_scrapy.parsing.unseen_html import Unseen

# Escapes of a JSON string: what stays of them, as group 1, or a run of what is dropped.
_PAIR, _LONE = (
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",
    rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
)
_NULS = re.compile(rb"(?:\\u0000)+|(\\.)", re.DOTALL)
_LONES = re.compile(rb"(" + _PAIR + rb")|(?:(?!" + _PAIR + rb")" + _LONE + rb")+|(\\.)", re.DOTALL)
# Commas and brackets of an answer, a page of GIS features has some 200,000: its values, each of which costs
# time.
VALUES_MOST = 1_000_000
_BEGIN, _END = re.compile(r"<html[\s>]|<!doctype", re.IGNORECASE), re.compile(r"</html\s*>", re.IGNORECASE)
_DOCUMENT = re.compile(r"<html[\s>]", re.IGNORECASE)
# Of UTF-8; some servers and proxies put it before what they send.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Where an answer's first sign is looked for, and with what JSON that holds text begins.
_HEAD, _JSON_BEGINS = 64, (b"{", b"[", b'"')
_LOST = {"NUL": _NULS, "half of a surrogate pair": _LONES}
# What may hold such words, or stand behind a page, and shows nothing.
_UNSEEN = Unseen("script", "style")
_IN_TAG = re.compile(r"<[^<>]*")
# The pages that we know have some 3,000.
_TAGS_MOST = 100_000


def decode(body: bytes, most: int = VALUES_MOST) -> Any:
    """Return the JSON value of an answer. Raises NotFound for an empty body or null, Soft404 for HTML, else
    Malformed.

    An answer of more than `most` commas and brackets is refused.

    A byte order mark is passed over. Lone surrogates and NUL are dropped, everywhere at once: they are JSON,
    but no text that can be stored. Of a key that comes twice in one object the last one counts, as in every
    reader of JSON in common use.
    """
    while body.startswith(_BYTE_ORDER_MARK):
        body = body[len(_BYTE_ORDER_MARK) :]
    if not is_within(body, most):
        raise Malformed("body", f"at most {most:,} commas and brackets", body)
    # One byte is looked for at a hundredth of the price of six.
    if b"\\" in body and b"\\u0000" in body:
        body = _NULS.sub(rb"\1", body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _decode_again(body, str(error))
    if value is None:
        raise NotFound("body", "data", value)
    return value


def is_within(body: bytes, most: int = VALUES_MOST) -> bool:
    """Return whether an answer has at most so many commas and brackets."""
    return len(body) <= most or len(body) - len(body.translate(None, b",[{")) <= most


def lost_of(body: bytes) -> str:
    """Return which characters of an answer are left out of what is stored of it, because they are no text;
    nothing where none are.

    >>> lost_of(b'{"a": "b\\\\u0000"}'), lost_of(b'{"a": "\\\\ud800"}')
    ('NUL', 'half of a surrogate pair')
    >>> lost_of(b'{"a": "\\\\ud83d\\\\ude00"}'), lost_of(b"<p>a\\0b")
    ('', 'NUL')
    """
    if body[:_HEAD].lstrip(_BYTE_ORDER_MARK + b" \t\r\n")[:1] not in _JSON_BEGINS:
        return "NUL" if b"\0" in body else ""
    # Looked for one by one: nearly no answer has any.
    if not (b"\\" in body and (b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body)):
        return ""
    return " and ".join(
        what
        for what, escapes in _LOST.items()
        if any(escape.lastindex is None for escape in escapes.finditer(body))
    )


def check_whole(path: str, html: str) -> None:
    """Return when an HTML body is one page, or an excerpt of one. Raises Malformed.

    A list that was cut reads as a shorter one: what begins as a whole page must end so. Two pages, or a page
    that goes on behind its end, read as one whose rows and names are of both.
    """
    if html.count("<") > _TAGS_MOST:
        raise Malformed(path, f"a page of at most {_TAGS_MOST:,} tags", html[:80])
    # As the readers of HTML do: a NUL in a tag, or what stands for it, hides it from nobody else.
    html = html.replace("\0", "")
    seen = _UNSEEN.removed(
        _IN_TAG.sub(lambda tag: tag[0].replace("\ufffd", ""), html) if "\ufffd" in html else html
    )
    end = _END.search(seen)
    if end is None:
        if _BEGIN.search(seen):
            raise Malformed(path, "a whole page, to </html>", html[-80:])
    elif behind := seen[end.end() :].strip():
        raise Malformed(path, "nothing behind </html>", behind)
    if len(_DOCUMENT.findall(seen)) > 1:
        raise Malformed(path, "one page", "more than one <html>")


def _decode_again(body: bytes, reason: str) -> Any:
    start = body.lstrip()[:1]
    if not start:
        raise NotFound("body", "data", body)
    if start == b"<":
        raise Soft404("body", "JSON", body)
    if b"\\ud" in body or b"\\uD" in body:
        try:
            return orjson.loads(_LONES.sub(rb"\1\2", body))
        except orjson.JSONDecodeError as error:
            reason = str(error)
    raise Malformed("body", f"JSON ({reason})", body)
