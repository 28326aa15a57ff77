"""One small crawl of each spider against one sandbox: what `make matrix` asks of each Python and Scrapy that
is claimed.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings

from benchmarks import matrix
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Database, counties
from tests.helpers.recorder import SANDBOX
from tests.helpers.taxes import crawler, needs_browser

_APNS = County().apns(5)
_OF = f"apns={','.join(_APNS)}"
_NUMBERS = ("20130000007", "20220015838", "20240023757")
_SALES = 60
# spider: its argument, a count of what it stored, and what that must be.
CRAWLS = {
    "affidavits": ("affidavits=download", "SELECT count(*) FROM bulk.sale", _SALES),
    "assessor": (_OF, "SELECT count(DISTINCT apn) FROM assessor.parcel", 5),
    "assessor_page": (_OF, "SELECT count(DISTINCT apn) FROM assessor_page.parcel", 5),
    "documents": (
        f"recording_numbers={','.join(_NUMBERS)}",
        "SELECT count(*) FROM recorder.document",
        len(_NUMBERS),
    ),
    "roll": (_OF, "SELECT count(DISTINCT apn) FROM gis.parcel", 5),
    "sales": (_OF, "SELECT count(DISTINCT apn) FROM document WHERE basis = 'deed_number'", 5),
    "tax": (_OF, "SELECT count(DISTINCT apn) FROM treasurer.bill", 5),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with counties() as start:
        yield start(gis_parcels=60, affidavits=_SALES, affidavits_dirty=0, **SANDBOX)


def test_no_spider_is_left_out() -> None:
    assert sorted(CRAWLS) == sorted(SpiderLoader.from_settings(get_project_settings()).list())


def test_what_is_claimed_is_what_the_matrix_tries() -> None:
    pythons, scrapys = matrix.claimed()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    minors = [int(python.removeprefix("3.")) for python in pythons]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert project["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"
    locked = re.search(r"(?m)^scrapy==(2\.\d+)", (ROOT / "requirements.txt").read_text())
    assert locked
    assert locked[1] == scrapys[-1]
    readme = (ROOT / "README.md").read_text()
    assert f"Python {pythons[0]} to {pythons[-1]}" in readme
    assert f"Scrapy {' or '.join(scrapys)}" in readme


@pytest.mark.parametrize(
    "spider", [pytest.param(name, marks=needs_browser if name == "tax" else ()) for name in CRAWLS]
)
def test_a_crawl_ends_well_and_its_rows_are_stored(
    spider: str, tmp_path: Path, database: Database, sandbox: SandboxProcess
) -> None:
    argument, count, expected = CRAWLS[spider]
    # Started anew: it imports what it needs itself, and nothing that it started outlives it.
    process = crawler(database, sandbox, tmp_path).start(spider, "-a", argument)
    try:
        log, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        process.kill()
        log, _ = process.communicate()
    assert process.returncode == 0, log
    assert "Traceback" not in log
    assert database.one(count) == expected


# Spider, its arguments, and what crawl.job keeps of them: ways and layers are known from Python too, not by
# the command alone.
_FROM_PYTHON: dict[str, tuple[str, dict[str, str]]] = {
    **{name: (name, dict([argument.split("=", 1)])) for name, (argument, _, _) in CRAWLS.items()},
    "page": ("assessor", {"apns": ",".join(_APNS), "via": "page"}),
    "layer": ("roll", {"apns": ",".join(_APNS), "layer": "e"}),
    "file": ("sales", {"affidavits": "download"}),
}


@needs_browser
def test_every_spider_is_started_by_scrapy_s_own_api(
    tmp_path: Path, database: Database, sandbox: SandboxProcess
) -> None:
    script = tmp_path / "start.py"
    script.write_text(
        "from scrapy.crawler import CrawlerProcess\n"
        "from scrapy.utils.project import get_project_settings\n"
        "settings = get_project_settings()\n"
        "settings.set('MARICOPA_RATE_LIMIT', 500)\n"
        "process = CrawlerProcess(settings)\n"
        f"for name, arguments in {list(_FROM_PYTHON.values())!r}:\n"
        "    process.crawl(name, **arguments)\n"
        "process.start()\n"
    )
    log = crawler(database, sandbox, tmp_path).script(script)
    assert "Traceback" not in log, log
    verdicts = database.rows("SELECT verdict, count(*) FROM crawl.job GROUP BY verdict")
    assert verdicts == [("completed", len(_FROM_PYTHON))], log
    for name, (_, count, expected) in CRAWLS.items():
        # Sales store documents too.
        assert database.one(count) == (7 if name == "documents" else expected), name
    assert database.one("SELECT count(*) FROM crawl.job WHERE parameters ->> 'via' = 'page'") == 2
    assert database.one("SELECT count(*) FROM crawl.job WHERE type = 'affidavits'") == 2
    assert database.one("SELECT count(*) FROM crawl.job WHERE parameters ->> 'layer' = 'E'") == 1
