"""`scrapy crawl documents`: names that are indexed later, an owner's name, scans, and the legacy pages."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import Floor
from maricopa_scrapy.ledger import jobs, yield_floors
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sandbox.recorder.legacy_pages import recorded_at
from maricopa_scrapy.sources.recorder.api_requests import PHOENIX
from tests.conftest import Crawler, Database
from tests.helpers.command import wait_for
from tests.helpers.recorder import SANDBOX, TODAY, agrees, crawler, documents, stored, truth

Start = Callable[..., SandboxProcess]


def _fresh(days: int) -> tuple[Documents, dt.date]:
    """The sandbox's recorder of today, and a working day some days ago."""
    today = dt.datetime.now(PHOENIX).date()
    world = Documents(1, today, 40)
    return world, max(
        day for day in world.days(today - dt.timedelta(days=days + 6), today - dt.timedelta(days=days))
    )


def test_names_that_are_not_indexed_are_asked_for_again(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world, day = _fresh(3)
    numbers = [facts.number for facts in world.of_day(day)][:12]
    sandbox = county(recorder_daily=40, recorder_indexed=str(day - dt.timedelta(days=1)))
    crawl = crawler(tmp_path, database, sandbox)("documents", "-a", f"recording_numbers={','.join(numbers)}")
    assert crawl.code == 4, crawl.log
    assert "12 targets are due later" in crawl.log
    assert database.states() == {"done": 13, "pending": 12}
    assert database.rows("SELECT reason, verdict FROM crawl.job") == [("due_later", "incomplete")]
    due = database.one("SELECT min(not_before) - now() FROM crawl.target WHERE state = 'pending'")
    assert dt.timedelta(hours=23) < due <= dt.timedelta(hours=24)
    assert stored(database) == {number: truth(world.find(number), is_indexed=False) for number in numbers}
    agrees(database)
    # A day later: the names are there.
    sandbox.conduct(recorder_indexed=str(day))
    database.rows("UPDATE crawl.target SET not_before = now() WHERE state = 'pending' RETURNING id")
    crawl = crawler(tmp_path, database, sandbox)("documents", "-a", "job=1")
    assert crawl.code == 0, crawl.log
    assert stored(database) == {number: truth(world.find(number)) for number in numbers}
    # And the index was asked again how far it has come.
    assert database.states() == {"done": 26}
    agrees(database)
    # What was asked for twice is one document to the floors.
    session, floor = Session(database.url), Floor(table="recorder.document", kind="document", each=1, least=1)
    assert session.transact(lambda cursor: list(yield_floors.broken(cursor, 1, {"recorder": [floor]}))) == []
    database.rows("DELETE FROM recorder.document WHERE recording_number = %s RETURNING 1", numbers[0])
    ((*_, told),) = session.transact(
        lambda cursor: list(yield_floors.broken(cursor, 1, {"recorder": [floor]}))
    )
    assert told.startswith("recorder.document has 11 rows for 12 answers of kind document")
    session.close()


def test_what_is_due_soon_is_waited_for_and_what_is_too_old_is_an_issue(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world, day = _fresh(13)
    old = max(one for one in world.days(day - dt.timedelta(days=20), day - dt.timedelta(days=3)))
    number, older = world.of_day(day)[0].number, world.of_day(old)[0].number
    sandbox = county(recorder_daily=40, recorder_indexed=str(old - dt.timedelta(days=1)), track=True)
    run = crawler(
        tmp_path,
        database,
        sandbox,
        again_after=0.0001,
        give_up_after=(dt.datetime.now(PHOENIX).date() - day).days,
    )
    process = run.start("documents", "-a", f"recording_numbers={number},{older}")
    while sandbox.stats()["recorder"]["by_kind"].get("document", 0) < 4:
        assert process.poll() is None
    sandbox.conduct(recorder_indexed=str(day))
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert stored(database)[number] == truth(world.find(number))
    assert sandbox.stats()["recorder"]["fetched"][older] == 1


def test_an_owner_s_name_finds_documents_and_no_facts(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world, always = documents(), (dt.date(1947, 1, 1), TODAY)
    sandbox = county(gis_parcels=300, **SANDBOX)
    run = Crawler(database, sandbox.url, rate=600)
    counts: dict[str, int] = {}
    for name, _ in world.named("", *always):
        counts[name] = counts.get(name, 0) + 1
    # One of few documents whose name begins longer names too.
    owner = next(
        n
        for n in sorted(counts)
        if counts[n] < 5 and len(n.split()) == 2 and any(m != n and m.startswith(n) for m in counts)
    )
    assert run("roll").code == 0
    two = [
        apn
        for (apn,) in database.rows(
            "UPDATE gis.parcel SET owner_name = %s WHERE apn IN"
            " (SELECT min(apn) FROM gis.parcel UNION"
            " SELECT max(apn) FROM gis.parcel) RETURNING apn",
            owner,
        )
    ]
    crawl = run("documents", "-a", f"owner={owner}")
    assert crawl.code == 0, crawl.log
    found = {(name, facts.number) for name, facts in world.named(owner, *always)}
    matches = set(database.rows("SELECT name, recording_number FROM recorder.name_match"))
    hidden = database.one(
        "SELECT coalesce(sum(junk_rows), 0) FROM recorder.search_window WHERE state = 'complete'"
    )
    assert matches <= found
    assert len(found) - len(matches) == hidden
    assert stored(database) == {number: truth(world.find(number)) for _, number in matches}
    ties = database.rows("SELECT name, recording_number, confidence, reason FROM recorder.name_link")
    for name, _, confidence, reason in ties:
        assert confidence == (
            "excluded"
            if counts[name] >= 5
            else "probable"
            if name.removesuffix(" ETAL") == owner
            else "possible"
        ), reason
    assert {confidence for *_, confidence, _ in ties} >= {"probable", "possible"}
    # Two parcels of the same name: both are tied, neither for certain, and the deed's tie is left alone.
    links = database.rows(
        "SELECT apn, recording_number, confidence, reason FROM document WHERE basis = 'owner_name'"
    )
    assert {apn for apn, *_ in links} == set(two)
    assert {confidence for _, _, confidence, _ in links} == {"possible"}
    assert all("several parcels have an owner of this name" in reason for *_, reason in links)
    is_new = (
        "SELECT d.confidence, x.recording_date < g.deed_date FROM document d JOIN recorder.name_link t USING"
        " (recording_number) JOIN recorder.document x USING (recording_number) JOIN gis.parcel g ON g.apn ="
        " d.apn WHERE d.basis = 'owner_name' AND t.confidence = 'probable'"
    )
    database.rows("UPDATE gis.parcel SET owner_name = 'NOBODY' WHERE apn = %s RETURNING 1", two[1])
    assert set(database.rows(is_new)) <= {("probable", False), ("probable", None), ("possible", True)}
    database.rows("UPDATE gis.parcel SET owner_name = %s WHERE apn = %s RETURNING 1", owner, two[1])
    assert all("another person may have it" in reason or "begins like" in reason for *_, reason in links)
    assert not {number for _, number, *_ in links} & {
        number for _, number, confidence, _ in ties if confidence == "excluded"
    }
    agrees(database, *two)
    # Five more documents of that name become known: of other days than were searched, or from another crawl.
    common = next(name for name, _, confidence, _ in ties if confidence == "probable")
    database.rows(
        "INSERT INTO recorder.party (recording_number, name, content_hash, capture_sha256, first_seen_at,"
        " changed_at) SELECT '2013000010' || n, name, content_hash, capture_sha256, now(), now() FROM"
        " generate_series(1, 5) n, (SELECT * FROM recorder.party WHERE name = %s LIMIT 1) p RETURNING 1",
        common,
    )
    assert database.rows("SELECT DISTINCT confidence FROM recorder.name_link WHERE name = %s", common) == [
        ("excluded",)
    ]


def test_mass_filers_and_trustees_tie_nothing(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county(gis_parcels=50, recorder_daily=60, **SANDBOX)
    run = Crawler(database, sandbox.url, rate=600)
    assert run("roll").code == 0
    for owner in ("FIRST OCOTILLO BANK NA", "SUNDIAL ESCROW AND TRUSTEE SERVICES LLC"):
        database.rows("UPDATE gis.parcel SET owner_name = %s RETURNING 1", owner)
        # Some 60 days of it: over what can be counted, and so halved by days.
        crawl = run("documents", "-a", f"owner={owner}", "-a", "since=2025-03-20", "-a", "until=2025-04-10")
        assert crawl.code == 0, crawl.log
    assert database.one("SELECT count(*) FROM recorder.name_match") > 100
    assert database.rows("SELECT DISTINCT confidence FROM recorder.name_link") == [("excluded",)]
    assert database.one("SELECT count(*) FROM document WHERE basis = 'owner_name'") == 0


def test_the_legacy_pages_by_code_and_by_number(tmp_path: Path, database: Database, county: Start) -> None:
    world, since, until = documents(), dt.date(2025, 3, 3), dt.date(2025, 3, 28)
    sandbox = county(latency=0.02, **SANDBOX)
    run = crawler(tmp_path, database, sandbox, search_page_size=20)
    crawl = run(
        "documents", "-a", "via=legacy", "-a", "codes=NS,DC", "-a", f"since={since}", "-a", f"until={until}"
    )
    assert crawl.code == 0, crawl.log
    stats = sandbox.stats()
    assert stats["recorder"]["requests"] == 0
    assert stats["recorder_legacy"]["in_flight_peak"] == 1
    notices, deaths = (world.of_code(code, since, until) for code in ("NS", "DC"))
    assert len(notices) > 40
    assert set(database.rows("SELECT recording_number FROM recorder.legacy_document")) >= {
        (facts.number,) for facts in notices
    }
    restricted = {
        number
        for (number,) in database.rows("SELECT recording_number FROM recorder.image WHERE is_restricted")
    }
    assert restricted == {facts.number for facts in deaths if facts.restricted}
    told = {
        number: rest
        for number, *rest in database.rows(
            "SELECT recording_number, recorded_at, names, page_amount, query_code FROM "
            "recorder.legacy_document"
        )
    }
    for facts in notices:
        assert told[facts.number] == [recorded_at(facts), list(facts.names), facts.pages, facts.codes[0]]
    assert ("NS", "N/TR SALE") in database.rows("SELECT query_code, display_code FROM recorder.code")
    assert database.rows(
        "SELECT DISTINCT source FROM document WHERE recording_number = %s", notices[0].number
    ) == [("recorder_legacy",)]
    agrees(database)
    crawl = run(
        "documents",
        "-a",
        "via=legacy",
        "-a",
        f"recording_numbers={world.of_code('FL', since, until)[0].number}",
    )
    assert crawl.code == 0, crawl.log
    sandbox.faults({"challenge": 1.0}, source="recorder_legacy")
    crawl = run("documents", "-a", "via=legacy", "-a", f"recording_numbers={notices[0].number}")
    assert crawl.code == 5, crawl.log


def test_scans_are_stored_withheld_ones_are_told_and_fresh_ones_asked_for_later(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world, day = _fresh(2)
    before = max(one for one in world.days(day - dt.timedelta(days=30), day - dt.timedelta(days=20)))
    deaths = [
        facts
        for one in world.days(before - dt.timedelta(days=60), before)
        for facts in world.of_day(one)
        if facts.restricted
    ][:2]
    plain = [facts for facts in world.of_day(before) if not facts.restricted][:8]
    fresh = [facts for facts in world.of_day(day) if not facts.restricted][:2]
    sandbox = county(recorder_daily=40, recorder_indexed=str(day - dt.timedelta(days=1)))
    faults = {
        "reset": {"kind": "scan", "count": 2},
        "malformed": {"kind": "scan", "count": 4},
        "wrong_document": {"kind": "preview", "count": 2},
    }
    sandbox.faults({name: fault | {"probability": 1.0} for name, fault in faults.items()}, source="recorder")
    run = crawler(tmp_path, database, sandbox)
    run.environment = (run.environment or {}) | {"MARICOPA_DATA_DIR": str(tmp_path / "data")}
    numbers = ",".join(facts.number for facts in [*deaths, *plain, *fresh])
    crawl = run("documents", "-a", f"recording_numbers={numbers}", "-a", "pdf=yes")
    # The fresh ones have neither names nor scans yet.
    assert crawl.code == 4, crawl.log
    assert "Traceback" not in crawl.log, crawl.log
    images = {
        number: rest
        for number, *rest in database.rows(
            "SELECT recording_number, path, size, is_restricted FROM recorder.image"
        )
    }
    assert {number for number, (*_, is_restricted) in images.items() if is_restricted} == {
        facts.number for facts in deaths
    }
    assert {number for number, (*_, is_restricted) in images.items() if not is_restricted} == {
        facts.number for facts in plain
    }
    # Neither one that breaks off nor that of another number was kept.
    assert {name: sandbox.stats()["recorder"]["faults"][name] for name in faults} == {
        name: fault["count"] for name, fault in faults.items()
    }
    for facts in plain:
        path, size, _ = images[facts.number]
        body = (tmp_path / "data" / "documents" / path).read_bytes()
        assert body.startswith(b"%PDF-")
        assert facts.number.encode() in body
        assert body.endswith(b"%%EOF\n")
        assert len(body) == size
    later = {key for (key,) in database.rows("SELECT key FROM crawl.target WHERE state = 'pending'")}
    assert later == {f"{facts.number} again 1" for facts in fresh}
    assert database.one("SELECT count(*) FROM crawl.target WHERE state = 'pending' AND kind = 'scan'") == 2
    agrees(database)
    sandbox.conduct(recorder_indexed=str(day))
    database.rows("UPDATE crawl.target SET not_before = now() WHERE state = 'pending' RETURNING id")
    # An answer without a body, and without the way to the scan.
    sandbox.faults({"malformed": {"probability": 1.0, "kind": "preview", "count": 1}}, source="recorder")
    crawl = run("documents", "-a", "job=1")
    assert crawl.code == 0, crawl.log
    assert "Traceback" not in crawl.log, crawl.log
    assert database.one("SELECT count(*) FROM document WHERE image_path IS NOT NULL") == 10
    agrees(database)


def test_a_scan_that_cannot_be_written_is_told_and_one_under_way_lets_the_run_end(
    tmp_path: Path, database: Database, county: Start, session: Session
) -> None:
    sandbox = county(**SANDBOX)
    # One hangs; of the other there is no place for its folder.
    sandbox.faults({"hang": {"kind": "scan", "count": 1, "probability": 1.0}}, source="recorder")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "documents").write_text("")
    run = crawler(tmp_path, database, sandbox)
    run.environment = (run.environment or {}) | {"MARICOPA_DATA_DIR": str(tmp_path / "data")}
    plain = [
        facts.number for facts in documents().of_day(TODAY - dt.timedelta(days=7)) if not facts.restricted
    ][:2]
    process = run.start("documents", "-a", f"recording_numbers={','.join(plain)}", "-a", "pdf=yes")
    try:
        wait_for(lambda: database.one("SELECT count(*) FROM crawl.target WHERE cause = 'store'"))
        jobs.request_state(session, 1, "pause")
        log, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert database.rows("SELECT reason FROM crawl.run") == [("paused",)], log
    assert "Traceback" not in log, log
    (message,) = {
        message for (message,) in database.rows("SELECT message FROM crawl.target WHERE state = 'dead'")
    }
    assert message.endswith("make room, or name another folder with MARICOPA_DATA_DIR")
    assert log.count(message) == 1
    assert database.one("SELECT count(*) FROM crawl.target WHERE kind = 'scan' AND state = 'pending'") == 1
    assert database.one("SELECT count(*) FROM crawl.issue WHERE kind = 'store'") == 1
