"""How the `maricopa` command meets a person: one line for a mistake, and the database for the time of a verb."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from maricopa_scrapy.settings_files import Config, ConfigError, Manifest, load
from maricopa_scrapy.store import floors
from maricopa_scrapy.store.connect import DatabaseUnavailable, Session, session
from maricopa_scrapy.store.ledger import LedgerError

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> typer.Exit:
    """Say what was wrong, on one line; returns the exception that ends the command with code 2."""
    errors.print(f"error: {message}", markup=False)
    return typer.Exit(2)


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
