"""Every example runs, against the sandbox, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.county import County
from tests.conftest import ROOT

SHOWS = {
    "parse_without_database": [r"assessor\.parcel"],
    "simple_search": [r"^completed$", r"^\w+ .+ \d+$"],
    "comprehensive": [r"assessor's API: 8 requests at 20\.0/s", r"job 1 running: assessor \d+/8", r"^completed: \d+ of \d+ .*success 100%"],
    "tax_only": [r"^completed$", rf"^{min(County().apns(4))} \d{{4}} paid "],
    "bulk_validation": [r"^completed: 1000 APNs with \d\d? requests$", *(f"no such parcel: {apn}" for apn in County().absent(5))],
    "monitoring": [r"job 3: cancelled", r"jobs: \{'cancelled': 1, 'completed': 2\}", r"assessor: [\d.]+ answers/s"],
    "gui_thread": [r"^0 of 20 parcels", r"^20 of 20 parcels, completed$"],
}


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example(example: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_") and name != "DISPLAY"}
    run = subprocess.run(
        [sys.executable, str(example)], cwd=ROOT, env=environment | {"MARICOPA_DATA_DIR": str(tmp_path)}, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    for pattern in SHOWS[example.stem]:
        assert re.search(pattern, run.stdout, re.MULTILINE), (pattern, run.stdout, run.stderr)
