"""The verbs of `maricopa` that show the ledger, and tidy it: jobs, status, report, cleanup."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maricopa_scrapy.cli.terminal import database, fail, mistakes, out
from maricopa_scrapy.machine import progress_line

if TYPE_CHECKING:
    from maricopa_scrapy.database.connect import Session

Job = Annotated[int, typer.Argument(help="a job's number, as `maricopa jobs` shows it")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON, the schema of docs/manager.md")]


def jobs(
    limit: Annotated[int, typer.Option(min=1, help="how many, the newest first")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="a line of JSON a job")] = False,
) -> None:
    """List the newest jobs.

    Example: maricopa jobs --limit 5
    """
    from maricopa_scrapy.jobs import display
    from maricopa_scrapy.jobs import terminal_views as views
    from maricopa_scrapy.ledger import jobs as ledger_jobs
    from maricopa_scrapy.ledger import progress

    with database() as session:
        progress_line.doing("counting the targets of the newest jobs")
        found = ledger_jobs.newest(session, limit)
        if not as_json:
            out.print(views.JobList(found))
            return
        for job in found:
            display.print_json(out, progress.read(session, job["id"]))


def status(
    job: Annotated[
        int | None, typer.Argument(help="a job's number; without one, the newest jobs and what is stored")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="until the job ends")] = False,
    as_json: AsJson = False,
) -> None:
    """How a job stands, or all of them and what is stored. It reads the ledger alone, wherever the job runs.

    Example: maricopa status 12 --watch
    """
    from maricopa_scrapy.jobs import display
    from maricopa_scrapy.jobs import terminal_views as views
    from maricopa_scrapy.jobs.overview import status as dossier_status
    from maricopa_scrapy.ledger import progress

    with database() as session:
        if job is None:
            if watch or as_json:
                raise fail("--watch and --json are about one job: give its number")
            for part in dossier_status(session):
                out.print(part)
            return
        if watch:
            with contextlib.suppress(KeyboardInterrupt), display.Display(out, as_json) as shown:
                display.watch(session, job, shown)
            return
        progress_line.doing(f"counting the targets of job {job}")
        found = progress.read(session, job)
        if as_json:
            display.print_json(out, found)
        else:
            out.print(views.live(found))
            show_refresh(session, job)


def report(
    job: Job,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            help=(
                "write a page with charts: a file, a folder (report-JOB.html in it), or - for standard output"
            ),
        ),
    ] = None,
) -> None:
    """What became of a job: counts, pace and response times by source, what was given up and why, and issues.

    The page also has rates over time, what changed, and examples. It needs no network, and may be sent to
    others as it is: one file.

    Example: maricopa report 12
    Example: maricopa report 12 --html report.html
    """
    with database() as session:
        progress_line.doing(f"reading what became of job {job}")
        if html is None:
            show_report(session, job)
            return
        from maricopa_scrapy.jobs import report_page
        from maricopa_scrapy.records import job_report as reporting

        page = report_page.render(reporting.read(session, job))
    if str(html) == "-":
        sys.stdout.write(page)
        return
    from maricopa_scrapy.machine.output_file import new_file, refuse_link

    file = html
    try:
        refuse_link(html)
        file = html / f"report-{job}.html" if html.is_dir() else html
        # The report before may be replaced: it is asked for at any time of a job.
        with new_file(file, ours=report_page.MARK) as opened:
            opened.write(page)
    except OSError as error:
        raise fail(f"--html {file}: {error.strerror}") from None
    out.print(f"{file}: open it in a browser", markup=False, soft_wrap=True)


def cleanup(
    older_than: Annotated[
        str, typer.Option(help="jobs that ended longer ago than this, such as 90d")
    ] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be removed")] = False,
) -> None:
    """Remove old jobs from the ledger. What stored rows rest on stays, and so do the rows.

    Example: maricopa cleanup --older-than 90d --dry-run
    """
    from maricopa_scrapy.arguments import spider_arguments
    from maricopa_scrapy.ledger import cleanup as cleaning

    with mistakes(), database() as session:
        progress_line.doing("looking for old jobs" if dry_run else "removing old jobs")
        removed = cleaning.cleanup(session, spider_arguments.age("older_than", older_than), dry_run)
        word = "would be removed" if dry_run else "removed"
        out.print(
            f"{word}: {removed.jobs:,} jobs, {removed.targets:,} targets, {removed.captures:,} captures"
        )
        if removed.kept:
            out.print(f"kept: {removed.kept:,} old jobs, of which stored rows are the newest word, or rolls")


def show_refresh(session: "Session", job: int) -> None:
    """Print what a refresh decided, and how its sample proves it; nothing for another job."""
    from maricopa_scrapy.jobs import terminal_views as views
    from maricopa_scrapy.records.refresh import outcome

    for part in views.proofs(outcome(session, job)):
        out.print(part)


def show_report(session: "Session", job: int) -> None:
    from maricopa_scrapy.jobs import terminal_views as views
    from maricopa_scrapy.ledger import progress, statistics

    for part in views.report(
        progress.read(session, job), statistics.read(session, job), statistics.issues(session, job)
    ):
        out.print(part)
    show_refresh(session, job)
