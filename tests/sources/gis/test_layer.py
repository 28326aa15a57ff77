"""The parser of GIS layers on invented answers: every way in which one can be another than it should be."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.configuration import load
from maricopa_scrapy.parsing.errors import (
    BadRequest,
    Malformed,
    PageError,
    ServiceError,
    Soft404,
    SourceChanged,
    Throttled,
)
from maricopa_scrapy.sources.gis import layer as gis
from maricopa_scrapy.sources.gis.geometry import geojson
from maricopa_scrapy.sources.gis.layer_fields import plain_page

SHAPE = gis.Shape(
    "E",
    "phoenix",
    {
        "apn": ("APN", "code"),
        "owner_name": ("Owner", "text"),
        "lot_size_sqft": ("Lot", "money"),
        "construction_year": ("Built", "year"),
        "deed_date": ("Deed", "date"),
        "full_cash_value": ("Value", "padded"),
        "sale_date": ("Sale", "text_date"),
        "longitude": ("X", "degrees"),
    },
    {"stories": ("Stories", "words")},
    ("Link",),
)
_DEED = 1627887600000
_ROW = {
    "OBJECTID": 7,
    "APN": "90101001A",
    "Owner": " QUAIL RUN LLC ",
    "Lot": 4.2e3,
    "Built": 1977,
    "Deed": _DEED,
    "Value": "   1,200",
    "Sale": "02/01/2013",
    "X": -111.9,
}


def body(*changes: dict[str, Any], **envelope: Any) -> bytes:
    rows = [{**_ROW, "OBJECTID": 7 + number, **change} for number, change in enumerate(changes or ({},))]
    return json.dumps({"features": [{"attributes": row} for row in rows], **envelope}).encode()


def read(content: bytes, **more: Any) -> gis.Page:
    return gis.parse_features(content, SHAPE, "OBJECTID", ["Stories"], **more)


def row(content: bytes) -> dict[str, Any]:
    return dict(zip(gis.COLUMNS, next(zip(*read(content).pages[0].columns, strict=True)), strict=True))


def by_column(page: gis.Page) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(gis.COLUMNS, page.pages[0].columns, strict=True)}


@pytest.mark.parametrize(
    ("field", "value", "column", "stored"),
    [
        ("Owner", "", "owner_name", None),
        ("Owner", "  ", "owner_name", None),
        ("Owner", None, "owner_name", None),
        ("Owner", "A~ B", "owner_name", "A~ B"),
        ("Owner", "A\tB\n", "owner_name", "A\tB"),
        ("Lot", 1e3 + 1e-9, "lot_size_sqft", 1000),
        ("Built", 0, "construction_year", None),
        ("Built", "2005", "construction_year", 2005),
        ("Built", "", "construction_year", None),
        ("Value", "", "full_cash_value", None),
        ("Value", None, "full_cash_value", None),
        ("Sale", "", "sale_date", None),
        ("Deed", -86_400_000 * 900 + 7 * 3_600_000, "deed_date", dt.date(1967, 7, 16)),
        # Arizona's summer of 1967, an hour ahead.
        ("Deed", -86_400_000 * 900 + 6 * 3_600_000, "deed_date", dt.date(1967, 7, 16)),
        ("APN", "901-01-001a", "apn", "90101001A"),
        ("X", -112, "longitude", -112.0),
    ],
)
def test_how_the_layers_write_values(field: str, value: Any, column: str, stored: Any) -> None:
    assert row(body({field: value}))[column] == stored


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("Owner", 5, "text"),
        ("Lot", "4200", "a whole number"),
        ("Lot", True, "a whole number"),
        ("Lot", -5, "a whole number from 0"),
        ("Built", "20O5", "digits"),
        ("Deed", "2021-08-02", "epoch milliseconds"),
        ("Deed", _DEED - 7 * 3_600_000, "midnight"),
        ("Value", "1.200 x", "digits"),
        ("Value", 1200, "digits"),
        ("Sale", "13/01/2013", "a date MM/DD/YYYY"),
        ("Sale", "2013-02-01", "a date MM/DD/YYYY"),
        ("X", "west", "degrees"),
        ("X", 400.5, "degrees from"),
    ],
)
def test_a_value_of_another_form_leaves_its_field_unread_and_the_others_are_stored(
    field: str, value: Any, expected: str
) -> None:
    page, before = read(body({}, {field: value}, {field: value})), read(body({}, {}, {}))
    column = next(column for column, (name, _) in SHAPE.columns.items() if name == field)
    assert page.unread == (f"parcel.{column}",)
    assert page.pages[0].absent == {"stories": None, column: None}
    assert by_column(page) == {**by_column(before), column: [None] * 3}
    (issue,) = page.issues
    assert (issue.kind, issue.signature) == ("unread_section", f"parcel.{column}: features[].{field}")
    assert expected in issue.message


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("APN", 90101001, "an APN"), ("OBJECTID", "7", "row ids"), ("OBJECTID", None, "row ids")],
)
def test_whose_rows_they_are_is_strict(field: str, value: Any, expected: str) -> None:
    with pytest.raises(SourceChanged, match=expected) as error:
        read(body({}, {field: value}))
    assert field in error.value.path
    assert read(body({"APN": "9" * 80}, {})).unkeyed == 1


_MISFITS = [
    ("Lot", -5, "lot_size_sqft"),
    ("Lot", 1e30, "lot_size_sqft"),
    ("Built", "20O5", "construction_year"),
    ("Deed", _DEED - 7 * 3_600_000, "deed_date"),
    ("Value", "1.200 x", "full_cash_value"),
    ("Value", "1_000", "full_cash_value"),
    ("Value", "١٢", "full_cash_value"),
    ("Value", "-5", "full_cash_value"),
    ("Value", "9" * 5000, "full_cash_value"),
    ("Sale", "2013-02-01", "sale_date"),
    ("Sale", "31/01/2013", "sale_date"),
    ("X", 400.5, "longitude"),
]


@pytest.mark.parametrize(("field", "value", "column"), _MISFITS)
@pytest.mark.parametrize(("rows", "most"), [(2, 1), (150, 1), (300, 3)])
def test_a_few_values_of_another_form_are_left_out_and_told(
    field: str, value: Any, column: str, rows: int, most: int
) -> None:
    right: list[dict[str, Any]] = [{}] * (rows - most)
    page = read(body(*[{field: value}] * most, *right))
    stored = by_column(page)[column]
    assert stored[:most] == [None] * most
    assert stored[most:] == [row(body())[column]] * len(right)
    assert page.pages[0].absent == {"stories": None, column: frozenset(range(most))}
    assert page.unread == ()
    (issue,) = page.issues
    assert (issue.kind, issue.signature) == ("odd_value", f"E.{field}")
    assert isinstance(issue.example, dict)
    assert issue.example["rows"] == most
    more = read(body(*[{field: value}] * (most + 1), *right[:-1]))
    assert (more.unread, by_column(more)[column]) == ((f"parcel.{column}",), [None] * rows)


def test_values_of_another_type_and_of_another_form_count_together() -> None:
    some: list[dict[str, Any]] = [{"Value": 5}, {"Value": "x"}]
    plain: list[dict[str, Any]] = [{}] * 198
    assert read(body(*some, *plain)).unread == ()
    assert read(body(*some, {"Value": "-"}, *plain[1:])).unread == ("parcel.full_cash_value",)


def test_values_that_cannot_be_true_are_left_out_and_told() -> None:
    page = read(body({"Built": 3024}, {"Built": 1492}, {"Deed": 86_400_000 * 60_000 + 7 * 3_600_000}))
    columns = dict(zip(gis.COLUMNS, page.pages[0].columns, strict=True))
    assert list(columns["construction_year"]) == [None, None, 1977]
    assert columns["deed_date"][2] is None
    # Of the right form: any number of them may be, and each keeps what is stored.
    assert (page.unread, page.pages[0].absent["construction_year"]) == ((), frozenset((0, 1)))
    assert {issue.signature for issue in page.issues} == {"E.Built", "E.Deed"}


def test_rows_without_an_apn_count_and_are_not_stored() -> None:
    page = read(body({"APN": None}, {}, {"APN": "ROAD"}))
    assert (page.unkeyed, page.apns, page.ids) == (2, ["90101001A"], [7, 8, 9])
    assert [issue.kind for issue in page.issues] == ["no_apn"]
    streets = read(body(*[{"APN": None}] * 49))
    assert (streets.unkeyed, streets.apns, len(streets.ids)) == (49, [], 49)
    with pytest.raises(SourceChanged, match="none in a whole page"):
        read(body(*[{"APN": None}] * 50))


_HOME = {
    "apn": ("APN", "code"),
    "owner_name": ("Owner", "owner"),
    "mail_address_1": ("Mail", "address"),
    "mail_zip": ("Zip", "zip"),
    "mail_state": ("State", "address_code"),
    "street_number": ("House", "address_words"),
    "deed_number": ("Deed", "code"),
    "sale_price": ("Price", "money"),
}
_HOME_ROW = {
    "Owner": "QUAIL RUN LLC",
    "Mail": "1 E A ST",
    "Zip": "85001",
    "State": "AZ",
    "House": 7,
    "Deed": "12345-0678",
    "Price": 5,
}


def _homes(*changes: dict[str, Any], drop: str = "") -> dict[str, list[Any]]:
    rows = [{**_HOME_ROW, "APN": f"9010100{at}", "OBJECTID": at, **one} for at, one in enumerate(changes)]
    for one in rows:
        one.pop(drop, None)
    page = gis.parse_features(
        json.dumps({"features": [{"attributes": one} for one in rows]}).encode(),
        gis.Shape("E", "utc", _HOME),
        "OBJECTID",
    )
    return {**by_column(page), "absent": [page.pages[0].absent]}


def test_a_number_whose_last_digits_were_rounded_is_none() -> None:
    assert _homes({"Price": 9007199254740992.0}, {"Price": 9007199254740994.0})["sale_price"] == [
        9007199254740992,
        None,
    ]


def test_what_a_layer_withholds_is_no_value() -> None:
    found = _homes(
        {"Zip": "0", "Mail": " n/a "},
        {"State": "NA", "House": "N/A"},
        {"Owner": "NADIA", "Zip": "00000"},
        {"Deed": "NOD-12345"},
    )
    assert found["mail_zip"] == [None, "85001", "00000", "85001"]
    assert found["mail_address_1"] == [None, *["1 E A ST"] * 3]
    assert (found["mail_state"][1], found["street_number"][1]) == (None, None)
    assert found["owner_name"] == ["QUAIL RUN LLC", "QUAIL RUN LLC", "NADIA", "QUAIL RUN LLC"]
    assert found["deed_number"] == [*["12345-0678"] * 3, "NOD-12345"]


@pytest.mark.parametrize("word", ["NA", "N/A", "na", " N/a "])
def test_with_an_owner_its_addresses_are_withheld_whatever_is_said_of_them(word: str) -> None:
    found = _homes({"Owner": word}, {})
    private = ("owner_name", "mail_address_1", "mail_zip", "mail_state", "street_number")
    assert [found[column] for column in private] == [
        [None, "QUAIL RUN LLC"],
        [None, "1 E A ST"],
        [None, "85001"],
        [None, "AZ"],
        [None, "7"],
    ]
    assert (found["deed_number"], found["sale_price"], found["absent"]) == (["12345-0678"] * 2, [5, 5], [{}])
    # Of a field that did not come, what is stored of the row goes too.
    assert _homes({"Owner": word}, {}, drop="Mail")["absent"] == [{"mail_address_1": frozenset((1,))}]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b'{"error": {"code": 500, "message": "Error performing query operation", "details": []}}',
            ServiceError,
        ),
        (b'{"error": {"code": 429, "message": "Too many requests"}}', Throttled),
        (b'{"error": {"code": 400}}', BadRequest),
        (b'{"error": {"code": [], "message": null}}', ServiceError),
        (b'{"error": "gone"}', ServiceError),
        (b"<html>", Soft404),
        (b'{"features": [', Malformed),
        (b"[]", Malformed),
        (b'{"features": {}}', Malformed),
        (b'{"features": [1]}', Malformed),
        (b'{"features": [{"attributes": null}]}', Malformed),
    ],
)
def test_an_answer_that_is_none(content: bytes, error: type[PageError]) -> None:
    with pytest.raises(error):
        read(content)


@pytest.mark.parametrize("page", [None, 0, "2000", True])
def test_a_layer_that_does_not_say_how_many_rows_it_gives_is_asked_for_as_many_as_the_manifest_says(
    page: Any,
) -> None:
    names = {"OBJECTID": "OID", "APN": "String"}
    fields = [{"name": name, "type": f"esriFieldType{kind}"} for name, kind in names.items()]
    layer = gis.parse_layer(
        json.dumps({"fields": fields, "maxRecordCount": page}).encode(),
        gis.Shape("E", "utc", {"apn": ("APN", "code")}),
    )
    assert (layer.page, list(layer.notes.absent)) == (0, ["E.maxRecordCount"])


@pytest.mark.parametrize(
    ("columns", "mistake"),
    [
        ({"apn": ("APN", "code"), "colour": ("C", "text")}, "there is no column colour"),
        ({"apn": ("APN", "txt")}, "there is no kind txt"),
        ({}, "column apn is missing"),
    ],
)
def test_a_manifest_s_mistake_is_named(columns: dict[str, tuple[str, str]], mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        gis.Shape("E", "utc", columns)


def test_rings_become_polygons_with_their_holes_and_parts() -> None:
    outer = [[0, 0], [0, 9], [9, 9], [9, 0], [0, 0]]
    hole = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]
    apart = [[20, 20], [20, 21], [21, 21], [20, 20]]
    assert json.loads(geojson({"rings": [outer, hole], "ids": [[0]]}) or "") == {
        "type": "Polygon",
        "coordinates": [outer[::-1], hole[::-1]],
    }
    two = json.loads(geojson({"rings": [outer, apart, hole]}) or "")
    assert two == {"type": "MultiPolygon", "coordinates": [[outer[::-1], hole[::-1]], [apart[::-1]]]}
    assert geojson(None) is geojson({"rings": []}) is None


@pytest.mark.parametrize("broken", [{"rings": [[["a", 1]]]}, {"paths": []}, 5])
def test_what_is_no_polygon_is_refused(broken: object) -> None:
    with pytest.raises(SourceChanged):
        geojson(broken)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["APN", "rings", "Owner", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(_ROW, _VALUES)), max_size=3), _VALUES)
def test_whatever_comes_it_is_a_page_or_a_named_error(changes: list[dict[str, Any]], geometry: Any) -> None:
    raw = json.loads(body(*changes))
    for one in raw["features"]:
        one["geometry"] = geometry
    for content in (
        json.dumps(raw).encode(),
        json.dumps(changes).encode(),
        json.dumps({"features": changes}).encode(),
    ):
        try:
            page = read(content, outlines=True)
        except PageError:
            continue
        assert all(len(column) == len(one) for one in page.pages for column in one.columns)


# Blanks, numbers at their limits and rounded ones, words that withhold, values of another type.
_TEXTS = ("", " ", "NA", "n/a ", "a\tb", "\xa0x", "x\x1c", "\xe9 ", "a" * 65, "1,2", "02/01/2013")
_NUMBERS = (0, -1, 1977, 4.5, 3.0, 2**31, 2**63, -(2**63) - 1, 2**70, 1e300, -0.0, _DEED, _DEED + 1)
_SAID: st.SearchStrategy[Any] = st.sampled_from([None, True, [], {}, *_TEXTS, *_NUMBERS])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(_ROW, _SAID)), max_size=4),
    st.dictionaries(st.sampled_from(["Link", "New", "Built"]), _SAID, max_size=2),
    st.dictionaries(
        st.sampled_from(["exceededTransferLimit", "fields", "hasZ", "properties", "error"]), _SAID, max_size=2
    ),
    st.sampled_from(["attributes", "properties"]),
)
def test_a_plain_page_is_read_as_every_other(
    changes: list[dict[str, Any]], more: dict[str, Any], envelope: dict[str, Any], holder: str
) -> None:
    content = body(*changes, **envelope).replace(b'"attributes"', b'"%b"' % holder.encode())
    if more:
        content = content.replace(b'"Owner"', b'%b, "Owner"' % json.dumps(more).encode()[1:-1], 1)

    def outcome() -> Any:
        try:
            return read(content)
        except PageError as error:
            return type(error), str(error)

    quickly = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gis, "plain_page", lambda *read: None)
        assert repr(outcome()) == repr(quickly)


def test_most_pages_are_plain() -> None:
    columns = SHAPE.without(["Stories"])
    page = plain_page(body({}, {"Owner": None}, fields=[], exceededTransferLimit=True), "OBJECTID", columns)
    assert page is not None
    values, fields, cut = page
    assert values[2] == (" QUAIL RUN LLC ", None)
    assert (fields, cut) == ([], True)
    # Another field, more than 64 bits, another type, a NUL; and a field that is missing.
    for odd in ({"Link": 1}, {"Lot": 2**63}, {"Built": True}, {"X": "1"}, {"Owner": "a\0"}):
        assert plain_page(body(odd), "OBJECTID", columns) is None
    assert plain_page(body(), "OBJECTID", SHAPE.all_columns) is None


def test_the_row_ids_of_a_whole_county_are_one_answer() -> None:
    ids = b",".join(b"%d" % number for number in range(10_000_000, 11_760_000))
    body = b'{"objectIdFieldName":"OBJECTID","objectIds":[' + ids + b"]}"
    assert len(body) < load()[1]["gis"].max_body
    assert len(gis.parse_ids(body)) == 1_760_000
