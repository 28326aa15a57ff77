"""`scrapy crawl tax` in a real browser against the sandbox's treasurer: what is stored, what the county counted, how it ends."""

from pathlib import Path

from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.store import verify
from maricopa_scrapy.store.connect import Session
from tests.conftest import Database
from tests.taxes import Start, crawler, differences, listed, needs_browser

pytestmark = needs_browser


def _agrees(database: Database) -> None:
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()


def test_every_bill_and_payment_is_the_county_s(tmp_path: Path, database: Database, county: Start) -> None:
    truth = County()
    apns, absent = truth.apns(40), truth.absent(3)
    sandbox = county(latency=0.05)
    crawl = crawler(database, sandbox, tmp_path)("tax", "-a", listed(tmp_path, apns + absent))
    assert crawl.code == 0, crawl.log
    assert "Traceback" not in crawl.log
    assert database.states() == {"done": 40, "gone": 3}
    assert differences(database, truth, apns) == []
    stats = sandbox.stats()["treasurer"]
    assert stats["by_kind"]["parcel"] == 43
    assert stats["by_kind"]["payments"] == 40
    # Never asked for: pictures and fonts; asked for once a page: its style.
    assert not {"image", "font"} & stats["by_kind"].keys()
    assert stats["by_kind"]["stylesheet"] <= 4
    _agrees(database)
