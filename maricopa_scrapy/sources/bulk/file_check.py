"""A bulk file looked through before a row of it is stored: is it whole, how many lines has it, which keys
come more than once?

The look costs a tenth of the load, and keeps a file that was cut short, or is another one, from being stored
in part.
"""

import errno
import hashlib
import re
import struct
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from operator import methodcaller
from pathlib import Path
from typing import IO

from maricopa_scrapy.items import Cause
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.sources.bulk.file_layout import FileShape, Layout, layout_of, too_many, unread_columns
from maricopa_scrapy.sources.bulk.file_lines import misfits, parse_lines, rough_keys

_LINES_A_BATCH = 2_000
_BLOCK = 1 << 18
_LINE_MOST = 1 << 20
_BUCKET = 200_000
# The county's zips unpack to four to six times their size; what unpacks to more than this is no file of its.
_RATIO_MOST = 100
_UNPACKED_MOST = 4 * 2**30
_ENCRYPTED = 0x1
# Keys that come again, of all lines: beyond it two files were joined, or the key is no key.
_AGAIN_MOST = 0.1
_AGAIN_FEW = 100
# Values are looked at in the first batches, and then in one of so many; in all once a column is near to what
# makes it unread.
_LOOKED_AT_FIRST = 10
_LOOKED_AT_OF = 10
_NEAR = 0.8
# Against the last load of the same file.
_SHRINK_MOST = 0.02
_ANOTHER = "it is another file, or the county has changed it (docs/sources.md)"
_ZIP = b"PK\x03\x04"
# NUL, and what stands for nothing in cp1252; of a line in UTF-8 these may be parts of a sign.
_NO_CHARACTER = re.compile(rb"[\x00\x81\x8d\x8f\x90\x9d]")
_BOM = b"\xef\xbb\xbf"


class FileRefused(Exception):
    """A file that is not loaded; the message says what is wrong with it, and the remedy."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Member:
    """A text file, or one in a zip: `name` is empty for a file that is no zip."""

    path: Path
    name: str = ""

    @property
    def place(self) -> str:
        """What a person finds it by."""
        return f"{self.path.name}/{self.name}" if self.name else self.path.name

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it for reading as a stream."""
        if self.name:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.name) as file:
                yield file
        else:
            with self.path.open("rb") as file:
                yield file


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines, of which the first has number `first`. `is_open`: the file ends with the last of them, and
    with no newline.
    """

    first: int
    lines: list[bytes]
    is_open: bool = False


@dataclass(slots=True)
class Scan:
    """What a file is: its digest, its members with their layouts, its lines (headers left out), and hashes of
    keys that come again.

    `misfits` counts, by column, the lines that do not fit it, where these are many.
    """

    digest: bytes
    members: list[tuple[Member, Layout]] = field(default_factory=list)
    lines: int = 0
    again: set[int] = field(default_factory=set)
    misfits: Counter[int] = field(default_factory=Counter)


@contextmanager
def damage_named() -> Iterator[None]:
    """Let what a damaged zip raises be FileRefused."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, UnicodeDecodeError) as error:
        raise FileRefused(
            Cause.MALFORMED, f"the zip is damaged ({str(error) or 'it ends too soon'}); fetch the file again"
        ) from None
    except OSError as error:
        # Where a damaged zip sends zipfile.
        if error.errno != errno.EINVAL:
            raise
        raise FileRefused(
            Cause.MALFORMED, "the zip is damaged (its table of contents); fetch the file again"
        ) from None
    except NotImplementedError as error:
        raise FileRefused(
            Cause.MALFORMED,
            f"the zip cannot be read ({error}); fetch it again, or give the .txt that is in it",
        ) from None


def batches(file: IO[bytes], has_header: bool) -> Iterator[Batch]:
    """Yield a file's lines, without its header. Raises FileRefused for what has no lines."""
    rest, first = b"", 1
    held: list[bytes] = []

    def take(count: int, is_open: bool = False) -> Batch:
        nonlocal first
        begin = 1 if has_header and first == 1 else 0
        batch = Batch(first + begin, held[begin:count], is_open)
        first += min(count, len(held))
        del held[:count]
        return batch

    while block := file.read(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        held += lines
        while len(held) > _LINES_A_BATCH:
            yield take(_LINES_A_BATCH)
        if len(rest) > _LINE_MOST:
            raise FileRefused(
                Cause.SOURCE_CHANGED,
                f"a line of over {_LINE_MOST:,} bytes: it is no text file of the county's",
            )
    if rest:
        held.append(rest)
    while held:
        yield take(_LINES_A_BATCH, is_open=bool(rest) and len(held) <= _LINES_A_BATCH)


def scan(path: Path, shape: FileShape) -> Scan:
    """Look through a file. Raises FileRefused or OSError."""
    found = Scan(_digest(path))
    hashes = array("q")
    of_width = looked_at = number = 0
    # Last lines that no newline ends.
    ends: list[tuple[Member, Layout, int, bytes]] = []
    with damage_named():
        for member in _members(path):
            layout = _layout(member, shape)
            found.members.append((member, layout))
            fits = (layout.width - 1).__eq__
            with member.open() as file:
                for batch in batches(file, layout.is_headed):
                    hashes.extend(map(hash, rough_keys(batch.lines, shape, layout)))
                    of_width += sum(map(fits, map(methodcaller("count", b"|"), batch.lines)))
                    number += 1
                    if number <= _LOOKED_AT_FIRST or number % _LOOKED_AT_OF == 0:
                        found.misfits += misfits(decoded(batch.lines), shape, layout)
                        looked_at += len(batch.lines)
                    if batch.is_open and batch.lines:
                        ends.append((member, layout, batch.first + len(batch.lines) - 1, batch.lines[-1]))
    found.lines = len(hashes)
    if not found.lines:
        raise FileRefused(Cause.MALFORMED, "the file has no lines; fetch it again")
    unread = _unread(found, shape, found.lines - of_width, looked_at)
    found.members = [(member, replace(layout, unread=unread)) for member, layout in found.members]
    for member, layout, number, last in ends:
        _check_end(shape, member, replace(layout, unread=unread), number, last)
    found.again = _again(hashes, shape)
    return found


def _unread(found: Scan, shape: FileShape, of_another_width: int, looked_at: int) -> frozenset[int]:
    """Return the columns that are not read, and note what does not fit; `looked_at` lines were looked at.
    Raises FileRefused.
    """
    first = found.members[0][1]
    if too_many(of_another_width, found.lines, first.is_headed):
        raise FileRefused(
            Cause.SOURCE_CHANGED,
            f"{of_another_width:,} of {found.lines:,} lines do not have the {first.width} columns of the"
            f" {shape.name}: it is another file, or damaged, or the county has changed it (docs/sources.md);"
            " nothing of it is stored",
        )
    if looked_at < found.lines:
        is_near = any(
            too_many(round(count / _NEAR), looked_at, first.is_headed) for count in found.misfits.values()
        )
        found.misfits = _all_misfits(found, shape) if is_near else Counter()
    try:
        return unread_columns(shape, first, found.misfits, found.lines)
    except SourceChanged as error:
        raise FileRefused(Cause.SOURCE_CHANGED, f"{error}; {_ANOTHER}; nothing of it is stored") from None


def _all_misfits(found: Scan, shape: FileShape) -> Counter[int]:
    count: Counter[int] = Counter()
    with damage_named():
        for member, layout in found.members:
            with member.open() as file:
                for batch in batches(file, layout.is_headed):
                    count += misfits(decoded(batch.lines), shape, layout)
    return count


def check_shrink(found: Scan, before: int | None) -> None:
    """Raise FileRefused when the last load of the same file had over 2 % more rows than this file has
    lines.
    """
    if before is not None and found.lines < before * (1 - _SHRINK_MOST):
        raise FileRefused(
            Cause.MALFORMED,
            f"it has {found.lines:,} lines, and the last one that was loaded had {before:,} rows: it was cut"
            " short, or is a part; fetch it again, or, if it is right, load it with -a accept_shrink=yes",
        )


def lost_of(lines: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    """Yield the positions of lines with bytes that `decoded` leaves out, or that stand for no character, and
    what they are.
    """
    body = b"\n".join(lines)
    if (body.isascii() and b"\0" not in body) or not _NO_CHARACTER.search(body):
        return
    for at, line in enumerate(lines):
        if b"\0" in line:
            yield at, "NUL is left out of what is stored"
        elif found := _NO_CHARACTER.search(line):
            with suppress(UnicodeDecodeError):
                line.decode()
                continue
            yield (
                at,
                (
                    f"byte {found[0].hex()} is neither UTF-8 nor cp1252, and is stored as"
                    f" U+00{found[0].hex().upper()}"
                ),
            )


def decoded(lines: Sequence[bytes]) -> list[str]:
    """Return lines as text without the ends of Windows' lines; a line that is not UTF-8 is Windows' own form
    of Latin-1.
    """
    body = b"\n".join(lines)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\n".join([_decoded(line) for line in body.removeprefix(_BOM).split(b"\n")])
    text = text.replace("\0", "").removesuffix("\r")
    found = text.split("\r\n")
    return found if len(found) == len(lines) else text.replace("\r\n", "\n").split("\n")


def _decoded(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        with suppress(UnicodeDecodeError):
            return line.decode(encoding)
    return line.decode("latin-1")


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _members(path: Path) -> list[Member]:
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP)) == _ZIP
    if not is_zip:
        return [Member(path)]
    with zipfile.ZipFile(path) as archive:
        # Not what a Mac adds of its own, __MACOSX/._NAME.
        texts = [
            one
            for one in archive.infolist()
            if one.filename.lower().endswith(".txt") and not Path(one.filename).name.startswith(".")
        ]
    if not texts:
        raise FileRefused(Cause.MALFORMED, "there is no .txt in the zip; is it one of the county's?")
    if any(one.flag_bits & _ENCRYPTED for one in texts):
        raise FileRefused(Cause.MALFORMED, "the zip wants a password; the county's do not")
    size = sum(one.file_size for one in texts)
    packed = path.stat().st_size
    if size > min(_UNPACKED_MOST, _RATIO_MOST * packed):
        raise FileRefused(
            Cause.MALFORMED,
            f"its {packed:,} bytes would unpack to {size:,}, which no file of the county's does",
        )
    return [Member(path, name) for name in sorted({one.filename for one in texts})]


def _layout(member: Member, shape: FileShape) -> Layout:
    with member.open() as file:
        (first,) = decoded([file.readline(_BLOCK).rstrip(b"\r\n")])
    try:
        return layout_of(shape, first)
    except SourceChanged as error:
        raise FileRefused(Cause.SOURCE_CHANGED, f"{member.place}: {error}; {_ANOTHER}") from None


def _check_end(shape: FileShape, member: Member, layout: Layout, number: int, last: bytes) -> None:
    """Refuse a file whose last line stops before its last column does."""
    (line,) = decoded([last])
    is_short = line.count("|") < layout.width - 1
    rejects = parse_lines([line], shape, "", 1, layout).rejects
    if is_short or any(one.reason.startswith(f"column {layout.width} ") for one in rejects):
        where = f"line {number:,}, its last, breaks off ({rejects[0].reason})"
        raise FileRefused(Cause.MALFORMED, f"{member.place} is cut short: {where}; fetch the file again")


def _again(hashes: "array[int]", shape: FileShape) -> set[int]:
    found: set[int] = set()
    repeated = 0
    # By parts: a set of all at once is the half of the memory that a load may take.
    parts = len(hashes) // _BUCKET + 1
    for part in range(parts):
        some = [one for one in hashes if one % parts == part]
        distinct = len(set(some))
        if distinct < len(some):
            repeated += len(some) - distinct
            found.update(one for one, count in Counter(some).items() if count > 1)
    if repeated > max(_AGAIN_FEW, _AGAIN_MOST * len(hashes)):
        what = "parcel and deed" if len(shape.key) > 1 else "parcel"
        raise FileRefused(
            Cause.SOURCE_CHANGED,
            f"{repeated:,} of {len(hashes):,} lines have a {what} that an earlier line has: two files were"
            " joined, or it is another file; nothing of it is stored",
        )
    return found
