"""One line on the terminal that says what is being done, and how far it is, when nothing was said for long.

Whoever does something long says so by `doing`, `done` and `counted`; it is shown where a command shows it.
"""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# So long a person sees nothing before the line comes, and then between two of its changes.
_SILENT_S = 1.5
_EVERY_S = 0.5
# Items between two counts: one for each would take longer than many of them.
_STRIDE = 1_000


@dataclass(slots=True)
class _Work:
    what: str
    total: int | None
    begun: float
    done: int = 0

    def __str__(self) -> str:
        far = f": {self.done:,}" if self.done else ""
        if self.total and self.done:
            far += f" of {self.total:,}"
        return f"{self.what}{far} ({time.monotonic() - self.begun:.0f} s)"


class _Line:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.work = _Work("working", None, time.monotonic())
        self.said_at = time.monotonic()
        self.hidden = 0
        self._is_there = False

    def show(self) -> None:
        with self.lock:
            if self.hidden or time.monotonic() - self.said_at < _SILENT_S:
                return
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[2K{str(self.work)[:width]}")
            sys.stderr.flush()
            self._is_there = True

    def clear(self) -> None:
        if self._is_there:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._is_there = False
        self.said_at = time.monotonic()


_line = _Line()
_shown = threading.Lock()


def doing(what: str, total: int | None = None) -> None:
    """Say what begins now, and of how many things."""
    _line.work = _Work(what, total, time.monotonic())


def done(count: int) -> None:
    """Say how many things are done."""
    _line.work.done = count


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, and say how many there were so far."""
    doing(what, total)
    for count, item in enumerate(items, start=1):
        if count % _STRIDE == 0:
            done(count)
        yield item


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show the line for the time of a `with` block, where standard error is a terminal."""
    if not sys.stderr.isatty() or not _shown.acquire(blocking=False):
        yield
        return
    over = threading.Event()

    def work() -> None:
        while not over.wait(_EVERY_S):
            _line.show()

    doing("working")
    _line.said_at = time.monotonic()
    thread = threading.Thread(target=work, name="progress-line", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with _line.lock:
            _line.clear()
        _shown.release()


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Keep the line away while something else is printed."""
    with _line.lock:
        _line.clear()
        yield
        _line.said_at = time.monotonic()


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Keep the line away for the time of a `with` block, such as that of a question."""
    with away():
        _line.hidden += 1
    try:
        yield
    finally:
        _line.hidden -= 1
        _line.said_at = time.monotonic()
