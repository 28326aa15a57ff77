"""The verbs of `maricopa` that look after what is stored: is it right, what changed, what was it read
from.
"""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from maricopa_scrapy.cli.terminal import (
    database,
    errors,
    fail,
    moment,
    out,
    print_lines,
    settings,
    write_rows,
)
from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.records.change_queries import QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maricopa_scrapy.cli.doctor import Finding
    from maricopa_scrapy.database.connect import Session

app = typer.Typer()

Job = Annotated[int | None, typer.Argument(help="a job's number; all jobs without")]


def _check_job(session: "Session", job: int | None) -> None:
    from maricopa_scrapy.ledger import ledger

    if job is not None:
        try:
            ledger.check_job(session, job)
        except ledger.LedgerError as error:
            raise fail(str(error)) from None


@app.command("verify")
def verify_(
    job: Job = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="the ledger, leases, rolls and floors alone, in seconds: for every day"),
    ] = False,
) -> None:
    """Check that the database agrees with itself, and is what healthy runs leave; exit code 1 when it is not.

    Each problem is named with table, key and remedy: targets that are not accounted for, leases of runs that
    are gone, rows without a capture or altered since they were stored, changes that no run made, jobs below
    their source's floors. Sections of answers that could not be read are told as well; they are no problem of
    the database, and do not change the exit code.

    Example: maricopa verify 12
    Example: maricopa verify --quick
    """
    from maricopa_scrapy.records import verify

    _, manifests = settings()
    with database() as opened:
        _check_job(opened, job)
        floors = {source: manifest.floors for source, manifest in manifests.items()}
        found = verify.check(opened, job, floors, quick)
        unread = verify.unread(opened, job)
    for line in unread:
        out.print(f"unread: {line}", markup=False, soft_wrap=True)
    for problem in found:
        out.print(f"{problem.table}: {problem.key}: {problem.message}", markup=False, soft_wrap=True)
        out.print(f"    {problem.remedy}", markup=False, soft_wrap=True, style="dim")
    if found:
        raise typer.Exit(1)
    if quick:
        out.print("the ledger agrees; rows were not read (`maricopa verify` reads them)")
        return
    out.print(
        "all agrees: every accepted target is there, every finished one has its rows, every row its capture"
        " and its hash"
    )


@app.command("changes")
def changes_(
    since: Annotated[
        str,
        typer.Option(
            help="a day (it begins in Phoenix), a moment such as 2026-11-01T12:00:00Z, or 7d: seven days ago"
        ),
    ],
    until: Annotated[str | None, typer.Option(help="the same; now without")] = None,
    table: Annotated[str | None, typer.Option(help="of this table only, such as assessor.owner")] = None,
    query: Annotated[str | None, typer.Option(help=f"a question: {', '.join(QUERIES)}")] = None,
    format_: Annotated[str, typer.Option("--format", help="csv or jsonl")] = "csv",
    to: Annotated[Path | None, typer.Option(help="write to this file")] = None,
) -> None:
    """What changed since a day: every field with its old and its new value, or the answer to a question.

    Rows are written as they are read, oldest first, however many they are.

    Example: maricopa changes --since 2026-11-01 --query new-owner --format jsonl
    """
    from maricopa_scrapy.database.tables import RECORDS
    from maricopa_scrapy.records import changes

    begin, end = (
        moment("--since", since),
        dt.datetime.now(dt.UTC) if until is None else moment("--until", until),
    )
    if table is not None and query is not None:
        raise fail("--table and --query: give one of them")
    if query is not None and query not in QUERIES:
        raise fail(f"--query {query}: there is {', '.join(QUERIES)}")
    if table is not None and table not in (names := [record.table for record in RECORDS]):
        raise fail(f"--table {table}: there is {', '.join(names)}")
    with database() as opened:
        if query is None:
            count = write_rows(to, format_, changes.COLUMNS, changes.changes(opened, begin, end, table))
        else:
            asked = QUERIES[query]
            if missing := changes.lacking(opened, asked):
                raise fail(
                    f"--query {query} needs {', '.join(missing)}, which this version does not collect;"
                    f" `scrapy crawl {asked.spider}`"
                )
            count = write_rows(to, format_, asked.columns, changes.answers(opened, asked, begin, end))
    if not count:
        errors.print(f"nothing of that changed from {_utc(begin)} to {_utc(end)} UTC")


def _utc(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M}"


@app.command()
def reparse(
    source: Annotated[str, typer.Option(help="whose captures: assessor, gis, ...")],
    job: Annotated[int | None, typer.Option(help="of this job only")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what differs, and store nothing")] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="how many differences and failures to show one by one")
    ] = 20,
) -> None:
    """Read the stored captures again with today's parser: what differs from the stored rows, field by field,
    is shown and stored.

    Rows that a later answer changed are left as they are. Corrections are changes like any other, of a run
    named reparse. Exit code 1 when a capture cannot be read any more.

    Example: maricopa reparse --source assessor --job 12 --dry-run
    """
    from maricopa_scrapy.crawl import reparse as again
    from maricopa_scrapy.crawl.ledger_spider import StartError
    from maricopa_scrapy.ledger import ledger

    _, manifests = settings()
    known = again.registry()
    if source in manifests and source not in known:
        raise fail(
            f"--source {source}: its rows are read from files, of which no captures are kept: load the file"
            " again"
        )
    if source not in known:
        raise fail(f"--source {source}: there is {', '.join(sorted(known))}")
    with database() as opened:
        _check_job(opened, job)
        try:
            report = again.Reparse(opened, manifests, source, job, dry_run, limit).run()
        except (ledger.LedgerError, StartError) as error:
            raise fail(str(error)) from None
    for part in again.shown(report, dry_run):
        out.print(part)
    if report.failed:
        raise typer.Exit(1)


@app.command("issues")
def issues_(
    job: Job = None, as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False
) -> None:
    """What a person must look at: surprises, each once, with how often and when, and an example to open.

    Example: maricopa issues 12
    """
    from maricopa_scrapy.ledger import issues

    with database() as opened:
        _check_job(opened, job)
        found = issues.known(opened, job)
    if as_json:
        print_lines(map(dataclasses.asdict, found))
        return
    for issue in found:
        often = f"{issue.count:,} times" + (f" in {issue.jobs:,} jobs" if issue.jobs > 1 else "")
        when = f"{issue.first_at:%Y-%m-%d %H:%M} to {issue.last_at:%Y-%m-%d %H:%M} UTC"
        out.print(
            Text.assemble((f"{issue.source} {issue.kind}", "bold"), f": {issue.message}"), soft_wrap=True
        )
        out.print(Text(f"    {often}, {when}; the newest: job {issue.job}, {issue.target}"), soft_wrap=True)
        if issue.url or issue.capture:
            kept = (
                f"capture {issue.capture}" + ("" if issue.has_body else " (its body is not kept)")
                if issue.capture
                else ""
            )
            out.print(Text(f"    {'  '.join(filter(None, (issue.url, kept)))}", style="dim"), soft_wrap=True)
    if not found:
        out.print("nothing to look at")


@app.command()
def doctor(
    on: Annotated[
        list[str] | None,
        typer.Option("--on", envvar="MARICOPA_NODES", help="a scrapyd node; may be given several times"),
    ] = None,
) -> None:
    """Is all that a crawl needs ready here: settings, token, browser, database, scrapyd? Exit code 1 when
    something is not.

    No host of the county is asked.

    Example: maricopa doctor
    """
    from maricopa_scrapy.cli.doctor import findings

    with progress_line.shown():
        is_well = _told(findings(on or []))
    if not is_well:
        raise typer.Exit(1)


def _told(found: "Iterable[Finding]") -> bool:
    is_well = True
    for one in found:
        is_well &= one.is_well
        mark = ("ok      ", "green") if one.is_well else ("problem ", "bold red")
        out.print(Text.assemble(mark, (f"{one.what}: ", "bold"), one.says), soft_wrap=True)
        if one.remedy:
            out.print(Text(f"        {one.remedy}"), soft_wrap=True)
    return is_well


@app.command("captures")
def captures_(
    warc: Annotated[
        Path | None, typer.Option(help="write the kept answers to this WARC file (.warc, or .warc.gz)")
    ] = None,
    source: Annotated[str | None, typer.Option(help="of this source only")] = None,
    job: Annotated[int | None, typer.Option(help="of this job only")] = None,
    with_withheld: Annotated[
        bool,
        typer.Option(
            "--with-withheld",
            help="also answers about parcels whose owner the county withholds, as they came",
        ),
    ] = False,
) -> None:
    """The raw answers: how many are kept of each source, and how big they are; or all of them as a web
    archive.

    Example: maricopa captures --warc tax.warc.gz --source treasurer
    """
    from rich.table import Table

    from maricopa_scrapy.database import captures

    _, manifests = settings()
    if source is not None and source not in manifests:
        raise fail(f"--source {source}: there is {', '.join(manifests)}")
    with database() as opened:
        _check_job(opened, job)
        if warc is not None:
            from maricopa_scrapy.records.web_archive import told, write

            left_out: list[str] = []
            apns, documents = (
                (frozenset[str](), frozenset[str]()) if with_withheld else captures.withheld(opened)
            )
            try:
                kept = progress_line.counted(captures.bodies(opened, source, job), "writing answers")
                count = write(warc, told(kept, apns, documents, left_out))
            except OSError as error:
                raise fail(f"--warc {warc}: {error.strerror}") from None
            out.print(f"{count:,} records in {warc}", markup=False, soft_wrap=True)
            if left_out:
                out.print(
                    f"{len(left_out):,} answers are left out: they tell of a parcel whose owner is withheld"
                    " (--with-withheld)"
                )
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in (
            "source",
            "policy",
            "answers",
            "kept",
            "pruned",
            "MB",
            "MB stored",
            "from",
            "to",
            "without",
        ):
            table.add_column(
                name, justify="right" if name in ("answers", "kept", "pruned", "MB", "MB stored") else "left"
            )
        for one in captures.kept(opened):
            policy = manifests[one.source].captures if one.source in manifests else ""
            table.add_row(
                one.source,
                policy,
                f"{one.answers:,}",
                f"{one.bodies:,}",
                f"{one.pruned:,}",
                f"{one.size / 1e6:,.1f}",
                f"{one.stored / 1e6:,.1f}",
                f"{one.first_at:%Y-%m-%d}",
                f"{one.last_at:%Y-%m-%d}",
                one.left_out,
            )
    out.print(table if table.row_count else "no answer is stored yet")


@app.command("export")
def export_(
    to: Annotated[
        Path, typer.Option(help="a folder; the export is a new folder in it, named by job and time")
    ],
    job: Annotated[
        int | None, typer.Option(help="what belongs to this job's parcels and documents; everything without")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="csv, xlsx, parquet, geojson or sqlite")] = "csv",
) -> None:
    """Take the records away as files: properties, valuations, taxes, sales, documents, and a summary.
    Columns: docs/export.md.

    The folder's name ends in .part until all is in it; nothing is overwritten.

    Example: maricopa export --job 12 --to results/
    Example: maricopa export --to results/ --format parquet
    """
    from maricopa_scrapy.records.export.export import FORMATS, export
    from maricopa_scrapy.records.export.writers import ExportError

    if format_ not in FORMATS:
        raise fail(f"--format {format_}: there is {', '.join(FORMATS)}")
    with database() as opened:
        _check_job(opened, job)
        try:
            done = export(opened, to, format_, job, dt.datetime.now(dt.UTC))
        except ExportError as error:
            raise fail(str(error)) from None
        except OSError as error:
            raise fail(f"--to {to}: {error.strerror or error}") from None
    rows = ", ".join(f"{count:,} {name}" for name, count in done.counts.items())
    out.print(
        f"{done.folder}: {rows}" + (f"; job {job} is {done.outcome}" if job is not None else ""),
        markup=False,
        soft_wrap=True,
    )


@app.command()
def prune(
    older_than: Annotated[
        str | None, typer.Option(help="answers that came longer ago than this, such as 90d")
    ] = None,
    unreferenced: Annotated[
        bool, typer.Option("--unreferenced", help="answers that no target and no issue refers to")
    ] = False,
    source: Annotated[str | None, typer.Option(help="of this source only")] = None,
    even_present: Annotated[
        bool,
        typer.Option("--even-present", help="also those from which the present values of a row were read"),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would go, and take nothing away")
    ] = False,
) -> None:
    """Take away bodies of old answers, to make room. Address, date, status and digest of each stay.

    Those from which a row's present values were read stay too, unless --even-present: without them `maricopa
    reparse` cannot read again.

    Example: maricopa prune --older-than 180d --source assessor --dry-run
    """
    from maricopa_scrapy.arguments import spider_arguments
    from maricopa_scrapy.arguments.spider_arguments import ArgumentError
    from maricopa_scrapy.database import captures

    if older_than is None and not unreferenced:
        raise fail("give --older-than, such as 90d, or --unreferenced")
    try:
        before = (
            None
            if older_than is None
            else dt.datetime.now(dt.UTC) - spider_arguments.age("older_than", older_than)
        )
    except ArgumentError as error:
        raise fail(str(error)) from None
    with database() as opened:
        progress_line.doing("looking for old answers" if dry_run else "taking old answers away")
        count, size = captures.prune(opened, before, source, unreferenced, even_present, dry_run)
    will = "would go" if dry_run else "are gone; Postgres uses their room again"
    out.print(f"{count:,} bodies, {size / 1e6:,.1f} MB, {will}")
