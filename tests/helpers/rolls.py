"""What the tests of rolls share: a crawl with small pages, and the truth of the sandbox's layers in the terms
of gis.parcel.
"""

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer, date_of
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.layer_stub import LayerStub


def crawler(
    tmp_path: Path,
    database: Database,
    sandbox: SandboxProcess | LayerStub,
    page: int = 200,
    rate: float = 2000,
    **changes: Any,
) -> Crawler:
    """Return a crawler whose layers have pages of `page` rows; `changes` replace top-level values of the
    manifest.
    """
    folder = tmp_path / "settings"
    if not folder.exists():
        shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "gis.yaml"
    text = re.sub(r"(?m)^    page: \d+", f"    page: {page}", manifest.read_text())
    if "list" in changes:
        text = re.sub(r"(?m)^    list: \d+", f"    list: {changes.pop('list')}", text)
    for name, value in changes.items():
        text = re.sub(rf"(?m)^{name}: \S+", f"{name}: {value}", text)
    manifest.write_text(text)
    return Crawler(database, sandbox.url, rate=rate, environment={"MARICOPA_CONFIG": str(folder)})


def layer(parcels: int, epoch: int = 0, seed: int = 1, existing: float = 0.98) -> ParcelLayer:
    return ParcelLayer(County(seed, epoch, existing), parcels)


def apns(of: ParcelLayer) -> set[str]:
    return {of.apn(row) for row in of.ids}


def as_text(name: str, value: Any) -> str | None:
    """Return a fact as crawl.change writes it."""
    if value is None:
        return None
    return str(date_of(value)) if name in ("deed_date", "sale_date") else str(value)


def truth(of: ParcelLayer) -> dict[str, tuple[str, str, dt.date, dt.date | None, int | None]]:
    """Return owner, deed, its date, sale date and price of each APN."""
    found = {}
    for row in of.ids:
        facts = of.facts(row)
        sale = facts["sale_date"]
        sold = None if sale is None else date_of(sale)
        found[facts["apn"]] = (
            facts["owner_name"],
            facts["deed_number"],
            date_of(facts["deed_date"]),
            sold,
            facts["sale_price"],
        )
    return found


def stored(database: Database) -> dict[str, tuple[Any, ...]]:
    rows = database.rows(
        "SELECT apn, owner_name, deed_number, deed_date, sale_date, sale_price FROM gis.parcel WHERE"
        " removed_at IS NULL"
    )
    return {apn: tuple(values) for apn, *values in rows}


def agrees(database: Database) -> None:
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()
