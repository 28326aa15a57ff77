"""Jobs as a person reads them: the plan, the live view, a line of progress, the list, and the report."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.jobs.jobs_yaml import shown
from maricopa_scrapy.jobs.readable_values import age as _age
from maricopa_scrapy.jobs.readable_values import duration as _time
from maricopa_scrapy.jobs.readable_values import latency as _latency
from maricopa_scrapy.jobs.readable_values import size as _size
from maricopa_scrapy.jobs.readable_values import when as _when
from maricopa_scrapy.ledger.progress import JobProgress, SourceProgress
from maricopa_scrapy.ledger.statistics import Statistics
from maricopa_scrapy.ledger.verdict import COMPLETED
from maricopa_scrapy.records.refresh import Decision, Proof

if TYPE_CHECKING:
    from maricopa_scrapy.jobs.plan import Plan, PlannedStep

# Characters; what is left out below is in `status JOB`.
_WIDE = 110
# What a person asked for, of a job's parameters.
_ASKED = (
    "apns", "apn_column", "recording_numbers", "number_column", "owner", "address", "since", "secured_master",
    "residential_master",
    "match", "older_than", "sections", "within",
)  # fmt: skip


def table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table of the house's kind."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold",
            no_wrap=name in right or name == "source",
        )
    return made


def plan(of: "Plan") -> Iterator[RenderableType]:
    """Yield what a job would do."""
    how = f"{shown(of.mode)}, {of.execution}, priority {of.priority}"
    parcels = "" if of.parcels is None else f", {of.parcels:,} parcel{'' if of.parcels == 1 else 's'}"
    yield Text(f"{shown(of.type)} ({of.title}): {how}{parcels}", style="bold")
    phases = len({step.phase for step in of.steps}) > 1
    steps = table(
        "",
        *(["phase"] if phases else []),
        "source",
        "from",
        "requests",
        "rate",
        "about",
        right=("requests", "rate", "about"),
    )
    steps.title = None
    for step in of.steps:
        steps.add_row(*([str(step.phase + 1)] if phases else []), *_planned(step))
    yield steps
    yield from decisions(of.decisions)
    yield (
        f"Takes about {_time(of.seconds)}."
        if of.seconds is not None
        else "How long it takes, the searches must tell."
    )
    if of.full:
        each = ", ".join(f"{source} {_time(seconds)}" for source, seconds in of.full.items())
        yield f"A full collection of the same would take {_time(max(of.full.values()))} ({each})."
    for miss in of.misses:
        yield Text(f"Not fetched: {miss}")
    for note in of.notes:
        yield Text(f"Note: {note}", style="dim")


def decisions(of: Sequence[Decision]) -> Iterator[RenderableType]:
    """Yield what a refresh asks again and what it leaves out, and why."""
    if not of:
        return
    yield ""
    made = table("", "office", "", "parcels", "because", right=("parcels",))
    made.title = None
    for one in of:
        office = one.source
        for what, reasons in (("asked", one.asked_because()), ("not asked", one.skipped_because())):
            for text, count in reasons:
                made.add_row(office, what, f"{count:,}", text)
                office = ""
    yield made


def proofs(of: Sequence[Proof]) -> Iterator[RenderableType]:
    """Yield what came of a refresh: how many of what was asked again had changed, and how many of the
    sample of what was left out.
    """
    yield from decisions([one.decision for one in of])
    for one in of:
        for line in one.lines():
            yield Text(line)


def _planned(step: "PlannedStep") -> tuple[str, ...]:
    if step.requests is None:
        requests = "as found"
    else:
        requests = f"{'up to ' if step.is_at_most else ''}{step.requests:,}"
    rate = f"{step.rate:.2f}/s" + (
        f", then up to {step.ceiling:g}" if step.starts_learning and step.ceiling > step.rate else ""
    )
    return step.source, step.title, requests, rate, "" if step.seconds is None else _time(step.seconds)


def live(of: JobProgress) -> RenderableType:
    """Return the live view: a row a source."""
    head = Text(f"job {of.job} {shown(of.type)} {shown(of.mode)}: ", style="bold")
    head.append(of.word, style=_style(of))
    head.append(
        f", {_time(of.seconds)}"
        + (f", about {_time(of.eta)} left" if of.eta and of.state == "running" else "")
    )
    rows = table(
        "",
        "source",
        "",
        "done",
        "gone",
        "dead",
        "rate",
        "refused",
        "left",
        right=("done", "gone", "dead", "rate", "refused", "left"),
    )
    rows.title = None
    for source in of.sources:
        final = source.counts.total - source.counts.open
        bar = ProgressBar(total=max(source.counts.total, 1), completed=final, width=20)
        rows.add_row(
            source.source,
            bar,
            f"{final:,} of {source.counts.total:,}",
            f"{source.counts.gone:,}",
            f"{source.counts.dead:,}",
            _rate(source),
            f"{source.traffic.refusals:,}",
            _left(source),
        )
    parts: list[RenderableType] = [head, rows]
    if left_out := _left_out(of.parameters):
        parts.append(left_out)
    if of.unread:
        named = ", ".join(f"{section} of {count:,}" for section, count in of.unread.items())
        parts.append(Text(f"could not be read: {named}", style="yellow"))
    return Group(*parts)


def line(of: JobProgress) -> str:
    """Return the progress as one line."""
    parts = []
    for source in of.sources:
        final = source.counts.total - source.counts.open
        dead = f", {source.counts.dead} dead" if source.counts.dead else ""
        dead += f", {source.counts.unread} with unread sections" if source.counts.unread else ""
        refused = f", {source.traffic.refusals} refused" if source.traffic.refusals else ""
        parts.append(
            f"{source.source} {final}/{source.counts.total}{dead}{refused}, {_rate(source)}, {_left(source)}"
        )
    left = f", about {_time(of.eta)} left" if of.eta and of.state == "running" else ""
    return f"job {of.job} {of.word}: {' | '.join(parts)}{left}"


def _rate(source: SourceProgress) -> str:
    if source.state != "running":
        return "-"
    return f"{source.traffic.rate:.1f}" + (
        f" of {source.allowed:.1f}/s" if source.allowed is not None else "/s"
    )


def _left(source: SourceProgress) -> str:
    if source.held > 1:
        return f"held for {source.held:.0f} s"
    if source.is_open and source.state == "running":
        return "in trouble"
    if source.state in ("running", "starting") and source.counts.open and source.eta is not None:
        return f"{_time(source.eta)} left"
    return source.state


def _style(of: JobProgress) -> str:
    if of.verdict == COMPLETED:
        return "green"
    return "yellow" if of.state != "finished" else "red"


@dataclass(frozen=True)
class JobList:
    """The newest jobs as a table. In a narrow terminal how many are gone, dead and open is left out, before a
    number is cut.
    """

    jobs: Sequence[dict[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.jobs:
            yield (
                "No job yet. `maricopa run property-search --apns apns.txt` starts one, `make demo` shows"
                " one."
            )
            return
        counts = (
            ("enumerated", "done")
            if options.max_width < _WIDE
            else ("enumerated", "done", "gone", "dead", "open")
        )
        right = ("job", "targets", *counts[1:], "age")
        made = table("Jobs", "job", "type", "state", *right[1:], "asked for", right=right)
        now = dt.datetime.now(dt.UTC)
        for job in self.jobs:
            urgent = "" if job["priority"] == "normal" else f" ({job['priority']})"
            made.add_row(
                str(job["id"]),
                shown(job["type"]) + urgent,
                state_of(job),
                *(f"{job[name]:,}" for name in counts),
                _age(now - job["created_at"]),
                Text(asked(job["parameters"]), no_wrap=True, overflow="ellipsis"),
            )
        for column in made.columns[1:3]:
            column.min_width = min(16, max(len(str(cell)) for cell in column.cells))
        yield made


def state_of(job: dict[str, Any]) -> str:
    """Return how a job of the list stands, in a word, with the reason where it says more."""
    state = job["verdict"] or job["state"]
    if job["state"] in ("running", "pending") and not job["is_live"] and not job["is_supervised"]:
        state = "interrupted" if job["state"] == "running" or job["started_at"] else state
    elif job["state"] == "pending" and job["is_supervised"]:
        state = "waiting"
    return state if job["reason"] in (None, "finished", state) else f"{state} ({job['reason']})"


def asked(parameters: dict[str, Any]) -> str:
    """Return what was asked for, of a job's parameters."""
    found = {name: str(parameters[name]) for name in _ASKED if name in parameters}
    return " ".join(
        f"{name}={value.rsplit('/', 1)[-1] if name == 'apns' else value}" for name, value in found.items()
    )


def _left_out(parameters: dict[str, Any]) -> Text | None:
    """Return what was left out of the job's list, if something was."""
    told = parameters.get("left_out")
    if not told:
        return None
    more = f", and {told['lines'] - len(told['first']):,} more" if told["lines"] > len(told["first"]) else ""
    return Text(f"left out of the list: {'; '.join(told['first'])}{more}", style="yellow")


def report(
    of: JobProgress, figures: Statistics, issues: Sequence[dict[str, Any]]
) -> Iterator[RenderableType]:
    """Yield what became of a job."""
    head = Text(f"Job {of.job}: {shown(of.type)}, {shown(of.mode)}, {of.execution}: ", style="bold")
    head.append(of.word, style=_style(of))
    yield head
    yield Text(f"asked for: {asked(of.parameters) or shown(of.type)}")
    if left_out := _left_out(of.parameters):
        yield left_out
    if of.reason not in (None, "finished", of.verdict):
        yield Text(f"reason: {of.reason}")
    if of.shortfall:
        yield Text(f"falls short: {of.shortfall}")
    ended = "" if of.finished_at is None else f", ended {_when(of.finished_at)}"
    yield f"begun {_when(of.started_at)}{ended}, took {_time(of.seconds)}"
    counts = of.counts
    success = "" if of.success is None else f", success {of.success:.1%}"
    yield (
        f"{counts.total:,} targets: {counts.done:,} done, {counts.gone:,} gone, {counts.dead:,} dead,"
        f" {counts.open:,} open{success}"
    )
    per = (
        ""
        if figures.requests_per_parcel is None
        else f", {figures.requests_per_parcel:.2f} requests a parcel"
    )
    yield f"{figures.requests:,} requests, {figures.refusals:,} refused, {_size(figures.bytes)}{per}"
    right = ("done", "gone", "dead", "open", "asked", "refused", "per s", "p50", "p95", "time")
    rows = table("Sources", "source", *right, right=right)
    for source in of.sources:
        counts, traffic = source.counts, source.traffic
        rows.add_row(
            source.source,
            *(f"{value:,}" for value in (counts.done, counts.gone, counts.dead, counts.open)),
            f"{traffic.requests:,}",
            f"{traffic.refusals:,}",
            f"{traffic.throughput:.2f}",
            _latency(traffic.p50),
            _latency(traffic.p95),
            _time(traffic.busy),
        )
    yield ""
    yield rows
    for source in of.sources:
        if source.message not in (None, "finished", "nothing to do", of.reason):
            yield Text(f"{source.source}: {source.message}")
    if of.causes:
        yield ""
        causes = table("Given up", "cause", "targets", right=("targets",))
        for cause, count in of.causes.items():
            causes.add_row(str(cause), f"{count:,}")
        yield causes
        yield f"`maricopa retry {of.job}` asks for them again; --cause NAME for those of one cause"
    if of.unread:
        yield ""
        sections = table(
            "Sections that could not be read", "source and section", "answers", right=("answers",)
        )
        for section, count in of.unread.items():
            sections.add_row(section, f"{count:,}")
        yield sections
        yield "What is stored of them stays. After a mend of the parser `maricopa reparse` reads them;"
        yield f"`maricopa retry {of.job} --unread` asks again"
    if issues:
        yield ""
        found = table("Issues", "kind", "count", "example", "message", right=("count",))
        for issue in issues:
            found.add_row(issue["kind"], f"{issue['count']:,}", issue["target_key"], Text(issue["message"]))
        yield found
    if of.word in ("incomplete", "paused", "interrupted", "blocked", "failed") and of.counts.open:
        yield f"`maricopa resume {of.job}` goes on with what is open"
