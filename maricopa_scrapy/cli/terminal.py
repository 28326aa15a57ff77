"""How the `maricopa` command meets a person: one line for a mistake, and the database for the time of a
verb.

What only some verbs need is imported where they use it: `maricopa --help` waits for none of it.
"""

import datetime as dt
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text
from typer.core import TyperGroup

from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.machine.safe_text import VisibleFormatter, visible, visible_json

if TYPE_CHECKING:
    from maricopa_scrapy.configuration import Config, Manifest
    from maricopa_scrapy.database.connect import Session

FORMATS = ("csv", "jsonl")


class Screen(Console):
    """A console by which everything is printed: what came from elsewhere is visible, and is never taken for
    markup.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, after the progress line is gone."""
        with progress_line.away():
            super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of what is shown."""
        if isinstance(renderable, Text) and (plain := visible(renderable.plain)) != renderable.plain:
            # Before it is laid out: a mark takes room, where what it stands for took none.
            renderable = renderable.copy()
            renderable.plain = plain
        for segment in super().render(renderable, options):
            # A control of rich's own moves the cursor of a live view.
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


out = Screen()
errors = Screen(stderr=True, soft_wrap=True)
# Of a command nobody else formats what is logged.
if logging.lastResort is not None:
    logging.lastResort.setFormatter(VisibleFormatter())


def fail(message: str) -> typer.Exit:
    """Say what was wrong, on one line; returns the exception that ends the command with code 2."""
    errors.print(f"error: {message}", markup=False)
    return typer.Exit(2)


# Typer brings click's own, or a copy of it: what it calls a mistake in the command line is the parent of this
# one.
_Usage: type[Exception] = typer.BadParameter.__mro__[1]


class OneLine(TyperGroup):
    """The commands, each with its first sentences in full; a mistake in the command line is one line too."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, of whose help each example keeps its line."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help and "\b" not in command.help:
            command.help = command.help.replace("\nExample:", "\n\b\nExample:", 1)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what there is."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, " ".join((one.help or "").split("\n\n")[0].split()))
                    for name, one in found
                    if not one.hidden
                ]
            )

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command. Raises SystemExit with its exit code, 2 for a mistake."""
        try:
            code = super().main(*args, **extra | {"standalone_mode": False})
        except typer.Abort:
            errors.print("aborted")
            sys.exit(1)
        except _Usage as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
                sys.exit(2)
            context = getattr(error, "ctx", None)
            verb = f" {context.info_name}" if context is not None and context.parent is not None else ""
            message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
            fail(f"{message} (`maricopa{verb} --help` shows the form)")
            sys.exit(2)
        sys.exit(code or 0)


@contextmanager
def mistakes() -> Iterator[None]:
    """Turn what a person can mend into one line and exit code 2; say meanwhile what is being done."""
    from maricopa_scrapy.arguments import spider_arguments
    from maricopa_scrapy.configuration import ConfigError
    from maricopa_scrapy.crawl.ledger_spider import StartError
    from maricopa_scrapy.database.connect import DatabaseUnavailable
    from maricopa_scrapy.jobs.executor import NodeError
    from maricopa_scrapy.jobs.jobs_yaml import NoSuchJob
    from maricopa_scrapy.jobs.plan import PlanError
    from maricopa_scrapy.ledger.ledger import LedgerError

    try:
        with progress_line.shown():
            yield
    except spider_arguments.ArgumentError as error:
        raise fail(f"--{error.name.replace('_', '-')}: {error.message}") from None
    except (
        PlanError,
        NoSuchJob,
        StartError,
        NodeError,
        LedgerError,
        DatabaseUnavailable,
        ConfigError,
    ) as error:
        raise fail(str(error)) from None


@contextmanager
def database() -> Iterator["Session"]:
    """Open the database; what it or the ledger refuses is a mistake like any other."""
    from maricopa_scrapy.configuration import ConfigError
    from maricopa_scrapy.database.connect import DatabaseUnavailable, session
    from maricopa_scrapy.ledger.ledger import LedgerError

    try:
        with progress_line.shown():
            progress_line.doing("opening the database")
            with session() as opened:
                progress_line.doing("asking the database")
                yield opened
    except (DatabaseUnavailable, ConfigError, LedgerError) as error:
        raise fail(str(error)) from None


def settings() -> "tuple[Config, dict[str, Manifest]]":
    """Read config/*.yaml, or end the command with what is wrong in it."""
    from maricopa_scrapy.configuration import ConfigError, load
    from maricopa_scrapy.ledger import yield_floors

    try:
        config, manifests = load()
    except ConfigError as error:
        raise fail(str(error)) from None
    for source, manifest in manifests.items():
        if wrong := yield_floors.mistake(manifest.floors):
            raise fail(f"config/sources/{source}.yaml: {wrong}")
    return config, manifests


def moment(option: str, text: str) -> dt.datetime:
    """Return the moment that an option names, or that was so long ago; a day begins in Phoenix, and so does a
    time without a zone.
    """
    from zoneinfo import ZoneInfo

    from maricopa_scrapy.arguments import spider_arguments

    with suppress(spider_arguments.ArgumentError):
        return dt.datetime.now(dt.UTC) - spider_arguments.age(option, text)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        forms = (
            "a day such as 2026-11-01, nor a moment such as 2026-11-01T12:00:00Z, nor a length of time such"
            " as 7d"
        )
        raise fail(f"{option} {text}: neither {forms}") from None
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo("America/Phoenix"))


def write_rows(path: Path | None, format_: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows to a file, or to standard output, as they come: csv with a header, or a JSON object a line;
    returns how many.

    CSV is defused as an export's. What is printed is visible, JSON by escapes that say the same; a file has
    every character as it is.
    """
    from maricopa_scrapy.machine.output_file import new_file

    if format_ not in FORMATS:
        raise fail(f"--format {format_}: there is {', '.join(FORMATS)}")
    try:
        with nullcontext(sys.stdout) if path is None else new_file(path) as file:
            return _write(file, format_, columns, rows, is_printed=path is None)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise fail(f"--to {path}: {error.strerror}") from None


def print_lines(lines: Iterable[Any]) -> None:
    """Print values as JSON, one a line."""
    import orjson

    for line in lines:
        sys.stdout.write(visible_json(orjson.dumps(line, default=str).decode()) + "\n")


def _write(
    file: IO[str], format_: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], is_printed: bool
) -> int:
    import orjson

    from maricopa_scrapy.records.export.text import Rows, cell

    count = 0
    table = Rows(file, columns) if format_ == "csv" else None
    beside = progress_line.away if is_printed else nullcontext
    for row in progress_line.counted(rows, "reading rows"):
        count += 1
        with beside():
            if table is not None:
                cells = map(cell, row)
                table.write(
                    [visible(text) if isinstance(text, str) else text for text in cells]
                    if is_printed
                    else list(cells)
                )
            else:
                line = orjson.dumps(dict(zip(columns, row, strict=True)), default=str).decode()
                file.write((visible_json(line) if is_printed else line) + "\n")
    return count
