"""The files of ours that a parcel passes from the command line to its row, as docs/architecture.md says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database

PAGE = Path("docs/architecture.md")
FOLLOWED = Path("tests/helpers/followed.py").resolve()
FILES_MOST = 15
CLASSES_MOST = 5


def test_the_page_lists_the_walk_of_a_parcel(
    database: Database, county: Callable[..., Any], tmp_path: Path
) -> None:
    sandbox = county()
    apn = County().apns(1)[0]
    noted = tmp_path / "noted.json"
    crawler = Crawler(database, sandbox.url)
    log = crawler.script(FOLLOWED, apn, str(noted), "crawl", "assessor", "-a", f"apns={apn}")
    assert database.one("SELECT count(*) FROM assessor.parcel WHERE apn = %s", apn) == 1, log
    walk = json.loads(noted.read_text())
    hands_on = {by for by, _ in walk["passes"]}
    told = PAGE.read_text().split("## One parcel's walk", 1)[1].split("\n## ", 1)[0]
    stops = re.findall(r"^\d+\. `([\w/]+\.py)`", told, re.MULTILINE)
    assert sorted(stops) == sorted(hands_on)
    assert len(stops) <= FILES_MOST
    assert len(walk["carriers"]) <= CLASSES_MOST
    helpers = re.findall(r"`([\w/]+\.py)`", told.split("Asked on the way", 1)[1])
    assert sorted(helpers) == sorted(set(walk["handed"]) - hands_on)
