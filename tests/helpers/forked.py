"""Runs of Scrapy, of the `maricopa` command and of the sandbox without their imports, which are most of the
work of a short one.

For each, a process that has imported what they import is forked, and goes on as `python -m` would: with its
own pid, environment, files and exit code. Start a real one for what this cannot show: its command line,
environment and memory as seen from outside, an import that is missing. Variables of Python itself, as
PYTHONUTF8, come too late here.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, NoReturn, cast

_ROOT = Path(__file__).parents[2]
_PACKAGES = (
    *(
        f"maricopa_scrapy.{room}"
        for room in (
            "arguments",
            "browser",
            "crawl",
            "database",
            "jobs",
            "ledger",
            "machine",
            "pace",
            "parsing",
            "probe",
            "sandbox",
            "sources",
        )
    ),
    *(f"scrapy.{name}" for name in ("commands", "downloadermiddlewares", "spidermiddlewares")),
)
# What Scrapy loads besides, and the commands.
_LIBRARIES = (
    "scrapy.cmdline",
    "scrapy.dupefilters",
    "scrapy.extensions.closespider",
    "scrapy.extensions.logcount",
    "scrapy.extensions.logstats",
    "scrapy.extensions.memdebug",
    "scrapy.extensions.memusage",
    "scrapy.extensions.spiderstate",
    "scrapy.extensions.telnet",
    "scrapy.pqueues",
    "scrapy.squeues",
    "scrapy.statscollectors",
    "scrapy_playwright.handler",
    "psycopg2.sql",
    "tldextract",
    "aiohttp",
    "requests",
    "rich.console",
    "typer",
    "typer.core",
)
# They keep what they find in the environment, or belong to one process.
_NEVER = {"maricopa_scrapy.settings", "maricopa_scrapy.cli.terminal", "twisted.internet.reactor"}
_ONE_AT_A_TIME = threading.Lock()
# Of what a run has said: no text.
_END = b"\xff<end>"
# A fork without exec is not safe with macOS' own libraries.
CAN_FORK = sys.platform == "linux"


class Forked:
    """A run that goes on, with as much of subprocess.Popen as its owners need.

    What it says goes to the file descriptors `out` and `errors`.
    """

    def __init__(
        self, command: list[str], environment: dict[str, str], stdin: int, out: int, errors: int
    ) -> None:
        self.args = command
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        self.returncode: int | None = None
        self._said: dict[int, bytes] = {}
        self._socket, theirs = socket.socketpair()
        with theirs, _ONE_AT_A_TIME:
            socket.send_fds(_parent(), [b"."], [theirs.fileno(), stdin, out, errors])
        self._talk = self._socket.makefile("rw")
        self._talk.write(json.dumps([command, environment]) + "\n")
        self._talk.flush()
        self.pid = _number(self._talk.readline())

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = _number(self._talk.readline())
            self._talk.close()
            self._socket.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; returns what it said and its errors. Raises subprocess.TimeoutExpired."""
        files = [file.fileno() for file in (self.stdout, self.stderr) if file]
        until = None if timeout is None else time.monotonic() + timeout
        left = [file for file in files if not self._said.get(file, b"").endswith(_END)]
        while left:
            ready = select.select(left, [], [], until and max(0, until - time.monotonic()))[0]
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for file in ready:
                self._said[file] = self._said.get(file, b"") + (os.read(file, 65536) or _END)
                if self._said[file].endswith(_END):
                    left.remove(file)
        self.wait(until and max(0, until - time.monotonic()))
        said = [self._said[file].removesuffix(_END).decode(errors="replace") for file in files]
        return said[0], said[1] if self.stderr else ""

    def send_signal(self, number: int) -> None:
        """Send it a signal while it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def start(
    module: str, *arguments: str, environment: dict[str, str], merged: bool = False, real: bool = False
) -> "subprocess.Popen[str]":
    """Start what `run` does, to be watched or ended; `real` is one that is not forked."""
    command = [sys.executable, "-m", module, *arguments]
    # A library that is loaded before all others is for a process that begins anew.
    if real or "LD_PRELOAD" in environment or not CAN_FORK:
        return subprocess.Popen(
            command,
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
        )
    our_out, their_out = os.pipe()
    our_errors, their_errors = (our_out, their_out) if merged else os.pipe()
    try:
        with Path(os.devnull).open() as nothing:
            process = Forked(command, environment, nothing.fileno(), their_out, their_errors)
    finally:
        for file in {their_out, their_errors}:
            os.close(file)
    process.stdout = os.fdopen(our_out)
    process.stderr = None if merged else os.fdopen(our_errors)
    return cast("subprocess.Popen[str]", process)


def run(
    module: str, *arguments: str, environment: dict[str, str], timeout: float, merged: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Do what `python -m <module> <arguments>` does at the top of the repository, standard input empty.

    `timeout` is in seconds; with `merged` its errors are a part of its output.

    Raises:
        subprocess.TimeoutExpired: it was killed; what it said is printed.
    """
    command = [sys.executable, "-m", module, *arguments]
    if not CAN_FORK:
        errors_to = subprocess.STDOUT if merged else subprocess.PIPE
        return subprocess.run(
            command,
            cwd=_ROOT,
            env=environment,
            timeout=timeout,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors_to,
        )
    with (
        Path(os.devnull).open() as nothing,
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        process = Forked(
            command, environment, nothing.fileno(), out.fileno(), (out if merged else errors).fileno()
        )
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait(10)
            for file in (out, errors):
                file.seek(0)
                print(file.read())
            raise
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), errors.read())


def _number(line: str) -> int:
    if not line:
        raise RuntimeError("the process that is forked has ended; standard error says why")
    return int(line)


@cache
def _parent() -> socket.socket:
    """The socket of the process that is forked; it ends when the socket is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.forked"], cwd=_ROOT, stdin=theirs.fileno()
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve() -> list[str]:
    """Fork for each request; returns in the new process, with its command."""
    for name in _LIBRARIES:
        import_module(name)
    for package in _PACKAGES:
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    assert not _NEVER & sys.modules.keys()
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    # Those that wait for a run are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(0))
    while True:
        _, files, _, _ = socket.recv_fds(control, 1, 4)
        if not files:
            sys.exit()
        if os.fork() == 0:
            control.close()
            return _run(*files)
        for file in files:
            os.close(file)


def _run(talk: int, *files: int) -> list[str]:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=talk) as asked, asked.makefile("r") as lines:
        command, environment = json.loads(lines.readline())
        if pid := os.fork():
            try:
                asked.sendall(b"%d\n" % pid)
            except BrokenPipeError:
                # It was given up before it began.
                os.kill(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with suppress(BrokenPipeError):
                asked.sendall(b"%d\n" % code)
            os._exit(0)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, max(talk, *files) + 64)
    os.environ.clear()
    os.environ.update(environment)
    return list(command)


def _end(code: object) -> NoReturn:
    """End as an interpreter does, but for taking down what was imported: that is longer than a short run."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    _, _, name, *sys.argv[1:] = _serve()
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        _end(end.code)
    _end(None)
