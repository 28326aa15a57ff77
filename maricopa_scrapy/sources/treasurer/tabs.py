"""A parcel's page as it is kept: the rendered HTML of each tab, in one body. Bytes in, bytes out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from maricopa_scrapy.parsing.errors import Malformed
from maricopa_scrapy.parsing.unseen_html import Unseen

# What has no text of the page, and differs from visit to visit.
_UNSEEN = Unseen("script", "style", "svg")
# Area code, exchange, line: apart, and as the numbering plan has them; other digits are a mailbox or a number
# of an account.
_PHONE = re.compile(
    r"(?<![\w$.,#-])(?:\+?1[ .-]?)?(?:\([2-9]\d{2}\)[ .-]{0,2}|[2-9]\d{2}[ .-])[2-9]\d{2}["
    r" .-]\d{4}(?![\w.-]*\d)|(?<=tel:)[+\d().\s%-]+"
)

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# What a browser puts in place of what it cannot decode.
REPLACED = "\ufffd"
_PACKED = b'{"kind":"'
Kind = Literal["parcel", "absent", "shell"]


@dataclass(frozen=True, slots=True)
class Tabs:
    """What a browser showed: a `parcel` with the HTML of each tab, or one page: `absent`, or a `shell`
    without data.

    `version`: of the layout that it was read by. `address`: the page's own in the end, where that is to be
    read too.
    """

    kind: Kind
    html: Mapping[str, str]
    version: int
    address: str = ""


def pack(tabs: Tabs) -> bytes:
    """Return the tabs as one body, without scripts, comments and telephone numbers."""
    html = {name: keep(text) for name, text in tabs.html.items()}
    address = {"address": tabs.address} if tabs.address else {}
    return orjson.dumps({"kind": tabs.kind, "version": tabs.version, "tabs": html} | address)


def unpack(body: bytes) -> Tabs:
    """Return the tabs of a body. Raises Malformed."""
    try:
        value = orjson.loads(body)
        kind, version, html, address = (
            value["kind"],
            value["version"],
            value["tabs"],
            value.get("address", ""),
        )
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise Malformed("body", f"the tabs of a page ({error})", body) from None
    is_text = isinstance(html, dict) and all(isinstance(text, str) for text in (address, *html.values()))
    if kind not in ("parcel", "absent", "shell") or type(version) is not int or not is_text or not html:
        raise Malformed("body", "the tabs of a page", body)
    return Tabs(kind, html, version, address)


def kept(body: bytes) -> bytes:
    """Return a body as it is kept: as it is when packed, anything else without what `keep` leaves out.

    >>> kept(b' {"error": "call (602) 555-0142"}')
    b' {"error": "call "}'
    >>> kept(pack(Tabs("parcel", {"summary": "<p>1</p>"}, 1)))
    b'{"kind":"parcel","version":1,"tabs":{"summary":"<p>1</p>"}}'
    """
    return body if body.startswith(_PACKED) else keep(body.decode("utf-8", "ignore")).encode()


def keep(html: str) -> str:
    """Return a page's HTML as it is kept: without scripts, styles, comments, telephone numbers.

    >>> keep('<p>Call (602) 555-0142 <!-- x --></p><script>1</script><td>123-45-678</td>')
    '<p>Call  </p><td>123-45-678</td>'
    """
    # Lone surrogates are no UTF-8, and NUL no text of Postgres: they stand as what a browser makes of bytes
    # that are no text.
    html = _NO_TEXT.sub(REPLACED, html)
    return _PHONE.sub("", _UNSEEN.removed(html))
