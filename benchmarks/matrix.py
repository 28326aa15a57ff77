"""`make matrix`: each Python and Scrapy that pyproject.toml claims, with the unit tests and one crawl of each
spider.

A Python is looked for on the PATH, then among pyenv's; PYTHONS="/path/to/python ..." names others. Everything
else has its locked version.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
# Seconds of a cell, installation included.
MOST_S = 240.0
CRAWLS = "tests/sources/test_every_spider.py"
UNITS = [
    "tests/database/test_columns.py",
    "tests/database/test_connect.py",
    "tests/database/test_embedded.py",
    "tests/database/test_many_issues.py",
    "tests/database/test_writer.py",
    "tests/ledger/test_ledger.py",
    "tests/pace/test_rate.py",
    "tests/pace/test_answer_check.py",
    "tests/pace/test_shared_state.py",
    "tests/parsing/test_answers_at_the_limit.py",
    "tests/parsing/test_any_bytes.py",
    "tests/parsing/test_bodies.py",
    "tests/parsing/test_links.py",
    "tests/parsing/test_redaction.py",
    "tests/parsing/test_values.py",
    "tests/records/test_verify_advice.py",
    "tests/sources/assessor/test_captures.py",
    "tests/sources/test_golden.py",
    "tests/sources/assessor/test_parcel_any_bytes.py",
    "tests/sources/assessor/test_parcel_rule.py",
    "tests/sources/assessor/test_public_page.py",
    "tests/sources/assessor/test_public_page_rule.py",
    "tests/sources/assessor/test_search.py",
    "tests/sources/bulk/test_affidavits.py",
    "tests/sources/bulk/test_file_rule.py",
    "tests/sources/gis/test_captures.py",
    "tests/sources/gis/test_layer.py",
    "tests/sources/gis/test_layer_rule.py",
    "tests/sources/recorder/test_captures.py",
    "tests/sources/recorder/test_legacy_suffix.py",
    "tests/sources/recorder/test_rule.py",
    "tests/sources/treasurer/test_calendar.py",
    "tests/sources/treasurer/test_layouts.py",
    "tests/sources/treasurer/test_page.py",
    "tests/sources/treasurer/test_page_rule.py",
    "tests/sandbox",
    "tests/jobs/test_jobs_yaml.py",
    "tests/arguments/test_spider_arguments.py",
    "tests/test_configuration.py",
    "tests/test_structure.py",
    "maricopa_scrapy",
]
_NOT_HAD = "not had"


@dataclass
class Cell:
    """What became of a Python and a Scrapy; `word` is "passed", "FAILED" or "not had", `why` the cause, or
    what is missing.
    """

    python: str
    scrapy: str
    word: str
    why: str = ""
    seconds: float = 0.0
    units: int = 0
    crawls: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def outcome(self) -> str:
        return f"{self.word}: {self.why}" if self.why else self.word


def claimed() -> tuple[list[str], list[str]]:
    """Return the Pythons (classifiers) and the minor versions of Scrapy (its range) of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [
        text.rpartition(" ")[2]
        for text in project["classifiers"]
        if text.startswith("Programming Language :: Python :: 3.")
    ]
    (bounds,) = (
        found
        for text in project["dependencies"]
        if (found := re.fullmatch(r"scrapy>=2\.(\d+),<2\.(\d+)", text))
    )
    return pythons, [f"2.{minor}" for minor in range(int(bounds[1]), int(bounds[2]))]


def pins() -> list[str]:
    """Return the locked versions without Scrapy's, and without hashes, which pip would then ask of Scrapy
    too.
    """
    text = "".join((ROOT / lock).read_text() for lock in ("requirements.txt", "requirements-dev.txt"))
    found = re.findall(r"(?m)^([\w.-]+==[^\s;\\]+(?: *;[^\\\n]*)?)", text)
    return [pin.strip() for pin in found if not pin.startswith("scrapy==")]


def _version(python: str) -> str | None:
    """Return what a Python calls itself, such as 3.12.1; None when it does not run or cannot make a venv."""
    said = "import platform, ensurepip; print(platform.python_version())"
    try:
        done = subprocess.run([python, "-c", said], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _find(minor: str) -> tuple[str, str] | None:
    """Return path and version of a Python such as "3.12"."""
    given = os.environ.get("PYTHONS", "").split()
    of_pyenv = sorted(
        Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"),
        key=lambda path: int(path.parts[-3].split(".")[2]),
    )
    for python in given or [shutil.which(f"python{minor}") or "", *map(str, reversed(of_pyenv))]:
        version = _version(python) if python else None
        if version and version.startswith(f"{minor}."):
            return python, version
    return None


def _run(command: list[str], until: float, log: Path) -> int | None:
    """Run a command with all that it starts; its exit code, or None when it was still at work at `until`
    (monotonic seconds).
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MARICOPA_") or name == "MARICOPA_CAPTURES"
    }
    with log.open("a") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            return process.wait(max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None
        finally:
            for end in (signal.SIGINT, signal.SIGKILL):
                if process.poll() is None:
                    os.killpg(process.pid, end)
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        continue


def _count(cell: Cell, report: Path) -> None:
    """Read pytest's report into the cell; a crawl that was skipped, as there is no browser, is named."""
    for case in ElementTree.parse(report).iter("testcase"):
        crawl = re.search(r"a_crawl_ends_well.*\[(\w+)\]", case.get("name", ""))
        if case.find("failure") is not None or case.find("error") is not None:
            cell.failed += 1
        elif case.find("skipped") is not None:
            cell.skipped += 1
            if crawl:
                cell.why = f"without {crawl[1]}"
        elif crawl:
            cell.crawls += 1
        else:
            cell.units += 1


def _judge(cell: Cell, python: Path, folder: Path, log: Path, until: float) -> None:
    """Install this Scrapy next to the locked versions, and run the tests; writes into the cell what they
    say.
    """
    locked, report = folder / "pins.txt", folder / f"{cell.scrapy}.xml"
    locked.write_text("\n".join(pins()) + "\n")
    pip, version = (
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
        f"scrapy=={cell.scrapy}.*",
    )
    code = _run([*pip, "-r", str(locked), version], until, log)
    # With its dependencies, so that pip holds pyproject.toml's claims against this Python and this Scrapy.
    code = code if code != 0 else _run([*pip, "--no-build-isolation", "-e", str(ROOT), version], until, log)
    if code:
        # "NAME (from versions: ...)": a Scrapy that is not to be had is no failure of ours.
        missing = re.search(r"No matching distribution found for scrapy==", log.read_text(), re.IGNORECASE)
        cell.word, cell.why = (_NOT_HAD, "no such Scrapy for pip") if missing else ("FAILED", "pip")
        return
    tests = [
        "-m",
        "pytest",
        "-rfEs",
        "-m",
        "not timed",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
    ]
    code = None if code is None else _run([str(python), *tests, *UNITS, CRAWLS], until, log)
    if report.exists():
        _count(cell, report)
    if code is None:
        cell.word, cell.why = "FAILED", f"longer than {MOST_S:.0f} s"
    elif code or not cell.crawls:
        cell.word, cell.why = "FAILED", f"pytest: exit code {code}"


def main() -> int:
    """Run the cells one after another and print the table; returns 1 when one failed, or when no Python was
    had at all.
    """
    pythons, scrapys = claimed()
    cells: list[Cell] = []
    for minor in pythons:
        found = _find(minor)
        with tempfile.TemporaryDirectory(prefix="maricopa-matrix-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            for scrapy in scrapys:
                if found is None:
                    cells.append(Cell(minor, scrapy, _NOT_HAD, "no such Python"))
                    continue
                begun, log = time.monotonic(), folder / f"{scrapy}.log"
                log.touch()
                cell = Cell(found[1], scrapy, "passed")
                python = folder / "venv" / "bin" / "python"
                # Once a Python: its second Scrapy replaces the first.
                if (
                    not python.exists()
                    and _run([found[0], "-m", "venv", str(folder / "venv")], begun + MOST_S, log) != 0
                ):
                    cell.word, cell.why = "FAILED", "venv"
                else:
                    _judge(cell, python, folder, log, begun + MOST_S)
                cell.seconds = time.monotonic() - begun
                cells.append(cell)
                if cell.word == "FAILED":
                    print("\n".join(log.read_text().splitlines()[-200:]), file=sys.stderr)
                print(
                    f"  Python {cell.python}, Scrapy {scrapy}: {cell.outcome}, {cell.seconds:.0f} s",
                    flush=True,
                )
    table = Table(title="matrix", title_justify="left")
    for column in ("Python", "Scrapy", "unit tests", "crawls", "failed", "skipped", "seconds", "outcome"):
        table.add_column(column, justify="left" if column == "outcome" else "right")
    for cell in cells:
        numbers = (
            [str(n) for n in (cell.units, cell.crawls, cell.failed, cell.skipped)]
            if cell.word != _NOT_HAD
            else [""] * 4
        )
        seconds = f"{cell.seconds:.0f}" if cell.word != _NOT_HAD else ""
        table.add_row(cell.python, cell.scrapy, *numbers, seconds, cell.outcome)
    Console(width=120).print(table)
    return (
        1
        if any(cell.word == "FAILED" for cell in cells) or all(cell.word == _NOT_HAD for cell in cells)
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())
