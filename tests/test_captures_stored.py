"""A real answer goes all the way: over HTTP, through the spider and the writer, into Postgres, and is compared leaf by leaf."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from maricopa_scrapy.store.batch import body_of
from maricopa_scrapy.store.tables import RECORDS
from tests.conftest import Crawler, Database
from tests.pages.assessor_mapping import check_parcel

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
pytestmark = pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
APN = "16528054"


@pytest.fixture
def captured() -> bytes:
    return (Path(CAPTURES or ".") / "assessor" / "parcel_165-28-054" / "parcel.json").read_bytes()


@pytest.fixture
def host(captured: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == f"/assessor/parcel/{APN}"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(captured) if found else 0))
            self.end_headers()
            self.wfile.write(captured if found else b"")

        def log_message(self, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_every_leaf_of_a_captured_parcel_is_in_the_database(database: Database, host: str, captured: bytes) -> None:
    crawl = Crawler(database, host)("assessor", "-a", f"apns={APN}")
    assert crawl.code == 0, crawl.log
    stored = []
    for record in RECORDS:
        names = ", ".join(record.model_fields)
        for row in database.rows(f"SELECT {names} FROM {record.table}"):
            stored.append(record(**dict(zip(record.model_fields, row, strict=True))))
    assert check_parcel(orjson.loads(captured), APN, stored) > 250
    # The treasurer's link is the old one: that is an issue for a person, once.
    assert database.rows("SELECT kind, count FROM crawl.issue") == [("treasurer_moved", 1)]


def test_the_capture_is_the_answer_without_its_sketch(database: Database, host: str, captured: bytes) -> None:
    assert Crawler(database, host)("assessor", "-a", f"apns={APN}").code == 0
    ((body, size, status),) = database.rows("SELECT body, size, status FROM crawl.capture")
    kept, raw = orjson.loads(body_of(body)), orjson.loads(captured)
    assert (len(body_of(body)), status) == (size, 200)
    sketch = raw["Sketches"]["Pages"][0].pop("Sketch")
    assert kept["Sketches"]["Pages"][0].pop("Sketch")["length"] == len(sketch)
    assert kept == raw
