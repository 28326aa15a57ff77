"""The `maricopa` command as a user starts it, in a process of its own."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from maricopa_scrapy.cli import terminal
from maricopa_scrapy.cli.main import app
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Database
from tests.helpers import forked

# A command of this process changes its environment, and its standard output, for as long as it lasts.
_HERE = threading.Lock()
# From the word to the end: the promise for pause and cancel, where a processor is free.
_PROMISED_S = 5.0


@dataclass
class Said:
    """What a finished command said."""

    code: int
    out: str
    errors: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of its output."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


@dataclass
class Maricopa:
    """Starts the command against a database and a sandbox; logs go to `folder`."""

    database: Database
    sandbox: str
    folder: Path
    rate: float | None = 100
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, timeout: float = 60) -> Said:
        command = [*arguments, *self._rate(arguments)]
        done = forked.run(
            "maricopa_scrapy", *command, environment=self._process_environment(), timeout=timeout
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, real: bool = False) -> "subprocess.Popen[str]":
        """Start one to be watched or ended; `real`: one that is not forked."""
        command = [*arguments, *self._rate(arguments)]
        return forked.start("maricopa_scrapy", *command, environment=self._process_environment(), real=real)

    def here(self, *arguments: str) -> Said:
        """Run the command in this process: for what it refuses, or only looks up."""
        with _HERE, pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("MARICOPA_")]:
                patch.delenv(name)
            for name, value in self._environment().items():
                patch.setenv(name, value)
            # Known since the module was imported.
            patch.setattr(terminal.out, "width", int(self._environment()["COLUMNS"]))
            said = CliRunner().invoke(app, list(arguments))
        return Said(said.exit_code, said.stdout, said.stderr)

    def _rate(self, arguments: tuple[str, ...]) -> list[str]:
        return ["-s", f"MARICOPA_RATE_LIMIT={self.rate}"] if self.rate and arguments[0] == "run" else []

    def _process_environment(self) -> dict[str, str]:
        with _HERE:
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")
            }
        return environment | self._environment()

    def _environment(self) -> dict[str, str]:
        named = {
            "MARICOPA_DATABASE_URL": self.database.url,
            "MARICOPA_SANDBOX": self.sandbox,
            "MARICOPA_DATA_DIR": str(self.folder),
        }
        return named | {"COLUMNS": "120"} | self.environment

    def logs(self) -> str:
        """Return what the runs logged."""
        return "\n".join(log.read_text() for log in sorted((self.folder / "log").glob("*.log")))


def within_s() -> float:
    """Return the seconds within which a job is paused or cancelled on this machine, as it is now: 5 of them
    where a processor is free, more by as much as work takes longer than it computes.
    """
    begun, computed = time.monotonic(), time.thread_time()
    while time.thread_time() - computed < 0.1:
        pass
    return _PROMISED_S * max(1.0, (time.monotonic() - begun) / 0.1)


def wait_for(true: Callable[[], object], seconds: float = 60.0) -> float:
    """Wait until something is so; returns after how many seconds."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds
        time.sleep(0.05)
    return time.monotonic() - begun


def apns(count: int) -> str:
    """Return an argument of so many APNs of the sandbox county."""
    return ",".join(County().apns(count))


def words_of(process: psutil.Process) -> list[str]:
    """The command of a process; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
