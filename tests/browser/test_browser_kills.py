"""What is killed in the middle of a crawl of the treasurer's pages: renderers, the browser, the crawl
itself.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Database
from tests.helpers.command import within_s
from tests.helpers.taxes import Start, crawler, differences, listed, needs_browser

pytestmark = needs_browser
_WAIT_S = 40.0


def _processes(crawl: "subprocess.Popen[str]", kind: str) -> list[psutil.Process]:
    """Return the browser's own process, or its renderers."""
    found = []
    for process in psutil.Process(crawl.pid).children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if not command or "chrom" not in command[0] or "sh" in Path(command[0]).name.split("-"):
            continue
        of_type = next(
            (part.removeprefix("--type=") for part in command if part.startswith("--type=")), "browser"
        )
        if of_type == kind:
            found.append(process)
    return found


def _done(database: Database) -> int:
    return database.states().get("done", 0)


def _is_there(crawl: "subprocess.Popen[str]", kind: str) -> bool:
    return bool(_processes(crawl, kind))


def _wait(until: Callable[[], bool], crawl: "subprocess.Popen[str]") -> float:
    begun = time.monotonic()
    while not until() and crawl.poll() is None and time.monotonic() - begun < _WAIT_S:
        time.sleep(0.05)
    return time.monotonic() - begun


def _next_done(database: Database, crawl: "subprocess.Popen[str]") -> float:
    stored = _done(database)
    return _wait(lambda: _done(database) > stored, crawl)


@pytest.mark.timed
def test_killed_renderers_and_browsers_cost_no_parcel(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    apns = truth.apns(48)
    process = crawler(database, county(latency=0.1), tmp_path).start("tax", "-a", listed(tmp_path, apns))
    recoveries = []
    for kind in ("renderer", "browser", "renderer", "browser", "browser"):
        _next_done(database, process)
        _wait(partial(_is_there, process, kind), process)
        _processes(process, kind)[0].kill()
        recoveries.append(_next_done(database, process))
    log, _ = process.communicate(timeout=90)
    assert process.returncode == 0, log
    assert database.states() == {"done": 48}
    assert differences(database, truth, apns) == []
    print(f"seconds until the next parcel was stored: {[round(seconds, 1) for seconds in recoveries]}")
    assert max(recoveries) < 2 * within_s(), recoveries
    # Three at least: a browser that was killed was replaced, and nobody else was blamed.
    causes = {
        cause for (cause,) in database.rows("SELECT DISTINCT jsonb_object_keys(failures) FROM crawl.target")
    }
    assert causes == {"browser"}, log
    assert log.count("starting another") >= 3, log
    assert "Traceback" not in log


def test_a_killed_driver_costs_no_parcel(tmp_path: Path, database: Database, county: Start) -> None:
    truth = County()
    apns = truth.apns(16)
    process = crawler(database, county(latency=0.1), tmp_path).start("tax", "-a", listed(tmp_path, apns))
    _wait(lambda: _done(database) > 1, process)
    driver = next(child for child in psutil.Process(process.pid).children() if "node" in child.name())
    driver.kill()
    log, _ = process.communicate(timeout=90)
    assert process.returncode == 0, log
    assert database.states() == {"done": 16}
    assert differences(database, truth, apns) == []
    assert {
        cause for (cause,) in database.rows("SELECT DISTINCT jsonb_object_keys(failures) FROM crawl.target")
    } <= {"browser"}


def test_a_browser_that_hangs_is_replaced(tmp_path: Path, database: Database, county: Start) -> None:
    truth = County()
    apns = truth.apns(8)
    process = crawler(database, county(), tmp_path, pool=2, load=2, settle=2, close=2).start(
        "tax", "-a", listed(tmp_path, apns)
    )
    _wait(lambda: _done(database) > 0, process)
    (stopped,) = _processes(process, "browser")
    stopped.suspend()
    log, _ = process.communicate(timeout=90)
    assert process.returncode == 0, log
    assert not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE
    assert database.states() == {"done": 8}
    assert differences(database, truth, apns) == []
    assert "browser (" in log


def test_a_killed_crawl_leaves_no_browser_and_goes_on(
    tmp_path: Path, database: Database, county: Start
) -> None:
    truth = County()
    apns = truth.apns(12)
    run = crawler(database, county(latency=0.1), tmp_path)
    process = run.start("tax", "-a", listed(tmp_path, apns))
    _wait(lambda: _done(database) > 1, process)
    browsers = _processes(process, "browser") + _processes(process, "renderer")
    assert browsers
    driver = next(child for child in psutil.Process(process.pid).children() if "node" in child.name())
    # With its driver stopped nobody ends the browser but the next start.
    driver.suspend()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    try:
        time.sleep(0.5)
        assert [browser for browser in browsers if browser.is_running()]
        last = run("tax", "-a", "job=1")
    finally:
        driver.kill()
    assert last.code == 0, last.log
    assert not [
        browser for browser in browsers if browser.is_running() and browser.status() != psutil.STATUS_ZOMBIE
    ]
    assert "left behind" in last.log
    assert database.states() == {"done": 12}
    assert differences(database, truth, apns) == []
    assert not list((tmp_path / "data" / "browsers").glob("*.json"))


def test_a_killed_crawl_s_browser_ends_by_itself(tmp_path: Path, database: Database, county: Start) -> None:
    process = crawler(database, county(latency=0.1), tmp_path).start(
        "tax", "-a", listed(tmp_path, County().apns(12))
    )
    _wait(lambda: _done(database) > 0, process)
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    _, left = psutil.wait_procs(started, timeout=60)
    assert not left
