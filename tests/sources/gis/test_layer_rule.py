"""The rule of all parsers, for the GIS layers: each key of each body absent, of another type or renamed, one
at a time.

Row ids and APNs are refused by name. Of everything else the other fields are stored as before, the one
touched is unread or NULL, and a person is told. Bodies are the sandbox's, and the captured ones where
MARICOPA_CAPTURES names their folder.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy import configuration
from maricopa_scrapy.parsing.errors import Malformed, PageError, SourceChanged
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.features import Features
from maricopa_scrapy.sandbox.gis.layer_shapes import SHAPES
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sources.gis import layer as gis

_CAPTURED = {"E": "layer_E_3features.json", "A": "layer_A_3features.geojson"}
_CAPTURES = os.environ.get("MARICOPA_CAPTURES")
_LAYER = ParcelLayer(County(), 40)
_WRONG = ["of another type"]
_NEW = "NobodyKnowsIt"


def _shape(name: str) -> gis.Shape:
    layer = configuration.load()[1]["gis"].layers[name]
    return gis.Shape(name, layer.days, layer.columns, layer.optional, layer.ignored)


def _features(name: str) -> dict[str, Any]:
    form = SHAPES[name]
    sample = form.write(_LAYER.facts(_LAYER.ids[0]))
    rows = b"[" + Features(_LAYER, form, list(sample), True, 6).run(0, 3) + b"]"
    return {
        "displayFieldName": "APN",
        "exceededTransferLimit": False,
        "fields": form.fields(sample),
        "features": json.loads(rows),
    }


def _metadata(name: str) -> dict[str, Any]:
    form = SHAPES[name]
    fields = form.fields(form.write(_LAYER.facts(_LAYER.ids[0])))
    return {
        "name": name,
        "maxRecordCount": form.cap,
        "fields": [*fields, {"name": form.geometry, "type": "esriFieldTypeGeometry"}],
    }


def _bodies() -> Iterator[Any]:
    for name in ("E", "A", "F"):
        yield pytest.param(name, _features(name), id=name)
    if _CAPTURES:
        for name, file in _CAPTURED.items():
            yield pytest.param(
                name, json.loads((Path(_CAPTURES) / "gis" / file).read_text()), id=f"{name} captured"
            )


def _layers() -> Iterator[Any]:
    for name in ("E", "A", "D", "F"):
        yield pytest.param(name, _metadata(name), id=name)
    if _CAPTURES:
        raw = json.loads((Path(_CAPTURES) / "gis" / "layer_F_metadata_20260926.json").read_text())
        yield pytest.param("F", raw, id="F captured")


def _attributes(raw: dict[str, Any]) -> list[dict[str, Any]]:
    return [one.get("attributes") or one["properties"] for one in raw["features"]]


def _read(raw: dict[str, Any], shape: gis.Shape, lacking: list[str]) -> gis.Page:
    return gis.parse_features(json.dumps(raw).encode(), shape, "OBJECTID", lacking, outlines=True)


def _columns(page: gis.Page) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(gis.COLUMNS, page.pages[0].columns, strict=True)}


def _rename(one: dict[str, Any], key: str) -> None:
    one[_NEW] = one.pop(key)


_EDITS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "absent": lambda one, key: one.pop(key),
    "retyped": lambda one, key: one.update({key: _WRONG}),
    "renamed": _rename,
}


@pytest.mark.parametrize("edit", _EDITS)
@pytest.mark.parametrize(("name", "raw"), list(_bodies()))
def test_each_field_of_each_page(name: str, raw: dict[str, Any], edit: str) -> None:
    shape = _shape(name)
    lacking = [field for field, _ in shape.optional.values() if field not in _attributes(raw)[0]]
    before = _read(raw, shape, lacking)
    stored = _columns(before)
    assert before.unread == ()
    touched = 0
    columns = {field: column for column, (field, _) in shape.without(lacking).items()}
    for field in _attributes(raw)[0]:
        changed = copy.deepcopy(raw)
        for one in _attributes(changed):
            _EDITS[edit](one, field)
        if field in ("OBJECTID", "APN"):
            with pytest.raises(SourceChanged, match=rf"features\.{field}"):
                _read(changed, shape, lacking)
            continue
        page = _read(changed, shape, lacking)
        told = {(issue.kind, issue.signature) for issue in page.issues} - {
            (issue.kind, issue.signature) for issue in before.issues
        }
        column = columns.get(field)
        assert _columns(page) == {**stored, **({column: [None] * len(page.ids)} if column else {})}, field
        assert page.pages[0].absent == {**before.pages[0].absent, **({column: None} if column else {})}
        assert page.unread == ((f"parcel.{column}",) if column and edit == "retyped" else ())
        expected = set()
        if column:
            is_unread = edit == "retyped"
            expected = {
                (
                    ("unread_section", f"parcel.{column}: features[].{field}")
                    if is_unread
                    else ("absent_field", f"{name}.{field}")
                )
            }
            touched += 1
        assert told - {("new_field", f"layer {name}")} == expected, field
        assert (("new_field", f"layer {name}") in told) == (edit == "renamed")
        assert list(page.pages[1].columns[1]) == list(before.pages[1].columns[1])
    assert touched == len(columns) - 1 > 20


@pytest.mark.parametrize("edit", ["absent", "retyped"])
@pytest.mark.parametrize(("name", "raw"), list(_bodies()))
def test_each_field_of_one_row(name: str, raw: dict[str, Any], edit: str) -> None:
    shape = _shape(name)
    lacking = [field for field, _ in shape.optional.values() if field not in _attributes(raw)[0]]
    stored = _columns(_read(raw, shape, lacking))
    for column, (field, _) in shape.without(lacking).items():
        changed = copy.deepcopy(raw)
        _EDITS[edit](_attributes(changed)[1], field)
        if column == "apn":
            with pytest.raises(SourceChanged, match=r"features\.APN"):
                _read(changed, shape, lacking)
            continue
        page = _read(changed, shape, lacking)
        expected = list(stored[column])
        expected[1] = None
        assert _columns(page) == {**stored, column: expected}, field
        assert (page.pages[0].absent[column], page.unread) == (frozenset((1,)), ())
        assert {issue.signature for issue in page.issues} == {f"{name}.{field}"}
        assert {issue.kind for issue in page.issues} == {"absent_field" if edit == "absent" else "odd_value"}


@pytest.mark.parametrize(("name", "raw"), list(_bodies()))
def test_each_key_around_the_rows(name: str, raw: dict[str, Any]) -> None:
    shape = _shape(name)
    lacking = [field for field, _ in shape.optional.values() if field not in _attributes(raw)[0]]
    before = _read(raw, shape, lacking)
    for key in raw:
        for edit in _EDITS.values():
            changed = copy.deepcopy(raw)
            edit(changed, key)
            if key == "features":
                with pytest.raises(PageError, match="features"):
                    _read(changed, shape, lacking)
            else:
                assert _columns(_read(changed, shape, lacking)) == _columns(before), key
    for key in raw["features"][0]:
        for edit in (_EDITS["absent"], _EDITS["renamed"]):
            changed = copy.deepcopy(raw)
            for one in changed["features"]:
                edit(one, key)
            if key in ("attributes", "properties"):
                with pytest.raises(Malformed, match="features"):
                    _read(changed, shape, lacking)
                continue
            page = _read(changed, shape, lacking)
            assert _columns(page) == _columns(before)
            if key == "geometry":
                assert (len(page.pages[1]), [issue.signature for issue in page.issues]) == (
                    0,
                    [f"{name}.geometry"],
                )


@pytest.mark.parametrize(("name", "raw"), list(_bodies()))
def test_outlines_that_cannot_be_read(name: str, raw: dict[str, Any]) -> None:
    shape = _shape(name)
    lacking = [field for field, _ in shape.optional.values() if field not in _attributes(raw)[0]]
    before = _read(raw, shape, lacking)
    changed = copy.deepcopy(raw)
    changed["features"][1]["geometry"] = {"rings": "none"}
    page = _read(changed, shape, lacking)
    assert (page.unread, page.pages[1].absent) == ((), {"geometry": frozenset((1,))})
    assert page.pages[1].columns[1][1] is None
    changed["features"][2]["geometry"] = {"rings": "none"}
    page = _read(changed, shape, lacking)
    assert (page.unread, len(page.pages), _columns(page)) == (("outline",), 1, _columns(before))
    assert [issue.kind for issue in page.issues] == ["unread_section"]


@pytest.mark.parametrize("edit", _EDITS)
@pytest.mark.parametrize(("name", "raw"), list(_layers()))
def test_each_field_of_each_layer(name: str, raw: dict[str, Any], edit: str) -> None:
    shape = _shape(name)
    body = json.dumps(raw).encode()
    before = gis.parse_layer(body, shape)
    columns = {field: column for column, (field, _) in shape.all_columns.items()}
    for number, field in enumerate(raw["fields"]):
        key, changed = field["name"], copy.deepcopy(raw)
        if edit == "absent":
            del changed["fields"][number]
        else:
            changed["fields"][number].update(
                {"type": "esriFieldTypeRaster"} if edit == "retyped" else {"name": _NEW}
            )
        content = json.dumps(changed).encode()
        if key == "APN" or (key == "OBJECTID" and edit != "renamed"):
            with pytest.raises(SourceChanged, match="fields"):
                gis.parse_layer(content, shape)
            continue
        layer = gis.parse_layer(content, shape)
        if key == "OBJECTID":
            # A field of row ids by another name is one.
            assert (layer.object_id, layer.lacking) == (_NEW, before.lacking)
            continue
        column = columns.get(key)
        assert set(layer.lacking) == {*before.lacking, *([key] if column else [])}, key
        told = {issue.kind for issue in layer.notes.issues("layer")} - {
            issue.kind for issue in before.notes.issues("layer")
        }
        if column is None:
            assert told == set()
        elif edit == "retyped":
            assert (told, list(layer.notes.unread)) == ({"unread_section"}, [f"parcel.{column}"])
        else:
            assert told == ({"absent_field"} if column in shape.columns else set()), key
        assert (_NEW in layer.new_fields) == (edit == "renamed" and field["type"] != "esriFieldTypeGeometry")
    for key in raw:
        changed = {name: value for name, value in raw.items() if name != key}
        if key == "fields":
            with pytest.raises(Malformed, match="fields"):
                gis.parse_layer(json.dumps(changed).encode(), shape)
        else:
            assert gis.parse_layer(json.dumps(changed).encode(), shape).lacking == before.lacking
