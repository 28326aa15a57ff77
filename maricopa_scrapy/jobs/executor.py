"""Where the spiders of a job are started: as processes of this machine, or by scrapyd nodes."""

from collections.abc import Mapping
from typing import Protocol


class NodeError(RuntimeError):
    """A place that cannot start spiders; the message is one line with the remedy."""


class Executor(Protocol):
    """One place that runs spiders.

    Pause, resume and cancel do not go through it: a run reads them in the ledger and ends itself, wherever it
    is.
    `stop` and `kill` are for a process that does not.
    """

    # "local", or the node's address without user and password.
    name: str

    def check(self) -> None:
        """Raise NodeError when the place cannot start a spider now."""

    def start(self, spider: str, arguments: Mapping[str, str]) -> str:
        """Start `scrapy crawl <spider> -a name=value ...` and return its handle. Raises NodeError."""

    def is_running(self, handle: str) -> bool | None:
        """Tell whether the process is there; None when the place does not answer."""

    def last_words(self, spider: str, handle: str) -> str:
        """Return the last line that the process logged, "" when there is none."""

    def stop(self, handle: str) -> None:
        """Ask the process to end in order, as Ctrl-C does. Raises NodeError."""

    def kill(self, handle: str) -> None:
        """End the process at once; its targets go back through the ledger. Raises NodeError."""
