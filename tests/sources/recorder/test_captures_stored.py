"""Real answers of the recorder go all the way: over HTTP, through the spider and the writer, into Postgres,
and are compared with it.
"""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.sources.recorder.document import DocumentPage
from maricopa_scrapy.sources.recorder.records import Document
from tests.conftest import Crawler, Database
from tests.sources.recorder.test_captures import check_detail, said_day
from tests.sources.recorder.test_rule import DETAIL

CAPTURES = os.environ.get("MARICOPA_CAPTURES")
pytestmark = pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
FOLDER = Path(CAPTURES or ".") / "recorder"
BLOCKED = "20260141249"
SEARCHES = {"BOYCE": "search_exact_total.json", "FAIRBANK": "search_duplicate_numbers.json"}


def _detail_of_row(number: str) -> bytes:
    """Return a detail as a captured search lists the document: of its own there is no captured answer."""
    rows = [
        row
        for name in SEARCHES.values()
        for row in orjson.loads((FOLDER / name).read_bytes())["searchResults"]
    ]
    row = next(row for row in rows if str(row["recordingNumber"]) == number)
    codes, names = [row["documentCode"].removesuffix("+")], [row["names"]]
    return orjson.dumps(
        DETAIL
        | {
            "recordingNumber": number,
            "recordingDate": row["recordingDate"],
            "documentCodes": codes,
            "names": names,
        }
    )


def _answer(path: str) -> tuple[bytes, str] | None:
    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    details = {
        orjson.loads(file.read_bytes())["recordingNumber"]: file for file in FOLDER.glob("detail_*.json")
    }
    if parts.path == "/recorder/documents/index":
        return b'"11/27/2026"', "application/json"
    if parts.path == "/recorder/documents/search":
        name = SEARCHES[query["lastNames"]]
        return (
            (FOLDER / name).read_bytes()
            if query["pageNumber"] == "1"
            else b'{"searchResults":[],"totalResults":-1}'
        ), "application/json"
    if parts.path.startswith("/recorder/documents/"):
        file = details.get(parts.path.rpartition("/")[2])
        return (
            file.read_bytes() if file else _detail_of_row(parts.path.rpartition("/")[2])
        ), "application/json"
    if parts.path.startswith("/recorder_legacy/"):
        name = "information_blocked.html" if query["rec"] == BLOCKED else "legacy_detail_excerpt.html"
        return (FOLDER / name).read_bytes(), "text/html"
    return None


@pytest.fixture
def host() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, kind = _answer(self.path) or (b'{"status":404}', "application/json")
            self.send_response(404 if body == b'{"status":404}' else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_every_captured_detail_is_in_the_database(database: Database, host: str) -> None:
    bodies = [orjson.loads(file.read_bytes()) for file in sorted(FOLDER.glob("detail_*.json"))]
    crawl = Crawler(database, host)(
        "documents", "-a", f"recording_numbers={','.join(raw['recordingNumber'] for raw in bodies)}"
    )
    assert crawl.code == 0, crawl.log
    columns = ", ".join(Document.model_fields)
    for raw in bodies:
        number = raw["recordingNumber"]
        ((*values,),) = database.rows(
            f"SELECT {columns} FROM recorder.document WHERE recording_number = %s", number
        )
        codes = database.rows(
            "SELECT display_code FROM recorder.document_code WHERE recording_number = %s ORDER BY position",
            number,
        )
        names = database.rows(
            'SELECT name FROM recorder.party WHERE recording_number = %s ORDER BY name COLLATE "C"', number
        )
        document = Document(**dict(zip(Document.model_fields, values, strict=True)))
        page = DocumentPage(
            number, Notes(), document, [name for (name,) in names], [code for (code,) in codes]
        )
        assert check_detail({**raw, "names": sorted(raw["names"])}, page) == 10
    assert database.one("SELECT count(*) FROM crawl.issue") == 0
    assert database.rows("SELECT recording_number FROM recorder.image WHERE is_restricted") == [(BLOCKED,)]


@pytest.mark.parametrize(
    ("owner", "name"),
    [("BOYCE ALVIN", "search_exact_total"), ("FAIRBANK THEODORE M", "search_duplicate_numbers")],
)
def test_the_rows_of_a_captured_search_are_in_the_database(
    database: Database, host: str, owner: str, name: str
) -> None:
    raw = orjson.loads((FOLDER / f"{name}.json").read_bytes())
    crawl = Crawler(database, host)("documents", "-a", f"owner={owner}", "-a", "until=2026-04-18")
    assert crawl.code == 0, crawl.log
    matches = set(database.rows("SELECT recording_number, name FROM recorder.name_match"))
    assert matches == {(str(row["recordingNumber"]), row["names"]) for row in raw["searchResults"]}
    asked = {key for (key,) in database.rows("SELECT key FROM crawl.target WHERE kind = 'document'")}
    assert asked == {number for number, _ in matches}
    days = dict(database.rows("SELECT recording_number, recording_date FROM recorder.document"))
    assert days == {
        str(row["recordingNumber"]): said_day(row["recordingDate"]) for row in raw["searchResults"]
    }
    assert database.rows(
        "SELECT state, total, row_count FROM recorder.search_window WHERE state <> 'split'"
    ) == [
        (
            "complete",
            raw["totalResults"],
            len({(row["recordingNumber"], row["names"]) for row in raw["searchResults"]}),
        )
    ]


def test_the_captured_legacy_pages_are_in_the_database(database: Database, host: str) -> None:
    numbers = ("20260346190", BLOCKED)
    crawl = Crawler(database, host)(
        "documents", "-a", "via=legacy", "-a", f"recording_numbers={','.join(numbers)}"
    )
    assert crawl.code == 0, crawl.log
    ((number, code, codes, pages, affidavit, names),) = database.rows(
        "SELECT recording_number, query_code, display_codes, page_amount, affidavit_page_amount, names FROM"
        " recorder.legacy_document"
    )
    assert (number, code, codes, pages, affidavit, len(names)) == (numbers[0], "NS", ["N/TR SALE"], 2, 0, 6)
    page = (FOLDER / "legacy_detail_excerpt.html").read_text()
    assert all(name in page for name in names)
    assert database.rows("SELECT recording_number FROM recorder.image WHERE is_restricted") == [(BLOCKED,)]
    assert database.rows("SELECT query_code, display_code FROM recorder.code_pair") == [("NS", "N/TR SALE")]
    assert database.one("SELECT count(*) FROM crawl.issue") == 0
