"""Networks of other people on loopback: a proxy, TLS with certificates made here, a front that says what a
test wants.
"""

import datetime as dt
import http.client
import ipaddress
import shutil
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import ROOT, Crawler, Database

TOKEN = "5ec7e7a0-70ce-4a11-8c0f-f00dfacec0de"
# They count before those in capitals: empty, they take away what the tests' own environment names.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def certificate(path: Path, host: str = "127.0.0.1", begins: int = -1, ends: int = 30) -> Path:
    """Write a certificate that signs itself, with its key, good for a host from so many days from now to so
    many; returns the path.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    try:
        other: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        other = x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=begins))
        .not_valid_after(now + dt.timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName([other]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + made.public_bytes(pem))
    return path


class Front(ThreadingHTTPServer):
    """Hands requests on to a sandbox, or to nobody; speaks https where it has a certificate.

    `robots`: what it answers for robots.txt, one after the other, the last for ever: (status, body, headers),
    or None to break the connection off. `change` changes the body of another answer. `raw`, where it is
    given, is sent in place of all but robots.txt.
    `moved`: beginnings of paths, and where they lead. `asked`: the paths, in order.
    """

    daemon_threads = True

    def __init__(
        self,
        behind: str = "",
        certificate: Path | None = None,
        robots: list[tuple[int, bytes, dict[str, str]] | None] | None = None,
        change: Callable[[bytes], bytes] | None = None,
        raw: Callable[[socket.socket], None] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.robots, self.change, self.raw = behind, robots, change, raw
        self.moved: dict[str, str] = {}
        self.asked: list[str] = []
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its own thread."""
        if self._context is not None:
            request = self._context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not trust us, is what a test is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def do_GET(self) -> None:
        front = self.server
        front.asked.append(self.path)
        if self.path == "/robots.txt" and front.robots is not None:
            said = front.robots.pop(0) if len(front.robots) > 1 else front.robots[0]
            if said is None:
                self.close_connection = True
                self.connection.close()
                return
            status, body, headers = said
            self._answer(status, body, {"Content-Type": "text/plain"} | headers)
        elif to := next((to for path, to in front.moved.items() if self.path.startswith(path)), None):
            self._answer(302, b"", {"Location": to})
        elif front.raw is not None and self.path != "/robots.txt":
            self.close_connection = True
            with suppress(OSError):
                front.raw(self.connection)
                self.connection.close()
        else:
            self._hand_on()

    do_POST = do_GET  # noqa: N815 - http.server names it

    def _hand_on(self) -> None:
        front = self.server
        if not front.behind:
            self._answer(404, b"", {})
            return
        connection = http.client.HTTPConnection(urlsplit(front.behind).netloc, timeout=30)
        kept = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("authorization", "range", "user-agent", "content-type")
        }
        given = self.rfile.read(int(self.headers["Content-Length"] or 0)) or None
        connection.request(self.command, self.path, given, headers=kept | {"Accept-Encoding": "identity"})
        response = connection.getresponse()
        body = response.read()
        headers = {
            name: value
            for name in ("Content-Type", "Content-Range", "ETag", "Retry-After")
            if (value := response.headers[name])
        }
        connection.close()
        self._answer(
            response.status,
            front.change(body) if front.change and body and self.path != "/robots.txt" else body,
            headers,
        )

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Proxy(ThreadingHTTPServer):
    """A proxy: CONNECT opens a tunnel, GET of a whole address is handed on.

    `refusals`: what it does first, one after the other: a status, or a function that is given the socket; the
    last for ever if `always`.
    `credentials`: user:password without which it answers 407. `opened` and `refused` count.
    """

    daemon_threads = True

    def __init__(
        self,
        refusals: list[int | Callable[[socket.socket], None]] | None = None,
        always: bool = False,
        credentials: str | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Through)
        self.refusals, self.always, self.credentials = list(refusals or []), always, credentials
        self.opened = self.refused = 0
        self.lock = threading.Lock()
        self.place = f"127.0.0.1:{self.server_address[1]}"

    def next_refusal(self) -> int | Callable[[socket.socket], None] | None:
        with self.lock:
            if not self.refusals:
                self.opened += 1
                return None
            self.refused += 1
            return self.refusals[0] if self.always else self.refusals.pop(0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what a test is about."""


class _Through(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_CONNECT(self) -> None:
        if self._refuses():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as there:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            self.close_connection = True
            back = threading.Thread(target=_pour, args=(there, self.connection), daemon=True)
            back.start()
            _pour(self.connection, there)
            back.join(10)

    def do_GET(self) -> None:
        if self._refuses():
            return
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        connection.request(
            "GET",
            parts.path + (f"?{parts.query}" if parts.query else ""),
            headers={"Accept-Encoding": "identity"},
        )
        response = connection.getresponse()
        body = response.read()
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers["Content-Type"] or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuses(self) -> bool:
        how = self.server.next_refusal()
        given = (self.headers["Proxy-Authorization"] or "").removeprefix("Basic ")
        if how is None and self.server.credentials and b64decode(given).decode() != self.server.credentials:
            how = 407
            self.server.refused += 1
        if how is None:
            return False
        self.close_connection = True
        if isinstance(how, int):
            self.send_response(how)
            self.send_header("Content-Length", "0")
            if how == 407:
                self.send_header("Proxy-Authenticate", "Basic")
            self.end_headers()
        else:
            with suppress(OSError):
                how(self.connection)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def serving(*servers: ThreadingHTTPServer) -> Iterator[None]:
    """Serve until the end of the block."""
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def crawler(
    folder: Path,
    database: Database,
    base: str,
    source: str = "assessor",
    environment: dict[str, str] | None = None,
    **changes: Any,
) -> Crawler:
    """Return a crawler that takes an address on loopback for a county's; `changes` replace values of the
    manifest of `source`.
    """
    if not (settings := folder / "settings").exists():
        shutil.copytree(ROOT / "config", settings)
    manifest = settings / "sources" / f"{source}.yaml"
    content = yaml.safe_load(manifest.read_text()) | {"base_url": f"{base}/{source}"}
    quick = {
        "breaker": {"failures": 4, "probe_after": 0.2, "probe_most": 0.4, "silence": 3},
        "robots": {"again_after": 0.2, "again_most": 0.4, "patience": 1.5},
    }
    manifest.write_text(yaml.safe_dump(content | quick | changes))
    named = dict.fromkeys(_PROXIES, "") | {"MARICOPA_CONFIG": str(settings), "MARICOPA_ASSESSOR_TOKEN": TOKEN}
    return Crawler(
        database, None, environment=named | {"MARICOPA_DATA_DIR": str(folder / "data")} | (environment or {})
    )


RATE = ("-s", "MARICOPA_RATE_LIMIT=500")
