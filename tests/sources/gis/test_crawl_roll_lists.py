"""`scrapy crawl roll` for lists of APNs, for the deeds since a day, and for the assessor's bulk files."""

import datetime as dt
import os
import re
import shutil
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import date_of
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawl, Crawler, Database, administer
from tests.helpers.bulk import residential_line, secured_line
from tests.helpers.rolls import agrees, apns, crawler, layer, stored, truth

Start = Callable[..., SandboxProcess]


def _list(tmp_path: Path, lines: list[str]) -> str:
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(lines) + "\n")
    return f"apns={path}"


def test_ten_thousand_parcels_by_list_take_twenty_requests(
    tmp_path: Path, database: Database, county: Start
) -> None:
    of = layer(10_200)
    asked = sorted(apns(of))[:9960] + County().absent(40)
    sandbox = county(gis_parcels=10_200)
    crawl = Crawler(database, sandbox.url, rate=200)("roll", "-a", _list(tmp_path, [*asked, *asked[:5]]))
    assert crawl.code == 0, crawl.log
    by_kind = sandbox.stats()["gis"]["by_kind"]
    assert by_kind["list"] <= 20
    # One for the layer itself, and one that asks how many of the missing ones there are.
    assert {kind: count for kind, count in by_kind.items() if count} == {"list": 20, "layer": 1, "count": 1}
    expected = truth(of)
    assert stored(database) == {apn: expected[apn] for apn in asked[:9960]}
    assert {apn for (apn,) in database.rows("SELECT apn FROM gis.absent")} == set(asked[9960:])
    assert "10000 parcels (10005 given, 5 duplicates, 0 lines skipped)" in crawl.log
    assert "are not in layer E" in crawl.log
    agrees(database)


def test_a_list_stores_the_row_of_the_lowest_floor(tmp_path: Path, database: Database, county: Start) -> None:
    of = layer(9000)
    row = next(row for row in of.ids if of.base(row) != row)
    crawl = Crawler(database, county(gis_parcels=9000).url)(
        "roll", "-a", f"apns={of.apn(row)}", "-a", "layer=A"
    )
    assert crawl.code == 0, crawl.log
    assert database.rows("SELECT apn, floor FROM gis.parcel") == [(of.apn(row), 1)]


def test_a_list_survives_faults(tmp_path: Path, database: Database, county: Start) -> None:
    of = layer(3000)
    sandbox = county(gis_parcels=3000)
    sandbox.faults(dict.fromkeys(("server_error", "error_body", "malformed"), 0.15), source="gis")
    crawl = crawler(tmp_path, database, sandbox, attempts=12)(
        "roll", "-a", _list(tmp_path, sorted(apns(of))[:2000])
    )
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT count(*) FROM gis.parcel") == 2000


@pytest.mark.parametrize("name", ["E", "A"])
def test_the_deeds_since_a_day_and_none_of_the_future(
    tmp_path: Path, database: Database, county: Start, name: str
) -> None:
    of, since = layer(8000), dt.date(2024, 6, 1)
    crawl = crawler(tmp_path, database, county(gis_parcels=8000), page=100)(
        "roll", "-a", f"since={since}", "-a", f"layer={name}"
    )
    assert crawl.code == 0, crawl.log
    today = dt.datetime.now(dt.UTC).date()
    expected = {apn: facts for apn, facts in truth(of).items() if since <= facts[2] <= today}
    assert stored(database) == expected
    assert len(expected) > 300
    assert any(date_of(of.facts(row)["deed_date"]).year == 2048 for row in of.ids)
    agrees(database)


def test_no_deed_since_today_is_none_and_not_a_failure(
    tmp_path: Path, database: Database, county: Start
) -> None:
    today = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    crawl = crawler(tmp_path, database, county(gis_parcels=500))("roll", "-a", f"since={today}")
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 1, "gone": 1}


def _load(database: Database, county: Start, name: str, path: Path) -> Crawl:
    return Crawler(database, county(gis_parcels=1).url)("roll", "-a", f"{name}={path}")


def test_a_secured_master_is_loaded_once_and_again_without_a_new_version(
    tmp_path: Path, database: Database, county: Start
) -> None:
    lines = [secured_line(number) for number in range(5000)]
    lines[1234] = lines[1234].replace("|RESIDENTIAL|", "||RESIDENTIAL|")
    path = tmp_path / "Secured_Master_BK100.txt"
    path.write_text("\r\n".join(lines) + "\r\n")
    crawl = _load(database, county, "secured_master", path)
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT count(*) FROM bulk.secured_master") == 4999
    assert database.rows("SELECT place, reason FROM bulk.reject") == [
        ("Secured_Master_BK100.txt:1235", "40 columns, not 39")
    ]
    assert "line 1235 is rejected" in crawl.log
    assert database.rows("SELECT kind, state, rows FROM crawl.target") == [("file", "done", 4999)]
    versions = "SELECT count(*), sum(xmin::text::bigint) FROM bulk.secured_master"
    before = database.rows(versions)
    assert _load(database, county, "secured_master", path).code == 0
    assert database.rows(versions) == before
    lines[7] = secured_line(7, owner="QUAIL RUN HOMES INC")
    path.write_text("\n".join(lines))
    assert _load(database, county, "secured_master", path).code == 0
    assert database.rows("SELECT field, new FROM crawl.change") == [("owner_name", "QUAIL RUN HOMES INC")]
    agrees(database)


def test_a_load_ends_when_a_pipeline_breaks_on_a_part(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Secured_Master_BK100.txt"
    path.write_text("\n".join(secured_line(number) for number in range(30_000)) + "\n")
    pipelines = (
        '{"tests.helpers.bulk.BrokenPipeline": 100, "maricopa_scrapy.crawl.store_pipeline.StorePipeline":'
        " 500}"
    )
    crawl = Crawler(database, county().url)(
        "roll", "-a", f"secured_master={path}", "-s", f"ITEM_PIPELINES={pipelines}", timeout=30
    )
    assert crawl.code == 1, crawl.log
    assert database.rows("SELECT reason FROM crawl.run") == [("pipeline_error",)]
    assert database.states() == {"pending": 1}
    again = _load(database, county, "secured_master", path)
    assert again.code == 0, again.log
    assert database.one("SELECT count(*) FROM bulk.secured_master") == 30_000


def test_a_zip_of_residential_files_is_read_member_by_member(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "residential.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "Data/Residential_Master.txt", "\n".join(residential_line(number) for number in range(2500))
        )
        archive.writestr("Data/readme.pdf", b"\x00\x01")
    crawl = _load(database, county, "residential_master", path)
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT count(*) FROM bulk.residential_master") == 2500
    assert database.one("SELECT sale_date FROM bulk.residential_master ORDER BY apn LIMIT 1") == dt.date(
        2010, 8, 1
    )
    agrees(database)


@pytest.mark.parametrize("shift", ["drop", "swap"])
def test_a_shifted_file_is_refused_before_a_row_is_stored(
    tmp_path: Path, database: Database, county: Start, shift: str
) -> None:
    def shifted(line: str) -> str:
        cells = line.split("|")
        return "|".join([*cells[:5], *cells[6:], ""] if shift == "swap" else cells[1:])

    path = tmp_path / "Secured_Master.txt"
    path.write_text("\n".join(shifted(secured_line(number)) for number in range(3000)))
    crawl = _load(database, county, "secured_master", path)
    assert crawl.code == 3, crawl.log
    assert database.one("SELECT count(*) FROM bulk.secured_master") == 0
    assert database.rows("SELECT state, cause FROM crawl.target") == [("dead", "source_changed")]
    assert database.one("SELECT count(*) FROM crawl.issue WHERE kind = 'source_changed'") == 1
    assert "Traceback" not in crawl.log


def test_a_load_that_was_killed_begins_again_and_stores_nothing_twice(
    tmp_path: Path, database: Database, county: Start
) -> None:
    count = 70_000
    path = tmp_path / "Secured_Master.txt"
    with path.open("w") as file:
        file.writelines(secured_line(number) + "\n" for number in range(count))
    load = Crawler(database, county(gis_parcels=1).url)
    process = load.start("roll", "-a", f"secured_master={path}")
    while not database.one("SELECT count(*) FROM bulk.secured_master"):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < database.one("SELECT count(*) FROM bulk.secured_master") < count
    versions = dict(database.rows("SELECT apn, xmin::text FROM bulk.secured_master"))
    crawl = load("roll", "-a", "job=1")
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT count(*) FROM bulk.secured_master") == count
    again = dict(database.rows("SELECT apn, xmin::text FROM bulk.secured_master"))
    assert all(again[apn] == version for apn, version in versions.items())
    assert database.states() == {"done": 1}
    agrees(database)


def test_a_load_whose_database_goes_away_ends_and_leaves_the_file(
    tmp_path: Path, database: Database, server: str, county: Start
) -> None:
    folder, path = tmp_path / "settings", tmp_path / "Secured_Master.txt"
    shutil.copytree(ROOT / "config", folder)
    config = folder / "config.yaml"
    config.write_text(re.sub(r"database_patience: \d+", "database_patience: 1", config.read_text()))
    with path.open("w") as file:
        file.writelines(secured_line(number) + "\n" for number in range(200_000))
    load = Crawler(database, county(gis_parcels=1).url, environment={"MARICOPA_CONFIG": str(folder)})
    process = load.start("roll", "-a", f"secured_master={path}")
    while not database.one("SELECT count(*) FROM bulk.secured_master"):
        assert process.poll() is None
        time.sleep(0.02)
    name = database.one("SELECT current_database()")
    administer(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    administer(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        log, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        administer(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert process.returncode == 1, log
    assert "database_unavailable" in log
    assert database.states() == {"leased": 1}
