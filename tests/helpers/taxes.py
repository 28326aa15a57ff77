"""What the treasurer's crawl tests share: a browser or the reason why there is none, short timeouts, and the
sandbox's truth.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from maricopa_scrapy.browser.find import NoBrowser, check, find
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer.bills import taxes
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.networks import Front
from tests.helpers.treasurer_skins import merged

Start = Callable[..., SandboxProcess]
_STATUS = {"Paid": "paid", "Unpaid": "unpaid", "Tax Lien": "lien", "Available Tax Lien": "state_lien"}


def why_no_browser() -> str:
    """Return why no browser test can run here; where CI is set they must."""
    if os.environ.get("CI"):
        return ""
    try:
        check(BrowserSettings())
    except NoBrowser as error:
        return str(error)
    return ""


_WHY = why_no_browser()
needs_browser = pytest.mark.skipif(bool(_WHY), reason=_WHY or "there is a browser")


@contextlib.contextmanager
def remote_browser(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Start a browser that is none of a crawl's; yields its process and its address."""
    profile = folder / "profile"
    command = [
        find(BrowserSettings()),
        "--headless",
        "--no-sandbox",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]
    browser = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = profile / "DevToolsActivePort"
        until = time.monotonic() + 60
        while not (port.exists() and port.read_text().strip()) and time.monotonic() < until:
            time.sleep(0.05)
        yield psutil.Process(browser.pid), f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
    finally:
        for process in [*browser.children(recursive=True), browser]:
            process.kill()
        browser.wait()


def settings(
    folder: Path,
    pool: int = 4,
    retire_after: int = 100,
    attempts: int = 6,
    words: str = "shipped",
    page: dict[str, Any] | None = None,
    **timeouts: float,
) -> dict[str, str]:
    """Return the environment of a crawl: shipped settings but for these, and a data folder of its own.

    `words`: "unknown" takes the texts of a parcel that is not there away; "generic" adds Telerik's of an
    empty grid. `page`: what is otherwise in the manifest's `page`.
    """
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "treasurer.yaml"
    content = yaml.safe_load(manifest.read_text())
    content["page"] = merged(content["page"], page or {})
    content["page"]["timeouts"] |= {"load": 5, "settle": 3, "close": 3} | timeouts
    if words == "unknown":
        content["page"]["absent_texts"] = []
    if words == "generic":
        for texts in content["page"]["none"].values():
            texts.append("No records available.")
    content["attempts"] = attempts
    content["attempts_of"] = {}
    manifest.write_text(yaml.safe_dump(content))
    config = folder / "config.yaml"
    text = config.read_text().replace("browser_pool_size: 4", f"browser_pool_size: {pool}")
    config.write_text(text.replace("retire_after: 100", f"retire_after: {retire_after}"))
    return {"MARICOPA_CONFIG": str(folder), "MARICOPA_DATA_DIR": str(folder.parent / "data")}


def crawler(
    database: Database,
    sandbox: SandboxProcess | Front,
    folder: Path,
    rate: float | None = 100,
    **changes: Any,
) -> Crawler:
    """Return the crawler of a test, with `settings` in a folder that is not there yet."""
    return Crawler(database, sandbox.url, rate, settings(folder / "settings", **changes))


def listed(folder: Path, apns: list[str]) -> str:
    """Write a list of APNs; returns the argument that names it."""
    path = folder / "apns.txt"
    path.write_text("\n".join(apns) + "\n")
    return f"apns={path}"


def dollars(cents: int) -> Decimal:
    """Return cents as the database has them."""
    return Decimal(cents) / 100


def true_bills(county: County, apn: str) -> list[tuple[Any, ...]]:
    """Return year, status, assessed, paid, interest, due of each bill, newest first."""
    known = taxes(county.seed, county.epoch, apn)
    return [
        (b.tax_year, _STATUS[b.status], *map(dollars, (b.assessed, b.paid, b.interest, b.due)))
        for b in known.bills
    ]


def true_payments(county: County, apn: str) -> list[tuple[Any, ...]]:
    """Return year, day and amount of each payment, sorted."""
    return sorted(
        (p.tax_year, p.paid_on, dollars(p.amount)) for p in taxes(county.seed, county.epoch, apn).payments
    )


def differences(database: Database, county: County, apns: list[str], payments: bool = True) -> list[str]:
    """Return the parcels of which the database does not say just what the sandbox says."""
    wrong = []
    for apn in apns:
        bills = database.rows(
            "SELECT tax_year, status, assessed, paid, interest, amount_due FROM treasurer.bill"
            " WHERE apn = %s AND removed_at IS NULL ORDER BY 1 DESC",
            apn,
        )
        paid = database.rows(
            "SELECT tax_year, paid_on, amount FROM treasurer.payment WHERE apn = %s AND removed_at IS NULL"
            " ORDER BY 1, 2, 3",
            apn,
        )
        if bills != true_bills(county, apn) or paid != (true_payments(county, apn) if payments else []):
            wrong.append(apn)
    return wrong
