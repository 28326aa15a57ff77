"""The canary: each run of the assessor compares its links to the treasurer with the treasurer's own
manifest.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database

Start = Callable[..., SandboxProcess]
ISSUES = (
    "SELECT kind, message, count, example ->> 'found', example ->> 'expected' FROM crawl.issue ORDER BY id"
)


def _treasurer_at(tmp_path: Path, base_url: str, path: str) -> dict[str, str]:
    folder = tmp_path / "settings"
    shutil.copytree(ROOT / "config", folder)
    manifest = {
        "source": "treasurer",
        "title": "Treasurer",
        "base_url": base_url,
        "paths": {"parcel": path},
        "rate": {"kind": "scraper", "start": 0.5, "floor": 0.2},
        "concurrency": 1,
        "timeout": 30,
        "attempts": 5,
        "max_body": 1000000,
    }
    (folder / "sources" / "treasurer.yaml").write_text(yaml.safe_dump(manifest))
    return {"MARICOPA_CONFIG": str(folder)}


def test_a_treasurer_that_moved_is_one_issue_and_no_failure(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    # Vacant land without a sketch is told apart by this link alone.
    vacant = [apn for apn in truth.apns(60) if not truth.parcel(apn)["Sketches"]["Pages"]][:3]
    assert len(vacant) == 3
    apns = list(dict.fromkeys(vacant + truth.apns(20)))[:20]
    old = _treasurer_at(tmp_path, "https://treasurer.maricopa.gov/", "/parcel/default.aspx?Parcel={apn}")
    sandbox = county()
    argument = "apns=" + ",".join(apns)
    for number, spider in enumerate((("assessor",), ("assessor", "-a", "via=page")), start=1):
        crawl = Crawler(database, sandbox.url, environment=old)(*spider, "-a", argument)
        assert crawl.code == 0, crawl.log
        assert database.states(number) == {"done": 20}
    issues = database.rows(ISSUES)
    expected = "https://treasurer.maricopa.gov/parcel/default.aspx?Parcel={apn}"
    found = "https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}"
    assert [(kind, count) for kind, _, count, _, _ in issues] == [("treasurer_moved", 20)] * 2
    for _, message, _, example, wanted in issues:
        assert (
            message == f"the treasurer moved: the assessor leads to {found}, config/sources/treasurer.yaml to"
            f" {expected}"
        )
        # Whichever answer came first.
        assert example in [found.format(apn=apn) for apn in apns]
        assert wanted in [expected.format(apn=apn) for apn in apns]

    sandbox.faults({"treasurer_moved": 1.0})
    crawl = Crawler(database, sandbox.url, environment=old)("assessor", "-a", argument)
    assert crawl.code == 0, crawl.log
    assert database.states(3) == {"done": 20}
    assert [count for _, message, count, _, _ in database.rows(ISSUES) if "/tax/parcel/{apn}" in message] == [
        20
    ]


def test_a_treasurer_that_stayed_is_none(tmp_path: Path, database: Database, county: Start) -> None:
    new = _treasurer_at(tmp_path, "https://treasurer.maricopa.gov", "/PropertyTaxInformation/?Parcel={apn}")
    argument = "apns=" + ",".join(County().apns(5))
    sandbox = county()
    assert Crawler(database, sandbox.url, environment=new)("assessor", "-a", argument).code == 0
    assert (
        Crawler(database, sandbox.url, environment=new)("assessor", "-a", "via=page", "-a", argument).code
        == 0
    )
    assert database.rows(ISSUES) == []
