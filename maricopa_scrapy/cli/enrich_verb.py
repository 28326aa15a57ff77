"""`maricopa enrich`: a person's own table, with what is stored of its parcels next to each row."""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maricopa_scrapy.cli.terminal import database, errors, fail, mistakes

if TYPE_CHECKING:
    from maricopa_scrapy.arguments.list_table import TableRow

_ROWS_MOST = 1_048_575


def enrich(
    file: Annotated[Path, typer.Argument(help="a table with parcels: CSV, text, .xlsx, .gz, .zip")],
    to: Annotated[Path, typer.Option(help="the file to write: .csv or .xlsx")],
    add: Annotated[
        str, typer.Option(help="columns to add, separated by commas (docs/lists.md has them all)")
    ] = "owner,mailing_address,amount_due",
    apn_column: Annotated[
        str | None, typer.Option(help="the column that holds the parcels: its heading, or its number")
    ] = None,
) -> None:
    """Copy a table of your own, with columns of what is stored of its parcels behind yours.

    Every row stays, in its order, with all its columns. Behind them come those asked for, who told them and
    when, the parcel in its stored form, and a note: why a row has no parcel, or that nothing is stored of it.

    Example: maricopa enrich leads.csv --apn-column PARCEL --add owner,amount_due --to leads-enriched.xlsx
    """
    from maricopa_scrapy.arguments.list_table import ApnTable
    from maricopa_scrapy.records import enrich as joining

    names = [name.strip() for name in add.split(",") if name.strip()]
    if wrong := [name for name in names if name not in joining.COLUMNS]:
        raise fail(f"--add: there is no {', '.join(wrong)}; there are {', '.join(sorted(joining.COLUMNS))}")
    if to.suffix.lower() not in (".csv", ".xlsx"):
        raise fail(f"--to {to}: the name ends in .csv or .xlsx")
    counts = {"rows": 0, "without": 0, "unknown": 0}
    with mistakes(), database() as session:
        table = ApnTable("file", str(file), apn_column)
        supply = table.rows()
        first = next(supply, None)
        given = chain([first] if first is not None else [], supply)
        width = max(len(table.heading), len(first.cells) if first is not None else 0)
        heading = [name or f"column {at}" for at, name in _numbered(table.heading, width)]
        head = [*heading, *joining.added_names(heading, names)]
        rows = _counted(joining.enriched(session, _padded(given, width), names), counts)
        try:
            _write(to, head, width, rows)
        except OSError as error:
            raise fail(f"--to {to}: {error.strerror or error}") from None
    errors.print(
        f"{to}: {counts['rows']:,} rows, {counts['without']:,} without a parcel, {counts['unknown']:,} of"
        " whose parcel nothing is stored; the column note says why",
    )


def _numbered(heading: Sequence[str], width: int) -> Iterator[tuple[int, str]]:
    padded = [*heading, *[""] * (width - len(heading))]
    return enumerate(padded, start=1)


def _padded(rows: "Iterable[TableRow]", width: int) -> Iterator[tuple[list[str], str | None, str | None]]:
    """Yield rows of one width; a row that has more cells than the heading keeps the rest in its last cell."""
    for row in rows:
        cells = row.cells
        if len(cells) > width:
            cells = [*cells[: width - 1], ",".join(cells[width - 1 :])]
        yield [*cells, *[""] * (width - len(cells))], row.apn, row.reason


def _counted(rows: Iterable[list[Any]], counts: dict[str, int]) -> Iterator[list[Any]]:
    from maricopa_scrapy.records import enrich as joining

    for row in rows:
        counts["rows"] += 1
        counts["without"] += row[-2] is None
        counts["unknown"] += row[-1] == joining.UNKNOWN
        yield row


def _write(to: Path, head: Sequence[str], width: int, rows: Iterable[list[Any]]) -> None:
    """Write the table. Cells that came are as they came; of those that are added a spreadsheet runs none."""
    from maricopa_scrapy.machine.output_file import new_file
    from maricopa_scrapy.records.export.text import cell, defused

    if to.suffix.lower() == ".csv":
        with new_file(to) as file:
            writer = csv.writer(file)
            writer.writerow(head)
            for row in rows:
                writer.writerow([*row[:width], *(defused(cell(value)) for value in row[width:])])
        return
    _write_workbook(to, head, width, rows)


def _write_workbook(to: Path, head: Sequence[str], width: int, rows: Iterable[list[Any]]) -> None:
    import xlsxwriter

    from maricopa_scrapy.machine.output_file import new_file
    from maricopa_scrapy.records.export.text import cell

    with new_file(to, "wb") as file:
        book = xlsxwriter.Workbook(file, {"constant_memory": True, "use_zip64": True})
        bold, date = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
        money = book.add_format({"num_format": "$#,##0.00"})
        sheet = book.add_worksheet("parcels")
        sheet.freeze_panes(1, 0)
        for at, name in enumerate(head):
            sheet.set_column(at, at, 12 if at < width else 20)
            sheet.write_string(0, at, name, bold)
        for number, row in enumerate(rows, start=1):
            if number > _ROWS_MOST:
                raise fail(f"--to {to}: Excel holds {_ROWS_MOST:,} rows, the table has more; take .csv")
            for at, value in enumerate(row):
                if value is None or value == "":
                    continue
                if isinstance(value, bool):
                    sheet.write_boolean(number, at, value)
                elif isinstance(value, Decimal):
                    sheet.write_number(number, at, value, money)
                elif isinstance(value, int | float):
                    sheet.write_number(number, at, value)
                elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
                    sheet.write_datetime(number, at, value, date)
                else:
                    sheet.write_string(number, at, str(cell(value)))
        book.close()
