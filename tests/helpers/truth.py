"""What a comprehensive job stored, against the sandbox's truth: assessor, treasurer, recorder and GIS."""

from collections import defaultdict
from typing import Any

import orjson

from maricopa_scrapy.database.tables import RECORDS, table_of
from maricopa_scrapy.parsing.redaction import redact
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sources.assessor.parcel import parse_parcel
from tests.conftest import Database
from tests.helpers import recorder, rolls, taxes

_ASSESSOR = """
    SELECT p.apn, p.property_address, o.ownership, o.deed_number, o.sale_price,
           ARRAY(SELECT full_cash_value FROM assessor.valuation v WHERE v.apn = p.apn ORDER BY tax_year DESC)
    FROM assessor.parcel p JOIN assessor.owner o USING (apn)
"""
_TAXED = (
    "SELECT apn FROM treasurer.account UNION SELECT apn FROM treasurer.bill UNION SELECT apn FROM"
    " treasurer.payment"
)


def wrong(
    database: Database, job: int, county: County, documents: Documents, layer: ParcelLayer, apns: list[str]
) -> list[str]:
    """Return what a job of `apns` said wrongly, a line each: rows, or a state, that are not what the county
    says.

    A target that was given up, with its cause named, has said nothing; a row of it must be right all the
    same. A section that could not be read has brought none.
    """
    states: dict[str, dict[str, str]] = defaultdict(dict)
    for source, key, state in database.rows(
        "SELECT source, key, state FROM crawl.target WHERE job_id = %s AND kind IN ('parcel', 'document')",
        job,
    ):
        states[source][key] = state
    done = {source: {key for key, state in of.items() if state == "done"} for source, of in states.items()}
    found = [
        f"{source} {key}: {states[source][key]}"
        for source in ("assessor", "treasurer")
        for key in states[source]
        if states[source][key] == ("done" if not county.exists(key) else "gone")
    ]
    found += [
        f"recorder {key}: {state}"
        for key, state in states["recorder"].items()
        if state == ("done" if documents.find(key) is None else "gone")
    ]
    unread: dict[str, list[str]] = dict(
        database.rows(
            "SELECT key, unread FROM crawl.target WHERE job_id = %s AND source = 'assessor' AND unread IS NOT"
            " NULL",
            job,
        )
    )
    found += [
        f"assessor {apn}" for apn in _of_assessor(database, county, done.get("assessor", set()), unread)
    ]
    taxed = done.get("treasurer", set()) | {apn for (apn,) in database.rows(_TAXED)}
    found += [f"treasurer {apn}" for apn in taxes.differences(database, county, sorted(taxed))]
    found += [
        f"recorder {number}" for number in _of_recorder(database, documents, done.get("recorder", set()))
    ]
    has_lists = (
        database.one(
            "SELECT count(*) FROM crawl.target WHERE job_id = %s AND source = 'gis' AND state IN ('dead',"
            " 'pending')",
            job,
        )
        == 0
    )
    return found + [f"gis {apn}" for apn in _of_gis(database, layer, set(apns), has_lists)]


def _of_assessor(
    database: Database, county: County, done: set[str], unread: dict[str, list[str]]
) -> list[str]:
    rows = {apn: tuple(values) for apn, *values in database.rows(_ASSESSOR)}
    known = _hashes(database)
    wrong = []
    for apn in sorted(done | rows.keys() | known.keys()):
        raw = county.parcel(apn) if county.exists(apn) else None
        left_out = unread.get(apn, [])
        if (
            raw is None
            or rows.get(apn) != _parcel(raw, left_out)
            or known.get(apn) != _expected(raw, apn, left_out)
        ):
            wrong.append(apn)
    return wrong


def _hashes(database: Database) -> dict[str, set[tuple[str, str]]]:
    """Return the table and hash of each row of each parcel: all columns of all of the assessor's tables."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for table in [table_of(record) for record in RECORDS if record.table.startswith("assessor.")]:
        present = "WHERE removed_at IS NULL" if table.complete_by else ""
        if "apn" in table.key:
            for apn, digest in database.rows(
                f"SELECT apn, encode(content_hash, 'hex') FROM {table.name} {present}"
            ):
                found[apn].add((table.name, digest))
    return found


def _expected(raw: dict[str, Any], apn: str, unread: list[str]) -> set[tuple[str, str]]:
    left_out = {f"assessor.{section}" for section in unread}
    records = [
        record
        for record in parse_parcel(redact(orjson.dumps(raw)), apn).records
        if record.table not in left_out
    ]
    return {(record.table, table_of(type(record)).row(record, "")[1]) for record in records}


def _parcel(raw: dict[str, Any], unread: list[str]) -> tuple[Any, ...]:
    """Return what _ASSESSOR selects, as the county says it, by other means than the parser's."""
    owner = raw["Owner"]

    def number(text: str | None) -> int | None:
        return int(text) if text and text.strip().isdigit() else None

    def text(value: str | None) -> str | None:
        said = (value or "").strip()
        return None if said in ("", "NA", "N/A") else said

    told = [] if "valuation" in unread else raw["Valuations"]
    values = sorted(((int(one["TaxYear"]), number(one["FullCashValue"])) for one in told), reverse=True)
    return (
        text(raw["PropertyAddress"]),
        text(owner["Ownership"]),
        text(owner["MostCurrentDeed"]),
        number(owner["SalePrice"]),
        [value for _, value in values],
    )


def _of_recorder(database: Database, documents: Documents, done: set[str]) -> list[str]:
    stored = recorder.stored(database)
    wrong = []
    for number in sorted(done | stored.keys()):
        facts = documents.find(number)
        if facts is None or stored.get(number) != recorder.truth(facts):
            wrong.append(number)
    return wrong


def _of_gis(database: Database, layer: ParcelLayer, apns: set[str], has_lists: bool) -> list[str]:
    stored, truth = rolls.stored(database), rolls.truth(layer)
    asked = (truth.keys() & apns if has_lists else set()) | stored.keys()
    return sorted(apn for apn in asked if stored.get(apn) != truth.get(apn))
