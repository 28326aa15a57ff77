"""Ctrl-C during a query: Python hears a signal only between two steps of its own, so another thread cancels
the statement that the main thread waits for.
"""

import contextlib
import logging
import signal
import socket
import threading
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

logger = logging.getLogger(__name__)

# Between two cancellations: one that comes just before its statement begins has no effect.
_AGAIN_S = 0.2
_TRIES = 25

_of_main: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def note(connection: "Connection") -> None:
    """A new connection; those of the main thread are cancelled by Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        _of_main.add(connection)


@contextlib.contextmanager
def cancelling() -> Iterator[None]:
    """Let Ctrl-C end the statements of the main thread, for the time of a `with` block: KeyboardInterrupt is
    raised within a second. To be called in the main thread.
    """
    usual = signal.getsignal(signal.SIGINT)
    if not callable(usual):
        # Ctrl-C is ignored here.
        yield
        return
    heard = threading.Event()

    def handler(number: int, frame: FrameType | None) -> Any:
        heard.set()
        return usual(number, frame)

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.signal(signal.SIGINT, handler)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(reader, heard), name="interrupts", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGINT, usual)
        writer.close()


def _listen(reader: socket.socket, heard: threading.Event) -> None:
    with reader:
        while numbers := reader.recv(64):
            if signal.SIGINT in numbers:
                for _ in range(_TRIES):
                    _cancel()
                    if heard.wait(_AGAIN_S):
                        break
                heard.clear()


def _cancel() -> None:
    import psycopg2

    for connection in list(_of_main):
        if not connection.closed:
            try:
                connection.cancel()
            except psycopg2.Error as error:
                logger.debug("cancelling a statement: %s", error)
