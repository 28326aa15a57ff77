"""How fast a source may be asked: a rate that finds a budget nobody published, and stays just under it.

Pure: seconds in, seconds out, no clock of its own. All processes that ask a source share one `SourceRate`: it
is part of what `crawl.source` holds (pace/shared_state.py), and is applied to Scrapy's slots by
pace/throttle.py.
"""

import math
from dataclasses import dataclass

# Slow start: exponential growth by the second (1.6 times) or by the answer (1.1 times), whichever is less.
_GROWTH_PER_S = math.log(1.6)
_GROWTH_PER_ANSWER = math.log(1.1)
# Longer gaps between two reports tell nothing more.
_GAP_MOST_S = 5.0
_FIRST_CUT = 0.7
_FEW = 10
# Seconds, or requests, that an estimate looks back on.
_MEMORY_S = 5.0
_MEMORY_REQUESTS = 50.0
# CUBIC (RFC 9438): begins at 0.95 of the budget, is level with it after 8 s, at 1.8 of it after 28 s.
_LEVEL_AT_S = 8.0
_BEGIN = 0.95
_CURVE = (1 - _BEGIN) / _LEVEL_AT_S**3
# Seconds between two refusals at which the curve runs at its own time; below 5 requests a second it is
# stretched.
_FULL_CYCLE_S = 10.0
_FULL_RATE = 5.0
_STRETCH_MOST = 6.0
_STRETCH_LEAST = 0.1
_RESTART = 0.9
_DOUBLINGS_MOST = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests per second (start, floor, ceiling); seconds of the first hold without a Retry-After, and of
    the longest hold.
    """

    start: float
    floor: float
    ceiling: float
    hold: float = 1.0
    hold_most: float = 300.0

    def clamp(self, rate: float) -> float:
        return min(self.ceiling, max(min(self.floor, self.ceiling), rate))


@dataclass(slots=True)
class SourceRate:
    """What is known of a source's budget; times in seconds of one clock that all processes share.

    `rate`: requests per second now, `reached` the highest so far. `budget`: the estimate, None before the
    first refusal. Sending began again at `resumed_at`, after a hold of `hold_s`; `curve_s`: seconds of full
    use since then, on a curve drawn out by
    `stretch`. `accepted` answers came in `sending_s`; these and `hold_s` fade. `refusals`: congestion events
    since the last answer.
    """

    rate: float
    reached: float
    budget: float | None = None
    stretch: float = 1.0
    curve_s: float = 0.0
    accepted: float = 0.0
    sending_s: float = 0.0
    hold_s: float = 0.0
    refusals: int = 0
    resumed_at: float = 0.0
    blocked_until: float = 0.0
    stepped_at: float = 0.0

    def restart(self, now: float, limits: Limits) -> None:
        """Begin a run on a source that nobody else asks: at 90 % of what was learnt."""
        self.rate = limits.clamp(_RESTART * (self.reached if self.budget is None else self.budget))
        self.curve_s = 0.0
        self.accepted = self.sending_s = self.hold_s = 0.0
        self.stepped_at = now
        self.resumed_at = max(now, self.blocked_until)

    def mend(self, now: float, longest_hold: float) -> None:
        """Believe no time that the clock cannot have told: it may have been set back."""
        self.blocked_until = min(self.blocked_until, now + longest_hold)
        self.resumed_at = min(self.resumed_at, now + longest_hold)
        self.stepped_at = min(self.stepped_at, now)

    def answered(self, now: float, accepted: int, is_used: bool, limits: Limits) -> None:
        """Time has passed and `accepted` answers have come; the rate grows only where it `is_used`."""
        passed = min(max(0.0, now - max(self.stepped_at, self.resumed_at)), _GAP_MOST_S)
        self.stepped_at = now
        if now <= self.resumed_at:
            return  # answers to what was sent before the refusal
        if accepted:
            self.refusals = 0
        if not is_used:
            return  # what is not asked for tells nothing of the budget
        fading = math.exp(-passed / max(_MEMORY_S, _MEMORY_REQUESTS / self.rate))
        self.accepted = self.accepted * fading + accepted
        self.sending_s = self.sending_s * fading + passed
        self.hold_s *= fading
        if self.budget is None:
            self.rate *= math.exp(min(_GROWTH_PER_S * passed, _GROWTH_PER_ANSWER * accepted))
        elif self.rate < limits.ceiling:
            self.curve_s += passed
            self.rate = self.budget * (1 + _CURVE * (self.curve_s / self.stretch - _LEVEL_AT_S) ** 3)
        self.rate = limits.clamp(self.rate)
        self.reached = max(self.reached, self.rate)

    def refused(self, now: float, sent_at: float, retry_after: float | None, limits: Limits) -> None:
        """The source refused a request sent at `sent_at`. One congestion event cuts the rate once, whatever
        it hits.
        """
        if sent_at < self.resumed_at:
            self.hold(now, min(retry_after or 0.0, limits.hold_most))
            return
        self._learn(now, limits)
        self.refusals += 1
        doubled = limits.hold * 2 ** min(self.refusals - 1, _DOUBLINGS_MOST)
        # A Retry-After that did not help once is not believed a second time.
        hold = doubled if retry_after is None else max(retry_after, doubled / 2 if self.refusals > 1 else 0.0)
        self.resumed_at = now
        self.hold(now, min(max(hold, 1 / self.rate), limits.hold_most))
        self.accepted = self.sending_s = self.curve_s = 0.0
        self.hold_s = self.resumed_at - now

    def _learn(self, now: float, limits: Limits) -> None:
        if self.budget is None:
            self.budget = self.rate * _FIRST_CUT
            self.stretch = _STRETCH_LEAST
        elif self.accepted:
            # A bucket was empty at both refusals: between them it gave its budget, but for what ran over, or
            # was saved up, in the hold.
            sending = max(self.sending_s, 1 / self.rate)
            lower = self.accepted / (sending + self.hold_s)
            upper = min(self.rate, (self.accepted + 1) / sending)
            # A few answers say little of what a source would go on giving: the lower bound is nearer.
            trust = min(1.0, self.accepted / _FEW)
            middle = lower * (upper / lower) ** (trust / 2)
            estimate = min(self.rate, 0.97 * middle * (self.rate / middle) ** (trust / 3))
            # Two estimates of one budget err to either side; a budget that has changed differs by more.
            is_same = 0.7 < estimate / self.budget < 1.4
            self.budget = math.sqrt(estimate * self.budget) if is_same else estimate
            most = min(max(1.0, _FULL_RATE / self.budget), _STRETCH_MOST)
            self.stretch = min(max((now - self.resumed_at) / _FULL_CYCLE_S, _STRETCH_LEAST), most)
        self.budget = self.reached = limits.clamp(self.budget)
        self.rate = limits.clamp(self.budget * _BEGIN)

    def hold(self, now: float, seconds: float) -> None:
        """Ask nothing for so many seconds."""
        self.blocked_until = self.resumed_at = max(self.resumed_at, now + seconds)
