"""Every example runs, against the sandbox, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import ROOT

SHOWS = {
    "parse_without_database": [r"assessor\.parcel"],
    "simple_search": [r"^completed$", r"^\w+ .+ \d+$"],
    "comprehensive": [
        r"assessor's API: 8 requests at 20\.0/s",
        r"job 1 running: assessor \d+/8",
        r"^completed: \d+ of \d+ .*success 100%",
    ],
    "tax_only": [r"^completed$", rf"^{min(County().apns(4))} \d{{4}} paid "],
    "bulk_validation": [
        r"^completed: 1000 APNs with \d\d? requests$",
        *(f"no such parcel: {apn}" for apn in County().absent(5)),
    ],
    "monitoring": [
        r"job 3: cancelled",
        r"jobs: \{'cancelled': 1, 'completed': 2\}",
        r"assessor: [\d.]+ answers/s",
    ],
    "gui_thread": [r"^0 of 20 parcels", r"^20 of 20 parcels, completed$"],
}


Run = Callable[[Path], "subprocess.CompletedProcess[str]"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Start all examples with the first question, some at a time: they mostly wait for the county."""
    folder = tmp_path_factory.mktemp("examples")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MARICOPA_") and name != "DISPLAY"
    }

    def start(example: Path) -> "subprocess.CompletedProcess[str]":
        named = environment | {"MARICOPA_DATA_DIR": str(folder / example.stem)}
        return subprocess.run(
            [sys.executable, str(example)],
            cwd=ROOT,
            env=named,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    with ThreadPoolExecutor(3) as pool:
        futures = {example: pool.submit(start, example) for example in EXAMPLES}
        yield lambda example: futures[example].result()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path, run: Run) -> None:
    done = run(example)
    assert done.returncode == 0, done.stderr
    for pattern in SHOWS[example.stem]:
        assert re.search(pattern, done.stdout, re.MULTILINE), (pattern, done.stdout, done.stderr)
