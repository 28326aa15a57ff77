"""Which browser, who it says it is, how long a page is used, and that nobody else pays for it."""

import datetime as dt
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.treasurer.calendar import instalments
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.taxes import Start, crawler, differences, listed, needs_browser, remote_browser, settings

APN = "16528054"


@pytest.mark.parametrize(
    ("environment", "executable", "said"),
    [
        (
            {"PATH": "/nowhere", "PLAYWRIGHT_BROWSERS_PATH": "/nowhere"},
            "",
            r"no browser was found: .*apt-get install .*playwright install",
        ),
        ({}, "/nowhere/chrome", r"browser\.executable: /nowhere/chrome is no program"),
        ({}, "/bin/false", r"browser\.executable: the browser /bin/false does not run: .*leave it empty"),
        (
            {"MARICOPA_BROWSER_ENDPOINT": "http://127.0.0.1:9"},
            "",
            r"browser\.endpoint: no browser answers on 127\.0\.0\.1",
        ),
    ],
)
def test_without_a_browser_nothing_begins(
    tmp_path: Path, database: Database, environment: dict[str, str], executable: str, said: str
) -> None:
    known = settings(tmp_path / "settings")
    config = tmp_path / "settings" / "config.yaml"
    config.write_text(config.read_text().replace('executable: ""', f'executable: "{executable}"'))
    crawl = Crawler(database, "http://127.0.0.1:9", None, known | environment)("tax", "-a", f"apns={APN}")
    assert crawl.code == 2, crawl.log
    (line,) = crawl.error_lines()
    assert "Traceback" not in crawl.log
    assert line.startswith("scrapy crawl tax: error: ")
    assert re.search(said, line), line
    assert database.one("SELECT count(*) FROM crawl.job") == 0


def test_tabs_without_the_summary_are_a_mistake(database: Database) -> None:
    crawl = Crawler(database, "http://127.0.0.1:9", None)("tax", "-a", f"apns={APN}", "-a", "tabs=payments")
    assert crawl.code == 2
    assert "leaves out the summary" in crawl.log


def test_no_other_spider_loads_the_browser() -> None:
    code = (
        "import sys; from scrapy.spiderloader import SpiderLoader; from scrapy.utils.project import"
        " get_project_settings as s;l = SpiderLoader.from_settings(s()); [l.load(n) for n in l.list()];"
        " assert 'tax' in l.list();print([m for m in sys.modules if 'playwright' in m],"
        " dict(s()['DOWNLOAD_HANDLERS']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[] {}", done.stderr


@needs_browser
def test_a_page_is_replaced_after_some_parcels_and_says_who_asks(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(7)
    sandbox = county(track=True)
    crawl = crawler(database, sandbox, tmp_path, pool=1, retire_after=3)(
        "tax", "-a", listed(tmp_path, apns), "-a", "tabs=summary"
    )
    assert crawl.code == 0, crawl.log
    stats = database.one("SELECT stats FROM crawl.run")
    assert (stats["maricopa/browser/pages"], stats["maricopa/browser/launched"]) == (3, 1)
    (agent,) = sandbox.stats()["treasurer"]["agents"]
    assert "Chrome/" in agent
    assert agent.endswith(" maricopa_scrapy/0.1.0")
    # Gone with the crawl, and so is the note of it.
    assert not list((tmp_path / "data" / "browsers").glob("*"))


@needs_browser
def test_a_browser_that_runs_is_used_and_left_running(
    tmp_path: Path, database: Database, county: Start
) -> None:
    with remote_browser(tmp_path) as (browser, endpoint):
        apns = County().apns(4)
        run = crawler(database, county(), tmp_path)
        run.environment = (run.environment or {}) | {
            "MARICOPA_BROWSER_ENDPOINT": endpoint,
            "PATH": "/nowhere",
        }
        crawl = run("tax", "-a", listed(tmp_path, apns))
        assert crawl.code == 0, crawl.log
        assert differences(database, County(), apns) == []
        assert browser.is_running()


@pytest.mark.parametrize(
    ("read_at", "paid", "status", "is_delinquent", "until", "interest"),
    [
        # Nothing paid of the first half, a minute before and after it is late: Phoenix is seven hours behind.
        ("2025-11-03T23:59Z", "0.00", "unpaid", False, "2025-11-03", 0),
        ("2025-11-04T00:01Z", "0.00", "unpaid", True, "2025-11-03", 0),
        ("2026-02-01T00:00Z", "420.06", "unpaid", False, "2026-05-01", 0),
        ("2026-05-02T00:01Z", "420.06", "unpaid", True, "2026-05-01", 0),
        ("2026-02-01T00:00Z", "420.05", "unpaid", True, "2025-11-03", 0),
        ("2026-06-01T00:00Z", "840.12", "paid", False, None, 0),
        ("2025-10-01T00:00Z", "0.00", "lien", True, None, 0),
        # Paid late without its interest; with it; and the second half's interest is no first half that is
        # open.
        ("2025-12-05T00:00Z", "420.06", "unpaid", True, "2025-11-03", "5.60"),
        ("2025-12-05T00:00Z", "425.66", "unpaid", False, "2026-05-01", "5.60"),
        ("2026-07-01T00:00Z", "420.06", "unpaid", True, "2026-05-01", "11.20"),
        # Nobody knows when it was read.
        (None, "0.00", "unpaid", None, "2025-11-03", 0),
        (None, "0.00", "lien", None, None, 0),
    ],
)
def test_what_is_late_is_told_as_of_the_moment_it_was_read(
    database: Database,
    read_at: str | None,
    paid: str,
    status: str,
    is_delinquent: bool | None,
    until: str | None,
    interest: str | int,
) -> None:
    assessed = Decimal("840.12")
    first, second = instalments(2025, assessed)
    database.rows(
        "WITH job AS (INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters) VALUES ('tax', "
        "'api_only', true, 'normal', '{}')"
        " RETURNING id), target AS (INSERT INTO crawl.target (job_id, source, kind, key, state, done_at)"
        " SELECT id, 'treasurer', 'parcel', %s, %s, %s FROM job RETURNING id)"
        " INSERT INTO treasurer.bill SELECT %s, 2025, %s, 'x', %s, %s, NULL, %s, %s, %s, '', '', %s, %s "
        "FROM target RETURNING 1",
        APN,
        "done" if read_at else "pending",
        read_at,
        APN,
        status,
        assessed,
        paid,
        assessed + Decimal(interest) - Decimal(paid),
        first,
        second,
        read_at or "2025-12-01",
        read_at or "2025-12-01",
    )
    ((late, due, seen),) = database.rows("SELECT is_delinquent, next_due_on, observed_at FROM public.tax")
    assert (late, due) == (is_delinquent, until and dt.date.fromisoformat(until))
    assert seen == (dt.datetime.fromisoformat(read_at) if read_at else None)
