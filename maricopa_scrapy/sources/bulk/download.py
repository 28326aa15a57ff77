"""A big file on its way to this machine's disk, a piece a request: neither the whole of it nor more than a
piece is in memory.

A server that gives no pieces sends all at once; that is taken as well, up to the same limit.
"""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import psutil
from scrapy.http import Response

from maricopa_scrapy.items import Cause
from maricopa_scrapy.machine.private_files import make_folder, private
from maricopa_scrapy.pace.answer_check import Refusal, begins, check_proxy, is_refusal

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_MOVED = (301, 302, 303, 307, 308)
_ZIP = b"PK\x03\x04"


class Download:
    """One file. It is written next to `path` until it is whole; `most` bytes are too many, `piece` are asked
    for at once.
    """

    def __init__(self, path: Path, piece: int, most: int) -> None:
        self.path = path
        self._piece = piece
        self._most = most
        # Of this process alone: two that fetch the same file at once must not write into one.
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        self._begin()

    def _begin(self) -> None:
        self._size = 0
        self._edition: tuple[bytes | None, int] | None = None
        self._digest = hashlib.sha256()

    @property
    def headers(self) -> dict[str, str]:
        """Headers that ask for the next piece."""
        return {"Range": f"bytes={self._size}-{self._size + self._piece - 1}", "Accept-Encoding": "identity"}

    @property
    def sha256(self) -> bytes:
        """Digest of what has come."""
        return self._digest.digest()

    def take(self, response: Response) -> bool:
        """Append an answer; returns True when the file is whole. Raises Refusal, or OSError when it cannot be
        written.
        """
        _check(response)
        if response.status == 200:
            self._begin()
            self._append(response.body)
            return True
        found = _RANGE.fullmatch((response.headers.get(b"Content-Range") or b"").decode("latin-1"))
        if found is None:
            raise Refusal(Cause.MALFORMED, "HTTP 206 that does not say which piece it is")
        first, last, total = map(int, found.groups())
        edition = response.headers.get(b"ETag"), total
        if not response.body:
            # It would be asked for again without end.
            raise Refusal(Cause.MALFORMED, f"a piece without a byte ({found[0]})")
        if (
            first != self._size
            or last - first + 1 != len(response.body)
            or (self._edition is not None and self._edition != edition)
        ):
            self._begin()
            raise Refusal(
                Cause.MALFORMED,
                f"a piece that does not follow on the one before ({found[0]}); the file is fetched anew",
            )
        if total > self._most:
            raise Refusal(
                Cause.MALFORMED,
                f"a file of {total:,} bytes; more than max_file of config/sources/bulk.yaml, {self._most:,}",
            )
        self._edition = edition
        self._append(response.body)
        return self._size == total

    def _append(self, body: bytes) -> None:
        if not self._size and not body.startswith(_ZIP):
            raise Refusal(
                Cause.SERVER_ERROR if begins(body) == b"{" else Cause.MALFORMED, f"no zip: {body[:80]!r}"
            )
        if not self._size:
            make_folder(self.path.parent)
            self._tidy()
        with open(self._partial, "ab" if self._size else "wb", opener=private) as file:
            file.write(body)
        self._digest.update(body)
        self._size += len(body)

    def _tidy(self) -> None:
        """Remove what processes that are gone left behind."""
        for left in self.path.parent.glob(f"{self.path.name}.*.part"):
            pid = left.suffixes[-2][1:]
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                left.unlink(missing_ok=True)

    def finish(self) -> Path:
        """Put the whole file in its place. Raises OSError."""
        self._partial.replace(self.path)
        return self.path


def moved_to(response: Response) -> str | None:
    """Return where an answer sends us, None for any other. Raises Refusal for an address that is not safe."""
    if response.status not in _MOVED:
        return None
    url = urljoin(response.url, (response.headers.get(b"Location") or b"").decode("latin-1"))
    if urlsplit(url).scheme != "https" and urlsplit(url).netloc != urlsplit(response.url).netloc:
        raise Refusal(Cause.REFUSED, f"HTTP {response.status} to {url[:80]}, which is not https")
    return url


def _check(response: Response) -> None:
    status = response.status
    check_proxy(response)
    if is_refusal(response):
        raise Refusal(Cause.THROTTLED, f"HTTP {status}")
    if status in (404, 410):
        raise Refusal(
            Cause.NOT_FOUND,
            f"HTTP {status}: the file is not there; see base_url and paths of config/sources/bulk.yaml",
        )
    if status >= 500:
        raise Refusal(Cause.SERVER_ERROR, f"HTTP {status}")
    if status not in (200, 206):
        raise Refusal(Cause.REFUSED, f"HTTP {status}")
    if b"html" in (response.headers.get(b"Content-Type") or b"").lower():
        raise Refusal(Cause.SOFT_404, f"HTTP {status} with an HTML page where a zip is due")
