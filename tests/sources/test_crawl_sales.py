"""`scrapy crawl sales`: from parcels to the documents of their last deeds, through GIS, assessor and recorder
of the sandbox.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawler, Database
from tests.helpers.recorder import SANDBOX, agrees, documents, stored, truth
from tests.helpers.rolls import layer

Start = Callable[..., SandboxProcess]


def _list(tmp_path: Path, lines: list[str]) -> str:
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(lines) + "\n")
    return f"apns={path}"


def _deeds(parcels: int) -> dict[str, str]:
    of = layer(parcels)
    found: dict[str, str] = {}
    for row in of.ids:
        facts = of.facts(row)
        found.setdefault(facts["apn"], facts["deed_number"])
    return found


def _linked(database: Database, basis: str = "deed_number") -> set[tuple[str, str]]:
    return set(database.rows("SELECT apn, recording_number FROM document WHERE basis = %s", basis))


def test_parcels_that_share_deeds_are_all_linked_and_each_deed_is_asked_for_once(
    tmp_path: Path, database: Database, county: Start
) -> None:
    deeds = _deeds(1200)
    # Beyond the rows of the layer: the assessor's API knows them.
    beyond = [apn for apn in County().apns(1230) if apn not in deeds][:8]
    sandbox = county(gis_parcels=1200, track=True, **SANDBOX)
    asked = [*deeds, *beyond, *County().absent(3)]
    crawl = Crawler(database, sandbox.url, rate=600)("sales", "-a", _list(tmp_path, asked))
    assert crawl.code == 0, crawl.log
    stats = sandbox.stats()
    said = {apn: County().parcel(apn)["Owner"]["MostCurrentDeed"] for apn in beyond}
    expected = {
        (apn, deed) for apn, deed in [*deeds.items(), *said.items()] if deed and documents().find(deed)
    }
    assert _linked(database) == expected
    distinct = {deed for deed in [*deeds.values(), *said.values()] if deed}
    assert len(distinct) < len(deeds) * 0.9
    assert stats["recorder"]["by_kind"]["document"] == len(distinct)
    assert set(stats["recorder"]["fetched"].values()) == {1}
    assert stats["gis"]["by_kind"]["list"] == 3
    assert set(stats["assessor"]["fetched"]) == {*beyond, *County().absent(3)}
    assert database.one(
        "SELECT count(*) FROM crawl.target WHERE state = 'gone' AND source = 'recorder'"
    ) == len([deed for deed in distinct if not documents().find(deed)])
    there = {deed: truth(facts) for deed in distinct if (facts := documents().find(deed))}
    assert stored(database) == there
    reasons = dict(
        database.rows("SELECT reason, count(*) FROM document WHERE basis = 'deed_number' GROUP BY 1")
    )
    assert set(reasons) == {
        "last deed of the parcel, by the GIS",
        "last deed of the parcel, by the assessor's API",
    }
    assert database.rows("SELECT sources FROM crawl.run") == [(["recorder", "gis", "assessor"],)]
    assert "1211 parcels" in crawl.log
    agrees(database)


def test_neighbours_of_a_deed_are_tied_only_by_day_and_a_name(
    tmp_path: Path, database: Database, county: Start
) -> None:
    deeds = _deeds(400)
    crawl = Crawler(database, county(gis_parcels=400, **SANDBOX).url, rate=600)(
        "sales", "-a", _list(tmp_path, [*deeds]), "-a", "neighbours=yes"
    )
    assert crawl.code == 0, crawl.log
    world, ties = documents(), set()
    for deed in set(deeds.values()):
        first = world.find(deed)
        for distance in (1, 2):
            other = first and world.find(f"{deed[:4]}{int(deed[4:]) + distance:07d}")
            if first and other and first.date == other.date:
                names = set(first.names) & set(other.names)
                if any(
                    not {"TITLE", "ESCROW", "BANK", "MORTGAGE", "CREDIT"} & set(name.split())
                    for name in names
                ):
                    ties.add((other.number, deed))
    assert set(database.rows("SELECT recording_number, deed_number FROM recorder.neighbour")) == ties
    assert ties
    links = database.rows("SELECT DISTINCT basis, confidence FROM document WHERE apn IS NOT NULL ORDER BY 1")
    assert links == [("deed_number", "exact"), ("neighbour", "probable")]
    assert _linked(database, "neighbour") == {
        (apn, number) for number, deed in ties for apn, its in deeds.items() if its == deed
    }


def test_the_scans_of_last_deeds(tmp_path: Path, database: Database, county: Start) -> None:
    deeds = _deeds(40)
    sandbox = county(gis_parcels=40, **SANDBOX)
    crawler = Crawler(
        database, sandbox.url, rate=100, environment={"MARICOPA_DATA_DIR": str(tmp_path / "data")}
    )
    crawl = crawler("sales", "-a", _list(tmp_path, list(deeds)), "-a", "pdf=yes")
    assert crawl.code == 0, crawl.log
    found = {deed: facts for deed in {*deeds.values()} if deed and (facts := documents().find(deed))}
    plain = {deed for deed, facts in found.items() if not facts.restricted}
    # More than may be under way at once, also among other sources.
    assert len(plain) > 20
    assert {
        number
        for (number,) in database.rows("SELECT recording_number FROM recorder.image WHERE path IS NOT NULL")
    } == plain
    assert {path.stem for path in (tmp_path / "data" / "documents").rglob("*.pdf")} == plain
    agrees(database)


def test_a_run_waits_for_deeds_that_another_run_of_its_job_finds(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(150)
    session = Session(database.url)
    targets = [FollowOn("assessor", "parcel", apn) for apn in apns]
    ledger.open_job(session, "comprehensive", targets, {"follow": ["recorder"]}, is_sandbox=True)
    session.close()
    sandbox = county(track=True, **SANDBOX)
    crawler = Crawler(database, sandbox.url, rate=60)
    sales = crawler.start("sales", "-a", "job=1")
    while not database.one("SELECT count(*) FROM crawl.run"):
        time.sleep(0.1)
    # Nothing is there for it, and no run that could add any.
    time.sleep(1.5)
    assert sales.poll() is None
    assessor = crawler("assessor", "-a", "job=1")
    log, _ = sales.communicate(timeout=60)
    assert (assessor.code, sales.returncode) == (0, 0), log
    deeds = {apn: County().parcel(apn)["Owner"]["MostCurrentDeed"] for apn in apns}
    assert _linked(database) == {
        (apn, deed) for apn, deed in deeds.items() if deed and documents().find(deed)
    }
    stats = sandbox.stats()
    assert set(stats["recorder"]["fetched"]) == {deed for deed in deeds.values() if deed}
    assert set(stats["assessor"]["fetched"].values()) == {1}
    assert database.rows("SELECT state, verdict FROM crawl.job") == [("finished", "completed")]
    agrees(database)


def test_deeds_that_a_job_has_stored_before_are_taken_up(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(40)
    sandbox = county(**SANDBOX)
    crawler = Crawler(database, sandbox.url)
    assert crawler("assessor", "-a", _list(tmp_path, apns)).code == 0
    crawl = crawler("sales", "-a", "job=1")
    assert crawl.code == 0, crawl.log
    deeds = {apn: County().parcel(apn)["Owner"]["MostCurrentDeed"] for apn in apns}
    assert _linked(database) == {
        (apn, deed) for apn, deed in deeds.items() if deed and documents().find(deed)
    }
    assert sandbox.stats()["gis"]["requests"] == 0


def test_sales_that_are_killed_go_on_and_lose_nothing_under_faults(
    tmp_path: Path, database: Database, county: Start
) -> None:
    deeds = _deeds(700)
    sandbox = county(gis_parcels=700, track=True, **SANDBOX)
    of_recorder = {
        "throttled": {"probability": 1.0, "kind": "document", "count": 2, "retry_after": "1"}
    } | dict.fromkeys(("malformed", "truncated", "wrong_document", "server_error"), 0.03)
    sandbox.faults(of_recorder, source="recorder")
    crawler = Crawler(database, sandbox.url, rate=150)
    process = crawler.start("sales", "-a", _list(tmp_path, [*deeds]))
    for kill in range(2):
        while database.states().get("done", 0) < 100 * (kill + 1):
            assert process.poll() is None
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        process = crawler.start("sales", "-a", "job=1")
    log, _ = process.communicate(timeout=80)
    assert process.returncode == 0, log
    there = {deed: truth(facts) for deed in deeds.values() if (facts := documents().find(deed))}
    assert stored(database) == there
    assert _linked(database) == {(apn, deed) for apn, deed in deeds.items() if deed in there}
    faults = sandbox.stats()["recorder"]["faults"]
    assert faults.keys() == of_recorder.keys()
    assert database.one("SELECT count(*) FROM crawl.issue WHERE kind = 'wrong_document'") > 0
    agrees(database)
