"""What the sandbox saw of one source: the server's side of every assertion."""

import time
from collections import Counter, deque
from typing import Any

_SECONDS_KEPT = 3600
_PATHS_KEPT = 50
_ANSWERS_KEPT = 20_000


class Counts:
    """Counts of one source since the start or the last reset.

    `track`: also how often each parcel was fetched, and when the last answers were given.
    """

    def __init__(self, track: bool = False) -> None:
        self._track = track
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but what is under way."""
        self._requests = 0
        self._kinds: Counter[str] = Counter(parcel=0, search=0)
        self._statuses: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._fetched: Counter[str] = Counter()
        self._agents: Counter[str] = Counter()
        self._seconds: Counter[int] = Counter()
        self._answered_at: deque[float] = deque(maxlen=_ANSWERS_KEPT)
        self._refused_at: deque[float] = deque(maxlen=_ANSWERS_KEPT)
        self._paths: list[str] = []
        self._refused = 0
        self._bytes = 0
        self._peak = self._in_flight
        self._first = self._last = 0.0

    def begin(self, kind: str) -> int:
        """Count a request; returns its number, from 1."""
        now = time.time()
        self._requests += 1
        self._first = self._first or now
        self._last = now
        self._kinds[kind] += 1
        second = int(now)
        self._seconds[second] += 1
        if len(self._seconds) > _SECONDS_KEPT:
            del self._seconds[next(iter(self._seconds))]
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        return self._requests

    def end(self) -> None:
        """Note that a request is answered or given up."""
        self._in_flight -= 1
        self._last = time.time()

    def sent(self, status: int, size: int) -> None:
        """Note an answer: its status, and the bytes of its body as sent."""
        self._statuses[str(status)] += 1
        self._bytes += size
        if self._track and status == 200:
            self._answered_at.append(time.time())

    def refused(self) -> None:
        """Note an answer 429 or 503."""
        self._refused += 1
        if self._track:
            self._refused_at.append(time.time())

    def faulted(self, name: str) -> None:
        """Note a fault given."""
        self._faults[name] += 1

    def fetched(self, apn: str) -> None:
        """Note a whole parcel that was let through to its answer."""
        if self._track:
            self._fetched[apn] += 1

    def agent(self, name: str) -> None:
        """Note who asked: a User-Agent."""
        if self._track:
            self._agents[name] += 1

    def unknown(self, path: str) -> None:
        """Note a path that the source does not have."""
        if len(self._paths) < _PATHS_KEPT:
            self._paths.append(path)

    def report(self) -> dict[str, Any]:
        """Return the counts for /_stats. Times are seconds since 1970; `per_second` lists [second, requests
        begun in it].
        """
        report: dict[str, Any] = {
            "requests": self._requests,
            "by_kind": dict(self._kinds),
            "by_status": dict(self._statuses),
            "refused": self._refused,
            "faults": dict(self._faults),
            "in_flight": self._in_flight,
            "in_flight_peak": self._peak,
            "bytes": self._bytes,
            "first_request": self._first or None,
            "last_request": self._last or None,
            "per_second": [list(pair) for pair in self._seconds.items()],
            "unknown_paths": list(self._paths),
        }
        if self._track:
            report["fetched"] = dict(self._fetched)
            report["agents"] = dict(self._agents)
            report["answered_at"] = list(self._answered_at)
            report["refused_at"] = list(self._refused_at)
        return report
