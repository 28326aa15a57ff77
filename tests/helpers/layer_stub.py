"""A small ArcGIS layer whose rows and answers a test chooses: for what the sandbox's county never does."""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from maricopa_scrapy import configuration

_COLUMNS = {name: dict(layer.columns) for name, layer in configuration.load()[1]["gis"].layers.items()}
_TYPES = {
    "text": "String",
    "code": "String",
    "words": "String",
    "whole": "Integer",
    "money": "Double",
    "decimal": "Double",
    "degrees": "Double",
    "padded": "String",
    "year": "Integer",
    "date": "Date",
    "text_date": "String",
    "owner": "String",
    "address": "String",
    "address_code": "String",
    "address_words": "String",
    "zip": "String",
}
_VALUES = {
    "text": "text",
    "code": "X1",
    "words": "w",
    "whole": 1,
    "money": 100,
    "decimal": 1.5,
    "degrees": -112.0,
    "padded": "  1,000",
    "year": 2000,
    "text_date": "02/01/2013",
    "owner": "text",
    "address": "text",
    "address_code": "X1",
    "address_words": "w",
    "zip": "85001",
}
# A day of 2021 as layer E writes it, and as layer A does.
_DATES = {"E": 1627887600000, "C": 1627887600000, "A": 1361923200000, "D": 1361923200000, "F": 1627887600000}

Query = dict[str, str]


def apn(number: int) -> str:
    return f"{10_000_000 + number}"


def row(number: int, apn: str, layer: str = "E", **values: Any) -> dict[str, Any]:
    """Return a row with a plain value in each field but those that are given."""
    plain = {
        field: _DATES[layer] if kind == "date" else _VALUES[kind] for field, kind in _COLUMNS[layer].values()
    }
    return {**plain, "OBJECTID": number, "APN": apn, **values}


class LayerStub:
    """Serves `rows`; `hook` may answer a query before it: it gets the query and returns what is sent, or
    None.
    """

    def __init__(self, rows: list[dict[str, Any]], layer: str = "E") -> None:
        self.rows = {one["OBJECTID"]: one for one in rows}
        self.layer = layer
        # Fields that its metadata does not have.
        self.lost: tuple[str, ...] = ()
        self.hook: Callable[[Query], Any] = lambda query: None
        self.asked: list[Query] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                text = parts.query
                if self.command == "POST":
                    text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                answer = stub._answer(parts.path, dict(parse_qsl(text)))
                body = json.dumps(answer).encode()
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, query: Query) -> Any:
        if not path.startswith(f"/gis/{self.layer}"):
            return None if path == "/robots.txt" else {"error": {"code": 404, "message": "no such layer"}}
        if not path.endswith("/query"):
            fields = [
                {"name": field, "type": f"esriFieldType{_TYPES[kind]}"}
                for field, kind in _COLUMNS[self.layer].values()
            ]
            fields = [one for one in fields if one["name"] not in self.lost]
            return {
                "fields": [{"name": "OBJECTID", "type": "esriFieldTypeOID"}, *fields],
                "maxRecordCount": 2000,
            }
        self.asked.append(query)
        answer = self.hook(query)
        return self.answer(query) if answer is None else answer

    def answer(self, query: Query) -> Any:
        """Return what the layer itself says."""
        rows = [self.rows[number] for number in sorted(self.rows)]
        where = query["where"]
        if found := re.match(r"OBJECTID>=(\d+) AND OBJECTID<=(\d+)", where):
            rows = [one for one in rows if int(found[1]) <= one["OBJECTID"] <= int(found[2])]
        elif where.startswith("APN IN"):
            asked = set(re.findall("'([^']*)'", where))
            rows = [one for one in rows if one["APN"] in asked]
        if "outStatistics" in query:
            ends = {"first_id": rows[0]["OBJECTID"], "last_id": rows[-1]["OBJECTID"], "row_count": len(rows)}
            return {"features": [{"attributes": ends}]}
        if "returnIdsOnly" in query:
            return {"objectIds": [one["OBJECTID"] for one in rows]}
        if "returnCountOnly" in query:
            return {"count": len(rows)}
        names = query["outFields"].split(",")
        return {"features": [{"attributes": {name: one[name] for name in names}} for one in rows]}
