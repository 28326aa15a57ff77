"""What a host may answer that the sandbox never does: robots.txt that forbids, cookies, another
certificate.
"""

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.helpers.probe_runs import Probe, Probed

TOKEN = "5f1c0de2-9a77-4c55-b0aa-0123456789ab"
COOKIE = "s3ss10nvalue77"


class Host:
    """A host on loopback; `robots` is its robots.txt. Every other path answers with what was sent to it."""

    def __init__(self, robots: str, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append((self.path, dict(self.headers)))
                is_robots = self.path == "/robots.txt"
                body = (
                    robots.encode()
                    if is_robots
                    else json.dumps({"echo": dict(self.headers), "cookie": f"is {COOKIE}"}).encode()
                )
                self.send_response(200)
                self.send_header("Content-Type", "text/plain" if is_robots else "application/json")
                self.send_header("Set-Cookie", f"session={COOKIE}; Path=/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    started: list[Host] = []

    def start(robots: str, context: ssl.SSLContext | None = None) -> Host:
        started.append(Host(robots, context))
        return started[-1]

    yield start
    for one in started:
        one.server.shutdown()
        one.server.server_close()


def _probed(folder: Path, url: str, *arguments: str) -> Probed:
    """Probe the assessor, as if that host were the county's."""
    shutil.copytree(ROOT / "config", folder / "settings", dirs_exist_ok=True)
    file = folder / "settings" / "sources" / "assessor.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"base_url": url}))
    environment = {"MARICOPA_CONFIG": str(folder / "settings"), "MARICOPA_ASSESSOR_TOKEN": TOKEN}
    return Probe("", folder, 200, environment)("assessor", *arguments)


def test_what_robots_txt_forbids_is_not_asked_for(tmp_path: Path, host: Callable[..., Host]) -> None:
    county = host("User-agent: *\nDisallow: /parcel/\n")
    probed = _probed(tmp_path, county.url)
    assert probed.code == 3
    assert "forbids /parcel/16528054" in probed.broken("assessor")["robots.txt allows what is asked"]
    paths = [path for path, _ in county.asked]
    assert paths[0] == "/robots.txt"
    assert not [path for path in paths if path.startswith("/parcel")]
    assert [path for path in paths if path.startswith("/search")]


@pytest.mark.parametrize("arguments", [(), ("--with-names",)])
def test_neither_token_nor_cookie_is_in_a_bundle_or_sent_where_it_should_not_be(
    tmp_path: Path, host: Callable[..., Host], arguments: tuple[str, ...]
) -> None:
    county = host("User-agent: *\nAllow: /\n")
    probed = _probed(tmp_path, county.url, *arguments)
    sent = dict(county.asked[1][1])
    assert sent["AUTHORIZATION"] == TOKEN
    assert "AUTHORIZATION" not in county.asked[0][1]
    assert all("Cookie" not in headers for _, headers in county.asked)
    assert all(headers["User-Agent"].startswith("maricopa_scrapy/") for _, headers in county.asked)
    files = probed.bundle("assessor")
    assert any(b"echo" in content for content in files.values())
    for name, content in files.items():
        assert TOKEN.encode() not in content, name
        assert COOKIE.encode() not in content, name
    assert TOKEN not in probed.out
    assert (b"names and addresses of real persons" in files["README.txt"].lower()) == bool(arguments)
    assert ("do not show them" in probed.out) == bool(arguments)


def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path: Path, host: Callable[..., Host]) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    county = host("", context)
    probed = _probed(tmp_path, county.url)
    assert probed.code == 3
    assert "never switch verification off" in probed.broken("assessor")["the certificate is trusted"]
    assert county.asked == []
