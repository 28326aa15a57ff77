"""The findings as a person sees them: on the terminal, and as text in a bundle."""

import io
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.probe.anonymise import Anonymiser
from maricopa_scrapy.probe.findings import Finding, Sheet
from maricopa_scrapy.probe.proposal import Proposal, written
from maricopa_scrapy.probe.request_plan import KINDS, MOST, Plan, shown

_STYLES = {"held": "green", "not held": "bold red", "not told": "yellow"}
_WIDTH = 160


def plan(drawn: Plan) -> Iterator[Table | Text]:
    """Yield what is going to be asked, and what is left out."""
    table = Table(
        title=f"To ask: at most {MOST} requests of a source, no more than {drawn.rate:g} a second",
        title_justify="left",
    )
    for heading in ("source", "what is asked", "requests", "about"):
        table.add_column(heading, justify="right" if heading in ("requests", "about") else "left")
    for one in drawn.sources:
        kind = KINDS[one.name]
        parcels = f": {shown(one.apns)}; none: {shown([one.absent])}" if kind.takes_apns else ""
        table.add_row(
            one.name, Text(f"{kind.asks}{parcels}"), str(one.requests), f"{one.seconds(drawn.rate):.0f} s"
        )
    yield table
    for name, why in drawn.left_out.items():
        yield Text(f"{name} is left out: {why}", style="yellow")


def findings(sheets: list[Sheet], to: Anonymiser | None = None) -> Table:
    """Return the table; with `to` as it may be shown to anybody."""
    table = Table(title="Assumptions", title_justify="left", show_lines=False)
    for heading in ("source", "assumption", "", "evidence", "what follows"):
        table.add_column(heading, overflow="fold")
    for sheet in sheets:
        for one in sheet.findings:
            evidence, follows = (
                (to.said(one.evidence), to.sweep(one.follows)) if to else (one.evidence, one.follows)
            )
            word = Text(one.word, style=_STYLES[one.word])
            table.add_row(one.source, Text(one.assumption), word, Text(evidence), Text(follows))
        table.add_section()
    return table


def summary(sheets: list[Sheet]) -> Iterator[Text]:
    """Yield a line for each source."""
    for sheet in sheets:
        words = [one.word for one in sheet.findings]
        counts = ", ".join(f"{words.count(word)} {word}" for word in _STYLES if word in words)
        line = f"{sheet.source}: {counts}" + (f"; blocked: {sheet.blocked}" if sheet.blocked else "")
        yield Text(line, style="bold red" if sheet.blocked else "")


def proposal(found: Proposal) -> Iterator[Text]:
    """Yield what is proposed: the evidence, the questions exactly as they are, and the keys of the
    manifest.
    """
    yield Text(f"\nProposed for config/sources/{found.source}.yaml:", style="bold")
    yield Text(written(found))
    for what, seen in found.evidence:
        yield Text(f"{what}: {seen}")
    for question in found.questions:
        yield Text(f"question: {question}", style="bold yellow")


def as_text(found: list[Finding], to: Anonymiser) -> str:
    """Return the table as plain text, as it may be shown to anybody."""
    sheet = Sheet("", list(found))
    into = io.StringIO()
    Console(file=into, width=_WIDTH, no_color=True, highlight=False, emoji=False).print(findings([sheet], to))
    return into.getvalue()
