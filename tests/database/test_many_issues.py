"""Answers with more surprises than anybody can look at: few are kept, none is lost to sight, and nothing
waits for them.
"""

import datetime as dt
import hashlib
import time
from typing import Any

import orjson
import pytest

from maricopa_scrapy.configuration import load
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.database.writer import Writer, WriterOptions
from maricopa_scrapy.items import Answer, Capture, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.ledger import issues, ledger
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.assessor import parcel as pages
from tests.conftest import Database

APNS = County().apns(60)


@pytest.fixture
def job(session: Session) -> tuple[Run, list[Target]]:
    job_id, _ = ledger.open_job(
        session, "property_search", [FollowOn("assessor", "parcel", apn) for apn in APNS], {}
    )
    run = ledger.open_run(session, job_id, "assessor", "assessor")
    return run, ledger.lease(session, run, 100).targets


def answer(target: Target, more: dict[str, Any]) -> Answer:
    """The answer of a county's parcel with more in it, read as the spider reads it."""
    body = orjson.dumps(County().parcel(target.key) | more)
    page = pages.parse_parcel(body, target.key, {})
    at = dt.datetime.now(dt.UTC)
    capture = Capture(
        hashlib.sha256(body).digest(), "assessor", "http://x", 200, "application/json", at, body
    )
    return Answer(
        target,
        Outcome.DONE,
        page.records,
        capture,
        issues=page.notes.issues("the assessor"),
        unread=tuple(page.notes.unread),
    )


def stored(database: Database, run: Run, answers: list[Answer]) -> None:
    writer = Writer(database.url, run, WriterOptions())
    writer.start()
    for one in answers:
        writer.put(one)
    writer.close()
    assert writer.failure is None


@pytest.mark.parametrize("where", ["", "Geo", "Owner"])
def test_an_answer_with_200_000_unknown_keys_is_stored_within_two_seconds(
    database: Database, session: Session, job: tuple[Run, list[Target]], where: str
) -> None:
    run, (target, *_) = job
    keys = {f"key{number}": number for number in range(200_000)}
    begun = time.process_time(), time.monotonic()
    stored(
        database,
        run,
        [answer(target, {where: (County().parcel(target.key).get(where) or {}) | keys} if where else keys)],
    )
    took = max(
        time.process_time() - begun[0], min(time.monotonic() - begun[1], 2 * (time.process_time() - begun[0]))
    )
    assert database.states() == {"done": 1, "leased": 59}
    found = database.rows("SELECT kind, count(*), max(message) FROM crawl.issue GROUP BY kind ORDER BY kind")
    assert [(kind, count) for kind, count, _ in found] == [("more_issues", 1), ("new_field", 20)]
    assert "199,980 more issues" in found[0][2]
    assert took < 4, took


_MOST = load()[1]["assessor"].max_body - 60_000
_LONG: dict[str, dict[str, Any]] = {
    "text": {"PropertyDescription": "A B. " * (_MOST // 5)},
    "escapes": {"PropertyDescription": '"\\' * (_MOST // 4)},
    "part": {"SimilarParcels": [{"a": "x" * 90}] * (_MOST // 100)},
    "key": {"k" * _MOST: 1},
}


@pytest.mark.parametrize("what", _LONG)
def test_an_answer_at_the_limit_is_stored_or_refused_within_two_seconds(
    database: Database, session: Session, job: tuple[Run, list[Target]], what: str
) -> None:
    run, (target, other, *_) = job
    begun = time.process_time()
    try:
        stored(database, run, [answer(target, _LONG[what]), answer(other, {})])
    except PageError:
        return
    took = time.process_time() - begun
    assert database.states() == {"done": 2, "leased": 58} or database.rows(
        "SELECT cause FROM crawl.target WHERE state = 'dead'"
    )
    assert database.one("SELECT state FROM crawl.target WHERE id = %s", other.id) == "done"
    assert took < 4, took


def test_what_costs_rows_is_told_before_what_is_only_new(
    database: Database, session: Session, job: tuple[Run, list[Target]]
) -> None:
    run, (target, *_) = job
    broken = {"Owner": "nobody's", **{f"key{number}": number for number in range(500)}}
    stored(database, run, [answer(target, broken)])
    kinds = dict(database.rows("SELECT kind, count(*) FROM crawl.issue GROUP BY kind"))
    assert kinds["unread_section"] == 1
    assert kinds["more_issues"] == 1
    assert sum(kinds.values()) == 21


def test_other_keys_in_every_answer_are_stored_together(
    database: Database, session: Session, job: tuple[Run, list[Target]]
) -> None:
    run, targets = job
    answers = [answer(target, {f"key{target.id}x{number}": 1 for number in range(300)}) for target in targets]
    begun = time.monotonic()
    stored(database, run, answers)
    assert time.monotonic() - begun < 60
    assert database.states() == {"done": 60}
    assert database.one("SELECT count(*) FROM crawl.issue WHERE kind = 'new_field'") == 60 * 20
    # One line a person reads, however many answers had too many.
    (more,) = [known for known in issues.known(session) if known.kind == "more_issues"]
    assert (more.count, more.message) == (60, "280 more issues of one answer; its capture has them all")


def test_the_same_surprise_in_many_answers_is_one_with_its_count(
    database: Database, session: Session, job: tuple[Run, list[Target]]
) -> None:
    run, targets = job
    stored(database, run, [answer(target, {"BrandNew": 1}) for target in targets])
    assert database.rows("SELECT kind, signature, count FROM crawl.issue") == [("new_field", "BrandNew", 60)]


def test_any_parser_s_issues_are_limited(
    database: Database, session: Session, job: tuple[Run, list[Target]]
) -> None:
    run, (target, *_) = job
    one = answer(target, {})
    one.issues = [Issue(IssueKind.ODD_VALUE, f"n{number}", "odd") for number in range(5000)]
    stored(database, run, [one])
    assert database.one("SELECT count(*) FROM crawl.issue") == 21
    assert "4,980 more issues" in database.one("SELECT message FROM crawl.issue WHERE kind = 'more_issues'")
