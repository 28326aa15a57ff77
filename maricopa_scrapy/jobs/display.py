"""A job as it goes on: one view that changes in a terminal, else a line every 10 s, or a line of JSON
whenever something changed.
"""

import contextlib
import json
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs import terminal_views as views
from maricopa_scrapy.ledger import progress
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.machine import progress_line

if TYPE_CHECKING:
    from maricopa_scrapy.jobs.manager import JobManager

_GLANCE_S = 0.5
_LINE_EVERY_S = 10.0
_JSON_EVERY_S = 1.0


class Display:
    """A context manager; `show` may be called as often as one likes."""

    def __init__(self, console: Console, as_json: bool = False) -> None:
        self._console = console
        self._as_json = as_json
        self._live = (
            Live(console=console, refresh_per_second=4) if console.is_terminal and not as_json else None
        )
        self._hidden = progress_line.hidden()
        self._said_at = -_LINE_EVERY_S
        self._said: object = None

    def __enter__(self) -> Self:
        # It says itself how far it is.
        self._hidden.__enter__()
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
        self._hidden.__exit__(None, None, None)

    def show(self, found: JobProgress, is_last: bool) -> None:
        """Show how the job stands, when it is time to."""
        if self._live is not None:
            self._live.update(views.live(found))
            return
        now, state = time.monotonic(), (found.word, found.counts)
        pause = _JSON_EVERY_S if self._as_json and state != self._said else _LINE_EVERY_S
        if is_last or now - self._said_at >= pause:
            self._said_at, self._said = now, state
            if self._as_json:
                print_json(self._console, found)
            else:
                self._console.print(views.line(found), soft_wrap=True, markup=False)


def print_json(console: Console, found: JobProgress) -> None:
    """Write how the job stands as one line of JSON."""
    console.file.write(json.dumps(found.as_dict()) + "\n")
    console.file.flush()


def watch(session: Session, job_id: int, display: Display) -> None:
    """Show a job until it ends, whoever runs it, wherever. Raises LedgerError when there is no such job."""
    while True:
        begun = time.monotonic()
        found = progress.read(session, job_id)
        display.show(found, found.state == "finished")
        if found.state == "finished":
            return
        # Counting a million targets takes its time: no more than a tenth of ours.
        time.sleep(max(_GLANCE_S, 10 * (time.monotonic() - begun)))


def follow(manager: "JobManager", job_id: int, display: Display) -> JobProgress:
    """Show a job of this process until it ends; Ctrl-C pauses it, a second one leaves it to itself. Raises
    DatabaseUnavailable.
    """
    is_pausing = False
    while True:
        try:
            found = manager.status(job_id)
            is_over = found.state == "finished" and not manager.is_supervised(job_id)
            is_over = is_over or (is_pausing and found.state == "paused")
            display.show(found, is_over)
            if is_over:
                return found
            manager.check()
            time.sleep(_GLANCE_S)
        except KeyboardInterrupt:
            if is_pausing:
                return manager.status(job_id)
            is_pausing = True
            with contextlib.suppress(LedgerError):
                manager.pause(job_id)
