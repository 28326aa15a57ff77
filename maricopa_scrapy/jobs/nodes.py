"""Several nodes as one place: a run goes where there is most room, and a node that fails is left alone for a
while.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from maricopa_scrapy.jobs.executor import Executor, NodeError

logger = logging.getLogger(__name__)

# Seconds for which a node is left alone after its first failure, doubled with each that follows, and at most.
REST_S = 15.0
REST_MOST_S = 300.0


class Node(Executor, Protocol):
    """An executor among others."""

    # How many runs it takes at once, besides the others'.
    capacity: int

    def load(self) -> int:
        """Return how many crawls run or wait there. Raises NodeError."""

    def last_words(self, spider: str, handle: str) -> str:
        """Return the last line that a run logged, "" when there is none."""


class Rests:
    """Which nodes are left alone, and until when; times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def failed(self, name: str, now: float) -> float:
        """Note a failure; returns the seconds of rest. Of failures while it rests none counts: they tell
        nothing new.
        """
        if self.is_resting(name, now):
            return self._until[name] - now
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        rest = float(min(REST_S * 2 ** min(failures - 1, 10), REST_MOST_S))
        self._until[name] = now + rest
        return rest

    def answered(self, name: str) -> None:
        """Note that the node is well."""
        self._failures.pop(name, None)
        self._until.pop(name, None)

    def is_resting(self, name: str, now: float) -> bool:
        """Tell whether the node is left alone now."""
        return now < self._until.get(name, now)


def by_room(loads: Mapping[str, int], capacities: Mapping[str, int]) -> list[str]:
    """Return the names of `loads`, the one first that one more run would fill least; among equals in the
    order of `capacities`.
    """
    order = list(capacities)
    return sorted(loads, key=lambda name: ((loads[name] + 1) / capacities[name], order.index(name)))


class Nodes:
    """Executors as one; its handles say whose they are: "<name> <handle>".

    A run whose node is lost is not moved: the ledger gives its targets back, and whoever supervises starts
    another run.
    """

    def __init__(self, nodes: Sequence[Node], clock: Callable[[], float] = time.monotonic) -> None:
        """Raises NodeError when a node is named twice."""
        self._nodes = {node.name: node for node in nodes}
        if len(self._nodes) < len(nodes):
            twice = next(node.name for node in nodes if sum(other.name == node.name for other in nodes) > 1)
            raise NodeError(
                f"{twice} is named twice; ?max_proc=N behind an address gives a node more than its share"
            )
        self._rests = Rests()
        self._clock = clock
        self.name = ", ".join(self._nodes)

    def check(self) -> None:
        """Raise NodeError when one of the nodes cannot start a spider now."""
        for node in self._nodes.values():
            node.check()

    def start(self, spider: str, arguments: Mapping[str, str]) -> str:
        """Start the spider on the node with most room; on another when that one fails. Raises NodeError when
        none can.
        """
        failures: list[str] = []
        loads = self._loads(failures)
        for name in by_room(loads, {name: node.capacity for name, node in self._nodes.items()}):
            try:
                handle = self._nodes[name].start(spider, arguments)
            except NodeError as error:
                self._failed(name, error)
                failures.append(str(error))
            else:
                self._rests.answered(name)
                return f"{name} {handle}"
        raise NodeError(
            f"no node can start {spider} now: "
            + (" | ".join(failures) or f"{self.name} failed a moment ago and are left alone")
        )

    def is_running(self, handle: str) -> bool | None:
        """Tell whether the process is there; None when its node does not answer, or is none of these."""
        name, own = _parts(handle)
        return self._nodes[name].is_running(own) if name in self._nodes else None

    def stop(self, handle: str) -> None:
        """Ask the process to end in order. Raises NodeError."""
        node, own = self._owner(handle)
        node.stop(own)

    def kill(self, handle: str) -> None:
        """End the process at once. Raises NodeError."""
        node, own = self._owner(handle)
        node.kill(own)

    def last_words(self, spider: str, handle: str) -> str:
        """Return the last line that a run logged, "" when there is none."""
        name, own = _parts(handle)
        return self._nodes[name].last_words(spider, own) if name in self._nodes else ""

    def _loads(self, failures: list[str]) -> dict[str, int]:
        loads = {}
        for name, node in self._nodes.items():
            if self._rests.is_resting(name, self._clock()):
                continue
            try:
                loads[name] = node.load()
            except NodeError as error:
                self._failed(name, error)
                failures.append(str(error))
        return loads

    def _failed(self, name: str, error: NodeError) -> None:
        rest = self._rests.failed(name, self._clock())
        logger.warning("%s; it is left alone for %.0f s", error, rest)

    def _owner(self, handle: str) -> tuple[Node, str]:
        name, own = _parts(handle)
        if name not in self._nodes:
            raise NodeError(
                f"a run is on {name or 'no node'}, which is none of {self.name}; name that node too"
            )
        return self._nodes[name], own


def _parts(handle: str) -> tuple[str, str]:
    name, _, own = handle.rpartition(" ")
    return name, own
