"""Answers are read in groups: code and tables that one has brought into the processor's cache serve those
after it.
"""

import asyncio

# A dozen cost a tenth less than one at a time; more of them only hold more bodies.
_GROUP = 12
_MOST_S = 0.01


class ReadingGate:
    """Lets those who wait go on one right after the other, once they are a group, or have waited for a
    hundredth of a second.
    """

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0

    async def wait(self) -> None:
        """Wait for the rest of the group, or for a hundredth of a second."""
        opened = self._opened
        self._count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_MOST_S, self._open)
        if self._count >= _GROUP:
            self._open()
        await opened.wait()

    def _open(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._opened.set()
        self._opened, self._timer, self._count = asyncio.Event(), None, 0
