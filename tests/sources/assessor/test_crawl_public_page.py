"""`scrapy crawl assessor -a via=page` against the sandbox county: what is stored, what is left alone, and how
each fault ends.
"""

import datetime as dt
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.store_and_acknowledge import body_of
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.assessor.public_page import HIDDEN_TOKEN
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database

Start = Callable[..., SandboxProcess]
CAPTURES = os.environ.get("MARICOPA_CAPTURES")
PAGE = ("assessor", "-a", "via=page", "-a")
COLUMNS = (
    "ownership",
    "in_care_of",
    "mailing_address",
    "deed_number",
    "deed_date",
    "sale_date",
    "sale_price",
    "property_description",
    "lot_size_sqft",
    "mcr",
    "is_redacted",
    "property_address",
    "property_type",
    "lot",
    "section_township_range",
    "assessor_market",
    "area_neighborhood",
    "subdivision_name",
    "parcels_in_subdivision",
    "high_school_district",
    "elementary_school_district",
    "jurisdiction",
)


def _apns(apns: list[str]) -> str:
    return "apns=" + ",".join(apns)


def _day(text: str | None) -> dt.date | None:
    return dt.datetime.strptime(text, "%m/%d/%Y").date() if text else None  # noqa: DTZ007


def _truth(parcel: dict[str, Any]) -> tuple[Any, ...]:
    owner = parcel["Owner"]
    price = owner["SalePrice"]
    is_withheld = owner["Ownership"] == "NA"
    named = (
        (None, None, None)
        if is_withheld
        else (owner["Ownership"], owner["InCareOf"], owner["FullMailingAddress"])
    )
    situs = parcel["PropertyAddress"]
    return (
        *named,
        owner["MostCurrentDeed"],
        _day(owner["DeedDate"]),
        _day(owner["SaleDate"]),
        int(price) if price else None,
        parcel["PropertyDescription"],
        int(parcel["LotSize"]),
        parcel["MCR"],
        is_withheld or (False if owner["Ownership"] else None),
        None if situs in ("", "N/A") else situs,
        parcel["PropertyType"].strip(),
        parcel["Lot"],
        parcel["SectionTownshipRange"],
        parcel["AssessorMarket"],
        parcel["AreaNeighborhood"],
        parcel["SubdivisionName"],
        parcel["NumberOfParcelsInSubdivision"],
        parcel["HighSchoolDistrict"],
        parcel["ElementarySchoolDistrict"],
        parcel["LocalJusidiction"],
    )


def _agrees(database: Database) -> None:
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()


def test_twenty_parcels_without_a_token_are_the_sandbox_s_truth(database: Database, county: Start) -> None:
    truth = County(seed=3)
    # Among them parcels without a deed, without a price, with somebody in whose care they are, and withheld
    # ones.
    walked = truth.apns(1500)
    special = [
        next(apn for apn in walked if wanted(truth.undrawn(apn)[0]["Owner"]))
        for wanted in (
            lambda o: o["InCareOf"],
            lambda o: o.get("Redacted"),
            lambda o: o["Ownership"] == "NA",
            lambda o: not o["MostCurrentDeed"],
            lambda o: o["SalePrice"],
        )
    ]
    apns = list(dict.fromkeys(special + walked))[:20]
    absent = truth.absent(2)
    sandbox = county(seed=3, token="only-for-the-api")
    crawl = Crawler(database, sandbox.url)(*PAGE, _apns(apns + absent))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 20, "gone": 2}
    stored = {
        row[0]: row[1:]
        for row in database.rows(f"SELECT apn, {', '.join(COLUMNS)} FROM assessor_page.parcel")
    }
    assert stored == {apn: _truth(truth.parcel(apn)) for apn in apns}
    stats = sandbox.stats()
    assert stats["assessor"]["requests"] == 0
    assert stats["assessor_page"]["requests"] == 22
    assert stats["assessor_page"]["by_status"] == {"200": 22}
    assert database.one("SELECT count(*) FROM assessor.parcel") == 0
    assert database.rows("SELECT mode, parameters ->> 'via' FROM crawl.job") == [("scraping_only", "page")]
    assert database.rows("SELECT source FROM crawl.source") == [("assessor_page",)]
    # The site's own token stays where it is.
    for (body,) in database.rows("SELECT body FROM crawl.capture"):
        assert HIDDEN_TOKEN.encode() not in body_of(body)
    assert database.one("SELECT count(*) FROM crawl.issue") == 0
    _agrees(database)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_captured_page_is_in_the_database(database: Database) -> None:
    body = (Path(CAPTURES or ".") / "assessor" / "page_30477566.html").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_page = self.path == "/assessor_page/mcs/?q=30477566&mod=pd"
            self.send_response(200 if is_page else 404)
            self.send_header("Content-Type", "text/html; charset=UTF-8")
            self.send_header("Content-Length", str(len(body) if is_page else 0))
            self.end_headers()
            self.wfile.write(body if is_page else b"")

        def log_message(self, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    crawl = Crawler(database, f"http://127.0.0.1:{server.server_address[1]}")(*PAGE, "apns=304-77-566")
    server.shutdown()
    server.server_close()
    assert crawl.code == 0, crawl.log
    assert database.rows(f"SELECT {', '.join(COLUMNS)} FROM assessor_page.parcel") == [
        (
            "EXAMPLE REVOCABLE TRUST",
            "EXAMPLE RILEY D/SAM A TR",
            "2889 E JANELLE WAY, GILBERT, AZ 85298",
            "20260162239",
            dt.date(2026, 3, 20),
            None,
            None,
            "SHAMROCK ESTATES PHASE 2A MCR 799-38",
            11_834,
            "79938",
            False,
            "2778 E COURTNEY ST GILBERT, AZ 85298",
            "Residential",
            "224",
            "22 2S 6E",
            "26",
            "006",
            "SHAMROCK ESTATES PHASE 2A",
            223,
            "CHANDLER UNIFIED #80",
            "CHANDLER UNIFIED SCHOOL DISTRICT",
            "GILBERT",
        )
    ]
    assert database.one("SELECT count(*) FROM crawl.issue") == 0
    # What the server wrote stands in the view too, without the GIS.
    assert database.rows(
        "SELECT property_address, property_type, subdivision_name, lot, source FROM property"
    ) == [
        (
            "2778 E COURTNEY ST GILBERT, AZ 85298",
            "Residential",
            "SHAMROCK ESTATES PHASE 2A",
            "224",
            "assessor_page",
        )
    ]
    (token,) = re.findall(rb'value="([^"]+)" id="Token"', body)
    assert token not in body_of(database.one("SELECT body FROM crawl.capture"))
    assert token.decode() not in crawl.log
    assert database.one("SELECT left_out FROM crawl.capture") == ["scripts", "token"]


def test_a_page_erases_nothing_of_the_api_s(database: Database, county: Start) -> None:
    apns = County().apns(15)
    assert Crawler(database, county().url)("assessor", "-a", _apns(apns[:10])).code == 0
    tables = ("parcel", "owner", "valuation", "residence", "improvement", "rental", "related")
    everything = [f"SELECT t::text FROM assessor.{table} t ORDER BY 1" for table in tables]
    everything += [
        "SELECT p::text FROM public.property p WHERE apn = ANY(%s) ORDER BY 1",
        "SELECT v::text FROM public.valuation v WHERE apn = ANY(%s) ORDER BY 1",
    ]
    # Of three more the GIS has told values and coordinates.
    assert Crawler(database, county(gis_parcels=2000).url)("roll", "-a", _apns(apns[10:13])).code == 0
    mapped = (
        "SELECT apn, full_cash_value, livable_sqft, longitude, latitude FROM property WHERE source LIKE"
        " '%%gis' ORDER BY apn"
    )
    of_gis = database.rows(mapped)
    assert len(of_gis) == 3
    before = [database.rows(each, *([apns[:10]] * ("%s" in each))) for each in everything]
    # Six periods later: owners and deeds have changed, which the page tells, and the API is not asked.
    later = county(epoch=6)
    crawl = Crawler(database, later.url)(*PAGE, _apns(apns))
    assert crawl.code == 0, crawl.log
    assert [database.rows(each, *([apns[:10]] * ("%s" in each))) for each in everything] == before
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    sources = database.rows("SELECT source, count(*) FROM property GROUP BY 1 ORDER BY 1")
    assert sources == [("assessor", 10), ("assessor_page", 2), ("assessor_page, gis", 3)]
    assert database.rows(mapped) == of_gis
    names = dict(database.rows("SELECT apn, ownership FROM property WHERE source LIKE 'assessor_page%%'"))
    assert names == {apn: County(epoch=6).parcel(apn)["Owner"]["Ownership"] for apn in apns[10:]}
    assert (
        database.one(
            "SELECT count(full_cash_value) + count(livable_sqft) FROM property WHERE source = 'assessor_page'"
        )
        == 0
    )
    _agrees(database)


def test_each_fault_has_its_cause_and_leaves_no_row(
    tmp_path: Path, database: Database, county: Start
) -> None:
    faults = {
        "wrong_parcel": "wrong_parcel",
        "no_identity": "malformed",
        "malformed": "malformed",
        "soft_404": "soft_404",
        "truncated": "connection",
        "server_error": "server_error",
        "forbidden": "refused",
        "unauthorized": "refused",
        "empty_404": "not_found",
    }
    apns = County().apns(len(faults) + 4)
    victims = dict(zip(faults, apns, strict=False))
    sandbox = county()
    sandbox.faults(
        {name: {"probability": 1.0, "keys": [apn]} for name, apn in victims.items()}, "assessor_page"
    )
    crawl = Crawler(database, sandbox.url, environment=_two_tries(tmp_path))(*PAGE, _apns(apns))
    assert crawl.code == 3, crawl.log
    assert dict(database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'")) == {
        victims[f]: faults[f] for f in faults
    }
    assert {apn for (apn,) in database.rows("SELECT apn FROM assessor_page.parcel")} == set(
        apns[len(faults) :]
    )
    assert "Traceback" not in crawl.log
    # Each that a person must look at has its page.
    evidence = database.rows(
        "SELECT i.kind, i.message, c.body FROM crawl.issue i JOIN crawl.capture c ON c.sha256 ="
        " i.capture_sha256 WHERE c.size > 0"
    )
    by_kind = {kind: (message, body_of(body)) for kind, message, body in evidence}
    assert {"wrong_parcel", "malformed", "soft_404"} <= by_kind.keys()
    assert b"Page not found" in by_kind["soft_404"][1]
    _agrees(database)


def test_an_absent_label_costs_its_column_and_an_odd_value_its_section(
    database: Database, county: Start
) -> None:
    retyped, renamed, missing, *others = County().apns(8)
    sandbox = county()
    assert Crawler(database, sandbox.url)(*PAGE, _apns([retyped, renamed])).code == 0
    before = dict(database.rows("SELECT apn, p::text FROM assessor_page.parcel p"))
    faults = {"retyped_field": retyped, "renamed_field": renamed, "missing_field": missing}
    sandbox.faults(
        {name: {"probability": 1.0, "keys": [apn]} for name, apn in faults.items()}, "assessor_page"
    )
    crawl = Crawler(database, sandbox.url)(*PAGE, _apns([retyped, renamed, missing, *others]))
    assert crawl.code == 3, crawl.log
    assert database.states(2) == {"done": 8}
    assert database.rows("SELECT key, unread FROM crawl.target WHERE unread IS NOT NULL") == [
        (retyped, ["property"])
    ]
    assert database.one("SELECT verdict FROM crawl.job WHERE id = 2") == "completed_with_failures"
    # What was stored stays, and a row that is new lacks the one value.
    stored = dict(database.rows("SELECT apn, p::text FROM assessor_page.parcel p"))
    assert {apn: stored[apn] for apn in before} == before
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    names = ", ".join(COLUMNS)
    (row,) = database.rows(f"SELECT {names} FROM assessor_page.parcel WHERE apn = %s", missing)
    truth = dict(zip(COLUMNS, _truth(County().parcel(missing)), strict=True))
    assert dict(zip(COLUMNS, row, strict=True)) == truth | {"lot_size_sqft": None}
    assert database.rows("SELECT kind, signature, count FROM crawl.issue ORDER BY 1, 2") == [
        ("absent_field", "Lot Size", 2),
        ("new_field", "lot area", 1),
        ("unread_section", "property: Lot Size", 1),
    ]
    _agrees(database)


def test_a_429_costs_no_try_and_a_new_label_is_told(database: Database, county: Start) -> None:
    sandbox = county(rate=5, burst=3, retry_after="seconds")
    sandbox.faults({"new_field": 1.0}, "assessor_page")
    crawl = Crawler(database, sandbox.url, rate=60)(*PAGE, _apns(County().apns(25)))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 25}
    assert sandbox.stats()["assessor_page"]["refused"] > 0
    assert database.one("SELECT sum(attempts) FROM crawl.target") == 0
    assert database.rows("SELECT kind, signature, count FROM crawl.issue") == [
        ("new_field", "green score", 25)
    ]


def test_a_challenge_ends_the_run_as_blocked_and_the_job_goes_on(database: Database, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"challenge": 1.0}, "assessor_page")
    crawl = Crawler(database, sandbox.url, rate=20)(*PAGE, _apns(County().apns(12)))
    assert crawl.code == 5, crawl.log
    assert database.states() == {"pending": 12}
    assert sandbox.stats()["assessor_page"]["requests"] <= 3
    sandbox.clear_faults()
    # The job goes on by its own way, whoever names it.
    process = Crawler(database, sandbox.url, rate=10).start("assessor", "-a", "job=1")
    while not database.states().get("done"):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    log, _ = process.communicate(timeout=60)
    assert "`scrapy crawl assessor_page -a job=1` goes on" in log
    assert Crawler(database, sandbox.url)("assessor_page", "-a", "job=1").code == 0
    assert database.states() == {"done": 12}
    assert sandbox.stats()["assessor"]["requests"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-a", "via=page", "-a", "owner=EXAMPLE"), r"`owner`: does not go with `via=page`.*apns"),
        (("-a", "via=page", "-a", "address=1 MAIN ST"), r"`address`: does not go with `via=page`"),
        (("-a", "via=browser", "-a", "apns=165-28-054"), r"`via`: 'browser' is not one of api, page"),
        (("-a", "via=page"), r"`apns`: missing"),
    ],
)
def test_a_mistake_is_one_line(database: Database, arguments: tuple[str, ...], message: str) -> None:
    crawl = Crawler(database, "http://127.0.0.1:9", rate=None)("assessor", *arguments)
    assert crawl.code == 2, crawl.log
    (line,) = crawl.error_lines()
    assert re.search(message, line)
    assert database.one("SELECT count(*) FROM crawl.job") == 0


def test_labels_that_make_no_sense_are_refused_before_anything_begins(
    tmp_path: Path, database: Database
) -> None:
    environment = _two_tries(tmp_path)
    manifest = Path(environment["MARICOPA_CONFIG"]) / "sources" / "assessor_page.yaml"
    manifest.write_text(manifest.read_text().replace("    mcr: [", "    mrc: ["))
    crawl = Crawler(database, "http://127.0.0.1:9", environment=environment, rate=None)(
        *PAGE, "apns=165-28-054"
    )
    assert crawl.code == 2
    (line,) = crawl.error_lines()
    assert "assessor_page.yaml: labels.columns has in_care_of" in line


def _two_tries(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "settings"
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "assessor_page.yaml"
    text = re.sub(r"(?m)^attempts: \d+", "attempts: 2", manifest.read_text())
    manifest.write_text(text.replace("attempts_of:", "breaker: {failures: 100}\nattempts_of:"))
    return {"MARICOPA_CONFIG": str(folder)}
