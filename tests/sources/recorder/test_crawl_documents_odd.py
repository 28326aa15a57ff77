"""`scrapy crawl documents` and `sales` where the recorder tells odd things: what is stored, what stays, what
is told, and the exit code.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.records.stale import Deeds, deeds, stale
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.recorder.api import other_year
from tests.conftest import Crawler, Database, maricopa
from tests.helpers.command import Maricopa
from tests.helpers.recorder import SANDBOX, agrees, crawler, documents, stored, truth

Start = Callable[..., SandboxProcess]
SINCE, UNTIL = dt.date(2025, 3, 3), dt.date(2025, 3, 14)
_TABLES = ("document", "document_code", "party")
_ISSUES = "SELECT kind, signature, count FROM crawl.issue WHERE job_id = %s ORDER BY kind, signature"


def _rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    return {name: sorted(database.rows(f"SELECT * FROM recorder.{name}")) for name in _TABLES}


@pytest.mark.parametrize("fault", ["missing_field", "renamed_field"])
def test_an_absent_key_clears_nothing_that_is_stored_and_is_told_once(
    database: Database, county: Start, fault: str
) -> None:
    numbers = [facts.number for facts in documents().of_day(dt.date(2025, 3, 12))][:30]
    sandbox = county(**SANDBOX)
    asked = ("documents", "-a", f"recording_numbers={','.join(numbers[:20])}")
    run = Crawler(database, sandbox.url)
    assert run(*asked).code == 0
    before = _rows(database)
    sandbox.faults({fault: 1.0}, source="recorder")
    again = run("documents", "-a", f"recording_numbers={','.join(numbers)}")
    assert again.code == 0, again.log
    after = _rows(database)
    assert [row for row in after["document"] if row[0] in numbers[:20]] == before["document"]
    # A new row has NULL there, and everything else.
    new = database.rows(
        "SELECT affidavit_present, page_amount, recording_date FROM recorder.document"
        " WHERE recording_number = ANY(%s)",
        numbers[20:],
    )
    assert {present for present, *_ in new} == {None}
    assert [None in rest for _, *rest in new] == [False] * 10
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    told = [("absent_field", "affidavitPresent", 30)] + [("new_field", "affidavitFiled", 30)] * (
        fault == "renamed_field"
    )
    assert database.rows(_ISSUES, 2) == told
    assert database.rows("SELECT verdict FROM crawl.job WHERE id = 2") == [("completed",)]


def test_a_retyped_value_leaves_its_section_unread_and_what_is_stored_of_it_stays(
    tmp_path: Path, database: Database, county: Start
) -> None:
    numbers = [facts.number for facts in documents().of_day(dt.date(2025, 3, 12))][:20]
    sandbox = county(**SANDBOX)
    run = Crawler(database, sandbox.url)
    assert run("documents", "-a", f"recording_numbers={','.join(numbers[:10])}").code == 0
    before = _rows(database)
    sandbox.faults({"retyped_field": {"probability": 1.0, "keys": [*numbers[5:15]]}}, source="recorder")
    crawl = run("documents", "-a", f"recording_numbers={','.join(numbers)}")
    assert crawl.code == 3, crawl.log
    unread = database.rows(
        "SELECT key, unread FROM crawl.target WHERE job_id = 2 AND unread IS NOT NULL ORDER BY key"
    )
    assert unread == [(number, ["document"]) for number in sorted(numbers[5:15])]
    assert database.states(2) == {"done": 21}
    # Of the new ones codes and parties are stored, of the others nothing has changed.
    after = _rows(database)
    assert [row for row in after["document"] if row[0] in numbers[:10]] == before["document"]
    assert {str(row[0]) for row in after["document"]} == {*numbers[:10], *numbers[15:]}
    of_parties = {
        number
        for (number,) in database.rows(
            "SELECT DISTINCT recording_number FROM recorder.party WHERE removed_at IS NULL"
        )
    }
    assert of_parties == set(numbers)
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    assert database.rows(_ISSUES, 2) == [("unread_section", "document: pageAmount", 10)]
    agrees(database)
    # What is asked for again, when it can be read, is all there.
    sandbox.clear_faults()
    asked = sandbox.stats()["recorder"]["by_kind"]["document"]
    again = Maricopa(database, sandbox.url, tmp_path)("retry", "2", "--unread")
    assert again.code == 0, again.out
    assert sandbox.stats()["recorder"]["by_kind"]["document"] == asked + 10
    assert database.rows("SELECT verdict FROM crawl.job WHERE id = 2") == [("completed",)]
    assert stored(database) == {number: truth(documents().find(number)) for number in numbers}


def test_odd_rows_of_searches_are_followed_counted_and_told(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world = documents(daily=60)
    sandbox = county(recorder_daily=60, **SANDBOX)
    sandbox.faults(
        {"odd_rows": 0.05, "unnumbered_rows": 0.03, "other_year": 0.05, "new_field": 0.2}, source="recorder"
    )
    run = crawler(tmp_path, database, sandbox, rate=1500, search_page_size=20)
    crawl = run("documents", "-a", f"since={SINCE}", "-a", f"until={UNTIL}", "-a", "codes=AS,RT,WD,LN,DE")
    assert crawl.code == 3, crawl.log
    there = {
        facts.number: facts
        for code in ("AS", "RT", "WD", "LN", "DE")
        for facts in world.of_code(code, SINCE, UNTIL)
    }
    got = stored(database)
    # Rows without a number are lost, and nothing else is.
    met = sandbox.stats()["recorder"]["faults"]
    assert met.keys() >= {"odd_rows", "unnumbered_rows", "other_year", "new_field"}
    lost = there.keys() - got.keys()
    assert got.keys() <= there.keys()
    assert 0 < len(lost) < len(there) * 0.1
    others = {number for number, (day, *_) in got.items() if day != there[number].date}
    assert others
    for number, values in got.items():
        facts = there[number]
        assert values[1:] == truth(facts)[1:]
        assert values[0] == (other_year(facts.date) if number in others else facts.date)
    told = {
        number for (number,) in database.rows("SELECT signature FROM crawl.issue WHERE kind = 'year_differs'")
    }
    assert others <= told <= others | lost
    states = database.rows(
        "SELECT state, sum(row_count), sum(total) FROM recorder.search_window WHERE state <> 'split' GROUP"
        " BY 1"
    )
    assert {state for state, *_ in states} == {"unread"}
    assert all(rows == total for _, rows, total in states)
    assert sum(rows for _, rows, _ in states) == sum(
        len(world.of_code(code, SINCE, UNTIL)) for code in ("AS", "RT", "WD", "LN", "DE")
    )
    assert database.rows("SELECT DISTINCT kind, unread FROM crawl.target WHERE unread IS NOT NULL") == [
        ("window", ["row"])
    ]
    agrees(database)
    assert database.rows("SELECT verdict FROM crawl.job") == [("completed_with_failures",)]


def test_odd_rows_of_legacy_lists_are_followed_and_told(
    tmp_path: Path, database: Database, county: Start
) -> None:
    world = documents()
    notices = world.of_code("NS", SINCE, dt.date(2025, 3, 28))
    sandbox = county(**SANDBOX)
    sandbox.faults({"odd_rows": 0.08, "unnumbered_rows": 0.04, "other_year": 0.1}, source="recorder_legacy")
    run = crawler(tmp_path, database, sandbox, search_page_size=20)
    crawl = run(
        "documents", "-a", "via=legacy", "-a", "codes=NS", "-a", f"since={SINCE}", "-a", "until=2025-03-28"
    )
    assert crawl.code == 3, crawl.log
    got = dict(database.rows("SELECT recording_number, recorded_at::date FROM recorder.legacy_document"))
    there = {facts.number: facts.date for facts in notices}
    assert got.keys() <= there.keys()
    assert len(there) * 0.8 < len(got) < len(there)
    others = {number for number, day in got.items() if day != there[number]}
    assert others
    assert {number: other_year(there[number]) for number in others} == {
        number: got[number] for number in others
    }
    told = {
        number for (number,) in database.rows("SELECT signature FROM crawl.issue WHERE kind = 'year_differs'")
    }
    assert others <= told
    assert database.rows("SELECT state FROM recorder.search_window") == [("unread",)]
    agrees(database)
    assert ("list", ["row"]) in database.rows(
        "SELECT DISTINCT kind, unread FROM crawl.target WHERE unread IS NOT NULL"
    )


def test_a_deed_number_of_another_form_in_an_answer_is_stored_and_counted(
    database: Database, county: Start
) -> None:
    apns = County().apns(6)
    session = Session(database.url)
    targets = [FollowOn("assessor", "parcel", apn) for apn in apns]
    ledger.open_job(session, "comprehensive", targets, {"follow": ["recorder"]}, is_sandbox=True)
    session.close()
    sandbox = county(**SANDBOX)
    sandbox.faults({"odd_deed": {"probability": 1.0, "keys": apns[:3]}})
    Crawler(database, sandbox.url)("assessor", "-a", "job=1")
    deeds_of = dict(database.rows("SELECT apn, deed_number FROM assessor.owner"))
    assert {deeds_of[apn] for apn in apns[:3]} == {"12345-0678"}
    assert database.rows(_ISSUES, 1) == [("odd_deed_number", "99999-9999", 3)]
    asked = {key for (key,) in database.rows("SELECT key FROM crawl.target WHERE source = 'recorder'")}
    assert asked == {deed for deed in deeds_of.values() if deed} - {"12345-0678"}


def test_deed_numbers_of_other_forms_are_stored_counted_and_told(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(40)
    sandbox = county(**SANDBOX)
    run = Crawler(database, sandbox.url)
    assert run("assessor", "-a", f"apns={','.join(apns)}").code == 0
    known = [
        apn
        for (apn,) in database.rows(
            "SELECT apn FROM assessor.owner WHERE deed_number IS NOT NULL ORDER BY apn"
        )
    ]
    odd = {
        known[0]: "12345-0678",
        known[1]: "54321-0001",
        known[2]: "NOD-12345",
        known[3]: "20000784158A",
        known[4]: "2001-0849180",
    }
    for apn, number in odd.items():
        database.rows("UPDATE assessor.owner SET deed_number = %s WHERE apn = %s RETURNING 1", number, apn)
    # A plan says what it leaves out.
    session = Session(database.url)
    found = deeds(session, known)
    assert (found.others, found.example) == (4, "12345-0678")
    assert "20010849180" in found.numbers
    assert all(len(number) == 11 for number in found.numbers)
    assert deeds(session, known[:1]) == Deeds([], 1, "12345-0678")
    crawl = run("sales", "-a", "job=1")
    # That with a letter has a target of its own, which says how it can be asked for.
    assert crawl.code == 3, crawl.log
    assert database.rows(
        "SELECT key, message LIKE '%%via=legacy' FROM crawl.target WHERE state = 'dead'"
    ) == [("20000784158A", True)]
    issues = database.rows(
        "SELECT source, signature, count FROM crawl.issue WHERE kind = 'odd_deed_number' ORDER BY signature"
    )
    assert issues == [("assessor", "99999-9999", 2), ("assessor", "AAA-99999", 1)]
    assert (
        dict(database.rows("SELECT apn, deed_number FROM assessor.owner WHERE apn = ANY(%s)", [*odd])) == odd
    )
    # That with a dash was asked for, by whatever form it is stored in.
    assert known[4] not in stale(session, "recorder", None, known, False)
    session.close()
    # A run of the same job tells nothing twice.
    assert run("sales", "-a", "job=1").code == 3
    assert database.rows(
        "SELECT count FROM crawl.issue WHERE kind = 'odd_deed_number' ORDER BY signature"
    ) == [(2,), (1,)]
    shown = maricopa(
        database, "run", "data-enhancement", "--sections", "sales", "--apns", ",".join(known[:4]), "--dry-run"
    )
    assert "4 parcels have a deed number by which its API cannot be asked, such as 12345-0678" in " ".join(
        (shown.stdout + shown.stderr).split()
    )
