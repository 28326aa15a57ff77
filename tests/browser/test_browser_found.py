"""Which browser is taken, which is passed over, and how `make` gets one; browsers and installers are
stand-ins.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from maricopa_scrapy.browser import find as browser_find
from maricopa_scrapy.browser.find import NoBrowser, WrongSetting, find
from maricopa_scrapy.configuration import BrowserSettings
from tests.conftest import ROOT

_SHOWS = 'case "$*" in *--dump-dom*) echo "<html><title>maricopa</title></html>";; esac\n'
_BROKEN = (
    'case "$*" in *--version) echo "Chromium 140.0";; *) echo "error while loading libgbm.so.1" >&2; exit'
    " 127;; esac\n"
)


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_find, "_proven", set())
    monkeypatch.setattr(browser_find, "_APPLICATIONS", ())
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nowhere")


def test_a_browser_that_shows_nothing_is_passed_over_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # They say their version, but show no page; the second hangs, with what it started.
    broken = program(tmp_path / "a" / "chromium", _BROKEN)
    hanging = program(tmp_path / "b" / "chromium", "sleep 60\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}:{tmp_path / 'c'}:/usr/bin:/bin")
    monkeypatch.setattr(browser_find, "_NAMES", ("chromium", "chrome-of-ours"))
    monkeypatch.setattr(browser_find, "_TRY_S", 2.0)
    good = program(tmp_path / "c" / "chrome-of-ours", _SHOWS)
    # The system's own lies behind them.
    monkeypatch.setattr(os, "get_exec_path", lambda: [str(tmp_path / name) for name in "abc"])
    assert find(BrowserSettings()) == str(good)
    first, second = (record.getMessage() for record in caplog.records)
    assert first == f"the browser {broken} is passed over, it does not run: error while loading libgbm.so.1"
    assert second == f"the browser {hanging} is passed over, it does not run: it showed no page within 2 s"
    good.unlink()
    hanging.unlink()
    browser_find._proven.clear()
    with pytest.raises(
        NoBrowser,
        match=r"no browser was found that runs: .*/a/chromium: error while loading libgbm\.so\.1; .*install",
    ):
        find(BrowserSettings())
    # The one that was asked for is never passed over.
    with pytest.raises(
        WrongSetting, match=r"^browser\.executable: the browser .*libgbm\.so\.1; leave it empty"
    ):
        find(BrowserSettings(executable=str(broken)))


@dataclass
class Make:
    """`make browser` in a folder of its own, as root, with a PATH that has no browser."""

    folder: Path
    log: Path

    def __call__(self, goal: str = "browser", **more: str) -> tuple[int, str]:
        self.log.unlink(missing_ok=True)
        environment = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder),
            "MARICOPA_CONFIG": str(ROOT / "config"),
        } | more
        done = subprocess.run(
            [shutil.which("make") or "make", goal],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def asked(self) -> list[str]:
        """What the stand-ins for apt-get and for Playwright's installer were told."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def make(tmp_path: Path) -> Make:
    folder = tmp_path / "project"
    for name in ("sh", "cat", "cksum", "echo", "find", "rm"):
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / name).symlink_to(shutil.which(name) or name)
    for name in ("requirements.txt", "pyproject.toml", ".venv/.ready"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    os.utime(folder / "requirements.txt", (0, 0))
    os.utime(folder / "pyproject.toml", (0, 0))
    text = (ROOT / "Makefile").read_text() + "\nother: browser\n\t@echo it goes on\n"
    (folder / "Makefile").write_text(text)
    installs = f'case "$*" in "-m playwright install"*) echo "$*" >>{tmp_path}/asked; exit 1;; esac\n'
    program(folder / ".venv" / "bin" / "python", f'{installs}PYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
    program(folder / "bin" / "id", "echo 0\n")
    program(folder / "bin" / "apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{tmp_path}/asked\nexit 100\n')
    return Make(folder, tmp_path / "asked")


_FAILS = [" update", "-m playwright install chromium-headless-shell"]
_ASKED = [" update", "noninteractive install -y --no-install-recommends chromium-headless-shell"]


def test_make_gets_a_browser_from_debian(make: Make) -> None:
    get = f'case "$1" in install) cp {make.folder}/shell {make.folder}/bin/chromium-headless-shell;; esac\n'
    program(make.folder / "shell", _SHOWS)
    (make.folder / "bin" / "cp").symlink_to(shutil.which("cp") or "cp")
    program(make.folder / "bin" / "apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{make.log}\n{get}')
    # What is there is broken.
    program(make.folder / "bin" / "chromium", _BROKEN)
    code, said = make("other")
    assert code == 0, said
    assert make.asked() == _ASKED
    assert "playwright install failed" not in said
    assert said.endswith("it goes on\n")
    # And then it is there.
    assert make() == (0, "")
    assert make.asked() == []


def test_make_tries_again_and_tells_a_wrong_setting(make: Make) -> None:
    code, said = make("other")
    assert code == 0, said
    assert make.asked() == _FAILS
    assert "apt-get failed; see .venv/browser.log" in said
    assert "playwright install failed" in said
    assert "no browser was found: " in said
    # At once it is not tried again by what needs one, but by the word itself, and where something has
    # changed.
    _, said = make("other")
    assert make.asked() == []
    assert "no browser was found: " in said
    make()
    assert make.asked() == _FAILS
    make("other", https_proxy="http://127.0.0.1:9")
    assert make.asked() == _FAILS

    # No browser that is installed would mend it.
    shutil.copytree(ROOT / "config", make.folder / "settings")
    config = make.folder / "settings" / "config.yaml"
    config.write_text(config.read_text().replace('executable: ""', 'executable: "/nowhere/chrome"'))
    code, said = make(MARICOPA_CONFIG=str(config.parent))
    assert code != 0
    assert "browser.executable: /nowhere/chrome is no program" in said
    config.write_text(config.read_text().replace("retire_after", "retire_aftr"))
    code, said = make(MARICOPA_CONFIG=str(config.parent))
    assert code != 0
    assert "retire_aftr" in said
    assert make.asked() == []
