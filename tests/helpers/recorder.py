"""What the tests of the recorder share: the sandbox's truth, a crawl with a manifest of its own, and what is
stored.
"""

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Any

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.recorder.codes import DISPLAY
from maricopa_scrapy.sandbox.recorder.documents import Documents, Facts
from tests.conftest import ROOT, Crawler, Database

TODAY = dt.date(2025, 4, 15)
# The sandbox's day, long past: a test means the same whenever it runs.
SANDBOX: dict[str, Any] = {"recorder_today": str(TODAY), "recorder_indexed": str(TODAY)}


def crawler(
    tmp_path: Path, database: Database, sandbox: SandboxProcess, rate: float = 300, **changes: Any
) -> Crawler:
    """Return a crawler; `changes` replace values of the recorder's manifests."""
    folder = tmp_path / "settings"
    if not folder.exists():
        shutil.copytree(ROOT / "config", folder)
    for name in ("recorder.yaml", "recorder_legacy.yaml"):
        manifest = folder / "sources" / name
        text = manifest.read_text()
        for key, value in changes.items():
            text = re.sub(rf"(?m)^( *){key}: \S+", rf"\g<1>{key}: {value}", text)
        manifest.write_text(text)
    return Crawler(database, sandbox.url, rate=rate, environment={"MARICOPA_CONFIG": str(folder)})


def documents(daily: int = 300, rush: int = 0, seed: int = 1) -> Documents:
    return Documents(seed, TODAY, daily, rush)


def truth(facts: Facts | None, is_indexed: bool = True) -> tuple[Any, ...]:
    """Return a document, which must be there, as `stored` does."""
    assert facts is not None
    codes = [DISPLAY[code] if code != "AF" or facts.codes[0] == "AF" else "AF DISCLS" for code in facts.codes]
    book = str(facts.docket_book) if facts.docket_book else None
    return (
        facts.date,
        codes,
        sorted(facts.names) if is_indexed else [],
        facts.pages,
        facts.affidavit_pages > 0,
        facts.restricted,
        book,
    )


def stored(database: Database) -> dict[str, tuple[Any, ...]]:
    """Return the documents that have a detail: day, codes, names, pages, affidavit, restricted, docket
    book.
    """
    rows = database.rows("""
        SELECT recording_number, recording_date,
               ARRAY(SELECT display_code FROM recorder.document_code c
                   WHERE c.recording_number = d.recording_number
                     AND c.removed_at IS NULL ORDER BY position),
               ARRAY(SELECT name FROM recorder.party p
                   WHERE p.recording_number = d.recording_number AND p.removed_at IS NULL
                     ORDER BY name COLLATE "C"),
               page_amount, affidavit_present, restricted, docket_book
        FROM recorder.document d WHERE page_amount IS NOT NULL
        """)
    return {number: tuple(values) for number, *values in rows}


def agrees(database: Database, *altered: str) -> None:
    session = Session(database.url)
    # Parcels that the test itself altered are rightly named.
    found = [
        problem
        for problem in verify.problems(session)
        if not any(f"apn={apn}:" in problem for apn in altered)
    ]
    assert not found, found
    session.close()
