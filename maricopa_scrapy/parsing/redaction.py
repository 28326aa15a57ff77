"""What a capture does without: sketches (three quarters of an answer) and telephone numbers. Bytes in, bytes
out.
"""

import hashlib
import re
from collections.abc import Iterator

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from maricopa_scrapy.parsing.values import is_phone

_SKETCH = b'"Sketch"'
_TEXT_FOLLOWS = re.compile(rb'\s*:\s*"')
# Inside a string until its end, which may be the body's: a cut answer holds telephone numbers too.
_INSIDE = rb'([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)'
_REST = re.compile(_INSIDE + rb"(\s*:\s*)?", re.DOTALL)
_STRING = re.compile(rb'"' + _INSIDE + rb"(\s*:\s*)?", re.DOTALL)
_TOKEN = re.compile(rb'"' + _INSIDE + rb"|[\[\]{}]", re.DOTALL)
_NUMBER = re.compile(rb"[-+.0-9eE]+")
_ESCAPED_LETTER = re.compile(rb"\\u00(?:[46][58ef]|[57]0)")

# pydantic decodes base64 three times as fast as binascii, straight from JSON text.
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))


def sketch_digest(base64_text: str | bytes) -> tuple[str, int] | None:
    """Return (hex sha256 of the decoded bytes, length of the base64 text); None when it is not padded base64.

    Bytes are taken as they stand between the quotes of JSON, where `/` may be written as `\\/`.
    """
    if isinstance(base64_text, str):
        if not base64_text.isascii() or "\\" in base64_text:
            return None
        base64_text = base64_text.encode()
    try:
        data = _BASE64.validate_json(b'"%b"' % base64_text)
    except ValidationError:
        return None
    padding = -len(data) % 3
    end = base64_text[-3:]
    if len(end) - len(end.rstrip(b"=")) != padding:
        return None
    return hashlib.sha256(data).hexdigest(), (len(data) + padding) // 3 * 4


def redact(body: bytes, *, sketches: bool = True, phones: bool = True) -> bytes:
    """Return the body without sketches and telephone numbers; every other byte stays as it was.

    The parser reads the same records from both. A body that is not JSON is treated as far as it looks like
    it.
    """
    if sketches:
        body = without_sketches(body)
    return without_phones(body) if phones else body


def without_sketches(body: bytes) -> bytes:
    """Replace each `"Sketch":"<base64>"` value by `{"sha256":"…","length":N}`; leave what is not base64."""
    parts, done, at = [], 0, 0
    while (at := body.find(_SKETCH, at)) >= 0:
        opened = _TEXT_FOLLOWS.match(body, at + len(_SKETCH))
        inside_text = body[at - 1 : at] == b"\\"
        at += len(_SKETCH)
        if opened is None or inside_text:
            continue
        start = opened.end()
        end = body.find(b'"', start)
        if end < 0:
            break
        digest = sketch_digest(body[start:end]) if end > start else None
        if digest is not None:
            parts += [
                body[done : start - 1],
                b'{"sha256":"%b","length":%d}' % (digest[0].encode(), digest[1]),
            ]
            done = end + 1
        at = end
    return b"".join([*parts, body[done:]]) if parts else body


def without_phones(body: bytes) -> bytes:
    """Replace the value of each key with "phone" in its name by null: text, a number, or all that is inside a
    list or object.
    """
    parts, done = [], 0
    for string in _strings_with_phone(body):
        if string[2] is None or string.start() < done or not _names_phone(string[1]):
            continue
        start = string.end()
        end = _value_end(body, start)
        if end > start:
            parts += [body[done:start], b"null"]
            done = end
    return b"".join([*parts, body[done:]]) if parts else body


def _strings_with_phone(body: bytes) -> Iterator[re.Match[bytes]]:
    """Yield strings, from "phone" on or whole: group 1 is the text, group 2 the colon after a key."""
    lower = body.lower()
    if b"\\u00" in lower and _ESCAPED_LETTER.search(lower):
        yield from _STRING.finditer(body)
        return
    at = 0
    # Outside strings JSON has no such letters, so each one found is inside.
    while (at := lower.find(b"phone", at)) >= 0:
        rest = _REST.match(body, at)
        if rest is None:
            return
        yield rest
        at = rest.end()


def _names_phone(key: bytes) -> bool:
    if b"\\" in key:
        try:
            return is_phone(orjson.loads(b'"%b"' % key))
        except orjson.JSONDecodeError:
            pass
    return is_phone(key.decode("latin-1"))


def _value_end(body: bytes, start: int) -> int:
    first = body[start : start + 1]
    if first == b'"':
        string = _STRING.match(body, start)
        return string.end() - len(string[2] or b"") if string else start
    if first in (b"[", b"{"):
        depth = 0
        for token in _TOKEN.finditer(body, start):
            mark = token[0]
            depth += (mark in (b"[", b"{")) - (mark in (b"]", b"}"))
            if depth == 0:
                return token.end()
        return len(body)
    number = _NUMBER.match(body, start)
    return number.end() if number else start
