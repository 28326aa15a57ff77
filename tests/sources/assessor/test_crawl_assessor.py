"""`scrapy crawl assessor` against the sandbox county: what is in Postgres, what the county counted, how it
exits.
"""

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.command import Maricopa

Start = Callable[..., SandboxProcess]


def _list(tmp_path: Path, lines: list[str]) -> str:
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(lines) + "\n")
    return f"apns={path}"


def _agrees(database: Database) -> None:
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()


def test_a_thousand_lines_with_duplicates_and_absent_parcels(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    present, absent = truth.apns(950), truth.absent(20)
    notations: list[Callable[[str], str]] = [
        format_apn,
        str,
        lambda apn: f"{apn[:3]} {apn[3:5]} {apn[5:].lower()}",
    ]
    lines = [notations[i % 3](apn) for i, apn in enumerate(present + absent)]
    lines += [notations[(i + 1) % 3](apn) for i, apn in enumerate((present + absent)[:30])]
    random.Random(7).shuffle(lines)
    sandbox = county(seed=1, track=True)

    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, lines))

    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 950, "gone": 20}
    stats = sandbox.stats()["assessor"]
    assert stats["by_kind"]["parcel"] == 970
    assert stats["by_kind"]["search"] == 20
    assert stats["requests"] == 990
    assert database.one("SELECT count(*) FROM assessor.parcel") == 950
    assert {apn for (apn,) in database.rows("SELECT key FROM crawl.target WHERE state = 'gone'")} == set(
        absent
    )
    assert "970 parcels (1000 given, 30 duplicates, 0 lines skipped)" in crawl.log
    # Withheld owners, in both of their forms, and Zoning as text.
    said = {apn: truth.undrawn(apn)[0] for apn in present}
    hidden = {apn for apn, parcel in said.items() if parcel["Owner"].get("Redacted", True)}
    assert {apn for apn in hidden if said[apn]["Owner"]["Ownership"] == "NA"}
    assert {apn for (apn,) in database.rows("SELECT apn FROM public.withheld")} == hidden
    named = (
        "SELECT count(*) FROM assessor.owner WHERE is_redacted AND coalesce(ownership, mailing_address_1,"
        " mailing_zip) IS NOT NULL"
    )
    assert database.one(named) == 0
    assert database.one(
        "SELECT count(*) FROM property WHERE ownership = 'withheld' AND mailing_address = 'withheld'"
    ) == len(hidden)
    zoned = {apn: parcel["Zoning"] for apn, parcel in said.items() if parcel["Zoning"]}
    assert dict(database.rows("SELECT apn, zoning FROM assessor.parcel WHERE zoning IS NOT NULL")) == zoned
    assert zoned
    _agrees(database)


def test_stored_rows_are_the_sandbox_s_truth(tmp_path: Path, database: Database, county: Start) -> None:
    truth = County(seed=3)
    apns = truth.apns(60)
    crawl = Crawler(database, county(seed=3).url)("assessor", "-a", _list(tmp_path, apns))
    assert crawl.code == 0, crawl.log
    for apn in apns:
        parcel = truth.parcel(apn)
        stored = database.rows("SELECT ownership, deed_number FROM assessor.owner WHERE apn = %s", apn)
        assert stored == [(parcel["Owner"]["Ownership"] or None, parcel["Owner"]["MostCurrentDeed"] or None)]
        values = database.rows(
            "SELECT tax_year, full_cash_value FROM public.valuation WHERE apn = %s ORDER BY 1 DESC", apn
        )
        said = [(int(v["TaxYear"]), v["FullCashValue"].strip()) for v in parcel["Valuations"]]
        assert values == [(year, None if value == "na" else int(value)) for year, value in said]
        assert database.one("SELECT count(*) FROM assessor.improvement WHERE apn = %s", apn) == len(
            parcel["Improvements"]
        )


def test_an_owner_search_takes_all_pages_and_only_that_owner(database: Database, county: Start) -> None:
    sandbox = county()
    crawl = Crawler(database, sandbox.url)("assessor", "-a", "owner=ARIZONA STATE LAND DEPT")
    assert crawl.code == 0, crawl.log
    owners = database.rows("SELECT DISTINCT ownership FROM assessor.owner")
    assert owners == [("ARIZONA STATE LAND DEPT",)]
    assert database.one("SELECT count(*) FROM assessor.owner") == 57
    assert sandbox.stats()["assessor"]["by_kind"]["search"] >= 3
    _agrees(database)


def test_an_address_search_takes_the_house_and_not_its_street(database: Database, county: Start) -> None:
    crawl = Crawler(database, county().url)("assessor", "-a", "address=301 W Jefferson St")
    assert crawl.code == 0, crawl.log
    addresses = database.rows("SELECT property_address FROM public.property")
    assert len(addresses) == 1
    assert addresses[0][0].startswith("301 W JEFFERSON ST")


def test_a_search_without_hits_is_gone_and_not_a_failure(database: Database, county: Start) -> None:
    crawl = Crawler(database, county().url)("assessor", "-a", "owner=NOSUCH OWNER XYZZY")
    assert crawl.code == 0, crawl.log
    assert database.states() == {"gone": 1}


def test_an_empty_404_that_the_search_contradicts_is_asked_again(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(10)
    sandbox = county()
    sandbox.faults({"empty_404": {"probability": 1.0, "keys": apns[:2], "count": 2}})
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, apns))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 10}
    assert database.one("SELECT sum(attempts) FROM crawl.target") == 2
    assert "refused" in crawl.log


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("wrong_parcel", "wrong_parcel"),
        ("malformed", "malformed"),
        ("no_identity", "malformed"),
        ("soft_404", "soft_404"),
        ("server_error", "server_error"),
        ("forbidden", "refused"),
        ("truncated", "connection"),
        ("reset", "connection"),
    ],
)
def test_a_lasting_fault_leaves_no_row_and_a_named_cause(
    tmp_path: Path, database: Database, county: Start, fault: str, cause: str, fast_retries: dict[str, str]
) -> None:
    apns = County().apns(6)
    sandbox = county()
    sandbox.faults({fault: {"probability": 1.0, "kind": "parcel", "keys": apns[:1]}})
    crawl = Crawler(database, sandbox.url, environment=fast_retries)("assessor", "-a", _list(tmp_path, apns))
    assert crawl.code == 3, crawl.log
    assert database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'") == [(apns[0], cause)]
    assert database.states() == {"done": 5, "dead": 1}
    assert database.one("SELECT count(*) FROM assessor.parcel") == 5
    assert database.one("SELECT count(*) FROM assessor.owner WHERE apn = %s", apns[0]) == 0
    assert "Traceback" not in crawl.log
    _agrees(database)


def test_an_absent_or_renamed_field_costs_neither_the_parcel_nor_what_is_stored(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(6)
    sandbox = county()
    crawler = Crawler(database, sandbox.url)
    assert crawler("assessor", "-a", _list(tmp_path, apns[:3])).code == 0
    before = database.rows(
        "SELECT apn, lot_size_sqft, content_hash, changed_at FROM assessor.parcel ORDER BY apn"
    )
    sandbox.faults({"renamed_field": {"probability": 1.0, "kind": "parcel"}})
    crawl = crawler("assessor", "-a", _list(tmp_path, apns))
    assert crawl.code == 0, crawl.log
    assert database.states(2) == {"done": 6}
    after = database.rows(
        "SELECT apn, lot_size_sqft, content_hash, changed_at FROM assessor.parcel WHERE apn = ANY(%s) ORDER"
        " BY apn",
        apns[:3],
    )
    assert after == before
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    new = (
        "SELECT count(*), count(lot_size_sqft), count(property_type) FROM assessor.parcel WHERE apn = ANY(%s)"
    )
    assert database.rows(new, apns[3:]) == [(3, 0, 3)]
    # One issue for the field, not one a parcel.
    assert sorted(database.rows("SELECT kind, signature, count FROM crawl.issue")) == [
        ("absent_field", "LotSize", 6),
        ("new_field", "LotSizeSqFt", 6),
    ]
    _agrees(database)


def test_a_value_of_another_kind_costs_its_section_which_is_told_everywhere(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(6)
    sandbox = county()
    command = Maricopa(database, sandbox.url, tmp_path / "data")
    crawler = Crawler(database, sandbox.url)
    assert crawler("assessor", "-a", _list(tmp_path, apns[:1])).code == 0
    stored = (
        "SELECT apn, tax_year, full_cash_value, content_hash, changed_at FROM assessor.valuation WHERE apn ="
        " %s ORDER BY tax_year"
    )
    before = database.rows(stored, apns[0])
    sandbox.faults({"retyped_field": {"probability": 1.0, "kind": "parcel", "keys": apns[:2]}})

    crawl = crawler("assessor", "-a", _list(tmp_path, apns))

    assert crawl.code == 3, crawl.log
    assert database.rows("SELECT verdict FROM crawl.job WHERE id = 2") == [("completed_with_failures",)]
    assert database.states(2) == {"done": 6}
    unread = "SELECT key, unread FROM crawl.target WHERE unread IS NOT NULL ORDER BY key"
    assert database.rows(unread) == [(apn, ["valuation"]) for apn in sorted(apns[:2])]
    # What was stored of the section stays, the other sections are stored, and nothing of it is invented.
    assert database.rows(stored, apns[0]) == before
    assert database.rows(stored, apns[1]) == []
    for table in ("parcel", "owner", "residence", "related"):
        assert database.one(f"SELECT count(*) FROM assessor.{table}") == 6
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    (issue,) = database.rows(
        "SELECT kind, signature, count, message, capture_sha256 IS NOT NULL FROM crawl.issue"
    )
    assert issue[:3] == ("unread_section", "valuation: Valuations[].FullCashValue", 2)
    assert "'12x'" in issue[3]
    assert issue[4] is True
    _agrees(database)
    told = command("verify")
    assert (told.code, "section valuation of 2 answers could not be read" in told.out) == (0, True), told.out
    assert "assessor valuation" in command("status", "2").out
    page = tmp_path / "report.html"
    assert command("report", "2", "--html", str(page)).code == 0
    assert "assessor valuation" in page.read_text()

    # The county mends it: only those two are asked again, and what their first answers told keeps its
    # capture.
    sandbox.clear_faults()
    asked = sandbox.stats()["assessor"]["requests"]
    again = command("retry", "2", "--unread")
    assert again.code == 0, again.out
    assert sandbox.stats()["assessor"]["requests"] == asked + 2
    assert database.rows(unread) == []
    assert database.rows("SELECT verdict FROM crawl.job WHERE id = 2") == [("completed",)]
    assert len(database.rows(stored, apns[1])) >= 5
    _agrees(database)
    nothing = command("retry", "2", "--unread")
    assert (nothing.code, "no answer with an unread section" in nothing.errors) == (2, True), nothing.errors


def test_an_answer_of_which_no_section_can_be_read_is_dead(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(2)
    sandbox = county()
    sandbox.faults({"all_retyped": {"probability": 1.0, "kind": "parcel", "keys": apns[:1]}})
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, apns))
    assert crawl.code == 3, crawl.log
    assert database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'") == [
        (apns[0], "source_changed")
    ]
    assert database.one("SELECT count(*) FROM assessor.parcel") == 1
    _agrees(database)


def test_500_to_everything_is_the_token_and_marks_no_target(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    sandbox.faults({"server_error": {"probability": 1.0}})
    crawl = Crawler(database, sandbox.url, rate=20)("assessor", "-a", _list(tmp_path, County().apns(30)))
    assert crawl.code == 1, crawl.log
    assert "most likely the token is missing, wrong or withdrawn" in crawl.log
    assert 5 <= sandbox.stats()["assessor"]["requests"] <= 9
    assert database.rows("SELECT state, cause, attempts, count(*) FROM crawl.target GROUP BY 1, 2, 3") == [
        ("pending", None, 0, 30)
    ]
    assert database.rows("SELECT verdict, reason FROM crawl.job") == [("failed", "unauthorized")]


def test_500_at_first_and_answers_then_are_ordinary_failures(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(8)
    sandbox = county()
    sandbox.faults({"server_error": {"probability": 1.0, "keys": apns[:3], "count": 1}})
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, apns))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 8}


def test_a_new_field_is_an_issue_and_the_row_is_stored(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    sandbox.faults({"new_field": {"probability": 1.0}})
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, County().apns(5)))
    assert crawl.code == 0, crawl.log
    assert database.rows("SELECT kind, signature, count FROM crawl.issue") == [("new_field", "GreenScore", 5)]
    assert database.one("SELECT count(*) FROM assessor.parcel") == 5


def test_text_that_postgres_refuses_is_mended_and_told(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    sandbox.faults({"nul_text": {"probability": 1.0}})
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, County().apns(5)))
    assert crawl.code == 3, crawl.log
    assert database.states() == {"done": 5}
    assert database.rows("SELECT unread, count(*) FROM crawl.target GROUP BY 1") == [(["characters"], 5)]


def test_throttling_costs_no_attempt_and_loses_nothing(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(rate=15, burst=3, retry_after="seconds")
    crawl = Crawler(database, sandbox.url, rate=100)("assessor", "-a", _list(tmp_path, County().apns(40)))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 40}
    assert sandbox.stats()["assessor"]["refused"] > 0
    assert database.one("SELECT sum(attempts) FROM crawl.target") == 0


def test_a_401_stops_at_once_and_marks_no_target(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county(token="right-token", latency=0.4)
    crawl = Crawler(database, sandbox.url, rate=500)("assessor", "-a", _list(tmp_path, County().apns(50)))
    assert crawl.code == 1, crawl.log
    assert "unauthorized" in crawl.log
    assert sandbox.stats()["assessor"]["requests"] <= 5
    assert database.states() == {"pending": 50}
    assert database.one("SELECT sum(attempts) FROM crawl.target") == 0
    assert database.rows("SELECT verdict, reason FROM crawl.job") == [("failed", "unauthorized")]


def test_a_challenge_ends_the_run_as_blocked(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"challenge": {"probability": 1.0}})
    crawl = Crawler(database, sandbox.url, rate=20)("assessor", "-a", _list(tmp_path, County().apns(30)))
    assert crawl.code == 5, crawl.log
    assert database.states() == {"pending": 30}
    assert sandbox.stats()["assessor"]["requests"] <= 6


def test_never_more_than_the_concurrency_of_the_manifest(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(latency=0.1)
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _list(tmp_path, County().apns(60)))
    assert crawl.code == 0, crawl.log
    assert sandbox.stats()["assessor"]["in_flight_peak"] == 5


def test_a_second_collection_writes_only_what_changed(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(120)
    argument = _list(tmp_path, apns)
    assert Crawler(database, county(epoch=0).url)("assessor", "-a", argument).code == 0
    versions = "SELECT count(*), sum(xmin::text::bigint) FROM assessor.owner"
    before = database.rows(versions)
    assert Crawler(database, county(epoch=0).url)("assessor", "-a", argument).code == 0
    assert database.rows(versions) == before
    assert database.one("SELECT count(*) FROM crawl.change") == 0

    assert Crawler(database, county(epoch=1).url)("assessor", "-a", argument).code == 0
    old, new = County(epoch=0), County(epoch=1)
    expected = set()
    for apn in apns:
        was, now = old.parcel(apn)["Owner"]["Ownership"], new.parcel(apn)["Owner"]["Ownership"]
        if was != now:
            expected.add((apn, was, now))
    changes = database.rows(
        "SELECT key->>'apn', old, new FROM crawl.change WHERE table_name = 'assessor.owner' AND field ="
        " 'ownership'"
    )
    assert expected
    assert set(changes) == expected
    _agrees(database)


def test_kill_9_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(900) + County().absent(20)
    argument = _list(tmp_path, apns)
    sandbox = county(track=True)
    moments = random.Random(11)
    crawler = Crawler(database, sandbox.url, rate=80)
    arguments: tuple[str, ...] = ("assessor", "-a", argument)
    kills = 0
    for _ in range(5):
        process = crawler.start(*arguments)
        deadline = time.monotonic() + 60
        done = before = sum(database.states().get(state, 0) for state in ("done", "gone"))
        while done == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            done = sum(database.states().get(state, 0) for state in ("done", "gone"))
        time.sleep(moments.uniform(0, 0.9))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        arguments = ("assessor", "-a", "job=1")
    last = crawler(*arguments, timeout=240)
    assert kills == 5
    assert last.code == 0, last.log
    assert database.states() == {"done": 900, "gone": 20}
    assert database.one("SELECT count(*) FROM assessor.parcel") == 900
    assert database.one("SELECT count(*) FROM crawl.job") == 1
    again = sum(count - 1 for count in sandbox.stats()["assessor"]["fetched"].values())
    # At most what one flush interval (1 s) at 80/s fetched, and what was under way, for each kill.
    assert again <= kills * (80 * 1.5 + 20)
    print(f"fetched again over {kills} kills: {again}")
    _agrees(database)


def test_a_run_interrupted_by_the_user_is_incomplete_and_goes_on(
    tmp_path: Path, database: Database, county: Start
) -> None:
    argument = _list(tmp_path, County().apns(200))
    crawler = Crawler(database, county().url, rate=40)
    process = crawler.start("assessor", "-a", argument)
    while not database.states().get("done"):
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 4, log
    assert "-a job=1` goes on" in log
    assert database.states().get("leased") is None
    assert crawler("assessor", "-a", "job=1").code == 0
    assert database.states() == {"done": 200}


def test_two_runs_of_one_job_share_its_targets(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county(track=True, latency=0.02)
    # The first one alone would need 80 s: however long the second takes to begin, there is work for it.
    first = Crawler(database, sandbox.url, rate=3).start(
        "assessor", "-a", _list(tmp_path, County().apns(240))
    )
    while not database.states().get("leased"):
        time.sleep(0.05)
    second = Crawler(database, sandbox.url, rate=100).start("assessor", "-a", "job=1")
    for process in (first, second):
        log, _ = process.communicate(timeout=120)
        assert process.returncode == 0, log
    assert database.states() == {"done": 240}
    assert set(sandbox.stats()["assessor"]["fetched"].values()) == {1}
    assert database.one("SELECT count(DISTINCT run_id) FROM crawl.target") == 2


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("-a", "apns=missing.txt"), r"neither an APN .* nor a file"),
    (("-a", "apn=165-28-054"), r"`apn`: unknown.*did you mean apns"),
    ((), r"give one of -a apns="),
    (("-a", "apns=165-28-054", "-a", "owner=X"), r"cannot be given together"),
    (("-a", "job=99"), r"there is no job 99"),
    (("-a", "apns="), r"the list is empty"),
    (("-a", "owner=--"), r"nothing to search for"),
    (("-a", "apns=165-28-054,12-34"), r"'12-34' is not an APN"),
    (("-a", "apns=" + ",".join(["165-28-054"] * 60 + ["12-34"])), r"'12-34' is not an APN"),
    (("-a", "apns=~nouser/x"), r"neither an APN nor"),
    (("-a", "apns=165-28-054", "-a", "priority=urgent"), r"'urgent' is not one of critical"),
    (("-a", "job=1", "-a", "priority=high"), r"cannot be given together"),
    (("-a", "owner=X", "-a", "skip_invalid=yes"), r"goes with a list of apns"),
    (
        ("-a", "apns=165-28-054", "-s", "MARICOPA_SANDBOX=ftp://127.0.0.1:1"),
        r"is not an address on this machine",
    ),
    (
        ("-a", "apns=165-28-054", "-s", "MARICOPA_RATE_LIMIT=fast"),
        r"MARICOPA_RATE_LIMIT=fast is not a number",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    database: Database, arguments: tuple[str, ...], message: str
) -> None:
    crawl = Crawler(database, "http://127.0.0.1:9", rate=None)("assessor", *arguments)
    assert crawl.code == 2, crawl.log
    assert len(crawl.error_lines()) == 1
    assert re.search(message, crawl.error_lines()[0]), crawl.log
    assert "Traceback" not in crawl.log
    assert database.one("SELECT count(*) FROM crawl.job WHERE id > 0") == 0


def test_a_bad_line_is_named_and_leaves_no_job(tmp_path: Path, database: Database, county: Start) -> None:
    apns = County().apns(3)
    argument = _list(tmp_path, [*apns[:2], "12-34", apns[2]])
    crawler = Crawler(database, county().url)
    crawl = crawler("assessor", "-a", argument)
    assert crawl.code == 2
    assert re.search(r"apns\.txt, line 3: '12-34' is not an APN", crawl.error_lines()[0])
    assert database.one("SELECT count(*) FROM crawl.job") == 0
    skipping = crawler("assessor", "-a", argument, "--skip-invalid")
    assert skipping.code == 0, skipping.log
    assert "1 lines skipped" in skipping.log
    assert "line 3: '12-34'" in skipping.log
    assert database.one("SELECT count(*) FROM assessor.parcel") == 3


def test_without_a_token_the_real_county_is_not_asked(database: Database) -> None:
    crawl = Crawler(database, None)("assessor", "-a", "apns=165-28-054")
    assert crawl.code == 2
    (line,) = crawl.error_lines()
    assert "MARICOPA_ASSESSOR_TOKEN is not set" in line
    assert "API Question/Token" in line
    assert "sandbox" in line


def test_an_unreachable_database_is_one_line(county: Start) -> None:
    environment = {"MARICOPA_DATABASE_URL": "postgresql://nobody:secret-word@127.0.0.1:9/none"}
    crawl = Crawler(None, county().url, environment=environment)("assessor", "-a", "apns=165-28-054")
    assert crawl.code == 2
    (line,) = crawl.error_lines()
    assert "cannot reach the database" in line
    assert "MARICOPA_DATABASE_URL" in line
    assert "secret-word" not in crawl.log
    assert "Traceback" not in crawl.log


def test_invented_records_never_stand_beside_real_ones(database: Database, county: Start) -> None:
    database.rows(
        "INSERT INTO crawl.job (type, mode, priority, parameters, is_sandbox) VALUES ('x', 'x', 'low', '{}',"
        " false) RETURNING id"
    )
    crawl = Crawler(database, county().url)("assessor", "-a", "apns=165-28-054")
    assert crawl.code == 2
    assert "must not stand beside" in crawl.error_lines()[0]


def test_the_token_is_sent_and_never_shown(tmp_path: Path, database: Database, county: Start) -> None:
    token = "11111111-2222-3333-4444-555555555555"
    sandbox = county(token=token)
    folder = tmp_path / "settings"
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "assessor.yaml"
    manifest.write_text(
        manifest.read_text().replace("https://mcassessor.maricopa.gov\n", f"{sandbox.url}/assessor\n", 1)
    )
    environment = {"MARICOPA_ASSESSOR_TOKEN": token, "MARICOPA_CONFIG": str(folder)}
    crawl = Crawler(database, None, environment=environment)(
        "assessor", "-a", _list(tmp_path, County().apns(3)), "-s", "LOG_LEVEL=DEBUG"
    )
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 3}
    assert token not in crawl.log
    for table in ("crawl.run", "crawl.job", "crawl.issue", "crawl.target", "crawl.capture"):
        assert token not in str(database.rows(f"SELECT t::text FROM {table} t"))


def test_ctrl_c_ends_a_run_that_is_held(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"throttled": {"probability": 1.0, "retry_after": "seconds"}})
    process = Crawler(database, sandbox.url, rate=20).start(
        "assessor", "-a", _list(tmp_path, County().apns(50))
    )
    while not sandbox.stats()["assessor"]["requests"]:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 4, log
    assert database.states() == {"pending": 50}


def test_what_a_run_leased_and_does_not_have_is_given_back(
    tmp_path: Path, database: Database, county: Start
) -> None:
    process = Crawler(database, county().url, rate=20).start(
        "assessor", "-a", _list(tmp_path, County().apns(40))
    )
    while not database.states().get("done"):
        time.sleep(0.05)
    # As if the answer to a lease had been lost: leased by the run, which knows nothing of it.
    database.rows(
        "UPDATE crawl.target SET state = 'leased', run_id = 1 WHERE state = 'pending' AND id > 38"
        " RETURNING id"
    )
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert database.states() == {"done": 40}


def test_a_proxy_of_the_user_s_is_not_asked_for_this_machine(
    tmp_path: Path, database: Database, county: Start
) -> None:
    proxies = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    crawl = Crawler(database, county().url, environment=proxies)(
        "assessor", "-a", _list(tmp_path, County().apns(3))
    )
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 3}


def test_scrapyd_s_own_arguments_are_let_by(tmp_path: Path, database: Database, county: Start) -> None:
    crawl = Crawler(database, county().url)(
        "assessor", "-a", _list(tmp_path, County().apns(2)), "-a", "_job=abc123"
    )
    assert crawl.code == 0, crawl.log


@pytest.mark.parametrize(
    "address", ["maricopa:hunter2@dbhost/x", "mysql://u:hunter2@h/x", "postgresql://u:hun/ter2@127.0.0.1:9/x"]
)
def test_a_password_is_never_shown(county: Start, address: str) -> None:
    crawl = Crawler(None, county().url, environment={"MARICOPA_DATABASE_URL": address})(
        "assessor", "-a", "apns=165-28-054"
    )
    assert crawl.code == 2
    assert len(crawl.error_lines()) == 1
    assert not {"hunter2", "ter2"} & set(re.split(r"\W+", crawl.log))
