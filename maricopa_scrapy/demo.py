"""`make demo`: the sandbox county, a real crawl of it, and what came of it."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from psycopg2.extensions import cursor as Cursor
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from maricopa_scrapy import dossier
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.store import embedded, jobs
from maricopa_scrapy.store.connect import Session, migrate

# Requests per second: the sandbox bears it, a county host would not be asked so.
_RATE = 50
_LINE_EVERY_S = 2.0


def run(parcels: int, out: Console) -> int:
    """Collect `parcels` parcels from the sandbox into a database of its own; returns the crawl's exit code."""
    # Invented records never stand beside real ones, so the demo has a database of its own.
    data_dir = embedded.default_data_dir() / "demo"
    out.print(f"starting Postgres in {data_dir}")
    url = embedded.start(data_dir)
    migrate(url)
    session = Session(url)
    with tempfile.TemporaryDirectory() as folder, SandboxProcess() as sandbox:
        out.print(f"sandbox county on {sandbox.url} (invented records, nothing leaves this machine)")
        apns = Path(folder) / "apns.txt"
        apns.write_text("\n".join(County().apns(parcels)))
        log = data_dir / "crawl.log"
        out.print(f"scrapy crawl assessor -a apns={apns}  (log: {log})")
        code = _crawl(apns, log, sandbox.url, data_dir, session, parcels, out)
        requests = sandbox.stats()["assessor"]["requests"]
    if code:
        out.print(log.read_text(errors="replace")[-2000:], markup=False)
        out.print(f"the crawl ended with exit code {code}; its log: {log}")
        return code
    out.print(f"{requests} requests for {parcels} parcels\n")
    for part in dossier.status(session):
        out.print(part)
    out.print()
    for part in dossier.parcel(session, _newest(session)):
        out.print(part)
    out.print(
        f"\nNext: look around with\n  export MARICOPA_DATA_DIR={data_dir}\n  {_command()} status\n"
        f"or collect from the county itself, with a token of your own: see README.md"
    )
    session.close()
    return 0


def _crawl(apns: Path, log: Path, sandbox: str, data_dir: Path, session: Session, parcels: int, out: Console) -> int:
    environment = {k: v for k, v in os.environ.items() if k != "MARICOPA_DATABASE_URL"}
    environment |= {"MARICOPA_DATA_DIR": str(data_dir), "MARICOPA_SANDBOX": sandbox}
    environment["SCRAPY_SETTINGS_MODULE"] = "maricopa_scrapy.settings"
    before = max((job["id"] for job in jobs.newest(session, 1)), default=0)
    command = [sys.executable, "-m", "scrapy", "crawl", "assessor", "-a", f"apns={apns}", "-s", f"MARICOPA_RATE_LIMIT={_RATE}"]
    with log.open("wb") as file:
        crawl = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            _watch(crawl, session, before, parcels, out)
        finally:
            if crawl.poll() is None:
                crawl.terminate()
        return crawl.wait()


def _watch(crawl: "subprocess.Popen[bytes]", session: Session, before: int, parcels: int, out: Console) -> None:
    columns = (TextColumn("collecting"), BarColumn(), MofNCompleteColumn(), TextColumn("parcels"), TimeRemainingColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=parcels)
        said = 0.0
        while True:
            ended = crawl.poll() is not None
            final = sum(job["done"] + job["gone"] + job["dead"] for job in jobs.newest(session, 1) if job["id"] > before)
            bar.update(task, completed=final)
            if not out.is_terminal and (ended or time.monotonic() - said >= _LINE_EVERY_S):
                said = time.monotonic()
                out.print(f"collecting: {final} of {parcels} parcels")
            if ended:
                return
            time.sleep(0.2)


def _newest(session: Session) -> str:
    def work(cursor: Cursor) -> str:
        cursor.execute(
            "SELECT apn FROM public.property WHERE is_residential AND sale_price IS NOT NULL AND NOT coalesce(is_redacted, false)"
            " ORDER BY last_seen_at DESC, apn LIMIT 1"
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute("SELECT apn FROM assessor.parcel LIMIT 1")
            row = cursor.fetchone()
        assert row is not None
        return str(row[0])

    return session.transact(work)


def _command() -> str:
    here = Path(sys.executable).parent / "maricopa"
    return os.path.relpath(here) if here.exists() else "maricopa"
