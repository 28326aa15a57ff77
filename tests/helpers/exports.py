"""What the tests of exports share: a small database with awkward values, and exports read back by other
programs.
"""

import datetime as dt
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import psycopg2
from openpyxl.utils.escape import unescape

from tests.conftest import Database

NAMES = ("properties", "valuations", "taxes", "sales", "documents")
AT = "2026-11-01 08:09:10.123456+00"
# Each begins with what a spreadsheet runs, or with the sign that defuses.
RISKY = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "'quoted", "="]
PLAIN = [
    'O\'BRIEN, "JR"',
    "line\nbreak",
    "Ñandú — 東京",
    "a;=1",
    " =1",
    "",
    None,
    "NULL",
    "0123",
    "1E5",
    "\\N",
    "true",
    "2026-01-02",
    "a,b",
]
TEXTS = RISKY + PLAIN
APNS = [f"{90101001 + at}" for at in range(len(TEXTS) - 1)] + ["00123456A"]
# Job 1 asks for all of these but the last two; of the last the GIS alone knows.
OURS = APNS[:-2]
# What every stored row has beside its values.
STAMPS = {"content_hash": b"", "capture_sha256": b"", "first_seen_at": AT, "changed_at": AT}


def fill(database: Database) -> None:
    """A parcel for each text, told by the assessor, the last by the GIS; bills, values, sales, documents; two
    jobs.
    """

    connection = psycopg2.connect(database.url)
    cursor = connection.cursor()

    def add(table: str, **values: Any) -> None:
        given = values if table.startswith("crawl.") else values | STAMPS
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(given)}) VALUES ({', '.join(['%s'] * len(given))})",
            list(given.values()),
        )

    def target(job: int, source: str, kind: str, key: str, state: str = "done", **more: Any) -> None:
        add("crawl.target", job_id=job, source=source, kind=kind, key=key, state=state, done_at=AT, **more)

    for kind, verdict in (("comprehensive", "completed_with_failures"), ("tax", "completed")):
        add(
            "crawl.job",
            type=kind,
            mode="api_only",
            is_sandbox=True,
            priority="normal",
            parameters="{}",
            state="finished",
            verdict=verdict,
        )
    for at, (apn, text) in enumerate(zip(APNS, TEXTS, strict=True)):
        if apn in OURS[2:]:
            target(1, "assessor", "parcel", apn)
        if at < 8:
            target(
                2, "treasurer", "parcel", apn, **({"state": "dead", "cause": "timeout"} if at == 7 else {})
            )
        if apn != APNS[-1]:
            add(
                "assessor.parcel",
                apn=apn,
                property_address=text,
                is_rental=at % 2 == 0,
                lot_size_sqft=2**40 + at,
            )
            sold = dt.date(1899 + at * 20, 1, 2)
            add(
                "assessor.owner",
                apn=apn,
                ownership=text,
                deed_number=f"{at:011}",
                deed_date=sold,
                sale_price=at,
            )
        for year in (2025, 2026):
            ratio = Decimal(at) / 8
            add(
                "assessor.valuation",
                apn=apn,
                tax_year=year,
                full_cash_value=at * year,
                assessment_ratio=ratio,
                legal_class=text,
            )
        assessed = Decimal("1234567890123.4567891") if at == 3 else Decimal(f"{at}.10")
        add(
            "treasurer.bill",
            apn=apn,
            tax_year=2026,
            status="unpaid",
            status_text=text or "",
            assessed=assessed,
            paid=Decimal("0.30"),
            amount_due=Decimal(at),
            first_half_until=AT,
        )
    target(1, "gis", "list", "two", detail=json.dumps({"apns": OURS[:2]}))
    target(1, "recorder", "document", "20130183449")
    target(1, "recorder", "document", "20130183450", "gone")
    add(
        "gis.parcel",
        apn=APNS[-1],
        layer="E",
        owner_name="=cmd",
        longitude=-112.07403730000001,
        latitude=33.4483771,
        sale_price=5,
        deed_number="01234567890",
        deed_date="2026-02-03",
    )
    add("gis.parcel", apn=APNS[0], layer="E", longitude=-112.5, latitude=33.5)
    ring = [[-112.0, 33.0], [-112.0, 33.1], [-112.1, 33.1], [-112.0, 33.0]]
    add("gis.outline", apn=APNS[1], geometry=json.dumps({"type": "Polygon", "coordinates": [ring]}))
    sale = {
        "sale_month": "2020-01",
        "sale_price": 99,
        "deed_number": "20200000001",
        "grantor_name": "+SELLER",
    }
    add("bulk.sale", apn=OURS[0], deed_number_raw="x", occurrence=1, **sale)
    for number in ("20130183449", "00000000003", "20990000001"):
        add(
            "recorder.document",
            recording_number=number,
            recording_date="2013-02-03",
            restricted=False,
            image_url="=url",
        )
        for name in ('DOE "J"', "=ROE", "a,b"):
            add("recorder.party", recording_number=number, name=name)
    add("recorder.legacy_document", recording_number="00000000004", recorded_at="2001-02-03 04:05:06")
    connection.commit()
    connection.close()


def truth(database: Database, view: str, where: str = "true") -> list[tuple[Any, ...]]:
    """Return the rows of a view as `plain` values, sorted."""
    return in_order(
        [tuple(plain(value) for value in row) for row in database.rows(f"SELECT * FROM {view} WHERE {where}")]
    )


def in_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def plain(value: Any) -> Any:
    """Return a value in the form in which those of all formats are compared: numbers as decimals, dates and
    moments as ISO texts.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return Decimal(repr(value) if isinstance(value, float) else value).normalize()
    if isinstance(value, dt.datetime):
        return (value.astimezone(dt.UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    return list(value) if isinstance(value, list | tuple) else value


def _typed(value: Any, kind: str, is_text_of_lists: bool = True) -> Any:
    """Return a value of a format that knows fewer types than Postgres as `plain` would that of Postgres."""
    if value is None:
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else bool(value)
    if kind in ("integer", "decimal", "float"):
        return plain(Decimal(value) if isinstance(value, str) else value)
    if kind == "list" and is_text_of_lists:
        return json.loads(value)
    return plain(value)


def read(folder: Path, format_: str, name: str, kinds: dict[str, str]) -> list[tuple[Any, ...]]:
    """Read a table of an export back, by what reads that format, as `plain` values; `kinds`: the columns in
    order.
    """
    columns, rows = {"csv": _csv, "xlsx": _xlsx, "parquet": _parquet, "geojson": _geojson, "sqlite": _sqlite}[
        format_
    ](folder, name)
    assert columns == list(kinds), (format_, name)
    lists = format_ not in ("geojson", "parquet")
    return in_order(
        [
            tuple(_typed(value, kind, lists) for value, kind in zip(row, kinds.values(), strict=True))
            for row in rows
        ]
    )


def _csv(folder: Path, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    path = folder / f"{name}.csv"
    with duckdb.connect() as database:
        options = (
            "all_varchar = true, allow_quoted_nulls = false, header = true, delim = ',', quote = '\"', escape"
            " = '\"', new_line = '\\n'"
        )
        database.execute(f"SELECT * FROM read_csv(?, {options}, parallel = false)", [str(path)])
        columns = [column[0] for column in database.description or ()]
        rows = database.fetchall()
    # pandas reads the same texts, but knows no difference between NULL and an empty one.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
    assert list(frame.columns) == columns
    assert in_order(list(frame.itertuples(index=False, name=None))) == in_order(
        [tuple(cell or "" for cell in row) for row in rows]
    )
    return columns, [tuple(_armed(cell) for cell in row) for row in rows]


def _armed(cell: str | None) -> str | None:
    return cell[1:] if cell is not None and cell.startswith("'") else cell


def _xlsx(folder: Path, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(folder / "maricopa.xlsx")
    head, *rows = book[name].iter_rows()
    assert not [cell for row in rows for cell in row if cell.data_type == "f"]
    for row in rows:
        for cell in row:
            assert cell.quotePrefix == (
                isinstance(cell.value, str) and unescape(cell.value)[:1] in tuple("=+-@\t\r\n＝＋－＠'")
            )
    return [cell.value for cell in head], [tuple(_cell(cell) for cell in row) for row in rows]


def _cell(cell: Any) -> Any:
    if cell.is_date:
        return cell.value.date()
    return unescape(cell.value) if isinstance(cell.value, str) else cell.value


def _parquet(folder: Path, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    path = folder / f"{name}.parquet"
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        rows = database.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        columns = [column[0] for column in database.description or ()]
    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    assert (list(frame.columns), len(frame)) == (columns, len(rows))
    return columns, rows


def _geojson(folder: Path, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    features = json.loads((folder / f"{name}.geojson").read_text(), parse_float=Decimal)["features"]
    columns = list(features[0]["properties"]) if features else []
    return columns, [tuple(feature["properties"].values()) for feature in features]


def _sqlite(folder: Path, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(folder / "maricopa.sqlite")) as database:
        cursor = database.execute(f"SELECT * FROM {name}")
        return [column[0] for column in cursor.description], cursor.fetchall()
