"""A whole county that Postgres and the product's own hash make up, for `make bench-county`: three rolls, a
job of as many targets of which half are answered, sales, three epochs of changes, documents and answers.

`maricopa verify` is green on it. Parcel i has the APN 10000000 + i, and the deed 20200000000 + i; of one in a
thousand the owner is withheld.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

import psycopg2

from maricopa_scrapy.database.columns import copy_bytes, lines_of
from maricopa_scrapy.database.store_and_acknowledge import capture_lines
from maricopa_scrapy.database.tables import copy_lines, origin_of, table_of
from maricopa_scrapy.items import Capture, Record, Rows
from maricopa_scrapy.sources.assessor.records import Owner, Parcel, Residence, Valuation
from maricopa_scrapy.sources.bulk.records import Sale
from maricopa_scrapy.sources.gis.records import GisParcel
from maricopa_scrapy.sources.recorder.document import parse_document

T = TypeVar("T")

# The job of the documents: 1, 2 and 3 are the rolls, 4 has all parcels, 5 is the file of sales.
DOCUMENTS = 6
_AT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
_PAGE = 2_000
_CHUNK = 5_000
_APN = "to_char(10000000 + i, 'FM00000000')"
_DEED = "to_char(20200000000 + i, 'FM00000000000')"
_OWNER = "CASE WHEN i % 1000 > 0 THEN 'OWNER ' || md5(i::text) END"
_GIS = {
    "apn": _APN, "layer": "'E'", "owner_name": _OWNER, "mail_address_1": "i || ' E MAIN ST'",
    "mail_city": "'PHOENIX'", "mail_state": "'AZ'", "mail_zip": "(85000 + i % 100)::text",
    "property_address": "i || ' W WASHINGTON ST'", "property_city": "'PHOENIX'",
    "property_zip": "(85000 + i % 100)::text", "property_use_code": "to_char(i % 9999, 'FM0000')",
    "property_use": "'SINGLE FAMILY RESIDENCE'", "legal_class_code": "'3.1'",
    "lot_size_sqft": "5000 + i % 5000",
    "construction_year": "(1950 + i % 75)::int", "livable_sqft": "1000 + i % 3000", "tax_year": "2026",
    "full_cash_value": "200000 + i", "limited_property_value": "150000 + i", "deed_number": _DEED,
    "deed_date": "date '2020-01-01' + (i % 360)::int", "sale_date": "date '2020-01-01' + (i % 360)::int",
    "sale_price": "100000 + i", "subdivision_name": "'SUBDIVISION ' || i / 100", "lot": "(i % 100)::text",
    "mcr": "to_char(i % 99999, 'FM00000')", "section_township_range": "'12 2N 3E'",
    "jurisdiction": "'PHOENIX'",
    "longitude": "-112.5 + i * 1e-7::float8", "latitude": "33.2 + i * 1e-7::float8",
}  # fmt: skip
_PARCEL = {
    "apn": _APN, "property_address": "i || ' W WASHINGTON ST'", "lot_size_sqft": "5000 + i % 5000",
    "is_residential": "true", "is_commercial": "false", "is_rental": "i % 5 = 0", "is_cancelled": "false",
    "section_township_range": "'12 2N 3E'", "subdivision_name": "'SUBDIVISION ' || i / 100",
    "jurisdiction": "'PHOENIX'", "property_type": "'Residential'",
    "property_use_code": "to_char(i % 9999, 'FM0')",
    "property_use": "'SFR'", "tax_area_code": "'281300'", "latitude": "33.2 + i * 0.0000001",
    "longitude": "-112.5 + i * 0.0000001", "zoning": "'\"R1-6\"'::jsonb::text",
}  # fmt: skip
_OWNERS = {
    "apn": _APN, "owner_id": "i::text", "ownership": _OWNER, "mailing_address": "i || ' E MAIN ST PHOENIX'",
    "deed_number": _DEED, "deed_date": "date '2020-01-01' + (i % 360)::int", "deed_type": "'WD'",
    "sale_price": "100000 + i", "sale_date": "date '2020-01-01' + (i % 360)::int",
    "is_redacted": "i % 1000 = 0",
}  # fmt: skip
_VALUES = {
    "apn": _APN, "tax_year": "2026", "full_cash_value": "200000 + i", "limited_property_value": "150000 + i",
    "assessment_ratio": "0.1", "legal_class_code": "'3.1'", "legal_class": "'Owner-occupied'",
}  # fmt: skip
_HOUSE = {
    "apn": _APN, "construction_year": "(1950 + i % 75)::int", "livable_sqft": "1000 + i % 3000",
    "has_pool": "i % 3 = 0", "bath_fixtures": "6", "garages": "2",
}  # fmt: skip
_SALE = {
    "apn": _APN, "sale_month": "'2020-' || to_char(1 + i % 12, 'FM00')", "sale_price": "100000 + i",
    "deed_number": _DEED, "deed_date": "date '2020-01-01' + (i % 360)::int", "deed_type": "'WD'",
    "grantor_name": "'SELLER ' || md5(i::text)", "grantee_name": "'OWNER ' || md5(i::text)",
    "property_address": "i || ' W WASHINGTON ST'", "deed_number_raw": _DEED, "parcel_count": "1",
    "occurrence": "1",
}  # fmt: skip
_PAGES = f"encode(sha256(('page ' || (i - 1) / {_PAGE})::bytea), 'hex')"
_ANSWER = "encode(sha256(('parcel ' || i)::bytea), 'hex')"
_IMAGE = "https://publicapi.recorder.maricopa.gov/preview/pdf?recordingNumber={}&suffix="
_FILE = "encode(sha256('sales'), 'hex')"

# `{n}`: parcels, `{half}`: half of them, `{sales}`, `{documents}`; the three rolls are a week apart.
_LEDGER = """
    INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters, state, verdict, reason, enumerated,
                           created_at, started_at, finished_at)
    SELECT 'roll', 'api_only', true, 'normal', '{{"sources": ["gis"]}}', 'finished', 'completed', 'finished',
           {pages} + 2, at, at, at + interval '5 min'
    FROM generate_series(timestamptz '{at}' - interval '14 days', timestamptz '{at}', interval '7 days') at;
    INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters, state, requested_state, enumerated,
                           created_at, started_at)
    SELECT 'property_search', 'api_only', true, 'normal', '{{"apns": "all.txt", "parcels": {n}}}', 'paused',
    'pause',
           {n}, timestamptz '{at}', timestamptz '{at}';
    INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters, state, verdict, reason, enumerated,
                           created_at, started_at, finished_at)
    SELECT type, 'api_only', true, 'normal', '{{}}', 'finished', 'completed', 'finished', enumerated,
    timestamptz '{at}',
           timestamptz '{at}', timestamptz '{at}' + interval '1 h'
    FROM (VALUES ('bulk_file', 1), ('documents', {documents})) AS j (type, enumerated);
    INSERT INTO crawl.run (job_id, spider, source, node, pid, pid_started, state, verdict, reason, traffic,
                           started_at, heartbeat_at, finished_at)
    SELECT j.id, s.spider, s.source, 'elsewhere', 1, 1, 'closed', 'completed', 'finished',
           jsonb_build_object(s.source, '{{"requests": 900, "answers": 900, "refusals": 0,
           "bytes": 1000000}}'::jsonb),
           j.started_at, j.started_at, j.started_at + interval '5 min'
    FROM crawl.job j JOIN (VALUES (1, 'roll', 'gis'), (2, 'roll', 'gis'), (3, 'roll', 'gis'),
        (4, 'assessor', 'assessor'), (5, 'affidavits', 'bulk'), (6, 'documents', 'recorder'))
        AS s (job, spider, source) ON s.job = j.id ORDER BY j.id;
    INSERT INTO gis.roll (job_id, walk, layer, first_id, last_id, row_count, page, detail, state, received,
    parcels,
                          duplicates, unkeyed, missing, is_confirmed, started_at, finished_at)
    SELECT id, 1, 'E', 1, {n}, {n}, 2000, '{{}}', 'complete', {n}, {n}, 0, 0, 0, true, started_at, finished_at
    FROM crawl.job WHERE type = 'roll';
    INSERT INTO crawl.capture (sha256, source, url, status, content_type, fetched_at, size)
    SELECT sha256(('page ' || p)::bytea), 'gis', 'http://127.0.0.1/page/' || p, 200, 'application/json',
    timestamptz '{at}', 1000
    FROM generate_series(0, {pages} - 1) p
    UNION ALL SELECT sha256('sales'), 'bulk', 'file:///sales.zip', 200, 'application/zip',
    timestamptz '{at}', 1000
    UNION ALL SELECT sha256('layer'), 'gis', 'http://127.0.0.1/layer', 200, 'application/json',
    timestamptz '{at}', 1000;
    INSERT INTO crawl.capture (sha256, source, url, status, content_type, fetched_at, size)
    SELECT sha256(('parcel ' || i)::bytea), 'assessor', 'http://127.0.0.1/parcel/' || {apn}, 200,
           'application/json', timestamptz '{at}', 41000 FROM generate_series(1, {half}) i;
    INSERT INTO crawl.target (job_id, source, kind, key, state, attempts, rows, capture_sha256, done_at,
    run_id)
    SELECT j.id, 'gis', t.kind, t.key, 'done', 1, t.rows, t.sha256, j.started_at, j.id
    FROM crawl.job j CROSS JOIN (
        SELECT 'layer' AS kind, 'county' AS key, 1 AS rows, sha256('layer') AS sha256 UNION ALL
        SELECT 'extent', 'E', 1, sha256('layer') UNION ALL
        SELECT 'range', 'E walk 1 ids ' || p, 2000, sha256(('page ' || p)::bytea)
        FROM generate_series(0, {pages} - 1) p) t
    WHERE j.type = 'roll';
    INSERT INTO crawl.target (job_id, source, kind, key, state, attempts, rows, capture_sha256, done_at,
    run_id)
    SELECT 4, 'assessor', 'parcel', {apn}, CASE WHEN i <= {half} THEN 'done' ELSE 'pending' END,
           (i <= {half})::int, CASE WHEN i <= {half} THEN 4 END,
           CASE WHEN i <= {half} THEN sha256(('parcel ' || i)::bytea) END, CASE WHEN i <= {half} THEN
           timestamptz '{at}' + i * interval '1 ms' END, CASE WHEN i <= {half} THEN 4 END
    FROM generate_series(1, {n}) i;
    INSERT INTO crawl.target (job_id, source, kind, key, detail, state, attempts, rows, capture_sha256,
    done_at, run_id)
    VALUES (5, 'bulk', 'file', '/sales.zip', '{{"file": "sales_affidavits"}}', 'done', 1, {sales},
    sha256('sales'),
            '{at}', 5);
    INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
    SELECT 'gis.parcel', jsonb_build_object('apn', {apn}), f.field, f.old || ' ' || epoch,
    f.old || ' ' || epoch + 1,
           timestamptz '{at}' - (3 - epoch) * interval '7 days' + interval '1 min', epoch
    FROM generate_series(1, 3) epoch, generate_series(1, {n}, 100) i,
         (VALUES ('owner_name', 'OWNER'), ('full_cash_value', '20000')) AS f (field, old);
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How many there are of each."""

    parcels: int

    @property
    def half(self) -> int:
        return self.parcels // 2

    @property
    def sales(self) -> int:
        return self.parcels * 90 // 176

    @property
    def documents(self) -> int:
        return self.parcels * 6 // 176


def fill(url: str, size: Size) -> None:
    """Fill an empty database."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(
        _LEDGER.format(
            n=size.parcels,
            half=size.half,
            pages=-(-size.parcels // _PAGE),
            sales=size.sales,
            documents=size.documents,
            apn=_APN,
            at=_AT,
        )
    )
    parts: list[tuple[type[Record], dict[str, str], str, int]] = [
        (GisParcel, _GIS, _PAGES, size.parcels),
        (Parcel, _PARCEL, _ANSWER, size.half),
        (Owner, _OWNERS, _ANSWER, size.half),
        (Valuation, _VALUES, _ANSWER, size.half),
        (Residence, _HOUSE, _ANSWER, size.half),
        (Sale, _SALE, _FILE, size.sales),
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        done = [pool.submit(_fill, url, *part) for part in parts]
        done.append(pool.submit(_documents, url, size.documents))
        for one in done:
            one.result()
    cursor.execute("VACUUM ANALYZE")
    connection.close()


def _fill(url: str, record: type[Record], columns: dict[str, str], capture: str, count: int) -> None:
    table = table_of(record)
    wanted = ", ".join(columns.get(name, "NULL") for name in table.fields)
    connection = psycopg2.connect(url)
    rows = connection.cursor("rows")
    rows.execute(f"SELECT {wanted}, {capture} FROM generate_series(1, {count}) i")
    write = connection.cursor()
    while chunk := rows.fetchmany(_CHUNK):
        *values, captures = map(list, zip(*chunk, strict=True))
        lines = lines_of(Rows(record, values), "").lines
        ends = (origin_of(bytes.fromhex(sha256), _AT).encode() for sha256 in captures)
        copy_bytes(write, table.copy_new, [line + end for line, end in zip(lines, ends, strict=True)])
    connection.commit()
    connection.close()


def _documents(url: str, count: int) -> None:
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    for numbers in _batches(iter(range(20200000001, 20200000001 + count)), 2_000):
        captures: list[Capture] = []
        lines: dict[type[Record], list[str]] = {}
        targets: list[tuple[str, int, bytes]] = []
        for number in numbers:
            day = dt.date(2020, 1, 1) + dt.timedelta(days=number % 360)
            body = json.dumps(
                {
                    "recordingNumber": str(number),
                    "names": [f"SELLER {number}", f"BUYER {number}"],
                    "documentCodes": ["WAR DEED"],
                    "recordingDate": f"{day.month}-{day.day}-{day.year}",
                    "docketBook": 0,
                    "pageMap": 0,
                    "pageAmount": 3,
                    "affidavitPresent": False,
                    "affidavitPageAmount": 0,
                    "restricted": False,
                }
            ).encode()
            sha256 = hashlib.sha256(body).digest()
            url_ = f"http://127.0.0.1/documents/{number}"
            captures.append(Capture(sha256, "recorder", url_, 200, "application/json", _AT, body))
            records = parse_document(body, str(number), _IMAGE.format(number)).records
            for record in records:
                _, _, line = table_of(type(record)).row(record, origin_of(sha256, _AT))
                lines.setdefault(type(record), []).append(line)
            targets.append((str(number), len(records), sha256))
        copy_lines(
            cursor,
            "COPY crawl.capture (sha256, source, url, status, content_type, fetched_at, size, left_out,"
            " is_rendered, body) FROM STDIN (FORMAT text, NULL '')",
            capture_lines(captures),
        )
        for kind, rows in lines.items():
            copy_lines(cursor, table_of(kind).copy_new, rows)
        copy_lines(
            cursor,
            "COPY crawl.target (job_id, source, kind, key, state, attempts, rows, capture_sha256, done_at,"
            " run_id) FROM STDIN",
            [
                f"{DOCUMENTS}\trecorder\tdocument\t{key}\tdone\t1\t{rows}\t\\\\x{sha256.hex()}\t{_AT}"
                f"\t{DOCUMENTS}"
                for key, rows, sha256 in targets
            ],
        )
    connection.commit()
    connection.close()


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch
