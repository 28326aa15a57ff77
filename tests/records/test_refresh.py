"""What a refresh asks again and what it leaves out: each rule, on stored rows."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.records import refresh
from maricopa_scrapy.records.refresh import PHASES, Decision, Terms
from maricopa_scrapy.records.refresh_rules import OFFICES, REASONS, RULES
from maricopa_scrapy.sources.treasurer.calendar import instalments

_PHOENIX = dt.timezone(dt.timedelta(hours=-7))
_NO_ROW = "'\\x00', '\\x00'"
_APN = "10101001"


def _at(day: str, hour: int = 12) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour, tzinfo=_PHOENIX))


def _do(session: Session, statement: str, *values: Any) -> None:
    def work(cursor: Cursor) -> None:
        cursor.execute(statement, values)

    session.transact(work)


def _asked(session: Session, source: str, at: dt.datetime, *keys: str, kind: str = "parcel") -> None:
    """An office was asked for these, and answered, in a job of their own."""
    ledger.open_job(session, source, [FollowOn(source, kind, key) for key in keys], {})
    _do(
        session,
        "UPDATE crawl.target SET state = 'done', done_at = %s WHERE key = ANY(%s) AND source = %s",
        at,
        list(keys),
        source,
    )


def _bill(session: Session, year: int, assessed: int, paid: int, due: int, status: str = "unpaid") -> None:
    first, second = instalments(year, assessed)  # type: ignore[arg-type]
    _do(
        session,
        "INSERT INTO treasurer.bill (apn, tax_year, status, status_text, assessed, paid, interest,"
        " amount_due,"
        " first_half_until, second_half_until, content_hash, capture_sha256, first_seen_at, changed_at)"
        f" VALUES (%s, %s, %s, '', %s, %s, 0, %s, %s, %s, {_NO_ROW}, now(), now())",
        _APN,
        year,
        "paid" if not due else status,
        assessed,
        paid,
        due,
        first,
        second,
    )


def _changed(
    session: Session, table: str, field: str, apn: str = _APN, old: str = "a", new: str = "b"
) -> None:
    _do(
        session,
        "INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)"
        " VALUES (%s, jsonb_build_object('apn', %s::text), %s, %s, %s, now(), 1)",
        table,
        apn,
        field,
        old,
        new,
    )


def _parcel(session: Session, apn: str, at: dt.datetime, deed: str = "", day: str = "2010-01-01") -> None:
    _do(
        session,
        "INSERT INTO gis.parcel (apn, layer, owner_name, deed_number, deed_date, content_hash,"
        " capture_sha256,"
        f" first_seen_at, changed_at) VALUES (%s, 'E', 'SOMEBODY', nullif(%s, ''), %s, {_NO_ROW}, %s, %s)",
        apn,
        deed,
        day,
        at,
        at,
    )


def _owner(session: Session, apn: str, deed: str, day: str = "2010-01-01") -> None:
    _do(
        session,
        "INSERT INTO assessor.owner (apn, deed_number, deed_date, content_hash, capture_sha256,"
        " first_seen_at,"
        f" changed_at) VALUES (%s, %s, %s, {_NO_ROW}, now(), now())",
        apn,
        deed,
        day,
    )


def _terms(*offices: str, as_of: dt.datetime | None = None, least: int = 0) -> Terms:
    return Terms(offices, 0.0, least, 7, as_of)


def _seen(session: Session, office: str, as_of: dt.datetime | None = None) -> Decision:
    (decision,), _ = refresh.preview(session, _terms(office, as_of=as_of), None)
    return decision


def _job(session: Session, terms: Terms, roll: str = "complete") -> int:
    """A refresh whose roll was read, or not to its end."""
    parameters = {"refresh": terms.parameters()}
    job, _ = ledger.open_job(session, "refresh", [FollowOn("gis", "layer", "county")], parameters)
    _do(session, "UPDATE crawl.target SET state = 'done', done_at = now() WHERE job_id = %s", job)
    _do(
        session,
        "INSERT INTO gis.roll (job_id, walk, layer, first_id, last_id, row_count, page, detail, state,"
        " parcels,"
        " finished_at) VALUES (%s, 1, 'E', 1, 1, 1, 2000, '{}', %s, 1, now())",
        job,
        roll,
    )
    return job


def _paid(session: Session) -> None:
    _bill(session, 2025, 2000, 2000, 0)


def _open_half(session: Session) -> None:
    _bill(session, 2025, 2000, 1000, 1000)


def _nothing_paid(session: Session) -> None:
    _bill(session, 2025, 2000, 0, 2000)


def _small(session: Session) -> None:
    _bill(session, 2025, 90, 0, 90)


def _lien(session: Session) -> None:
    _bill(session, 2023, 2000, 0, 2600, "lien")
    _bill(session, 2025, 2000, 2000, 0)


# What is stored, when it was read, the day of the refresh; why it is asked again, or why not and until when.
_CALENDAR = [
    (_paid, "2025-12-10", "2026-08-31", None, ("paid", "2026-09-01")),
    (_paid, "2025-12-10", "2026-09-01", "new_bill", None),
    # In September, its bill is awaited until October.
    (_paid, "2026-09-02", "2026-09-30", None, ("paid", "2026-10-01")),
    (_paid, "2026-09-02", "2026-10-01", "new_bill", None),
    (_paid, "2025-09-20", "2026-06-01", None, ("paid", "2026-09-01")),
    (lambda session: None, "2025-12-10", "2026-06-01", None, ("paid", "2026-09-01")),
    (lambda session: None, "2025-12-10", "2026-09-01", "new_bill", None),
    # November 1, 2025 is a Saturday, May 1, 2026 a Friday; a week later payments are posted.
    (_nothing_paid, "2025-10-05", "2025-11-09", None, ("open_half", "2025-11-10")),
    (_nothing_paid, "2025-10-05", "2025-11-11", "half_due", None),
    (_open_half, "2025-12-10", "2026-05-07", None, ("open_half", "2026-05-08")),
    (_open_half, "2025-12-10", "2026-05-09", "half_due", None),
    (_small, "2025-12-10", "2026-01-06", None, ("open_half", "2026-01-07")),
    (_small, "2025-12-10", "2026-01-08", "half_due", None),
    # Delinquent when it was read: each month has its interest.
    (_nothing_paid, "2025-11-20", "2025-11-30", None, ("delinquent", "2025-12-01")),
    (_nothing_paid, "2025-11-20", "2025-12-01", "delinquent_due", None),
    (_open_half, "2026-05-20", "2026-06-01", "delinquent_due", None),
    (_lien, "2025-12-10", "2025-12-31", None, ("delinquent", "2026-01-01")),
    (_lien, "2025-12-10", "2026-01-02", "delinquent_due", None),
]


@pytest.mark.parametrize(("store", "read", "on", "reason", "rule"), _CALENDAR)
def test_taxes_are_asked_again_by_the_countys_calendar(
    session: Session,
    store: Callable[[Session], None],
    read: str,
    on: str,
    reason: str | None,
    rule: tuple[str, str] | None,
) -> None:
    store(session)
    _asked(session, "treasurer", _at(read), _APN)
    job = _job(session, _terms("treasurer", as_of=_at(on)))
    (decision,) = session.transact(lambda cursor: refresh.derive(cursor, job, 2))
    assert (decision.asked, decision.skipped) == ({reason: 1} if reason else {}, {rule[0]: 1} if rule else {})
    targets = session.rows("SELECT key FROM crawl.target WHERE job_id = %s AND source = 'treasurer'", (job,))
    assert targets == ([(_APN,)] if reason else [])
    noted = session.rows(
        "SELECT because, (due_at AT TIME ZONE 'America/Phoenix')::date::text FROM crawl.not_asked"
    )
    assert noted == ([rule] if rule else [])


def test_a_new_owner_asks_the_treasurer_again_whoever_tells_of_him(session: Session) -> None:
    _paid(session)
    _asked(session, "treasurer", _at("2025-12-10"), _APN, "10101002", "10101003", "10101004")
    _changed(session, "gis.parcel", "owner_name")
    _changed(session, "assessor.owner", "ownership", "10101002")
    # Of the third the owner is withheld: his deed tells. Of the fourth he is not, and stays.
    for apn, owner in (("10101003", None), ("10101004", "SOMEBODY")):
        _parcel(session, apn, _at("2025-12-01"))
        _do(session, "UPDATE gis.parcel SET owner_name = %s WHERE apn = %s", owner, apn)
        _changed(session, "gis.parcel", "deed_number", apn)
    assert _seen(session, "treasurer", _at("2026-02-01")).asked == {"new_owner": 3}


def test_the_assessor_is_asked_for_what_roll_and_affidavits_show_changed(session: Session) -> None:
    apns = [f"1010100{number}" for number in range(9)]
    _asked(session, "assessor", _at("2025-12-10"), *apns)
    for apn in apns[:7]:
        _parcel(session, apn, _at("2025-12-01"))
    for at, field in enumerate(("owner_name", "sale_price", "full_cash_value", "mail_city", "longitude")):
        _changed(session, "gis.parcel", field, apns[at])
    # Told before it was asked: it knows.
    _changed(session, "gis.parcel", "owner_name", apns[5])
    _do(
        session,
        "UPDATE crawl.change SET changed_at = %s WHERE key ->> 'apn' = %s",
        _at("2025-11-01"),
        apns[5],
    )
    for at, deed, day in ((6, "20260000001", "2026-01-05"), (7, "20090000001", "2009-01-05")):
        _owner(session, apns[at], "20100000001")
        _do(
            session,
            "INSERT INTO bulk.sale (apn, deed_number, deed_date, deed_number_raw, occurrence, content_hash,"
            f" capture_sha256, first_seen_at, changed_at) VALUES (%s, %s, %s, '', 1, {_NO_ROW}, now(),"
            f" now())",
            apns[at],
            deed,
            day,
        )
    # First seen by a roll since, with a later deed than the assessor knew.
    _owner(session, apns[8], "20100000002")
    _parcel(session, apns[8], _at("2026-01-20"), "20260000002", "2026-01-10")
    decision = _seen(session, "assessor", _at("2026-02-01"))
    assert decision.asked == {"owner": 1, "deed": 2, "value": 1, "other": 1, "affidavit": 1}
    # The eighth is not in the roll.
    assert decision.skipped == {"unchanged": 2, "not_compared": 1}
    assert decision.stored == 9


def test_what_a_roll_that_was_not_read_to_its_end_does_not_tell_is_decided_once_it_was(
    session: Session,
) -> None:
    _asked(session, "assessor", _at("2025-12-10"), _APN)
    job = _job(session, _terms("assessor"), roll="incomplete")
    (decision,) = session.transact(lambda cursor: refresh.derive(cursor, job, 1))
    assert (decision.skipped, decision.is_whole) == ({"not_known": 1}, False)
    _do(session, "UPDATE gis.roll SET state = 'complete' WHERE job_id = %s", job)
    _changed(session, "gis.parcel", "owner_name")
    (decision,) = session.transact(lambda cursor: refresh.derive(cursor, job, 1))
    assert (decision.asked, decision.is_whole) == ({"owner": 1}, True)
    # From then on it stays: a manager that was killed decides nothing anew.
    assert session.transact(lambda cursor: refresh.derive(cursor, job, 1)) == []
    assert session.rows("SELECT because FROM crawl.refresh_target") == [("owner",)]
    assert session.rows("SELECT count(*) FROM crawl.not_asked") == [(0,)]
    assert session.rows(
        "SELECT enumerated = (SELECT count(*) FROM crawl.target t WHERE t.job_id = j.id) FROM crawl.job j"
        " WHERE id = %s",
        (job,),
    ) == [(True,)]


def test_parcels_that_are_new_in_the_roll_are_asked_where_the_office_knows_most_others(
    session: Session,
) -> None:
    _asked(session, "assessor", _at("2025-12-10"), "10101001", "10101002")
    _asked(session, "treasurer", _at("2025-12-10"), "10101001")
    _job(session, _terms("assessor"))
    _do(session, "UPDATE gis.roll SET finished_at = %s", _at("2025-12-01"))
    for apn in ("10101001", "10101002"):
        _parcel(session, apn, _at("2025-12-01", 1))
    _parcel(session, "10101003", _at("2026-01-20"))
    decisions, _ = refresh.preview(session, _terms("assessor", "treasurer", as_of=_at("2026-02-01")), None)
    assert [one.asked for one in decisions] == [{"new": 1}, {}]


def test_the_recorder_is_asked_for_the_deeds_that_parcels_name_anew(session: Session) -> None:
    _asked(session, "recorder", _at("2025-12-10"), "20100000001", "20100000002", kind="document")
    _owner(session, "10101001", "20260000001")
    _changed(session, "assessor.owner", "deed_number", "10101001", "20100000001", "20260000001")
    _owner(session, "10101002", "20100000002")
    # The roll tells the same deed. One of another form, and one of a parcel that was never asked for.
    _changed(session, "gis.parcel", "deed_number", "10101001", "20100000001", "20260000001")
    _owner(session, "10101003", "NOD-12345")
    _changed(session, "assessor.owner", "deed_number", "10101003", "20100000009", "NOD-12345")
    _owner(session, "10101004", "20260000004")
    _changed(session, "assessor.owner", "deed_number", "10101004", "20100000004", "20260000004")
    decision = _seen(session, "recorder")
    assert (decision.asked, decision.skipped) == ({"new_deed": 1}, {"same_deed": 1})


def test_of_parcels_within_a_list_alone(session: Session) -> None:
    _asked(session, "assessor", _at("2025-12-10"), "10101001", "10101002", "10101003")
    for apn in ("10101001", "10101002"):
        _changed(session, "gis.parcel", "owner_name", apn)
    _parcel(session, "10101003", _at("2025-12-01"))
    decisions, expected = refresh.preview(session, _terms("assessor"), ["10101002", "10101003", "10109999"])
    assert [(one.stored, one.asked, one.skipped) for one in decisions] == [
        (2, {"owner": 1}, {"unchanged": 1})
    ]
    assert expected is None


def test_a_sample_is_drawn_once_and_says_how_many_had_changed_after_all(session: Session) -> None:
    apns = [f"101{number:05d}" for number in range(200)]
    _asked(session, "assessor", _at("2025-12-10"), *apns)
    job = _job(session, _terms("assessor", least=40))
    (decision,) = session.transact(lambda cursor: refresh.derive(cursor, job, 1))
    assert (decision.sampled, decision.requests, sum(decision.skipped.values())) == (40, 40, 200)
    sample = session.rows("SELECT key FROM crawl.refresh_target WHERE because = 'sample' ORDER BY key")
    assert len(sample) == 40
    # Forty of 200 in any order, not the first.
    assert sample != [(apn,) for apn in apns[:40]]
    at = dt.datetime.now(dt.UTC)
    _do(session, "UPDATE crawl.target SET state = 'done', done_at = %s WHERE job_id = %s", at, job)
    for (apn,) in sample[:3]:
        _owner(session, apn, "20260000001")
    _do(session, "UPDATE assessor.owner SET changed_at = %s", at)
    (proof,) = refresh.outcome(session, job)
    assert (proof.answered, proof.sample_answered, proof.sample_changed) == (0, 40, 3)
    low, high = proof.missed or (0.0, 0.0)
    assert 0.02 < low < 3 / 40 < high < 0.21
    assert refresh.outcome(session, job - 1) == []


def test_every_reason_and_rule_has_its_words_and_every_office_its_phase() -> None:
    assert all(len(text) > 10 and not text.endswith(".") for text in (REASONS | RULES).values())
    assert [office for offices in PHASES.values() for office in offices] == list(OFFICES)
