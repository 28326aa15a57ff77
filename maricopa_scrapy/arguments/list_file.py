"""The file of a list: what kind it is, by its first bytes; a compressed one is unpacked as it is read, and
text decoded, in flat memory.
"""

import codecs
import gzip
import io
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, cast

from maricopa_scrapy.arguments.list_cells import told

_CHUNK = 1 << 16
# Characters; a line of a list has some dozens.
_LONGEST_LINE = 1 << 20
_ZIP, _GZIP = b"PK", b"\x1f\x8b"
_TEXT_REMEDY = "save it as CSV UTF-8 (in Excel: Save As, CSV UTF-8)"
# The first bytes of what is refused: what it is, and the remedy.
_REFUSED = (
    (
        b"\xd0\xcf\x11\xe0",
        (
            "an Excel file of the old kind (.xls), or one with a password; save it as .xlsx without one, or"
            " as CSV UTF-8"
        ),
    ),
    (b"%PDF", "a PDF; copy its table into a spreadsheet, and save that as CSV UTF-8"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ", "an xz file; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file; unpack it first"),
    (b"7z\xbc\xaf", "a 7z file; unpack it first"),
    (b"Rar!", "a RAR file; unpack it first"),
    (b"PAR1", f"a Parquet file; {_TEXT_REMEDY}"),
    (b"SQLite format 3", f"a SQLite database; {_TEXT_REMEDY}"),
    (b"{\\rtf", "a document of a word processor (RTF); save it as plain text in UTF-8"),
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_TAR_AT = 257
_START = rb"(?:\xef\xbb\xbf)?\s*"
_REFUSED_TEXT = (
    (
        re.compile(_START + rb"<[!?/a-zA-Z]"),
        f"a page in HTML or XML; open it in a spreadsheet, and {_TEXT_REMEDY}",
    ),
    (re.compile(_START + rb"(?:\{\s*\"|\[\s*[\"'{\[0-9])"), "JSON; give the numbers themselves, one a line"),
)
# What a byte that is no UTF-8 becomes, until its line is read as cp1252.
_STRAY = re.compile("[\udc80-\udcff]")


class UnreadableList(ValueError):
    """A list that cannot be read; the message says what is wrong with it, and the remedy."""


class Bytes(Protocol):
    """What a list's text is read from: a file, a pipe, or what is unpacked from one."""

    def read1(self, size: int = ..., /) -> bytes: ...

    def peek(self, size: int = ..., /) -> bytes: ...


@dataclass(slots=True)
class Opened:
    """An open list: `text`, or a `workbook` to be read by openpyxl. `notes` say aloud how it is read."""

    text: Bytes | None = None
    workbook: IO[bytes] | None = None
    notes: list[str] = field(default_factory=list)


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a list, unpacked where it is a .gz or a .zip of one file. Raises UnreadableList or OSError."""
    with ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(path.open("rb"))
        found = Opened()
        try:
            _unpack(raw, found, stack)
            yield found
        except (zlib.error, EOFError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
            raise UnreadableList(f"the file is damaged, or was cut short ({error})") from error


def is_regular(path: Path) -> bool:
    """Tell whether a path is a file that can be read again, and has an end."""
    return stat.S_ISREG(path.stat().st_mode)


def _unpack(raw: IO[bytes], found: Opened, stack: ExitStack) -> None:
    for depth in range(3):
        head: bytes = raw.peek(_CHUNK)  # type: ignore[attr-defined]
        for begin, what in _REFUSED:
            if head.startswith(begin):
                raise UnreadableList(f"this is {what}")
        if head[_TAR_AT:].startswith(b"ustar"):
            raise UnreadableList("this is a tar archive; unpack it first")
        for begins, what in _REFUSED_TEXT:
            if begins.match(head):
                raise UnreadableList(f"this is {what}")
        if head.startswith(_GZIP):
            raw = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")))
        elif head.startswith(_ZIP):
            if depth or not raw.seekable():
                raw = _copied(raw, stack)
            archive = stack.enter_context(zipfile.ZipFile(raw))
            names = archive.namelist()
            if min((one.header_offset for one in archive.infolist()), default=0) > 0:
                raise UnreadableList("something stands before its zip, such as another zip; unpack it first")
            if "xl/workbook.xml" in names:
                raw.seek(0)
                found.workbook = raw
                return
            if (
                "xl/workbook.bin" in names
                or "mimetype" in names
                or "word/document.xml" in names
                or "Index/Document.iwa" in names
            ):
                raise UnreadableList(
                    "this is a document of another kind; save its table as .xlsx, or as CSV UTF-8"
                )
            raw = _member(archive, found, stack)
        else:
            found.text = raw  # type: ignore[assignment]
            return
    raise UnreadableList("it is packed several times over; unpack it first")


def _copied(raw: IO[bytes], stack: ExitStack) -> IO[bytes]:
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(raw, copy)
    copy.seek(0)
    return copy


def _member(archive: zipfile.ZipFile, found: Opened, stack: ExitStack) -> IO[bytes]:
    files = [one for one in archive.infolist() if not (one.is_dir() or one.filename.startswith("__MACOSX/"))]
    if len(files) != 1:
        names = ", ".join([told(one.filename) for one in files[:5]] + ["..."] * (len(files) > 5))
        raise UnreadableList(f"the zip holds {len(files)} files ({names}); unpack it, and give one of them")
    if files[0].flag_bits & 1:
        raise UnreadableList("the zip has a password; unpack it first")
    found.notes.append(f"reads {told(files[0].filename)} of the zip")
    try:
        return stack.enter_context(archive.open(files[0]))
    except NotImplementedError:
        raise UnreadableList("the zip is packed in a way that is not read here; unpack it first") from None


def lines(raw: Bytes, notes: list[str]) -> Iterator[str]:
    """Yield the lines of a text in UTF-8, UTF-16 or UTF-32, without their ends; a line that is none of it is
    read as cp1252, with a note.

    Raises UnreadableList.
    """
    head = raw.peek(_CHUNK)
    encoding = _encoding(head)
    try:
        decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder(encoding)(
                "surrogateescape" if encoding.startswith("utf-8") else "strict"
            ),
            translate=True,
        )
        tail, number, is_noted = "", 0, False
        while True:
            chunk = raw.read1(_CHUNK)
            # With what is left of the chunk before: a line may begin in one, and end in the next.
            text = tail + decoder.decode(chunk, final=not chunk)
            found = text.split("\n")
            tail = found.pop()
            if len(tail) > _LONGEST_LINE:
                raise UnreadableList(
                    f"line {number + len(found) + 1} has more than a million characters: it is no list"
                )
            if not chunk and tail:
                found.append(tail)
            if not text.isascii() and _STRAY.search("\n".join(found)):
                for at, line in enumerate(found):
                    if _STRAY.search(line):
                        found[at] = _as_cp1252(line, number + at + 1)
                        if not is_noted:
                            notes.append(
                                f"line {number + at + 1} is not UTF-8: such lines are read as cp1252, as"
                                " Excel on Windows writes"
                            )
                            is_noted = True
            number += len(found)
            yield from found
            if not chunk:
                return
    except UnicodeDecodeError as error:
        raise UnreadableList(
            f"not a text file in UTF-8 or UTF-16 ({error.reason}); {_TEXT_REMEDY}"
        ) from error


def _as_cp1252(line: str, number: int) -> str:
    try:
        return line.encode("utf-8", "surrogateescape").decode("cp1252")
    except UnicodeDecodeError:
        raise UnreadableList(
            f"not a text file: line {number} is neither UTF-8 nor cp1252; {_TEXT_REMEDY}"
        ) from None


def _encoding(head: bytes) -> str:
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    head = head[:4096]
    if b"\0" not in head:
        return "utf-8"
    if len(head) >= 4 and not any(head[1::2]) and all(head[::2]):
        return "utf-16-le"
    if len(head) >= 4 and not any(head[::2]) and all(head[1::2]):
        return "utf-16-be"
    raise UnreadableList(f"not a text file: it has bytes 0; {_TEXT_REMEDY}")
