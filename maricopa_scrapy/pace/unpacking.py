"""Unpacks what a server compressed, and refuses what was damaged or cut short on its way; Scrapy keeps as
much of it as it can.
"""

import gzip
import zlib

from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.http import Response

_GZIP = (b"gzip", b"x-gzip")
# The CRC of what was packed, and its length.
_TRAILER = 8
_GZIP_WINDOW = 31


class Unpacking(HttpCompressionMiddleware):
    """As Scrapy's, for whole bodies. Raises gzip.BadGzipFile, EOFError or zlib.error, which are cause
    `malformed`.
    """

    def process_response(self, request: Request, response: Response) -> Request | Response:  # type: ignore[override]
        """Unpack a response."""
        packed, encoding = response.body, (response.headers.get(b"Content-Encoding") or b"").strip().lower()
        found = super().process_response(request, response)
        if request.method != "HEAD" and encoding in _GZIP and isinstance(found, Response):
            _check(packed, found.body)
        return found


def _check(packed: bytes, body: bytes) -> None:
    trailer = zlib.crc32(body).to_bytes(4, "little") + (len(body) & 0xFFFFFFFF).to_bytes(4, "little")
    if packed[-_TRAILER:] == trailer:
        return
    # Something may stand behind the packed body; of several only the first is looked at.
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        unpacker.decompress(packed)
    except zlib.error as error:
        raise gzip.BadGzipFile(f"the gzip body is damaged ({error})") from None
    if not unpacker.eof:
        raise EOFError("the gzip body was cut short")
