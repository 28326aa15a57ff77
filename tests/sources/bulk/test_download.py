"""Pieces of a big file, as a server may send them."""

import os
from pathlib import Path

import pytest
from scrapy.http import Response

from maricopa_scrapy.items import Cause
from maricopa_scrapy.pace.answer_check import Refusal
from maricopa_scrapy.sources.bulk.download import Download


def _piece(body: bytes, says: str) -> Response:
    return Response("http://127.0.0.1/data", status=206, body=body, headers={"Content-Range": says})


def test_a_piece_without_a_byte_is_refused_and_what_came_before_stays(tmp_path: Path) -> None:
    download = Download(tmp_path / "file.zip", 4, 100)
    assert not download.take(_piece(b"PK\x03\x04", "bytes 0-3/8"))
    with pytest.raises(Refusal, match="a piece without a byte") as refusal:
        download.take(_piece(b"", "bytes 4-3/8"))
    assert refusal.value.cause is Cause.MALFORMED
    assert download.take(_piece(b"abcd", "bytes 4-7/8"))
    assert download.finish().read_bytes() == b"PK\x03\x04abcd"


def test_two_that_fetch_the_same_file_have_a_part_each_and_those_of_the_dead_go(tmp_path: Path) -> None:
    ours, other, dead = (tmp_path / f"file.zip.{pid}.part" for pid in (os.getpid(), os.getppid(), 2**22 + 1))
    other.write_text("of another run")
    dead.write_text("of a run that was killed")
    download = Download(tmp_path / "file.zip", 4, 100)
    assert not download.take(_piece(b"PK\x03\x04", "bytes 0-3/8"))
    assert (ours.read_bytes(), other.read_text(), dead.exists()) == (b"PK\x03\x04", "of another run", False)
    assert download.take(_piece(b"abcd", "bytes 4-7/8"))
    assert download.finish().read_bytes() == b"PK\x03\x04abcd"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file.zip", other]
