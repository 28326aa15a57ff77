"""A real answer goes all the way: over HTTP, through the spider and the writer, into Postgres, and is
compared leaf by leaf.
"""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from maricopa_scrapy.database.store_and_acknowledge import body_of
from maricopa_scrapy.database.tables import RECORDS
from tests.conftest import Crawler, Database
from tests.helpers.assessor_mapping import check_parcel

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
pytestmark = pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
APN = "16528054"
FILES = {
    file.parent.name.removeprefix("parcel_").replace("-", ""): file
    for file in sorted((Path(CAPTURES or ".") / "assessor").glob("parcel_*/parcel.json"))
}
# What the county's answers of other years do not have.
ABSENT = {"50911455": ["IsPending"], "90193630": ["Owner.DeedTypeID"]}


@pytest.fixture
def captured() -> bytes:
    return FILES[APN].read_bytes()


@pytest.fixture
def host() -> Iterator[str]:
    answers = {f"/assessor/parcel/{apn}": file.read_bytes() for apn, file in FILES.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_every_leaf_of_the_captured_parcels_is_in_the_database(database: Database, host: str) -> None:
    assert len(FILES) >= 4
    crawl = Crawler(database, host)("assessor", "-a", f"apns={','.join(FILES)}")
    assert crawl.code == 0, crawl.log
    assert database.rows("SELECT key, state, unread FROM crawl.target ORDER BY key") == [
        (apn, "done", None) for apn in sorted(FILES)
    ]
    for apn, file in FILES.items():
        stored = []
        for record in RECORDS:
            if record.table.startswith("assessor."):
                names = ", ".join(record.model_fields)
                order = ", ".join(
                    f"{column} DESC" if column == "tax_year" else column for column in record.key
                )
                for row in database.rows(
                    f"SELECT {names} FROM {record.table} WHERE apn = %s ORDER BY {order}", apn
                ):
                    stored.append(record(**dict(zip(record.model_fields, row, strict=True))))
        assert check_parcel(orjson.loads(file.read_bytes()), apn, stored) > 200
    told = database.rows(
        "SELECT signature, target_key FROM crawl.issue WHERE kind = 'absent_field' ORDER BY signature"
    )
    assert told == sorted((field, apn) for apn, fields in ABSENT.items() for field in fields)
    # The treasurer's link of some is the old one: that is an issue for a person, once.
    others = {kind for (kind,) in database.rows("SELECT kind FROM crawl.issue WHERE kind <> 'absent_field'")}
    assert others <= {"treasurer_moved", "moved_link"}


def test_the_capture_is_the_answer_without_its_sketch(database: Database, host: str, captured: bytes) -> None:
    assert Crawler(database, host)("assessor", "-a", f"apns={APN}").code == 0
    ((body, size, status),) = database.rows("SELECT body, size, status FROM crawl.capture")
    kept, raw = orjson.loads(body_of(body)), orjson.loads(captured)
    assert (len(body_of(body)), status) == (size, 200)
    sketch = raw["Sketches"]["Pages"][0].pop("Sketch")
    assert kept["Sketches"]["Pages"][0].pop("Sketch")["length"] == len(sketch)
    assert kept == raw
