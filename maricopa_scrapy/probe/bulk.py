"""The Sales Affidavits: where the file lies, that it is a zip, and the columns in its first line. No more
than its beginning is fetched.
"""

import struct
import zlib
from typing import Any

from maricopa_scrapy.pace.answer_check import Refusal
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.probe.client import Asker
from maricopa_scrapy.probe.key_differences import listed
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.sources.bulk.affidavits import NAME, SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.download import moved_to
from maricopa_scrapy.sources.bulk.file_layout import layout_of

_LIES, _PIECES, _ZIP, _COLUMNS, _NEW, _FIRST = (
    "the file's address leads to it",
    "it comes in pieces",
    "it is a zip with a text in it",
    "its columns",
    "no column is new",
    "a line has as many columns as the header",
)
# Bytes asked for, and redirects followed.
_MOST, _HOPS = 65_536, 2
_HEAD = struct.Struct("<4s5H3I2H")
_REPORT = "attach the bundle to an issue; maricopa_scrapy/sources/bulk/affidavits.py has the columns"


def assumptions(_: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    return (_LIES, _PIECES, _ZIP, _COLUMNS, _NEW, _FIRST)


async def check(asker: Asker, _: Any) -> None:
    """Ask, and note what held. Raises Ended."""
    url = asker.url(asker.manifest.paths[NAME])
    headers = {"Range": f"bytes=0-{_MOST - 1}", "Accept-Encoding": "identity"}
    correct = line_of("bulk", "paths", NAME)
    hop, moved = 0, url
    while True:
        response = await asker.answer(
            "the file" if not hop else f"the file, redirect {hop}", moved, headers=headers, most=_MOST
        )
        if response is None:
            return
        try:
            found = moved_to(response)
        except Refusal as error:
            asker.sheet.broken(_LIES, str(error), correct)
            return
        if found is None or hop == _HOPS:
            break
        hop, moved = hop + 1, found
    if response.status not in (200, 206):
        asker.sheet.broken(_LIES, f"HTTP {response.status}", correct)
        return
    asker.sheet.held(_LIES, f"HTTP {response.status} after {hop} redirects")
    of = (response.headers.get(b"Content-Range") or b"").decode("latin-1")
    asker.sheet.check(
        _PIECES, response.status == 206, of or "all at once", "it is fetched whole then; no line to correct"
    )
    lines = _first_lines(response.body)
    if lines is None:
        asker.sheet.broken(_ZIP, f"it begins with {response.body[:8]!r}", correct)
        return
    asker.sheet.held(_ZIP, f"{len(lines)} lines in the first {len(response.body):,} bytes")
    # Nothing of its lines is for the bundle but the header.
    asker.seen[-1].body = lines[0].encode()
    _header(asker, lines)


def _header(asker: Asker, lines: list[str]) -> None:
    try:
        layout = layout_of(SALES_AFFIDAVITS, lines[0])
    except PageError as error:
        asker.sheet.broken(_COLUMNS, str(error), _REPORT)
        return
    gone = {name for name, at in zip(SALES_AFFIDAVITS.header, layout.order, strict=True) if at is None}
    known = len(SALES_AFFIDAVITS.header)
    evidence = (
        f"{layout.width}, {known - len(gone)} of the {known} that are known among them"
        + f"; absent: {listed(gone)}" * bool(gone)
    )
    asker.sheet.check(_COLUMNS, not gone, evidence, f"they are NULL in new rows; {_REPORT}")
    asker.sheet.check(
        _NEW,
        not layout.new,
        listed(set(layout.new)) or "none",
        "nothing breaks, they are not stored: attach the bundle to an issue",
    )
    whole = lines[1:-1]
    misfits = sum(line.count("|") + 1 != layout.width for line in whole)
    asker.sheet.check(_FIRST, misfits * 10 <= len(whole), f"{misfits} of {len(whole)} do not", _REPORT)


def _first_lines(body: bytes) -> list[str] | None:
    """Return the first lines of the first file of a zip that was cut; None when it is none."""
    if len(body) < _HEAD.size or not body.startswith(b"PK\x03\x04"):
        return None
    _, _, _, method, _, _, _, _, _, name, extra = _HEAD.unpack_from(body)
    data = body[_HEAD.size + name + extra :]
    try:
        text = zlib.decompressobj(-15).decompress(data) if method == 8 else data
    except zlib.error:
        return None
    lines = text.decode("utf-8", "replace").splitlines()
    return lines or None
