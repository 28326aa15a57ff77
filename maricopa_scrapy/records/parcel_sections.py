"""The sections of a parcel's dossier. Each reads what is stored, and says whose word that is and how old.

A section is a function from (cursor, APN) to a Part, None when nothing is stored for it, and a line in
SECTIONS.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import cursor as Cursor
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.database.rows import dicts
from maricopa_scrapy.records.refresh import left_out
from maricopa_scrapy.records.refresh_rules import RULES

_PHOENIX = ZoneInfo("America/Phoenix")
_TITLES = {
    "assessor": "assessor's API", "assessor_page": "assessor's public page", "gis": "county GIS",
    "treasurer": "treasurer",
    "recorder": "recorder", "recorder_legacy": "recorder's legacy pages", "bulk": "bulk files",
    "refresh": "decided",
}  # fmt: skip
# The source that each basis of `sale` is of.
_BASES = {"affidavit": "bulk", "assessor": "assessor", "gis": "gis"}
_SEEN = (
    "SELECT max(done_at) FROM crawl.target WHERE state = 'done' AND source = %s AND kind = 'parcel' AND key"
    " = %s"
)
_SEEN_BY_GIS = """
    SELECT greatest(g.changed_at, (
        SELECT max(r.finished_at) FROM gis.roll r
        WHERE r.state = 'complete' AND r.finished_at >= g.first_seen_at
          AND (g.removed_at IS NULL OR r.finished_at < g.removed_at)
          AND NOT EXISTS (SELECT FROM gis.not_in_layer n WHERE n.layer = r.layer AND n.apn = g.apn)
    )) FROM gis.parcel g WHERE g.apn = %s
"""

# Each source's word for itself, newest first: a sale that several tell stands in several rows.
_SALES = """
    SELECT * FROM public.sale WHERE apn = %s
    ORDER BY coalesce(sale_month, to_char(deed_date, 'YYYY-MM')) DESC NULLS LAST, deed_number, basis,
        occurrence
"""

_DOCUMENTS = (
    "SELECT * FROM public.document WHERE apn = %s ORDER BY recording_date DESC NULLS LAST, recording_number"
    " DESC LIMIT 50"
)


@dataclass(frozen=True, slots=True)
class Part:
    """What a section shows: its content, whose word it is (names of sources, with commas), and when the
    county last said so.
    """

    content: RenderableType
    source: str
    seen_at: dt.datetime | None
    changed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and what reads the section."""

    title: str
    read: Callable[[Cursor, str], Part | None]


def origin(part: Part) -> str:
    """Return the line about a part's source and age."""
    names = " and ".join(_TITLES.get(name, name) for name in part.source.split(", "))
    changed = f", last changed {part.changed_at:%Y-%m-%d}" if part.changed_at else ""
    if part.seen_at is None:
        return f"{names}{changed}"
    return f"{names}, {_age(part.seen_at)} ({part.seen_at:%Y-%m-%d %H:%M} UTC){changed}"


def _age(moment: dt.datetime) -> str:
    seconds = (dt.datetime.now(dt.UTC) - moment).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (count := int(seconds // length)) > 0:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _rows(cursor: Cursor, statement: str, *values: Any) -> list[dict[str, Any]]:
    cursor.execute(statement, values)
    return dicts(cursor)


def _moment(cursor: Cursor, statement: str, *values: Any) -> dt.datetime | None:
    cursor.execute(statement, values)
    row: tuple[dt.datetime | None, ...] = cursor.fetchone() or (None,)
    return row[0]


def _property(cursor: Cursor, apn: str) -> dict[str, Any] | None:
    found = _rows(cursor, "SELECT * FROM public.property WHERE apn = %s", apn)
    return found[0] if found else None


def _of_property(
    cursor: Cursor, apn: str, facts: Callable[[dict[str, Any]], list[tuple[str, Any]]], is_on_page: bool
) -> Part | None:
    """Return a part of `property`; where page and GIS make up its row, one of the two tells the section."""
    row = _property(cursor, apn)
    table = None if row is None else _facts(facts(row))
    if row is None or table is None:
        return None
    source, seen_at = row["source"], row["last_seen_at"]
    if source == "assessor_page, gis":
        source = "assessor_page" if is_on_page else "gis"
        seen_at = seen_at if is_on_page else _moment(cursor, _SEEN_BY_GIS, apn)
    return Part(table, source, seen_at, row["changed_at"])


def _parcel(cursor: Cursor, apn: str) -> Part | None:
    row = _property(cursor, apn)
    table = None if row is None else _facts([
        ("Address", row["property_address"]), ("Description", row["property_description"]),
        ("Type", row["property_type"]), ("Use", _coded(row["property_use_code"], row["property_use"])),
        ("Subdivision", row["subdivision_name"]), ("Lot", row["lot"]), ("Lot size",
        _area(row["lot_size_sqft"])),
        ("Jurisdiction", row["jurisdiction"]), ("Section township range", row["section_township_range"]),
        ("MCR", row["mcr"]), ("Tax area", row["tax_area_code"]),
        ("Removed",
        f"the county's roll has it no more: marked "
        f"{row['removed_at']:%Y-%m-%d}" if row["removed_at"] else None),
    ])  # fmt: skip
    return Part(table, row["source"], row["last_seen_at"], row["changed_at"]) if row and table else None


def _owner(cursor: Cursor, apn: str) -> Part | None:
    return _of_property(cursor, apn, _owner_facts, is_on_page=True)


def _owner_facts(row: dict[str, Any]) -> list[tuple[str, Any]]:
    deed = " ".join(str(row[name]) for name in ("deed_number", "deed_type", "deed_date") if row[name])
    month = row["sale_month"] and f"{dt.date.fromisoformat(row['sale_month'] + '-01'):%B %Y}"
    sale = f"{_money(row['sale_price'])}, {month}" if row["sale_price"] and month else None
    return [
        ("Owner", row["ownership"]),
        ("In care of", row["in_care_of"]),
        ("Mailing address", row["mailing_address"]),
        ("Last deed", deed),
        ("Last sale", sale),
    ]


def _residence(cursor: Cursor, apn: str) -> Part | None:
    return _of_property(cursor, apn, _residence_facts, is_on_page=False)


def _residence_facts(row: dict[str, Any]) -> list[tuple[str, Any]]:
    pool = (
        f"{row['pool_sqft']:,} sq ft" if row["pool_sqft"] else ("none" if row["has_pool"] is False else None)
    )
    return [
        ("Living area", _area(row["livable_sqft"])),
        ("Built", row["construction_year"]),
        ("Pool", pool),
        ("Bath fixtures", row["bath_fixtures"]),
        ("Garage", row["garages"]),
        ("Carport", row["carports"]),
    ]


def _values(cursor: Cursor, apn: str) -> Part | None:
    values = _rows(cursor, "SELECT * FROM public.valuation WHERE apn = %s ORDER BY tax_year DESC", apn)
    if values:
        return Part(
            _valuations(values),
            "assessor",
            _moment(cursor, _SEEN, "assessor", apn),
            max(row["changed_at"] for row in values),
        )
    row = _property(cursor, apn)
    if row is None or (row["full_cash_value"] is None and row["limited_property_value"] is None):
        return None
    only = row | {"assessed_lpv": None, "assessment_ratio": None}
    return Part(_valuations([only]), "gis", _moment(cursor, _SEEN_BY_GIS, apn), row["changed_at"])


def _improvements(cursor: Cursor, apn: str) -> Part | None:
    statement = (
        "SELECT * FROM assessor.improvement WHERE apn = %s AND removed_at IS NULL ORDER BY improvement_number"
    )
    rows = _rows(cursor, statement, apn)
    if not rows:
        return None
    return Part(
        _buildings(rows),
        "assessor",
        _moment(cursor, _SEEN, "assessor", apn),
        max(row["changed_at"] for row in rows),
    )


def _taxes(cursor: Cursor, apn: str) -> Part | None:
    bills = _rows(
        cursor, "SELECT * FROM public.tax WHERE apn = %s AND removed_at IS NULL ORDER BY tax_year DESC", apn
    )
    return Part(_bills(bills), "treasurer", bills[0]["observed_at"]) if bills else None


def _sales(cursor: Cursor, apn: str) -> Part | None:
    sales = _rows(cursor, _SALES, apn)
    return (
        Part(_sold(sales), ", ".join(dict.fromkeys(_BASES[sale["basis"]] for sale in sales)), None)
        if sales
        else None
    )


def _documents(cursor: Cursor, apn: str) -> Part | None:
    rows = _rows(cursor, _DOCUMENTS, apn)
    return Part(_recorded(rows), ", ".join(sorted({row["source"] for row in rows})), None) if rows else None


def _not_asked(cursor: Cursor, apn: str) -> Part | None:
    rules = left_out(cursor, apn)
    if not rules:
        return None
    lines = []
    for one in rules:
        what = _TITLES[one.source] + (f", document {one.key}" if one.source == "recorder" else "")
        since = f" since {one.asked_at:%Y-%m-%d}" if one.asked_at else ""
        due = f" (due {one.due_at.astimezone(_PHOENIX):%Y-%m-%d})" if one.due_at else ""
        lines.append(f"{what}: not asked{since}, because {RULES[one.because]}{due}")
    return Part(Text("\n".join(lines)), "refresh", max(one.decided_at for one in rules))


SECTIONS = (
    Section("Parcel", _parcel),
    Section("Owner", _owner),
    Section("Values", _values),
    Section("Residence", _residence),
    Section("Improvements", _improvements),
    Section("Taxes", _taxes),
    Section("Sales", _sales),
    Section("Documents", _documents),
    Section("Left out by the last refresh", _not_asked),
)


def _facts(facts: list[tuple[str, Any]]) -> Table | None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(name, Text(str(value)))
    return table if table.row_count else None


def _valuations(values: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("tax year", "full cash value", "limited value", "assessed", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("class")
    for value in values:
        ratio = value["assessment_ratio"]
        table.add_row(
            str(value["tax_year"] or ""),
            _money(value["full_cash_value"]),
            _money(value["limited_property_value"]),
            _money(value["assessed_lpv"]),
            f"{ratio:.1%}" if ratio is not None else "",
            Text(_coded(value["legal_class_code"], value["legal_class"]) or ""),
        )
    return table


def _bills(bills: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tax year", justify="right")
    table.add_column("status")
    for name in ("assessed", "paid", "due"):
        table.add_column(name, justify="right")
    table.add_column("until")
    for bill in bills:
        until = f"{bill['next_due_on']:%Y-%m-%d}" if bill["next_due_on"] else ""
        table.add_row(
            str(bill["tax_year"]),
            Text(bill["status_text"]),
            *(f"${bill[name]:,.2f}" for name in ("assessed", "paid", "amount_due")),
            f"{until} (delinquent)".strip() if bill["is_delinquent"] else until,
        )
    return table


def _sold(sales: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("month", "price", "deed", "seller", "buyer", "according to"):
        table.add_column(name, justify="right" if name == "price" else "left", overflow="fold")
    for sale in sales:
        deed = " ".join(str(sale[name]) for name in ("deed_number", "deed_type") if sale[name])
        said_by = sale["basis"] + (", a date in the future" if sale["is_future"] else "")
        people = (Text(sale[name] or "") for name in ("seller", "buyer"))
        table.add_row(sale["sale_month"] or "", _money(sale["sale_price"]), Text(deed), *people, said_by)
    return table


def _recorded(documents: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("number", "recorded", "codes", "names", "tied by"):
        table.add_column(name, overflow="fold")
    for row in documents:
        names = row["names"] or ["not indexed yet"]
        recorded = f"{row['recording_date']:%Y-%m-%d}" if row["recording_date"] else ""
        tie = row["basis"].replace("_", " ") + (
            "" if row["confidence"] == "exact" else f" ({row['confidence']})"
        )
        table.add_row(
            row["recording_number"],
            recorded,
            Text(", ".join(row["codes"] or ())),
            Text("; ".join(names)),
            tie,
        )
    return table


def _buildings(improvements: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("number", "what", "area"):
        table.add_column(name, justify="right" if name == "area" else "left")
    for row in improvements:
        table.add_row(
            row["improvement_number"], Text(row["description"] or ""), _area(row["square_feet"]) or ""
        )
    return table


def _money(dollars: int | None) -> str:
    return "" if dollars is None else f"${dollars:,}"


def _area(square_feet: int | None) -> str | None:
    return f"{square_feet:,} sq ft" if square_feet else None


def _coded(code: str | None, text: str | None) -> str | None:
    return " ".join(part for part in (code, text) if part) or None
