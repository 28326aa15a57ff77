"""The report of a job as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

The template gets plain values and escapes them all, as every one of them may be a county's word.
"""

import datetime as dt
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

from maricopa_scrapy.jobs import readable_values, report_charts
from maricopa_scrapy.jobs.explanations import CAUSES, OUTCOMES, REASONS, Outcome
from maricopa_scrapy.jobs.jobs_yaml import shown
from maricopa_scrapy.ledger import target_states
from maricopa_scrapy.machine.safe_text import visible
from maricopa_scrapy.records.job_report import Report

# In the head of every page, and of no other program's.
MARK = b'<meta name="generator" content="maricopa_scrapy">'
_SECRET = re.compile(r"token|passw|secret|key", re.IGNORECASE)
_LONGEST = 300
_CHANGES_MOST, _ISSUES_MOST, _RUNS_MOST = 40, 50, 50


@dataclass(frozen=True, slots=True)
class Pace:
    """The requests of one source over the time at work."""

    chart: report_charts.Rates
    requests: int
    refusals: int
    throughput: float
    allowed: float | None
    budget: float | None
    state: str


def render(report: Report) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # What is marked as markup already is made of parts that were visible.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "duration": readable_values.duration, "latency": readable_values.latency,
        "size": readable_values.size, "when": readable_values.when,
        "percent": _percent, "count": lambda count: f"{count:,}", "clock": _clock, "short": _short,
        "shown": shown,
    }  # fmt: skip
    template = environment.from_string(_file("report.html"))
    clock = report_charts.Clock(
        (run.started_at, run.started_at + dt.timedelta(seconds=run.seconds)) for run in report.runs
    )
    of = report.progress
    return template.render(
        style=_file("report.css"),
        report=report,
        job=of,
        figures=report.figures,
        outcome=OUTCOMES.get(of.word, Outcome("off", "")),
        reason=(
            None
            if of.reason in (None, "finished", of.verdict)
            else (of.reason, REASONS.get(of.reason or "", ""))
        ),
        shortfalls=_shortfalls(report),
        clock=clock,
        paces=_paces(report, clock),
        box=(report_charts.WIDTH, report_charts.HEIGHT),
        coverage=[(source, report_charts.stacked(_parts(source.counts))) for source in of.sources],
        responses=[
            (
                source,
                report_charts.histogram(
                    report.times.get(source.source, {}), (source.traffic.p50, source.traffic.p95)
                ),
            )
            for source in of.sources
            if source.traffic.answers or source.traffic.refusals
        ],
        causes=CAUSES,
        states=target_states.MEANINGS,
        failures_most=max(
            (failure.given_up + failure.to_be_tried_again for failure in report.failures), default=0
        ),
        changes=report.changes[:_CHANGES_MOST],
        changes_all=sum(one.count for one in report.changes),
        changes_most=max((one.count for one in report.changes), default=0),
        changes_left=len(report.changes[_CHANGES_MOST:]),
        issues=sorted(report.issues, key=lambda issue: -issue.count)[:_ISSUES_MOST],
        issues_left=len(report.issues[_ISSUES_MOST:]),
        runs=report.runs[-_RUNS_MOST:],
        runs_left=len(report.runs[:-_RUNS_MOST]),
        arguments=_arguments(of.parameters),
    )


def _file(name: str) -> str:
    return (resources.files("maricopa_scrapy.jobs") / name).read_text(encoding="utf-8")


def _parts(counts: Any) -> dict[str, int]:
    return {"done": counts.done, "gone": counts.gone, "failed": counts.dead, "left": counts.open}


def _paces(report: Report, clock: report_charts.Clock) -> list[Pace]:
    found = []
    for source in report.progress.sources:
        chart = report_charts.rates(source.source, report.intervals, clock)
        if chart is not None:
            traffic = source.traffic
            found.append(
                Pace(
                    chart,
                    traffic.requests,
                    traffic.refusals,
                    traffic.throughput,
                    source.allowed,
                    source.budget,
                    source.state,
                )
            )
    return found


def _shortfalls(report: Report) -> list[str]:
    """Return why the job falls short: its own word, and that of the last run of each spider."""
    last = {run.spider: run.shortfall for run in report.runs}
    return list(dict.fromkeys(text for text in (report.progress.shortfall, *last.values()) if text))


def _arguments(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of what was asked; a value whose name speaks of a secret is not told."""
    flat: list[tuple[str, str]] = []
    for name, value in parameters.items():
        for inner, each in value.items() if isinstance(value, dict) else ((None, value),):
            whole = name if inner is None else f"{name}: {inner}"
            text = ", ".join(map(str, each)) if isinstance(each, list) else str(each)
            flat.append((whole, "(not shown)" if _SECRET.search(whole) else text))
    return flat


def _percent(part: float | None, whole: float | None = 1.0) -> str:
    """Return a share; all or nothing only when it is."""
    if part is None or not whole:
        return "–"
    share = part / whole
    text = f"{share:.1%}"
    if text == "0.0%":
        return "under 0.1%" if share else "0%"
    return ("99.9%" if share < 1 else "100%") if text == "100.0%" else text


def _clock(moment: dt.datetime | None, whole: float) -> str:
    """Return a moment on a scale of so many seconds."""
    if moment is None:
        return ""
    moment = moment.astimezone(dt.UTC)
    return (
        f"{moment:%H:%M:%S}"
        if whole < 900
        else f"{moment:%H:%M}"
        if whole < 64_800
        else f"{moment:%m-%d %H:%M}"
    )


def _short(text: Any, most: int = _LONGEST) -> str:
    text = str(text)
    return text if len(text) <= most else f"{text[:most]}…"
