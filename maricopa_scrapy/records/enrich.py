"""A person's own table with what is stored of its parcels: `maricopa enrich`."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session

# A value, who told it, and when.
_Told = tuple[Any, str, dt.datetime | None]
# Rows that are looked up at once.
_BATCH = 2_000
# Each returns APN, who told it, when, and the columns that are asked for.
_STATEMENTS = {
    "property": """
        SELECT DISTINCT ON (apn) apn, source, coalesce(last_seen_at, changed_at), {columns}
        FROM public.property WHERE apn = ANY(%s) ORDER BY apn
    """,
    "tax": """
        SELECT apn, 'treasurer', max(observed_at), {columns}
        FROM public.tax WHERE apn = ANY(%s) AND removed_at IS NULL GROUP BY apn
    """,
    "sale": """
        SELECT DISTINCT ON (apn) apn, basis, changed_at, {columns}
        FROM public.sale WHERE apn = ANY(%s) AND NOT is_future
        ORDER BY apn, sale_month DESC NULLS LAST, basis = 'affidavit' DESC, sale_price DESC NULLS LAST
    """,
}
_PROPERTY_COLUMNS = (
    "property_address", "subdivision_name", "lot", "mcr", "section_township_range", "jurisdiction",
    "property_type",
    "property_use_code", "property_use", "lot_size_sqft", "in_care_of", "mailing_address", "deed_number",
    "deed_date", "deed_type", "tax_year", "full_cash_value", "limited_property_value", "legal_class",
    "construction_year", "livable_sqft", "has_pool", "bath_fixtures", "longitude", "latitude", "is_rental",
    "is_residential", "removed_at",
)  # fmt: skip


# What can be added to a table: the statement that has it, and how.
COLUMNS = {
    **{name: ("property", name) for name in _PROPERTY_COLUMNS},
    "owner": ("property", "ownership"),
    "amount_due": ("tax", "sum(amount_due)"),
    "is_delinquent": ("tax", "bool_or(is_delinquent)"),
    "next_due_on": ("tax", "min(next_due_on)"),
    "last_tax_year": ("tax", "max(tax_year)"),
    **{name: ("sale", name) for name in ("sale_price", "sale_month", "seller", "buyer")},
}
# Columns that every table gets behind those that were asked for.
TOLD, APN, NOTE = "told_by", "apn", "note"
UNKNOWN = "nothing is stored of this parcel"


def added_names(heading: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the headings of the added columns; one that the table has already gets `_2` behind it, and so
    on.

    >>> added_names(["PARCEL", "owner"], ["owner"])
    ['owner_2', 'told_by', 'apn', 'note']
    """
    taken = {name.casefold() for name in heading}
    found = []
    for name in (*names, TOLD, APN, NOTE):
        free, number = name, 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.casefold())
        found.append(free)
    return found


def enriched(
    session: Session,
    rows: Iterable[tuple[list[str], str | None, str | None]],
    names: Sequence[str],
    progress: Callable[[int], object] = lambda count: None,
) -> Iterator[list[Any]]:
    """Yield each row's cells with the values of `names`, who told them and when, the APN, and a note, in the
    order of `rows`: (cells, APN or None, what is wrong).

    A parcel of which nothing is stored has no values, and the note says so. `progress` gets how many rows
    are done.
    """
    supply, done = iter(rows), 0
    while batch := list(islice(supply, _BATCH)):
        apns = list({apn for _, apn, _ in batch if apn is not None})
        found = session.transact(lambda cursor, apns=apns: _look_up(cursor, apns, names))  # type: ignore[misc]
        for cells, apn, reason in batch:
            told = [found[name].get(apn) for name in names]
            is_stored = any(told)
            note = reason if apn is None or is_stored or reason else UNKNOWN
            values = [one[0] if one else None for one in told]
            yield [*cells, *values, _sources(names, told), apn, note]
        done += len(batch)
        progress(done)


def _look_up(cursor: Cursor, apns: list[str], names: Sequence[str]) -> dict[str, dict[str | None, _Told]]:
    found: dict[str, dict[str | None, _Told]] = {name: {} for name in names}
    for group, statement in _STATEMENTS.items():
        asked = [name for name in names if COLUMNS[name][0] == group]
        if not asked:
            continue
        cursor.execute(statement.format(columns=", ".join(COLUMNS[name][1] for name in asked)), (apns,))
        for apn, source, at, *values in cursor.fetchall():
            for name, value in zip(asked, values, strict=True):
                found[name][apn] = (value, source, at)
    return found


def _sources(names: Sequence[str], told: Sequence[_Told | None]) -> str | None:
    """Return who told the values and when, each source once: `assessor 2026-11-30 (owner, lot)`."""
    by: dict[str, list[str]] = {}
    for name, one in zip(names, told, strict=True):
        if one is not None:
            _, source, at = one
            by.setdefault(f"{source} {at:%Y-%m-%d}" if at else source, []).append(name)
    return "; ".join(f"{who} ({', '.join(which)})" for who, which in by.items()) or None
