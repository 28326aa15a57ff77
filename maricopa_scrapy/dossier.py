"""What is stored, as a person would read it in a terminal."""

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

from psycopg2.extensions import cursor as Cursor
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.export.text import Rows, cell
from maricopa_scrapy.identifiers import format_apn
from maricopa_scrapy.manager.views import JobList
from maricopa_scrapy.new_file import new_file
from maricopa_scrapy.sections import SECTIONS, origin
from maricopa_scrapy.store import jobs as ledger_jobs
from maricopa_scrapy.store import source
from maricopa_scrapy.store.connect import Session
from maricopa_scrapy.store.diff import Change, Comparison


def status(session: Session) -> Iterator[RenderableType]:
    """Yield the newest jobs and the size of each table."""
    jobs = ledger_jobs.newest(session)
    yield JobList(jobs)
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
    from maricopa_scrapy.store.tables import RECORDS

    sizes = []
    for record in RECORDS:
        cursor.execute(f"SELECT count(*) FROM {record.table}")  # noqa: S608 - a class's own table name
        (rows,) = cursor.fetchone() or (0,)
        sizes.append((record.table, rows))
    return sizes


def parcel(session: Session, apn: str) -> list[RenderableType]:
    """Return the parcel's dossier, section by section; empty when nothing of it is stored."""
    shown = session.transact(lambda cursor: [(section.title, part) for section in SECTIONS if (part := section.read(cursor, apn))])
    parts: list[RenderableType] = [Text(f"Parcel {format_apn(apn)}", style="bold")] if shown else []
    for title, part in shown:
        parts += ["", Text.assemble((title, "bold"), (f"  {origin(part)}", "dim")), part.content]
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
    with new_file(path) as file:
        rows = Rows(file, ("apn", "table", "field", "old", "new", "changed_at"))
        for c in changes:
            rows.write((c.apn, c.table, c.field, c.old, c.new, cell(c.at)))


def _when(moment: dt.datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"
