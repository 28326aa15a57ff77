"""Captures as a WARC file, the format of web archives (ISO 28500), by webrecorder's warcio; any reader of
WARC files takes it.

What a host sent is a `response` record; of its headers, status and content type were kept. What a browser
showed is a `resource` record, one a tab. `WARC-Left-Out` says what the kept body does without: the payload is
then not, byte for byte, what was sent.
"""

import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from maricopa_scrapy import __version__
from maricopa_scrapy.items import Capture
from maricopa_scrapy.machine.output_file import new_file
from maricopa_scrapy.parsing.errors import Malformed
from maricopa_scrapy.sources.treasurer import tabs as treasurer_tabs

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_APN = re.compile(rb"(?<![0-9A-Za-z])[0-9]{3}-?[0-9]{2}-?[0-9]{3}-?[A-Za-z]?(?![0-9A-Za-z])")
_NUMBER = re.compile(rb"(?<![0-9])[0-9]{11}(?![0-9])")


def told(
    captures: Iterable[Capture], apns: frozenset[str], documents: frozenset[str], left_out: list[str]
) -> Iterator[Capture]:
    """Yield the captures that are not about these parcels or documents; the addresses of the others go to
    `left_out`.

    The address decides; where it names nothing, and of the GIS always, all that the answer names does.
    """
    for capture in captures:
        url = capture.url.encode()
        named, numbers = _apns(url), set(_NUMBER.findall(url))
        if capture.source == "gis" or not (named or numbers):
            named, numbers = named | _apns(capture.body), numbers | set(_NUMBER.findall(capture.body))
        if apns.isdisjoint(named) and documents.isdisjoint(number.decode() for number in numbers):
            yield capture
        else:
            left_out.append(capture.url)


def _apns(text: bytes) -> set[str]:
    return {found.replace(b"-", b"").decode().upper() for found in _APN.findall(text)}


def write(path: Path, captures: Iterable[Capture]) -> int:
    """Write captures to a file, compressed when its name ends in .gz; returns the number of records. Raises
    OSError.
    """
    count = 0
    with new_file(path, "wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        about = {
            "software": f"maricopa_scrapy {__version__}",
            "format": "WARC File Format 1.1",
            "conformsTo": "ISO 28500:2017",
        }
        writer.write_record(writer.create_warcinfo_record(path.name, about))
        for capture in captures:
            for record in _records(writer, capture):
                writer.write_record(record)
                count += 1
    return count


def _records(writer: WARCWriter, capture: Capture) -> Iterator[object]:
    more = {"WARC-Date": _moment(capture.fetched_at)}
    if capture.left_out:
        more["WARC-Left-Out"] = ", ".join(capture.left_out)
    if capture.is_rendered:
        for place, content_type, body in _shown(capture):
            yield writer.create_warc_record(
                _one_line(place),
                "resource",
                io.BytesIO(body),
                len(body),
                warc_content_type=_one_line(content_type),
                warc_headers_dict=dict(more),
            )
        return
    headers = [("Content-Length", str(len(capture.body)))]
    if capture.content_type:
        headers.insert(0, ("Content-Type", _one_line(capture.content_type)))
    status = StatusAndHeaders(_status(capture.status), headers, protocol="HTTP/1.1")
    yield writer.create_warc_record(
        _one_line(capture.url),
        "response",
        io.BytesIO(capture.body),
        len(capture.body),
        http_headers=status,
        warc_headers_dict=more,
    )


def _shown(capture: Capture) -> Iterator[tuple[str, str, bytes]]:
    """Yield (address, content type, body) of each part of what a browser showed."""
    if capture.content_type.startswith("application/json"):
        try:
            tabs = treasurer_tabs.unpack(capture.body)
        except Malformed:
            # A page that was no parcel's was kept as it was.
            yield capture.url, capture.content_type, capture.body
            return
        for name, html in tabs.html.items():
            yield f"{capture.url}#{name}", "text/html; charset=utf-8", html.encode()
        return
    yield capture.url, capture.content_type or "application/octet-stream", capture.body


def _one_line(text: str) -> str:
    """Return text as a header of a record may have it: a line break would begin another header."""
    return _CONTROL.sub(" ", text)


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} Unknown"


def _moment(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
