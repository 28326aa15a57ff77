"""What is stored, as a person would read it in a terminal."""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from psycopg2.extensions import cursor as Cursor
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.identifiers import format_apn
from maricopa_scrapy.manager.views import job_list
from maricopa_scrapy.store import jobs as ledger_jobs
from maricopa_scrapy.store import source
from maricopa_scrapy.store.changes import Change, Comparison
from maricopa_scrapy.store.connect import Session


def status(session: Session) -> Iterator[RenderableType]:
    """Yield the newest jobs and the size of each table."""
    jobs = ledger_jobs.newest(session)
    yield job_list(jobs)
    if not jobs:
        return
    yield ""
    if known := source.paces(session):
        yield _paces(known)
        yield ""
    stored = Table(title="Stored", title_justify="left", box=None, pad_edge=False, header_style="bold")
    stored.add_column("table")
    stored.add_column("rows", justify="right")
    for name, rows in session.transact(_sizes):
        stored.add_row(name, f"{rows:,}")
    yield stored


def _paces(known: list[source.Pace]) -> Table:
    table = Table(title="Pace", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("source")
    for name in ("rate", "its budget"):
        table.add_column(name, justify="right")
    table.add_column("runs", justify="right")
    table.add_column("now")
    for pace in known:
        budget = "not met yet" if pace.budget is None else f"about {pace.budget:.2f}/s"
        now = f"held for {pace.held:.0f} s" if pace.held else ""
        if pace.is_open:
            now = "fails; tried by single requests" + (f", {now}" if now else "")
        table.add_row(pace.source, f"{pace.rate:.2f}/s", budget, str(pace.runs), now)
    return table


def _sizes(cursor: Cursor) -> list[tuple[str, int]]:
    from maricopa_scrapy.store.verify import RECORDS

    sizes = []
    for record in RECORDS:
        cursor.execute(f"SELECT count(*) FROM {record.table}")  # noqa: S608 - a class's own table name
        (rows,) = cursor.fetchone() or (0,)
        sizes.append((record.table, rows))
    return sizes


def parcel(session: Session, apn: str) -> list[RenderableType]:
    """Return the parcel's dossier; empty when it is not stored."""

    def work(cursor: Cursor) -> tuple[list[dict[str, Any]], ...]:
        cursor.execute("SELECT * FROM public.property WHERE apn = %s", (apn,))
        found = _rows(cursor)
        cursor.execute("SELECT * FROM public.tax WHERE apn = %s AND removed_at IS NULL ORDER BY tax_year DESC", (apn,))
        taxes = _rows(cursor)
        cursor.execute("SELECT * FROM public.valuation WHERE apn = %s ORDER BY tax_year DESC", (apn,))
        values = _rows(cursor)
        cursor.execute("SELECT * FROM assessor.improvement WHERE apn = %s AND removed_at IS NULL ORDER BY improvement_number", (apn,))
        return found, taxes, values, _rows(cursor)

    found, taxes, values, improvements = session.transact(work)
    if not found and not taxes:
        return []
    parts: list[RenderableType] = [Text(f"Parcel {format_apn(apn)}", style="bold"), *map(_facts, found)]
    if values:
        parts += ["", _valuations(values)]
    if taxes:
        parts += ["", _taxes(taxes)]
    if improvements:
        parts += ["", _improvements(improvements)]
    for row in found:
        when = f"last seen {_when(row['last_seen_at'])}, last changed {_when(row['changed_at'])}"
        parts += ["", Text(f"Source: {row['source']}, {when}", style="dim")]
    return parts


def comparison(compared: Comparison, changes: Iterable[Change]) -> Iterator[RenderableType]:
    """Yield what a roll changed: how many by field, and some changes one by one."""
    if compared.before is None:
        yield f"layer {compared.layer}: the first complete roll, {_when(compared.after)}; {compared.new:,} parcels, nothing to compare with"
    else:
        yield f"layer {compared.layer}: {_when(compared.before)} to {_when(compared.after)}; {compared.new:,} new parcels"
    counts = Table(title="Changes", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("table", "field", "parcels"):
        counts.add_column(name, justify="right" if name == "parcels" else "left")
    for table, field, count in compared.fields:
        counts.add_row(table, "missing" if field == "removed_at" else field, f"{count:,}")
    yield counts if compared.fields else "no field of a parcel known before has changed"
    single = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("parcel", "field", "before", "after"):
        single.add_column(name, overflow="fold")
    for change in changes:
        single.add_row(format_apn(change.apn), change.field, Text(change.old or ""), Text(change.new or ""))
    if single.row_count:
        yield ""
        yield single


def write_changes(path: Path, changes: Iterable[Change]) -> None:
    """Write changes as CSV. Raises OSError."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("apn", "table", "field", "old", "new", "changed_at"))
        writer.writerows((c.apn, c.table, c.field, c.old, c.new, c.at.isoformat()) for c in changes)


def _rows(cursor: Cursor) -> list[dict[str, Any]]:
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _facts(row: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    owner = "withheld by the county" if row["is_redacted"] else row["ownership"]
    deed = " ".join(str(row[name]) for name in ("deed_number", "deed_type", "deed_date") if row[name])
    sale = f"{_money(row['sale_price'])}, {row['sale_date']:%B %Y}" if row["sale_price"] and row["sale_date"] else None
    pool = f"{row['pool_sqft']:,} sq ft" if row["pool_sqft"] else ("none" if row["has_pool"] is False else None)
    facts = [
        ("Address", row["property_address"]), ("Owner", owner), ("In care of", row["in_care_of"]),
        ("Mailing address", row["mailing_address"]), ("Last deed", deed), ("Last sale", sale),
        ("Type", row["property_type"]), ("Use", _coded(row["property_use_code"], row["property_use"])),
        ("Subdivision", row["subdivision_name"]), ("Lot", row["lot"]), ("Lot size", _area(row["lot_size_sqft"])),
        ("Living area", _area(row["livable_sqft"])), ("Built", row["construction_year"]), ("Pool", pool),
        ("Jurisdiction", row["jurisdiction"]), ("Section township range", row["section_township_range"]),
        ("MCR", row["mcr"]), ("Tax area", row["tax_area_code"]),
    ]  # fmt: skip
    for name, value in facts:
        if value:
            table.add_row(name, Text(str(value)))
    return table


def _valuations(values: list[dict[str, Any]]) -> Table:
    table = Table(title="Valuations", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("tax year", "full cash value", "limited value", "assessed", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("class")
    for value in values:
        ratio = value["assessment_ratio"]
        table.add_row(
            str(value["tax_year"]), _money(value["full_cash_value"]), _money(value["limited_property_value"]),
            _money(value["assessed_lpv"]), f"{ratio:.1%}" if ratio is not None else "",
            Text(_coded(value["legal_class_code"], value["legal_class"]) or ""),
        )  # fmt: skip
    return table


def _taxes(bills: list[dict[str, Any]]) -> Table:
    table = Table(
        title=f"Taxes, as of {_when(bills[0]['observed_at'])}", title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    table.add_column("tax year", justify="right")
    table.add_column("status")
    for name in ("assessed", "paid", "due"):
        table.add_column(name, justify="right")
    table.add_column("until")
    for bill in bills:
        until = f"{bill['next_due_on']:%Y-%m-%d}" if bill["next_due_on"] else ""
        table.add_row(
            str(bill["tax_year"]), Text(bill["status_text"]), *(f"${bill[name]:,.2f}" for name in ("assessed", "paid", "amount_due")),
            f"{until} (delinquent)".strip() if bill["is_delinquent"] else until,
        )  # fmt: skip
    return table


def _improvements(improvements: list[dict[str, Any]]) -> Table:
    table = Table(title="Improvements", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("number", "what", "area"):
        table.add_column(name, justify="right" if name == "area" else "left")
    for row in improvements:
        table.add_row(row["improvement_number"], Text(row["description"] or ""), _area(row["square_feet"]) or "")
    return table


def _money(dollars: int | None) -> str:
    return "" if dollars is None else f"${dollars:,}"


def _area(square_feet: int | None) -> str | None:
    return f"{square_feet:,} sq ft" if square_feet else None


def _coded(code: str | None, text: str | None) -> str | None:
    return " ".join(part for part in (code, text) if part) or None


def _when(moment: dt.datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"
