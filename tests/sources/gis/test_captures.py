"""The captured features of layers A and E, field by field; needs MARICOPA_CAPTURES."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy import configuration
from maricopa_scrapy.sources.gis import layer as gis

FOLDER = Path(os.environ.get("MARICOPA_CAPTURES", "")) / "gis"
pytestmark = pytest.mark.skipif(
    not os.environ.get("MARICOPA_CAPTURES"), reason="MARICOPA_CAPTURES is not set"
)

FILES = {"E": "layer_E_3features.json", "A": "layer_A_3features.geojson"}
# Fields that say again what another field says, or nothing of the parcel; each is checked below.
DERIVED = {
    "E": {"OBJECTID", "APNDash", "DeedWebLink", "AssessorWebLink"},
    "A": {
        "OBJECTID",
        "APN_DASH",
        "BOOK",
        "MAP",
        "ITEM",
        "MAIL_ADDRESS",
        "PHYSICAL_STREET_SUFFIX",
        "PHYSICAL_STREET_POSTDIR",
        "MCR_BOOK",
        "MCR_PAGE",
        "Shape_Length",
        "Shape_Area",
    },
}


def shape(name: str) -> gis.Shape:
    layer = configuration.load()[1]["gis"].layers[name]
    return gis.Shape(name, layer.days, layer.columns, layer.optional, layer.ignored)


def features(name: str) -> list[dict[str, Any]]:
    raw = json.loads((FOLDER / FILES[name]).read_text())
    return [one.get("attributes") or one["properties"] for one in raw["features"]]


def expected(name: str, kind: str, value: Any) -> Any:
    """Return what a value means, worked out apart from the parser."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if kind == "date":
        zone = dt.timezone(dt.timedelta(hours=-7 if name == "E" else 0))
        moment = dt.datetime.fromtimestamp(value / 1000, zone)
        assert (moment.hour, moment.minute) == (0, 0)
        return moment.date()
    if kind == "text_date":
        return dt.datetime.strptime(value, "%m/%d/%Y").date()  # noqa: DTZ007 - a day without a time
    if kind in ("padded", "year", "money"):
        return int(str(value).replace(",", "").strip())
    return value.strip() if isinstance(value, str) else value


@pytest.mark.parametrize("name", FILES)
def test_every_captured_field_is_stored_or_known_to_repeat_another(name: str) -> None:
    form = shape(name)
    body = (FOLDER / FILES[name]).read_bytes()
    lacking = [field for field, _ in form.optional.values()]
    page = gis.parse_features(body, form, "OBJECTID", lacking, outlines=True)
    rows = [dict(zip(gis.COLUMNS, row, strict=True)) for row in zip(*page.pages[0].columns, strict=True)]
    said = features(name)
    assert page.issues == []
    assert page.ids == [one["OBJECTID"] for one in said]
    compared = 0
    for row, attributes in zip(rows, said, strict=True):
        for column, (field, kind) in form.columns.items():
            assert row[column] == expected(name, kind, attributes[field]), (field, attributes[field])
            compared += 1
        assert attributes.keys() - {field for field, _ in form.columns.values()} == DERIVED[name]
        assert {column for column, value in row.items() if value is not None} <= form.columns.keys() | {
            "layer"
        }
    assert compared == 3 * len(form.columns)
    outlines = [json.loads(text) for text in page.pages[1].columns[1]]
    assert [one["type"] for one in outlines] == ["Polygon"] * 3
    assert all(one["coordinates"][0][0] == one["coordinates"][0][-1] for one in outlines)


def test_the_captured_metadata_of_layer_f_has_every_field_that_is_mapped_and_none_that_is_new() -> None:
    layer = gis.parse_layer((FOLDER / "layer_F_metadata_20260926.json").read_bytes(), shape("F"))
    assert (layer.object_id, layer.page, layer.lacking, layer.new_fields) == ("OBJECTID", 2000, [], [])
    assert layer.notes.issues("layer F") == []
    assert shape("F").days == "phoenix"


def test_fields_that_are_not_stored_repeat_those_that_are() -> None:
    for one in features("A"):
        assert one["APN_DASH"].replace("-", "") == one["APN"] == one["BOOK"] + one["MAP"] + one["ITEM"]
        assert one["MCRNUM"] == f"{one['MCR_BOOK']}-{one['MCR_PAGE']}"
        assert (one["PHYSICAL_STREET_SUFFIX"], one["PHYSICAL_STREET_POSTDIR"]) == ("", None)
        parts = (
            one[field]
            for field in ("MAIL_ADDR1", "MAIL_ADDR2", "MAIL_CITY", "MAIL_STATE", "MAIL_CNTRY", "MAIL_ZIP")
        )
        assert one["MAIL_ADDRESS"] == " ".join(filter(None, parts))
    for one in features("E"):
        assert one["APNDash"].replace("-", "") == one["APN"]
        assert one["DeedWebLink"].endswith(f"recordingNumber={one['DeedNumber']}&suffix=")
        assert one["AssessorWebLink"].endswith(f"q={one['APN']}")


def test_the_captured_bulk_files_are_read_column_by_column() -> None:
    from maricopa_scrapy.sources.bulk.file_lines import FILES as KINDS
    from maricopa_scrapy.sources.bulk.file_lines import parse_lines

    for name, file in (
        ("secured_master", "secured_master_sample.txt"),
        ("residential_master", "residential_master_row.txt"),
    ):
        lines = [line for line in (FOLDER.parent / "bulk" / file).read_text().splitlines() if line]
        read = parse_lines(lines, KINDS[name], file, 1)
        assert read.rejects == []
        for line, row in zip(lines, zip(*read.pages[0].columns, strict=True), strict=True):
            for said, value, kind in zip(line.split("|"), row, KINDS[name].kinds, strict=True):
                if kind == "us_date" and said:
                    assert f"{value:%m%d%Y}" == said
                else:
                    assert ("" if value is None else str(value)) == said.strip()
