"""What processes share of a source: the breaker, its probes, the retry quota."""

from typing import Any

import pytest

from maricopa_scrapy.configuration import Breaker, Retries
from maricopa_scrapy.pace.rate import Limits
from maricopa_scrapy.pace.shared_state import Allowance, Refusal, Report, SourceState

LIMITS = Limits(start=2.0, floor=0.2, ceiling=5.0)
BREAKER = Breaker(failures=10, probe_after=5, probe_most=60, silence=900)
RETRIES = Retries(at_least=10, share=0.1, at_most=100)
TIMEOUT = 30.0


class Shared:
    """A source's row, and the clock."""

    def __init__(self) -> None:
        self.row: dict[str, Any] = {}
        self.now = 1000.0

    def report(self, run: int, report: Report) -> Allowance:
        state = SourceState.load(self.row, LIMITS, RETRIES)
        state.take(run, report, self.now, LIMITS, BREAKER, RETRIES)
        allowance = state.allow(run, 1.0, self.now, LIMITS, TIMEOUT, report.wants)
        self.row = state.dump()
        return allowance

    def fail(self, run: int, times: int = 1) -> Allowance:
        return self.report(run, Report(failures=[self.now] * times))

    @property
    def health(self) -> dict[str, Any]:
        health: dict[str, Any] = self.row["health"]
        return health


def test_the_breaker_opens_after_failures_in_a_row_of_all_runs_together() -> None:
    shared = Shared()
    assert shared.fail(1, 5).is_open is False
    assert shared.fail(2, 4).is_open is False
    assert shared.fail(1, 1).is_open is True


def test_an_answer_in_between_keeps_it_closed() -> None:
    shared = Shared()
    shared.fail(1, 9)
    shared.report(2, Report(accepted=1))
    assert shared.fail(1, 9).is_open is False


def test_one_run_at_a_time_probes_an_open_source_ever_more_rarely() -> None:
    shared = Shared()
    holds = [shared.fail(1, 10).hold]
    for _ in range(5):
        shared.now += holds[-1]
        assert shared.report(2, Report()).may_probe is True
        assert shared.report(1, Report()).may_probe is False
        shared.now += 0.1
        holds.append(shared.fail(2).hold)
    assert holds == pytest.approx([5, 10, 20, 40, 60, 60])
    shared.now += 60
    assert shared.report(1, Report()).may_probe is True
    well = shared.report(1, Report(accepted=1))
    assert (well.may_probe, well.is_open, well.hold) == (None, False, 0.0)
    assert shared.report(2, Report()).may_probe is None


def test_the_right_to_probe_of_a_run_that_died_goes_to_another() -> None:
    shared = Shared()
    shared.now += shared.fail(1, 10).hold
    assert shared.report(1, Report()).may_probe is True
    assert shared.report(2, Report()).may_probe is False
    shared.now += TIMEOUT + 2
    assert shared.report(2, Report()).may_probe is True


def test_late_failures_of_one_outage_do_not_lengthen_the_first_hold() -> None:
    shared = Shared()
    sent_at = shared.now
    shared.fail(1, 10)
    shared.now += 1
    allowance = shared.report(1, Report(failures=[sent_at] * 5))
    assert allowance.hold == pytest.approx(4)


def test_silence_counts_from_the_first_failure_and_ends_with_an_answer() -> None:
    shared = Shared()
    shared.fail(1)
    shared.now += 500
    assert shared.report(1, Report(refusals=[Refusal(shared.now, shared.now, None)])).silent == pytest.approx(
        500
    )
    shared.now += 100
    assert shared.report(1, Report(accepted=1)).silent == 0


def test_a_new_run_does_not_inherit_yesterday_s_silence() -> None:
    shared = Shared()
    shared.fail(1, 10)
    shared.now += 86_400
    state = SourceState.load(shared.row, LIMITS, RETRIES)
    state.restart(shared.now, LIMITS)
    allowance = state.allow(2, 1.0, shared.now, LIMITS, TIMEOUT, True)
    assert (allowance.silent, allowance.is_open, allowance.may_probe) == (0.0, True, True)


def test_retries_are_earned_by_answers_and_not_during_an_outage() -> None:
    shared = Shared()
    shared.report(1, Report(wants=False))
    assert shared.health["retries"] == 10
    shared.report(1, Report(accepted=50, wants=False))
    assert shared.health["retries"] == pytest.approx(15)
    shared.fail(1, 10)
    shared.now += 3600
    shared.fail(1)
    assert shared.health["retries"] == pytest.approx(15, abs=0.01)
    shared.report(1, Report(accepted=5000))
    assert shared.health["retries"] == 100


def test_who_has_nothing_to_send_does_not_get_the_right_to_probe() -> None:
    shared = Shared()
    shared.now += shared.fail(1, 10).hold
    assert shared.report(2, Report(wants=False)).may_probe is False
    assert shared.report(1, Report()).may_probe is True
    # Another run's late failure does not take it away.
    shared.report(2, Report(failures=[shared.now - 20]))
    assert shared.report(2, Report()).may_probe is False


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_is_no_silence_of_the_source(step: float) -> None:
    shared = Shared()
    shared.fail(1, 10)
    for second in range(20):
        shared.now += 1 + (step if second == 10 else 0)
        silent = shared.fail(1).silent
        assert 0 <= silent <= 21
    assert silent > 8
