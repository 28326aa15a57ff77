"""Each kind of list end to end: the targets in Postgres, what is told, and the exit code."""

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Crawler, Database
from tests.helpers.command import Maricopa
from tests.helpers.written_lists import file, workbook, zipped

Start = Callable[..., Any]
THREE = {"14288378", "50437406", "13580602F"}
TWO = {"14288378", "50437406"}
CRAWLED: dict[str, tuple[str | bytes, set[str]]] = {
    "several on a line": ("142-88-378, 504-37-406, 135-80-602F\n", THREE),
    "dates": ("2024-01-15,142-88-378\n2024-01-16,504-37-406\n", TWO),
    "semicolons": ("Owner;APN\nSmith, John;142-88-378\nLee;504-37-406\n", TWO),
    "line breaks": ('APN,Owner\n142-88-378,"Smith\nJohn"\n504-37-406,X\n', TWO),
    "cp1252": ("APN,Owner\n142-88-378,Pe\u00f1a\n504-37-406,X\n".encode("cp1252"), TWO),
    "xlsx": (
        workbook(
            {"Read me": [["hello"]], "List": [["Owner", "Parcel #"], ["A", "142-88-378"], ["B", 50437406]]}
        ),
        TWO,
    ),
    "gz": (gzip.compress(b"142-88-378\n504-37-406\n"), TWO),
    "zip": (zipped({"list.csv": "APN\n142-88-378\n504-37-406\n"}), TWO),
    "headings": ("Owner,Assessor's Parcel Number\nX,142-88-378\nY,504-37-406\n", TWO),
    "marks": ('="14288378"\n\u202a504-37-406\u202c\n135-80-602F 5\n\x1a', THREE),
}
NOTES = {
    "xlsx": "reads sheet 'List' of the workbook",
    "cp1252": "read as cp1252",
    "dates": "the APNs are those of column 2",
}
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "decimals": (
        "142-88-378\n1428837.0\n",
        "list.csv, line 2: '1428837.0' is not an APN (a spreadsheet dropped its zeros or its last digit",
    ),
    "books": ("142-88-378\n000-12-345\n", "line 2: '000-12-345' is not an APN (there is no book 000)"),
    "two fit": (
        "Left,Right\n142-88-378,504-37-406\n",
        "hold what may be APNs; say which counts: --apn-column 1 (-a apn_column=1)",
    ),
    "short": (
        "142-88-378, 379, 380\n",
        "line 1: '379' is not an APN (it may be short for another beside 14288378, in column 2",
    ),
    "priority": (
        "142-88-378,high\n504-37-406,urgent\n",
        "line 1: 'high' is not an APN (it is a priority beside 14288378",
    ),
    "no text": (b"142-88-378\n\x81\x8d\n", "line 2 is neither UTF-8 nor cp1252; save it as CSV UTF-8"),
    "a damaged gz": (gzip.compress(b"142-88-378\n" * 999)[:-9], "the file is damaged, or was cut short"),
}


def test_every_kind_of_list_is_crawled_whole(tmp_path: Path, database: Database, county: Start) -> None:
    crawler = Crawler(database, county().url)
    for job, (kind, (content, keys)) in enumerate(CRAWLED.items(), start=1):
        crawl = crawler("assessor", "-a", f"apns={file(tmp_path, content)}")
        assert crawl.code == 0, kind + crawl.log
        assert {
            key for (key,) in database.rows("SELECT key FROM crawl.target WHERE job_id = %s", job)
        } == keys, kind
        assert database.one("SELECT verdict FROM crawl.job WHERE id = %s", job) == "completed", kind
        assert f"{len(keys)} parcels ({len(keys)} given, 0 duplicates, 0 lines skipped)" in crawl.log, kind
        assert NOTES.get(kind, "") in crawl.log


def test_what_is_refused_ends_with_one_line_exit_code_2_and_no_job(
    tmp_path: Path, database: Database
) -> None:
    crawler, maricopa = (
        Crawler(database, "http://127.0.0.1:9", rate=None),
        Maricopa(database, "http://127.0.0.1:9", tmp_path),
    )
    for kind, (content, message) in REFUSED.items():
        path = file(tmp_path, content)
        crawl = crawler("assessor", "-a", f"apns={path}")
        assert crawl.code == 2, kind + crawl.log
        (line,) = crawl.error_lines()
        assert message in line
        for more in ((), ("--skip-invalid",)) if kind in ("two fit", "no text", "a damaged gz") else ((),):
            ran = maricopa.here("run", "property-search", "--apns", path, "-y", *more)
            assert ran.code == 2, kind
            assert message in " ".join(ran.errors.split()), ran.errors
    assert database.one("SELECT count(*) FROM crawl.job") == 0


def test_a_column_and_lines_left_out_are_kept_with_the_job(
    tmp_path: Path, database: Database, county: Start
) -> None:
    lines = [
        "Old APN,New APN,priority",
        "111-11-111,'142-88-378,critical",
        "111-11-112,504-37-406,",
        "111-11-113,1428837.0,low",
    ]
    path = file(tmp_path, "\n".join(lines))
    maricopa = Maricopa(database, county().url, tmp_path)
    ran = maricopa(
        "run",
        "property-search",
        "--apns",
        path,
        "--apn-column",
        "new apn",
        "--mode",
        "api-only",
        "--skip-invalid",
        "-y",
    )
    assert ran.code == 0, ran.errors + maricopa.logs()
    targets = dict(database.rows("SELECT key, priority FROM crawl.target"))
    assert targets == {"14288378": 0, "50437406": 2}
    kept = database.one("SELECT parameters FROM crawl.job")
    assert (kept["apn_column"], kept["left_out"]["lines"]) == ("new apn", 1)
    for verb in ("status", "report"):
        said = " ".join(maricopa.here(verb, "1").out.split())
        assert "left out of the list:" in said
        assert "line 4: '1428837.0' (a spreadsheet dropped" in said
    page = tmp_path / "report.html"
    assert maricopa.here("report", "1", "--html", str(page)).code == 0
    assert "line 4: &#39;1428837.0&#39;" in page.read_text()
    # What is left of the job needs neither the list nor its column.
    Path(path).unlink()
    database.rows(
        "UPDATE crawl.target SET state = 'dead', cause = 'timeout' WHERE key = '50437406' RETURNING 1"
    )
    assert maricopa("retry", "1").code == 0
    assert sum(database.states().values()) == 2
    assert database.states().keys() <= {"done", "gone"}


def test_a_spider_takes_the_column_the_priorities_and_a_pipe(
    tmp_path: Path, database: Database, county: Start
) -> None:
    crawler = Crawler(database, county().url)
    os.mkfifo(pipe := tmp_path / "pipe")
    body = b"Old APN,New APN,priority\n111-11-111,142-88-378 5,critical\n111-11-112,504-37-406,low\n,12-34,\n"
    writer = threading.Thread(target=pipe.write_bytes, args=(body,))
    writer.start()
    crawl = crawler("assessor", "-a", f"apns={pipe}", "-a", "apn_column=New APN", "-a", "skip_invalid=yes")
    writer.join()
    assert crawl.code == 0, crawl.log
    assert dict(database.rows("SELECT key, priority FROM crawl.target")) == {"14288378": 0, "50437406": 3}
    kept = database.one("SELECT parameters FROM crawl.job")
    assert kept["apn_column"] == "New APN"
    assert kept["left_out"]["lines"] == 1
    assert "line 4: '12-34'" in crawl.log
    assert "the APNs are those of" not in crawl.log


def test_recording_numbers_of_a_workbook(tmp_path: Path, database: Database, county: Start) -> None:
    rows: list[list[object]] = [
        ["Date", "Deed", "Prior deed"],
        ["2024-01-15", "2001-0849180", "1999-0000001"],
        ["2024-01-16", 20130183449, "1999-0000002"],
    ]
    path = file(tmp_path, workbook({"Deeds": rows}), "deeds.xlsx")
    crawler = Crawler(database, county().url)
    column = ("-a", "number_column=Deed")
    crawl = crawler("documents", "-a", f"recording_numbers={path}", *column)
    assert crawl.code == 0, crawl.log
    keys = {key for (key,) in database.rows("SELECT key FROM crawl.target WHERE kind = 'document'")}
    assert keys == {"20010849180", "20130183449"}
    assert database.one("SELECT parameters ->> 'number_column' FROM crawl.job") == "Deed"


@pytest.mark.parametrize(
    ("spider", "arguments", "message"),
    [
        ("assessor", ("owner=X", "apn_column=1"), "`apn_column`: goes with a list of apns, not with `owner`"),
        ("assessor", ("apns=142-88-378", "apn_column=1"), "`apn_column`: goes with a file"),
        ("roll", ("apn_column=1",), "`apn_column`: goes with a list of apns"),
        ("documents", ("owner=X", "number_column=1"), "`number_column`: does not go with `owner`"),
        ("sales", ("apns=142-88-378", "number_column=1"), "`number_column`: unknown"),
    ],
)
def test_a_column_goes_with_a_list_alone(
    database: Database, spider: str, arguments: tuple[str, ...], message: str
) -> None:
    given = [word for argument in arguments for word in ("-a", argument)]
    crawl = Crawler(database, "http://127.0.0.1:9", rate=None)(spider, *given)
    assert crawl.code == 2, crawl.log
    assert message in crawl.error_lines()[0]


def test_a_column_goes_with_a_list_of_the_command(database: Database, tmp_path: Path) -> None:
    ran = Maricopa(database, "http://127.0.0.1:9", tmp_path).here(
        "run", "property-search", "--owner", "X", "--apn-column", "1"
    )
    assert (ran.code, "--apn-column goes with a list of --apns" in " ".join(ran.errors.split())) == (2, True)
