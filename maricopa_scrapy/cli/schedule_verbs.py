"""The verbs of `maricopa` for what happens by itself: schedule, tick, lists."""

import datetime as dt
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maricopa_scrapy.cli import job_verbs
from maricopa_scrapy.cli.run_options import order_of
from maricopa_scrapy.cli.terminal import OneLine, database, fail, mistakes, out

if TYPE_CHECKING:
    from maricopa_scrapy.arguments import ApnList
    from maricopa_scrapy.database.connect import Session

# Options of `run` that name a list of parcels.
_LISTS = ("apns", "within")
# How often a tick that goes on looks for what is due, at most.
_LOOK_S = 20.0

schedules = typer.Typer(
    cls=OneLine,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Jobs that start by themselves, at times of the day or week.",
)
lists = typer.Typer(
    cls=OneLine, no_args_is_help=True, rich_markup_mode=None, help="Lists of parcels that have a name."
)
_run = typer.Typer(add_completion=False)
_run.command("run")(job_verbs.run)
Number = Annotated[int, typer.Argument(help="a schedule's number, as `maricopa schedule list` shows it")]


@schedules.command("add", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def add(
    context: typer.Context,
    cron: Annotated[
        str, typer.Argument(help="minute hour day-of-month month day-of-week, in Phoenix: '0 5 * * 1-5'")
    ],
    note: Annotated[str | None, typer.Option(help="what it is for")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="also when the job takes longer than from one time to the next")
    ] = False,
) -> None:
    """Save a job that starts by itself; `maricopa tick` starts it. What follows the time is a command:
    run TYPE and its options. A list is kept as it is now.

    Example: maricopa schedule add "0 5 * * 1-5" run tax --apns my.txt --note "before the morning meeting"
    """
    from maricopa_scrapy.jobs import schedules as stored

    verb, *arguments = context.args or [""]
    if verb != "run":
        raise fail("what follows the time is a job: run TYPE and its options, as of `maricopa run`")
    with mistakes():
        now = dt.datetime.now(dt.UTC)
        first = stored.next_time(cron, now)
        given = _parse(arguments)
        with _order(given, None) as order, job_verbs.manager_for([], _settings(given)) as manager:
            plan = manager.plan(order)
            seconds = plan.seconds
        why = stored.too_long(cron, seconds, now) if seconds is not None else None
        if why and not anyway:
            raise fail(f"{why}: give fewer parcels, or fewer times; --anyway saves it all the same")
        with database() as session:
            saved = stored.add(session, cron, arguments, _save_list(session, given), note)
    if seconds is None:
        out.print("how long it takes cannot be told before a search has answered")
    out.print(f"schedule {saved.id}: {saved.what}; first {stored.clock(first)} (Phoenix)", soft_wrap=True)
    if why:
        out.print(f"saved anyway: {why}")
    out.print("`maricopa tick` starts what is due; docs/schedules.md says how a machine runs it by itself")


@schedules.command("list")
def list_() -> None:
    """List the schedules, the next first, and what became of the last time of each.

    Example: maricopa schedule list
    """
    from rich.table import Table

    from maricopa_scrapy.jobs import schedules as stored
    from maricopa_scrapy.ledger import saved_lists

    with database() as session:
        found = stored.all_of(session)
        changes = {one.id: saved_lists.summary(session, one.list_id).change() for one in found if one.list_id}
    if not found:
        out.print('no schedule; `maricopa schedule add "0 5 * * 1-5" run tax --apns my.txt` saves one')
        return
    table = Table("", "when", "next (Phoenix)", "job", "last time", box=None, padding=(0, 2, 0, 0))
    for one in found:
        job = f"run {one.what}" + (f"\n{one.note}" if one.note else "")
        if change := changes.get(one.id):
            job += f"\n{change}: the list is as it was saved"
        coming = "paused" if one.state == "paused" else stored.clock(one.next_at)
        table.add_row(str(one.id), one.cron, coming, job, one.message or "never")
    out.print(table)


@schedules.command()
def pause(number: Number) -> None:
    """Start a schedule's job no more, until `resume`.

    Example: maricopa schedule pause 3
    """
    from maricopa_scrapy.jobs import schedules as stored

    with database() as session:
        stored.pause(session, number)
    out.print(f"schedule {number} is paused; `maricopa schedule resume {number}` goes on with it")


@schedules.command()
def resume(number: Number) -> None:
    """Go on with a schedule that is paused, from its next time on.

    Example: maricopa schedule resume 3
    """
    from maricopa_scrapy.jobs import schedules as stored

    with mistakes(), database() as session:
        found = stored.resume(session, number)
    out.print(f"schedule {number} goes on: next {stored.clock(found.next_at)} (Phoenix)")


@schedules.command()
def run(number: Number) -> None:
    """Start a schedule's job at once, besides its times.

    Example: maricopa schedule run 3
    """
    from maricopa_scrapy.jobs import schedules as stored

    with mistakes(), database() as session:
        happened = stored.run_now(session, number, _beginner(session))
    out.print(f"schedule {number}: {happened.message}; `maricopa status {happened.job} --watch` shows it")


@schedules.command()
def remove(number: Number) -> None:
    """Forget a schedule; the jobs that it started stay.

    Example: maricopa schedule remove 3
    """
    from maricopa_scrapy.jobs import schedules as stored

    with database() as session:
        stored.remove(session, number)
    out.print(f"schedule {number} is removed")


def tick(
    forever: Annotated[
        bool, typer.Option("--forever", help="go on, and start each job when it is due, until Ctrl-C")
    ] = False,
) -> None:
    """Start the scheduled jobs that are due, and end; for systemd, cron, or a terminal that stays open.

    Any number of machines may do so: each time of a schedule starts one job. Exit codes: 0, or 1 when a job
    that was due could not be started.

    Example: maricopa tick
    """
    has_failed = False
    with mistakes():
        while True:
            with database() as session:
                has_failed |= _tick(session)
                wait = _seconds_left(session)
            if not forever:
                break
            try:
                time.sleep(wait)
            except KeyboardInterrupt:
                break
    if has_failed and not forever:
        raise typer.Exit(1)


def _tick(session: "Session") -> bool:
    """Start what is due, and say so; returns whether something could not be started."""
    from maricopa_scrapy.jobs import schedules as stored

    has_failed = False
    for happened in stored.tick(session, _beginner(session)):
        due = stored.clock(happened.schedule.next_at)
        out.print(f"schedule {happened.schedule.id}, {due}: {happened.message}", soft_wrap=True)
        has_failed |= happened.is_failure
    return has_failed


def _seconds_left(session: "Session") -> float:
    rows = session.rows(
        "SELECT extract(epoch FROM min(next_at) - now())::double precision FROM crawl.schedule"
        " WHERE state = 'active'"
    )
    left = rows[0][0]
    return _LOOK_S if left is None else min(_LOOK_S, max(0.5, left))


def _beginner(session: "Session") -> Any:
    """Return what makes and starts the job of a schedule."""
    from psycopg2.errors import UniqueViolation

    from maricopa_scrapy.jobs import schedules as stored
    from maricopa_scrapy.ledger import saved_lists
    from maricopa_scrapy.ledger.ledger import LedgerError

    def begin(schedule: stored.Schedule, due: dt.datetime, job: int | None) -> int:
        nodes = os.environ.get("MARICOPA_NODES", "").split()
        if job is None:
            given = _parse(schedule.arguments)
            apns = None if schedule.list_id is None else saved_lists.apns_of(session, schedule.list_id)
            with _order(given, apns) as order, job_verbs.manager_for(nodes, _settings(given)) as manager:
                plan = manager.plan(order)
                plan.parameters |= stored.mark(schedule, due)
                if settings := _settings(given):
                    plan.parameters["settings"] = settings
                try:
                    job = manager.write(plan)
                except UniqueViolation:
                    # Another tick has written it meanwhile.
                    job = stored.job_of(session, schedule, due)
                    assert job is not None
        try:
            job_verbs.start_manager(job, nodes)
        except typer.Exit:
            raise LedgerError(f"job {job} is written and did not begin; `maricopa resume {job}`") from None
        return job

    return begin


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of `run` by name; a mistake in them ends the command with one line."""
    command = typer.main.get_command(_run)
    given = command.make_context("run", list(arguments)).params
    wrong = {"dry_run": "--dry-run", "detach": "--detach", "as_json": "--json"}
    for name, option in wrong.items():
        if given.get(name):
            raise fail(f"{option} says nothing of a job that starts by itself: leave it out")
    if given.get("on"):
        raise fail("--on: the nodes are those of the tick; set MARICOPA_NODES where it runs")
    return given


def _settings(given: dict[str, Any]) -> dict[str, str]:
    return job_verbs.settings_of(given.get("setting") or [])


@contextmanager
def _order(given: dict[str, Any], apns: list[str] | None) -> Iterator[Any]:
    """The order that the options ask for, for the time of a `with` block; of a saved list its parcels."""
    option = _list_option(given)
    if apns is None or option is None:
        yield order_of(given)
        return
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(apns))
        file.flush()
        # It was checked when it was saved, and its columns are gone.
        yield order_of(given | {option: file.name, "apn_column": None, "skip_invalid": False})


def _list_option(given: dict[str, Any]) -> str | None:
    return next((name for name in _LISTS if given.get(name)), None)


def _save_list(session: "Session", given: dict[str, Any]) -> int | None:
    """Store the list of a job where it is a file; returns its id."""
    from maricopa_scrapy.ledger import saved_lists

    option = _list_option(given)
    if option is None:
        return None
    found = _read(option, given[option], bool(given.get("skip_invalid")), given.get("apn_column"))
    return saved_lists.save(session, found, file=found.path) if found.path is not None else None


def _read(option: str, value: str, skip_invalid: bool, column: str | None) -> "ApnList":
    from maricopa_scrapy.arguments import ApnList

    return ApnList(option, value, skip_invalid, column)


@lists.command()
def save(
    name: Annotated[str, typer.Argument(help="how you call it")],
    apns: Annotated[str, typer.Option(help="APNs separated by commas, or a file (docs/parcel-lists.md)")],
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="leave out lines that hold no APN")
    ] = False,
    apn_column: Annotated[
        str | None, typer.Option(help="the column that counts: its heading, or its number")
    ] = None,
) -> None:
    """Save a list of parcels under a name; one of that name is replaced.

    Example: maricopa lists save rentals --apns rentals.xlsx
    """
    from maricopa_scrapy.ledger import saved_lists

    with mistakes(), database() as session:
        found = _read("apns", apns, skip_invalid, apn_column)
        saved = saved_lists.save(session, found, name=name, file=found.path)
        count = saved_lists.summary(session, saved).count
    out.print(f"{name}: {count:,} parcels" + (f"; {found.left_out} lines left out" if found.left_out else ""))


@lists.command()
def show(
    name: Annotated[str | None, typer.Argument(help="a list's name; without one, all of them")] = None,
) -> None:
    """Print a list, one APN a line; without a name, what is saved.

    Example: maricopa lists show rentals > rentals.txt
    """
    from rich.table import Table

    from maricopa_scrapy.ledger import saved_lists

    with database() as session:
        if name is not None:
            for apn in saved_lists.apns_of(session, saved_lists.named(session, name).id):
                out.print(apn)
            return
        found = saved_lists.all_named(session)
    if not found:
        out.print("no list; `maricopa lists save NAME --apns FILE` saves one")
        return
    table = Table("list", "parcels", "saved", "from", box=None, padding=(0, 2, 0, 0))
    for one in found:
        where = one.change() or one.file or "the command line"
        table.add_row(one.name or "", f"{one.count:,}", f"{one.saved_at:%Y-%m-%d %H:%M}", where)
    out.print(table)


@lists.command("remove")
def remove_list(name: Annotated[str, typer.Argument(help="a list's name")]) -> None:
    """Forget a list. What was saved with it, such as a schedule, keeps it.

    Example: maricopa lists remove rentals
    """
    from maricopa_scrapy.ledger import saved_lists

    with database() as session:
        is_gone = saved_lists.remove(session, name)
    out.print(f"{name} is removed" + ("" if is_gone else "; a schedule goes on with it"))
