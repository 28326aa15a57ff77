"""The verbs of `maricopa` that work on jobs: run, pause, resume, cancel, retry."""

import contextlib
import os
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from maricopa_scrapy.cli.ledger_verbs import AsJson, Job, show_report
from maricopa_scrapy.cli.run_options import order_of
from maricopa_scrapy.cli.terminal import database, errors, fail, mistakes, out
from maricopa_scrapy.machine import progress_line

if TYPE_CHECKING:
    from maricopa_scrapy.database.connect import Session
    from maricopa_scrapy.jobs.manager import JobManager
    from maricopa_scrapy.jobs.plan import Plan

# How long pause and cancel wait for the runs, which need 5 s at most, or 10 s when one is lost.
_END_S = 12.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

On = Annotated[
    list[str] | None,
    typer.Option(
        "--on",
        envvar="MARICOPA_NODES",
        help="a scrapyd node: http://user:password@host:6800; may be given several times",
    ),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="go on in the background; `maricopa status JOB --watch` shows it")
]


def run(
    job_type: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="property-search, comprehensive, tax, sales, validation, data-enhancement or refresh",
        ),
    ],
    apns: Annotated[
        str | None,
        typer.Option(
            help="APNs separated by commas, or a file: text, CSV, .xlsx, .gz, .zip (docs/parcel-lists.md)"
        ),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="an owner's name")] = None,
    address: Annotated[str | None, typer.Option(help="a street address")] = None,
    match: Annotated[
        str | None, typer.Option(help="any: every row that a search finds, not only those that fit")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help=(
                "api-only, scraping-only, api-then-scraping, parallel-all or intelligent; each job has its"
                " default"
            )
        ),
    ] = None,
    priority: Annotated[str, typer.Option(help="critical, high, normal or low")] = "normal",
    execution: Annotated[
        str,
        typer.Option(
            help=(
                "parallel; sequential: one request under way at each source; hybrid: as urgent as each"
                " target is"
            )
        ),
    ] = "parallel",
    older_than: Annotated[
        str | None, typer.Option(help="data-enhancement: sections older than so long, such as 30d")
    ] = None,
    sections: Annotated[
        str | None,
        typer.Option(
            help="data-enhancement: of property, gis, tax, sales; refresh: of property, tax, sales;"
            " separated by commas"
        ),
    ] = None,
    within: Annotated[
        str | None, typer.Option(help="refresh: these parcels alone, a list as for --apns")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="refresh: what the tax calendar calls due on that day, not today; with --dry-run, to"
            " look ahead",
        ),
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="leave out lines of the list that hold no APN")
    ] = False,
    apn_column: Annotated[
        str | None, typer.Option(help="the column of the list that counts: its heading, or its number")
    ] = None,
    on: On = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="NAME=VALUE", help="a Scrapy setting for every run"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan, and stop")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="do not ask whether to begin")] = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Collect: show the plan, ask, run, report. Ctrl-C pauses the job.

    Exit codes: 0 completed, 1 failed, 2 a mistake in the command, 3 completed_with_failures, 4 incomplete, 5
    blocked, 6 cancelled.

    Example: maricopa run comprehensive --apns apns.txt
    Example: maricopa run property-search --owner "ARIZONA STATE LAND DEPT" --priority high
    Example: maricopa run data-enhancement --older-than 30d --sections tax,sales -y --detach
    Example: maricopa run refresh --within apns.txt --sections tax,sales --dry-run
    """
    from maricopa_scrapy.jobs import terminal_views as views
    from maricopa_scrapy.jobs.plan import NothingToDo

    with mistakes():
        settings = settings_of(setting or [])
        order = order_of(
            {
                "job_type": job_type,
                "mode": mode,
                "apns": apns,
                "owner": owner,
                "address": address,
                "match": match,
                "priority": priority,
                "execution": execution,
                "older_than": older_than,
                "sections": sections,
                "within": within,
                "as_of": as_of,
                "skip_invalid": skip_invalid,
                "apn_column": apn_column,
            }
        )
        with manager_for(on or [], settings) as manager:
            try:
                plan = manager.plan(order)
            except NothingToDo as error:
                (errors if as_json else out).print(str(error), soft_wrap=True)
                return
            plan.parameters |= {"settings": settings} if settings else {}
            if not as_json or dry_run:
                for part in views.plan(plan):
                    (errors if as_json else out).print(part)
            if dry_run:
                return
            if not yes:
                _ask(plan, as_json)
            if detach:
                _detach(manager.write(plan), on or [], as_json)
                return
            job = manager.begin(plan)
            code = _follow(manager, job, as_json)
    raise typer.Exit(code)


def resume(
    job: Job,
    on: On = None,
    detach: Detach = False,
    as_json: AsJson = False,
    _yes: Annotated[
        bool, typer.Option("--yes", "-y", hidden=True, help="as of run: here nothing is asked")
    ] = False,
) -> None:
    """Go on with a job that is paused, interrupted, incomplete, or whose manager is gone.

    Example: maricopa resume 12
    """
    from maricopa_scrapy.ledger import jobs as ledger_jobs

    with mistakes():
        if detach:
            with database() as session:
                _circumstances(session, job, on)
                is_supervised = ledger_jobs.resume(session, job)
            if is_supervised:
                _goes_on(job, as_json)
            else:
                _detach(job, on or [], as_json)
            return
        with _manager_of(job, on) as manager:
            if not manager.resume(job):
                _goes_on(job, as_json)
                return
            code = _follow(manager, job, as_json)
    raise typer.Exit(code)


def retry(
    job: Job,
    cause: Annotated[
        str | None, typer.Option(help="only what was given up for this cause, such as timeout")
    ] = None,
    unread: Annotated[
        bool, typer.Option("--unread", help="answers of which a section could not be read, instead")
    ] = False,
    on: On = None,
    detach: Detach = False,
) -> None:
    """Ask again for what a job has given up, or for answers of which a section could not be read.

    Example: maricopa retry 12 --cause timeout
    Example: maricopa retry 12 --unread
    """
    if unread and cause is not None:
        raise fail("--cause and --unread: give one of them")
    from maricopa_scrapy.ledger import jobs as ledger_jobs

    with mistakes():
        with database() as session:
            _circumstances(session, job, on)
            progress_line.doing("asking for targets again")
            count = ledger_jobs.retry(session, job, cause, unread)
            is_running = ledger_jobs.see(session, job).state == "running"
        out.print(f"job {job}: {count} targets are asked for again")
        if is_running:
            return
        if detach:
            _detach(job, on or [], as_json=False)
            return
        with _manager_of(job, on) as manager:
            code = _follow(manager, job, False) if manager.resume(job) else 0
    raise typer.Exit(code)


def pause(job: Job) -> None:
    """Pause a job, from any terminal and machine, within 5 s; nothing is lost.

    Example: maricopa pause 12
    """
    _request_state(job, "pause", "paused", f"`maricopa resume {job}` goes on with it")


def cancel(job: Job) -> None:
    """End a job for good, within 5 s; what was collected stays.

    Example: maricopa cancel 12
    """
    _request_state(job, "cancel", "finished", "what it had collected is stored")


def settings_of(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise fail(f"-s {pair}: the form is NAME=VALUE")
        settings[name] = value
    return settings


def manager_for(nodes: list[str], settings: dict[str, str]) -> "JobManager":
    from maricopa_scrapy.jobs.manager import JobManager
    from maricopa_scrapy.jobs.nodes import Nodes
    from maricopa_scrapy.jobs.scrapyd import ScrapydNode

    _check_settings(settings)
    executor = Nodes([ScrapydNode(url, settings=settings) for url in nodes]) if nodes else None
    if executor is not None:
        executor.check()
    return JobManager(executor=executor, settings=settings, runs_per_source=max(1, len(nodes)))


def _check_settings(settings: dict[str, str]) -> None:
    from maricopa_scrapy.crawl import refused_settings

    if mistake := refused_settings.refused(settings):
        raise fail(mistake)


def _circumstances(session: "Session", job: int, on: list[str] | None) -> tuple[dict[str, str], list[str]]:
    """Return the job's settings and the nodes on which it goes on: those given, else those of its row."""
    from maricopa_scrapy.ledger import jobs as ledger_jobs

    settings, places = ledger_jobs.circumstances(session, job)
    _check_settings(settings)
    # Of a node its address is known, and not its password.
    nodes = on or [place for place in places if place != "local"]
    strange = (
        [] if on or "SCRAPYD_PASSWORD" not in os.environ else [node for node in nodes if not _is_here(node)]
    )
    if strange:
        # Whoever may write to the database could have put another address there.
        raise fail(
            f"job {job} ran on {strange[0]}: if your password may be sent there, add --on {strange[0]}"
        )
    return settings, nodes


def _is_here(node: str) -> bool:
    try:
        return urlsplit(node).hostname in _LOOPBACK
    except ValueError:
        return False


def _manager_of(job: int, on: list[str] | None) -> "JobManager":
    with database() as session:
        settings, nodes = _circumstances(session, job, on)
    return manager_for(nodes, settings)


def _ask(plan: "Plan", as_json: bool) -> None:
    with progress_line.hidden():
        if sys.stdin.isatty() and typer.confirm("Begin?", default=True, err=as_json):
            return
    if not sys.stdin.isatty():
        raise fail("nobody can be asked whether to begin, as this is no terminal: add -y")
    raise typer.Exit(0)


def _goes_on(job: int, as_json: bool, how: str = "") -> None:
    from maricopa_scrapy.jobs.display import print_json
    from maricopa_scrapy.ledger import progress

    if as_json:
        with database() as session:
            print_json(out, progress.read(session, job))
    where = errors if as_json else out
    where.print(f"job {job} goes on{how}; `maricopa status {job} --watch` shows it", soft_wrap=True)


def _detach(job: int, nodes: list[str], as_json: bool) -> None:
    pid = start_manager(job, nodes)
    _goes_on(job, as_json, f" in the background (process {pid})")


def start_manager(job: int, nodes: list[str]) -> int:
    """Start a process of its own that supervises a job; returns its id once it does. What hinders it is
    said.
    """
    from maricopa_scrapy.ledger import progress
    from maricopa_scrapy.machine.private_files import default_data_dir, make_folder, open_log

    folder = default_data_dir() / "log"
    log = folder / f"job-{job}.log"
    # Not in the command, which all can see: an address may hold a password.
    environment = os.environ | ({"MARICOPA_NODES": " ".join(nodes)} if nodes else {})
    try:
        make_folder(folder)
        file = open_log(log)
    except OSError as error:
        raise fail(
            f"cannot write logs to {folder} ({error.strerror}); name another folder with MARICOPA_DATA_DIR"
        ) from None
    with file:
        child = subprocess.Popen(
            [sys.executable, "-m", "maricopa_scrapy", "resume", str(job)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 30
    with database() as session:
        while not progress.read(session, job).is_supervised:
            if child.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines()
                raise fail(f"job {job} did not begin: {said[-1] if said else 'no word'} (log: {log})")
            time.sleep(0.1)
    return child.pid


def _follow(manager: "JobManager", job: int, as_json: bool) -> int:
    from maricopa_scrapy.jobs.display import Display, follow
    from maricopa_scrapy.ledger.verdict import EXIT_CODES, FAILED, INCOMPLETE

    with Display(out, as_json) as display:
        found = follow(manager, job, display)
    if found.state != "finished":
        # Whoever reads JSON reads nothing else there.
        (errors if as_json else out).print(
            f"job {job} is {found.word}; `maricopa resume {job}` goes on with it"
        )
        return EXIT_CODES[INCOMPLETE]
    if not as_json:
        # A report that cannot be had, and says why, changes nothing of the verdict.
        with contextlib.suppress(typer.Exit), database() as session:
            out.print()
            show_report(session, job)
    return EXIT_CODES.get(found.verdict or "", EXIT_CODES[FAILED])


def _request_state(job: int, what: str, state: str, remark: str) -> None:
    from maricopa_scrapy.ledger import jobs as ledger_jobs

    with database() as session:
        progress_line.doing(f"waiting for the runs of job {job}")
        found = ledger_jobs.request_state(session, job, what)
        deadline = time.monotonic() + _END_S
        while found.state not in (state, "finished") and time.monotonic() < deadline:
            time.sleep(0.2)
            found = ledger_jobs.see(session, job)
        if found.state not in (state, "finished"):
            out.print(f"job {job}: a run has not ended yet; `maricopa status {job}` shows when it has")
        elif found.state == "finished" and found.verdict != "cancelled":
            out.print(f"job {job} had ended before: {found.verdict}")
        else:
            out.print(f"job {job} is {found.verdict or found.state}; {remark}")
