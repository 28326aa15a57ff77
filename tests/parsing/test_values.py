"""The county's values, one by one: what is taken, what is missing, what fails and how it says so."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from maricopa_scrapy.parsing import errors, shapes, values
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.parsing.notes import Notes

MISSING: tuple[Any, ...] = (None, "", "   ", "na", " na ", [], {})
NOT_NUMBERS = (
    "1,000",
    "$5",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "٣",
    "²",
    "12a",
    "0x1",
    "1 2",
    "1_0",
    "9" * 20,
    "9" * 5000,
    -1,
    1.5,
    2**63,
    1e300,
    float("inf"),
    float("nan"),
    True,
    [0],
    {"a": 1},
    "n/a",
    "None",
    "\0001",
)


@pytest.mark.parametrize("raw", MISSING)
@pytest.mark.parametrize(
    "coerce",
    [
        values.text,
        values.code,
        values.count,
        values.money,
        values.land,
        values.quantity,
        values.year,
        values.fraction,
        values.coordinate,
        values.date,
        values.flag,
        values.yes_no,
        values.scalar,
    ],
)
def test_missing(coerce: values.Coercion, raw: object) -> None:
    assert coerce(raw, "p") is None


@pytest.mark.parametrize(
    ("coerce", "raw", "expected"),
    [
        (values.text, " ACME \t", "ACME"),
        (values.text, "NA", "NA"),
        (values.text, "Na", "Na"),
        (values.text, "NA LILI", "NA LILI"),
        (values.text, "AÑO 😀", "AÑO 😀"),
        (values.code, "2.R ", "2.R"),
        (values.code, "000101", "000101"),
        (values.count, 0, 0),
        (values.count, "1", 1),
        (values.count, "007", 7),
        (values.count, 3.0, 3),
        (values.count, "NA", None),
        (values.count, 2**31 - 1, 2**31 - 1),
        (values.money, "255234      ", 255234),
        (values.money, str(2**63 - 1), 2**63 - 1),
        (values.land, "4000000000", 4_000_000_000),
        (values.quantity, False, 0),
        (values.quantity, "382", 382),
        (values.quantity, 0, 0),
        (values.year, "1961", 1961),
        (values.year, 0, None),
        (values.year, "0", None),
        (values.fraction, "0.1500", Decimal("0.1500")),
        (values.fraction, "1", Decimal(1)),
        (values.coordinate, -112.074, Decimal("-112.074")),
        (values.coordinate, "33.4484", Decimal("33.4484")),
        (values.coordinate, 33, Decimal(33)),
        (values.date, "02/29/2024", dt.date(2024, 2, 29)),
        (values.flag, False, False),
        (values.yes_no, "Y ", True),
        (values.yes_no, "N", False),
        (values.scalar, 12, 12),
        (values.scalar, "04-AUG-08", "04-AUG-08"),
    ],
)
def test_taken(coerce: values.Coercion, raw: object, expected: Any) -> None:
    found = coerce(raw, "p")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("raw", NOT_NUMBERS)
@pytest.mark.parametrize("coerce", [values.count, values.money, values.land, values.quantity, values.year])
def test_not_a_number(coerce: values.Coercion, raw: object) -> None:
    with pytest.raises(SourceChanged) as caught:
        coerce(raw, "Owner.SalePrice")
    assert str(caught.value).startswith("Owner.SalePrice: expected ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("coerce", "raw"),
    [
        *((values.text, raw) for raw in (0, 1.0, False, True, ["a"], {"a": 1})),
        *((values.code, raw) for raw in (85003, "x" * 65)),
        (values.count, "2147483648"),
        # 2^53 + 1 with a point is read as 2^53.
        (values.money, 9007199254740994.0),
        (values.quantity, True),
        *((values.year, raw) for raw in ("1799", "2101", 19, "61")),
        *(
            (values.fraction, raw)
            for raw in ("1.01", "15", "0,15", ".15", "-0.1", "0.1234567891", 0.15, 0, "Infinity", "NaN")
        ),
        *((values.coordinate, raw) for raw in ("181", -180.5, "1e2", float("nan"), True, "12°")),
        *(
            (values.date, raw)
            for raw in (
                "2/9/2024",
                "02/30/2024",
                "2024-02-09",
                "02/09/24",
                "02/09/0001",
                "０2/09/2024",
                20240209,
            )
        ),
        *((values.flag, raw) for raw in ("true", "Y", 0, 1, [False])),
        *((values.yes_no, raw) for raw in ("y", "yes", True, 1)),
        *((values.required_code, raw) for raw in MISSING),
        *((values.required_year, raw) for raw in (*MISSING, 0)),
        *((values.scalar, raw) for raw in (True, 1.5, 2**63, ["a"])),
        *((shapes.json_part, raw) for raw in ("text", 1, True)),
    ],
)
def test_refused(coerce: Callable[[object, str], Any], raw: object) -> None:
    with pytest.raises(SourceChanged, match=r"^Path: expected "):
        coerce(raw, "Path")


def test_json_is_kept_whole_but_for_telephones_and_sketches() -> None:
    raw = [
        {"b": "x\0", "a\0": [1, None, {"HomePhone": "602"}], "cellPHONEs": ["1"], "Sketch": "AAAA"},
        "\ud800",
    ]
    kept: Any = shapes.json_part(raw, "p")
    assert kept == [
        {"Sketch": {"sha256": kept[0]["Sketch"]["sha256"], "length": 4}, "a": [1, None, {}], "b": "x"},
        "",
    ]
    assert list(kept[0]) == ["Sketch", "a", "b"]
    assert shapes.json_part([], "p") is shapes.json_part(None, "p") is None


def test_json_that_is_too_deep_is_refused() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(SourceChanged, match="levels, got a list of 1"):
        shapes.json_part(deep, "p")


def test_a_shape_reads_audits_and_refuses() -> None:
    shape = shapes.Shape("Geo", latitude=("lat", values.coordinate), name=("name", values.text))
    notes = Notes()
    assert shape.read({"lat": "1", "name": "x", "zoom": 1, "Telephone": "602"}, notes) == {
        "latitude": Decimal(1),
        "name": "x",
    }
    assert list(notes.new) == ["Geo.zoom"]
    assert shape.read({"lat": 1}, notes) == {"latitude": Decimal(1), "name": errors.ABSENT}
    assert list(notes.absent) == ["Geo.name"]
    none_of_them: tuple[Any, ...] = (None, [], {})
    for empty in none_of_them:
        assert shape.read(empty, notes) == {"latitude": None, "name": None}
    for raw, message in (
        ([1], "Geo: expected an object, got a list of 1"),
        ("x", "Geo: expected an object, got 'x'"),
        ({"lat": "x" * 999, "name": ""}, r"Geo\.lat: expected degrees, got 'x{76}\.\.\."),
    ):
        with pytest.raises(SourceChanged, match=message):
            shape.read(raw, notes)
    with pytest.raises(SourceChanged, match="a list, got an object with 0"):
        shape.rows({"0": {}}, notes)


def test_errors_show_no_more_than_they_should() -> None:
    deep: Any = "602-555-0101"
    for _ in range(2000):
        deep = [deep]
    assert errors.shown(deep) == "a list of 1"
    assert "602" not in errors.shown({"Phone": "602-555-0101"})
    assert len(errors.shown("x\0" * 10_000_000)) == 80
    assert "\0" not in errors.shown("\0\ud800")
    errors.shown("\0\ud800").encode()
    errors.shown({"\ud800": 1}).encode()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'["A\u0000B\ud800C", "\u0000 na \u0000"]', ["ABC", " na "]),
        (rb'["\\u0000", "\\\u0000x", "\ud83d\ude00"]', ["\\u0000", "\\x", "😀"]),
        (rb'{"a\u0000b": 1}', {"ab": 1}),
    ],
)
def test_what_no_text_column_can_hold_is_dropped_from_the_body(body: bytes, value: object) -> None:
    assert decode(body) == value
