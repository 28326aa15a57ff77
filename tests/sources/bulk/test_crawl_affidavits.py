"""`scrapy crawl affidavits`: the Sales Affidavits in Postgres, what is set aside, and what a person sees of
them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.sandbox.bulk.affidavits import lines
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database, maricopa
from tests.helpers.affidavits import cell, changed, zipped
from tests.helpers.bulk import secured_line
from tests.helpers.rolls import agrees

Start = Callable[..., SandboxProcess]

_DOCUMENT = "INSERT INTO recorder.document VALUES (%s, {}'', '', now(), now()) RETURNING 1".format(
    "NULL, " * 10
)
_VERSIONS = "SELECT count(*), sum(xmin::text::bigint) FROM bulk.sale"


def test_every_line_is_a_sale_or_set_aside_and_the_second_time_nothing_changes(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Sales_Affidavits.zip"

    def edit(text: list[str]) -> None:
        text[5] = changed(
            text[5],
            PARCELNUMBER="20904027B",
            DEEDNUMBER="000000267",
            SALEPRICE="210000",
            SALEDATE_MMYYYY="012000",
        )
        # Far from it: the same line, and another one of the same deed and parcel.
        text[9000] = text[5]
        text[11000] = changed(
            text[5],
            DEEDNUMBER="20000000267",
            PARCELNUMBER="209-04-027B",
            GRANTOROWNERNAME="QUAIL RUN HOMES INC",
        )
        text[11001] = changed(text[11001], DEEDDATE_MMDDYYYY="05142048")

    text = zipped(path, 12_000, 31, edit)
    load = Crawler(database, county(gis_parcels=1).url)
    crawl = load("affidavits", "-a", f"affidavits={path}")
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT count(*) FROM bulk.sale") == 12_000 - 31 - 1
    assert database.one("SELECT count(*) FROM bulk.reject") == 31 + 1
    assert "12000 lines: 11968 rows, 32 set aside" in crawl.log
    assert database.rows("SELECT rows, state FROM crawl.target") == [(11_968, "done")]
    place, number, reason, line = database.rows(
        "SELECT place, line_number, reason, line FROM bulk.reject ORDER BY line_number LIMIT 1"
    )[0]
    assert place == f"Sales_Affidavits.zip/Data/Sales_Affidavits.txt:{number}"
    assert (reason, line) == ("column 2 (SALEDATE_MMYYYY): expected a month MMYYYY", text[number - 1])
    same = database.rows("SELECT line_number, reason FROM bulk.reject WHERE reason LIKE 'the same%%'")
    assert same == [(9001, "the same as Sales_Affidavits.zip/Data/Sales_Affidavits.txt:6")]
    sales = (
        "SELECT sale_month, sale_price, seller, occurrence FROM sale WHERE apn = '20904027B' AND deed_number"
        " = '20000000267' ORDER BY 4"
    )
    expected = ("2000-01", 210_000)
    assert database.rows(sales) == [
        (*expected, cell(text[5], "GRANTOROWNERNAME"), 1),
        (*expected, "QUAIL RUN HOMES INC", 2),
    ]
    assert ("20000000267", "000000267") in database.rows("SELECT deed_number, deed_number_raw FROM bulk.sale")
    in_future = [one for one in text[1:] if re.fullmatch(r"\d{4}20[4-9]\d", cell(one, "DEEDDATE_MMDDYYYY"))]
    assert database.one("SELECT count(*) FROM sale WHERE is_future") == len(in_future) > 0
    assert database.one("SELECT sum(count) FROM crawl.issue WHERE kind = 'future_date'") == len(in_future)
    before = (
        database.rows(_VERSIONS),
        database.rows("SELECT count(*), sum(xmin::text::bigint) FROM bulk.reject"),
    )
    assert load("affidavits", "-a", f"affidavits={path}").code == 0
    assert (
        database.rows(_VERSIONS),
        database.rows("SELECT count(*), sum(xmin::text::bigint) FROM bulk.reject"),
    ) == before
    assert database.one("SELECT count(*) FROM crawl.change") == 0

    def edit_again(text: list[str]) -> None:
        edit(text)
        text[7] = changed(text[7], SALEPRICE="77700")

    text = zipped(path, 12_000, 31, edit_again)
    assert load("affidavits", "-a", f"affidavits={path}").code == 0
    assert database.rows("SELECT table_name, field, new FROM crawl.change") == [
        ("bulk.sale", "sale_price", "77700")
    ]
    agrees(database)
    # As a text that ends at the end of a line: nothing in it says that it was cut.
    cut = tmp_path / "Sales_Affidavits.txt"
    cut.write_text("\n".join(text[:11_900]) + "\n")
    crawl = load("affidavits", "-a", f"affidavits={cut}")
    assert crawl.code == 0, crawl.log
    ((told,),) = database.rows("SELECT message FROM crawl.issue WHERE kind = 'fewer_rows'")
    assert re.fullmatch(
        r"Sales_Affidavits.txt has 11,8\d\d rows, and the last one that was loaded had 11,968: is it whole\?",
        told,
    )
    # Of the county it would be a part.
    assert maricopa(database, "verify", "1").returncode == 0
    database.rows("UPDATE crawl.job SET is_sandbox = false RETURNING 1")
    verified = maricopa(database, "verify", "1")
    assert verified.returncode == 1
    assert "bulk.sale has 11,968 rows; at least 730,000 are expected of the whole county" in verified.stdout


def test_a_second_text_in_the_zip_that_holds_nothing_but_a_header_is_no_line(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Sales_Affidavits.zip"
    text = zipped(path, 60)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Data/Sales_Affidavits_2.txt", text[0] + "\n")
    crawl = Crawler(database, county(gis_parcels=1).url)("affidavits", "-a", f"affidavits={path}")
    assert crawl.code == 0, crawl.log
    assert (
        database.one("SELECT count(*) FROM bulk.sale"),
        database.one("SELECT count(*) FROM bulk.reject"),
    ) == (60, 0)


def test_a_parcel_s_sales_are_shown_with_who_says_so(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=400)
    (apn,) = County().apns(1)
    path = tmp_path / "Sales_Affidavits.zip"
    text = zipped(
        path,
        50,
        edit=lambda text: text.__setitem__(50, changed(text[50], PARCELNUMBER=apn, SALEPRICE="654300")),
    )
    load = Crawler(database, sandbox.url)
    assert load("affidavits", "-a", f"affidavits={path}").code == 0
    environment = os.environ | {"MARICOPA_DATABASE_URL": database.url, "COLUMNS": "160"}
    command = [sys.executable, "-c", "from maricopa_scrapy.cli.main import main; main()", "property", apn]
    shown = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "Sales" in shown
    assert "Owner" not in shown
    assert load("roll").code == 0
    shown = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "Owner" in shown
    assert "$654,300" in shown
    assert cell(text[50], "GRANTEEOWNERNAME").split()[0] in shown
    assert "affidavit" in shown
    bases = "SELECT basis, count(*) FROM sale WHERE sale_price IS NOT NULL GROUP BY basis"
    found = dict(database.rows(bases))
    assert found["gis"] == database.one("SELECT count(*) FROM gis.parcel WHERE sale_price IS NOT NULL") > 0
    assert found["affidavit"] == database.one("SELECT count(*) FROM bulk.sale WHERE sale_price IS NOT NULL")
    # A sale of long before the last deed is not said to be by it.
    said = "SELECT DISTINCT basis, confidence FROM sale WHERE apn = %s ORDER BY 1"
    deed, date = "20210700001", "2021-08-02"
    of_apn = (
        "UPDATE gis.parcel SET deed_number = %s, deed_date = %s, sale_date = %s, sale_price = 1 WHERE apn ="
        " %s RETURNING 1"
    )
    months = {
        "2021-07-01": "probable",
        "2021-08-01": "probable",
        "2017-03-01": "possible",
        "2021-09-01": "possible",
    }
    for month, confidence in months.items():
        database.rows(of_apn, deed, date, month, apn)
        assert database.rows(said, apn) == [("affidavit", "exact"), ("gis", confidence)]
    # The document of the affidavit is the parcel's, and of its last deed's the tie stands once.
    sold = cell(text[50], "DEEDNUMBER")
    for number in (sold, deed):
        database.rows(_DOCUMENT, number)
    ties = "SELECT recording_number, basis, confidence FROM document WHERE apn = %s ORDER BY 2"
    assert database.rows(ties, apn) == [(sold, "affidavit", "exact"), (deed, "deed_number", "exact")]
    database.rows(of_apn, sold, date, "2021-08-01", apn)
    assert database.rows(ties, apn) == [(sold, "deed_number", "exact")]


def test_a_load_that_was_killed_begins_again_and_stores_nothing_twice(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path, count = tmp_path / "Sales_Affidavits.zip", 50_000
    zipped(path, count, 11)
    load = Crawler(database, county(gis_parcels=1).url)
    process = load.start("affidavits", "-a", f"affidavits={path}")
    while not database.one("SELECT count(*) FROM bulk.sale"):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < database.one("SELECT count(*) FROM bulk.sale") < count - 11
    versions = dict(database.rows("SELECT deed_number || apn, xmin::text FROM bulk.sale"))
    crawl = load("affidavits", "-a", "job=1")
    assert crawl.code == 0, crawl.log
    assert (
        database.one("SELECT (SELECT count(*) FROM bulk.sale) + (SELECT count(*) FROM bulk.reject)") == count
    )
    again = dict(database.rows("SELECT deed_number || apn, xmin::text FROM bulk.sale"))
    assert all(again[key] == version for key, version in versions.items())
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    agrees(database)


def _settings(tmp_path: Path, **changes: int) -> dict[str, str]:
    folder = tmp_path / "settings"
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "bulk.yaml"
    text = manifest.read_text()
    for name, value in changes.items():
        text = re.sub(rf"(?m)^{name}: \d+", f"{name}: {value}", text)
    manifest.write_text(text)
    return {"MARICOPA_CONFIG": str(folder), "MARICOPA_DATA_DIR": str(tmp_path / "data")}


def test_a_challenge_ends_the_run_as_blocked(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county(gis_parcels=1, affidavits=100)
    sandbox.faults({"challenge": 1.0}, source="bulk")
    run = Crawler(database, sandbox.url, environment=_settings(tmp_path))
    crawl = run("affidavits", "-a", "affidavits=download")
    assert crawl.code == 5, crawl.log
    assert database.states() == {"pending": 1}
    sandbox.clear_faults()
    assert run("affidavits", "-a", "job=1").code == 0


def test_the_file_is_fetched_in_pieces_through_faults(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=1, affidavits=9000, affidavits_dirty=8)
    sandbox.faults(
        {"server_error": {"probability": 1, "count": 1, "kind": "file"}, "reset": {"probability": 0.2}},
        source="bulk",
    )
    environment = _settings(tmp_path, max_body=65_536, attempts=20)
    crawl = Crawler(database, sandbox.url, environment=environment)("sales", "-a", "affidavits=download")
    assert crawl.code == 0, crawl.log
    fetched = tmp_path / "data" / "bulk" / "Sales_Affidavits.zip"
    assert [name.name for name in fetched.parent.iterdir()] == [fetched.name]
    with zipfile.ZipFile(fetched) as archive:
        text = archive.read("Data/Sales_Affidavits.txt").decode()
    assert text.splitlines() == list(lines(County(), 9000, 8))
    assert database.one("SELECT count(*) FROM bulk.sale") == 8992
    assert database.rows("SELECT kind, state, rows FROM crawl.target ORDER BY id") == [
        ("download", "done", 1),
        ("file", "done", 8992),
    ]
    stats = sandbox.stats()["bulk"]
    pieces = -(-fetched.stat().st_size // 65_536)
    assert pieces > 5
    # What had come before a fault is not asked for again.
    assert pieces <= stats["by_kind"]["file"] <= pieces + sum(stats["faults"].values())
    assert stats["in_flight_peak"] == 1
    agrees(database)


def test_a_file_that_is_too_big_is_not_fetched(tmp_path: Path, database: Database, county: Start) -> None:
    environment = _settings(tmp_path, max_body=65_536, max_file=100_000, attempts=2)
    sandbox = county(gis_parcels=1, affidavits=9000)
    crawl = Crawler(database, sandbox.url, environment=environment)("affidavits", "-a", "affidavits=download")
    assert crawl.code == 3, crawl.log
    ((state, cause, message),) = database.rows("SELECT state, cause, message FROM crawl.target")
    assert (state, cause, "max_file" in message) == ("dead", "malformed", True)
    assert not (tmp_path / "data" / "bulk" / "Sales_Affidavits.zip").exists()


def test_a_mistake_in_the_argument_is_one_line(tmp_path: Path, database: Database, county: Start) -> None:
    load = Crawler(database, county(gis_parcels=1).url)
    for arguments, says in (
        ((), "affidavits=download"),
        (("-a", f"affidavits={tmp_path}/none.zip"), "is not a file"),
    ):
        crawl = load("affidavits", *arguments)
        assert (crawl.code, len(crawl.error_lines()), says in crawl.log) == (2, 1, True), crawl.log
    assert database.one("SELECT count(*) FROM crawl.job") == 0


def test_a_file_that_was_cut_or_is_rubbish_is_not_completed(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Secured_Master.txt"
    load = Crawler(database, county(gis_parcels=1).url)
    text = [secured_line(number) + "\n" for number in range(6000)]
    path.write_text("".join(text))
    assert load("roll", "-a", f"secured_master={path}").code == 0
    versions = "SELECT count(*), sum(xmin::text::bigint) FROM bulk.secured_master"
    before = database.rows(versions)
    # The kinds of three columns are not right in two lines of three: they have moved.
    spoilt = [
        secured_line(number)
        .replace("|RESIDENTIAL|", "|?|")
        .replace("|AZ", "|?")
        .replace("|85323|", "|?|")
        .replace("|0131|", "|?|")
        for number in range(6000)
    ]
    rubbish = [spoilt[number] + "\n" if number % 3 else text[number] for number in range(6000)]
    for content, cause, says in (
        ("".join(text[:3000]), "malformed", "accept_shrink=yes"),
        ("".join(rubbish), "source_changed", "the columns of the Secured Master in their order"),
    ):
        path.write_text(content)
        crawl = load("roll", "-a", f"secured_master={path}")
        assert crawl.code == 3, crawl.log
        state, found, message = database.rows(
            "SELECT state, cause, message FROM crawl.target ORDER BY id DESC LIMIT 1"
        )[0]
        assert (state, found, says in message) == ("dead", cause, True), message
        assert database.rows(versions) == before
    path.write_text("".join(text[:3000]))
    assert load("roll", "-a", f"secured_master={path}", "-a", "accept_shrink=yes").code == 0


def test_a_parcel_that_comes_twice_is_no_change_and_has_one_version(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Secured_Master.txt"
    load = Crawler(database, county(gis_parcels=1).url)
    text = [secured_line(number) for number in range(30_000)]
    path.write_text("\n".join([*text, secured_line(3, owner="QUAIL RUN HOMES INC"), text[4]]) + "\n")
    for _ in range(2):
        crawl = load("roll", "-a", f"secured_master={path}")
        assert crawl.code == 0, crawl.log
    # The next edition of the file, with other lines before it.
    path.write_text(
        "\n".join(
            [
                *text[:20_000],
                secured_line(3, owner="QUAIL RUN HOMES INC"),
                *text[20_000:],
                secured_line(31_000),
            ]
        )
        + "\n"
    )
    assert load("roll", "-a", f"secured_master={path}").code == 0
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    assert database.one("SELECT count(*) FROM bulk.secured_master") == 30_001
    assert database.one("SELECT count(*) FROM bulk.secured_master WHERE changed_at <> first_seen_at") == 0
    apn = text[3].split("|")[0]
    assert database.rows("SELECT place, file, reason FROM bulk.reject WHERE line_number = 30001") == [
        (
            "Secured_Master.txt:30001",
            "secured_master",
            f"{apn} comes again and says something else; Secured_Master.txt:4 stands",
        )
    ]
    agrees(database)
