"""What is stored, as a person would read it in a terminal."""

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.machine.output_file import new_file
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.records.export.text import Rows, cell
from maricopa_scrapy.records.parcel_sections import SECTIONS, origin
from maricopa_scrapy.records.roll_diff import Change, Comparison


def parcel(session: Session, apn: str) -> list[RenderableType]:
    """Return the parcel's dossier, section by section; empty when nothing of it is stored."""
    shown = session.transact(
        lambda cursor: [(section.title, part) for section in SECTIONS if (part := section.read(cursor, apn))]
    )
    parts: list[RenderableType] = [Text(f"Parcel {format_apn(apn)}", style="bold")] if shown else []
    for title, part in shown:
        parts += ["", Text.assemble((title, "bold"), (f"  {origin(part)}", "dim")), part.content]
    return parts


def comparison(compared: Comparison, changes: Iterable[Change]) -> Iterator[RenderableType]:
    """Yield what a roll changed: how many by field, and some changes one by one."""
    if compared.before is None:
        yield (
            f"layer {compared.layer}: the first complete roll, {_when(compared.after)}; {compared.new:,}"
            " parcels, nothing to compare with"
        )
    else:
        yield (
            f"layer {compared.layer}: {_when(compared.before)} to {_when(compared.after)}; {compared.new:,}"
            " new parcels"
        )
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
