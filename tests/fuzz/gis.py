"""The GIS layers' answers under mutation."""

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.configuration import load
from maricopa_scrapy.items import Detail
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.features import Features
from maricopa_scrapy.sandbox.gis.layer_shapes import SHAPES
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sources.gis import layer as gis
from maricopa_scrapy.sources.gis.layer_values import KINDS, PRIVATE
from tests.fuzz.reading import Subject, said, storable

_OF_TEXT = ("text", "code", "text_date", "padded", "owner", "address", "address_code", "zip")
CAPTURES = os.environ.get("MARICOPA_CAPTURES")


def _shape(name: str) -> gis.Shape:
    layer = load()[1]["gis"].layers[name]
    return gis.Shape(name, layer.days, layer.columns, layer.optional, layer.ignored)


def _means(kind: str, value: Any, days: str) -> Any:
    """Return what a value means; raises for one that means nothing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        raise TypeError(value)
    if kind == "date":
        zone = dt.timezone(dt.timedelta(hours=-7 if days == "phoenix" else 0))
        return (
            dt.datetime(1970, 1, 1, tzinfo=zone)
            + dt.timedelta(milliseconds=value)
            + dt.timedelta(seconds=zone.utcoffset(None).total_seconds())
        ).date()
    if kind == "text_date":
        return dt.datetime.strptime(value.strip(), "%m/%d/%Y").date()  # noqa: DTZ007 - a day
    if kind in ("padded", "year"):
        return int(str(value).replace(",", "").strip().removesuffix(".0")) or (None if kind == "year" else 0)
    if kind == "money":
        return round(value)
    if kind in ("whole", "decimal", "degrees"):
        return float(value)
    return str(value).strip()


def _is_withheld(value: Any) -> bool:
    return (
        isinstance(value, str) and re.fullmatch("n/?a", value.strip(), re.IGNORECASE | re.ASCII) is not None
    )


def _same(kind: str, value: Any, stored: Any, days: str) -> bool:
    if stored is not None and kind in _OF_TEXT and value is not None and not isinstance(value, str):
        return False
    if kind in PRIVATE and (
        _is_withheld(value) or (kind == "zip" and isinstance(value, str) and value.strip() == "0")
    ):
        return stored is None
    meant = _means(kind, value, days)
    if kind == "date" and meant is not None and stored is not None:
        # A summer of 1967 is an hour ahead.
        return bool(
            abs((meant - stored).days) <= 1 and (stored - dt.date(1970, 1, 1)).days == value // 86_400_000
        )
    return bool(meant == stored)


def _check_features(shape: gis.Shape, lacking: list[str]) -> Callable[[bytes, str, gis.Page], None]:
    columns = shape.without(lacking)

    def check(body: bytes, key: str, page: gis.Page) -> None:
        raw = said(body)
        features = [one.get("attributes", one.get("properties")) for one in raw["features"]]
        assert page.ids == [one["OBJECTID"] for one in features]
        assert not any(isinstance(one, bool) for one in page.ids)
        nested = raw.get("properties")
        assert page.is_cut == bool(
            raw.get("exceededTransferLimit")
            or (isinstance(nested, dict) and nested.get("exceededTransferLimit"))
        )
        if not page.pages:
            assert not features
            return
        named = [(place, apn) for place, one in enumerate(features) if (apn := _apn(one["APN"])) is not None]
        stored = [
            dict(zip(gis.COLUMNS, row, strict=True)) for row in zip(*page.pages[0].columns, strict=True)
        ]
        assert [row["apn"] for row in stored] == [apn for _, apn in named]
        assert page.unkeyed == len(features) - len(named)
        absent = page.pages[0].absent
        told = {
            issue.signature.split(".", 1)[1]
            for issue in page.issues
            if issue.kind in ("odd_value", "absent_field")
        }
        for at, ((place, _), row) in enumerate(zip(named, stored, strict=True)):
            storable(list(row.values()))
            owner = features[place].get(columns["owner_name"][0])
            for column, (field, kind) in columns.items():
                if column == "apn":
                    continue
                spots = absent.get(column, frozenset())
                if kind in PRIVATE and _is_withheld(owner):
                    assert row[column] is None, column
                    assert spots is not None, column
                    assert at not in spots, column
                elif spots is None or at in spots:
                    assert row[column] is None, column
                    assert f"parcel.{column}" in page.unread or field in told, column
                else:
                    assert _same(kind, features[place][field], row[column], shape.days), (
                        f"{column}: {row[column]!r} of {features[place]}"
                    )
        if len(page.pages) > 1:
            _check_outlines(raw["features"], page)

    return check


def _check_outlines(features: list[Any], page: gis.Page) -> None:
    outlines = dict(zip(*page.pages[1].columns, strict=True))
    for one in features:
        attributes = one.get("attributes", one.get("properties"))
        text = outlines.get(_apn(attributes["APN"]))
        geometry = one.get("geometry")
        if text and isinstance(geometry, dict):
            assert _points(orjson.loads(text)["coordinates"]) <= _points(
                geometry.get("coordinates") or geometry.get("rings") or []
            )


def _points(value: Any) -> set[tuple[float, float]]:
    if isinstance(value, list) and len(value) >= 2 and all(type(one) in (int, float) for one in value[:2]):
        return {(float(value[0]), float(value[1]))}
    return {point for one in value for point in _points(one)} if isinstance(value, list) else set()


def _apn(text: Any) -> str | None:
    try:
        return parse_apn(text) if text else None
    except IdentifierError:
        return None


def _check_layer(shape: gis.Shape) -> Callable[[bytes, str, gis.Layer], None]:
    def check(body: bytes, key: str, layer: gis.Layer) -> None:
        raw = said(body)
        fields = {
            one["name"]: one.get("type")
            for one in raw["fields"]
            if isinstance(one, dict) and isinstance(one.get("name"), str)
        }
        assert fields[layer.object_id] == "esriFieldTypeOID"
        told = {*layer.notes.absent, *layer.notes.unread}
        for column, (name, kind) in shape.all_columns.items():
            if name not in layer.lacking:
                assert str(fields[name]).removeprefix("esriFieldType") in KINDS[kind][1]
            elif column in shape.columns or name in fields:
                assert column != "apn"
                assert f"{shape.layer}.{name}" in told or f"parcel.{column}" in told
        most = raw.get("maxRecordCount")
        assert layer.page == (most if type(most) is int and 0 < most < 2**64 else 0)

    return check


def _check_extent(body: bytes, key: str, extent: Any) -> None:
    values, *_ = [one["attributes"] for one in said(body)["features"]]
    lower = {name.lower(): value for name, value in values.items()}
    found = (extent.first, extent.last, extent.count)
    assert found == tuple(lower[name] for name in ("first_id", "last_id", "row_count"))
    assert not any(isinstance(lower[name], bool) for name in ("first_id", "last_id", "row_count"))
    storable(list(found))


def _check_count(body: bytes, key: str, count: int) -> None:
    assert type(said(body)["count"]) is int
    assert count == said(body)["count"] >= 0


def _check_ids(body: bytes, key: str, ids: list[int]) -> None:
    assert ids == sorted(set(said(body)["objectIds"] or []))
    assert not any(isinstance(one, bool) for one in said(body)["objectIds"] or [])


def subjects() -> list[Subject]:
    layer = ParcelLayer(County(), 40)
    found: list[Subject] = []
    read_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for name in ("E", "A", "F"):
        shape, form = _shape(name), SHAPES[name]
        sample = form.write(layer.facts(layer.ids[0]))
        lacking = [field for field, _ in shape.optional.values() if field not in sample]
        names = ["OBJECTID", *dict.fromkeys(field for field, _ in shape.without(lacking).values())]
        features = Features(layer, form, names, True, 6)
        seeds = [
            (b'{"features":[' + features.run(first, first + rows) + b"]}", "")
            for first, rows in ((0, 1), (3, 3), (9, 12))
        ]
        if CAPTURES and name == "E":
            whole = orjson.loads((Path(CAPTURES) / "gis" / "layer_E_3features.json").read_bytes())
            if set(names) <= whole["features"][0]["attributes"].keys():
                seeds.append((orjson.dumps(whole), ""))
        kinds = {one["name"]: one["type"] for one in form.fields(sample)}
        meta = {
            "maxRecordCount": form.cap,
            "fields": [{"name": one, "type": kind} for one, kind in kinds.items()],
        }
        found += [
            Subject(
                f"gis features {name}",
                "json",
                seeds,
                _features(shape, lacking),
                _check_features(shape, lacking),
            ),
            Subject(
                f"gis layer {name}", "json", [(orjson.dumps(meta), "")], _layer(shape), _check_layer(shape)
            ),
        ]
    extent = b'{"features":[{"attributes":{"FIRST_ID":5,"last_id":90,"row_count":80}}]}'
    return [
        *found,
        Subject(
            "gis extent",
            "json",
            [(extent, "")],
            lambda body, _: gis.parse_extent(body, "E", 2000, read_at, Detail()),
            _check_extent,
        ),
        Subject(
            "gis count", "json", [(b'{"count":12}', "")], lambda body, _: gis.parse_count(body), _check_count
        ),
        Subject(
            "gis ids",
            "json",
            [(b'{"objectIdFieldName":"OBJECTID","objectIds":[7,3,9]}', "")],
            lambda body, _: gis.parse_ids(body),
            _check_ids,
        ),
    ]


def _features(shape: gis.Shape, lacking: list[str]) -> Callable[[bytes, str], gis.Page]:
    return lambda body, _: gis.parse_features(body, shape, "OBJECTID", lacking, outlines=True)


def _layer(shape: gis.Shape) -> Callable[[bytes, str], gis.Layer]:
    return lambda body, _: gis.parse_layer(body, shape)
