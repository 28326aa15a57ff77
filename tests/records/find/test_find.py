"""`maricopa find`: rows written as the store writes them, and what a person types to find them."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.database import connect
from maricopa_scrapy.database.connect import Session, migrate, pending_migrations
from maricopa_scrapy.records.find.neighbours import neighbours
from maricopa_scrapy.records.find.question import QuestionError, read, with_neighbours
from maricopa_scrapy.records.find.search import Hit, search, take_in
from tests.conftest import Database
from tests.helpers.command import Maricopa

# What is stored, and what finds it. "!": and what must not.
CASES = [
    ("O'BRIEN PATRICK", ["o'brien", "obrien", "O BRIEN", "o’brien patrick", "patrick o'brien"]),
    ("OBRIEN PATRICK", ["o'brien", "obrien", "o brien"]),
    ("O BRIEN PATRICK", ["o'brien", "obrien", "o brien"]),
    ("MC DOWELL ANNE", ["mcdowell", "mc dowell", "!dowelling"]),
    ("MCDOWELL ANNE", ["mcdowell", "mc dowell", "mcdow", "anne mcdowell", "!annemarie"]),
    ("MUÑOZ JOSÉ", ["munoz", "muñoz", "jose munoz", "MUÑOZ"]),
    ("MUNOZ JOSE", ["muñoz", "josé"]),
    ("GRÖẞE STRAẞE GMBH", ["grosse strasse"]),
    ("COPPER STATE HOLDINGS LLC", ["holdings llc", "copper l l c", "copper l.l.c.", "copper, LLC", "!llp"]),
    ("COPPER STATE HOLDINGS L L C", ["copper llc", "copper l.l.c.", "copper l l c"]),
    ("COPPER STATE HOLDINGS L.L.C.", ["copper llc", "copper l l c"]),
    ("RED MESA PARTNERS L P", ["red mesa lp", "red mesa l.p."]),
    ("SMITH & JONES", ["smith and jones", "smith & jones", "jones smith", "smith jones", "smith&jones"]),
    ("SMITH AND JONES", ["smith & jones", "smith and jones", "jones & smith"]),
    ("SMITH-JONES MARY", ["smith-jones", "smith jones", "mary smith", "jones-smith"]),
    ("SMITH/JONES", ["smith", "jones", "smith/jones"]),
    ("TRACT #69 OWNERS ASSN", ["#69 owners", "69 owners", "owners association", "!6 owners"]),
    ("1ST NATIONAL BANK", ["1st national", "national 1st"]),
    ("7-ELEVEN INC", ["7-eleven", "7 eleven", "eleven incorporated"]),
    ("WYATT DORIS", ["wya", "DORIS WYATT", "dor wya", "wyatt, doris", "!wyattson", "!yat"]),
    ("ИВАНОВ ИВАН", ["иванов", "Иван"]),
]


def _execute(database: Database, statement: str, *values: Any) -> None:
    session = Session(database.url)
    session.transact(lambda cursor: cursor.execute(statement, values or None))
    session.close()


def _property(database: Database, apn: str, **columns: Any) -> None:
    values = {"layer": "E", **columns}
    names = ", ".join(values)
    _execute(
        database,
        f"INSERT INTO gis.parcel (apn, {names}, content_hash, capture_sha256, first_seen_at, changed_at)"
        f" VALUES (%s, {', '.join(['%s'] * len(values))}, '', '', '2026-01-02', '2026-01-02')",
        apn,
        *values.values(),
    )


@pytest.fixture
def session(database: Database) -> Session:
    return Session(database.url)


def _found(session: Session, text: str, after: str | None = None, **filters: str) -> list[Hit]:
    take_in(session)
    return list(search(session, read(session, text, **filters), after))


def _keys(session: Session, text: str, **filters: str) -> list[str]:
    return [hit.key for hit in _found(session, text, **filters)]


@pytest.mark.parametrize("column", ["owner_name", "property_address", "subdivision_name", "mail_address_1"])
def test_words_are_found_as_a_person_types_them(database: Database, session: Session, column: str) -> None:
    for number, (stored, _) in enumerate(CASES):
        _property(database, f"{10000000 + number}", **{column: stored})
    wrong = []
    for number, (stored, asked) in enumerate(CASES):
        for text in asked:
            is_found = f"{10000000 + number}" in _keys(session, text.removeprefix("!"))
            if is_found == text.startswith("!"):
                wrong.append((stored, text))
    assert not wrong


@pytest.mark.parametrize(
    "text",
    [
        "301 W JEFFERSON ST",
        "301 west jefferson street",
        "jefferson 301",
        "w jefferson 301 phoenix",
        "jeff 85003",
    ],
)
def test_an_address_is_found_by_either_form_of_its_parts(
    database: Database, session: Session, text: str
) -> None:
    where = {"property_city": "PHOENIX", "property_zip": "85003"}
    _property(database, "11221001A", property_address="301 W JEFFERSON ST", **where)
    _property(
        database,
        "11221002",
        property_address="3010 W JEFFERSON ST",
        property_city="MESA",
        property_zip="850031",
    )
    assert _keys(session, text) == ["11221001A"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("165-28-054", ["16528054", "16528054A"]),
        ("16528054", ["16528054", "16528054A"]),
        ("165 28 054", ["16528054", "16528054A"]),
        ("165.28.054a", ["16528054A"]),
        ("165-28", ["16528054", "16528054A", "16528055"]),
        ("165-28-05", ["16528054", "16528054A", "16528055"]),
        ("wyatt 165-28", ["16528055"]),
        ("2001-0849180", ["16528055"]),
        ("20010849180", ["16528055"]),
        ("2001 0849180", ["16528055"]),
        ("wyatt 20010849180", ["16528055"]),
        ("monroe 20010849180", []),
        ("165-29", []),
    ],
)
def test_identifiers_are_found_in_any_notation(
    database: Database, session: Session, text: str, keys: list[str]
) -> None:
    _property(database, "16528054", owner_name="MONROE EDNA")
    _property(database, "16528054A", owner_name="MONROE EDNA")
    _property(database, "16528055", owner_name="WYATT DORIS", deed_number="20010849180")
    assert _keys(session, text) == keys


def test_the_best_match_comes_first_and_says_where_it_was_found(database: Database, session: Session) -> None:
    _property(database, "10000001", mail_address_1="1 GRANT ST", owner_name="A")
    _property(database, "10000002", property_address="2 GRANTHAM AVE", owner_name="B")
    _property(database, "10000003", property_address="3 GRANT ST", owner_name="C")
    _property(database, "10000004", owner_name="GRANTLEY PAUL")
    _property(database, "10000005", owner_name="GRANT PAUL", property_address="5 GRANT ST")
    _property(database, "10000006", subdivision_name="GRANT PARK", property_address="6 MAIN ST")
    assert [(hit.key, hit.found_in) for hit in _found(session, "grant")] == [
        ("10000005", "owner"),
        ("10000004", "owner"),
        ("10000003", "address"),
        ("10000006", "subdivision"),
        ("10000002", "address"),
        ("10000001", "mailing address"),
    ]
    assert [(hit.key, hit.found_in) for hit in _found(session, "paul grant st")] == [
        ("10000005", "owner, address")
    ]


def test_pages_go_on_where_the_last_one_ended(database: Database, session: Session) -> None:
    for number in range(7):
        _property(database, f"{10000000 + number}", owner_name=f"GRANT{'HAM' * (number % 2)} {number}")
        _property(database, f"{20000000 + number}", property_address=f"{number} GRANT ST")
    whole = _found(session, "grant")
    assert len({hit.key for hit in whole}) == len(whole) == 14
    for at, hit in enumerate(whole):
        assert [one.key for one in _found(session, "grant", hit.after)] == [
            one.key for one in whole[at + 1 :]
        ]
    with pytest.raises(QuestionError, match="--after x: not a token"):
        _found(session, "grant", "x")


def test_what_is_changed_or_removed_leaves_the_index(database: Database, session: Session) -> None:
    _property(database, "10000001", owner_name="GRANT PAUL")
    _property(database, "10000002", owner_name="GRANT LILI")
    _execute(database, "UPDATE gis.parcel SET owner_name = 'MONROE' WHERE apn = '10000001'")
    assert (_keys(session, "grant"), _keys(session, "monroe")) == (["10000002"], ["10000001"])
    _execute(database, "UPDATE gis.parcel SET removed_at = now() WHERE apn = '10000002'")
    assert _keys(session, "grant") == []


def test_filters_hold_together(database: Database, session: Session) -> None:
    city = {"property_city": "GILBERT", "owner_name": "PROGRESS RESIDENTIAL BORROWER 9 LLC"}
    _property(
        database, "10000001", sale_price=600_000, sale_date="2025-02-01", property_address="1 RAY RD", **city
    )
    _property(
        database, "10000002", sale_price=400_000, sale_date="2025-02-01", subdivision_name="QUAIL RUN", **city
    )
    _property(database, "10000003", sale_price=600_000, sale_date="2024-12-01", **city)
    _property(database, "10000004", sale_price=600_000, sale_date="2025-02-01", owner_name="PROGRESS LLC")
    asked = {"owner": "progress residential", "city": "Gilbert"}
    assert _keys(session, "", **asked, sold_since="2025-01", price="500000..") == ["10000001"]
    assert _keys(session, "", **asked) == ["10000001", "10000002", "10000003"]
    assert _keys(session, "", **asked, price="..500,000") == ["10000002"]
    assert _keys(session, "progress", sold_since="2025") == ["10000001", "10000002", "10000004"]
    assert _keys(session, "progress", subdivision="quail") == ["10000002"]
    assert _keys(session, "progress", address="ray road") == ["10000001"]


def _others(database: Database) -> None:
    """One parcel as the assessor's API, the treasurer and a sale have it, and a document."""
    end = "'', '', '2026-03-04', '2026-03-04')"
    told = "content_hash, capture_sha256, first_seen_at, changed_at)"
    for statement in (
        f"INSERT INTO assessor.parcel (apn, property_address, {told} VALUES ('10000001', '9 BELL RD', {end}",
        f"INSERT INTO assessor.owner (apn, ownership, deed_number, {told}"
        f" VALUES ('10000001', 'PIERCE OTIS', '20200000005', {end}",
        f"INSERT INTO assessor.parcel (apn, property_address, {told} VALUES ('10000002', '8 BELL RD', {end}",
        f"INSERT INTO treasurer.account (apn, owner, {told} VALUES ('10000003', 'TAMARISK ZELDA', {end}",
        "INSERT INTO bulk.sale (apn, deed_number, deed_number_raw, occurrence, grantor_name, grantee_name,"
        f" sale_month, {told} VALUES ('10000001', '20200000005', '', 1, 'YARDWELL IMOGEN', 'PIERCE OTIS',"
        f" '2020-01', {end}",
        f"INSERT INTO recorder.document (recording_number, recording_date, {told}"
        f" VALUES ('20200000005', '2020-01-09', {end}",
        *(
            f"INSERT INTO recorder.party (recording_number, name, {told}"
            f" VALUES ('20200000005', '{name}', {end}"
            for name in ("PIERCE OTIS", "YARDWELL IMOGEN")
        ),
    ):
        _execute(database, statement)


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("pierce bell", [("10000001", "owner, address", "assessor.parcel")]),
        (
            "bell road",
            [("10000001", "address", "assessor.parcel"), ("10000002", "address", "assessor.parcel")],
        ),
        ("zelda", [("10000003", "owner", "treasurer.account")]),
        (
            "yardwell",
            [("10000001", "buyer or seller", "bulk.sale"), ("20200000005", "party", "recorder.document")],
        ),
        (
            "otis imogen",
            [("10000001", "buyer or seller", "bulk.sale"), ("20200000005", "party", "recorder.document")],
        ),
        (
            "2020-0000005",
            [
                ("10000001", "deed number", "assessor.parcel"),
                ("20200000005", "recording number", "recorder.document"),
            ],
        ),
    ],
)
def test_every_office_s_words_are_found(
    database: Database, session: Session, text: str, hits: list[tuple[str, str, str]]
) -> None:
    _others(database)
    found = _found(session, text)
    assert [(hit.key, hit.found_in, hit.table) for hit in found] == hits
    assert {f"{hit.as_of:%Y-%m-%d}" for hit in found} == {"2026-03-04"}


def test_of_a_withheld_owner_nothing_is_found_by_a_name(database: Database, session: Session) -> None:
    _others(database)
    _property(
        database,
        "10000001",
        owner_name="PIERCE OTIS",
        property_address="9 BELL RD",
        deed_number="20200000005",
    )
    _execute(database, "UPDATE assessor.owner SET is_redacted = true")
    for text in ("pierce", "yardwell", "otis", "9 bell", "otis imogen"):
        assert "10000001" not in _keys(session, text)
        assert "20200000005" not in _keys(session, text)
    (parcel,) = _found(session, "100-00-001")
    assert (parcel.owner, parcel.address, parcel.mailing_address) == ("withheld", None, "withheld")
    by_number = _found(session, "20200000005")
    assert [(hit.key, hit.owner) for hit in by_number] == [
        ("10000001", "withheld"),
        ("20200000005", "withheld"),
    ]
    assert _keys(session, "20200000005", owner="pierce") == []


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("wyatr", {"wyatr": ["wyatt"]}),
        ("wyat doris", {}),
        ("wayttt", {"wayttt": ["wyatt"]}),
        ("dorsi", {"dorsi": ["doris"]}),
        ("vanterpol monroe", {"vanterpol": ["vanterpool"]}),
        ("terpool", {"terpool": ["vanterpool"]}),
        ("qqqqq", {}),
        ("850099", {}),
    ],
)
def test_a_typing_mistake_finds_the_neighbours(
    database: Database, session: Session, text: str, taken: dict[str, list[str]]
) -> None:
    _property(database, "10000001", owner_name="WYATT DORIS/VANTERPOOL ANSELMO", street_name="MONROE")
    _property(database, "10000002", owner_name="OTIS")
    question = read(session, text)
    found = neighbours(session, question)
    assert found == taken
    if found and "monroe" not in text:
        assert [hit.key for hit in search(session, with_neighbours(question, found))] == ["10000001"]


@pytest.mark.parametrize(
    ("text", "filters", "message"),
    [
        ("", {}, "say what to find"),
        ("  ", {}, "say what to find"),
        ("&&", {}, "say what to find"),
        ("", {"owner": "--"}, "--owner --: there is no letter or digit in it"),
        ("x", {"price": "cheap"}, "--price cheap: the form is 500000.., ..300000 or 100000..200000"),
        ("x", {"price": "5..4"}, "--price 5..4: the first is above the second"),
        ("x", {"sold_since": "1/1/2025"}, "--sold-since 1/1/2025: the form is 2025, 2025-01 or 2025-01-31"),
        ("165-28-054 165-28-055", {}, "there are several APNs in it: ask for one at a time"),
    ],
)
def test_a_mistake_is_one_line(session: Session, text: str, filters: dict[str, str], message: str) -> None:
    with pytest.raises(QuestionError, match=re.escape(message)):
        read(session, text, **filters)


@pytest.mark.parametrize(
    "text",
    ["'", "\\", "a:*b", "!x & (y", "x\x00y", "é" * 3000, "x" * 5000, "%s %(a)s", "a' OR '1", ":*", "\u202e"],
)
def test_no_text_is_too_odd_to_be_asked_for_or_stored(
    database: Database, session: Session, text: str
) -> None:
    stored = text.replace("\x00", "")
    _property(database, "10000001", owner_name=stored, property_address=stored, subdivision_name=stored)
    try:
        question = read(session, text)
    except QuestionError:
        return
    assert {hit.key for hit in search(session, question)} <= {"10000001"}


def test_the_index_has_every_view_s_words(database: Database) -> None:
    """A view that says its words otherwise than the index would be read row by row."""
    views = ("gis_parcel", "secured_master", "residential_master", "page_parcel", "account", "sale")
    indexed = [(view, column) for view in (*views, "assessor_by_owner") for column in ("half", "owner")]
    indexed += [("assessor_by_parcel", "half"), ("assessor_ownerless", "half"), ("party", "party")]
    session = Session(database.url)
    for view, column in indexed:
        plan = session.rows(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off;"
            f" EXPLAIN SELECT FROM find.{view} WHERE {column} @@ 'x'::tsquery"
        )
        assert "_find" in str(plan), (view, column)
    session.close()


def test_a_database_that_had_rows_before_gets_the_index(database: Database, session: Session) -> None:
    _property(database, "10000001", owner_name="GRANT PAUL")
    _execute(database, "DROP SCHEMA find CASCADE")
    _execute(database, "DELETE FROM crawl.migration WHERE name = 'find'")
    _property(database, "10000002", owner_name="GRANT LILI", street_name="MONROE")
    assert pending_migrations(database.url) == ["find"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connect, "_up_to_date", set())
        migrate(database.url)
    assert _keys(session, "grant") == ["10000001", "10000002"]
    assert database.rows("SELECT word FROM find.word ORDER BY word") == [
        (word,) for word in ("grant", "lili", "monroe", "paul")
    ]


def test_common_words_are_found_some_books_of_the_map_after_others(
    database: Database, session: Session
) -> None:
    """Half of the rows have the word, in 31 books and behind the last; the order is that of few."""
    _execute(
        database,
        "INSERT INTO gis.parcel (apn, layer, owner_name, property_city, content_hash, capture_sha256,"
        " first_seen_at, changed_at) SELECT CASE i WHEN 3000 THEN 'B0000000'"
        " ELSE to_char(10000000 + i * 1000, 'FM00000000') END, 'E', CASE WHEN i % 500 = 0"
        " THEN 'CITY OF PHOENIX' ELSE 'OWNER ' || i END, CASE i % 2 WHEN 0 THEN 'PHOENIX' ELSE 'MESA' END,"
        " '', '', now(), now() FROM generate_series(1, 3000) i",
    )
    _execute(database, "ANALYZE gis.parcel")
    owned = [*(f"{10000000 + i * 1000}" for i in range(500, 3000, 500)), "B0000000"]
    whole = owned + [f"{10000000 + i * 1000}" for i in range(2, 3000, 2) if i % 500]
    hits = _found(session, "phoenix")
    assert [hit.key for hit in hits] == whole
    assert [hit.key for hit in _found(session, "phoenix", hits[1000].after)] == whole[1001:]
    assert _keys(session, "phoenix mesa") == []


@pytest.fixture
def maricopa(database: Database, tmp_path: Path) -> Maricopa:
    return Maricopa(database, "http://127.0.0.1:1", tmp_path)


def test_the_command_shows_a_page_and_how_to_go_on(database: Database, maricopa: Maricopa) -> None:
    for number in range(5):
        _property(
            database,
            f"{10000000 + number}",
            owner_name=f"GRANT {number}\x1b[2J",
            property_address="301 W JEFFERSON ST PHOENIX 85003",
            sale_price=500_000,
        )
    maricopa.environment["COLUMNS"] = "80"
    first = maricopa.here("find", "grant", "--limit", "2")
    assert first.code == 0
    lines = first.out.splitlines()
    assert lines[0].split() == ["parcel,", "document", "owner", "address", "found", "in", "as", "of"]
    assert max(map(len, lines)) <= 80
    assert "100-00-000" in first.out
    assert "0␛[2J" in first.out
    assert "2026-01-02" in first.out
    assert "\x1b" not in first.out
    (token,) = re.findall(r"there are more: --after (\S+)", first.errors)
    second = maricopa.here("find", "grant", "--limit", "3", "--after", token, "--format", "apns")
    assert (second.out.split(), second.errors) == (["10000002", "10000003", "10000004"], "")
    (row, *_) = csv.DictReader(io.StringIO(maricopa.here("find", "grant", "--format", "csv").out))
    assert (row["key"], row["price"], row["found_in"], row["table"]) == (
        "10000000",
        "500000",
        "owner",
        "gis.parcel",
    )
    (line, *_) = maricopa.here("find", "grant", "--format", "jsonl").out.splitlines()
    assert json.loads(line)["address"] == "301 W JEFFERSON ST PHOENIX 85003"


def test_the_command_says_what_it_took_a_mistyped_word_for(database: Database, maricopa: Maricopa) -> None:
    _property(database, "10000001", owner_name="VANTERPOOL ANSELMO")
    said = maricopa.here("find", "vanterpol", "--format", "apns")
    assert (said.code, said.out.split()) == (0, ["10000001"])
    assert said.errors == "no word begins with vanterpol; taken for it: vanterpool\n"
    nothing = maricopa.here("find", "quillford")
    assert (nothing.code, nothing.out, nothing.errors) == (1, "", "nothing that is stored has all of that\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to find"),
        (["x", "--format", "pdf"], "--format pdf: there is table, csv, jsonl, apns"),
        (["x", "--price", "cheap"], "--price cheap: the form is"),
        (["x", "--after", "3"], "--after 3: not a token that `maricopa find` printed"),
        (["x", "--after", "9:10000001"], "--after 9:10000001: not a token that `maricopa find` printed"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(maricopa: Maricopa, arguments: list[str], message: str) -> None:
    said = maricopa.here("find", *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.errors.startswith(f"error: {message}")
    assert said.errors.count("\n") == 1
