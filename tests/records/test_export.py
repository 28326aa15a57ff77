"""`maricopa export`: every format holds what the views hold; what is not whole never looks so."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.export import excel
from maricopa_scrapy.records.export.export import FORMATS
from maricopa_scrapy.records.export.selection import Selection
from tests.conftest import ROOT, Database
from tests.helpers import exports
from tests.helpers.command import Maricopa, wait_for

VIEWS = {
    "properties": "property",
    "valuations": "valuation",
    "taxes": "tax",
    "sales": "sale",
    "documents": "document",
}


@pytest.fixture
def maricopa(tmp_path: Path, database: Database) -> Maricopa:
    exports.fill(database)
    return Maricopa(database, "", tmp_path / "data")


def _kinds(database: Database) -> dict[str, dict[str, str]]:
    session = Session(database.url)
    with session.snapshot() as connection:
        selection = Selection(connection)
        tables = (*selection.tables, selection.summary({}))
    return {table.name: {column.name: column.kind for column in table.columns} for table in tables}


def _exported(maricopa: Maricopa, to: Path, *arguments: str) -> Path:
    said = maricopa.here("export", "--to", str(to), *arguments)
    assert said.code == 0, said.errors
    (folder,) = to.iterdir()
    assert said.out.startswith(f"{folder}: ")
    return folder


def test_every_format_holds_what_the_views_hold(
    tmp_path: Path, maricopa: Maricopa, database: Database
) -> None:
    kinds = _kinds(database)
    everything = {name: exports.truth(database, view) for name, view in VIEWS.items()}
    ours = "apn = ANY(ARRAY['{}'])".format("','".join(exports.OURS))
    of_job = {
        name: exports.truth(database, view, ours) for name, view in VIEWS.items() if name != "documents"
    }
    of_job["documents"] = exports.truth(database, "document", f"{ours} OR recording_number = '20130183449'")
    assert [len(rows) for rows in everything.values()] > [len(rows) for rows in of_job.values()]
    assert {row[0] for row in of_job["documents"]} == {None, exports.OURS[3], exports.OURS[4]}
    for format_ in FORMATS:
        for job, expected in ((None, everything), (1, of_job)):
            folder = _exported(
                maricopa,
                tmp_path / f"{format_} {job}",
                "--format",
                format_,
                *(("--job", str(job)) if job else ()),
            )
            for name, rows in expected.items():
                assert exports.read(folder, format_, name, kinds[name]) == rows, (format_, job, name)
            summary = exports.read(folder, format_, "summary", kinds["summary"])
            assert {(row[2], int(row[3])) for row in summary if row[0] == "table"} == {
                (name, len(rows)) for name, rows in expected.items()
            }
            outcome = "completed_with_failures" if job else None
            assert {(row[4] and int(row[4]), row[5]) for row in summary} == {(job, outcome)}
            ledger = {(row[0], row[1], row[2], int(row[3])) for row in summary if row[0] != "table"}
            assert ("targets", "recorder", "gone", 1) in ledger
            assert (("failures", "treasurer", "timeout", 1) in ledger) == (job is None)
            names = (
                [f"{name}.{format_}" for name in (*VIEWS, "summary")]
                if format_ not in ("xlsx", "sqlite")
                else [f"maricopa.{format_}"]
            )
            assert sorted(path.name for path in folder.iterdir()) == sorted(names)
            assert re.fullmatch(
                rf"maricopa-{f'job-{job}' if job else 'everything'}-\d{{8}}T\d{{6}}Z", folder.name
            )


def test_a_csv_is_safe_and_apns_are_texts(tmp_path: Path, maricopa: Maricopa) -> None:
    folder = _exported(maricopa, tmp_path / "csv")
    text = (folder / "properties.csv").read_bytes().decode()
    assert '"00123456A",' in text
    assert ',"\'=cmd",' in text
    for name in (*VIEWS, "summary"):
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                risky = {
                    column: cell
                    for column, cell in row.items()
                    if cell[:1] and cell[0] in "=+-@\t\r\n＝＋－＠"
                }
                assert set(risky) <= {"longitude"}, risky
                assert (
                    row.get("changed_at", exports.AT.replace(" ", "T") + ":00")
                    == "2026-11-01T08:09:10.123456+00:00"
                )


def test_geojson_has_the_place_of_each_parcel(tmp_path: Path, maricopa: Maricopa) -> None:
    folder = _exported(maricopa, tmp_path / "geojson", "--format", "geojson")
    features = json.loads((folder / "properties.geojson").read_text())["features"]
    places = {feature["properties"]["apn"]: feature["geometry"] for feature in features}
    assert places[exports.APNS[-1]] == {"type": "Point", "coordinates": [-112.07403730000001, 33.4483771]}
    assert places[exports.APNS[0]] == {"type": "Point", "coordinates": [-112.5, 33.5]}
    assert places[exports.APNS[1]]["type"] == "Polygon"
    assert places[exports.APNS[2]] is None
    if shutil.which("ogr2ogr"):
        to = tmp_path / "by_ogr.csv"
        command = [
            "ogr2ogr",
            "-f",
            "CSV",
            str(to),
            str(folder / "properties.geojson"),
            "-lco",
            "GEOMETRY=AS_WKT",
        ]
        subprocess.run(command, check=True, timeout=60)
        with to.open(newline="", encoding="utf-8") as file:
            rows = {row["apn"]: row for row in csv.DictReader(file)}
        assert set(rows) == set(exports.APNS)
        assert rows[exports.APNS[-1]]["WKT"] == "POINT (-112.0740373 33.4483771)"
        assert rows[exports.APNS[3]]["deed_number"] == "00000000003"


def test_the_document_names_every_column_in_order(database: Database) -> None:
    page = (ROOT / "docs" / "export.md").read_text()
    for name, columns in _kinds(database).items():
        section = page.split(f"\n### {name}\n", 1)[1].split("\n### ")[0]
        assert dict(re.findall(r"(?m)^\| `(\w+)` \| (\w+) \|", section)) == columns, name
        assert re.findall(r"(?m)^\| `(\w+)` \|", section) == list(columns), name


def test_a_long_table_goes_on_in_further_sheets(
    tmp_path: Path, maricopa: Maricopa, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openpyxl

    monkeypatch.setattr(excel, "ROWS", 11)
    folder = _exported(maricopa, tmp_path / "xlsx", "--format", "xlsx")
    book = openpyxl.load_workbook(folder / excel.NAME)
    assert book.sheetnames[:3] == ["properties", "properties 2", "properties 3"]
    found = [row[0].value for name in book.sheetnames[:3] for row in list(book[name].iter_rows())[1:]]
    assert sorted(found) == sorted(exports.APNS)


def test_a_property_has_the_place_that_the_gis_knows_and_no_day_that_nobody_knows(
    maricopa: Maricopa, database: Database
) -> None:
    for apn, day in ((exports.APNS[0], "2004-06-01"), (exports.APNS[1], "2004-06-17")):
        database.rows("UPDATE assessor.owner SET sale_date = %s WHERE apn = %s RETURNING 1", day, apn)
    found = (
        "SELECT longitude, latitude, sale_month, sale_date::text, source FROM property WHERE apn = ANY(%s)"
        " ORDER BY apn"
    )
    assert database.rows(found, exports.APNS[:2]) == [
        (-112.5, 33.5, "2004-06", None, "assessor"),
        (None, None, "2004-06", "2004-06-17", "assessor"),
    ]


def test_what_belongs_to_a_job(maricopa: Maricopa, database: Database) -> None:
    first, other, last = exports.APNS[0], exports.APNS[5], exports.APNS[-1]
    days, numbers = {"since": "2026-02-01", "until": "2026-02-28"}, {"20990000001", "00000000004"}
    cases: list[tuple[list[tuple[Any, ...]], set[str], set[str]]] = [
        ([("treasurer", "parcel", other, {})], {other}, set()),
        ([("gis", "list", "a list", {"apns": [other, last]})], {other, last}, set()),
        ([("gis", "layer", "county", {})], {first, last}, set()),
        ([("gis", "layer", "since", days), ("gis", "range", "E ids 1-9", {})], {last}, set()),
        ([("bulk", "file", "/tmp/Sales_Affidavits.zip", {"file": "sales_affidavits"})], {first}, set()),
        (
            [
                ("recorder", "document", "20990000001 again 1", {"number": "20990000001"}),
                ("recorder_legacy", "page", "00000000004", {}),
            ],
            set(),
            numbers,
        ),
        # With a suffix it is another document.
        ([("recorder_legacy", "page", "20990000001A", {})], set(), set()),
    ]
    session = Session(database.url)
    for targets, apns, documents in cases:
        job = database.one(
            "INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters) VALUES ('x', 'x', true,"
            " 'normal', '{}') RETURNING id"
        )
        for *target, detail in targets:
            statement = (
                "INSERT INTO crawl.target (job_id, source, kind, key, detail) VALUES (%s, %s, %s, %s, %s)"
                " RETURNING 1"
            )
            database.rows(statement, job, *target, json.dumps(detail))
        with session.snapshot() as connection:
            selection = Selection(connection, job)
            found = {
                table.name: [row for rows in selection.rows(table) for row in rows]
                for table in selection.tables
            }
        assert selection.outcome == "pending"
        assert {row[0] for row in found["properties"]} == {row[0] for row in found["taxes"]} == apns, targets
        assert {row[0] for row in found["sales"]} <= apns
        assert {row[1] for row in found["documents"]} == documents, targets


def test_mistakes_are_one_line(tmp_path: Path, maricopa: Maricopa, database: Database) -> None:
    (tmp_path / "file").write_text("")
    to = str(tmp_path / "out")
    long = "x" * 40_000
    database.rows(
        "UPDATE assessor.owner SET ownership = %s WHERE apn = %s RETURNING 1", long, exports.APNS[0]
    )
    for arguments, message in (
        (("--to", to, "--format", "xls"), "--format xls: there is csv, xlsx, parquet, geojson, sqlite"),
        (("--to", to, "--job", "77"), "there is no job 77"),
        (("--to", str(tmp_path / "file")), "File exists"),
        (("--to", str(tmp_path / "file" / "below")), "Not a directory"),
        (("--to", to, "--format", "xlsx"), r"properties, row \d+: ownership has 40,000 characters"),
    ):
        said = maricopa.here("export", *arguments)
        assert (said.code, said.errors.count("\n")) == (2, 1), said
        assert re.search(message, said.errors), said.errors
    assert list((tmp_path / "out").iterdir()) == []
    database.rows("UPDATE treasurer.bill SET assessed = 1e-20 WHERE apn = %s RETURNING 1", exports.APNS[0])
    said = maricopa.here("export", "--to", to, "--format", "parquet")
    assert (said.code, said.errors.count("\n")) == (2, 1)
    assert "taxes: Parquet cannot hold a value" in said.errors
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("format_", FORMATS)
def test_a_disk_that_is_full_leaves_nothing(
    tmp_path: Path, maricopa: Maricopa, database: Database, format_: str
) -> None:
    # A limit of a file's size stands in for the disk's: both fail in the middle of writing.
    text = "SELECT string_agg(md5(apn || i), '') FROM generate_series(1, 900) i"
    database.rows(f"UPDATE assessor.owner SET in_care_of = ({text}) RETURNING 1")
    size = 100_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    said = _start(maricopa, tmp_path / "out", "--format", format_, preexec_fn=limit)
    _, errors = said.communicate(timeout=60)
    assert (said.returncode, errors.count("\n")) == (2, 1), errors
    assert re.search(r"File too large|disk is full|disk I/O error", errors), errors
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("format_", ["csv", "parquet", "xlsx"])
def test_ctrl_c_leaves_nothing_that_looks_finished(
    tmp_path: Path, maricopa: Maricopa, database: Database, format_: str
) -> None:
    _slow(database)
    out = tmp_path / "out"
    process = _start(maricopa, out, "--format", format_)
    wait_for(lambda: list(out.glob("*.part")))
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_database_that_is_lost_is_said_in_a_line(
    tmp_path: Path, maricopa: Maricopa, database: Database, format_: str
) -> None:
    _slow(database)
    out = tmp_path / "out"
    process = _start(maricopa, out, "--format", format_)
    wait_for(lambda: database.one(_AT_WORK))
    database.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <>"
        " pg_backend_pid()"
    )
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2, errors
    assert errors.startswith("error: the database was lost")
    assert errors.count("\n") == 1
    assert list(out.iterdir()) == []


_AT_WORK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'
      AND starts_with(query, 'COPY')
"""


def _slow(database: Database) -> None:
    """Make the view give a row each 50 ms, over ten minutes of them."""
    definition = database.one("SELECT pg_get_viewdef('valuation')")
    database.rows(
        f"CREATE OR REPLACE VIEW valuation AS SELECT v.* FROM ({definition.rstrip(';')}) v CROSS JOIN"
        " generate_series(1, 1000) i WHERE pg_sleep(0.05)::text = ''; SELECT 1"
    )


def _start(maricopa: Maricopa, to: Path, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "MARICOPA_DATABASE_URL": maricopa.database.url,
        "MARICOPA_DATA_DIR": str(maricopa.folder),
    }
    command = [sys.executable, "-m", "maricopa_scrapy", "export", "--to", str(to), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def test_an_export_never_overwrites(tmp_path: Path, maricopa: Maricopa) -> None:
    import datetime as dt

    from maricopa_scrapy.records.export.export import export
    from maricopa_scrapy.records.export.writers import ExportError

    session = Session(maricopa.database.url)
    now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    done = export(session, tmp_path / "new" / "folder", "csv", None, now)
    assert done.folder == tmp_path / "new" / "folder" / "maricopa-everything-20261101T000000Z"
    with pytest.raises(ExportError, match="is there already; nothing is overwritten"):
        export(session, tmp_path / "new" / "folder", "csv", None, now)
    done.folder.rename(done.folder.with_name(done.folder.name + ".part"))
    with pytest.raises(ExportError, match="another export is at it, or was killed"):
        export(session, tmp_path / "new" / "folder", "csv", None, now)
