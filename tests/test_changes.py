"""`maricopa changes`: three collections of a county that changes between them, beside the county's own list of what changed."""

import csv
import datetime as dt
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.store import history
from maricopa_scrapy.store.connect import Session
from maricopa_scrapy.store.queries import QUERIES
from tests.conftest import Crawler, Database, maricopa

Start = Callable[..., SandboxProcess]
PARCELS = 300

# The county's table and key: our table and column. Written down here a second time, apart from the parser.
OWNER = {
    "OwnerID": "owner_id", "Ownership": "ownership", "InCareOf": "in_care_of", "MailingAddress1": "mailing_address_1",
    "MailingAddress2": "mailing_address_2", "MailingCity": "mailing_city", "MailingState": "mailing_state", "MailingZip": "mailing_zip",
    "MailingCountry": "mailing_country", "FullMailingAddress": "mailing_address", "MostCurrentDeed": "deed_number",
    "DeedDate": "deed_date", "DeedType": "deed_type", "SalePrice": "sale_price", "SaleDate": "sale_date",
}  # fmt: skip
RENTAL = {"OwnerBusinessEntity": "owner_business_entity", "OwnershipType": "ownership_type"}


def _text(column: str, value: Any) -> str:
    if value in (None, "", "na"):
        return ""
    if column.endswith("_date"):
        return dt.datetime.strptime(value, "%m/%d/%Y").date().isoformat()  # noqa: DTZ007 - a date
    return str(value).strip()


def expected(said: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the county's changes as (table, apn, tax year, column, old, new)."""
    for change in said:
        apn, key, old, new = change["apn"], change["key"], change["old"], change["new"]
        if change["table"] == "Owner":
            column = OWNER[key]
            yield "assessor.owner", apn, "", column, _text(column, old), _text(column, new)
        elif change["table"] == "Valuations":
            year, _, name = key.partition(".")
            assert name == "FullCashValue"
            yield "assessor.valuation", apn, year, "full_cash_value", _text("", old), _text("", new)
        elif change["table"] == "DeedTransitionUrl":
            yield "assessor.related", apn, "", "deed_url", _text("", old), _text("", new)
        elif key == "Owner":
            assert {name for name in old if old[name] != new[name]} == {"Name"}
            yield "assessor.rental", apn, "", "owner_name", _text("", old["Name"]), _text("", new["Name"])
        else:
            assert change["table"] == "RentalInformation"
            yield "assessor.rental", apn, "", RENTAL[key], _text("", old), _text("", new)


def told(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of `maricopa changes` in the same form."""
    for row in csv.DictReader(io.StringIO(text)):
        key = json.loads(row["key"])
        assert key["apn"] == row["apn"]
        assert row["by"] == "assessor"
        yield row["table"], row["apn"], str(key.get("tax_year", "")), row["field"], row["old"], row["new"]


@pytest.fixture
def collected(tmp_path: Path, database: Database, county: Start) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Three collections: the moments between which they lie, and what the county says changed in each."""
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(County().apns(PARCELS)))
    moments, said = [dt.datetime.now(dt.UTC).isoformat()], []
    for epoch in range(3):
        sandbox = county(epoch=epoch)
        crawl = Crawler(database, sandbox.url)("assessor", "-a", f"apns={path}")
        assert crawl.code == 0, crawl.log
        moments.append(dt.datetime.now(dt.UTC).isoformat())
        said.append(sandbox.changes(PARCELS, since=max(epoch - 1, 0)))
    return moments, said


def test_changes_are_the_county_s_own_list(
    tmp_path: Path, database: Database, session: Session, collected: tuple[list[str], list[list[dict[str, Any]]]]
) -> None:
    moments, said = collected
    for epoch in range(3):
        period = ("--since", moments[epoch], "--until", moments[epoch + 1])
        changes = maricopa(database, "changes", *period)
        assert changes.returncode == 0, changes.stderr
        ours, theirs = Counter(told(changes.stdout)), Counter(expected(said[epoch]))
        assert ours == theirs, f"extra: {list(ours - theirs)[:5]}, missing: {list(theirs - ours)[:5]}"
        # The first collection has nothing to compare with; in each of the others some 18 of 300 changed hands, and 12 their value.
        assert len(theirs) > 100 if epoch else not theirs

    since = ("--since", moments[1])
    lines = maricopa(database, "changes", *since, "--table", "assessor.valuation", "--format", "jsonl").stdout.splitlines()
    values = [json.loads(line) for line in lines]
    assert {row["table"] for row in values} == {"assessor.valuation"}
    assert len(values) == sum(change["table"] == "Valuations" for part in said for change in part)
    of_key = {
        "new-owner": ("Ownership", "old_owner", "new_owner"),
        "new-deed": ("MostCurrentDeed", "old_deed", "new_deed"),
        "new-value": ("FullCashValue", "old_value", "new_value"),
    }
    truth = County(epoch=2)
    for query, (key, old, new) in of_key.items():
        rows = list(csv.DictReader(io.StringIO(maricopa(database, "changes", *since, "--query", query).stdout)))
        changed = [change for part in said for change in part if change["key"].rpartition(".")[2] == key]
        theirs_of = Counter((change["apn"], _text("", change["old"]), _text("", change["new"])) for change in changed)
        if query == "new-owner":
            # An owner that is withheld is told by its number alone.
            withheld = {row["apn"] for row in rows if not row["new_owner"]}
            assert withheld == {change["apn"] for part in said for change in part if _is_withheld(truth, change)}
            rows = [row for row in rows if row["new_owner"]]
        assert Counter((row["apn"], row[old], row[new]) for row in rows) == theirs_of
        assert len(rows) > 10

    to = tmp_path / "changes.csv"
    assert maricopa(database, "changes", *since, "--to", str(to)).returncode == 0
    assert Counter(told(to.read_text())) == Counter(row for part in said for row in expected(part))
    _every_query_runs_or_says_what_it_needs(database, session, moments[0])


def _is_withheld(truth: County, change: dict[str, Any]) -> bool:
    return change["key"] == "OwnerID" and truth.parcel(change["apn"])["Owner"]["Redacted"]


def _every_query_runs_or_says_what_it_needs(database: Database, session: Session, since: str) -> None:
    now = dt.datetime.now(dt.UTC)
    for query in QUERIES.values():
        missing = history.lacking(session, query)
        if missing:
            asked = maricopa(database, "changes", "--since", since, "--query", query.name)
            assert (asked.returncode, asked.stdout) == (2, "")
            assert f"needs {', '.join(missing)}" in asked.stderr
        else:
            rows = list(history.answers(session, query, dt.datetime.fromisoformat(since), now))
            assert all(len(row) == len(query.columns) for row in rows)


MISTAKES = [
    (("--since", "yesterday"), "--since yesterday: neither a day"),
    (("--since", "2026-11-01", "--table", "assessor.owners"), "there is assessor.parcel, assessor.owner"),
    (("--since", "2026-11-01", "--query", "who"), "there is new-owner"),
    (("--since", "2026-11-01", "--format", "xml"), "there is csv, jsonl"),
    (("--since", "2026-11-01", "--query", "new-owner", "--table", "assessor.owner"), "give one of them"),
    (("--since", "2026-11-01", "--to", "/no/such/folder/x.csv"), "No such file or directory"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line(database: Database, arguments: tuple[str, ...], message: str) -> None:
    asked = maricopa(database, "changes", *arguments)
    assert (asked.returncode, asked.stdout, len(asked.stderr.splitlines())) == (2, "", 1)
    assert message in asked.stderr
