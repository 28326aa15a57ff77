"""The pool by itself, with a real browser: every wait ends, by its name, and nothing is left of what
failed.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.async_api import Browser, BrowserContext
from playwright.async_api import Error as PlaywrightError
from scrapy.settings import Settings
from scrapy_playwright.handler import Config

from maricopa_scrapy.browser import find, launch
from maricopa_scrapy.browser import pool as browser_pool
from maricopa_scrapy.browser.launch import BrowserProvider
from maricopa_scrapy.browser.marked_processes import MarkedProcesses
from maricopa_scrapy.browser.pool import BrowserPool, PoolOptions
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.pace.answer_check import BrowserFailed
from tests.helpers.taxes import needs_browser, remote_browser

_CLOSE_S = 1.5
# For what hangs.
_SHORT_S = 1.5


@pytest.fixture(autouse=True)
def _short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARICOPA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(launch, "_DRIVER_S", 1.0)


class Pool(BrowserPool):
    """A pool of a browser of its own; `after` is done to each browser that was launched."""

    def __init__(
        self, size: int = 1, settings: BrowserSettings | None = None, after: Callable[[], None] | None = None
    ) -> None:
        self.provider = BrowserProvider(Config.from_settings(Settings()), settings or BrowserSettings())
        self.after = after
        super().__init__(
            self._one,
            self.provider.kill,
            self.provider.close,
            PoolOptions(size, 100, 0.3, _CLOSE_S, (), "us"),
        )

    async def _one(self) -> Browser:
        browser = await self.provider.launch_browser()
        if self.after is not None:
            self.after()
        return browser

    def suspend(self) -> None:
        """Stop the browser's processes, as a machine that swaps does."""
        for process in below("--user-data-dir="):
            process.suspend()


def below(part: str) -> list[psutil.Process]:
    """Return the processes that this one started, and that live, with such a part in their command lines."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(part in each for each in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def left(part: str, seconds: float = 15.0) -> list[psutil.Process]:
    """Return those that are still there after a moment."""
    until = time.monotonic() + seconds
    while (found := below(part)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def run(pool: Pool, work: Callable[[Pool], Awaitable[Any]]) -> None:
    """Work with a pool, and close it as the crawl's handler does; nothing may be left then."""

    async def whole() -> None:
        try:
            await work(pool)
        finally:
            await pool.close()
            await pool.provider.close()

    asyncio.run(asyncio.wait_for(whole(), 60))
    assert left("maricopa-crawl=") == []
    assert left("cli.js") == []


@needs_browser
def test_a_taker_that_is_called_off_leaves_no_browser_and_no_context() -> None:
    async def work(pool: Pool) -> None:
        # While the browser starts: it comes all the same.
        first = asyncio.ensure_future(pool.take())
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.wait([first])
        tab = await pool.take()
        assert pool.launched == 1
        # There is room for one.
        with pytest.raises(BrowserFailed, match=r"none of the browser's pages came free within 0\.3 s"):
            await pool.take()
        pool.give_back(tab, is_well=False)
        # While a page is opened: it is closed again.
        second = asyncio.ensure_future(pool.take())
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.wait([second])
        await _until(lambda: not pool._under_way)
        assert tab.browser.contexts == []

    run(Pool(), work)


@needs_browser
def test_a_page_that_cannot_be_opened_leaves_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> Any:
        raise PlaywrightError("no session\nand its log")

    async def work(pool: Pool) -> None:
        tab = await pool.take()
        pool.give_back(tab, is_well=False)
        with monkeypatch.context() as patch:
            patch.setattr(BrowserContext, "new_cdp_session", fails)
            with pytest.raises(BrowserFailed, match="no page could be opened: no session$"):
                await pool.take()
        await _until(lambda: not pool._under_way)
        assert tab.browser.contexts == []

    run(Pool(), work)


@needs_browser
def test_a_browser_that_hangs_costs_itself_and_not_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pool: Pool) -> None:
        pool.give_back(await pool.take(), is_well=False)
        await _until(lambda: not pool._under_way)
        pool.suspend()
        with monkeypatch.context() as patch:
            patch.setattr(browser_pool, "_OPEN_S", _SHORT_S)
            early = asyncio.ensure_future(pool.take())
            await asyncio.sleep(0.75 * _SHORT_S)
            late = asyncio.ensure_future(pool.take())
            with pytest.raises(BrowserFailed, match="the browser opened no page within 1.5 s"):
                await early
        tab = await pool.take()
        with pytest.raises(BrowserFailed):
            await late
        # The late one speaks of the browser before.
        assert await tab.page.evaluate("1 + 1") == 2
        assert pool.launched == 2
        # And now it hangs when it is asked who it is.
        pool.give_back(tab, is_well=False)
        for process in below("--user-data-dir="):
            process.kill()
        await _until(lambda: not tab.browser.is_connected())
        pool.after = pool.suspend
        with monkeypatch.context() as patch:
            patch.setattr(browser_pool, "_LAUNCH_S", _SHORT_S)
            with pytest.raises(BrowserFailed, match="no browser was started within 1.5 s"):
                await pool.take()
        assert left("maricopa-crawl=", 1) == []
        # A driver that hangs is ended too.
        pool.after = None
        await pool.take()
        for driver in below("cli.js"):
            driver.suspend()

    run(Pool(size=2), work)


def test_a_browser_under_another_name_that_never_starts_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "browse"
    wrapper.write_text("#!/bin/sh\nsleep 60\n")
    wrapper.chmod(0o755)
    monkeypatch.setattr(find, "_proven", {str(wrapper)})
    monkeypatch.setattr(browser_pool, "_LAUNCH_S", _SHORT_S)

    async def work(pool: Pool) -> None:
        with pytest.raises(BrowserFailed, match="no browser was started within 1.5 s"):
            await pool.take()
        assert left("browse", 1) + left("sleep", 1) == []

    run(Pool(settings=BrowserSettings(executable=str(wrapper))), work)


@needs_browser
def test_a_browser_elsewhere_that_hangs_keeps_no_contexts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(pool: Pool) -> None:
        tab = await pool.take()
        processes = [remote, *remote.children(recursive=True)]
        for process in processes:
            process.suspend()
        with monkeypatch.context() as patch:
            patch.setattr(browser_pool, "_OPEN_S", _SHORT_S)
            with pytest.raises(BrowserFailed, match="opened no page within"):
                await pool.take()
        pool.give_back(tab, is_well=False)
        for process in processes:
            process.resume()
        again = await pool.take()
        assert again.browser is not tab.browser
        # Its own, and the one that every browser begins with.
        session = await again.browser.new_browser_cdp_session()
        await _until_async(lambda: _contexts(session))
        pool.give_back(again, is_well=True)

    async def _contexts(session: Any) -> bool:
        return len((await session.send("Target.getBrowserContexts"))["browserContextIds"]) == 1

    with remote_browser(tmp_path) as (remote, endpoint):
        monkeypatch.setenv("MARICOPA_BROWSER_ENDPOINT", endpoint)
        run(Pool(size=2), work)
        assert remote.is_running()


async def _until(is_so: Callable[[], bool]) -> None:
    async def told() -> bool:
        return is_so()

    await _until_async(told)


async def _until_async(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await is_so():
            await asyncio.sleep(0.02)


@pytest.fixture
def marked() -> Iterator[Callable[..., psutil.Process]]:
    """Start stand-ins of browsers, each with a process below it, under a name that no browser has."""
    started: list[psutil.Popen] = []

    def start(*arguments: str) -> psutil.Process:
        child = (
            "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True);"
            " sys.stdin.read()"
        )
        process = psutil.Popen(
            [sys.executable, "-c", child, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        process.stdout.readline()
        return psutil.Process(process.pid)

    yield start
    for process in started:
        for each in [*process.children(recursive=True), process] if process.is_running() else []:
            each.kill()
        process.communicate()


def test_what_is_ended_is_what_has_the_mark(tmp_path: Path, marked: Callable[..., psutil.Process]) -> None:
    folder = tmp_path / "data" / "browsers"
    folder.mkdir(parents=True)
    gone, other = (f"--maricopa-crawl={uuid.uuid4().hex}" for _ in range(2))
    left_behind, of_another, bystander = (
        marked(gone),
        marked(other),
        marked("chromium", "--user-data-dir=/tmp/profile"),
    )
    sleeper = left_behind.children()[0]
    # Of a crawl that is gone, whose number another process has by now; of one that lives; and a note of a
    # process without a mark.
    (folder / "a.json").write_text(json.dumps({"crawl": [os.getpid(), 1.0], "switch": gone}))
    (folder / "b.json").write_text(
        json.dumps({"crawl": [os.getpid(), psutil.Process().create_time()], "switch": other})
    )
    started = [bystander.pid, bystander.create_time()]
    (folder / "c.json").write_text(json.dumps({"crawl": [os.getpid(), 1.0], "browsers": [started]}))
    mine = MarkedProcesses()
    assert _ended(left_behind, 60)
    assert _ended(sleeper, 60)
    assert {file.name for file in folder.iterdir()} == {"b.json"}

    browser = marked(mine.switch)
    mine.note()
    mine.end()
    assert _ended(browser, 60)
    mine.forget()
    assert not _ended(of_another)
    assert not _ended(bystander)
    assert {file.name for file in folder.iterdir()} == {"b.json"}


def _ended(process: psutil.Process, within: float = 1.0) -> bool:
    """Whether it ends within some seconds."""
    until = time.monotonic() + within
    while (
        is_there := process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_there
