"""Which browser, how it is started, and that none is left behind.

A browser ends with the process that started it: its driver's pipe closes. What that should ever miss is ended by the next start, from
a note of the browser's process in the data folder.
"""

import contextlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import playwright
import psutil
from playwright.async_api import Browser
from scrapy_playwright.provider import PlaywrightBrowserProvider

from maricopa_scrapy.settings_files import BrowserSettings
from maricopa_scrapy.store.embedded import default_data_dir

logger = logging.getLogger(__name__)

_NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_HOW = (
    "`sudo apt-get install chromium-headless-shell` (Debian), or any Chromium or Chrome, or `playwright install chromium-headless-shell`; "
    "one that lies elsewhere is named in config.yaml: browser.executable"
)
_TRY_S = 20.0
_CONNECT_S = 5.0
_LAUNCH_S = 20.0
# Two processes of one number do not begin so close to each other.
_SAME_START_S = 2.0


class NoBrowser(RuntimeError):
    """There is no browser, or it cannot run; the message is one line with the remedy."""


def endpoint_of(settings: BrowserSettings) -> str:
    """Return the address of a running browser that is to be used, or ""."""
    return os.environ.get("MARICOPA_BROWSER_ENDPOINT", "") or settings.endpoint


def check(settings: BrowserSettings) -> None:
    """Return when there is a browser that runs. Raises NoBrowser."""
    if endpoint := endpoint_of(settings):
        place = urlsplit(endpoint)
        try:
            port = place.port or (443 if place.scheme in ("https", "wss") else 80)
            socket.create_connection((place.hostname or "", port), _CONNECT_S).close()
        except (OSError, ValueError) as error:
            raise NoBrowser(f"browser.endpoint: no browser answers on {place.hostname}: {error}") from None
        return
    executable = find(settings)
    try:
        tried = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=_TRY_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBrowser(f"the browser {executable} does not run: {error}; {_HOW}") from None
    if tried.returncode:
        said = (tried.stderr or tried.stdout).strip().splitlines()
        raise NoBrowser(f"the browser {executable} does not run: {said[-1] if said else f'exit code {tried.returncode}'}; {_HOW}")


def find(settings: BrowserSettings) -> str:
    """Return the browser's file: the configured one, this system's, or Playwright's own. Raises NoBrowser."""
    if settings.executable:
        found = shutil.which(Path(settings.executable).expanduser())
        if found is None:
            raise NoBrowser(f"browser.executable: {settings.executable} is no program; leave it empty to have one found")
        return found
    for name in (*_NAMES, *_APPLICATIONS):
        if found := shutil.which(name):
            return found
    for path in _playwrights_own():
        return str(path)
    raise NoBrowser(f"no browser was found: {_HOW}")


def _playwrights_own() -> Iterator[Path]:
    """Yield the browsers that `playwright install` has put where this version of it looks."""
    caches = {"darwin": Path("~/Library/Caches"), "win32": Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))}
    folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or caches.get(sys.platform, Path("~/.cache")) / "ms-playwright"
    package = Path(playwright.__file__).parent / "driver" / "package"
    root = package / ".local-browsers" if folder == "0" else Path(folder).expanduser()
    with contextlib.suppress(OSError, ValueError, KeyError):
        revisions = {each["name"]: each["revision"] for each in json.loads((package / "browsers.json").read_text())["browsers"]}
        for name in ("chromium-headless-shell", "chromium"):
            installed = root / f"{name.replace('-', '_')}-{revisions[name]}"
            if (installed / "INSTALLATION_COMPLETE").exists():
                patterns = ("*/headless_shell*", "*/chrome-headless-shell*", "*/chrome", "*/*.app/Contents/MacOS/*", "*/chrome.exe")
                yield from (path for pattern in patterns for path in installed.glob(pattern) if os.access(path, os.X_OK))


class BrowserProvider(PlaywrightBrowserProvider):  # type: ignore[misc]
    """scrapy-playwright's provider, which finds the browser, notes its process and can end it. `settings` comes before `start`."""

    settings: BrowserSettings

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._notes = _Notes()
        self._pid: int | None = None

    async def launch_browser(self) -> Browser:
        """Start a browser, or connect to the one named. Raises NoBrowser or Playwright's Error."""
        endpoint = endpoint_of(self.settings)
        if endpoint:
            self.config.cdp_url = endpoint
            self.config.cdp_kwargs = {"timeout": _LAUNCH_S * 1000}
            self._pid = None
            browser: Browser = await super().launch_browser()
            return browser
        # Signals are Scrapy's: a browser that dies of Ctrl-C takes with it what is under way.
        self.config.launch_options = {
            "executable_path": find(self.settings), "timeout": _LAUNCH_S * 1000,
            "handle_sigint": False, "handle_sigterm": False, "handle_sighup": False,
        }  # fmt: skip
        browser = await super().launch_browser()
        session = await browser.new_browser_cdp_session()
        processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
        await session.detach()
        self._pid = next((int(process["id"]) for process in processes if process["type"] == "browser"), None)
        if self._pid is not None:
            self._notes.add(self._pid)
        return browser

    def kill(self) -> None:
        """End the browser that was started last, with its processes; one that was only connected to is left alone."""
        if self._pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                _end(psutil.Process(self._pid))
            self._pid = None

    async def close(self) -> None:
        await super().close()
        self._notes.remove()


class _Notes:
    """A file of the processes that this one started, in the data folder."""

    def __init__(self) -> None:
        self._folder = default_data_dir() / "browsers"
        self._file = self._folder / f"{os.getpid()}.json"
        self._started: list[list[float]] = []
        self._sweep()

    def add(self, pid: int) -> None:
        self._started.append(_process(pid))
        note = {"crawl": _process(os.getpid()), "browsers": self._started}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(note))
        except OSError as error:
            logger.warning("the browser's process could not be noted: %s", error)

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """End the browsers of crawls that are gone."""
        for file in self._folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                note = json.loads(file.read_text())
                if _living(note["crawl"]):
                    continue
                for noted in note["browsers"]:
                    process = _living(noted)
                    if process and "chrom" in process.name().lower():
                        logger.warning("ending browser %d, which a crawl that is gone left behind", process.pid)
                        _end(process)
                file.unlink(missing_ok=True)


def _process(pid: int) -> list[float]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [pid, psutil.Process(pid).create_time()]
    return [pid, 0.0]


def _living(noted: list[float]) -> psutil.Process | None:
    try:
        process = psutil.Process(int(noted[0]))
        return process if abs(process.create_time() - noted[1]) < _SAME_START_S and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _end(process: psutil.Process) -> None:
    for each in [*process.children(recursive=True), process]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            each.kill()
