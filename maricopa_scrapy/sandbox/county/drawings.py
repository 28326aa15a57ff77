"""The sketch of a parcel, a PNG in base64, and the names of its map files."""

import binascii
import random
import struct
import zlib
from functools import lru_cache
from typing import Any

from maricopa_scrapy.sandbox.county.seeded_chance import between, dice, number, pick

_WIDTH = 160
# Rows of pixels: 150 of them make 32,300 characters of base64.
_HEIGHTS = (148, 154)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_GET_MAP = "https://mcassessor.maricopa.gov/getmapid/"


@lru_cache(maxsize=1)
def _noise() -> bytes:
    return random.Random(0).randbytes(1 << 20)


def sketch(seed: int, apn: str) -> str:
    """Return base64 of a grey PNG that no other parcel has: some 32,000 characters that don't compress."""
    mark = number(seed, "sketch", apn)
    low, high = _HEIGHTS
    height = low + mark % (high - low + 1)
    stride = _WIDTH + 1
    start = (mark >> 8) % ((1 << 20) - stride * height)
    pixels = bytearray(_noise()[start : start + stride * height])
    # Each row begins with its filter: none.
    pixels[::stride] = bytes(height)
    pixels[1:17] = struct.pack(">Q", mark) + apn[:8].encode()
    header = struct.pack(">IIBBBBB", _WIDTH, height, 8, 0, 0, 0, 0)
    image = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", _stored(bytes(pixels)))
        + _chunk(b"IEND", b"")
    )
    return binascii.b2a_base64(image, newline=False).decode()


def _stored(data: bytes) -> bytes:
    """Return a zlib stream of one stored block; at most 65,535 bytes."""
    size = len(data)
    return (
        b"\x78\x01\x01"
        + struct.pack("<HH", size, size ^ 0xFFFF)
        + data
        + struct.pack(">I", zlib.adler32(data))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def sketches(seed: int, apn: str) -> dict[str, Any]:
    """Return the object of /parcel/{apn}/sketches."""
    return {"TotalPages": 1, "Pages": [{"Sketch": sketch(seed, apn), "PageNum": 1, "APN": apn}]}


def no_sketches() -> dict[str, Any]:
    """Return that object where there is none, or no parcel."""
    return {"TotalPages": 0, "Pages": []}


def map_ids(seed: int, apn: str, known: bool = True) -> dict[str, Any]:
    """Return the object of /parcel/{apn}/mapids; for a parcel that is not `known`, only the maps of its book
    and map.
    """
    rolls = dice(seed, "maps", apn[:5])
    prefix = f"8{between(rolls, 0, 9999):04d}"
    section = [
        _file(f"{prefix}{row:02d}{column:02d}", rolls) for row in range(1, 5) for column in range(1, 5)
    ]
    sheets = section[:: between(rolls, 3, 9)]
    here = number(seed, "sheet", apn) % len(section)
    return {
        "Parcel Maps": [section[here]] if known else [],
        "Subdivision Maps": sheets[:2] if known and rolls.random() < 0.5 else [],
        "MCR Maps": sheets[:2] if known and rolls.random() < 0.5 else [],
        "S/T/R Maps": section if known else [],
        "Book/Map Maps": sheets,
    }


def _file(name: str, rolls: random.Random) -> dict[str, str]:
    day = f"{between(rolls, 1, 28):02d}-{pick(rolls, _MONTHS)}-{between(rolls, 4, 25):02d}"
    return {"FileName": name, "UpdateDate": day, "Url": f"{_GET_MAP}{name}/"}
