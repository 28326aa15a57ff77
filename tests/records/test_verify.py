"""`maricopa verify`: a healthy collection agrees; whatever was broken by hand is named, with table, key and
remedy.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.row_hash import columns_of, touched
from maricopa_scrapy.database.tables import RECORDS, table_of
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database, maricopa
from tests.helpers.rolls import crawler as roll_crawler

Start = Callable[..., SandboxProcess]


def _floors(tmp_path: Path, old: str, new: str) -> dict[str, str]:
    """Settings with another floor of the assessor."""
    folder = tmp_path / "floors"
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "assessor.yaml"
    assert old in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(old, new))
    return {"MARICOPA_CONFIG": str(folder)}


def _hashes_can_be_taken_again(session: Session) -> int:
    """Take the hash of every stored row again, and of altered copies; returns the number of rows."""
    seen = 0
    for record in RECORDS:
        table = table_of(record)
        for rows in session.chunks(
            f"SELECT {columns_of(table)}, encode(r.content_hash, 'hex') FROM {table.name} r", {}, 700
        ):
            assert list(touched(table, rows)) == []
            # A look at what is compared, not only at its being empty.
            for at in table.hashed_at:
                altered = [
                    (*row[:at], "7" if at in table.json_at else "altered", *row[at + 1 :]) for row in rows[:2]
                ]
                assert list(touched(table, altered)) == altered
            seen += len(rows)
    return seen


def test_what_is_broken_by_hand_is_named(
    tmp_path: Path, database: Database, county: Start, session: Session
) -> None:
    apns = County().apns(60)
    sandbox = county(gis_parcels=2000)
    crawl = Crawler(database, sandbox.url)("assessor", "-a", f"apns={','.join(apns)}")
    assert crawl.code == 0, crawl.log
    assert roll_crawler(tmp_path, database, sandbox)("roll", "-a", "geometry=polygon").code == 0
    assert _hashes_can_be_taken_again(session) > 3500
    healthy = maricopa(database, "verify")
    assert (healthy.returncode, healthy.stdout[:10]) == (0, "all agrees"), healthy.stdout + healthy.stderr
    assert maricopa(database, "verify", "99").returncode == 2

    tampered, orphan, uncaptured, leased, floored = apns[:5]
    gis = database.one("SELECT min(apn) FROM gis.parcel WHERE owner_name IS NOT NULL")
    database.rows(
        "UPDATE assessor.owner SET sale_price = coalesce(sale_price, 0) + 1 WHERE apn = %s RETURNING 1",
        tampered,
    )
    database.rows("UPDATE assessor.related SET map_files = '{\"a\": 1}' WHERE apn = %s RETURNING 1", tampered)
    database.rows("UPDATE gis.parcel SET latitude = latitude + 0.0000001 WHERE apn = %s RETURNING 1", gis)
    database.rows("UPDATE assessor.parcel SET capture_sha256 = 'unknown' WHERE apn = %s RETURNING 1", orphan)
    database.rows(
        "DELETE FROM crawl.capture USING assessor.residence r WHERE sha256 = r.capture_sha256 AND r.apn = %s"
        " RETURNING 1",
        uncaptured,
    )
    database.rows("UPDATE crawl.target SET state = 'leased' WHERE key = %s RETURNING 1", leased)
    database.rows("DELETE FROM crawl.target WHERE key = %s RETURNING 1", floored)
    database.rows(
        "INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)"
        " VALUES ('assessor.owner', '{\"apn\": \"1\"}', 'ownership', 'A', 'B', now(), 777) RETURNING 1"
    )
    settings = _floors(tmp_path, "kind: parcel, each: 4, ", "kind: parcel, each: 7, ")
    found = maricopa(database, "verify", **settings)
    assert found.returncode == 1, found.stderr
    said = found.stdout
    for expected in (
        rf"assessor.owner: apn={tampered}: a row that was altered.*\n +`maricopa reparse --source assessor`",
        rf"assessor.related: apn={tampered}: a row that was altered",
        rf"gis.parcel: apn={gis}: a row that was altered.*\n +`maricopa reparse --source gis`",
        rf"assessor.parcel: apn={orphan}: a row whose capture belongs to no finished target",
        rf"assessor.residence: apn={uncaptured}: a row whose capture is not there",
        (
            r"crawl.target: job 1: 1 targets are leased by a run that is gone \(run 1, closed\): assessor"
            rf" parcel {leased}\n +`-a job=1`"
        ),
        r"crawl.target: job 1: 60 targets were accepted, 59 are there",
        r"crawl.change: run 777: 1 changes are of a run that the ledger does not have",
    ):
        assert re.search(expected, said), f"{expected}\n{said}"
    # The job has an open target again: only what has ended is held against the floors.
    assert "each are expected" not in said
    of_job = maricopa(database, "verify", "1").stdout
    assert f"apn={tampered}: a row that was altered" in of_job
    assert "gis.parcel" not in of_job

    database.rows("UPDATE crawl.target SET state = 'done' WHERE key = %s RETURNING 1", leased)
    said = maricopa(database, "verify", **settings).stdout
    assert re.search(
        r"crawl.job: job 1: assessor: assessor.valuation has \d+ rows for 59 answers of kind parcel; at least"
        r" 7 for each",
        said,
    )


def test_a_run_below_a_floor_is_incomplete(tmp_path: Path, database: Database, county: Start) -> None:
    environment = _floors(tmp_path, "{ownership: 0.8,", "{contract_ownership: 0.8,")
    sandbox = county().url
    crawl = Crawler(database, sandbox, environment=environment)(
        "assessor", "-a", f"apns={','.join(County().apns(60))}"
    )
    shortfall = database.one("SELECT shortfall FROM crawl.run")
    assert (crawl.code, database.rows("SELECT verdict, reason FROM crawl.job")) == (
        4,
        [("incomplete", "finished")],
    ), crawl.log
    assert (
        shortfall
        == "assessor.owner.contract_ownership has a value in 0% of 60 rows; at least 80% are expected"
    )
    assert f"below the floor of a healthy run: {shortfall}" in crawl.log
    # The floor is mended: the same job passes.
    again = Crawler(database, sandbox)("assessor", "-a", "job=1")
    assert again.code == 0, again.log
    assert database.rows("SELECT verdict FROM crawl.job") == [("completed",)]


def test_no_row_where_there_should_be_some_never_passes(
    database: Database, county: Start, tmp_path: Path
) -> None:
    truth = County()
    homes = [apn for apn in truth.apns(40) if not truth.parcel(apn)["Improvements"]][:3]
    environment = _floors(
        tmp_path, "table: assessor.residence,", "table: assessor.improvement, least: 100000,"
    )
    crawl = Crawler(database, county().url, environment=environment)(
        "assessor", "-a", f"apns={','.join(homes)}"
    )
    assert crawl.code == 4, crawl.log
    assert "assessor.improvement has no row, after 3 answers of kind parcel" in crawl.log


def test_a_floor_of_a_table_that_there_is_not_stops_the_start(tmp_path: Path, database: Database) -> None:
    environment = _floors(tmp_path, "{ownership: 0.8,", "{owner: 0.8,")
    crawl = Crawler(database, "http://127.0.0.1:9", environment=environment)(
        "assessor", "-a", "apns=165-28-054"
    )
    assert (crawl.code, len(crawl.error_lines())) == (2, 1), crawl.log
    assert "config/sources/assessor.yaml: floors: assessor.owner has no column owner" in crawl.log
    told = maricopa(database, "verify", **environment)
    assert (told.returncode, "has no column owner" in told.stderr) == (2, True)
