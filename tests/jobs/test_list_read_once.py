"""A list of APNs is read when a job is planned, and not again for each of its steps."""

from pathlib import Path

from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.plan import Order
from tests.conftest import Database


def test_a_list_may_be_gone_once_it_was_planned(tmp_path: Path, database: Database) -> None:
    file = tmp_path / "apns.csv"
    file.write_text("apn,priority\n165-28-054,low\n165-28-055,critical\n165-28-054,low\n")
    with JobManager(database.url, sandbox="http://127.0.0.1:1") as manager:
        plan = manager.plan(Order("comprehensive", apns=str(file)))
        file.unlink()
        job = manager.write(plan)
    assert (plan.parcels, plan.parameters["apns"]) == (2, str(file))
    assert "1 of 3 APNs are given twice" in plan.notes
    asked = database.rows(
        "SELECT source, key, priority FROM crawl.target WHERE job_id = %s AND kind = 'parcel' ORDER BY 1, 2",
        job,
    )
    sources = sorted({source for source, _, _ in asked})
    assert sources == ["assessor", "treasurer"]
    assert asked == [
        (source, apn, priority) for source in sources for apn, priority in (("16528054", 3), ("16528055", 0))
    ]
