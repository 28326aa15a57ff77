"""`make bench-reparse`: every stored capture of a county read again, by today's parsers and by others that
read one field otherwise.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.assessor import database, run
from benchmarks.recorder import ask
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.browser.find import NoBrowser, check
from maricopa_scrapy.configuration import BrowserSettings, load
from maricopa_scrapy.crawl import reparse
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.gis.parcel_layer import ParcelLayer
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sources.assessor import parcel
from maricopa_scrapy.sources.gis import layer as gis
from maricopa_scrapy.sources.recorder import document
from maricopa_scrapy.sources.treasurer import page as treasurer

# Parcels by API, and of them by browser.
PARCELS, TAXED = (100, 10) if QUICK else (2_000, 200)
TODAY = "2026-06-01"
_Change = Callable[[Any], Any]


def collect(url: str, folder: Path) -> None:
    """Collect parcels from the assessor, the GIS, the recorder and, where there is a browser, the
    treasurer.
    """
    layer = ParcelLayer(County(), PARCELS * 5 // 4)
    sold = list(islice(dict.fromkeys(layer.apn(row) for row in layer.ids), PARCELS))
    apns = County().apns(PARCELS)
    lists = {"apns": apns, "sold": sold, "taxed": apns[:TAXED]}
    for name, of in lists.items():
        (folder / name).write_text("\n".join(of))
    spiders = {"assessor": "apns", "sales": "sold"} | ({"tax": "taxed"} if has_browser() else {})
    options: dict[str, Any] = {
        "recorder_today": TODAY,
        "recorder_indexed": TODAY,
        "gis_parcels": layer.parcels,
    }
    with SandboxProcess(compress=False, **options) as sandbox:
        environment = {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
        for spider, name in spiders.items():
            arguments = ["-a", f"apns={folder / name}", "-s", "MARICOPA_RATE_LIMIT=5000"]
            run(
                [sys.executable, "-m", "scrapy", "crawl", spider, *arguments],
                environment,
                folder / "crawl.log",
            )


def has_browser() -> bool:
    try:
        check(BrowserSettings())
    except NoBrowser:
        return False
    return True


def _of_assessor(page: Any) -> Any:
    page.records = [
        one.model_copy(update={"lot_size_sqft": -1}) if one.table == "assessor.parcel" else one
        for one in page.records
    ]
    return page


def _of_gis(page: Any) -> Any:
    for rows in page.pages:
        names = list(rows.record.model_fields)
        if "owner_name" in names:
            rows.columns[names.index("owner_name")] = ["ANOTHER"] * len(rows)
    return page


def _of_recorder(page: Any) -> Any:
    page.document = page.document.model_copy(update={"page_amount": -1})
    return page


def _of_treasurer(page: Any) -> Any:
    page.records = [
        one.model_copy(update={"owner": "ANOTHER"}) if one.table == "treasurer.account" else one
        for one in page.records
    ]
    return page


# Source: module and function of the parser, what the other one does with its page, the field that it reads
# otherwise.
OTHERS: dict[str, tuple[Any, str, _Change, str, str]] = {
    "assessor": (parcel, "parse_parcel", _of_assessor, "assessor.parcel", "lot_size_sqft"),
    "gis": (gis, "parse_features", _of_gis, "gis.parcel", "owner_name"),
    "recorder": (document, "parse_document", _of_recorder, "recorder.document", "page_amount"),
    "treasurer": (treasurer, "parse_page", _of_treasurer, "treasurer.account", "owner"),
}


@contextmanager
def changed(module: Any, name: str, change: _Change) -> Iterator[None]:
    """Have a parser read one field otherwise."""
    whole = getattr(module, name)
    setattr(module, name, lambda *values, **more: change(whole(*values, **more)))
    try:
        yield
    finally:
        setattr(module, name, whole)


def measure(bench: Bench, url: str) -> None:
    """Read all captures of each source twice: nothing differs; then one field of every row does, and no
    other.
    """
    session = Session(url)
    manifests = load()[1]
    for source, (module, name, change, table, field) in OTHERS.items():
        begun = time.monotonic()
        report = reparse.Reparse(session, manifests, source, None, is_dry=True).run()
        seconds = time.monotonic() - begun
        if not report.answers:
            bench.add(Row(f"{source}: no captures", "no browser" if source == "treasurer" else "none"))
            continue
        rate = f"{report.answers / seconds:,.0f}/s"
        bench.add(
            Row(f"{source}: {report.answers:,} captures read again, {report.same:,} rows the same", rate)
        )
        wrong = sum(report.fields.values()) + report.failed + report.unkept
        bench.add(Row(f"{source}: fields that differ", f"{wrong:,}", "0", wrong, 0, at_most=True))
        with changed(module, name, change):
            fields = reparse.Reparse(session, manifests, source, None, is_dry=True).run().fields
        ((rows,),) = ask(url, f"SELECT count(*) FROM {table}")
        shown = fields.pop((table, field), 0)
        bench.add(
            Row(
                f"{source}: another {table}.{field} is shown",
                f"{shown:,}",
                f"{rows:,}",
                abs(rows - shown),
                0,
                at_most=True,
            )
        )
        others = sum(fields.values())
        bench.add(Row(f"{source}: other fields shown", f"{others:,}", "0", others, 0, at_most=True))
    session.close()


def main() -> int:
    bench = Bench("reparse")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        with database(server, "bench_reparse") as url:
            collect(url, folder)
            measure(bench, url)
        code = bench.finish()
        embedded.release(folder / "data")
    return code


if __name__ == "__main__":
    sys.exit(main())
