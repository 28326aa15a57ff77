"""The verbs of `maricopa` that look after what is stored: is it right, what changed, what was it read from."""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from maricopa_scrapy.store import history, ledger, verify
from maricopa_scrapy.store.connect import Session
from maricopa_scrapy.store.queries import QUERIES
from maricopa_scrapy.terminal import database, fail, moment, out, settings, write_rows

app = typer.Typer()

Job = Annotated[int | None, typer.Argument(help="a job's number; all jobs without")]


def _check_job(session: Session, job: int | None) -> None:
    if job is not None:
        try:
            ledger.check_job(session, job)
        except ledger.LedgerError as error:
            raise fail(str(error)) from None


@app.command("verify")
def verify_(job: Job = None) -> None:
    """Check that the database agrees with itself, and is what healthy runs leave; exit code 1 when it is not.

    Each problem is named with table, key and remedy: targets that are not accounted for, leases of runs that are gone, rows without a
    capture or altered since they were stored, changes that no run made, jobs below their source's floors.

    Example: maricopa verify 12
    """
    _, manifests = settings()
    with database() as opened:
        _check_job(opened, job)
        found = verify.check(opened, job, {source: manifest.floors for source, manifest in manifests.items()})
    for problem in found:
        out.print(f"{problem.table}: {problem.key}: {problem.message}", markup=False, soft_wrap=True)
        out.print(f"    {problem.remedy}", markup=False, soft_wrap=True, style="dim")
    if found:
        raise typer.Exit(1)
    out.print("all agrees: every accepted target is there, every finished one has its rows, every row its capture and its hash")


@app.command()
def changes(
    since: Annotated[str, typer.Option(help="a day (it begins in Phoenix), or a moment such as 2026-11-01T12:00:00Z")],
    until: Annotated[str | None, typer.Option(help="a day or a moment; now without")] = None,
    table: Annotated[str | None, typer.Option(help="of this table only, such as assessor.owner")] = None,
    query: Annotated[str | None, typer.Option(help=f"a question: {', '.join(QUERIES)}")] = None,
    format_: Annotated[str, typer.Option("--format", help="csv or jsonl")] = "csv",
    to: Annotated[Path | None, typer.Option(help="write to this file")] = None,
) -> None:
    """What changed since a day: every field with its old and its new value, or the answer to a question.

    Rows are written as they are read, oldest first, however many they are.

    Example: maricopa changes --since 2026-11-01 --query new-owner --format jsonl
    """
    begin, end = moment("--since", since), dt.datetime.now(dt.UTC) if until is None else moment("--until", until)
    if table is not None and query is not None:
        raise fail("--table and --query: give one of them")
    if query is not None and query not in QUERIES:
        raise fail(f"--query {query}: there is {', '.join(QUERIES)}")
    if table is not None and table not in (names := [record.table for record in verify.RECORDS]):
        raise fail(f"--table {table}: there is {', '.join(names)}")
    with database() as opened:
        if query is None:
            write_rows(to, format_, history.COLUMNS, history.changes(opened, begin, end, table))
            return
        asked = QUERIES[query]
        if missing := history.lacking(opened, asked):
            raise fail(f"--query {query} needs {', '.join(missing)}, which this version does not collect; `scrapy crawl {asked.spider}`")
        write_rows(to, format_, asked.columns, history.answers(opened, asked, begin, end))
