"""The short form of `make chaos`, without pages: faults of every kind, kills, a restart of Postgres; nothing is lost, nothing is wrong."""

from pathlib import Path

from benchmarks.chaos import MUST_MEET, campaign
from benchmarks.chaos_campaign import Plan
from maricopa_scrapy.store import embedded
from maricopa_scrapy.store.connect import migrate

# Seconds after which it hangs; a busy machine needs a part of it.
_NEVER_S = 400.0


def test_a_job_under_every_fault_loses_nothing_and_stores_nothing_wrong(tmp_path: Path, tmp_path_factory: object) -> None:
    plan = Plan(
        parcels=30, absent=2, kills=2, browsers=0, mode="api_only", challenged=("assessor",), rate=10, trouble_s=1, most_s=_NEVER_S
    )
