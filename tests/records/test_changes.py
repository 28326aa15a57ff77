"""`maricopa changes`: three collections of a county that changes between them, beside the county's own list
of what changed.
"""

import csv
import datetime as dt
import io
import json
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import changes
from maricopa_scrapy.records.change_queries import QUERIES
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database, counties, fresh_database
from tests.helpers import taxes
from tests.helpers.command import Maricopa

PARCELS, TAXED = 100, 12
# Between the second and the third, second halves fall due.
EPOCHS = (0, 3, 5)
# Some of the newest deeds are not recorded yet.
RECORDER = {"recorder_today": "2026-03-02", "recorder_indexed": "2026-03-02"}
STATUS = {"Paid": "paid", "Unpaid": "unpaid", "Tax Lien": "lien", "Available Tax Lien": "state_lien"}

# The county's table and key: our table and column. Written down here a second time, apart from the parser.
OWNER = {
    "OwnerID": "owner_id",
    "Ownership": "ownership",
    "InCareOf": "in_care_of",
    "MailingAddress1": "mailing_address_1",
    "MailingAddress2": "mailing_address_2",
    "MailingCity": "mailing_city",
    "MailingState": "mailing_state",
    "MailingZip": "mailing_zip",
    "MailingCountry": "mailing_country",
    "FullMailingAddress": "mailing_address",
    "MostCurrentDeed": "deed_number",
    "DeedDate": "deed_date",
    "DeedType": "deed_type",
    "SalePrice": "sale_price",
    "SaleDate": "sale_date",
}
RENTAL = {
    "OwnerName": "owner_name",
    "OwnerBusinessEntity": "owner_business_entity",
    "OwnershipType": "ownership_type",
}


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
        else:
            assert change["table"] == "RentalInformation"
            yield "assessor.rental", apn, "", RENTAL[key], _text("", old), _text("", new)


def expected_taxes(said: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield what the county says changed at the treasurer, in the same form; new bills and payments are rows,
    not changes.
    """
    for change in said:
        apn, (year, _, name), old, new = (
            change["apn"],
            change["key"].partition("."),
            change["old"],
            change["new"],
        )
        if change["table"] == "Account":
            yield "treasurer.account", apn, "", "owner", "\n".join(old), "\n".join(new)
        elif name == "status":
            yield "treasurer.bill", apn, year, "status", STATUS[old], STATUS[new]
            yield "treasurer.bill", apn, year, "status_text", old, new
        elif old is not None:
            yield (
                "treasurer.bill",
                apn,
                year,
                {"due": "amount_due"}.get(name, name),
                f"{old / 100:.2f}",
                f"{new / 100:.2f}",
            )


def told(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of `maricopa changes` in the same form."""
    for row in csv.DictReader(io.StringIO(text)):
        key = json.loads(row["key"])
        assert key["apn"] == row["apn"]
        assert row["by"] == ("tax" if row["table"].startswith("treasurer.") else "sales")
        yield row["table"], row["apn"], str(key.get("tax_year", "")), row["field"], row["old"], row["new"]


def maricopa(database: Database, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in this process: it only looks up, and each process of its own costs a second."""
    said = Maricopa(database, "", Path(), rate=None, environment={"COLUMNS": "200"}).here(*arguments)
    return subprocess.CompletedProcess(arguments, said.code, said.out, said.errors)


@dataclass
class Collected:
    """Three collections: the moments between which they lie, and what each source of the county says changed
    before each.
    """

    database: Database
    session: Session
    moments: list[str]
    said: dict[str, list[list[dict[str, Any]]]]

    def asked(self, *arguments: str) -> list[dict[str, str]]:
        """Return what `maricopa changes` says of the second and the third collection."""
        found = maricopa(self.database, "changes", "--since", self.moments[1], *arguments)
        assert found.returncode == 0, found.stderr
        return list(csv.DictReader(io.StringIO(found.stdout)))


@pytest.fixture(scope="module")
def collected(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collected]:
    """The rolls know one parcel, unchanged: the assessor is asked for the rest, the recorder for deeds, the
    treasurer some.
    """
    folder = tmp_path_factory.mktemp("changes")
    sources = ["assessor", "recorder", *(["treasurer"] if not taxes.why_no_browser() else [])]
    apns = County().apns(PARCELS)
    parcels = taxes.listed(folder, apns)
    environment = taxes.settings(folder / "settings")
    moments, said = [dt.datetime.now(dt.UTC).isoformat()], defaultdict(list)
    with fresh_database(server, template) as database, counties() as county:
        for before, epoch in zip((0, *EPOCHS), EPOCHS, strict=False):
            sandbox = county(epoch=epoch, gis_parcels=1, **RECORDER)
            run = Crawler(database, sandbox.url, rate=2000, environment=environment)
            runs = [run.start("sales", "-a", parcels)]
            if "treasurer" in sources:
                runs.append(run.start("tax", "-a", f"apns={','.join(apns[:TAXED])}"))
            for process in runs:
                log, _ = process.communicate(timeout=120)
                assert process.returncode == 0, log
            moments.append(dt.datetime.now(dt.UTC).isoformat())
            for source in sources:
                count = TAXED if source == "treasurer" else PARCELS
                said[source].append(sandbox.changes(count, since=before, source=source))
        session = Session(database.url)
        yield Collected(database, session, moments, said)
        session.close()


def test_changes_are_the_county_s_own_list(collected: Collected, tmp_path: Path) -> None:
    moments, said = collected.moments, collected.said
    whole: Counter[tuple[str, ...]] = Counter()
    for at in range(3):
        period = ("--since", moments[at], "--until", moments[at + 1])
        changes = maricopa(collected.database, "changes", *period)
        assert changes.returncode == 0, changes.stderr
        ours, theirs = Counter(told(changes.stdout)), Counter(expected(said["assessor"][at]))
        # The first collection has nothing to compare with. In a period 6 in 100 change hands, and 4 their
        # value.
        assert len(theirs) > PARCELS / 2 if at else not theirs
        of_taxes = Counter(expected_taxes(said["treasurer"][at])) if said["treasurer"] else Counter()
        assert len(of_taxes) > 0.8 * TAXED if at and said["treasurer"] else not of_taxes
        theirs += of_taxes
        assert ours == theirs, f"extra: {list(ours - theirs)[:5]}, missing: {list(theirs - ours)[:5]}"
        whole += theirs
    to = tmp_path / "changes.csv"
    assert maricopa(collected.database, "changes", "--since", moments[1], "--to", str(to)).returncode == 0
    assert Counter(told(to.read_text())) == whole


def test_questions_are_answered_by_the_county_s_own_list(collected: Collected) -> None:
    said = collected.said["assessor"]
    lines = maricopa(
        collected.database,
        "changes",
        "--since",
        collected.moments[1],
        "--table",
        "assessor.valuation",
        "--format",
        "jsonl",
    ).stdout.splitlines()
    values = [json.loads(line) for line in lines]
    assert {row["table"] for row in values} == {"assessor.valuation"}
    assert len(values) == sum(change["table"] == "Valuations" for part in said for change in part)
    of_key = {
        "new-owner": ("Ownership", "old_owner", "new_owner"),
        "new-deed": ("MostCurrentDeed", "old_deed", "new_deed"),
        "new-value": ("FullCashValue", "old_value", "new_value"),
    }
    truth = County(epoch=EPOCHS[-1])
    for query, (key, old, new) in of_key.items():
        rows = collected.asked("--query", query)
        changed = [change for part in said for change in part if change["key"].rpartition(".")[2] == key]
        theirs_of = Counter(
            (change["apn"], _text("", change["old"]), _text("", change["new"])) for change in changed
        )
        if query == "new-owner":
            # An owner that is withheld is told by its number alone.
            withheld = {row["apn"] for row in rows if row["new_owner"] == "withheld"}
            assert withheld == {
                change["apn"] for part in said for change in part if _is_withheld(truth, change)
            }
            rows = [row for row in rows if row["new_owner"] != "withheld"]
        assert Counter((row["apn"], row[old], row[new]) for row in rows) == theirs_of
        assert len(rows) > 10
    _every_query_runs_or_says_what_it_needs(collected.database, collected.session, collected.moments[0])


def test_new_deeds_are_new_documents(collected: Collected) -> None:
    new = [change["new"]["recordingNumber"] for part in collected.said["recorder"] for change in part]
    assert len(new) > 20
    assert Counter(row["recording_number"] for row in collected.asked("--query", "new-document")) == Counter(
        set(new)
    )


@taxes.needs_browser
def test_new_payments_and_bills_that_were_paid(collected: Collected) -> None:
    said = [change for part in collected.said["treasurer"] for change in part]
    paid = [change["new"] for change in said if change["table"] == "Payments"]
    rows = collected.asked("--query", "new-payment")
    assert Counter((row["tax_year"], row["paid_on"], row["amount"]) for row in rows) == Counter(
        (str(one["tax_year"]), one["paid_on"], f"{one['amount'] / 100:.2f}") for one in paid
    )
    assert paid
    settled = Counter(
        (one["apn"], one["key"].partition(".")[0])
        for one in said
        if one["key"].endswith(".due") and not one["new"]
    )
    assert Counter((row["apn"], row["tax_year"]) for row in collected.asked("--query", "tax-paid")) == settled
    assert settled


def _is_withheld(truth: County, change: dict[str, Any]) -> bool:
    return bool(change["key"] == "OwnerID" and truth.parcel(change["apn"])["Owner"].get("Redacted"))


def _every_query_runs_or_says_what_it_needs(database: Database, session: Session, since: str) -> None:
    now = dt.datetime.now(dt.UTC)
    for query in QUERIES.values():
        missing = changes.lacking(session, query)
        if missing:
            asked = maricopa(database, "changes", "--since", since, "--query", query.name)
            assert (asked.returncode, asked.stdout) == (2, "")
            assert f"needs {', '.join(missing)}" in asked.stderr
        else:
            rows = list(changes.answers(session, query, dt.datetime.fromisoformat(since), now))
            assert all(len(row) == len(query.columns) for row in rows)


def test_a_length_of_time_and_what_did_not_change(collected: Collected) -> None:
    lately = maricopa(collected.database, "changes", "--since", "2h")
    assert (lately.returncode, lately.stderr) == (0, "")
    assert len(lately.stdout.splitlines()) > PARCELS / 2
    before = maricopa(collected.database, "changes", "--since", "7d", "--until", "6d")
    assert (before.returncode, len(before.stdout.splitlines())) == (0, 1)
    assert re.fullmatch(r"nothing of that changed from \S+ \S+ to \S+ \S+ UTC\n", before.stderr)


MISTAKES = [
    (("--since", "yesterday"), "--since yesterday: neither a day"),
    (("--since", "2026-11-01", "--table", "assessor.owners"), "there is assessor.parcel, assessor.owner"),
    (("--since", "2026-11-01", "--query", "who"), "there is new-owner"),
    (("--since", "2026-11-01", "--format", "xml"), "there is csv, jsonl"),
    (("--since", "2026-11-01", "--query", "new-owner", "--table", "assessor.owner"), "give one of them"),
    (
        ("--since", "2026-11-01", "--to", "/no/such/folder/x.csv"),
        "there is no folder /no/such/folder; make it first",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line(collected: Collected, arguments: tuple[str, ...], message: str) -> None:
    asked = maricopa(collected.database, "changes", *arguments)
    assert (asked.returncode, asked.stdout, len(asked.stderr.splitlines())) == (2, "", 1)
    assert message in asked.stderr
