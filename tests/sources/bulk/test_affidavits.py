"""The parser of the Sales Affidavits: the captured line field by field, and lines of the sandbox in every
form.
"""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.sandbox.bulk.affidavits import HEADER, lines
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_layout import layout_of
from maricopa_scrapy.sources.bulk.file_lines import Lines, parse_lines
from tests.helpers.affidavits import cell, changed

LINE = next(line for line in lines(County(), 1) if line != HEADER)
FIELDS = tuple(SALES_AFFIDAVITS.record.model_fields)


def rows(read: Lines) -> list[dict[str, Any]]:
    return [
        dict(zip(FIELDS, row, strict=True)) for page in read.pages for row in zip(*page.columns, strict=True)
    ]


def row(line: str, header: str = HEADER) -> dict[str, Any]:
    read = parse_lines([line], SALES_AFFIDAVITS, "here", 2, layout_of(SALES_AFFIDAVITS, header))
    assert read.rejects == []
    return rows(read)[0]


@pytest.mark.skipif(not os.environ.get("MARICOPA_CAPTURES"), reason="MARICOPA_CAPTURES is not set")
def test_the_captured_line_is_read_field_by_field() -> None:
    path = Path(os.environ["MARICOPA_CAPTURES"]) / "bulk" / "sales_affidavits_head.txt"
    header, *text = path.read_text().splitlines()
    assert header == HEADER
    assert text
    for line in text:
        found = row(line, header)
        for name, field in zip(header.split("|"), FIELDS, strict=False):
            said, value = cell(line, name), found[field]
            if field == "deed_number":
                assert (value, found["deed_number_raw"]) == (said if len(said) == 11 else "20" + said, said)
            elif field == "sale_month":
                assert value[5:] + value[:4] == said
            elif field == "deed_date":
                assert f"{value:%m%d%Y}" == said
            else:
                assert ("" if value is None else str(value)) == said, name
        assert found["occurrence"] == 1


@pytest.mark.parametrize(
    ("name", "said", "field", "value"),
    [
        ("PARCELNUMBER", "209-04-027B", "apn", "20904027B"),
        ("PARCELNUMBER", " 209 04 027b", "apn", "20904027B"),
        ("PARCELNUMBER", "00904027", "apn", "00904027"),
        ("SALEDATE_MMYYYY", "012000", "sale_month", "2000-01"),
        ("SALEDATE_MMYYYY", "", "sale_month", None),
        ("SALEPRICE", "", "sale_price", None),
        ("SALEPRICE", "210000", "sale_price", 210_000),
        ("SALEPRICE", "210000.00", "sale_price", 210_000),
        ("SALEPRICE", "0", "sale_price", 0),
        ("DEEDNUMBER", "000000267", "deed_number", "20000000267"),
        ("DEEDNUMBER", "991234567", "deed_number", "19991234567"),
        ("DEEDNUMBER", "20071041807", "deed_number", "20071041807"),
        ("DEEDDATE_MMDDYYYY", "01032000", "deed_date", dt.date(2000, 1, 3)),
        ("DEEDDATE_MMDDYYYY", "05142048", "deed_date", dt.date(2048, 5, 14)),
        ("SITUSZIP", "00501", "property_zip", "00501"),
        ("SITUSZIP", "852251234", "property_zip", "852251234"),
        ("GRANTORZIP", "T2P 1J9", "grantor_zip", "T2P 1J9"),
        ("GRANTEEOWNERNAME", "  LÓPEZ & SÖHNE  ", "grantee_name", "LÓPEZ & SÖHNE"),
    ],
)
def test_values_as_the_county_writes_them(name: str, said: str, field: str, value: Any) -> None:
    assert (row(changed(LINE, **{name: said}))[field] or None) == (value or None)
    assert row(changed(LINE, **{name: said}))["deed_number_raw"] == cell(
        changed(LINE, **{name: said}), "DEEDNUMBER"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("PARCELNUMBER", ""),
        ("PARCELNUMBER", "2090402"),
        ("SALEDATE_MMYYYY", "132005"),
        ("SALEDATE_MMYYYY", "000000"),
        ("SALEDATE_MMYYYY", "2000"),
        ("SALEPRICE", "-5"),
        ("SALEPRICE", "1,000"),
        ("SALEPRICE", "210000.50"),
        ("SALEPRICE", "9" * 20),
        ("DEEDNUMBER", ""),
        ("DEEDNUMBER", "2007104180"),
        ("DEEDNUMBER", "20261870426.0"),
        ("DEEDNUMBER", "18990000267"),
        ("DEEDDATE_MMDDYYYY", "IA"),
        ("DEEDDATE_MMDDYYYY", "02302000"),
        ("GRANTORSTATE", "SCOTTSDALE"),
        ("GRANTEEZIP", "AZ"),
        ("NUMBEROFPARCELS", "N"),
        ("SALEPRICE", "\u0661"),
        ("GRANTEEOWNERNAME", "caf\udce9"),
    ],
)
def test_a_line_with_another_value_is_set_aside_with_its_number_and_the_rest_stays(
    name: str, said: str
) -> None:
    text = [LINE, changed(LINE, **{name: said}), changed(LINE, SALEPRICE="7")]
    read = parse_lines(text, SALES_AFFIDAVITS, "here", 40)
    assert [one.number for one in read.rejects] == [41]
    assert name in read.rejects[0].reason or "UTF-8" in read.rejects[0].reason
    assert read.rejects[0].line.encode()
    assert (read.numbers, [one["sale_price"] for one in rows(read)][1]) == ([40, 42], 7)


def test_every_line_of_the_sandbox_is_a_row_or_set_aside() -> None:
    text = list(lines(County(seed=5), 6000, 60))
    assert text == list(lines(County(seed=5), 6000, 60))
    assert text != list(lines(County(seed=6), 6000, 60))
    read = parse_lines(text[1:], SALES_AFFIDAVITS, "here", 2)
    assert (len(read.numbers), len(read.rejects)) == (5940, 60)
    assert {one.reason.split(":")[0] for one in read.rejects} == {
        "column 2 (SALEDATE_MMYYYY)",
        "column 1 (PARCELNUMBER)",
        "45 columns, not 44",
        "43 columns, not 44",
        "column 5 (DEEDDATE_MMDDYYYY)",
        "column 19 (GRANTORSTATE)",
    }
    assert sorted(read.numbers + [one.number for one in read.rejects]) == list(range(2, 6002))
