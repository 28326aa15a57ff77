"""Lists of text: what is read of them, and what is refused, by line and with the remedy."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.arguments import ApnList, RecordingNumbers
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from tests.helpers.written_lists import file

THREE = ["14288378", "50437406", "13580602F"]
TWO = THREE[:2]
ONE = THREE[:1]
# kind: lists and what is read of each.
READ: dict[str, list[tuple[str | bytes, list[str]]]] = {
    "any notation": [
        ("142-88-378\n504 37 406\n", TWO),
        ("# mine\n14288378 # the house\n\n50437406\n", TWO),
        ("\ufeff142\u201388\u2013378\n504_37_406\n135.80.602.f\n", THREE),
        ("142-88-378\r504-37-406", TWO),
        ("142\u00a088\u00a0378\n 504/37/406 \n", TWO),
        ("14,288,378\n50.437.406\n", TWO),
    ],
    "several on a line": [
        ("142-88-378, 504-37-406, 135-80-602F\n", THREE),
        ("142-88-378;504-37-406\n135-80-602F\n", THREE),
        ("142-88-378 504-37-406\t135-80-602F\n", THREE),
        ("142-88-378|504-37-406,\n", TWO),
        ('APN,Owner\n"142-88-378, 504-37-406",X\n', TWO),
        ('APN,Owner\n"142-88-378\n504-37-406",X\n', TWO),
        ("142-88-378, 504-37-406,,\n135-80-602F,,,\n", THREE),
        ("142-88-378,504-37-406 # the corner, 111-11-111\n", TWO),
        ("142-88-378 and 504-37-406\n135-80-602F\n", THREE),
        ("142-88-378/504-37-406 + 135-80-602F\n", THREE),
        ("142-88-378\uff0c504-37-406\u3001135-80-602F\n", THREE),
        ("APN\n142-88-378, 504-37-406\n135-80-602F\n", THREE),
        ("Parcels\n142-88-378;504-37-406\n", TWO),
    ],
    "dates and sequence numbers": [
        ("2024-01-15,142-88-378\n", ONE),
        ("01/15/2024,142-88-378\n01/16/2024,504-37-406\n", TWO),
        ("15.01.2024;142-88-378\n", ONE),
        ("20240115,142-88-378\n", ONE),
        ("2024-01-15 08:00:00\t142-88-378\n", ONE),
        ("1,142-88-378\n2,504-37-406\n", TWO),
        ("00000001,142-88-378\n00000002,504-37-406\n", TWO),
        ("20240115,14288378\n20240116,50437406\n20240117,13580602F\n", THREE),
        ("#,APN\n1,142-88-378\n2,504-37-406\n", TWO),
        ("123-45-6789,142-88-378,480-555-0142\n", ONE),
        ("142-88-378,379,AZ\n504-37-406,1200,AZ\n", TWO),
        # A list of nothing else is what it says, days or not.
        ("20240115\n20240116\n", ["20240115", "20240116"]),
    ],
    "delimiters": [
        ("APN;Owner\n142-88-378;Smith, John\n504-37-406;Lee\n", TWO),
        ("142-88-378\tSmith, John\n504-37-406\tLee\n", TWO),
        ("Owner|APN\nSmith, John; Jane|142-88-378\n", ONE),
        ("Owner;Parcel\nSmith, John;142-88-378\nLee, Ann;504-37-406\n", TWO),
        ("sep=;\nAPN;Owner\n142-88-378;Smith, John\n", ONE),
        ("| APN | Owner |\n|---|---|\n| 142-88-378 | X, Y |\n", ONE),
        ('"142-88-378";"a"\r\n"504-37-406";"b"\r\n', TWO),
    ],
    "line breaks in cells": [
        ('APN,Owner\n142-88-378,"Smith\nJohn"\n504-37-406,X\n', TWO),
        ('Owner,APN\n"Smith\nJohn\n",142-88-378\nX,504-37-406\n', TWO),
        ('APN;Notes\r\n142-88-378;"one\r\ntwo; ""three"""\r\n504-37-406;\r\n', TWO),
        ('"Parcel\nNumber",Owner\n142-88-378,X\n', ONE),
        ('142-88-378, "Smith, John",\n504-37-406,5" pipe\n', TWO),
    ],
    "encodings": [
        ("APN,Owner\n142-88-378,Pe\u00f1a\n".encode("cp1252"), ONE),
        ("142\u201388\u2013378\n504\u00a037\u00a0406\n".encode("cp1252"), TWO),
        ("APN,Owner\n142-88-378,Pe\u00f1a\n504-37-406,".encode() + "Jos\u00e9\n".encode("cp1252"), TWO),
        ("142-88-378\n504-37-406\n".encode("utf-16"), TWO),
        ("142-88-378\n504-37-406\n".encode("utf-16-le"), TWO),
        ("142-88-378\n504-37-406\n".encode("utf-16-be"), TWO),
        ("142-88-378\n504-37-406\n".encode("utf-32"), TWO),
        ("142-88-378\n504\u201337\u2013406".encode("cp1252"), TWO),
        ("\uff11\uff14\uff12-88-378\n504\uff0d37\ufe63406\n", TWO),
    ],
    "headings": [
        *(
            (f"{heading}\n142-88-378\n", ONE)
            for heading in (
                "apn",
                "APN_DASH",
                "Assessor's Parcel Number",
                "Assessor Parcel Number (APN)",
                "Tax Parcel",
                "Parcel #",
                "PARCEL_ID",
                "Parcel No.",
                "Assessor\u2019s Parcel No",
                "APN/Parcel ID",
                "County APN",
                "ParcelNumber",
                "Tax Parcel ID Number",
                "PIN",
            )
        ),
        ("Owner,APN_DASH\nX,142-88-378\n", ONE),
        ("Name,Ref\nX,142-88-378\n", ONE),
        ("APN,Parent APN\n142-88-378,504-37-406\n", ONE),
        ("APN,Number\n142-88-378,50437406\n", ONE),
        ("APN,APN_DASH\n14288378,142-88-378\n50437406,504-37-406\n", TWO),
        ("Parcels of Mesa\nmade 2026-01-01\n\nParcel,Owner\n142-88-378,X\n", ONE),
        ("APN,Owner\n142-88-378,X\nAPN,Owner\n504-37-406,Y\n", TWO),
    ],
    "marked cells": [
        ('="14288378"\n="50437406"\n', TWO),
        ('"=""14288378""",X\n', ONE),
        ('APN,Owner\n="14288378",X\n', ONE),
        ("\u202a142-88-378\u202c\n\u200e504-37-406\n", TWO),
        ("142-88-378\r\n504-37-406\r\n\x1a", TWO),
        ("'142-88-378\n\u2018504-37-406\u2019\n", TWO),
        ("142-88-378 5\n504-37-406-2\n135-80-602F 7\n", THREE),
    ],
}
NOTED = {
    "Owner;Parcel\nSmith, John;142-88-378\n": "the APNs are those of column 2 (Parcel)",
    "1,142-88-378\n": "the APNs are those of column 2",
    "APN,Owner\n142-88-378,Pe\u00f1a".encode("cp1252"): "line 2 is not UTF-8: such lines are read as cp1252",
    ("APN,Owner\n" + "142-88-378,X\n" * 5_041 + "142-88-378,Pe\u00f1a Lee\n").encode(
        "cp1252"
    ): "line 5043 is not UTF-8",
    "APN,Priority (1-4)\n142-88-378,1\n": (
        "column 2 (Priority (1-4)) is not read as priorities: its words are not critical,"
    ),
    "A title\nAPN,Owner\n142-88-378,X\n": "the heading is in line 2; what stands above it is passed over",
    "APN,Owner\n142-88-378,Pe\u00f1a\n".encode(
        "cp1252"
    ): "line 2 is not UTF-8: such lines are read as cp1252",
}
_COUNTS = r"say which counts: --apn-column 1 \(-a apn_column=1\), or 1,2 for all"
_CORRECT = "; correct it, or leave such lines out with --skip-invalid"
_AS_TEXT = r"is not an APN \(a spreadsheet dropped its zeros or its last digit: format the column as text\)"
REFUSED: dict[str, list[tuple[str | bytes, str]]] = {
    "wrong lines": [
        (
            "x\n14288378\n1\n",
            (
                "line 1: 'x' is not an APN, nor is line 3; correct them, or leave such lines out with"
                " --skip-invalid$"
            ),
        ),
        ("\n".join(["14288378", *"abc"]), "line 2: 'a' is not an APN, nor are lines 3, 4; correct them, "),
        (
            "x\n" * 1_500,
            "line 1: 'x' is not an APN, nor are lines 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,490 more; ",
        ),
        ("142-88-378, 12-34\n504-37-406,135-80-602F\n", f"line 1: '12-34' is not an APN{_CORRECT}"),
        ("142-88-378 to 142-88-390\n", "line 1: '142-88-378 to 142-88-390' is not an APN"),
        (
            "APN,Owner\n142-88-378,X\n,Smith\n",
            r"line 3: ',Smith' is not an APN \(column 1 \(APN\) is empty\)",
        ),
        ("Owner,APN\nSmith, John,142-88-378\n", "line 2: 'John' is not an APN"),
        ("a,b\n1,2\n3,4\n", "line 1: 'a,b' is not an APN, nor are lines 2, 3; correct them"),
        ("X,142-88-378\nY,12\nZ,13\n", "lines 2, 3; .*no column of it holds APNs: --apn-column"),
    ],
    "dates": [
        (
            "142-88-378\n20240115\n",
            (
                r"line 2: '20240115' is not an APN \(it may be a date; if it is none, write it with its"
                r" separators"
            ),
        ),
        ("APN,Owner\n142-88-378,X\n01152024,Y\n12312024,Z\n", r"line 3: '01152024' .*nor is line 4"),
        (
            "142-88-378 20240115\n",
            "line 1: .*20240115 may be a date; if it is none, write it with its separators",
        ),
        ("2024-01-15\n", r"line 1: '2024-01-15' is not an APN \(it is a date\)"),
        ("142-88-378\n12/31/2024\n", r"line 2: '12/31/2024' is not an APN \(it is a date\)"),
        ("20240115,14288378\n", f"column 1 and column 2 hold what may be APNs or dates; {_COUNTS}"),
        ("20240115,Smith\n", "column 1 holds what may be APNs or dates; say which counts"),
    ],
    "numbers": [
        *(
            (f"142-88-378\n{number}\n", f"line 2: '{number}' {_AS_TEXT}".replace("+", r"\+"))
            for number in (
                "1428837.0",
                "1652805.4",
                "16528054.0",
                "1.65E+07",
                "1428837,0",
                "1428837",
                "165280.54",
            )
        ),
        ("APN;Owner\n1428837,0;X\n", f"line 2: '1428837,0' {_AS_TEXT}"),
        ("APN,Date\n1428837.0,20240115\n", f"line 2: '1428837.0' {_AS_TEXT}"),
    ],
    "books": [
        (
            f"142-88-378\n{book}-12-345\n",
            rf"line 2: '{book}-12-345' is not an APN \(there is no book {book}\)",
        )
        for book in ("000", "001", "099")
    ],
    "two columns fit": [
        (
            "APN,Tax Parcel\n14288378,504-37-406\n",
            rf"column 1 \(APN\) and column 2 \(Tax Parcel\) hold what may be APNs; {_COUNTS}",
        ),
        (
            "Left,Right\n142-88-378,504-37-406\n",
            rf"column 1 \(Left\) and column 2 \(Right\) hold what may be APNs; {_COUNTS}",
        ),
        ("142-88-378,504-37-406,Smith\n", f"column 1 and column 2 hold what may be APNs; {_COUNTS}"),
        (
            '142-88-378,"12,345,678"\n504-37-406,"23,456,789"\n',
            f"column 1 and column 2 hold what may be APNs; {_COUNTS}",
        ),
        (
            "14288378;12.345.678\n50437406;23.456.789\n",
            f"column 1 and column 2 hold what may be APNs; {_COUNTS}",
        ),
        (
            "10000001,142-88-378\n10000002,504-37-406\n",
            f"column 1 and column 2 hold what may be APNs; {_COUNTS}",
        ),
        (
            "142-88-378,X\n" * 300 + "504-37-406,135-80-602F\n",
            r"line 301: '135-80-602F' is not .*it stands beside 50437406, in column 2",
        ),
        (
            "APN,APN_DASH\n" + "14288378,142-88-378\n" * 300 + "50437406,135-80-602F\n",
            r"line 302: '135-80-602F' .*column 1 \(APN\) says 50437406",
        ),
    ],
    "quotes": [
        (
            '142-88-378,"Smith\n504-37-406,Jane\n',
            "line 1: a quote opens a cell that goes on to '504-37-406' .*; close the quote",
        ),
        (
            '142-88-378,"Smith\n504-37-406,"Jane"\n135-80-602F,Y\n',
            "line 1: a quote opens a cell that goes on to '504-37-406'",
        ),
        (
            'APN,Owner\n142-88-378,"Smith\n1428837.0,Lee\n',
            "line 2: a quote opens a cell that goes on to the end of the file; close",
        ),
        ('APN,Owner\n142-88-378,"' + "x\n" * 100_000, "line 2: a quote opens a cell that does not end"),
    ],
    "no text": [
        (b"123\xff\xfe\x00\x81", "not a text file: .*; save it as CSV UTF-8"),
        (
            b"142-88-378\n\x81\x8d\n",
            "not a text file: line 2 is neither UTF-8 nor cp1252; save it as CSV UTF-8",
        ),
        (b"\xff\xfe1\x004\x002", "not a text file in UTF-8 or UTF-16"),
        (
            "<html><td>142-88-378</td></html>",
            "this is a page in HTML or XML; open it in a spreadsheet, and save it as CSV UTF-8",
        ),
        ('\ufeff<?xml version="1.0"?>\n<Workbook/>', "this is a page in HTML or XML"),
        ("[14288378,50437406,13580602]", "this is JSON; give the numbers themselves, one a line"),
        ('\n{"apns": ["142-88-378"]}\n', "this is JSON"),
        (b"%PDF-1.7", "this is a PDF; copy its table into a spreadsheet"),
        (b"\xd0\xcf\x11\xe0" * 9, "an Excel file of the old kind .*; save it as .xlsx"),
        ("1" * 1_200_000, "line 1 has more than a million characters"),
    ],
    "marks of a spreadsheet": [
        ("142-88-378\n#N/A\n", r"line 2: '#N/A' is not an APN \(an error of the spreadsheet\)"),
        ("APN,Owner\n142-88-378,X\n#REF!,Y\n", r"line 3: '#REF!' is not an APN"),
        ("=A2&B2\n", r"line 1: '=A2&B2' is not an APN \(a formula whose value is not in the file"),
    ],
    "priorities": [
        (
            "apn,priority\n142-88-378,urgent\n",
            "line 2: priority 'urgent' is not one of critical, high, normal, low",
        ),
        (
            "142-88-378,high\n504-37-406,urgent\n",
            r"line 1: 'high' .*\(it is a priority beside 14288378, in column 2, which is not that",
        ),
        ("142-88-378,\n" * 300 + "504-37-406,high\n", "line 301: 'high' .*it is a priority beside 50437406"),
        ("142-88-378,high,low\n", "line 1: 'low' .*it is a priority beside 14288378, in column 3"),
        (
            "APN,priority,priority\n142-88-378,,high\n",
            "2 columns are headed 'priority'; give the others another heading",
        ),
        ("APN,Owner,priority\n142-88-378,Smith, John,critical\n", "line 2: priority 'john' is not one of"),
    ],
    "nothing in it": [
        (content, "no APN in it") for content in ("", "# only comments\n\n", "apn\n", "APN,Owner\n,,\n")
    ],
}


def _cases(of: dict[str, list[tuple[str | bytes, Any]]]) -> list[Any]:
    return [
        pytest.param(*case, id=f"{kind} {at}")
        for kind, cases in of.items()
        for at, case in enumerate(cases, start=1)
    ]


@pytest.mark.parametrize(("content", "expected"), _cases(READ))
def test_a_list_is_read_whole_and_again(tmp_path: Path, content: str | bytes, expected: list[str]) -> None:
    apns = ApnList("apns", file(tmp_path, content))
    assert list(apns) == expected
    assert (apns.given, apns.left_out) == (len(expected), 0)
    assert list(apns) == expected
    assert apns.given == len(expected)


@pytest.mark.parametrize(("content", "message"), _cases(REFUSED))
def test_what_cannot_be_read_is_named_before_anything_begins(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = file(tmp_path, content)
    with pytest.raises(ArgumentError, match=message) as error:
        list(ApnList("apns", path))
    assert str(error.value).startswith(f"spider argument `apns`: {path}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "note"), NOTED.items(), ids=range(len(NOTED)))
def test_how_a_list_is_read_is_said_aloud(tmp_path: Path, content: str | bytes, note: str) -> None:
    apns = ApnList("apns", file(tmp_path, content))
    list(apns)
    assert [one for one in apns.notes if note in one]


def test_a_plain_list_needs_no_notes(tmp_path: Path) -> None:
    apns = ApnList("apns", file(tmp_path, "APN\n142-88-378\n"))
    list(apns)
    assert apns.notes == []


@pytest.mark.parametrize(
    ("content", "left_out", "expected"),
    [
        ("nonsense\n142-88-378\n12-34\n", ["line 1: 'nonsense'", "line 3: '12-34'"], ONE),
        ("142-88-378, 12-34\n504-37-406,135-80-602F\n", ["line 1: '12-34'"], THREE),
        (
            "APN,Owner\n142-88-378,X\n1428837.0,Y\n,Z\n",
            ["line 3: '1428837.0' (a spreadsheet dropped", "line 4: ',Z' (column 1 (APN) is empty)"],
            ONE,
        ),
        (
            "142-88-378\n2024-01-15\n000-12-345\n",
            ["line 2: '2024-01-15' (it is a date)", "line 3: '000-12-345' (there is no book 000)"],
            ONE,
        ),
    ],
)
def test_wrong_lines_are_left_out_when_asked_and_told(
    tmp_path: Path, content: str, left_out: list[str], expected: list[str]
) -> None:
    apns = ApnList("apns", path := file(tmp_path, content), skip_invalid=True)
    assert list(apns) == expected
    assert apns.left_out == len(left_out)
    for line, told in zip(apns.skipped, left_out, strict=True):
        assert line.startswith(f"{path}, {told}")
    assert apns.told == {"left_out": {"lines": len(left_out), "first": apns.skipped}}


def test_what_a_quote_swallows_is_never_left_out(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="a quote opens a cell"):
        list(ApnList("apns", file(tmp_path, '142-88-378,"Smith\n504-37-406,Jane\n'), skip_invalid=True))


TWO_COLUMNS = "Old APN,APN new,n\n142-88-378,504-37-406,1\n"


@pytest.mark.parametrize(
    ("column", "content", "expected"),
    [
        ("APN new", TWO_COLUMNS, ["50437406"]),
        ("old apn", TWO_COLUMNS, ONE),
        ("2", TWO_COLUMNS, ["50437406"]),
        ("B", TWO_COLUMNS, ["50437406"]),
        ("1,2", TWO_COLUMNS, TWO),
        ("old apn, apn new", TWO_COLUMNS, TWO),
        ("2", "10000001,142-88-378\n10000002,504-37-406\n", TWO),
        ("Ref", "Ref\n142-88-378\n", ONE),
        ("Ref, old", "Ref, old;x\n142-88-378;504-37-406\n", ONE),
        ("1", "20240115,Smith\n", ["20240115"]),
    ],
)
def test_the_column_that_counts_can_be_given(
    tmp_path: Path, column: str, content: str, expected: list[str]
) -> None:
    assert list(ApnList("apns", file(tmp_path, content), column=column)) == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("parcel", "there is no column 'parcel'; there are Old APN, APN new, n, or the numbers 1 to 3"),
        ("4", "there is no column '4'"),
        ("3", "line 2: '1'"),
    ],
)
def test_a_column_that_is_none_is_refused(tmp_path: Path, column: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        list(ApnList("apns", file(tmp_path, TWO_COLUMNS), column=column))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("'142-88-378,critical\n", {"14288378": 0}),
        ("apn,priority\n'142-88-378,critical\n504-37-406,\n", {"14288378": 0}),
        ('Priority;APN\nLOW;="14288378"\n;504-37-406\n', {"14288378": 3}),
        ("# for the morning\n\nAPN;owner;priority\n142-88-378 5;X;high\n", {"14288378": 1}),
        ("142-88-378,high # now\n504-37-406,low\n", {"14288378": 1, "50437406": 3}),
        ("high,142-88-378\n", {"14288378": 1}),
        ("APN\n142-88-378,high\n504-37-406,\n", {"14288378": 1}),
        ("APN,Priority Level\n142-88-378,High\n", {"14288378": 1}),
        ("urgency;APN\ncritical;142-88-378\n", {"14288378": 0}),
        ("142-88-378,504-37-406,low\n", {"14288378": 3, "50437406": 3}),
        ('apn,priority\n"142-88-378\n504-37-406","high"\n', {"14288378": 1, "50437406": 1}),
    ],
)
def test_priorities_stand_beside_cells_of_any_notation(
    tmp_path: Path, content: str, expected: dict[str, int]
) -> None:
    apns = ApnList("apns", file(tmp_path, content))
    list(apns)
    assert apns.priorities == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("165-28-054, 117 01 001A;12345678", ["16528054", "11701001A", "12345678"]),
        ("142-88-378\n504-37-406", TWO),
        ("142-88-378 504-37-406", TWO),
        ('="14288378",142-88-378 5', ["14288378", "14288378"]),
    ],
)
def test_apns_in_the_argument_itself(argument: str, expected: list[str]) -> None:
    assert list(ApnList("apns", argument)) == expected


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("missing.txt", "'missing.txt' is neither an APN .* nor a file here"),
        ("1428837.0", r"'1428837.0' is neither an APN .*\(a spreadsheet dropped"),
        ("142-88-378,20240115", "20240115 may be a date; if it is none, write it with its separators"),
        ("142-88-378,2024-01-15", r"'2024-01-15' is not an APN \(it is a date\); the form is 165-28-054"),
        ("000-12-345", "there is no book 000"),
        ("/", "is a folder"),
        (" , ", "the list is empty"),
        ("~nouser/x", "neither an APN nor"),
    ],
)
def test_an_argument_that_is_neither_a_list_nor_a_file(argument: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ApnList("apns", argument)


def test_a_column_goes_with_a_file() -> None:
    with pytest.raises(ArgumentError, match="`apn_column`: goes with a file"):
        ApnList("apns", "142-88-378", column="1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("2001-0849180, 20130183449\n", ["20010849180", "20130183449"]),
        ("Date,Deed #\n2024-01-15,2001-0849180\n", ["20010849180"]),
        ("Rec. Num;Name\n\u202a2001-0849180;Smith, John\n", ["20010849180"]),
        ('="20130183449"\n2000-0784158 a\n', ["20130183449", "20000784158A"]),
    ],
)
def test_recording_numbers_are_read_by_the_same_reader(
    tmp_path: Path, content: str, expected: list[str]
) -> None:
    assert list(RecordingNumbers("recording_numbers", file(tmp_path, content))) == expected


def test_a_recording_number_that_became_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match=r"line 2: '20261870426.0' is not a recording number \(a spreadsheet dropped"
    ):
        list(RecordingNumbers("recording_numbers", file(tmp_path, "2001-0849180\n20261870426.0\n")))
    two = file(tmp_path, "Deed,Document\n2001-0849180,2001-0849181\n")
    with pytest.raises(ArgumentError, match=r"say which counts: --number-column 1 \(-a number_column=1\)"):
        list(RecordingNumbers("recording_numbers", two))
    assert list(RecordingNumbers("recording_numbers", two, column="Document")) == ["20010849181"]


@pytest.mark.parametrize(
    ("line", "skip_invalid"),
    [("142-88-378", False), ("142-88-378,Pe\u00f1a", False), ('"1428", "Smith, J"', True)],
)
def test_a_long_list_takes_no_more_memory_than_a_short_one(
    tmp_path: Path, line: str, skip_invalid: bool
) -> None:
    def peak(count: int) -> int:
        path = file(tmp_path, f"142-88-378,X\n142-88-378,Y\n{line}\n" + f"{line}\n" * count)
        tracemalloc.start()
        read = sum(1 for _ in ApnList("apns", path, skip_invalid))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read >= (2 if skip_invalid else count)
        return most

    peak(10)
    assert peak(100_000) < peak(20_000) + 300_000
