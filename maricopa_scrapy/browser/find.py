"""Which browser: the configured one, this system's, or Playwright's own; the first that shows a page.

`python -m maricopa_scrapy.browser.find` says it by its exit code, for the Makefile.
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import playwright

from maricopa_scrapy import configuration
from maricopa_scrapy.configuration import BrowserSettings, ConfigError
from maricopa_scrapy.machine.child_environment import essential

logger = logging.getLogger(__name__)

_NAMES = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_HOW = (
    "`sudo apt-get install chromium-headless-shell` (Debian), or any Chromium or Chrome, or `playwright"
    " install chromium-headless-shell`; one that lies elsewhere is named in config.yaml: browser.executable"
)
_SHOWN = "<title>maricopa</title>"
# As Playwright starts it, but that it shows one page, prints it, and ends.
_TRY = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking",
    "--dump-dom", f"data:text/html,{_SHOWN}",
)  # fmt: skip
# Beginnings of the variables that a browser and its driver read.
OF_BROWSERS = ("CHROME", "PLAYWRIGHT", "PW_", "NODE_", "LIBGL", "MESA")
_TRY_S = 20.0
_CONNECT_S = 5.0
# What showed a page is not tried again by the same process.
_proven: set[str] = set()

# Exit codes for the Makefile; 1 is Python's own.
_WRONG, _NONE = 2, 3


class NoBrowser(RuntimeError):
    """There is no browser, or none that runs; the message is one line with the remedy."""


class WrongSetting(NoBrowser):
    """What config.yaml or the environment names cannot be used; to install a browser is no remedy."""


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
            raise WrongSetting(f"browser.endpoint: no browser answers on {place.hostname}: {error}") from None
        return
    find(settings)


def find(settings: BrowserSettings) -> str:
    """Return the file of the first browser that shows a page; those that do not are passed over with a word.
    Raises NoBrowser.

    The configured one is never passed over: WrongSetting.
    """
    if settings.executable:
        found = shutil.which(str(Path(settings.executable).expanduser()))
        if found is None:
            raise WrongSetting(
                f"browser.executable: {settings.executable} is no program; leave it empty to have one found"
            )
        if reason := _why_not(found):
            raise WrongSetting(
                f"browser.executable: the browser {found} does not run: {reason}; leave it empty to have one"
                " found"
            )
        return found
    broken = ""
    for candidate in _candidates():
        if not (reason := _why_not(candidate)):
            return candidate
        logger.warning("the browser %s is passed over, it does not run: %s", candidate, reason)
        broken = broken or f"{candidate}: {reason}; "
    raise NoBrowser(
        f"no browser was found that runs: {broken}{_HOW}" if broken else f"no browser was found: {_HOW}"
    )


def _why_not(executable: str) -> str:
    """Return why a browser shows no page, or ""."""
    if executable in _proven:
        return ""
    with tempfile.TemporaryDirectory(prefix="maricopa-browser-", ignore_cleanup_errors=True) as profile:
        try:
            tried = subprocess.Popen(
                [executable, f"--user-data-dir={profile}", *_TRY],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=essential(*OF_BROWSERS),
            )
        except OSError as error:
            return str(error)
        try:
            out, errors = tried.communicate(timeout=_TRY_S)
        except subprocess.TimeoutExpired:
            # With what a wrapper started.
            os.killpg(tried.pid, signal.SIGKILL)
            tried.communicate()
            return f"it showed no page within {_TRY_S:.0f} s"
    if _SHOWN.encode() in out:
        _proven.add(executable)
        return ""
    said = (errors or out).decode(errors="replace").strip().splitlines()
    return said[-1].strip() if said else f"it showed no page, exit code {tried.returncode}"


def _candidates() -> Iterator[str]:
    """Yield each browser of this system and of Playwright once, best first; of a name those in all folders of
    the PATH.
    """
    seen: set[Path] = set()
    on_path = (shutil.which(name, path=folder) for name in _NAMES for folder in os.get_exec_path() if folder)
    for found in (*on_path, *map(shutil.which, _APPLICATIONS), *map(str, _playwrights_own())):
        if found and (file := Path(found).resolve()) not in seen:
            seen.add(file)
            yield found


def _playwrights_own() -> Iterator[Path]:
    """Yield the browsers that `playwright install` has put where this version of it looks."""
    caches = {
        "darwin": Path("~/Library/Caches"),
        "win32": Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")),
    }
    folder = (
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
        or caches.get(sys.platform, Path("~/.cache")) / "ms-playwright"
    )
    package = Path(playwright.__file__).parent / "driver" / "package"
    root = package / ".local-browsers" if folder == "0" else Path(folder).expanduser()
    with contextlib.suppress(OSError, ValueError, KeyError):
        revisions = {
            each["name"]: each["revision"]
            for each in json.loads((package / "browsers.json").read_text())["browsers"]
        }
        for name in ("chromium-headless-shell", "chromium"):
            installed = root / f"{name.replace('-', '_')}-{revisions[name]}"
            if (installed / "INSTALLATION_COMPLETE").exists():
                patterns = (
                    "*/headless_shell*",
                    "*/chrome-headless-shell*",
                    "*/chrome",
                    "*/*.app/Contents/MacOS/*",
                    "*/chrome.exe",
                )
                yield from (
                    path
                    for pattern in patterns
                    for path in installed.glob(pattern)
                    if os.access(path, os.X_OK)
                )


def main() -> int:
    """Return 0 when there is a browser that runs, 2 when a setting is wrong, 3 when there is none; why not
    goes to stderr.
    """
    try:
        check(configuration.load()[0].browser)
    except NoBrowser as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG if isinstance(error, WrongSetting) else _NONE
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    return 0


if __name__ == "__main__":
    sys.exit(main())
