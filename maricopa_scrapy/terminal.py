"""What all verbs of the `maricopa` command share: where they write, how they fail, and the database."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from maricopa_scrapy.settings_files import ConfigError
from maricopa_scrapy.store.connect import DatabaseUnavailable, Session, session
from maricopa_scrapy.store.ledger import LedgerError

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> typer.Exit:
    """Say what is wrong, in one line; returns what to raise."""
    errors.print(f"error: {message}", markup=False)
    return typer.Exit(2)


@contextmanager
def database() -> Iterator[Session]:
    """Open the configured database; what it or the ledger refuses becomes one line."""
    try:
        with session() as opened:
            yield opened
    except (DatabaseUnavailable, ConfigError, LedgerError) as error:
        raise fail(str(error)) from None
