"""`make pictures`: the pictures of README.md anew, of a job in the sandbox county: progress.svg and
report.png. Invented records only.
"""

import contextlib
import io
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console

from maricopa_scrapy.browser.find import find
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session, migrate
from maricopa_scrapy.jobs import report_page
from maricopa_scrapy.jobs import terminal_views as views
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.plan import Order
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.records import job_report
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

HERE = Path(__file__).parent
PARCELS, ABSENT = 150, 6
# The progress is drawn when this part of the job is through.
DRAWN_AT = 0.6
# Rich's picture fetches its font from elsewhere; without, any font of fixed width does.
FETCHED = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
WIDTH, HEIGHT = 1000, 1420


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the address of a database that is gone afterwards."""
    url = embedded.start(folder)
    migrate(url)
    try:
        yield url
    finally:
        embedded.release(folder)


def collect(url: str, log: Path) -> tuple[JobProgress, str]:
    """Run a comprehensive job of a county that wants to be asked slower; returns how it stood half-way, and
    its report as a page.
    """
    settings = {"MARICOPA_RATE_LIMIT": "10"}
    apns = [*County().apns(PARCELS - ABSENT), *County().absent(ABSENT)]
    with SandboxProcess(gis_parcels=2 * PARCELS, rate=7.0, burst=10.0, latency=0.1) as sandbox:
        spiders = LocalProcesses(
            log, settings, {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
        )
        with JobManager(url, executor=spiders, settings=settings, sandbox=sandbox.url) as manager:
            job = manager.begin(manager.plan(Order("comprehensive", apns=",".join(apns))))
            drawn = found = manager.status(job)
            while found.state != "finished":
                time.sleep(0.2)
                found = manager.status(job)
                if found.counts.open > (1 - DRAWN_AT) * found.counts.total:
                    drawn = found
    session = Session(url)
    page = report_page.render(job_report.read(session, job))
    session.close()
    return drawn, page


def main() -> None:
    """Make both pictures."""
    with tempfile.TemporaryDirectory() as name, postgres(Path(name)) as url:
        drawn, page = collect(url, Path(name) / "log")
    console = Console(record=True, width=92, file=io.StringIO())
    console.print(views.live(drawn))
    picture = console.export_svg(title="maricopa run comprehensive --apns apns.txt")
    (HERE / "progress.svg").write_text(FETCHED.sub("", picture))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(BrowserSettings()))
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.set_content(page)
        tab.screenshot(path=str(HERE / "report.png"))
        browser.close()


if __name__ == "__main__":
    main()
