"""Lists of APNs as people have them, and mistakes that must be one clear line."""

from pathlib import Path

import pytest

from maricopa_scrapy import arguments
from maricopa_scrapy.arguments import ApnList, ArgumentError


def _file(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "apns.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    "content",
    [
        "123-45-678\n117 01 001A\n",
        "# mine\n12345678 # the house\n\n11701001a\n",
        "APN,owner\n123-45-678,X\n117.01.001A,Y\n",
        '"123-45-678";"a"\r\n"117-01-001A";"b"\r\n',
        "\ufeff123\u201345\u2013678\n117_01_001_A\n",
        "parcel number\t\n123/45/678\tx\n117-01-001-a\ty\n",
        "123-45-678\n117-01-001A\n".encode("utf-16"),
        "123-45-678\r117-01-001A",
    ],
)
def test_a_list_in_any_notation(tmp_path: Path, content: str | bytes) -> None:
    apns = ApnList("apns", _file(tmp_path, content))
    assert list(apns) == ["12345678", "11701001A"]
    assert apns.given == 2


def test_apns_in_the_argument_itself() -> None:
    assert list(ApnList("apns", "165-28-054, 117 01 001A;12345678")) == ["16528054", "11701001A", "12345678"]


def test_a_line_that_is_no_apn_is_named_with_file_line_and_text(tmp_path: Path) -> None:
    path = _file(tmp_path, "123-45-678\n\n12-34\n")
    with pytest.raises(ArgumentError) as error:
        list(ApnList("apns", path))
    assert f"{path}, line 3: '12-34' is not an APN" in str(error.value)
    assert "--skip-invalid" in str(error.value)


def test_all_wrong_lines_are_named_at_once(tmp_path: Path) -> None:
    for content, said in (
        ("x\n12345678\n1\n", "line 1: 'x' is not an APN, nor is line 3; correct them, or leave such lines out with --skip-invalid"),
        ("\n".join(["12345678", *"abc"]), "line 2: 'a' is not an APN, nor are lines 3, 4; correct them, "),
        ("Owner,APN\nX,12345678\n", "line 1: 'Owner,APN' is not an APN, nor is line 2; the first column must hold the APNs, "),
        ("x\n" * 1_500, "line 1: 'x' is not an APN, nor are lines 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,490 more; "),
    ):
        apns = iter(ApnList("apns", _file(tmp_path, content)))
        with pytest.raises(ArgumentError) as error:
            list(apns)
        assert said in str(error.value)


def test_invalid_lines_are_skipped_when_asked_and_reported(tmp_path: Path) -> None:
    apns = ApnList("apns", _file(tmp_path, "nonsense\n123-45-678\n12-34\n"), skip_invalid=True)
    assert list(apns) == ["12345678"]
    assert [line.rsplit(", ", 1)[1] for line in apns.skipped] == ["line 1: 'nonsense'", "line 3: '12-34'"]


@pytest.mark.parametrize("content", ["", "# only comments\n\n", "apn\n"])
def test_an_empty_list_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ArgumentError, match="no APN in it"):
        list(ApnList("apns", _file(tmp_path, content)))


def test_what_is_neither_a_list_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="neither an APN .* nor a file"):
        ApnList("apns", str(tmp_path / "missing.txt"))
    with pytest.raises(ArgumentError, match="is a folder"):
        ApnList("apns", str(tmp_path))
    with pytest.raises(ArgumentError, match="the list is empty"):
        ApnList("apns", " , ")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="not a text file"):
        list(ApnList("apns", _file(tmp_path, b"123\xff\xfe\x00\x81")))


def test_arguments_that_exclude_each_other_or_are_missing() -> None:
    with pytest.raises(ArgumentError, match="give one of -a apns=... -a owner=...|give one of"):
        arguments.one_of({}, ["apns", "owner"])
    with pytest.raises(ArgumentError, match="cannot be given together with `apns`"):
        arguments.one_of({"apns": "x", "owner": "y"}, ["apns", "owner"])


def test_an_unknown_argument_is_named_with_a_suggestion() -> None:
    with pytest.raises(ArgumentError, match="spider argument `apn`: unknown.*did you mean apns"):
        arguments.check_names(["apn"], ["apns", "owner"])


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "\u0661", ""])
def test_a_job_number_is_a_whole_number_above_zero(value: str) -> None:
    with pytest.raises(ArgumentError):
        arguments.number("job", value)


@pytest.mark.parametrize("value", ["maybe", ""])
def test_a_flag_is_yes_or_no(value: str) -> None:
    with pytest.raises(ArgumentError, match="neither yes nor no"):
        arguments.flag("skip_invalid", value)
