"""A bulk file before it is loaded: cut, damaged, joined, of another kind; each is refused with its cause and
a remedy.
"""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.items import Cause
from maricopa_scrapy.sandbox.bulk.affidavits import HEADER, lines, write_text, write_zip
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_check import FileRefused, batches, check_shrink, scan
from maricopa_scrapy.sources.bulk.file_layout import FileShape
from maricopa_scrapy.sources.bulk.file_lines import FILES
from tests.helpers.bulk import secured_line

SECURED = FILES["secured_master"]
Edit = Callable[[bytes], bytes]


def _secured(count: int) -> bytes:
    return b"".join(secured_line(number).encode() + b"\r\n" for number in range(count))


def _refused(path: Path, shape: FileShape = SALES_AFFIDAVITS) -> tuple[Cause, str]:
    with pytest.raises(FileRefused) as caught:
        scan(path, shape)
    return caught.value.cause, str(caught.value)


def _damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize("size", [0, 1, 1999, 2000, 2001, 6001])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_batches_are_all_lines_with_their_numbers(tmp_path: Path, size: int, end: bytes) -> None:
    text = [b"line %d" % number for number in range(1, size + 1)]
    (tmp_path / "f.txt").write_bytes(b"\n".join(text) + (end if text else b""))
    with (tmp_path / "f.txt").open("rb") as file:
        found = list(batches(file, has_header=False))
    assert [line for batch in found for line in batch.lines] == text
    assert all(batch.lines[0] == b"line %d" % batch.first for batch in found)
    assert [batch.is_open for batch in found] == [False] * (len(found) - 1) + [not end] * bool(found)
    with (tmp_path / "f.txt").open("rb") as file:
        headed = list(batches(file, has_header=True))
    assert [line for batch in headed for line in batch.lines] == text[1:]
    assert all(batch.lines[0] == b"line %d" % batch.first for batch in headed if batch.lines)


def test_a_file_s_lines_are_counted_without_its_header(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", lines(County(), 5000, 20))
    write_text(tmp_path / "a.txt", lines(County(), 5000, 20))
    (tmp_path / "s.txt").write_bytes(_secured(4001))
    assert (
        scan(tmp_path / "a.zip", SALES_AFFIDAVITS).lines
        == scan(tmp_path / "a.txt", SALES_AFFIDAVITS).lines
        == 5000
    )
    assert scan(tmp_path / "s.txt", SECURED).lines == 4001


@pytest.mark.parametrize(
    ("edit", "cause", "says"),
    [
        (lambda content: content[: len(content) // 2], Cause.MALFORMED, "the zip is damaged"),
        (_damaged, Cause.MALFORMED, "fetch the file again"),
        (lambda content: b"", Cause.MALFORMED, "no lines"),
        (lambda content: b"<html>Sign in</html>\n" * 9, Cause.SOURCE_CHANGED, "another file"),
    ],
)
def test_a_zip_that_is_not_whole_is_refused(tmp_path: Path, edit: Edit, cause: Cause, says: str) -> None:
    path = tmp_path / "Sales_Affidavits.zip"
    write_zip(path, lines(County(), 8000))
    path.write_bytes(edit(path.read_bytes()))
    found, message = _refused(path)
    assert found is cause or not path.stat().st_size
    assert says in message or not path.stat().st_size


@pytest.mark.parametrize(
    ("edit", "cause", "says"),
    [
        (lambda content: content[: len(content) // 2 + 30].rpartition(b"|")[0], Cause.MALFORMED, "cut short"),
        (lambda content: content[:-5], Cause.MALFORMED, "cut short"),
        (
            lambda content: content + b"\n".join([b"what is this?"] * 900),
            Cause.SOURCE_CHANGED,
            "900 of 9,000 lines",
        ),
        (lambda content: content + content, Cause.SOURCE_CHANGED, "two files were joined"),
    ],
)
def test_a_text_that_is_not_what_it_was_is_refused(
    tmp_path: Path, edit: Edit, cause: Cause, says: str
) -> None:
    path = tmp_path / "Secured_Master.txt"
    path.write_bytes(edit(_secured(8100)))
    found, message = _refused(path, SECURED)
    assert (found, says in message) == (cause, True), message


def test_a_zip_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("Sales_Affidavits.txt", "w") as file,
    ):
        for _ in range(64):
            file.write(b"|" * 2**20)
    cause, message = _refused(path)
    assert (cause, "would unpack to 67,108,864" in message) == (Cause.MALFORMED, True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.pdf", b"x")
    assert "no .txt" in _refused(path)[1]


def test_a_header_alone_or_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(HEADER + "\n")
    assert "no lines" in _refused(path)[1]
    path.write_text("\n".join(list(lines(County(), 50))[1:]) + "\n")
    assert _refused(path)[0] is Cause.SOURCE_CHANGED


def test_a_file_that_shrank_is_refused_unless_it_may(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_bytes(_secured(980))
    found = scan(path, SECURED)
    check_shrink(found, None)
    check_shrink(found, 1000)
    with pytest.raises(FileRefused, match="accept_shrink=yes"):
        check_shrink(found, 1001)


def test_keys_that_come_again_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_bytes(
        _secured(5000)
        + (secured_line(17, owner="SOMEBODY ELSE") + "\n").encode()
        + (secured_line(4999) + "\n").encode()
    )
    assert len(scan(path, SECURED).again) == 2


@pytest.mark.parametrize(("every", "is_unread"), [(40, True), (48, True), (52, False), (70, False)])
def test_lines_that_do_not_fit_a_column_are_counted_in_all_of_a_long_file(
    tmp_path: Path, every: int, is_unread: bool
) -> None:
    count, number = 50_000, SECURED.columns.index("property_type")
    path = tmp_path / "s.txt"
    path.write_text(
        "".join(
            secured_line(at).replace("|RESIDENTIAL|", "|?|" if at % every == 0 else "|AG|") + "\n"
            for at in range(count)
        )
    )
    found = scan(path, SECURED)
    assert found.members[0][1].unread == (frozenset((number,)) if is_unread else frozenset())
    # One in 50 is the most: near to it all lines are counted, farther from it none needs to be.
    assert found.misfits[number] == (-(-count // every) if every < 60 else 0)


def test_whatever_a_zip_is_made_of_it_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_zip(path, lines(County(), 300))
    good, rolls, refused = path.read_bytes(), random.Random(3), 0
    for round_ in range(300):
        content = bytearray(good)
        begin = rolls.randrange(len(content))
        if round_ % 3 == 0:
            content[begin] ^= 1 << rolls.randrange(8)
        elif round_ % 3 == 1:
            # The table of contents, at its end.
            content[len(content) - 1 - rolls.randrange(150)] = rolls.randrange(256)
        else:
            del content[begin : begin + rolls.randrange(1, 50)]
        path.write_bytes(content)
        try:
            read = scan(path, SALES_AFFIDAVITS).lines
        except FileRefused:
            refused += 1
        else:
            assert read == 300
    assert refused > 150
