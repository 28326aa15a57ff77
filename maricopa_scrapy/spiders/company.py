"""Answers are read in company: code and tables that one has brought into the processor's cache serve those after it."""

import asyncio

# A dozen cost a tenth less than one at a time; more of them only hold more bodies.
_ENOUGH = 12
_PATIENCE_S = 0.01


class Company:
    """Lets those who wait go on one right after the other, as soon as they are enough, or have waited long enough."""

    def __init__(self) -> None:
        self._gate = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        self._count = 0

    async def wait(self) -> None:
        """Wait for company, or for a hundredth of a second."""
        gate = self._gate
        self._count += 1
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(_PATIENCE_S, self._open)
        if self._count >= _ENOUGH:
            self._open()
        await gate.wait()

    def _open(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._gate.set()
        self._gate, self._patience, self._count = asyncio.Event(), None, 0
