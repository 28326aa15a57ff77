"""The GIS layers below /gis: /gis/{layer} is a layer's metadata, /gis/{layer}/query its rows, by GET or by a
POST form.

An error is an answer of status 200. The silent cap, the flag exceededTransferLimit and the envelope are as
captured of layer E.
"""

import asyncio
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from maricopa_scrapy.sandbox.answers.behaviour import FAULTY, Conduct, admitted, dropped
from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import Fault, Faults
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.features import Features
from maricopa_scrapy.sandbox.gis.layer_shapes import SHAPES, LayerShape
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.gis.sql_conditions import Unreadable, positions

PREFIX = "/gis"
_COMPRESSED_FROM = 256
_JSON = "application/json"


class Gis:
    """The source on one county."""

    def __init__(
        self, county: County, parcels: int, conduct: Conduct, counts: Counts, faults: Faults, limiter: Limiter
    ) -> None:
        self.layer = ParcelLayer(county, parcels)
        self._conduct = conduct
        self._counts = counts
        self._faults = faults
        self._limiter = limiter
        self._features: dict[tuple[str, tuple[str, ...], bool, int], Features] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any path below the prefix."""
        parts = request.path[len(PREFIX) :].strip("/").split("/")
        query = dict(request.query)
        if request.method == "POST":
            query |= {name: str(value) for name, value in (await request.post()).items()}
        kind = _kind(parts, query)
        serial = self._counts.begin(kind)
        if kind == "unknown":
            self._counts.unknown(request.path_qs)
        try:
            if self._conduct.latency:
                await asyncio.sleep(self._conduct.latency)
            if (refusal := await admitted(self._limiter, self._counts)) is not None:
                return self._send(request, b"", 429, refusal)
            fault = self._faults.choose(serial, kind, None, False) if self._faults else None
            if fault is None:
                return self._send(request, self._answer(kind, parts, query))
            self._counts.faulted(fault.name)
            return await self._misbehave(request, kind, parts, query, fault)
        finally:
            self._counts.end()

    def _send(
        self, request: web.Request, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        sent, more = body, dict(headers or {})
        if (
            self._conduct.compress
            and len(body) >= _COMPRESSED_FROM
            and "gzip" in request.headers.get("Accept-Encoding", "")
        ):
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            sent, more["Content-Encoding"] = packer.compress(body) + packer.flush(), "gzip"
        self._counts.sent(status, len(sent))
        return web.Response(body=sent, status=status, content_type=_JSON, headers=more)

    async def _misbehave(
        self, request: web.Request, kind: str, parts: list[str], query: dict[str, str], fault: Fault
    ) -> web.StreamResponse:
        if fault.name in ("throttled", "unavailable"):
            self._counts.refused()
            return self._send(
                request,
                b"",
                429 if fault.name == "throttled" else 503,
                {"Retry-After": fault.retry_after or "1"},
            )
        if fault.name in ("hang", "reset", "truncated"):
            return await dropped(request, fault)
        if fault.name == "error_body":
            return self._send(request, _error("Error performing query operation", 500))
        if fault.name in _EDITS:
            return self._send(request, _EDITS[fault.name](self._answer(kind, parts, query)))
        if fault.name == "challenge":
            one = FAULTY["challenge"]
            self._counts.sent(one.status, len(one.body))
            return web.Response(
                status=one.status, body=one.body, content_type=one.content_type, headers=one.headers
            )
        return self._send(request, b"", {"unauthorized": 401, "forbidden": 403}.get(fault.name, 500))

    def _answer(self, kind: str, parts: list[str], query: dict[str, str]) -> bytes:
        if kind == "unknown":
            return _error("Invalid URL", 404)
        name = parts[0]
        if kind == "layer":
            return orjson.dumps(self._metadata(name, SHAPES[name]))
        try:
            return self._query(name, SHAPES[name], query, kind)
        except Unreadable as error:
            return _error(f"Unable to complete operation. {error}", 400)

    def _sample(self, shape: LayerShape) -> dict[str, str]:
        return shape.write(self.layer.facts(self.layer.ids[0]))

    def _metadata(self, name: str, shape: LayerShape) -> dict[str, Any]:
        return {
            "currentVersion": 11.5, "id": 1, "name": f"Parcels {name}", "type": "Feature Layer",
            "geometryType": "esriGeometryPolygon",
            "objectIdField": "OBJECTID", "displayField": "APN", "maxRecordCount": shape.cap,
            "capabilities": "Map,Query,Data",
            "supportedQueryFormats": "JSON, geoJSON", "supportsStatistics": True,
            "supportsAdvancedQueries": True,
            "advancedQueryCapabilities": {"supportsPagination": True, "supportsStatistics": True,
            "supportsOrderBy": True},
            "extent": {"xmin": -113.0, "ymin": 32.6, "xmax": -111.2, "ymax": 33.9,
            "spatialReference": {"wkid": 4326}},
            "fields": [*shape.fields(self._sample(shape)), {"name": shape.geometry,
            "type": "esriFieldTypeGeometry"}],
        }  # fmt: skip

    def _query(self, name: str, shape: LayerShape, query: dict[str, str], kind: str) -> bytes:
        found = positions(query.get("where", ""), self.layer, shape)
        ids = self.layer.ids
        if kind == "count":
            return orjson.dumps({"count": len(found)})
        if kind == "ids":
            return orjson.dumps(
                {"objectIdFieldName": "OBJECTID", "objectIds": [ids[at] for at in found] or None}
            )
        if kind == "statistics":
            return self._statistics(query["outStatistics"], found)
        if "DESC" in query.get("orderByFields", "").upper():
            found = found[::-1]
        offset = _number(query, "resultOffset", 0)
        wanted = found[offset : offset + min(shape.cap, _number(query, "resultRecordCount", shape.cap))]
        features = self._file(name, shape, query)
        is_run = isinstance(wanted, range) and wanted.step == 1
        body = features.run(wanted[0], wanted[-1] + 1) if is_run and wanted else features.some(wanted)
        flag = b'"exceededTransferLimit":true,' if offset + len(wanted) < len(found) else b""
        return self._envelope(shape, query) + flag + b'"features":[' + body + b"]}"

    def _statistics(self, asked: str, found: Sequence[int]) -> bytes:
        ids = self.layer.ids
        values: dict[str, int | None] = {}
        for one in orjson.loads(asked):
            if one.get("onStatisticField") != "OBJECTID":
                raise Unreadable("statistics of OBJECTID only")
            kind = one.get("statisticType")
            values[one.get("outStatisticFieldName", kind)] = (
                len(found)
                if kind == "count"
                else None
                if not found
                else ids[found[0]]
                if kind == "min"
                else ids[found[-1]]
            )
        return orjson.dumps({"features": [{"attributes": values}]})

    def _names(self, shape: LayerShape, query: dict[str, str]) -> list[str]:
        known = list(self._sample(shape))
        asked = query.get("outFields", "*").strip()
        if asked == "*":
            return known
        names = [name.strip() for name in asked.split(",")]
        if not set(names) <= set(known):
            raise Unreadable("'outFields' parameter is invalid")
        return names

    def _file(self, name: str, shape: LayerShape, query: dict[str, str]) -> Features:
        names = self._names(shape, query)
        outlines = query.get("returnGeometry", "true").lower() != "false"
        key = (name, tuple(names), outlines, _number(query, "geometryPrecision", 14) if outlines else 0)
        if key not in self._features:
            self._features[key] = Features(self.layer, shape, names, outlines, key[3])
        return self._features[key]

    def _envelope(self, shape: LayerShape, query: dict[str, str]) -> bytes:
        names = self._names(shape, query)
        head = {
            "displayFieldName": "APN",
            "fieldAliases": dict(zip(names, names, strict=True)),
            "geometryType": "esriGeometryPolygon",
            "spatialReference": {"wkid": 4326, "latestWkid": 4326},
            "fields": shape.fields(dict.fromkeys(names, "")),
        }
        return orjson.dumps(head)[:-1] + b","


def _kind(parts: list[str], query: Mapping[str, str]) -> str:
    if parts[0] not in SHAPES or parts[1:] not in ([], ["query"]):
        return "unknown"
    if len(parts) == 1:
        return "layer"
    for name, kind in (
        ("returnCountOnly", "count"),
        ("returnIdsOnly", "ids"),
        ("outStatistics", "statistics"),
    ):
        if query.get(name, "false").lower() not in ("false", ""):
            return kind
    return "list" if re.search(r"APN\w* (IN|=)", query.get("where", "")) else "page"


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    value = query.get(name, "")
    return int(value) if value.isdecimal() else otherwise


def _error(message: str, code: int) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "details": []}})


def _short(body: bytes) -> bytes:
    raw = orjson.loads(body)
    raw["features"] = raw.get("features", [])[:-1]
    return orjson.dumps(raw)


def _edited(edit: str) -> Callable[[bytes], bytes]:
    """Return what changes one field: of a layer's metadata, or of a page and what it says of its fields."""

    def edited(body: bytes) -> bytes:
        raw = orjson.loads(body)
        fields = raw.get("fields", [])
        at, name = next(
            ((at, one["name"]) for at, one in enumerate(fields) if one["name"] in _PRICES), (None, "")
        )
        for one in raw.get("features", []):
            _edit_value(one["attributes"], name, edit)
        if edit == "new":
            fields.append({"name": _NEW, "type": "esriFieldTypeInteger", "alias": _NEW})
        elif at is not None:
            changes = {
                "missing": None,
                "retyped": {"type": "esriFieldTypeDate"},
                "renamed": {"name": _RENAMED},
            }[edit]
            fields[at : at + 1] = [] if changes is None else [fields[at] | changes]
        return orjson.dumps(raw)

    return edited


def _edit_value(attributes: dict[str, Any], name: str, edit: str) -> None:
    if edit == "new":
        attributes[_NEW] = 7
    elif name in attributes:
        value = attributes.pop(name)
        if edit != "missing":
            attributes[_RENAMED if edit == "renamed" else name] = value


_PRICES, _NEW, _RENAMED = ("SalePrice", "SALE_PRICE"), "GreenScore", "PriceOfSale"
_EDITS: dict[str, Callable[[bytes], bytes]] = {
    "short_page": _short,
    "malformed": lambda body: body[: len(body) * 2 // 3],
    "missing_field": _edited("missing"),
    "retyped_field": _edited("retyped"),
    "renamed_field": _edited("renamed"),
    "new_field": _edited("new"),
}
