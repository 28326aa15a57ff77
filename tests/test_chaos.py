"""The short form of `make chaos`, without pages: faults of every kind, kills, restarts of Postgres; nothing
is lost, nothing is wrong.
"""

import tempfile
from pathlib import Path

from benchmarks.chaos import MUST_MEET, campaign
from benchmarks.chaos_campaign import Plan
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import migrate
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Database, administer
from tests.helpers.recorder import documents
from tests.helpers.rolls import layer
from tests.helpers.truth import wrong

_TAMPER = (
    "UPDATE assessor.owner SET ownership = 'NOBODY' WHERE apn = (SELECT min(apn) FROM assessor.owner)",
    (
        "UPDATE crawl.target SET state = 'gone' WHERE id = (SELECT max(id) FROM crawl.target WHERE source ="
        " 'assessor' AND state = 'done')"
    ),
    "UPDATE gis.parcel SET owner_name = 'NOBODY' WHERE apn = (SELECT min(apn) FROM gis.parcel)",
    (
        "UPDATE recorder.document SET page_amount = 99 WHERE recording_number = (SELECT min(recording_number)"
        " FROM recorder.document)"
    ),
)
# Seconds after which it is said to hang: many times what it takes.
_NEVER_S = 500.0


def test_a_job_under_every_fault_loses_nothing_and_stores_nothing_wrong() -> None:
    plan = Plan(
        parcels=30,
        absent=2,
        kills=2,
        browsers=0,
        mode="api_only",
        challenged=("assessor",),
        rate=15,
        trouble_s=1,
        most_s=_NEVER_S,
        timeout_s=2,
        silence_s=3,
    )
    # A server of its own, for it is killed; not below pytest's folders, as the server of the other tests.
    with tempfile.TemporaryDirectory(prefix="maricopa-tests-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        url = embedded.start(folder / "data")
        try:
            migrate(url)
            done, under, after = campaign(plan, folder / "data", folder, url)
            for statement in _TAMPER:
                administer(url, statement)
            noticed = wrong(
                Database(url), 1, County(), documents(), layer(2 * plan.parcels), County().apns(plan.parcels)
            )
        finally:
            embedded.release(folder / "data")
    assert sorted(line.split()[0] for line in noticed) == ["assessor", "assessor", "gis", "recorder"], (
        "the comparison sees nothing"
    )
    assert done.has_ended
    assert not done.unsent
    assert (under.lost, under.wrong, under.problems) == (0, [], [])
    assert under.of("done") + under.of("gone") + under.of("dead") == under.states.total()
    assert not [name for name in MUST_MEET if not done.met(name)]
    assert (done.kills, done.restarts) == (2, 2)
    assert under.reasons["blocked"] >= 1
    assert under.reasons["source_unavailable"] >= 1
    assert done.resumed >= 1
    assert done.retried == under.of("dead") + under.unread >= 2
    assert (after.verdict, after.wrong, after.problems, after.of("dead"), after.unread) == (
        "completed",
        [],
        [],
        0,
        0,
    )
