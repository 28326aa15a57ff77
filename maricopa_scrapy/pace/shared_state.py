"""What all processes that ask one source share: its rate, its health, and who may try whether it is well
again.

Pure: a process reports what it saw and gets what it may do. ledger/source_state.py keeps the state in one row
a source.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeVar

from maricopa_scrapy.configuration import Breaker, Retries
from maricopa_scrapy.pace.rate import Limits, SourceRate

T = TypeVar("T")

_PROBE_SLACK_S = 1.0
# Reports come every two seconds: what lies so far apart is no time that the source was asked in vain, but a
# clock that was set.
_GAP_S = 600.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was refused for being too fast: when it was refused, when it was sent, its Retry-After
    in seconds.
    """

    at: float
    sent_at: float
    retry_after: float | None


@dataclass(slots=True)
class Report:
    """What one process saw since its last report.

    `accepted`: answers; `failures`: when each request was sent that failed after the last of them.
    `is_used`: it sent nearly all that it was allowed to; `wants`: it has something to send.
    """

    accepted: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    is_used: bool = False
    wants: bool = True


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one process may do: its rate (requests per second), its share of the source, seconds to wait
    first.

    `may_probe`: None, or whether this process sends the one request that tries the source. `silent`: seconds
    without an answer.
    """

    rate: float
    share: float
    hold: float
    may_probe: bool | None
    silent: float
    is_open: bool


@dataclass(slots=True)
class Health:
    """Failures in a row, since when there was no answer, the breaker, and the retries that are still
    allowed.
    """

    failures: int = 0
    failing_since: float | None = None
    is_open: bool = False
    probes: int = 0
    retries: float = 0.0


@dataclass(slots=True)
class SourceState:
    """The row of a source. `probe_run` has the right to try it until `probe_until`; the last report came at
    `reported_at`.
    """

    rate: SourceRate
    health: Health
    probe_run: int | None = None
    probe_until: float = 0.0
    reported_at: float = 0.0

    @classmethod
    def load(cls, row: dict[str, Any], limits: Limits, retries: Retries) -> Self:
        """Return the state that a row holds; an empty one is a source never asked."""
        if not row:
            start = limits.clamp(limits.start)
            return cls(SourceRate(start, start), Health(retries=retries.at_least))
        # Another version may have written it, on another machine.
        probe = row.get("probe_run"), row.get("probe_until", 0.0)
        return cls(
            _known(SourceRate, row["rate"]),
            _known(Health, row["health"]),
            *probe,
            row.get("reported_at", 0.0),
        )

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return asdict(self)

    def restart(self, now: float, limits: Limits) -> None:
        """Begin where the last run stopped, when no other run asks the source."""
        self.rate.restart(now, limits)
        # An open source is silent from now on, not since yesterday.
        self.health.failing_since = now if self.health.is_open else None
        self.health.probes = 0
        self.probe_run = None

    def take(
        self, run: int, report: Report, now: float, limits: Limits, breaker: Breaker, retries: Retries
    ) -> None:
        """Take in what a process saw."""
        health = self.health
        self.rate.mend(now, max(limits.hold_most, breaker.probe_most))
        self._mend(now, max(limits.hold_most, breaker.probe_most))
        # Of the budget a run tells nothing that has nothing to ask for.
        if report.wants or report.accepted:
            self.rate.answered(now, report.accepted, report.is_used, limits)
        if report.accepted:
            health.failures = 0
            health.failing_since, health.is_open, health.probes = None, False, 0
            health.retries = min(health.retries + retries.share * report.accepted, retries.at_most)
        if (report.refusals or report.failures) and self.probe_run == run:
            self.probe_run = None
        for refusal in report.refusals:
            self._failing(now)
            self.rate.refused(refusal.at, refusal.sent_at, refusal.retry_after, limits)
        for sent_at in report.failures:
            self._failing(now)
            if sent_at >= self.rate.resumed_at:
                self._failed(now, breaker)

    def _mend(self, now: float, longest: float) -> None:
        """Count no silence, and no right to try the source, that is only a clock's that was set, either
        way.
        """
        passed = now - self.reported_at if self.reported_at else 0.0
        self.reported_at = now
        self.probe_until = min(self.probe_until, now + longest)
        if self.health.failing_since is not None and not 0 <= passed <= _GAP_S:
            self.health.failing_since = min(now, self.health.failing_since + passed)

    def _failing(self, now: float) -> None:
        if self.health.failing_since is None:
            self.health.failing_since = now

    def _failed(self, now: float, breaker: Breaker) -> None:
        health = self.health
        health.failures += 1
        if health.failures >= breaker.failures:
            health.probes += health.is_open
            health.is_open = True
            self.rate.hold(now, min(breaker.probe_after * 2 ** min(health.probes, 16), breaker.probe_most))

    def allow(
        self, run: int, share: float, now: float, limits: Limits, timeout: float, wants: bool
    ) -> Allowance:
        """Return what the run may do with its share of the source; one that `wants` may get the right to try
        a source in trouble.
        """
        health, rate = self.health, self.rate
        hold = max(0.0, rate.blocked_until - now)
        may_probe: bool | None = None
        if health.is_open or rate.refusals > 1:
            if not hold and self.probe_until <= now:
                self.probe_run = None
            may_probe = wants and not hold and self.probe_run in (None, run)
            if may_probe and self.probe_run is None:
                self.probe_run, self.probe_until = run, now + timeout + _PROBE_SLACK_S
        in_trouble = health.failing_since is not None and (health.is_open or rate.refusals)
        silent = now - health.failing_since if in_trouble and health.failing_since is not None else 0.0
        return Allowance(
            min(rate.rate, limits.ceiling) * share, share, hold, may_probe, silent, health.is_open
        )


def _known(kind: type[T], values: dict[str, Any]) -> T:
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names})
