"""`scrapy crawl tax` in a real browser against the sandbox's treasurer: what is stored, what the county
counted, how it ends.
"""

from pathlib import Path

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.treasurer.bills import taxes
from tests.conftest import Database
from tests.helpers.taxes import Start, crawler, differences, listed, needs_browser, true_bills

pytestmark = needs_browser


def _agrees(database: Database) -> None:
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()


def test_every_bill_and_payment_is_the_county_s(tmp_path: Path, database: Database, county: Start) -> None:
    truth = County()
    apns, absent = truth.apns(40), truth.absent(3)
    sandbox = county(latency=0.05)
    crawl = crawler(database, sandbox, tmp_path)("tax", "-a", listed(tmp_path, apns + absent))
    assert crawl.code == 0, crawl.log
    assert "Traceback" not in crawl.log
    assert database.states() == {"done": 40, "gone": 3}
    assert differences(database, truth, apns) == []
    stats = sandbox.stats()["treasurer"]
    assert stats["by_kind"]["parcel"] == 43
    assert stats["by_kind"]["payments"] == 40
    # Never asked for: pictures and fonts; asked for once a page: its style.
    assert not {"image", "font"} & stats["by_kind"].keys()
    assert stats["by_kind"]["stylesheet"] <= 4
    _agrees(database)


# Fault of one parcel's page, and what becomes of it.
FAULTS = {
    "forbidden": "refused",
    "server_error": "server_error",
    "maintenance": "server_error",
    "soft_404": "soft_404",
    "hang": "timeout",
    "reset": "connection",
    "truncated": "connection",
    "endless_shell": "soft_404",
    "wrong_parcel": "wrong_parcel",
    "no_identity": "source_changed",
    "swapped_values": "source_changed",
    "renamed_heading": "source_changed",
    "missing_field": "source_changed",
    "unknown_status": "source_changed",
    "paid_but_due": "source_changed",
    "retyped_field": "source_changed",
    "blank_cell": "source_changed",
    "empty_grid": "source_changed",
    "more_pages": "source_changed",
    "bare_pager": "source_changed",
    "virtual_grid": "source_changed",
    "lone_heading": "source_changed",
    "search_loading": "source_changed",
    "search_empty": "source_changed",
}
# Told of by the words of the issue.
SAID = {
    "wrong_parcel": "parcel: account",
    "no_identity": "parcel: account",
    "renamed_heading": "summary.headings",
    "missing_field": "summary.headings",
    "unknown_status": "summary.status",
    "paid_but_due": "summary.amount_due|summary.status",
    "retyped_field": "summary.assessed",
    "empty_grid": "summary.rows",
    "more_pages": "summary.pager",
    "swapped_values": "summary.amount_due|summary.status",
    "blank_cell": "summary.amount_due",
    "bare_pager": "summary.pager",
    "virtual_grid": "summary.rows",
    "lone_heading": "account.owner",
    "search_loading": "parcel: absent",
    "search_empty": "parcel: absent",
}


def test_every_fault_ends_in_its_own_cause_and_stores_nothing_of_it(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    # Parcels with a bill that is not paid, where a fault that calls it so shows.
    known = [apn for apn in truth.apns(200) if (bills := taxes(1, 0, apn).bills) and bills[0].due][
        : len(FAULTS)
    ]
    well = [apn for apn in truth.apns(30) if apn not in known][:12]
    victims = dict(zip(FAULTS, known, strict=True))
    sandbox = county()
    sandbox.faults(
        {fault: {"keys": [apn], "kind": "parcel"} for fault, apn in victims.items()}, source="treasurer"
    )
    crawl = crawler(database, sandbox, tmp_path, attempts=1, settle=2)(
        "tax", "-a", listed(tmp_path, [*known, *well])
    )
    assert crawl.code == 3, crawl.log
    assert "Traceback" not in crawl.log
    causes = dict(database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'"))
    assert {fault: causes.get(apn) for fault, apn in victims.items()} == FAULTS, crawl.log
    assert database.states() == {"done": 12, "dead": len(FAULTS)}
    assert differences(database, truth, well) == []
    stored = {
        apn
        for (apn,) in database.rows("SELECT apn FROM treasurer.bill UNION SELECT apn FROM treasurer.account")
    }
    assert stored == set(well)
    assert not database.one("SELECT count(*) FROM treasurer.bill WHERE status = 'paid' AND amount_due > 0")

    issues = {
        key: rest for key, *rest in database.rows("SELECT target_key, signature, screenshot FROM crawl.issue")
    }
    for fault, said in SAID.items():
        evidence = dict(
            database.rows("SELECT signature, capture_sha256 FROM crawl.issue WHERE signature ~ %s", said)
        )
        assert evidence, (fault, issues)
        assert all(evidence.values())
    pictures = [bytes(png) for _, png in issues.values() if png]
    assert all(png.startswith(b"\x89PNG") for png in pictures)
    # One a kind of surprise: what is wrong, and where.
    assert 10 <= len(pictures) <= 15
    _agrees(database)


def test_another_order_a_new_column_and_a_grid_that_stays_are_read_right(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    apns = truth.apns(14)
    # More payments than bills, or as many: rows of the summary that stay for a while may not be taken for
    # payments.
    faults = {
        "changed_order": {"keys": apns[:3]},
        "new_field": {"keys": apns[3:6]},
        "patched_grid": {"keys": apns[6:]},
    }
    sandbox = county()
    sandbox.faults(faults, source="treasurer")
    crawl = crawler(database, sandbox, tmp_path)("tax", "-a", listed(tmp_path, apns))
    assert crawl.code == 0, crawl.log
    assert differences(database, truth, apns) == []
    assert database.rows("SELECT kind, signature, count FROM crawl.issue") == [
        ("new_field", "summary: Green Levy", 3)
    ]


def test_rows_that_come_late_are_awaited_and_years_that_vanish_stay(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    some = [apn for apn in truth.apns(40) if len(taxes(1, 0, apn).bills) > 2][:9]
    unbilled = [apn for apn in truth.apns(200) if not taxes(1, 0, apn).bills][:2]
    # With Telerik's own words known as an answer, which stand there before the rows come.
    sandbox = county()
    crawl = crawler(database, sandbox, tmp_path, words="generic", attempts=1)
    faults = {
        "pushed_rows": some[:3],
        "late_rows": some[3:6],
        "search_first": some[6:],
        "generic_none": unbilled,
    }
    sandbox.faults({name: {"keys": apns} for name, apns in faults.items()}, source="treasurer")
    first = crawl("tax", "-a", listed(tmp_path, [*some, *unbilled]))
    assert first.code == 0, first.log
    assert database.states() == {"done": 11}, first.log
    assert differences(database, truth, [*some, *unbilled]) == []
    assert database.one("SELECT count(*) FROM crawl.issue") == 0
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] == 11

    versions = "SELECT count(*), min(observed_at) FROM public.tax WHERE apn = %s AND tax_year > %s"
    oldest = {apn: taxes(1, 0, apn).bills[-1].tax_year for apn in some[:2]}
    was = {apn: database.rows(versions, apn, year) for apn, year in oldest.items()}
    sandbox.clear_faults()
    sandbox.faults({"missing_year": {"keys": list(oldest)}}, source="treasurer")
    again = crawl("tax", "-a", listed(tmp_path, list(oldest)), "-a", "tabs=summary")
    assert again.code == 0, again.log
    # Still there, an issue, and of the others it is known that they were seen again.
    assert differences(database, truth, list(oldest)) == []
    unseen = "SELECT apn, tax_year FROM public.tax WHERE unseen_since > observed_at ORDER BY apn"
    assert database.rows(unseen) == sorted(oldest.items())
    ((kind, count, example),) = database.rows("SELECT kind, count, example FROM crawl.issue")
    assert (kind, count) == ("unseen_rows", 2)
    assert example[0]["tax_year"] in oldest.values()
    for apn, year in oldest.items():
        ((number, seen),) = database.rows(versions, apn, year)
        ((same, before),) = was[apn]
        assert number == same
        assert seen > before
    sandbox.clear_faults()
    assert crawl("tax", "-a", listed(tmp_path, list(oldest)), "-a", "tabs=summary").code == 0
    assert database.rows(unseen) == []


def test_a_data_call_that_is_refused_is_the_page_s_refusal(
    tmp_path: Path, database: Database, county: Start
) -> None:
    # And where nothing is known to say that a parcel is not there, none is gone.
    apns = [*County().apns(4), *County().absent(1)]
    sandbox = county()
    faults = {"forbidden": "account", "server_error": "bills", "hang": "payments", "reset": "notices"}
    known = apns[:4]
    refused = {
        name: {"kind": kind, "keys": [apn]} for (name, kind), apn in zip(faults.items(), known, strict=True)
    }
    # One is refused before the page's own end has come.
    sandbox.faults(refused | {"late_end": {"kind": "parcel", "keys": known[:2]}}, "treasurer")
    crawl = crawler(database, sandbox, tmp_path, words="unknown", attempts=1, settle=5)(
        "tax", "-a", listed(tmp_path, apns)
    )
    assert crawl.code == 3, crawl.log
    causes = dict(database.rows("SELECT key, cause FROM crawl.target"))
    assert [causes[apn] for apn in apns] == [
        "refused",
        "server_error",
        "timeout",
        "connection",
        "source_changed",
    ]
    assert (
        database.one("SELECT count(*) FROM crawl.issue WHERE signature ~ 'absent' AND screenshot IS NOT NULL")
        == 1
    )
    assert database.one("SELECT count(*) FROM treasurer.bill") == 0


@pytest.mark.parametrize("kind", ["parcel", "account"])
def test_a_challenge_ends_the_run_as_blocked(
    tmp_path: Path, database: Database, county: Start, kind: str
) -> None:
    sandbox = county()
    sandbox.faults({"challenge": {"kind": kind}}, source="treasurer")
    crawl = crawler(database, sandbox, tmp_path, rate=20)("tax", "-a", listed(tmp_path, County().apns(30)))
    assert crawl.code == 5, crawl.log
    assert database.states() == {"pending": 30}
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] <= 4


def test_the_summary_alone_leaves_payments_as_they_are(
    tmp_path: Path, database: Database, county: Start
) -> None:
    before, after = County(), County(epoch=2)
    apns = before.apns(8)
    argument = listed(tmp_path, apns)
    crawl = crawler(database, county(), tmp_path)
    assert crawl("tax", "-a", argument).code == 0
    versions = (
        "SELECT sum(xmin::text::bigint) FROM (SELECT xmin FROM treasurer.bill UNION ALL SELECT xmin FROM"
        " treasurer.payment) x"
    )
    written = database.one(versions)
    assert crawl("tax", "-a", argument).code == 0
    # Seen again unchanged: not written, and yet seen.
    assert database.one(versions) == written
    assert database.one("SELECT count(*) FROM crawl.change") == 0
    assert database.one(
        "SELECT count(DISTINCT observed_at) > 0 AND min(observed_at) > max(first_seen_at) FROM public.tax"
    )

    later = county(epoch=2)
    crawl.sandbox = later.url
    assert crawl("tax", "-a", argument, "-a", "tabs=summary").code == 0
    assert later.stats()["treasurer"]["by_kind"].get("payments", 0) == 0
    assert database.one("SELECT count(*) FROM treasurer.payment WHERE removed_at IS NOT NULL") == 0
    expected = {apn: true_bills(after, apn) for apn in apns}
    for apn in apns:
        rows = database.rows(
            "SELECT tax_year, status, assessed, paid, interest, amount_due FROM treasurer.bill WHERE apn = %s"
            " ORDER BY 1 DESC",
            apn,
        )
        assert rows == expected[apn]
    changed = {apn for apn in apns if expected[apn] != true_bills(before, apn)}
    assert {
        apn
        for (apn,) in database.rows(
            "SELECT key ->> 'apn' FROM crawl.change WHERE table_name = 'treasurer.bill'"
        )
    } == changed
    assert changed
    _agrees(database)
