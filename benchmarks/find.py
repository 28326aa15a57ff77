"""`make bench-find`: 200 questions of `maricopa find` in a whole county, beside the same by ILIKE and an
exhaustive search; and a roll with the index beside one without.

Properties are made by Postgres, in the shapes of the sandbox's names. Ratios within one run.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from psycopg2.extensions import cursor as Cursor

from benchmarks.assessor import database
from benchmarks.export import execute
from benchmarks.roll import our_fields, roll, warm
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import connect, embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.find.neighbours import neighbours
from maricopa_scrapy.records.find.question import ALSO, read, with_neighbours
from maricopa_scrapy.records.find.search import search, take_in
from maricopa_scrapy.sandbox.county import invented_names
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.process import SandboxProcess

ROLLED = int(os.environ.get("ROLLED", 60_000 if QUICK else 400_000))
PAIRS = int(os.environ.get("PAIRS", 2 if QUICK else 3))
PARCELS = int(os.environ.get("PARCELS", 176_000 if QUICK else 1_760_000))
QUESTIONS = 200
# Slow beyond this; so many of the questions are asked by ILIKE and by the exhaustive search.
COMPARED = int(os.environ.get("COMPARED", 40))
_PAGE = 20
# h1 to h8: numbers that follow from the row's own. Half of the surnames are the sandbox's, as common as
# there; half are made of two of them, so that most names are rare, as in a county.
_FILL = """
    INSERT INTO gis.parcel (
        apn, layer, owner_name, mail_address_1, mail_city, mail_state, mail_zip, property_address,
        street_number, street_name, property_city, property_zip, deed_number, deed_date, sale_date,
        sale_price, subdivision_name, lot, full_cash_value, content_hash, capture_sha256, first_seen_at,
        changed_at
    )
    SELECT to_char(10000000 + i * 45, 'FM00000000'), 'E',
           CASE WHEN h1 %% 10 < 3 THEN concat_ws(' ', company[1 + h2 %% cardinality(company)], 2 + h3 %% 998,
                                                 business[1 + h4 %% cardinality(business)])
                WHEN h1 %% 10 < 6 THEN concat_ws(' ', surname, one, chr(65 + h4 %% 26))
                ELSE surname || ' ' || one || '/' || given[1 + h4 %% cardinality(given)] END,
           concat_ws(' ', 100 + h5 %% 19900, substr('NSEW', 1 + h6 %% 4, 1),
                     street[1 + h7 %% cardinality(street)]),
           split_part(town, ',', 1), 'AZ', split_part(town, ',', 2),
           concat_ws(' ', 100 + h8 %% 30000, substr('NSEW', 1 + h1 %% 4, 1), situs),
           (100 + h8 %% 30000)::text, situs, split_part(town, ',', 1), split_part(town, ',', 2),
           1990 + h3 %% 36 || to_char(i, 'FM0000000'), date '1990-01-01' + h3 %% 13000,
           date '1990-01-01' + h3 %% 13000, 50000 + h4 %% 900000,
           subdivision[1 + h5 %% cardinality(subdivision)] || ' UNIT ' || h6 %% 40, (h7 %% 400)::text,
           90000 + h8 %% 900000, '\\x00', '\\x00', now(), now()
    FROM (
        SELECT i, %(surname)s::text[] AS surnames, %(given)s::text[] AS given, %(company)s::text[] AS company,
               %(business)s::text[] AS business, %(street)s::text[] AS street,
               %(subdivision)s::text[] AS subdivision, %(town)s::text[] AS towns,
               hashint8(i) & 2147483647 AS h1, hashint8(i + 10000000) & 2147483647 AS h2,
               hashint8(i + 20000000) & 2147483647 AS h3, hashint8(i + 30000000) & 2147483647 AS h4,
               hashint8(i + 40000000) & 2147483647 AS h5, hashint8(i + 50000000) & 2147483647 AS h6,
               hashint8(i + 60000000) & 2147483647 AS h7, hashint8(i + 70000000) & 2147483647 AS h8
        FROM generate_series(%(first)s, %(last)s) i
    ) d
    CROSS JOIN LATERAL (
        SELECT CASE WHEN h7 %% 2 = 0 THEN surnames[1 + h2 %% cardinality(surnames)]
                    ELSE left(surnames[1 + h2 %% cardinality(surnames)], 2 + h3 %% 5)
                         || right(surnames[1 + h5 %% cardinality(surnames)], 2 + h6 %% 5) END AS surname,
               given[1 + h3 %% cardinality(given)] AS one, towns[1 + h6 %% cardinality(towns)] AS town,
               street[1 + h2 %% cardinality(street)] AS situs
    ) n
"""
_TEXT = (
    "concat_ws(' ', owner_name, property_address, property_city, property_zip, subdivision_name,"
    " mail_address_1, mail_city, mail_state, mail_zip, deed_number, apn)"
)
# Its indexes and triggers go with it.
_WITHOUT = "DROP SCHEMA find CASCADE"


def _made(values: dict[str, Any], cursor: Cursor) -> None:
    cursor.execute(_FILL, values)


def fill(url: str) -> None:
    """Make the properties, ten thousand in a transaction."""
    towns = [f"{town},{code}" for town, _, codes, *_ in invented_names.TOWNS for code in codes]
    session = Session(url)
    for first in range(1, PARCELS + 1, 10_000):
        values = {
            "surname": list(invented_names.SURNAMES),
            "given": list(invented_names.GIVEN),
            "company": list(invented_names.COMPANY),
            "business": list(invented_names.BUSINESS),
            "street": list(invented_names.STREETS),
            "subdivision": list(invented_names.SUBDIVISION),
            "town": towns,
            "first": first,
            "last": min(first + 9_999, PARCELS),
        }
        session.transact(partial(_made, values))
    session.close()
    execute(url, "VACUUM ANALYZE")


def questions(url: str) -> list[tuple[str, bool]]:
    """What is asked, and whether all of it are whole words: of rows here and there, in many ways."""
    session = Session(url)
    rows = session.rows(
        "SELECT apn, owner_name, property_address, property_city, property_zip, subdivision_name,"
        " mail_address_1, deed_number"
        " FROM gis.parcel ORDER BY hashtext(apn) LIMIT %s",
        (QUESTIONS,),
    )
    session.close()
    pick = Random(20)
    asked: list[tuple[str, bool]] = []
    for at, (apn, owner, address, city, zip_code, subdivision, mail, deed) in enumerate(rows):
        name, street = owner.replace("/", " ").split(), address.split()
        mistyped = name[0][1:2] + name[0][:1] + name[0][2:]
        ways: list[tuple[str, bool]] = [
            (owner, True),
            (f"{name[1]} {name[0]}", True),
            (name[0], True),
            (f"{name[0][:4]} {name[1][:3]}", False),
            (address, True),
            (f"{street[2]} {street[0]} {city}", True),
            (f"{name[0]} {street[2]}", True),
            (f"{name[0]} {city}", True),
            (f"{subdivision} {zip_code}", True),
            (mail, True),
            (f"{apn[:3]}-{apn[3:5]}-{apn[5:]}", False),
            (f"{deed[:4]}-{deed[4:]}", False),
            (f"{name[0]} {name[1]} {street[2]} {zip_code}", True),
            (f"{mistyped} {name[1]}", False),
            (city, True),
            (f"{street[2]} {city}", True),
        ]
        asked.append(ways[at % len(ways)])
    pick.shuffle(asked)
    return asked


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.monotonic()
    found = work()
    return time.monotonic() - begun, found


def ask(session: Session, text: str, limit: int | None) -> list[str]:
    """As the verb does it."""
    question = read(session, text)
    take_in(session)
    found = [hit.key for hit in islice(search(session, question), limit)]
    if not found and (taken := neighbours(session, question)):
        found = [hit.key for hit in islice(search(session, with_neighbours(question, taken)), limit)]
    return found


def by_ilike(session: Session, text: str) -> list[str]:
    """The first page of the rows that have all of it anywhere."""
    words = text.replace("-", "").replace("/", " ").split()
    where = " AND ".join(f"{_TEXT} ILIKE %s" for _ in words)
    rows = session.rows(
        f"SELECT apn FROM gis.parcel WHERE {where} ORDER BY owner_name ILIKE %s DESC, apn LIMIT {_PAGE}",
        [f"%{word}%" for word in [*words, text]],
    )
    return [apn for (apn,) in rows]


def exhaustive(session: Session, text: str) -> set[str]:
    """All rows of which every word is a word, or begins one, read one by one."""
    words = [word for word in text.replace("/", " ").upper().split() if word != "AND"]
    where = " AND ".join(f"{_TEXT} ~ %s" for _ in words)
    patterns = []
    for word in words:
        others = [other.upper() for other in ALSO.get(word.lower(), [])]
        is_whole = word.isdigit() or len(word) < 3
        patterns.append(
            rf"(^|[ /])({word}{'($|[ /])' if is_whole else ''}|({'|'.join(others) or word})($|[ /]))"
        )
    return {apn for (apn,) in session.rows(f"SELECT apn FROM gis.parcel WHERE {where}", patterns)}


def asked(bench: Bench, server: str) -> None:
    """All questions, and the same in the two plain ways."""
    with database(server, "bench_find") as url:
        execute(url, _WITHOUT, "DELETE FROM crawl.migration WHERE name = 'find'")
        fill(url)
        seconds, _ = timed(lambda: connect._migrate(url))
        bench.add(Row(f"{PARCELS:,} properties that were there get the index", f"{seconds:.0f} s"))
        execute(url, "VACUUM ANALYZE gis.parcel")
        session = Session(url)
        ((index, rows, words),) = session.rows(
            "SELECT pg_relation_size('gis.gis_parcel_find') / 1e6, pg_relation_size('gis.parcel') / 1e6,"
            " (SELECT count(*) FROM find.word)"
        )
        bench.add(
            Row("size of the index, beside the rows; words", f"{index:.0f} MB, {words:,}", f"{rows:.0f} MB")
        )
        all_questions = questions(url)
        for text, _ in all_questions[:5]:
            ask(session, text, _PAGE)
        times = []
        for text, _ in all_questions:
            took, found = timed(partial(ask, session, text, _PAGE))
            times.append((took, text, len(found)))
        for took, text, count in sorted(times)[-8:]:
            print(f"  {took * 1000:,.0f} ms, {count} hits: {text}", flush=True)
        every = QUESTIONS // COMPARED
        plain = [timed(partial(by_ilike, session, text))[0] for text, _ in all_questions[::every]]
        ours, peer = p95([took for took, *_ in times]), p95(plain)
        what = f"{QUESTIONS} questions, p95, against {len(plain)} of them by ILIKE"
        bench.add(
            Row(
                what,
                f"{ours * 1000:.0f} ms",
                f"{peer * 1000:,.0f} ms",
                ours / peer,
                1 / 50 if not QUICK else None,
                at_most=True,
            )
        )
        median = statistics.median(took for took, *_ in times)
        bench.add(Row("median", f"{median * 1000:.0f} ms", f"{statistics.median(plain) * 1000:,.0f} ms"))
        wrong = 0
        exact = [text for text, is_exact in all_questions if is_exact][:COMPARED]
        for text in exact:
            found = ask(session, text, None) if len(text.split()) > 1 else ask(session, text, 5_000)
            truth = exhaustive(session, text)
            is_wrong = set(found) != truth if len(found) < 5_000 else not set(found) <= truth
            if is_wrong or len(set(found)) != len(found):
                wrong += 1
                print(f"  {text}: {len(found)} found, {len(truth)} are there", flush=True)
        bench.add(
            Row(
                f"of {len(exact)} questions in whole words, other answers than an exhaustive search has",
                f"{wrong}",
                "0",
                float(wrong),
                0,
                at_most=True,
            )
        )
        session.close()


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def rolls(bench: Bench, server: str, folder: Path) -> None:
    """Rolls with the index and without, in turn."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    with SandboxProcess(compress=False, gis_parcels=ROLLED) as sandbox:
        warm(sandbox, our_fields(sandbox), ParcelLayer(County(), ROLLED).ids[-1])
        for at in range(2 * PAIRS):
            # Each of a pair comes first as often as the other.
            has_index = at % 4 in (0, 3)
            with database(server, f"bench_rolled_{at}") as url:
                if not has_index:
                    execute(url, _WITHOUT)
                rates[has_index].append(roll(url, sandbox, folder)[0])
                print(f"  {'with' if has_index else 'without'}: {rates[has_index][-1]:,.0f}/s", flush=True)
    ours, plain = statistics.median(rates[True]), statistics.median(rates[False])
    what = f"a roll of {ROLLED:,} rows with the index, against one without (medians of {PAIRS})"
    bench.add(Row(what, f"{ours:,.0f}/s", f"{plain:,.0f}/s", ours / plain, 0.9))


def main() -> int:
    bench = Bench("find")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        asked(bench, server)
        if PAIRS:
            rolls(bench, server, folder)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
