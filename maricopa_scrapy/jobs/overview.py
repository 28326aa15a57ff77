"""The newest jobs, the pace of each source and the size of each table, for a terminal."""

from collections.abc import Iterator

from psycopg2.extensions import cursor as Cursor
from rich.console import RenderableType
from rich.table import Table

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.terminal_views import JobList
from maricopa_scrapy.ledger import jobs as ledger_jobs
from maricopa_scrapy.ledger import source_state


def status(session: Session) -> Iterator[RenderableType]:
    """Yield the newest jobs and the size of each table."""
    jobs = ledger_jobs.newest(session)
    yield JobList(jobs)
    if not jobs:
        return
    yield ""
    if known := source_state.paces(session):
        yield _paces(known)
        yield ""
    stored = Table(title="Stored", title_justify="left", box=None, pad_edge=False, header_style="bold")
    stored.add_column("table")
    stored.add_column("rows", justify="right")
    for name, rows in session.transact(_sizes):
        stored.add_row(name, f"{rows:,}")
    yield stored


def _paces(known: list[source_state.Pace]) -> Table:
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
    from maricopa_scrapy.database.tables import RECORDS

    sizes = []
    for record in RECORDS:
        cursor.execute(f"SELECT count(*) FROM {record.table}")  # noqa: S608 - a class's own table name
        (rows,) = cursor.fetchone() or (0,)
        sizes.append((record.table, rows))
    return sizes
