"""Lists of which a reader might lose a number, a line or a priority, or take another sign for a digit:
refused, and said why.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.arguments import ApnList, RecordingNumbers
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from tests.helpers.written_lists import file

REFUSED: dict[str, list[tuple[str | bytes, str]]] = {
    "one that stands where it would be lost": [
        (
            "142-88-378, 379, 380\n",
            (
                r"line 1: '379' .*\(it may be short for another beside 14288378, in column 2; write it in"
                r" full, or --apn"
            ),
        ),
        ("142-88-378,88-379\n", "line 1: '88-379' .*it may be short"),
        (
            "142-88-378,X\n" * 300 + "504-37-406,X,407\n",
            "line 301: '407' .*it may be short for another beside 50437406, in column 3",
        ),
        (
            "142-88-378,Lee,see 504-37-406\n",
            "line 1: 'see 504-37-406' .*it stands beside 14288378, in column 3",
        ),
        ("142-88-378,[50437406]\n", r"line 1: '\[50437406\]' .*it stands beside 14288378, in column 2"),
        ("142-88-378;high, 504-37-406;low\n", "line 1: 'high, 504-37-406' is not an APN"),
        (
            "n,APN\n1,142-88-378,504-37-406\n",
            r"line 2: '504-37-406' .*\(its row has 3 cells below a heading of 2: put a cell",
        ),
        (
            "APN,Owner\n" + "142-88-378,X\n" * 300 + "504-37-406,Lee,John,135-80-602F\n",
            "line 302: '135-80-602F' .*its row has 4 cells",
        ),
        (
            "Owner,Old,APN\nLee, J,111-11-111,142-88-378\nX,111-11-112,504-37-406\n",
            "line 2: '142-88-378' .*its row has 4 cells",
        ),
        ("142-88-378/379\n", "line 1: '142-88-378/379' is not an APN"),
        ("142-88-378/5\n", "line 1: '142-88-378/5' is not an APN"),
    ],
    "look-alikes": [
        (
            "142-88-378\u0430\n",
            r"line 1: .* is not an APN \('\u0410' is a sign of another script: type it anew\)",
        ),
        ("142-88-378\u2013504-37-406\n", "line 1: '142-88-378\u2013504-37-406' is not an APN; correct it"),
        ("142\u00b788\u00b7378\n", "is a sign of another script"),
    ],
}


def _cases(of: dict[str, list[tuple[str | bytes, Any]]]) -> list[Any]:
    return [
        pytest.param(*case, id=f"{kind} {at}")
        for kind, cases in of.items()
        for at, case in enumerate(cases, start=1)
    ]


@pytest.mark.parametrize(("content", "message"), _cases(REFUSED))
def test_what_would_be_lost_is_named_or_left_out_and_told(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = file(tmp_path, content)
    with pytest.raises(ArgumentError, match=message) as error:
        list(ApnList("apns", path))
    assert "\n" not in str(error.value)
    left_out = ApnList("apns", path, skip_invalid=True)
    # Where nothing is left, the list has no APN in it.
    with suppress(ArgumentError):
        list(left_out)
    assert left_out.left_out > 0


@pytest.mark.parametrize(
    ("content", "short"), [("2001-0849180, 0849181\n", "0849181"), ("2001-0849180,X,0849181\n", "0849181")]
)
def test_a_recording_number_that_is_cut_short(tmp_path: Path, content: str, short: str) -> None:
    with pytest.raises(
        ArgumentError,
        match=f"line 1: '{short}' is not a recording number .it may be short for another beside 20010849180",
    ):
        list(RecordingNumbers("recording_numbers", file(tmp_path, content)))


def test_a_column_that_is_named_needs_no_question(tmp_path: Path) -> None:
    path = file(tmp_path, "142-88-378,379,see 504-37-406,high\n142-88-379,380,x,X\n")
    assert list(ApnList("apns", path, column="1")) == ["14288378", "14288379"]
