"""A proxy of the user's that refuses, wants a password, breaks off, or is named in a way of its own: real
tunnels, real TLS.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database
from tests.helpers.networks import RATE, Front, Proxy, certificate, crawler, serving
from tests.helpers.taxes import needs_browser

APNS = "apns=" + ",".join(County().apns(6))


def _breaks_off(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n")
    for _ in range(2_000):
        connection.sendall(b"X-More: " + b"x" * 8_000 + b"\r\n")


def _behind(
    tmp_path: Path,
    database: Database,
    shared_county: str,
    proxy: Proxy,
    named: str = "http://{}",
    **changes: Any,
) -> tuple[Front, Crawler]:
    """Return a front with TLS before a sandbox, and a crawler that reaches it by the proxy."""
    ca = certificate(tmp_path / "ca.pem")
    front = Front(shared_county, ca)
    environment = {"https_proxy": named.format(proxy.place), "SSL_CERT_FILE": str(ca)}
    return front, crawler(tmp_path, database, front.url, environment=environment, **changes)


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (503, "HTTP 503"),
        (_breaks_off, "it closed the connection"),
        (_endless, "it sent headers of more than 131,072"),
    ],
    ids=["503", "breaks_off", "endless"],
)
def test_a_tunnel_that_is_refused_is_asked_for_again(
    tmp_path: Path,
    database: Database,
    shared_county: str,
    refusal: int | Callable[[socket.socket], None],
    says: str,
) -> None:
    proxy = Proxy([refusal] * 3)
    front, crawl = _behind(tmp_path, database, shared_county, proxy, obey_robots=False)
    with serving(front, proxy):
        done = crawl("assessor", "-a", APNS, *RATE)
    assert done.code == 0, done.log
    assert database.states() == {"done": 6}
    assert proxy.refused == 3
    assert done.log.count(f"connection (the proxy {proxy.place} opened no way to the host: {says}") == 3, (
        done.log
    )
    assert "Traceback" not in done.log


def test_a_tunnel_that_is_refused_for_robots_txt_is_asked_for_again_before_anything_else(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    proxy = Proxy([503, _breaks_off])
    front, crawl = _behind(tmp_path, database, shared_county, proxy)
    with serving(front, proxy):
        done = crawl("assessor", "-a", APNS, *RATE)
    assert done.code == 0, done.log
    assert database.states() == {"done": 6}
    assert "connection (" not in done.log
    assert front.asked[0] == "/robots.txt"
    assert done.log.count("nothing is asked for until it answers") == 2


def test_a_proxy_that_wants_a_password_is_named_and_the_county_is_not(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    proxy = Proxy(credentials="ann:s3cret@home")
    front, crawl = _behind(tmp_path, database, shared_county, proxy, obey_robots=False)
    with serving(front, proxy):
        done = crawl("assessor", "-a", APNS, *RATE)
        assert done.code == 4, done.log
        assert database.states() == {"pending": 6}
        assert database.one("SELECT reason FROM crawl.run") == "source_unavailable"
        causes = database.rows("SELECT DISTINCT cause, message FROM crawl.target WHERE cause IS NOT NULL")
        assert [cause for cause, _ in causes] == ["connection"]
        assert f"the proxy {proxy.place} wants a user and a password (HTTP 407)" in causes[0][1]
        assert front.asked == []
        assert crawl.environment
        crawl.environment["https_proxy"] = f"http://ann:s3cret%40home@{proxy.place}"
        again = crawl("assessor", "-a", "job=1", *RATE)
    assert again.code == 0, again.log
    assert database.states() == {"done": 6}
    assert "s3cret" not in done.log + again.log


def test_without_its_password_robots_txt_cannot_be_had_and_no_target_is_spent(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    proxy = Proxy(credentials="ann:secret")
    front, crawl = _behind(tmp_path, database, shared_county, proxy)
    with serving(front, proxy):
        done = crawl("assessor", "-a", APNS, *RATE)
    assert done.code == 4, done.log
    assert database.rows("SELECT DISTINCT state, attempts, cause FROM crawl.target") == [("pending", 0, None)]
    assert f"the proxy {proxy.place} wants a user and a password" in done.log


@pytest.mark.parametrize("obeys", [True, False])
def test_a_407_by_http_is_the_proxy_s_too(
    tmp_path: Path, database: Database, shared_county: str, obeys: bool
) -> None:
    proxy = Proxy([407], always=True)
    crawl = crawler(
        tmp_path,
        database,
        shared_county,
        environment={"http_proxy": f"http://{proxy.place}"},
        obey_robots=obeys,
    )
    with serving(proxy):
        done = crawl("assessor", "-a", APNS, *RATE)
    assert done.code == 4, done.log
    assert f"the proxy {proxy.place} wants a user and a password" in done.log
    assert {cause for (cause,) in database.rows("SELECT cause FROM crawl.target")} <= {None, "connection"}
    assert database.one("SELECT max(attempts) FROM crawl.target") == (0 if obeys else 1)


def test_a_proxy_that_is_not_there_is_a_connection_that_cannot_be_made(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    proxy = Proxy()
    proxy.server_close()
    front, crawl = _behind(tmp_path, database, shared_county, proxy, obey_robots=False)
    with serving(front):
        done = crawl("assessor", "-a", APNS, *RATE)
    assert done.code == 4, done.log
    assert {cause for (cause,) in database.rows("SELECT cause FROM crawl.target")} <= {None, "connection"}
    assert "Traceback" not in done.log


def test_a_proxy_is_known_without_its_scheme_and_passed_by_for_hosts_that_need_none(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    proxy = Proxy()
    front, crawl = _behind(tmp_path, database, shared_county, proxy, named="{}")
    with serving(front, proxy):
        done = crawl("assessor", "-a", APNS, *RATE)
        assert done.code == 0, done.log
        opened = proxy.opened
        assert opened
        assert crawl.environment
        crawl.environment |= {"https_proxy": "socks5://127.0.0.1:9", "no_proxy": "127.0.0.1"}
        by_itself = crawl("assessor", "-a", APNS, *RATE)
    assert by_itself.code == 0, by_itself.log
    assert proxy.opened == opened


@pytest.mark.parametrize(
    "named",
    [
        "socks5://ann:s3cret@127.0.0.1:1080",
        "https://ann:s3cret@127.0.0.1:8443",
        "http://ann:s3cret@127.0.0.1:80x",
    ],
)
def test_a_proxy_that_cannot_be_asked_is_a_mistake_of_one_line(
    tmp_path: Path, database: Database, named: str
) -> None:
    crawl = crawler(tmp_path, database, "https://127.0.0.1:9", environment={"https_proxy": named})
    done = crawl("assessor", "-a", APNS)
    assert done.code == 2, done.log
    (line,) = done.error_lines()
    assert "HTTPS_PROXY" in line
    assert "s3cret" not in done.log
    assert database.one("SELECT count(*) FROM crawl.job") == 0


@needs_browser
def test_a_browser_has_the_proxy_s_password_too(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    proxy = Proxy(credentials="ann:s3cret")
    front, crawl = _behind(
        tmp_path, database, shared_county, proxy, "http://ann:s3cret@{}", source="treasurer"
    )
    crawl.environment = (crawl.environment or {}) | {"HOME": str(tmp_path)}
    with serving(front, proxy):
        done = crawl("tax", "-a", APNS, *RATE)
    # The tunnel to the host is open when its certificate is looked at.
    assert (done.code, database.one("SELECT reason FROM crawl.run")) == (1, "unverified"), done.log
    assert "ERR_CERT_AUTHORITY_INVALID" in done.log
    assert front.asked == ["/robots.txt"]
    assert "s3cret" not in done.log
