"""Jobs as a person reads them, where the terminal is narrow."""

import datetime as dt
import io
from typing import Any

import pytest
from rich.console import Console

from maricopa_scrapy.jobs import terminal_views as views


def _job(**changes: Any) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    job = {
        "id": 1234,
        "type": "property_search",
        "priority": "critical",
        "parameters": {"apns": "/home/me/apns-of-the-whole-west-valley.txt"},
        "state": "finished",
        "verdict": "completed_with_failures",
        "reason": "finished",
        "enumerated": 1_200_345,
        "done": 1_180_000,
        "gone": 20_300,
        "dead": 45,
        "open": 0,
        "created_at": now - dt.timedelta(hours=3, minutes=5),
        "started_at": now,
        "is_live": False,
        "is_supervised": False,
    }
    return job | changes


@pytest.mark.parametrize("width", [72, 80, 120])
def test_a_number_is_never_cut(width: int) -> None:
    console = Console(width=width, file=(written := io.StringIO()))
    console.print(
        views.JobList([_job(), _job(id=7, created_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=41))])
    )
    text = written.getvalue()
    assert max(map(len, text.splitlines())) <= width
    counts = ("20,300", "45", "0") if width > 110 else ()
    for whole in ("1234", "7", "1,200,345", "1,180,000", *counts, "3 h", "41 d"):
        assert f" {whole} " in f" {' '.join(text.split())} ", text
