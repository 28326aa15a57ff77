"""`maricopa property`: each section says whose word it is, and how old."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.cli import terminal
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawler, Database
from tests.helpers.command import Maricopa

Start = Callable[..., SandboxProcess]


def _sections(shown: str) -> dict[str, str]:
    """Return the sources by section title."""
    return dict(
        re.findall(
            r"(?m)^(\w+)  (.+?), (?:just now|\d+ \w+ ago) \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\), last changed",
            shown,
        )
    )


def test_each_section_names_its_source_and_age(
    tmp_path: Path, database: Database, county: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "width", 120)
    truth = County()
    homes = [
        apn
        for apn in truth.apns(80)
        if truth.undrawn(apn)[0]["IsResidential"] and not truth.undrawn(apn)[0]["Owner"].get("Redacted")
    ]
    by_api, by_page, by_both = homes[:3]
    assert any(truth.parcel(apn)["Owner"]["SalePrice"] for apn in homes[:3])
    sandbox = county(gis_parcels=2000)
    for arguments in (
        ("assessor", "-a", f"apns={by_api}"),
        ("roll", "-a", f"apns={by_both}"),
        ("assessor", "-a", "via=page", "-a", f"apns={by_api},{by_page},{by_both}"),
    ):
        crawl = Crawler(database, sandbox.url)(*arguments)
        assert crawl.code == 0, crawl.log
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    shown = {apn: maricopa.here("property", format_apn(apn)) for apn in (by_api, by_page, by_both)}
    assert [said.code for said in shown.values()] == [0, 0, 0], shown
    api, page = "assessor's API", "assessor's public page"
    assert _sections(shown[by_api].out) == {"Parcel": api, "Owner": api, "Values": api, "Residence": api}
    assert _sections(shown[by_page].out) == {"Parcel": page, "Owner": page}
    both = {
        "Parcel": f"{page} and county GIS",
        "Owner": page,
        "Values": "county GIS",
        "Residence": "county GIS",
    }
    assert _sections(shown[by_both].out) == both
    for apn, said in shown.items():
        assert f"Parcel {format_apn(apn)}" in said.out
        owner = truth.parcel(apn)["Owner"]
        assert " ".join(owner["Ownership"].split())[:30] in said.out
        if owner["SaleDate"] and owner["SalePrice"]:
            month, day, year = map(int, owner["SaleDate"].split("/"))
            assert re.search(
                rf"Last sale +\${int(owner['SalePrice']):,}, {dt.date(year, month, day):%B %Y}", said.out
            ), said.out
    nothing = maricopa.here("property", homes[3])
    assert nothing.code == 2
    assert "is not stored" in nothing.errors
