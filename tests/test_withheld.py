"""Once an owner is withheld, no output names the owner or the mailing address, neither the present nor the
former; tables still do.
"""

import csv
import datetime as dt
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.tables import RECORDS
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.records import changes, roll_diff
from maricopa_scrapy.records.change_queries import QUERIES
from maricopa_scrapy.records.export.export import FORMATS
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.assessor.public_page_records import PageParcel
from maricopa_scrapy.sources.assessor.records import Owner, Rental
from maricopa_scrapy.sources.bulk.records import ResidentialParcel, Sale, SecuredParcel
from maricopa_scrapy.sources.gis.records import GisParcel
from maricopa_scrapy.sources.treasurer.records import TaxAccount
from tests.conftest import Crawler, Database, counties, fresh_database
from tests.helpers import exports, rolls
from tests.helpers.command import Maricopa

# Any of these in an output is a leak: each stands for one column of one table, as one of its sources told it.
SECRET = "EVERYBODYS SECRET"
SINCE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
NAMED = {
    "assessor.owner": (
        "ownership",
        "in_care_of",
        "contract_ownership",
        *(name for name in Owner.model_fields if name.startswith("mailing_")),
    ),
    "assessor.rental": (
        "owner_business_entity",
        "owner_name",
        "owner_address",
        "business_contact_name",
        "business_contact_address",
        "agent_name",
        "agent_address",
    ),
    "assessor_page.parcel": ("ownership", "in_care_of", "mailing_address"),
    "gis.parcel": (
        "owner_name",
        "in_care_of",
        *(name for name in GisParcel.model_fields if name.startswith("mail_")),
    ),
    "treasurer.account": ("owner",),
    "bulk.secured_master": (
        "owner_name",
        *(name for name in SecuredParcel.model_fields if name.startswith("mail_")),
    ),
    "bulk.residential_master": (
        "owner_name",
        *(name for name in ResidentialParcel.model_fields if name.startswith("mail_")),
    ),
    "bulk.sale": tuple(name for name in Sale.model_fields if name.startswith(("grantor_", "grantee_"))),
}


@dataclass
class Hidden:
    """A database in which all sources named the owner of `apn`, whom the API then withholds; `other` is a
    parcel like it.
    """

    database: Database
    maricopa: Maricopa
    apn: str
    other: str
    deeds: tuple[str, str]
    words: list[str]
    job: int


def _stamped(cursor: Any, table: str, **values: Any) -> None:
    given = values | exports.STAMPS
    names = ", ".join(given)
    update = ", ".join(f"{name} = excluded.{name}" for name in values)
    key = {"bulk.sale": "(deed_number, apn, occurrence)", "recorder.party": "(recording_number, name)"}.get(
        table, "(recording_number)" if table == "recorder.document" else "(apn)"
    )
    cursor.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(given))}) ON CONFLICT {key} DO UPDATE"
        f" SET {update}",
        list(given.values()),
    )


def _name_everywhere(
    database: Database, apn: str, number: str, former: str, run: int, is_secret: bool
) -> list[str]:
    """Have every table name somebody for the parcel, and change that name; returns all the words."""
    words: list[str] = []

    def word() -> str:
        words.append(f"{SECRET if is_secret else 'PLAIN'} {len(words):03}")
        return words[-1]

    connection = psycopg2.connect(database.url)
    with connection, connection.cursor() as cursor:
        for table, columns in NAMED.items():
            if table not in ("assessor.owner", "assessor_page.parcel"):
                more: dict[str, dict[str, Any]] = {
                    "assessor.rental": {},
                    "gis.parcel": {"layer": "E"},
                    "bulk.sale": {"deed_number": number, "deed_number_raw": number, "occurrence": 1},
                }
                _stamped(
                    cursor, table, apn=apn, **{column: word() for column in columns}, **more.get(table, {})
                )
            for column in columns:
                cursor.execute(
                    "INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)"
                    " VALUES (%s, %s, %s, %s, %s, now(), %s)",
                    (table, json.dumps({"apn": apn}), column, word(), word(), run),
                )
        cursor.execute("UPDATE bulk.sale SET sale_month = '2020-01', sale_price = 9 WHERE apn = %s", (apn,))
        cursor.execute("UPDATE gis.parcel SET deed_number = %s WHERE apn = %s", (number, apn))
        # The former owner's deed is known by what changed alone.
        cursor.execute(
            "INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)"
            " VALUES ('assessor.owner', %s, 'deed_number', %s, %s, now(), %s)",
            (json.dumps({"apn": apn}), former, number, run),
        )
        for document in (number, former):
            _stamped(cursor, "recorder.document", recording_number=document)
            party = word()
            _stamped(cursor, "recorder.party", recording_number=document, name=party)
            cursor.execute(
                "INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)"
                " VALUES ('recorder.party', %s, 'removed_at', NULL, '2026-01-01', now(), %s)",
                (json.dumps({"recording_number": document, "name": party}), run),
            )
    connection.close()
    return words


@pytest.fixture(scope="module")
def hidden(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hidden]:
    """Both parcels were read from API and page; the API then withholds the owner of one."""
    truth = County()
    apn, other = [
        one
        for one in truth.apns(120)
        if (owner := truth.undrawn(one)[0]["Owner"])["Ownership"] and owner["MostCurrentDeed"]
    ][:2]
    with fresh_database(server, template) as database, counties() as county:
        sandbox = county()
        crawler = Crawler(database, sandbox.url)
        apns = f"apns={apn},{other}"
        for arguments in (("assessor", "-a", apns), ("assessor", "-a", "via=page", "-a", apns)):
            crawl = crawler(*arguments)
            assert crawl.code == 0, crawl.log
        sandbox.faults({"withheld_owner": {"probability": 1.0, "keys": [apn]}}, "assessor")
        crawl = crawler("assessor", "-a", apns)
        assert crawl.code == 0, crawl.log
        run = database.one("SELECT max(id) FROM crawl.run")
        owner = truth.undrawn(apn)[0]["Owner"]
        words = [owner["Ownership"], owner["FullMailingAddress"], owner["MailingAddress1"]]
        words += _name_everywhere(database, apn, "20200000001", "20100000001", run, is_secret=True)
        _name_everywhere(database, other, "20200000002", "20100000002", run, is_secret=False)
        folder = tmp_path_factory.mktemp("withheld")
        deeds = ("20200000001", "20100000001")
        yield Hidden(
            database,
            Maricopa(database, sandbox.url, folder),
            apn,
            other,
            deeds,
            words,
            database.one("SELECT max(id) FROM crawl.job"),
        )


def _leaks(hidden: Hidden, said: str) -> list[str]:
    return [word for word in hidden.words if word in said] + [SECRET] * (SECRET in said)


def test_the_tables_say_what_the_sources_said(hidden: Hidden) -> None:
    stored = hidden.database.rows(
        "SELECT is_redacted, ownership, mailing_address, deed_number FROM assessor.owner WHERE apn = %s",
        hidden.apn,
    )
    assert stored == [(True, None, None, None)]
    assert (
        hidden.database.one(
            "SELECT count(*) FROM crawl.change WHERE old = %s OR new = %s", hidden.words[0], hidden.words[0]
        )
        == 1
    )
    assert (
        hidden.database.one("SELECT ownership FROM assessor_page.parcel WHERE apn = %s", hidden.apn)
        == hidden.words[0]
    )
    assert SECRET in hidden.database.one("SELECT owner_name FROM gis.parcel WHERE apn = %s", hidden.apn)
    assert hidden.database.rows("SELECT apn FROM public.withheld") == [(hidden.apn,)]


def test_one_place_knows_every_column_that_names_an_owner(hidden: Hidden) -> None:
    named = {
        (record.table, column)
        for record in RECORDS
        for column in record.model_fields
        if hidden.database.one("SELECT crawl.names_owner(%s, %s)", record.table, column)
    }
    assert {(table, column) for table, columns in NAMED.items() for column in columns} <= named
    # What else is hidden is where such a person lives.
    rest = named - {(table, column) for table, columns in NAMED.items() for column in columns}
    assert all(
        any(word in column for word in ("address", "street", "suite", "situs")) for _, column in rest
    ), rest
    # A column whose name looks like it must be decided upon.
    for record in (Owner, Rental, PageParcel, GisParcel, SecuredParcel, ResidentialParcel, TaxAccount, Sale):
        for column in record.model_fields:
            if "owner" in column and column not in ("owner_id", "ownership_type", "owner_occupancy"):
                assert (record.table, column) in named


def test_the_dossier(hidden: Hidden) -> None:
    said = hidden.maricopa.here("property", format_apn(hidden.apn))
    assert said.code == 0, said.errors
    assert _leaks(hidden, said.out) == []
    for label in ("Owner", "Mailing address"):
        assert re.search(rf"(?m)^{label} +withheld *$", said.out), said.out
    assert "20200000001" in said.out
    plain = hidden.maricopa.here("property", format_apn(hidden.other)).out
    assert County().undrawn(hidden.other)[0]["Owner"]["Ownership"][:20] in plain
    assert "PLAIN" in plain
    assert "withheld" not in plain


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_changes(hidden: Hidden, form: str) -> None:
    said = hidden.maricopa.here("changes", "--since", "2020-01-01", "--format", form)
    assert said.code == 0, said.errors
    assert _leaks(hidden, said.out) == []
    assert "PLAIN" in said.out
    rows = (
        list(csv.DictReader(io.StringIO(said.out)))
        if form == "csv"
        else [json.loads(line) for line in said.out.splitlines()]
    )
    ours = [row for row in rows if row["apn"] == hidden.apn and row["field"] in NAMED.get(row["table"], ())]
    assert len(ours) >= sum(map(len, NAMED.values()))
    assert {(row["old"], row["new"]) for row in ours} == {("withheld", "withheld")}
    # What is no person's stays.
    assert ("20100000001", "20200000001") in {
        (row["old"], row["new"]) for row in rows if row["apn"] == hidden.apn
    }


def test_every_named_query(hidden: Hidden) -> None:
    database = Session(hidden.database.url)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    for query in QUERIES.values():
        rows = [
            dict(zip(query.columns, row, strict=True))
            for row in changes.answers(database, query, SINCE, until)
        ]
        assert _leaks(hidden, repr(rows)) == [], query.name
        if query.name in ("new-owner", "new-owner-gis"):
            ours = [row for row in rows if row["apn"] == hidden.apn]
            assert ours
            assert {(row["old_owner"], row["new_owner"]) for row in ours} == {("withheld", "withheld")}
        if query.name == "new-deed":
            assert {row["owner"] for row in rows if row["apn"] == hidden.apn} == {"withheld"}
    database.close()


def test_the_difference_of_two_rolls(hidden: Hidden) -> None:
    database = Session(hidden.database.url)
    found = [change for change in roll_diff.changes(database, SINCE) if change.apn == hidden.apn]
    assert {(change.old, change.new) for change in found if change.field in NAMED["gis.parcel"]} == {
        ("withheld", "withheld")
    }
    assert _leaks(hidden, repr(found)) == []
    database.close()


@pytest.mark.parametrize("form", FORMATS)
def test_exports(hidden: Hidden, tmp_path: Path, form: str) -> None:
    said = hidden.maricopa.here("export", "--to", str(tmp_path), "--format", form)
    assert said.code == 0, said.errors
    (folder,) = tmp_path.iterdir()
    text = "".join(_text(file) for file in sorted(folder.iterdir()))
    assert _leaks(hidden, text) == []
    assert "PLAIN" in text
    names = ("apn", "ownership", "in_care_of", "mailing_address", "is_redacted")
    shown = hidden.database.rows(f"SELECT {', '.join(names)} FROM property WHERE apn = %s", hidden.apn)
    assert shown == [(hidden.apn, "withheld", None, "withheld", True)]
    assert hidden.database.rows(
        "SELECT seller, buyer FROM sale WHERE apn = %s AND basis = 'affidavit'", hidden.apn
    ) == [("withheld",) * 2]
    documents = hidden.database.rows(
        "SELECT DISTINCT names FROM document WHERE recording_number = ANY(%s)", list(hidden.deeds)
    )
    assert documents == [(["withheld"],)]


def _text(file: Path) -> str:
    """Return all that a file of an export says, unpacked."""
    if file.suffix == ".parquet":
        with duckdb.connect() as database:
            return repr(database.execute("SELECT * FROM read_parquet(?)", [str(file)]).fetchall())
    if file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as book:
            return "".join(book.read(name).decode() for name in book.namelist())
    return file.read_bytes().decode("utf-8", "replace")


def test_the_report(hidden: Hidden, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    for arguments in ((), ("--html", str(page))):
        said = hidden.maricopa.here("report", str(hidden.job), *arguments)
        assert said.code == 0, said.errors
        text = page.read_text() if "--html" in arguments else said.out
        assert _leaks(hidden, text) == []
        if arguments:
            assert "withheld" in text


def test_a_web_archive_has_no_answer_about_the_parcel_unless_it_is_asked_for(
    hidden: Hidden, tmp_path: Path
) -> None:
    kept = hidden.database.one("SELECT count(*) FROM crawl.capture WHERE body IS NOT NULL")
    said = hidden.maricopa.here("captures", "--warc", str(tmp_path / "some.warc"))
    assert said.out.startswith(f"{kept - 3} records")
    assert "3 answers are left out" in said.out
    archive = (tmp_path / "some.warc").read_text(errors="replace")
    assert _leaks(hidden, archive) == []
    assert County().undrawn(hidden.other)[0]["Owner"]["Ownership"] in archive
    said = hidden.maricopa.here("captures", "--warc", str(tmp_path / "all.warc"), "--with-withheld")
    assert said.out.startswith(f"{kept} records")
    assert hidden.words[0] in (tmp_path / "all.warc").read_text(errors="replace")


def test_each_source_s_word_withholds_and_its_next_one_may_end_it(
    session: Session, database: Database
) -> None:
    def shown() -> dict[str, list[Any]]:
        return {apn: row for apn, *row in database.rows("SELECT apn, ownership, is_redacted FROM property")}

    def work(cursor: Any) -> None:
        for number, said in enumerate((None, "NA", "N/A", "EXAMPLE")):
            apn = f"9010100{number}"
            _stamped(cursor, "gis.parcel", apn=apn, layer="E", owner_name=said)
            if said is None:
                _stamped(cursor, "gis.withheld", apn=apn, said="NA")
        _stamped(cursor, "gis.parcel", apn="90101009", layer="E", owner_name=None)
        _stamped(cursor, "gis.parcel", apn="90101008", layer="E", owner_name="EXAMPLE")
        _stamped(cursor, "assessor_page.parcel", apn="90101008", ownership=None, is_redacted=True)

    session.transact(work)
    nobody = ["withheld", True]
    assert shown() == {
        "90101000": nobody,
        "90101001": nobody,
        "90101002": nobody,
        "90101003": ["EXAMPLE", None],
        "90101009": [None, None],
        "90101008": nobody,
    }
    database.rows("UPDATE gis.parcel SET owner_name = 'NOBODY ELSE' WHERE apn = '90101000' RETURNING 1")
    database.rows(
        "UPDATE assessor_page.parcel SET is_redacted = false, ownership = 'EXAMPLE TOO' WHERE apn ="
        " '90101008' RETURNING 1"
    )
    assert shown()["90101000"] == ["NOBODY ELSE", None]
    assert shown()["90101008"] == ["EXAMPLE TOO", False]


def test_a_layer_s_own_withheld_owners_are_told_after_a_roll(
    tmp_path: Path, database: Database, county: Any
) -> None:
    layer = rolls.layer(1500)
    facts = [layer.facts(row) for row in layer.ids]
    withheld = {one["apn"] for one in facts if one["is_withheld"]}
    assert len(withheld) > 1
    assert rolls.crawler(tmp_path, database, county(gis_parcels=1500), page=500)("roll").code == 0
    assert {apn for (apn,) in database.rows("SELECT apn FROM public.withheld")} == withheld
    assert dict(database.rows("SELECT said, count(*) FROM gis.withheld GROUP BY 1")) == {"NA": len(withheld)}
    shown = database.rows(
        "SELECT ownership, mailing_address, is_redacted FROM property WHERE apn = ANY(%s)", sorted(withheld)
    )
    assert set(shown) == {("withheld", "withheld", True)}
    assert database.one("SELECT count(*) FROM property WHERE ownership = 'withheld'") == len(withheld)
    named = (
        "SELECT count(*) FROM gis.parcel WHERE apn = ANY(%s) AND coalesce(owner_name, mail_address_1,"
        " mail_city, mail_zip) IS NOT NULL"
    )
    assert database.one(named, sorted(withheld)) == 0
