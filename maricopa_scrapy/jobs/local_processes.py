"""Spiders as processes of this machine: each in a session of its own, so that it outlives whoever started
it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.machine.private_files import make_folder, open_log

_TAIL = 64 * 1024
_COMMAND = ["-m", "scrapy", "crawl"]


class LocalProcesses:
    """An Executor. A handle is the process's id and the time at which it was started; logs are in
    `folder`.
    """

    name = "local"

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` go to every run as Scrapy settings, `environment` is added to this process's own."""
        self._folder = folder
        self._settings = dict(settings or {})
        self._environment = dict(environment or {})
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, Path] = {}

    def check(self) -> None:
        """Raise NodeError when logs cannot be written."""
        try:
            make_folder(self._folder)
        except OSError as error:
            raise NodeError(
                f"cannot write logs to {self._folder} ({error.strerror}); name another folder with"
                " MARICOPA_DATA_DIR"
            ) from None

    def start(self, spider: str, arguments: Mapping[str, str]) -> str:
        """Start `scrapy crawl`. Raises NodeError."""
        self.check()
        command = [sys.executable, *_COMMAND, spider]
        for option, values in (("-a", arguments), ("-s", self._settings)):
            for name, value in values.items():
                command += [option, f"{name}={value}"]
        log = self.log_of(arguments["job"], arguments.get("_planned", "0"), spider)
        environment = os.environ | {"SCRAPY_SETTINGS_MODULE": "maricopa_scrapy.settings"} | self._environment
        try:
            with open_log(log) as file:
                child = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            handle = f"{child.pid} {psutil.Process(child.pid).create_time():.2f}"
        except OSError as error:
            raise NodeError(f"cannot start {spider}: {error}") from None
        self._children[child.pid] = child
        self._logs[handle] = log
        return handle

    def log_of(self, job: str, number: str, spider: str) -> Path:
        """Return the file to which a run logs."""
        return self._folder / f"job-{job}-{number}-{spider}.log"

    def is_running(self, handle: str) -> bool | None:
        """Tell whether the process is there; None of one that is elsewhere."""
        pid, started = _parts(handle)
        if not pid:
            return None
        child = self._children.get(pid)
        if child is not None:
            return child.poll() is None
        try:
            process = psutil.Process(pid)
            # A clock that was set since moves the time; then the command tells.
            is_it = abs(process.create_time() - started) < 1.0 or process.cmdline()[1:4] == _COMMAND
            return is_it and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def last_words(self, spider: str, handle: str) -> str:
        """Return the last line that the process logged, "" when there is none."""
        log = self._logs.get(handle)
        if log is None or not log.is_file():
            return ""
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def stop(self, handle: str) -> None:
        """Send SIGINT."""
        if self.is_running(handle):
            os.kill(_parts(handle)[0], signal.SIGINT)

    def kill(self, handle: str) -> None:
        """Kill the process and what it started, such as a browser."""
        if self.is_running(handle):
            os.killpg(_parts(handle)[0], signal.SIGKILL)


def _parts(handle: str) -> tuple[int, float]:
    pid, _, started = handle.partition(" ")
    # A job that was on scrapyd nodes, and goes on here: their handles begin with an address.
    return (int(pid), float(started)) if pid.isdigit() else (0, 0.0)
