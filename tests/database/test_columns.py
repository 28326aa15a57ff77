"""Pages of rows by column: the same lines as records make, and a merge that writes only what differs."""

import datetime as dt
import random
from typing import Any

import pytest

from maricopa_scrapy.database.columns import array_of, lines_of, merge_lines
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.tables import origin_of, table_of
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import FollowOn, Record, Rows
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.sources.gis.records import GisAbsent, GisParcel
from tests.conftest import Database

ORIGIN = origin_of(b"\x01" * 32, dt.datetime(2026, 9, 1, tzinfo=dt.UTC))
_HARD = [
    "plain",
    "",
    "tab\there",
    "line\nbreak",
    "back\\slash",
    "cr\rlf",
    "\\N",
    "ünïcode",
    "a|b",
    '"quoted"',
    None,
]


def parcels(count: int, **values: Any) -> list[Record]:
    names = dict.fromkeys(GisParcel.model_fields)
    return [
        GisParcel(**{**names, "apn": f"901{number:05d}", "layer": "E", **values}) for number in range(count)
    ]


def by_column(records: list[Record]) -> Rows:
    kind = type(records[0])
    return Rows(kind, [[getattr(one, name) for one in records] for name in kind.model_fields])


def test_a_page_s_lines_are_those_of_its_records() -> None:
    rolls = random.Random(4)
    for texts in (["plain", None], _HARD):
        records = [
            one.model_copy(
                update={
                    "owner_name": rolls.choice(texts),
                    "floor": rolls.choice((None, 1)),
                    "lot_size_acres": rolls.choice((None, 4.2, 0.25, 3.0)),
                    "deed_date": rolls.choice((None, dt.date(1899, 12, 31), dt.date(2026, 9, 1))),
                    "sale_price": rolls.choice((None, 0, 2**40)),
                }
            )
            for one in parcels(60)
        ]
        lines = lines_of(by_column(records), ORIGIN)
        table = table_of(GisParcel)
        for number, one in enumerate(records):
            key, digest, line = table.row(one, ORIGIN)
            assert (lines.keys[number], lines.digests[number]) == (key[0], digest)
            assert lines.lines[number].decode() == line


def test_text_that_is_not_utf_8_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        lines_of(Rows(GisAbsent, [["90100001"], ["\ud800"]]), ORIGIN)


def test_a_page_without_rows_has_no_lines() -> None:
    lines = lines_of(Rows(GisAbsent, [[], []]), ORIGIN)
    assert (lines.keys, lines.digests, lines.lines) == ([], [], [])


def test_the_text_of_an_array(session: Session) -> None:
    values = ["90100001", 'a"b', "c\\d", "e,f", "{g}", "NULL", " h "]
    assert session.rows("SELECT %s::text[]", (array_of(values),)) == [(values,)]


@pytest.fixture
def run(session: Session) -> Run:
    job, _ = ledger.open_job(session, "roll", [FollowOn("gis", "layer", "county")], {})
    return ledger.open_run(session, job, "roll", "gis")


@pytest.mark.parametrize("count", [3, 400])
def test_only_what_differs_is_written(database: Database, session: Session, run: Run, count: int) -> None:
    def merge(records: list[Record]) -> dict[str, str]:
        session.transact(lambda cursor: merge_lines(cursor, run, lines_of(by_column(records), ORIGIN)))
        return dict(database.rows("SELECT apn, xmin::text FROM gis.parcel"))

    first = parcels(count)
    before = merge(first)
    assert len(before) == count
    assert merge(first) == before
    # Some changed, some new, most as they were.
    changed = [
        one.model_copy(update={"owner_name": "SUNDIAL HOMES INC"}) if number % 3 == 0 else one
        for number, one in enumerate(first)
    ]
    after = merge([*changed, *parcels(count + 5)[count:]])
    written = {apn for apn in after if before.get(apn) != after[apn]}
    assert written == {f"901{number:05d}" for number in (*range(0, count, 3), *range(count, count + 5))}
    changes = database.rows("SELECT key->>'apn', field, old, new FROM crawl.change ORDER BY 1")
    assert changes == [
        (f"901{number:05d}", "owner_name", None, "SUNDIAL HOMES INC") for number in range(0, count, 3)
    ]


def test_a_parcel_marked_missing_is_unmarked_when_it_is_seen_again(
    database: Database, session: Session, run: Run
) -> None:
    page = lines_of(by_column(parcels(3)), ORIGIN)
    session.transact(lambda cursor: merge_lines(cursor, run, page))
    session.transact(
        lambda cursor: cursor.execute("UPDATE gis.parcel SET removed_at = now() WHERE apn = '90100001'")
    )
    session.transact(lambda cursor: merge_lines(cursor, run, page))
    assert database.one("SELECT count(*) FROM gis.parcel WHERE removed_at IS NOT NULL") == 0
    assert database.rows("SELECT field, new FROM crawl.change") == [("removed_at", None)]
