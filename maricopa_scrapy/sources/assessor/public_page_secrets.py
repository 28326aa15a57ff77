"""The assessor's public page without what is not ours to keep: its scripts, and the token that the site gives
its own script.
"""

import re

# A page of a million openings without an end is read once, not once for each: so the `\Z`, and the bounds of
# what is repeated.
_SCRIPT = re.compile(rb"(<script\b[^>]*(?:>|\Z)).*?(?=</script|\Z)", re.IGNORECASE | re.DOTALL)
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
# The first reads quotes, the second takes what a missing quote hides from it, and a tag that the body ends
# in.
_OPENING = re.compile(rb"<(?:input|meta)\b", re.IGNORECASE)
_TAG = re.compile(rb"<(?:input|meta)\b(?:\"[^\"]*\"|'[^']*'|[^>\"'])*+>", re.IGNORECASE)
_BROKEN_TAG = re.compile(rb"<(?:input|meta)\b[^>]*(?:>|\Z)", re.IGNORECASE)
_NAME = re.compile(
    rb"""\b(?:id|name)\s*=\s*(?:"[^"]{0,64}token|'[^']{0,64}token|[^\s"'>]{0,64}token)""", re.IGNORECASE
)
_VALUE = re.compile(rb"""\b(?:value|content)\s*=\s*(?:"([^"]*)"?|'([^']*)'?|([^\s"'>]+))""", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"""(\bdata-[\w-]{0,64}token[\w-]{0,64}\s*=\s*)(?:"[^"]*"?|'[^']*'?|[^\s>]*)""", re.IGNORECASE
)
# A shorter value may be a word of the page.
_LEAST = 12
# Of more broken tags, or of more tokens than this, nobody can say what a page is.
_BROKEN_MOST = 20
_VALUES_MOST = 20


def without_secrets(body: bytes) -> bytes:
    """Return the page without what its scripts hold, without UUIDs, and without the value of any hidden field
    named like a token.

    The value goes wherever else it stands, too. A tag that is cut, or lacks a quote, may hide its name: it
    goes as a whole; after many of them the rest of the page goes, and a page of many tokens goes with all
    that it has.
    """
    body = _SCRIPT.sub(rb"\1", body)
    values: set[bytes] = set()
    body = _whole_tags_emptied(body, values)
    body = _BROKEN_TAG.sub(lambda found: _emptied(found[0], values), body)
    if len(values) > _VALUES_MOST:
        return b""
    for value in sorted(values, key=len, reverse=True):
        body = body.replace(value, b"")
    return _UUID.sub(b"", _ATTRIBUTE.sub(rb'\1""', body))


def _whole_tags_emptied(body: bytes, values: set[bytes]) -> bytes:
    parts, done, broken = [], 0, 0
    for opening in _OPENING.finditer(body):
        at = opening.start()
        if at < done:
            continue
        if found := _TAG.match(body, at):
            parts += [body[done:at], _emptied(found[0], values, is_whole=True)]
            done = found.end()
            continue
        broken += 1
        if broken > _BROKEN_MOST:
            return b"".join([*parts, body[done:at]])
    return b"".join([*parts, body[done:]])


def _emptied(tag: bytes, values: set[bytes], is_whole: bool = False) -> bytes:
    if not is_whole and (not tag.endswith(b">") or tag.count(b'"') % 2 or tag.count(b"'") % 2):
        return b""
    if b"token" not in tag.lower() or not _NAME.search(tag):
        return tag
    found = [next(filter(None, groups), b"") for groups in _VALUE.findall(tag)]
    values.update(value for value in found if len(value) >= _LEAST)
    return b'<input type="hidden" id="Token" />'
