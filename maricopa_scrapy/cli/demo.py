"""`make demo`: a comprehensive collection from the sandbox county, with its plan, its progress, and what came
of it.
"""

import os
import sys
from pathlib import Path

from psycopg2.extensions import cursor as Cursor
from rich.console import Console

from maricopa_scrapy import configuration
from maricopa_scrapy.browser.find import NoBrowser, check
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session, migrate
from maricopa_scrapy.jobs import report_page
from maricopa_scrapy.jobs import terminal_views as views
from maricopa_scrapy.jobs.display import Display, follow
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.overview import status as dossier_status
from maricopa_scrapy.jobs.plan import Order
from maricopa_scrapy.ledger import progress, statistics
from maricopa_scrapy.ledger.verdict import EXIT_CODES, FAILED, INCOMPLETE
from maricopa_scrapy.machine.private_files import default_data_dir, private
from maricopa_scrapy.records import dossier, job_report
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

# Requests per second: the sandbox bears it, a county host would not be asked so.
_RATE = "10"


def run(parcels: int, out: Console) -> int:
    """Collect `parcels` parcels from the sandbox's offices into a database of its own; returns the job's exit
    code.

    Without a browser taxes are left out. Raises StartError where something else is missing.
    """
    # Invented records never stand next to real ones, so the demo has a database of its own.
    data_dir = default_data_dir() / "demo"
    out.print(f"starting Postgres in {data_dir}")
    url = embedded.start(data_dir)
    migrate(url)
    settings = {"MARICOPA_RATE_LIMIT": _RATE}
    session = Session(url)
    with SandboxProcess(gis_parcels=max(200, 2 * parcels)) as sandbox:
        out.print(f"sandbox county on {sandbox.url} (invented records, nothing leaves this machine)\n")
        spiders = LocalProcesses(
            data_dir / "log", settings, {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
        )
        with JobManager(url, executor=spiders, settings=settings, sandbox=sandbox.url) as manager:
            plan = manager.plan(Order("comprehensive", _mode(out), apns=",".join(County().apns(parcels))))
            for part in views.plan(plan):
                out.print(part)
            out.print()
            job = manager.begin(plan)
            with Display(out) as display:
                done = follow(manager, job, display)
    out.print()
    for part in views.report(done, statistics.read(session, job), statistics.issues(session, job)):
        out.print(part)
    if done.state != "finished":
        return EXIT_CODES[INCOMPLETE]
    page = data_dir / f"report-{job}.html"
    with open(page, "w", encoding="utf-8", opener=private) as file:
        file.write(report_page.render(job_report.read(session, job)))
    out.print(f"the same with charts: {page}\nlogs: {data_dir / 'log'}\n", soft_wrap=True)
    for part in dossier_status(session):
        out.print(part)
    out.print()
    for part in dossier.parcel(session, _with_sales(session, 1)[0]):
        out.print(part)
    out.print(
        f"\nNext: look around with\n  export MARICOPA_DATA_DIR={data_dir}\n  {_command()} status\n"
        "or collect from the county itself, with a token of your own: see docs/collecting.md"
    )
    code = EXIT_CODES.get(progress.read(session, job).verdict or "", EXIT_CODES[FAILED])
    session.close()
    return code


def _mode(out: Console) -> str | None:
    try:
        check(configuration.load()[0].browser)
    except NoBrowser as error:
        out.print(f"taxes are left out: {error}", markup=False)
        return "api_only"
    return None


def _with_sales(session: Session, count: int) -> list[str]:
    """Return parcels of which there is most to see, first those that are homes and were sold."""

    def work(cursor: Cursor) -> list[str]:
        cursor.execute(
            "SELECT apn FROM public.property WHERE source = 'assessor' ORDER BY is_residential AND sale_price"
            " IS NOT NULL AND NOT coalesce(is_redacted, false) DESC NULLS LAST, apn LIMIT %s",
            (count,),
        )
        return [apn for (apn,) in cursor.fetchall()]

    return session.transact(work)


def _command() -> str:
    here = Path(sys.executable).parent / "maricopa"
    return os.path.relpath(here) if here.exists() else "maricopa"
