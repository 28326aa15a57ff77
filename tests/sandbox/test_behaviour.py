"""What a sandbox county can be told while it serves: its budget, its latency, and faults that end by
themselves.
"""

import time
from typing import Any

import pytest

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.server import SandboxError
from tests.helpers.command import wait_for
from tests.sandbox.test_server import parcel, stats

APNS = County().apns(12)


def test_a_budget_that_changes_keeps_what_was_saved_up() -> None:
    with SandboxProcess(rate=0.1, burst=3) as sandbox:
        assert [parcel(sandbox, apn).status for apn in APNS[:5]] == [200] * 3 + [429] * 2
        sandbox.conduct(rate=1000, burst=3)
        time.sleep(0.1)
        assert [parcel(sandbox, apn).status for apn in APNS[:3]] == [200] * 3
        sandbox.conduct(rate=None)
        assert {parcel(sandbox, apn).status for apn in APNS} == {200}


def test_slowing_down_instead_of_refusing() -> None:
    with SandboxProcess(rate=10, burst=2, slow_down=True, track=True) as sandbox:
        begun = time.monotonic()
        assert {parcel(sandbox, apn).status for apn in APNS[:6]} == {200}
        assert time.monotonic() - begun >= 0.35
        assert stats(sandbox)["refused"] == 0
        assert len(stats(sandbox)["answered_at"]) == 6


def test_latency_that_changes() -> None:
    with SandboxProcess() as sandbox:
        sandbox.conduct(latency=0.3)
        begun = time.monotonic()
        assert parcel(sandbox, APNS[0]).status == 200
        assert time.monotonic() - begun >= 0.3


def test_a_fault_that_ends_by_itself() -> None:
    with SandboxProcess() as sandbox:
        sandbox.faults({"unavailable": {"probability": 1.0, "seconds": 3}})
        assert parcel(sandbox, APNS[0]).status == 503
        wait_for(lambda: parcel(sandbox, APNS[0]).status == 200)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0},
        {"rate": -1},
        {"burst": 0},
        {"retry_after": "soon"},
        {"speed": 3},
        {"rate": "fast"},
        {"treasurer_skin": "striped"},
    ],
)
def test_conduct_that_makes_no_sense_changes_nothing(changes: dict[str, Any]) -> None:
    with SandboxProcess(rate=0.1, burst=1) as sandbox:
        with pytest.raises(SandboxError):
            sandbox.conduct(**changes)
        assert [parcel(sandbox, apn).status for apn in APNS[:2]] == [200, 429]


@pytest.mark.parametrize("seconds", [0, -1, "long"])
def test_seconds_of_a_fault_are_checked(seconds: object) -> None:
    with SandboxProcess() as sandbox, pytest.raises(SandboxError, match="its seconds are a number above 0"):
        sandbox.faults({"unavailable": {"seconds": seconds}})
