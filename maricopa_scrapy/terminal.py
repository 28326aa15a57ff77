"""How the `maricopa` command meets a person: one line for a mistake, and the database for the time of a verb."""

import csv
import datetime as dt
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from typer.core import TyperGroup

from maricopa_scrapy import arguments
from maricopa_scrapy.new_file import new_file
from maricopa_scrapy.settings_files import Config, ConfigError, Manifest, load
from maricopa_scrapy.store import floors
from maricopa_scrapy.store.connect import DatabaseUnavailable, Session, session
from maricopa_scrapy.store.ledger import LedgerError

FORMATS = ("csv", "jsonl")
_PHOENIX = ZoneInfo("America/Phoenix")

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> typer.Exit:
    """Say what was wrong, on one line; returns the exception that ends the command with code 2."""
    errors.print(f"error: {message}", markup=False)
    return typer.Exit(2)


# Typer brings click's own, or a copy of it: what it calls a mistake in the command line is the parent of this one.
_Usage: type[Exception] = typer.BadParameter.__mro__[1]


class OneLine(TyperGroup):
    """The commands; a mistake in the command line is one line too."""

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
def database() -> Iterator[Session]:
    """Open the database; what it or the ledger refuses is a mistake like any other."""
    try:
        with session() as opened:
            yield opened
    except (DatabaseUnavailable, ConfigError, LedgerError) as error:
        raise fail(str(error)) from None


def settings() -> tuple[Config, dict[str, Manifest]]:
    """Read config/*.yaml, or end the command with what is wrong in it."""
    try:
        config, manifests = load()
    except ConfigError as error:
        raise fail(str(error)) from None
    for source, manifest in manifests.items():
        if wrong := floors.mistake(manifest.floors):
            raise fail(f"config/sources/{source}.yaml: {wrong}")
    return config, manifests


def moment(option: str, text: str) -> dt.datetime:
    """Return the moment that an option names, or that was so long ago; a day begins in Phoenix, and so does a time without a zone."""
    with suppress(arguments.ArgumentError):
        return dt.datetime.now(dt.UTC) - arguments.age(option, text)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        forms = "a day such as 2026-11-01, nor a moment such as 2026-11-01T12:00:00Z, nor a length of time such as 7d"
        raise fail(f"{option} {text}: neither {forms}") from None
    return found if found.tzinfo else found.replace(tzinfo=_PHOENIX)


def write_rows(path: Path | None, format_: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows to a file, or to standard output, as they come: csv with a header, or a JSON object a line; returns how many."""
    if format_ not in FORMATS:
        raise fail(f"--format {format_}: there is {', '.join(FORMATS)}")
    try:
        with nullcontext(sys.stdout) if path is None else new_file(path) as file:
            return _write(file, format_, columns, rows)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise fail(f"--to {path}: {error.strerror}") from None


def _write(file: IO[str], format_: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    count = 0
    if format_ == "csv":
        writer = csv.writer(file)
        writer.writerow(columns)
    for row in rows:
        count += 1
        if format_ == "csv":
            writer.writerow([_cell(value) for value in row])
        else:
            file.write(orjson.dumps(dict(zip(columns, row, strict=True)), default=str).decode() + "\n")
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return value.isoformat() if isinstance(value, dt.datetime) else value
