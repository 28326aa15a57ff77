"""The assessor's public page without what is not ours to keep: its scripts, and the token that the site gives its own script."""

import re

_SCRIPT = re.compile(rb"(<script\b[^>]*>).*?(?=</script|\Z)", re.IGNORECASE | re.DOTALL)
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
# The first reads quotes, the second takes what a missing quote hides from it, and a tag that the body ends in.
_TAGS = (
    re.compile(rb"<(?:input|meta)\b(?:\"[^\"]*\"|'[^']*'|[^>\"'])*+>", re.IGNORECASE),
    re.compile(rb"<(?:input|meta)\b[^>]*(?:>|\Z)", re.IGNORECASE),
)
_NAME = re.compile(rb"""\b(?:id|name)\s*=\s*(?:"[^"]*token|'[^']*token|[^\s"'>]*token)""", re.IGNORECASE)
_VALUE = re.compile(rb"""\b(?:value|content)\s*=\s*(?:"([^"]*)"?|'([^']*)'?|([^\s"'>]+))""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""(\bdata-[\w-]*token[\w-]*\s*=\s*)(?:"[^"]*"?|'[^']*'?|[^\s>]*)""", re.IGNORECASE)
# A shorter value may be a word of the page.
_LEAST = 12


def without_secrets(body: bytes) -> bytes:
    """Return the page without what its scripts hold, without UUIDs, and without the value of any hidden field named like a token.

    The value goes wherever else it stands, too. A tag that is cut, or lacks a quote, may hide its name: it goes as a whole.
    """
    body = _SCRIPT.sub(rb"\1", body)
    values: set[bytes] = set()
    body = _TAGS[0].sub(lambda found: _emptied(found[0], values, is_whole=True), body)
    body = _TAGS[1].sub(lambda found: _emptied(found[0], values), body)
    for value in sorted(values, key=len, reverse=True):
        body = body.replace(value, b"")
    return _UUID.sub(b"", _ATTRIBUTE.sub(rb'\1""', body))


def _emptied(tag: bytes, values: set[bytes], is_whole: bool = False) -> bytes:
    if not is_whole and (not tag.endswith(b">") or tag.count(b'"') % 2 or tag.count(b"'") % 2):
        return b""
    if not _NAME.search(tag):
        return tag
    found = [next(filter(None, groups), b"") for groups in _VALUE.findall(tag)]
    values.update(value for value in found if len(value) >= _LEAST)
    return b'<input type="hidden" id="Token" />'
