"""`maricopa reparse`: captures read again are the stored rows, to the field; whatever differs is shown, and
put right.

One county is collected for all: 90 parcels twice by the assessor, once by the rolls, with their deeds at the
recorder; 8 of them at the treasurer, in a browser; documents by number, by days and by the legacy pages, with
names and scans that come later. Each test leaves the rows as it found them.
"""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.configuration import load
from maricopa_scrapy.crawl import reparse
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.tables import RECORDS
from maricopa_scrapy.database.targets import detail_of
from maricopa_scrapy.items import Target
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sources.gis import layer
from maricopa_scrapy.sources.recorder import document, legacy_pages
from maricopa_scrapy.sources.recorder.api_requests import PHOENIX
from maricopa_scrapy.sources.treasurer import page as treasurer
from maricopa_scrapy.sources.treasurer.account import read_account
from maricopa_scrapy.sources.treasurer.records import TaxAccount
from tests.conftest import ROOT, Crawler, Database, counties, fresh_database
from tests.helpers import taxes
from tests.helpers.command import Maricopa
from tests.helpers.recorder import crawler as recorder_crawler
from tests.helpers.rolls import crawler as roll_crawler

Start = Callable[..., SandboxProcess]
Snapshot = dict[str, list[tuple[Any, ...]]]
PARCELS, TAXED, DAILY = 90, 8, 100
SOURCES = ("assessor", "gis", "treasurer", "recorder", "recorder_legacy")

# What `python -c` does before the command: another parser, in a process of its own.
ANOTHER_PARSER = """
from maricopa_scrapy.sources.assessor import parcel_fields as shapes
from maricopa_scrapy.parsing.values import text
def lower(value, path):
    found = text(value, path)
    return found and found.lower()
shapes.OWNER._others = [
    (*one[:3], lower) if one[0] == "mailing_city" else one for one in shapes.OWNER._others
]
from maricopa_scrapy.cli.main import main
main()
"""


def maricopa(database: Database, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in this process: it only looks up, and each process of its own costs a second."""
    said = Maricopa(database, "", Path(), rate=None, environment={"COLUMNS": "200"}).here(*arguments)
    return subprocess.CompletedProcess(arguments, said.code, said.out, said.errors)


def with_parser(database: Database, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MARICOPA_")} | {"COLUMNS": "200"}
    environment["MARICOPA_DATABASE_URL"] = database.url
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def snapshot(session: Session) -> Snapshot:
    """Every row of every table, with its bookkeeping."""
    names = [record.table for record in RECORDS]
    every = " UNION ALL ".join(f"SELECT '{name}', r::text FROM {name} r" for name in [*names, "crawl.change"])
    found: Snapshot = {name: [] for name in [*names, "crawl.change"]}
    for name, row in session.rows(every):
        found[name].append(row)
    return {name: sorted(rows) for name, rows in found.items()}


def read_again(session: Session, source: str, job: int | None = None, is_dry: bool = True) -> reparse.Report:
    return reparse.Reparse(session, load()[1], source, job, is_dry, shown=100_000).run()


@dataclass
class Collected:
    """What was collected, and every row as it was then."""

    database: Database
    session: Session
    apns: list[str]
    before: Snapshot

    def differs(self) -> set[str]:
        """Return the tables whose rows are no longer what they were."""
        after = snapshot(self.session)
        return {name for name, rows in self.before.items() if after[name] != rows}


@pytest.fixture(scope="module")
def collected(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    folder = tmp_path_factory.mktemp("reparse")
    apns = County().apns(PARCELS)
    listed = taxes.listed(folder, apns)
    with fresh_database(server, template) as database, counties() as county:
        for epoch in range(2):
            sandbox = county(
                epoch=epoch, gis_parcels=800, recorder_daily=DAILY, recorder_indexed=str(_indexed())
            )
            _done(Crawler(database, sandbox.url, rate=2000)("assessor", "-a", listed))
        rolls = roll_crawler(folder, database, sandbox)
        _done(rolls("roll", "-a", "geometry=polygon"))
        _from_the_recorder(folder, database, sandbox, listed)
        if not taxes.why_no_browser():
            (folder / "tax").mkdir()
            run = taxes.crawler(database, sandbox, folder / "tax", rate=1000)
            _done(run("tax", "-a", f"apns={','.join(apns[:TAXED])}"))
        session = Session(database.url)
        yield Collected(database, session, apns, snapshot(session))
        session.close()


def _done(crawl: Any, code: int = 0) -> None:
    assert crawl.code == code, crawl.log


def _indexed() -> dt.date:
    """The last day whose names are indexed: of the days before it some are not, at first."""
    today = dt.datetime.now(PHOENIX).date()
    return max(
        day
        for day in Documents(1, today, DAILY).days(
            today - dt.timedelta(days=12), today - dt.timedelta(days=5)
        )
    )


def _from_the_recorder(folder: Path, database: Database, sandbox: SandboxProcess, listed: str) -> None:
    """Deeds and their neighbours; fresh documents, names and scans of which come later; days, with suffixes
    and hidden numbers.
    """
    world = Documents(1, dt.datetime.now(PHOENIX).date(), DAILY)
    day, fresh = _indexed(), max(world.days(_indexed(), world.today - dt.timedelta(days=2)))
    restricted = [
        facts
        for one in world.days(day - dt.timedelta(days=40), day)
        for facts in world.of_day(one)
        if facts.restricted
    ][:3]
    numbers = [facts.number for facts in [*world.of_day(day)[:6], *world.of_day(fresh)[:6], *restricted]]
    run = recorder_crawler(folder, database, sandbox, rate=2000, search_page_size=50)
    run.environment = (run.environment or {}) | {"MARICOPA_DATA_DIR": str(folder / "data")}
    _done(run("sales", "-a", listed, "-a", "neighbours=yes"))
    _done(run("documents", "-a", f"recording_numbers={','.join(numbers)}", "-a", "pdf=yes"), code=4)
    job = database.one("SELECT max(id) FROM crawl.job")
    _done(
        run(
            "documents",
            "-a",
            "via=legacy",
            "-a",
            "codes=WD,DC",
            "-a",
            f"since={day - dt.timedelta(days=6)}",
            "-a",
            f"until={fresh}",
        )
    )
    sandbox.conduct(recorder_indexed=str(fresh))
    database.rows("UPDATE crawl.target SET not_before = now() WHERE state = 'pending' RETURNING id")
    _done(run("documents", "-a", f"job={job}"))
    old = next(
        one
        for one in world.days(dt.date(2001, 3, 1), dt.date(2001, 4, 1))
        if any(facts.suffix for facts in world.of_day(one))
    )
    _done(run("documents", "-a", f"since={old}", "-a", f"until={old}"))
    _done(
        run(
            "documents",
            "-a",
            f"owner={world.of_day(day)[0].names[0]}",
            "-a",
            f"since={day - dt.timedelta(days=30)}",
        )
    )


def test_every_capture_gives_exactly_the_stored_rows(collected: Collected) -> None:
    database, before, apns = collected.database, collected.before, collected.apns
    reports = {
        source: read_again(collected.session, source, is_dry=source != "recorder") for source in SOURCES
    }
    for source, report in reports.items():
        assert (source, report.fields, report.failures, report.unkept) == (source, Counter(), [], 0)
    assert collected.differs() == set()

    assessor = reports["assessor"]
    changed_since = database.one(
        "SELECT count(DISTINCT (table_name, key)) FROM crawl.change WHERE table_name LIKE 'assessor.%%'"
    )
    # What the second collection changed is left as it is when the first one is read.
    assert (assessor.answers, assessor.left) == (PARCELS + len(_changed(apns)), changed_since)
    rows = sum(len(before[name]) for name in before if name.startswith("assessor."))
    seen_again = sum(_rows_of(apn) for apn in _changed(apns))
    assert assessor.same == rows + seen_again - changed_since
    of_job = read_again(collected.session, "assessor", job=1)
    assert (of_job.fields, of_job.answers) == (Counter(), PARCELS)
    assert reports["gis"].same > 800
    if not taxes.why_no_browser():
        tax = sum(len(before[name]) for name in before if name.startswith("treasurer."))
        assert (reports["treasurer"].answers, reports["treasurer"].same) == (TAXED, tax)

    # Every row of the recorder's that was read from an answer, and what came later than it.
    assert reports["recorder"].left >= 6
    scans = database.one("SELECT count(*) FROM recorder.image WHERE path IS NOT NULL")
    legacy = database.one("SELECT count(*) FROM recorder.legacy_document")
    assert scans > 6
    assert legacy > 10
    every = sum(len(before[name]) for name in before if name.startswith("recorder."))
    assert reports["recorder"].same >= every - scans - 2 * legacy
    assert reports["recorder_legacy"].same >= legacy
    for kind in ("document", "neighbour", "index", "window", "codes", "list", "page"):
        assert database.one("SELECT count(*) FROM crawl.target WHERE kind = %s AND state = 'done'", kind)
    for table in (
        "recorder.name_match",
        "recorder.neighbour",
        "recorder.code_pair",
        "recorder.code_label",
        "recorder.name_index",
    ):
        assert before[table], table
    assert database.one("SELECT count(*) FROM recorder.document WHERE suffix IS NOT NULL")


def _changed(apns: list[str]) -> list[str]:
    """Parcels whose whole answer differs between the two collections."""
    old, new = County(epoch=0), County(epoch=1)
    return [apn for apn in apns if old.parcel(apn) != new.parcel(apn)]


def _rows_of(apn: str) -> int:
    parcel = County(epoch=1).parcel(apn)
    return 4 + len(parcel["Valuations"]) + len(parcel["Improvements"]) + ("RentalInformation" in parcel)


def _of_gis(patch: pytest.MonkeyPatch) -> None:
    whole = layer.parse_features

    def other(*values: Any, **more: Any) -> layer.Page:
        page = whole(*values, **more)
        for rows in page.pages:
            names = list(rows.record.model_fields)
            if "owner_name" in names:
                at = names.index("owner_name")
                assert isinstance(rows.columns, list)
                rows.columns[at] = [value and value.lower() for value in rows.columns[at]]
        return page

    patch.setattr(layer, "parse_features", other)


def _of_treasurer(patch: pytest.MonkeyPatch) -> None:
    def other(*values: Any) -> TaxAccount:
        account = read_account(*values)
        return account.model_copy(update={"owner": account.owner and account.owner.lower()})

    patch.setattr(treasurer, "read_account", other)


def _of_recorder(patch: pytest.MonkeyPatch) -> None:
    whole = document.parse_document

    def other(*values: Any) -> document.DocumentPage:
        page = whole(*values)
        assert page.document is not None
        page.document = page.document.model_copy(
            update={"page_amount": (page.document.page_amount or 0) + 1000}
        )
        return page

    patch.setattr(document, "parse_document", other)


def _of_legacy(patch: pytest.MonkeyPatch) -> None:
    whole = legacy_pages.parse_legacy_document

    def other(*values: Any) -> legacy_pages.LegacyPage:
        page = whole(*values)
        # What the page does not say stays unsaid.
        page.document = page.document.model_copy(update={"image_path": "elsewhere"}).lacking(
            page.document.absent
        )
        return page

    patch.setattr(legacy_pages, "parse_legacy_document", other)


OTHERS = [
    ("gis", _of_gis, "gis.parcel", "owner_name", "owner_name IS NOT NULL", str.lower),
    ("treasurer", _of_treasurer, "treasurer.account", "owner", "owner IS NOT NULL", str.lower),
    (
        "recorder",
        _of_recorder,
        "recorder.document",
        "page_amount",
        "page_amount IS NOT NULL",
        lambda old: str(int(old) + 1000),
    ),
    ("recorder_legacy", _of_legacy, "recorder.legacy_document", "image_path", "true", lambda _: "elsewhere"),
]


@pytest.mark.parametrize(
    ("source", "change", "table", "field", "where", "new"), OTHERS, ids=[one[0] for one in OTHERS]
)
def test_another_parser_shows_exactly_the_field_that_it_reads_otherwise(
    collected: Collected,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    change: Any,
    table: str,
    field: str,
    where: str,
    new: Any,
) -> None:
    stored = [
        value for (value,) in collected.database.rows(f"SELECT {field}::text FROM {table} WHERE {where}")
    ]
    if source == "treasurer" and taxes.why_no_browser():
        pytest.skip(taxes.why_no_browser())
    change(monkeypatch)
    report = read_again(collected.session, source)
    assert report.fields == {(table, field): len(stored)}
    assert Counter((one.old, one.new) for one in report.examples) == Counter(
        (old, new(old)) for old in stored
    )
    assert collected.differs() == set()


def test_another_parser_is_told_by_the_command_and_stored(collected: Collected) -> None:
    database, session, before = collected.database, collected.session, collected.before
    cities = dict(
        database.rows("SELECT apn, mailing_city FROM assessor.owner WHERE mailing_city IS NOT NULL")
    )
    dry = with_parser(
        database, ANOTHER_PARSER, "reparse", "--source", "assessor", "--dry-run", "--limit", "1000"
    )
    assert dry.returncode == 0, dry.stderr
    shown = re.findall(
        r"^assessor.owner +apn=(\w+) +mailing_city +(.+?)  +(.+?) *$", dry.stdout, re.MULTILINE
    )
    assert {apn: (old, new) for apn, old, new in shown} == {
        apn: (city, city.lower()) for apn, city in cities.items()
    }
    assert re.search(rf"^assessor.owner +mailing_city +{len(cities)}$", dry.stdout, re.MULTILINE)
    assert collected.differs() == set()

    begun = dt.datetime.now(dt.UTC)
    wet = with_parser(database, ANOTHER_PARSER, "reparse", "--source", "assessor")
    assert wet.returncode == 0, wet.stderr
    assert dict(
        database.rows("SELECT apn, mailing_city FROM assessor.owner WHERE mailing_city IS NOT NULL")
    ) == {apn: city.lower() for apn, city in cities.items()}
    corrections = database.rows(
        "SELECT c.table_name, c.field, count(*)::int FROM crawl.change c JOIN crawl.run r ON r.id = c.run_id"
        " WHERE r.spider = 'reparse' AND r.verdict = 'completed' AND c.changed_at >= %s GROUP BY 1, 2",
        begun,
    )
    assert corrections == [("assessor.owner", "mailing_city", len(cities))]
    assert verify.problems(session) == []
    # A correction is nobody's new owner, and the day on which the county changed stays what it was.
    since = begun.isoformat()
    assert len(maricopa(database, "changes", "--since", since).stdout.splitlines()) == 1 + len(cities)
    assert (
        len(maricopa(database, "changes", "--since", since, "--query", "new-owner").stdout.splitlines()) == 1
    )
    assert read_again(session, "assessor", is_dry=False).fields == {
        ("assessor.owner", "mailing_city"): len(cities)
    }
    assert collected.differs() == {"crawl.change"}
    before["crawl.change"] = snapshot(session)["crawl.change"]


def test_rows_that_were_altered_by_hand_are_put_back(collected: Collected) -> None:
    database, session, apn = collected.database, collected.session, collected.apns[7]
    year = database.one("SELECT max(tax_year) FROM assessor.valuation WHERE apn = %s", apn)
    database.rows(
        "UPDATE assessor.valuation SET full_cash_value = 1, legal_class = 'X' WHERE apn = %s AND tax_year ="
        " %s RETURNING 1",
        apn,
        year,
    )
    database.rows("DELETE FROM assessor.residence WHERE apn = %s RETURNING 1", apn)
    database.rows(
        "UPDATE gis.parcel SET owner_name = 'NOBODY' WHERE apn = (SELECT max(apn) FROM gis.parcel)"
        " RETURNING 1"
    )
    named = (
        "(SELECT recording_number FROM recorder.document_code GROUP BY 1 HAVING count(*) = 1 ORDER BY 1"
        " LIMIT 1)"
    )
    database.rows(
        f"UPDATE recorder.document_code SET display_code = 'NOTHING' WHERE recording_number = {named}"
        " RETURNING 1"
    )
    at_recorder = database.one("SELECT min(recording_number) FROM recorder.document WHERE page_amount > 0")
    at_legacy = database.one("SELECT min(recording_number) FROM recorder.legacy_document")
    database.rows(
        "UPDATE recorder.document SET page_amount = 999 WHERE recording_number = %s RETURNING 1", at_recorder
    )
    database.rows(
        "UPDATE recorder.legacy_document SET image_path = 'x' WHERE recording_number = %s RETURNING 1",
        at_legacy,
    )
    problems = verify.problems(session)
    altered = "a row that was altered: its values are not those that were hashed; `maricopa reparse --source"
    for table, key, source in (
        ("recorder.document", f"recording_number={at_recorder}", "recorder"),
        ("recorder.legacy_document", f"recording_number={at_legacy}", "recorder_legacy"),
    ):
        assert f"{table}: {key}: {altered} {source}` puts back what its capture says" in problems
    taxed = database.rows(
        "UPDATE treasurer.bill SET paid = paid + 1 WHERE ctid = (SELECT min(ctid) FROM treasurer.bill)"
        " RETURNING apn"
    )
    for (one,) in taxed:
        named = rf"treasurer.bill: apn={one} tax_year=\d+: {altered} treasurer`"
        assert any(re.match(named, problem) for problem in verify.problems(session))
        assert read_again(session, "treasurer", is_dry=False).fields == {("treasurer.bill", "paid"): 1}
    assert len(problems) == 5
    dry = maricopa(database, "reparse", "--source", "assessor", "--dry-run")
    for expected in (
        rf"^assessor.valuation +apn={apn} tax_year={year} +full_cash_value +1 +\d+ *$",
        rf"^assessor.valuation +apn={apn} tax_year={year} +legal_class +X +[A-Z].*$",
        rf"^assessor.residence +apn={apn} +\(row\) +not stored *$",
    ):
        assert re.search(expected, dry.stdout, re.MULTILINE), dry.stdout
    assert len(re.findall(r"^assessor\.\w+ +apn=", dry.stdout, re.MULTILINE)) == 3
    assert sum(read_again(session, "assessor", is_dry=False).fields.values()) == 3
    assert read_again(session, "gis", is_dry=False).fields == {("gis.parcel", "owner_name"): 1}
    codes = {("recorder.document_code", "(row not stored)"): 1, ("recorder.document_code", "removed_at"): 1}
    assert read_again(session, "recorder", is_dry=False).fields == codes | {
        ("recorder.document", "page_amount"): 1
    }
    assert read_again(session, "recorder_legacy", is_dry=False).fields == {
        ("recorder.legacy_document", "image_path"): 1
    }
    database.rows("DELETE FROM recorder.document_code WHERE display_code = 'NOTHING' RETURNING 1")
    assert verify.problems(session) == []
    assert collected.differs() == {"crawl.change"}
    collected.before["crawl.change"] = snapshot(session)["crawl.change"]


def test_a_capture_that_is_broken_is_named(collected: Collected) -> None:
    database, apns = collected.database, collected.apns
    row = "FROM assessor.owner o WHERE c.sha256 = o.capture_sha256 AND o.apn = %s"
    other = "(SELECT body FROM crawl.capture WHERE source = 'gis' AND body IS NOT NULL LIMIT 1)"
    database.rows(f"UPDATE crawl.capture c SET body = {other} {row} RETURNING 1", apns[3])
    database.rows(f"UPDATE crawl.capture c SET body = NULL {row} RETURNING 1", apns[4])
    told = maricopa(database, "reparse", "--source", "assessor", "--dry-run")
    assert told.returncode == 1, told.stdout
    said = " ".join(told.stdout.split())
    assert "1 captures cannot be read by today's parser" in said
    assert re.search(
        rf"parcel {apns[3]} \(capture [0-9a-f]{{64}}, http://127.0.0.1:\d+/assessor/parcel/{apns[3]}\):"
        r" (malformed|source_changed):",
        said,
    )
    assert "1 answers have no body to read" in said
    assert "no field differs" in said


def test_what_a_complete_answer_does_not_hold_any_more_is_removed(database: Database, county: Start) -> None:
    truth = County()
    apns = [apn for apn in truth.apns(120) if truth.parcel(apn)["Improvements"]][:3]
    assert Crawler(database, county().url)("assessor", "-a", f"apns={','.join(apns)}").code == 0
    fewer = """
from maricopa_scrapy.sources.assessor import parcel as assessor
whole = assessor._improvements
assessor._improvements = lambda raw, apn, new: whole(raw, apn, new)[1:]
values = assessor._valuations
assessor._valuations = lambda raw, apn, new: values(raw, apn, new)[1:]
from maricopa_scrapy.cli.main import main
main()
"""
    told = with_parser(database, fewer, "reparse", "--source", "assessor")
    assert told.returncode == 0, told.stderr
    first = {apn: truth.parcel(apn)["Improvements"][0]["ImprovementNumber"] for apn in apns}
    removed = database.rows(
        "SELECT apn, improvement_number FROM assessor.improvement WHERE removed_at IS NOT NULL ORDER BY 1"
    )
    assert dict(removed) == first
    # No answer is all of a parcel's years: one that is not read any more is told, and stays.
    assert re.search(r"assessor.valuation +\(row not read any more\) +3", told.stdout)
    assert database.one("SELECT count(*) FROM assessor.valuation") == sum(
        len(truth.parcel(apn)["Valuations"]) for apn in apns
    )


def test_spiders_read_answers_by_the_same_handlers() -> None:
    manifests = load()[1]
    shared = {"object_id": "OBJECTID", "lacking": [], "outlines": False, "captures": None, "list": 500}
    days = {"since": "2025-03-03", "until": "2025-03-04"}
    stored: dict[tuple[str, str], Any] = {
        ("gis", "range"): shared | {"layer": "E", "first": 1, "last": 2},
        **dict.fromkeys((("gis", "list"), ("gis", "absent")), shared | {"layer": "E", "apns": ["16528054"]}),
        ("recorder", "codes"): days,
        ("recorder", "window"): days | {"query": {"documentCode": "NS"}, "label": "NS"},
        ("recorder", "neighbour"): {"deed": "20250000001", "names": [], "date": None, "distance": 1},
        ("recorder_legacy", "list"): days | {"code": "NS", "cursor": "0", "seen": 0},
    }
    found = reparse.registry()
    assert found["assessor"].keys() >= {"parcel"}
    assert found["gis"].keys() >= {"range", "list"}
    assert found["assessor_page"].keys() == found["treasurer"].keys() == {"parcel"}
    assert found["recorder"].keys() == {"index", "document", "neighbour", "codes", "window"}
    assert found["recorder_legacy"].keys() == {"list", "page"}
    for source in ("assessor", "assessor_page", "treasurer", "gis", "recorder", "recorder_legacy"):
        for kind, spider in found[source].items():
            reader = spider.reader(manifests)
            reader.base_url = "http://127.0.0.1"
            key = "16528054" if source in ("assessor", "assessor_page", "treasurer", "gis") else "20250000001"
            told = json.dumps(stored[source, kind]) if (source, kind) in stored else None
            detail = detail_of(spider.details, kind, told)
            request = reader.request(Target(1, source, kind, key, detail=detail))
            assert request.cb_kwargs["handler"].__func__ is spider.handlers[kind]


MISTAKES = [
    (("--source", "nowhere"), "there is assessor"),
    (("--source", "bulk"), "read from files, of which no captures are kept: load the file again"),
    (("--source", "gis", "--job", "9"), "no job 9"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line(database: Database, arguments: tuple[str, ...], message: str) -> None:
    told = maricopa(database, "reparse", *arguments)
    assert (told.returncode, len(told.stderr.splitlines()), message in told.stderr) == (2, 1, True)
    assert database.one("SELECT count(*) FROM crawl.job") == 0
