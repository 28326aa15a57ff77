"""The rate against token buckets of every size, on a clock that is simulated: what it gets, and what it
provokes.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maricopa_scrapy.pace.rate import Limits, SourceRate

REPORT_S = 0.5


@dataclass
class Bucket:
    """The host: `rate` a second at the time asked, `burst` saved up."""

    rate: Callable[[float], float]
    burst: float
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def takes(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate(now))
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Outcome:
    """Times of answers and of refusals."""

    answers: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)

    def goodput(self, begin: float, end: float) -> float:
        return sum(begin <= at < end for at in self.answers) / (end - begin)

    def refused(self, begin: float, end: float) -> float:
        refusals = sum(begin <= at < end for at in self.refusals)
        return refusals / max(1, refusals + sum(begin <= at < end for at in self.answers))


def simulate(
    bucket: Bucket, seconds: float, retry_after: float | None = 1.0, latency: float = 0.003, width: int = 5
) -> Outcome:
    """Send as the slot does: never more than `width` at once, gaps of the rate with 10 % of jitter."""
    limits = Limits(start=1.0, floor=0.2, ceiling=500.0)
    rate = SourceRate(1.0, 1.0)
    outcome = Outcome()
    under_way: list[tuple[float, bool, float]] = []
    now, due, report, accepted = 0.0, 0.0, REPORT_S, 0
    dice = random.Random(5)
    while now < seconds:
        may_send = max(due, rate.blocked_until, now) if len(under_way) < width else float("inf")
        now = min(report, may_send, under_way[0][0] if under_way else float("inf"))
        if under_way and under_way[0][0] <= now:
            _, is_taken, sent_at = heapq.heappop(under_way)
            if is_taken:
                accepted += 1
                outcome.answers.append(now)
            else:
                outcome.refusals.append(now)
                rate.answered(now, accepted, True, limits)
                rate.refused(now, sent_at, retry_after, limits)
                accepted = 0
        elif report <= now:
            rate.answered(now, accepted, True, limits)
            report, accepted = now + REPORT_S, 0
        else:
            heapq.heappush(under_way, (now + latency, bucket.takes(now), now))
            due = max(due, now) + dice.uniform(0.9, 1.1) / rate.rate
        assert limits.floor <= rate.rate <= limits.ceiling
    return outcome


@pytest.mark.parametrize("retry_after", [1.0, None])
@pytest.mark.parametrize(("rate", "burst"), [(50, 10), (20, 5), (5, 5), (5, 50), (100 / 60, 40), (150, 30)])
def test_a_budget_nobody_told_is_used_and_hardly_ever_exceeded(
    rate: float, burst: float, retry_after: float | None
) -> None:
    seconds = max(120.0, 400 / rate)
    outcome = simulate(Bucket(lambda now: rate, burst), seconds, retry_after)
    assert outcome.goodput(seconds / 2, seconds) >= 0.85 * rate
    assert outcome.refused(seconds / 2, seconds) <= 0.02


@pytest.mark.parametrize("rate", [10.0, 50.0])
def test_a_budget_that_halves_and_doubles_is_followed_within_half_a_minute(rate: float) -> None:
    outcome = simulate(Bucket(lambda now: rate / 2 if 60 <= now < 120 else rate, rate / 5), 180)
    for begin, budget in ((90, rate / 2), (150, rate)):
        assert outcome.goodput(begin, begin + 20) >= 0.8 * budget
        assert outcome.refused(begin, begin + 20) <= 0.02


def test_the_county_s_burst_is_not_taken_for_its_rate() -> None:
    outcome = simulate(Bucket(lambda now: 100 / 60, 40), 35, retry_after=None)
    assert len(outcome.answers) >= 90
    assert outcome.answers[49] <= 35
    assert [at for at in outcome.refusals if at <= outcome.answers[49]] == []


def test_one_congestion_event_cuts_once() -> None:
    limits = Limits(1.0, 0.2, 500.0)
    rate = SourceRate(40.0, 40.0, stepped_at=9.0)
    rate.refused(10.0, 9.9, None, limits)
    cut = rate.rate
    for late in range(5):
        rate.refused(10.01 + late / 100, 9.95, None, limits)
    assert rate.rate == cut < 40
    assert rate.blocked_until == pytest.approx(11.0)


def test_a_longer_retry_after_of_the_same_event_counts_and_is_clamped() -> None:
    limits = Limits(1.0, 0.2, 500.0, hold_most=300.0)
    rate = SourceRate(40.0, 40.0, stepped_at=9.0)
    rate.refused(10.0, 9.9, 2.0, limits)
    rate.refused(10.1, 9.9, 86_400.0, limits)
    assert rate.blocked_until == pytest.approx(310.1)


def test_refusals_without_an_answer_between_them_double_the_hold_and_leave_the_rate() -> None:
    limits = Limits(1.0, 0.2, 500.0, hold_most=60.0)
    rate = SourceRate(40.0, 40.0, stepped_at=0.0)
    holds, now = [], 1.0
    for _ in range(9):
        rate.refused(now, now, None, limits)
        holds.append(rate.blocked_until - now)
        now = rate.blocked_until
    assert holds == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert rate.rate == pytest.approx(40 * 0.7 * 0.95)


def test_the_next_run_starts_at_nine_tenths_of_what_was_learnt() -> None:
    limits = Limits(1.0, 0.2, 500.0)
    for budget in (None, 48.0):
        rate = SourceRate(48.0, 48.0, budget=budget)
        rate.restart(100.0, limits)
        assert rate.rate == pytest.approx(43.2)
        rate.answered(100.5, 20, True, limits)
        assert 43.2 <= rate.rate <= 75


def test_a_rate_that_is_not_used_does_not_grow() -> None:
    limits = Limits(1.0, 0.2, 500.0)
    rate = SourceRate(2.0, 2.0, stepped_at=1.0)
    for second in range(2, 600):
        rate.answered(float(second), 1, False, limits)
    assert rate.rate == 2.0


@given(
    st.lists(
        st.tuples(
            st.floats(0, 30),
            st.integers(0, 1000),
            st.booleans(),
            st.booleans(),
            st.one_of(st.none(), st.floats(0, 1e9)),
            st.floats(0, 60),
        ),
        max_size=60,
    ),
    st.floats(0.2, 5),
    st.floats(0.3, 500),
)
def test_nothing_drives_it_out_of_its_limits(
    events: list[tuple[float, int, bool, bool, float | None, float]], start: float, most: float
) -> None:
    limits = Limits(min(start, most), 0.2, most)
    rate = SourceRate(limits.clamp(limits.start), limits.clamp(limits.start))
    now = 1.6e9
    for passed, accepted, is_used, is_refused, retry_after, age in events:
        now += passed
        rate.answered(now, accepted, is_used, limits)
        if is_refused:
            rate.refused(now, now - age, retry_after, limits)
        assert 0.2 <= rate.rate <= most
        assert rate.blocked_until <= now + limits.hold_most + 1e-6


def test_a_retry_after_that_does_not_help_is_not_believed_twice() -> None:
    limits = Limits(1.0, 0.2, 2.0, hold_most=60.0)
    rate = SourceRate(2.0, 2.0, stepped_at=0.0)
    now, asked = 1.0, 0
    while now < 900:
        rate.refused(now, now, 0.0, limits)
        now, asked = rate.blocked_until, asked + 1
    assert asked <= 25


def test_a_clock_that_was_set_back_holds_no_longer_than_is_legal() -> None:
    limits = Limits(1.0, 0.2, 2.0, hold_most=60.0)
    rate = SourceRate(2.0, 2.0, stepped_at=7200.0)
    rate.refused(7200.0, 7200.0, 30.0, limits)
    rate.mend(3600.0, 60.0)
    assert rate.blocked_until <= 3660.0
    rate.answered(3700.0, 5, True, limits)
    assert rate.refusals == 0


def test_runs_that_follow_each_other_do_not_wear_the_rate_down() -> None:
    limits = Limits(1.0, 0.2, 5.0)
    rate = SourceRate(4.0, 4.0, budget=4.0)
    for run in range(10):
        rate.restart(1000.0 * run, limits)
    assert rate.rate == pytest.approx(3.6)
