"""Hosts as other people see them: certificates that nobody vouches for, a robots.txt that cannot be had, odd
bytes around JSON.
"""

import gzip
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.scrapyd import ScrapydNode
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database, fresh_database
from tests.helpers.command import Maricopa, wait_for
from tests.helpers.networks import RATE, TOKEN, Front, certificate, crawler, serving
from tests.helpers.taxes import needs_browser

LIST = County().apns(6)
APNS = "apns=" + ",".join(LIST)
ROBOTS = "/robots.txt"
_ENDS = "SELECT r.reason, j.verdict FROM crawl.run r JOIN crawl.job j ON j.id = r.job_id"
ALL = b"User-agent: *\nDisallow: /\n"
AGAIN = {"Location": "/robots.txt"}
NONE = b"User-agent: *\nDisallow:\n"
Robots = list[tuple[int, bytes, dict[str, str]] | None]


def _untouched(database: Database) -> bool:
    """Whether no target was asked for, nor spent."""
    return database.rows("SELECT DISTINCT state, attempts, cause FROM crawl.target") == [("pending", 0, None)]


@pytest.mark.parametrize("obeys", [True, False], ids=["robots", "no_robots"])
@pytest.mark.parametrize(
    ("made", "trusted", "says"),
    [
        ({}, None, "certificate verify failed"),
        ({"begins": -9, "ends": -2}, "itself", "certificate verify failed"),
        ({"host": "portal.example"}, "itself", "it is another host's"),
        ({}, "missing.pem", "which is no file"),
    ],
    ids=["unknown", "expired", "another", "no_file"],
)
def test_a_certificate_that_cannot_be_verified_ends_the_run_before_a_target_is_spent(
    tmp_path: Path,
    database: Database,
    shared_county: str,
    made: dict[str, Any],
    trusted: str | None,
    says: str,
    obeys: bool,
) -> None:
    if trusted and not obeys:
        pytest.skip("the kinds differ in nothing else")
    ca = certificate(tmp_path / "ca.pem", **made)
    front = Front(shared_county, ca)
    other = certificate(tmp_path / "other.pem")
    named = {"SSL_CERT_FILE": str({"itself": ca, None: other}.get(trusted, tmp_path / "missing.pem"))}
    crawl = crawler(tmp_path, database, front.url, environment=named, obey_robots=obeys)
    with serving(front):
        done = crawl("assessor", "-a", APNS, *RATE)
        assert done.code == 1, done.log
        assert _untouched(database)
        assert database.rows(_ENDS) == [("unverified", "failed")]
        (line,) = [line for line in done.log.splitlines() if "certificate of" in line]
        assert front.url.removeprefix("https://") in line
        assert "SSL_CERT_FILE" in line
        assert says in line
        assert "Traceback" not in done.log
        assert front.asked == []
        if not made:
            crawl.environment = (crawl.environment or {}) | {"SSL_CERT_FILE": str(ca)}
            again = crawl("assessor", "-a", "job=1", *RATE)
            assert again.code == 0, again.log
            assert database.states() == {"done": 6}


def test_a_scan_s_host_that_cannot_be_verified_ends_the_run_too(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    ca, other = certificate(tmp_path / "ca.pem"), certificate(tmp_path / "other.pem")
    elsewhere, front = Front(shared_county, other), Front(shared_county, ca)
    # Where a scan is stored is another host.
    front.moved["/recorder/preview/pdf"] = f"{elsewhere.url}/scan.pdf"
    crawl = crawler(tmp_path, database, front.url, "recorder", {"SSL_CERT_FILE": str(ca)}, obey_robots=False)
    with serving(front, elsewhere):
        done = crawl("documents", "-a", "recording_numbers=20240000001", "-a", "pdf=yes", *RATE)
    assert done.code == 1, done.log
    assert database.one("SELECT reason FROM crawl.run") == "unverified"
    assert database.rows("SELECT state, attempts FROM crawl.target WHERE kind = 'scan'") == [("pending", 0)]
    assert "SSL_CERT_FILE" in done.log
    assert elsewhere.url.removeprefix("https://") in done.log


@needs_browser
def test_a_browser_that_does_not_trust_the_host_ends_the_run_and_says_where_its_own_list_is(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    ca = certificate(tmp_path / "ca.pem")
    front = Front(shared_county, ca)
    crawl = crawler(
        tmp_path, database, front.url, "treasurer", {"SSL_CERT_FILE": str(ca), "HOME": str(tmp_path)}
    )
    with serving(front):
        done = crawl("tax", "-a", APNS, *RATE)
    assert done.code == 1, done.log
    assert _untouched(database)
    (line,) = [line for line in done.log.splitlines() if "certificate of" in line]
    assert front.url.removeprefix("https://") in line
    assert "ERR_CERT_AUTHORITY_INVALID" in line
    assert front.asked == [ROBOTS]


@pytest.mark.parametrize("trouble", [(503, b"", {}), (500, NONE, {}), None], ids=["503", "500", "cut"])
def test_a_robots_txt_that_cannot_be_had_is_waited_for(
    tmp_path: Path, database: Database, shared_county: str, trouble: tuple[int, bytes, dict[str, str]] | None
) -> None:
    front = Front(shared_county, robots=[trouble, trouble, (200, NONE, {})])
    with serving(front):
        patient = {"failures": 4, "probe_after": 0.2, "probe_most": 0.4, "silence": 30}
        done = crawler(tmp_path, database, front.url, breaker=patient)("assessor", "-a", APNS, *RATE)
    assert done.code == 0, done.log
    assert database.states() == {"done": 6}
    assert front.asked[:3] == [ROBOTS] * 3
    assert ROBOTS not in front.asked[3:]
    assert (
        len(re.findall(r"assessor: http\S+/robots\.txt: .*; nothing is asked for until it answers", done.log))
        == 2
    )
    assert "Traceback" not in done.log


@pytest.mark.parametrize("trouble", [(503, b"", {}), None], ids=["503", "cut"])
def test_a_robots_txt_that_stays_away_ends_the_run_with_nothing_asked_for(
    tmp_path: Path, database: Database, shared_county: str, trouble: tuple[int, bytes, dict[str, str]] | None
) -> None:
    front = Front(shared_county, robots=[trouble])
    with serving(front):
        crawl = crawler(tmp_path, database, front.url)
        done = crawl("assessor", "-a", APNS, *RATE)
        assert done.code == 4, done.log
        assert _untouched(database)
        assert database.rows(_ENDS) == [("source_unavailable", "incomplete")]
        assert set(front.asked) == {ROBOTS}
        assert 3 <= len(front.asked) <= 8
        assert re.search(r"no answer for \d+ s from http\S+/robots\.txt", done.log)
        front.robots = None
        assert crawl("assessor", "-a", "job=1", *RATE).code == 0
    assert database.states() == {"done": 6}


@pytest.mark.parametrize("status", [401, 404, 429])
def test_a_robots_txt_of_4xx_forbids_nothing(
    tmp_path: Path, database: Database, shared_county: str, status: int
) -> None:
    front = Front(shared_county, robots=[(status, ALL, {})])
    with serving(front):
        done = crawler(tmp_path, database, front.url)("assessor", "-a", f"apns={LIST[0]}", *RATE)
    assert (done.code, database.states()) == (0, {"done": 1}), done.log


@pytest.mark.parametrize(
    ("robots", "state"),
    [
        ([(301, b"", {"Location": "/there"})], "done"),
        ([(302, b"", AGAIN), (307, b"", AGAIN), (200, ALL, {})], "dead"),
        ([(302, b"", AGAIN)], "done"),
        ([(200, b"\xef\xbb\xbf" + ALL, {})], "dead"),
        ([(503, b"", {}), (200, ALL, {})], "dead"),
        ([(200, b"<html><body>Disallow: /</body></html>", {"Content-Type": "text/html"})], "done"),
    ],
    ids=["moved_to_nothing", "moved", "moved_in_circles", "byte_order_mark", "late", "a_page"],
)
def test_what_robots_txt_says_is_kept_to_however_it_comes(
    tmp_path: Path, database: Database, shared_county: str, robots: Robots, state: str
) -> None:
    front = Front(shared_county, robots=robots)
    with serving(front):
        done = crawler(tmp_path, database, front.url, attempts=1)("assessor", "-a", f"apns={LIST[0]}", *RATE)
    assert database.rows("SELECT state, cause FROM crawl.target") == [
        (state, None if state == "done" else "refused")
    ], done.log
    assert any("/parcel/" in path for path in front.asked) is (state == "done")


@pytest.mark.parametrize("way", ["interrupt", "cancel"])
def test_a_run_that_waits_for_robots_txt_ends_as_soon_as_it_is_told_to(
    tmp_path: Path, database: Database, shared_county: str, way: str
) -> None:
    front = Front(shared_county, robots=[(503, b"", {})])
    patient: dict[str, Any] = {
        "robots": {"again_after": 300, "again_most": 300, "patience": 600},
        "breaker": {},
    }
    crawl = crawler(tmp_path, database, front.url, **patient)
    with serving(front):
        running = crawl.start("assessor", "-a", APNS, *RATE)
        try:
            wait_for(
                lambda: front.asked and database.rows("SELECT 1 FROM crawl.target WHERE state = 'leased'")
            )
            if way == "interrupt":
                running.send_signal(signal.SIGINT)
            else:
                assert Maricopa(database, "", tmp_path).here(way, "1").code == 0
            # Its next look at robots.txt would be in five minutes.
            log, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert "Traceback" not in log
    assert _untouched(database)
    assert set(front.asked) == {ROBOTS}


def _hashes(database: Database) -> set[tuple[str, str]]:
    """What is stored of all sources: table and hash of each row."""
    tables = database.rows(
        "SELECT table_schema || '.' || table_name FROM information_schema.columns WHERE column_name ="
        " 'content_hash' AND table_schema NOT IN ('crawl', 'public')"
    )
    return {
        (table, row)
        for (table,) in tables
        for (row,) in database.rows(f"SELECT encode(content_hash, 'hex') FROM {table}")
    }


def _of(source: str, folder: Path, database: Database, front: Front) -> Crawler:
    # Layers have addresses of their own, but in the sandbox.
    return (
        Crawler(database, front.url, 500) if source == "gis" else crawler(folder, database, front.url, source)
    )


@pytest.mark.parametrize(
    ("spider", "source", "arguments"),
    [
        ("assessor", "assessor", [APNS]),
        ("assessor", "assessor", ["owner=ARIZONA STATE LAND DEPT"]),
        ("roll", "gis", [APNS]),
        ("documents", "recorder", ["recording_numbers=20240000001,20131299999,20230000107"]),
        ("documents", "recorder", ["codes=WD", "since=2025-04-14", "until=2025-04-15"]),
    ],
    ids=["assessor", "owner", "gis", "documents", "search"],
)
def test_a_byte_order_mark_before_json_is_passed_over(
    tmp_path: Path,
    database: Database,
    shared_county: str,
    server: str,
    template: str,
    spider: str,
    source: str,
    arguments: list[str],
) -> None:
    given = [word for argument in arguments for word in ("-a", argument)]
    front = Front(shared_county, change=lambda body: b"\xef\xbb\xbf" + body)
    with serving(front), fresh_database(server, template) as plain:
        done = _of(source, tmp_path, database, front)(spider, *given, *RATE)
        front.change = None
        without = _of(source, tmp_path, plain, front)(spider, *given, *RATE)
        assert (done.code, without.code) == (0, 0), done.log + without.log
        assert database.states() == plain.states()
        assert _hashes(database) == _hashes(plain) != set()
        bodies = "SELECT count(*) FROM crawl.issue WHERE kind = 'malformed'"
        assert database.one(bodies) == 0


def _flood(first: bytes, line: bytes, last: bytes = b"\r\n{}") -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(first)
        for _ in range(4_000):
            connection.sendall(line)
        connection.sendall(last)

    return send


_LINE = b"X-More: " + b"x" * 8_000 + b"\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# A megabyte of blanks, as a member of a stream that may come again and again.
_GZIP_OF_BLANKS = gzip.compress(b" " * 2**20)
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


_FLOODS = {
    "long": (_flood(_OK, _LINE), "malformed"),
    "many": (_flood(_OK, b"A: b\r\n" * 1_400), "malformed"),
    "interim": (_flood(b"", b"HTTP/1.1 103 Early Hints\r\n" + _LINE + b"\r\n", _OK + b"\r\n{}"), "malformed"),
    "one line": (_flood(_OK + b"X-One: ", b"x" * 8_000), "connection"),
    "trailers": (_flood(_CHUNKED, _LINE), "connection"),
    "status": (_flood(b"HTTP/1.1 ", b"2" * 8_000), "connection"),
}


def test_32_mb_of_headers_are_refused_by_size(tmp_path: Path, database: Database, shared_county: str) -> None:
    left = [flood for flood, _ in _FLOODS.values()]
    front = Front(shared_county, raw=lambda connection: left.pop(0)(connection))
    crawl = crawler(tmp_path, database, front.url, attempts=1, attempts_of={}, breaker={"failures": 50})
    with serving(front):
        running = crawl.start("assessor", "-a", APNS, *RATE, real=True)
        peak, watched = 0, psutil.Process(running.pid)
        while running.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
        log, _ = running.communicate(timeout=60)
    assert left == []
    causes = database.rows(
        "SELECT state, cause, count(*) FROM crawl.target GROUP BY state, cause ORDER BY cause"
    )
    assert causes == [("dead", "connection", 3), ("dead", "malformed", 3)], log
    assert "headers of more than 131,072 bytes" in log
    assert "Traceback" not in log
    assert peak < 200 * 2**20


def _trickle(first: bytes, drop: bytes, pause: float = 0.2) -> Callable[[socket.socket], None]:
    """Send a little now and then, until the other end goes."""

    def send(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            time.sleep(pause)
            connection.sendall(drop)

    return send


_ENDLESS = {
    "header by bytes": (_trickle(_OK + b"X-Slow: ", b"x"), "timeout"),
    "headers by lines": (_trickle(_OK, b"A: b\r\n"), "timeout"),
    "interim answers": (_trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
    "body by bytes": (_trickle(_OK + b"Content-Length: 100000\r\n\r\n", b" "), "timeout"),
    "body by chunks": (_trickle(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"), "timeout"),
    "silence": (_trickle(b"", b""), "timeout"),
    "body without end": (_trickle(_OK + b"\r\n", b" " * 500_000, 0), "malformed"),
    "zipped without end": (
        _trickle(_OK + b"Content-Encoding: gzip\r\n\r\n", _GZIP_OF_BLANKS, 0),
        "malformed",
    ),
}


def test_answers_without_end_cost_a_target_and_no_more(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    apns = County().apns(len(_ENDLESS))
    by_path = dict(zip(apns, _ENDLESS.values(), strict=True))
    front = Front(shared_county)
    front.raw = lambda connection: by_path[front.asked[-1].rsplit("/", 1)[-1]][0](connection)
    changes: dict[str, Any] = {
        "attempts": 1,
        "attempts_of": {},
        "breaker": {"failures": 50},
        "timeout": 3,
        "concurrency": 1,
    }
    crawl = crawler(tmp_path, database, front.url, **changes)
    with serving(front):
        running = crawl.start("assessor", "-a", f"apns={','.join(apns)}", *RATE, real=True)
        peak, watched, begun = 0, psutil.Process(running.pid), time.monotonic()
        while running.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
        log, _ = running.communicate(timeout=60)
    assert time.monotonic() - begun < 60
    found = dict(database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'"))
    wanted = dict(zip(_ENDLESS, (cause for _, cause in _ENDLESS.values()), strict=True))
    assert {what: found.get(apn) for what, apn in zip(_ENDLESS, apns, strict=True)} == wanted, log
    assert "Traceback" not in log
    assert peak < 200 * 2**20


def test_headers_of_an_ordinary_length_are_taken(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    def long(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\n" + _LINE * 12 + b"Content-Length: 0\r\n\r\n")

    front = Front(shared_county, raw=long)
    with serving(front):
        done = crawler(tmp_path, database, front.url, attempts=1, attempts_of={})(
            "assessor", "-a", f"apns={LIST[0]}", *RATE
        )
    assert database.rows("SELECT state, cause FROM crawl.target") == [("dead", "not_found")], done.log
    assert TOKEN not in done.log


def test_a_node_whose_certificate_cannot_be_verified_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = certificate(tmp_path / "ca.pem")
    front = Front(certificate=ca)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with serving(front):
        with pytest.raises(
            NodeError, match=f"{front.url}: its certificate cannot be verified .*SSL_CERT_FILE"
        ):
            ScrapydNode(front.url).check()
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        with pytest.raises(NodeError, match="is not a scrapyd"):
            ScrapydNode(front.url).check()
