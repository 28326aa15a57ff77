"""Lists in Excel workbooks, packed lists, and lists through a pipe."""

import datetime as dt
import gzip
import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.arguments import ApnList
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from tests.helpers.written_lists import HIDDEN, file, workbook, zipped

TWO = ["14288378", "50437406"]
OF_TWO = [["APN"], ["142-88-378"], ["504-37-406"]]
DAY = dt.date(2024, 1, 15)
Sheets = dict[str, list[list[Any]]]


@pytest.mark.parametrize(
    ("sheets", "column", "expected", "note"),
    [
        ({"List": OF_TWO}, None, TWO, "reads sheet 'List'"),
        (
            {"Read me": [["hello"]], "List": [["X", "Parcel No."], ["A", "142-88-378"], [], ["B", 50437406]]},
            None,
            TWO,
            "2 (Parcel No.)",
        ),
        (
            {"List": [["My parcels"], [], ["APN", "Owner"], ["142-88-378", "x"], [504_37_406.0, "y"]]},
            None,
            TWO,
            "the heading is in line 3",
        ),
        (
            {
                "List": [
                    ["Date", "No"],
                    [DAY, "142-88-378"],
                    [dt.datetime.combine(DAY, dt.time(8)), "504-37-406"],
                ]
            },
            None,
            TWO,
            "column 2",
        ),
        ({"List": [["142-88-378", "504-37-406"]]}, None, TWO, "reads sheet"),
        ({"List": [["# mine"], ["142-88-378 # the house"], ["'504-37-406"]]}, None, TWO, "reads sheet"),
        ({"List": OF_TWO, f"Old{HIDDEN}": [["APN"], ["111-11-111"]]}, None, TWO, "reads sheet 'List'"),
        ({"A": OF_TWO, "B": [["APN"], ["111-11-111"]]}, "B!APN", ["11111111"], "reads sheet 'B'"),
        ({"A": OF_TWO, "B": [["APN"], ["111-11-111"]]}, "b!", ["11111111"], "reads sheet 'B'"),
        (
            {"A": [["Old APN", "New APN"], ["111-11-111", "142-88-378"], ["111-11-112", "504-37-406"]]},
            "New APN",
            TWO,
            "reads sheet 'A'",
        ),
    ],
)
def test_a_workbook_s_sheet_and_column_are_found_and_said(
    tmp_path: Path, sheets: Sheets, column: str | None, expected: list[str], note: str
) -> None:
    apns = ApnList("apns", file(tmp_path, workbook(sheets), "list.xlsx"), column=column)
    assert list(apns) == expected
    assert list(apns) == expected
    assert [one for one in apns.notes if note in one]


@pytest.mark.parametrize(
    ("sheets", "column", "message"),
    [
        (
            {"A": OF_TWO, "B": OF_TWO},
            None,
            r"the sheets 'A', 'B' all hold APNs; .*--apn-column \(-a apn_column=\) takes SHEET!COLUMN",
        ),
        ({"A": OF_TWO}, "C!APN", "there is no sheet 'C'; there are 'A'"),
        (
            {"A": [["APN"], [1428837.5], [1428837], [16528054]]},
            None,
            r"sheet 'A', row 2: '1428837.5' .*as text\), nor is row 3",
        ),
        (
            {"A": [["APN", "n"], ["142-88-378", 1], ["#N/A", 2]]},
            None,
            r"row 3: '#N/A' is not an APN \(an error of the spreadsheet\)",
        ),
        (
            {"A": [["APN"], ["142-88-378"], ["=A2"]]},
            None,
            r"row 3: '=A2' .*\(a formula whose value is not in the file: open it",
        ),
        (
            {"A": [["APN", "Owner"], ["142-88-378", "x"], [None, "y"]]},
            None,
            r"row 3: ',y' is not an APN \(column 1 \(APN\) is empty\)",
        ),
        (
            {"A": [["APN"], ["142-88-378"], [DAY]]},
            None,
            r"row 3: '2024-01-15' is not an APN \(it is a date\)",
        ),
        ({"A": [], "B": []}, None, "no APN in its sheets, which are 'A', 'B'"),
    ],
)
def test_what_is_wrong_in_a_workbook_is_named_by_sheet_and_row(
    tmp_path: Path, sheets: Sheets, column: str | None, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        list(ApnList("apns", file(tmp_path, workbook(sheets)), column=column))


TEXT = b"APN,Owner\n142-88-378,Smith\n504-37-406,Lee\n"
PACKED = {
    "gz": gzip.compress(TEXT),
    "gz of a workbook": gzip.compress(workbook({"A": OF_TWO})),
    "zip": zipped({"lists/": b"", "lists/mine.csv": TEXT, "__MACOSX/lists/._mine.csv": b"x"}),
    "zip of a workbook": zipped({"mine.xlsx": workbook({"A": OF_TWO})}),
    "zip of a gz": zipped({"mine.csv.gz": gzip.compress(TEXT)}),
}


@pytest.mark.parametrize("body", PACKED.values(), ids=PACKED)
def test_a_packed_list_is_known_by_its_bytes(tmp_path: Path, body: bytes) -> None:
    assert list(ApnList("apns", file(tmp_path, body, "list.txt"))) == TWO


def _tar(text: bytes) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        member = tarfile.TarInfo("list.csv")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return body.getvalue()


def _with_a_row(body: bytes, number: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    row = (
        f'<row r="{number}"><c r="A{number}" t="inlineStr"><is><t>135-80-602F</t></is></c></row></sheetData>'
    )
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(
        b"</sheetData>", row.encode()
    )
    return zipped(parts)


UNREADABLE = {
    "cut short": (gzip.compress(TEXT * 500)[:-9], "the file is damaged, or was cut short"),
    "two files": (
        zipped({"a.csv": TEXT, "b.csv": TEXT}),
        r"the zip holds 2 files \(a.csv, b.csv\); unpack it, and give one of them",
    ),
    "no file": (zipped({}), "the zip holds 0 files"),
    "ods": (
        zipped({"mimetype": b"application/vnd.oasis.opendocument"}),
        "a document of another kind; save its table as .xlsx",
    ),
    "a workbook cut short": (workbook({"A": OF_TWO})[:-40], "the file is damaged, or was cut short"),
    "no workbook": (zipped({"xl/workbook.xml": b"<x/>"}), "the workbook is damaged, or is none of Excel's"),
    "packed thrice": (gzip.compress(gzip.compress(gzip.compress(TEXT))), "packed several times over"),
    "two zips": (
        zipped({"a.csv": TEXT}) + zipped({"b.csv": TEXT}),
        "something stands before its zip, such as another zip; unpack it first",
    ),
    "tar": (_tar(TEXT), "this is a tar archive; unpack it first"),
    "tar.gz": (gzip.compress(_tar(TEXT)), "this is a tar archive; unpack it first"),
    "rows twice": (
        _with_a_row(workbook({"A": OF_TWO}), 3),
        "the workbook is damaged: its row 3 comes after row 3; save it anew in Excel",
    ),
    "rows behind": (_with_a_row(workbook({"A": OF_TWO}), 2), "its row 2 comes after row 3"),
    "bzip2": (b"BZh91AY", "this is a bzip2 file; unpack it first"),
}


@pytest.mark.parametrize(("body", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_unpacked_is_refused(tmp_path: Path, body: bytes, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        list(ApnList("apns", file(tmp_path, body)))


PIPED = {
    "text": TEXT,
    "utf-16": TEXT.decode().encode("utf-16"),
    "workbook": workbook({"A": OF_TWO}),
    **PACKED,
}


@pytest.mark.parametrize("body", PIPED.values(), ids=PIPED)
def test_a_list_through_a_pipe(tmp_path: Path, body: bytes) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    writer = threading.Thread(target=pipe.write_bytes, args=(body,))
    writer.start()
    try:
        assert list(ApnList("apns", str(pipe))) == TWO
    finally:
        writer.join()
