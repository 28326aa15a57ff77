"""`maricopa reparse`: captures read again are the stored rows, to the field; whatever differs is shown, and put right."""

import datetime as dt
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy import reparse
from maricopa_scrapy.items import Target
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.settings_files import load
from maricopa_scrapy.store import verify
from maricopa_scrapy.store.connect import Session
from tests.conftest import ROOT, Crawler, Database, maricopa
from tests.rolls import crawler as roll_crawler

Start = Callable[..., SandboxProcess]
PARCELS = 200

# What `python -c` does before the command: another parser, in a process of its own.
ANOTHER_PARSER = """
from maricopa_scrapy.pages import assessor_shapes as shapes
from maricopa_scrapy.pages.values import text
def lower(value, path):
    found = text(value, path)
    return found and found.lower()
shapes.OWNER._texts = [one for one in shapes.OWNER._texts if one[0] != "mailing_city"]
shapes.OWNER._others.append(("mailing_city", "MailingCity", "Owner.MailingCity", lower))
from maricopa_scrapy.cli import main
main()
"""


def with_parser(database: Database, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MARICOPA_")} | {"COLUMNS": "200"}
    environment["MARICOPA_DATABASE_URL"] = database.url
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def snapshot(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, with its bookkeeping."""
    names = [record.table for record in verify.RECORDS]
    return {name: sorted(database.rows(f"SELECT r::text FROM {name} r")) for name in [*names, "crawl.change"]}


def read_again(session: Session, source: str, job: int | None = None, is_dry: bool = True) -> reparse.Report:
    return reparse.Reparse(session, load()[1], source, job, is_dry).run()


def test_reparse_is_the_stored_rows_and_shows_exactly_what_differs(
    tmp_path: Path, database: Database, county: Start, session: Session
) -> None:
    apns = County().apns(PARCELS)
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(apns))
    for epoch in range(2):
        sandbox = county(epoch=epoch, gis_parcels=2500)
        assert Crawler(database, sandbox.url)("assessor", "-a", f"apns={path}").code == 0
    rolls = roll_crawler(tmp_path, database, sandbox)
    assert rolls("roll", "-a", "geometry=polygon").code == 0
    assert rolls("roll", "-a", f"apns={path}").code == 0
    before = snapshot(database)

    # Every capture of both collections, and of each job by itself.
    report = read_again(session, "assessor")
    assert (report.fields, report.failed, report.unkept) == (Counter(), 0, 0)
    changed_since = database.one("SELECT count(DISTINCT (table_name, key)) FROM crawl.change WHERE table_name LIKE 'assessor.%%'")
    # What the second collection changed is left as it is when the first one is read.
    assert (report.answers, report.left) == (PARCELS + len(_changed(apns)), changed_since)
    rows = sum(len(before[name]) for name in before if name.startswith("assessor."))
    seen_again = sum(_rows_of(apn) for apn in _changed(apns))
    assert report.same == rows + seen_again - changed_since
    of_job = read_again(session, "assessor", job=1)
    assert (of_job.fields, of_job.answers) == (Counter(), PARCELS)
    gis = read_again(session, "gis")
    assert (gis.fields, gis.failed) == (Counter(), 0)
    assert gis.same > 2500
    assert snapshot(database) == before

    _another_parser(database, session, before)
    _rows_altered_by_hand(database, session, before, apns)
    _a_capture_that_is_broken(database, apns)


def _changed(apns: list[str]) -> list[str]:
    """Parcels whose whole answer differs between the two collections."""
    old, new = County(epoch=0), County(epoch=1)
    return [apn for apn in apns if old.parcel(apn) != new.parcel(apn)]


def _rows_of(apn: str) -> int:
    parcel = County(epoch=1).parcel(apn)
    return 4 + len(parcel["Valuations"]) + len(parcel["Improvements"]) + ("RentalInformation" in parcel)


def _another_parser(database: Database, session: Session, before: dict[str, list[tuple[Any, ...]]]) -> None:
    cities = dict(database.rows("SELECT apn, mailing_city FROM assessor.owner WHERE mailing_city IS NOT NULL"))  # type: ignore[arg-type]
    dry = with_parser(database, ANOTHER_PARSER, "reparse", "--source", "assessor", "--dry-run", "--limit", "1000")
    assert dry.returncode == 0, dry.stderr
    shown = re.findall(r"^assessor.owner +apn=(\w+) +mailing_city +(.+?)  +(.+?) *$", dry.stdout, re.MULTILINE)
    assert {apn: (old, new) for apn, old, new in shown} == {apn: (city, city.lower()) for apn, city in cities.items()}
    assert re.search(rf"^assessor.owner +mailing_city +{len(cities)}$", dry.stdout, re.MULTILINE)
    assert snapshot(database) == before

    begun = dt.datetime.now(dt.UTC)
    wet = with_parser(database, ANOTHER_PARSER, "reparse", "--source", "assessor")
    assert wet.returncode == 0, wet.stderr
    assert dict(database.rows("SELECT apn, mailing_city FROM assessor.owner WHERE mailing_city IS NOT NULL")) == {  # type: ignore[arg-type]
        apn: city.lower() for apn, city in cities.items()
    }
    corrections = database.rows(
        "SELECT c.table_name, c.field, count(*)::int FROM crawl.change c JOIN crawl.run r ON r.id = c.run_id"
        " WHERE r.spider = 'reparse' AND r.verdict = 'completed' AND c.changed_at >= %s GROUP BY 1, 2", begun,
    )  # fmt: skip
    assert corrections == [("assessor.owner", "mailing_city", len(cities))]
    assert verify.problems(session) == []
    # A correction is nobody's new owner, and the day on which the county changed stays what it was.
    since = begun.isoformat()
    assert len(maricopa(database, "changes", "--since", since).stdout.splitlines()) == 1 + len(cities)
    assert len(maricopa(database, "changes", "--since", since, "--query", "new-owner").stdout.splitlines()) == 1
    assert read_again(session, "assessor", is_dry=False).fields == {("assessor.owner", "mailing_city"): len(cities)}
    after = snapshot(database)
    assert {name for name in before if after[name] != before[name]} == {"crawl.change"}


def _rows_altered_by_hand(database: Database, session: Session, before: dict[str, list[tuple[Any, ...]]], apns: list[str]) -> None:
    apn = apns[7]
    year = database.one("SELECT max(tax_year) FROM assessor.valuation WHERE apn = %s", apn)
    database.rows(
        "UPDATE assessor.valuation SET full_cash_value = 1, legal_class = 'X' WHERE apn = %s AND tax_year = %s RETURNING 1", apn, year
    )
    database.rows("DELETE FROM assessor.residence WHERE apn = %s RETURNING 1", apn)
    database.rows("UPDATE gis.parcel SET owner_name = 'NOBODY' WHERE apn = (SELECT max(apn) FROM gis.parcel) RETURNING 1")
    assert len(verify.problems(session)) == 2
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
    assert verify.problems(session) == []
    after = snapshot(database)
    assert {name for name in before if after[name] != before[name]} == {"crawl.change"}


def _a_capture_that_is_broken(database: Database, apns: list[str]) -> None:
    row = "FROM assessor.owner o WHERE c.sha256 = o.capture_sha256 AND o.apn = %s"
    other = "(SELECT body FROM crawl.capture WHERE source = 'gis' AND body IS NOT NULL LIMIT 1)"
    database.rows(f"UPDATE crawl.capture c SET body = {other} {row} RETURNING 1", apns[3])
    database.rows(f"UPDATE crawl.capture c SET body = NULL {row} RETURNING 1", apns[4])
    told = maricopa(database, "reparse", "--source", "assessor", "--dry-run")
    assert told.returncode == 1, told.stdout
    said = " ".join(told.stdout.split())
    assert "1 captures cannot be read by today's parser" in said
    assert re.search(
        rf"parcel {apns[3]} \(capture [0-9a-f]{{64}}, http://127.0.0.1:\d+/assessor/parcel/{apns[3]}\): (malformed|source_changed):", said
    )
    assert "1 answers have no body to read" in said
    assert "no field differs" in said


def test_what_a_complete_answer_does_not_hold_any_more_is_removed(database: Database, county: Start) -> None:
    truth = County()
    apns = [apn for apn in truth.apns(120) if truth.parcel(apn)["Improvements"]][:3]
    assert Crawler(database, county().url)("assessor", "-a", f"apns={','.join(apns)}").code == 0
    fewer = """
from maricopa_scrapy.pages import assessor
whole = assessor._improvements
assessor._improvements = lambda raw, apn, new: whole(raw, apn, new)[1:]
values = assessor._valuations
assessor._valuations = lambda raw, apn, new: values(raw, apn, new)[1:]
from maricopa_scrapy.cli import main
main()
"""
    told = with_parser(database, fewer, "reparse", "--source", "assessor")
    assert told.returncode == 0, told.stderr
    first = {apn: truth.parcel(apn)["Improvements"][0]["ImprovementNumber"] for apn in apns}
    removed = database.rows("SELECT apn, improvement_number FROM assessor.improvement WHERE removed_at IS NOT NULL ORDER BY 1")
    assert dict(removed) == first  # type: ignore[arg-type]
    # No answer is all of a parcel's years: one that is not read any more is told, and stays.
    assert re.search(r"assessor.valuation +\(row not read any more\) +3", told.stdout)
    assert database.one("SELECT count(*) FROM assessor.valuation") == sum(len(truth.parcel(apn)["Valuations"]) for apn in apns)


def test_spiders_read_answers_by_the_same_handlers() -> None:
    manifests = load()[1]
    shared = {"layer": "E", "object_id": "OBJECTID", "lacking": [], "first": 1, "last": 2, "apns": ["16528054"]}
    details = dict.fromkeys(("range", "list", "absent"), shared)
    found = reparse.registry()
    assert found["assessor"].keys() >= {"parcel"}
    assert found["gis"].keys() >= {"range", "list"}
    assert found["assessor_page"].keys() == found["treasurer"].keys() == {"parcel"}
    for source in ("assessor", "assessor_page", "treasurer", "gis"):
        for kind, spider in found[source].items():
            reader = spider.reader(manifests)
            reader.base_url = "http://127.0.0.1"
            request = reader.request(Target(1, source, kind, "16528054", detail=details.get(kind)))
            assert request.cb_kwargs["handler"].__func__ is spider.handlers[kind]


@pytest.mark.parametrize(
    ("arguments", "message"), [(("--source", "nowhere"), "there is assessor"), (("--source", "gis", "--job", "9"), "no job 9")]
)
def test_a_mistake_is_one_line(database: Database, arguments: tuple[str, ...], message: str) -> None:
    told = maricopa(database, "reparse", *arguments)
    assert (told.returncode, len(told.stderr.splitlines()), message in told.stderr) == (2, 1, True)
    assert database.one("SELECT count(*) FROM crawl.job") == 0
