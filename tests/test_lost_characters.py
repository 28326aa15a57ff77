"""Characters that cannot be stored as they came: told as an issue, at the target, and in how the job ends."""

import gzip
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.crawl.argument_spider import read
from maricopa_scrapy.items import Answer, Outcome, Target
from maricopa_scrapy.parsing.bodies import lost_of
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawl, Crawler, Database
from tests.helpers.answers import answered
from tests.helpers.bulk import secured_line
from tests.helpers.command import Maricopa
from tests.helpers.layer_stub import LayerStub
from tests.helpers.networks import RATE, Front, serving
from tests.helpers.networks import crawler as crawler_of
from tests.helpers.taxes import crawler, needs_browser
from tests.records.test_roll_diff import maricopa

Start = Callable[..., SandboxProcess]
_UNREAD = "SELECT unread FROM crawl.target WHERE unread IS NOT NULL"
_ISSUES = "SELECT kind, signature, count, message FROM crawl.issue WHERE kind <> 'new_field' ORDER BY 2"
_VERDICTS = "SELECT verdict FROM crawl.job ORDER BY id"


def _owned(name: bytes) -> Callable[[bytes], bytes]:
    return lambda body: re.sub(rb'"Ownership" *: *"[^"]*', lambda _: b'"Ownership":"' + name, body)


@pytest.mark.parametrize(
    ("name", "stored", "what"),
    [
        (rb"PE\u0000NA", "PENA", "NUL"),
        (rb"PE\ud83dNA", "PENA", "half of a surrogate pair"),
        (rb"\udc00PE\u0000NA", "PENA", "NUL and half of a surrogate pair"),
    ],
)
def test_what_is_no_text_is_left_out_and_told(
    tmp_path: Path, database: Database, county: Start, name: bytes, stored: str, what: str
) -> None:
    apn, front = County().apns(1)[0], Front(county().url)
    crawl, command = Crawler(database, front.url), Maricopa(database, front.url, tmp_path)
    with serving(front):
        front.change = _owned(name)
        first = crawl("assessor", "-a", f"apns={apn}")
        assert first.code == 3, first.log
        assert database.one("SELECT ownership FROM assessor.owner") == stored
        assert database.rows(_UNREAD) == [(["characters"],)]
        ((kind, signature, count, message),) = database.rows(_ISSUES)
        assert (kind, signature, count) == ("lost_characters", f"parcel: {what}", 1)
        assert "left out of what is stored; the capture has it" in message
        assert database.rows(_VERDICTS) == [("completed_with_failures",)]
        # Read again they are no more.
        assert maricopa(database, "reparse", "--source", "assessor").returncode == 0
        assert database.rows(_UNREAD) == [(["characters"],)]
        assert database.rows(f"{_VERDICTS} LIMIT 1") == [("completed_with_failures",)]
        front.change = None
        assert command("retry", "1", "--unread").code == 0
    assert database.rows(_UNREAD) == []
    assert database.rows(f"{_VERDICTS} LIMIT 1") == [("completed",)]


# A key that comes twice, its last value, and where that is stored: docs/sources.md says which one counts.
_TWICE = [
    (
        rb'"Ownership" *:',
        b'"Ownership":"FIRST","Ownership":',
        "SELECT count(*) FROM assessor.owner WHERE ownership = 'FIRST'",
    ),
    (
        rb'"PropertyDescription" *:',
        b'"PropertyDescription":"FIRST","PropertyDescription":',
        "SELECT count(*) FROM assessor.parcel WHERE property_description = 'FIRST'",
    ),
    (
        rb'"TaxYear" *:',
        b'"TaxYear":"1901","TaxYear":',
        "SELECT count(*) FROM assessor.valuation WHERE tax_year = 1901",
    ),
    (
        rb"^\{",
        b'{"Owner":{"Ownership":"FIRST"},',
        "SELECT count(*) FROM assessor.owner WHERE ownership = 'FIRST'",
    ),
]


@pytest.mark.parametrize(
    ("found", "twice", "first"), _TWICE, ids=["text", "description", "in a list", "an object"]
)
def test_of_a_key_that_comes_twice_the_last_value_is_stored(
    database: Database, county: Start, found: bytes, twice: bytes, first: str
) -> None:
    apn, front = County().apns(1)[0], Front(county().url)
    with serving(front):
        front.change = lambda body: re.sub(found, twice, body)
        crawl = Crawler(database, front.url)("assessor", "-a", f"apns={apn}")
    assert crawl.code == 0, crawl.log
    assert database.one(first) == 0
    assert database.one("SELECT ownership FROM assessor.owner") == County().parcel(apn)["Owner"]["Ownership"]


def _sent(body: bytes) -> Callable[[socket.socket], None]:
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length:"
        f" {len(body)}\r\n\r\n"
    )
    return lambda connection: connection.sendall(head.encode() + body)


def test_a_packed_answer_that_was_damaged_on_its_way_is_none(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    apn, front, told = County().apns(1)[0], Front(shared_county), list[bytes]()

    def note(body: bytes) -> bytes:
        told.append(body)
        return body

    front.change = note
    crawl = crawler_of(tmp_path, database, front.url, attempts=1)
    with serving(front):
        assert crawl("assessor", "-a", f"apns={apn}", *RATE).code == 0
        (whole,) = [body for body in told if b'"Ownership"' in body]
        packed = gzip.compress(whole)
        # Its checks are those of another body; they are missing; they are right, and something stands behind
        # them.
        front.raw = _sent(packed[:-8] + gzip.compress(whole + b" ")[-8:])
        damaged = crawl("assessor", "-a", f"apns={apn}", *RATE)
        front.raw = _sent(packed[:-6])
        cut = crawl("assessor", "-a", f"apns={apn}", *RATE)
        front.raw = _sent(packed + bytes(9))
        padded = crawl("assessor", "-a", f"apns={apn}", *RATE)
    assert (damaged.code, cut.code, padded.code) == (3, 3, 0), damaged.log
    assert "malformed (the gzip body is damaged" in damaged.log
    assert "malformed (the gzip body was cut short" in cut.log
    assert database.rows("SELECT cause, count(*) FROM crawl.target WHERE state = 'dead' GROUP BY 1") == [
        ("malformed", 2)
    ]


def test_text_that_only_looks_so_loses_nothing(database: Database, county: Start) -> None:
    front = Front(county().url)
    front.change = _owned(rb"A\\u0000 \ud83d\ude00 \u00f1\\ud83d")
    with serving(front):
        crawl = Crawler(database, front.url)("assessor", "-a", f"apns={County().apns(1)[0]}")
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT ownership FROM assessor.owner") == "A\\u0000 \U0001f600 \u00f1\\ud83d"
    assert database.rows(_ISSUES) == []


def test_of_a_layer_s_rows_too(
    database: Database, serve: Callable[..., LayerStub], crawl: Callable[..., Crawl]
) -> None:
    stub = serve(40)
    stub.rows[3]["OwnerName"] = "QUAIL\0 RUN"
    stub.rows[4]["OwnerName"] = "QUAIL\ud800 RUN"
    ended = crawl(stub)
    assert ended.code == 3, ended.log
    assert database.one("SELECT count(*) FROM gis.parcel WHERE owner_name = 'QUAIL RUN'") == 2
    assert {tuple(unread) for (unread,) in database.rows(_UNREAD)} == {("characters",)}
    assert {kind for kind, *_ in database.rows(_ISSUES)} == {"lost_characters"}
    assert database.rows(_VERDICTS) == [("completed_with_failures",)]


@pytest.mark.parametrize(
    ("name", "stored", "said"),
    [
        (b"QUAIL\0 RUN", "QUAIL RUN", "line 8: NUL is left out of what is stored"),
        (
            b"QUAIL\x81 RUN",
            "QUAIL\x81 RUN",
            "line 8: byte 81 is neither UTF-8 nor cp1252, and is stored as U+0081",
        ),
    ],
)
def test_of_a_bulk_file_s_lines_too(
    tmp_path: Path, database: Database, county: Start, name: bytes, stored: str, said: str
) -> None:
    path = tmp_path / "Secured_Master.txt"
    lines = [secured_line(number).encode() for number in range(300)]
    lines[7] = lines[7].replace(b"COPPER STATE HOLDINGS LLC", name)
    # In UTF-8 the second byte of this one is 81.
    lines[9] = lines[9].replace(b"COPPER", "COPP\u00c1R".encode())
    path.write_bytes(b"\n".join(lines) + b"\n")
    load = Crawler(database, county(gis_parcels=1).url)
    crawl = load("roll", "-a", f"secured_master={path}")
    assert crawl.code == 3, crawl.log
    assert (
        database.one("SELECT owner_name FROM bulk.secured_master WHERE owner_name LIKE 'QUAIL%%'") == stored
    )
    assert database.rows(_UNREAD) == [(["characters"],)]
    ((kind, _, count, message),) = database.rows(_ISSUES)
    assert (kind, count) == ("lost_characters", 1)
    assert said in message
    lines[7] = secured_line(7).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert load("roll", "-a", f"secured_master={path}").code == 0


@needs_browser
def test_of_what_a_browser_could_not_decode_too(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    front, apn = Front(shared_county), County().apns(1)[0]
    name = County().parcel(apn)["Owner"]["Ownership"]
    front.change = lambda body: body.replace(name.encode(), b"PE\xd1A")
    with serving(front):
        crawl = crawler(database, front, tmp_path)("tax", "-a", f"apns={apn}")
    assert crawl.code == 3, crawl.log
    assert database.rows(_UNREAD) == [(["characters"],)]
    ((kind, signature, _, message),) = database.rows(_ISSUES)
    assert (kind, signature) == ("lost_characters", "treasurer.account.owner")
    assert "could not decode" in message


def test_of_a_page_in_html_too() -> None:
    target = Target(1, "recorder", "page", "20130183449")
    reading = answered(read(lambda body, target: Answer(target), (b"<html><td>A\0B</td></html>",), target))
    assert (reading.unread, [issue.signature for issue in reading.issues]) == (("characters",), ["page: NUL"])
    # Scripts of a page are full of such escapes, and are not stored.
    assert lost_of(rb"<html><script>'\u0000'</script></html>") == ""
    assert (
        answered(read(lambda body, target: Answer(target, Outcome.GONE), (b"<p>\0</p>",), target)).unread
        == ()
    )
