"""Runs of Scrapy and of the `maricopa` command without their imports, which are most of the work of a short
one.

For each, a process that has imported what they import is forked, and goes on as `python -m` would: with its
own pid, environment, files and exit code. Start a real one for what this cannot show: its command line and
memory as seen from outside, processes that outlive it, an import that is missing. Variables of Python itself,
as PYTHONUTF8, come too late here.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

_ROOT = Path(__file__).parents[2]
_PACKAGES = (
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
    "sources",
)
# What Scrapy loads besides, and the commands.
_LIBRARIES = (
    "scrapy.cmdline",
    "scrapy.commands.crawl",
    "aiohttp",
    "requests",
    "rich.console",
    "typer",
    "typer.core",
)
# They keep what they find in the environment, or belong to one process.
_NEVER = {"maricopa_scrapy.settings", "maricopa_scrapy.cli.terminal", "twisted.internet.reactor"}
_ONE_AT_A_TIME = threading.Lock()


def run(
    module: str, *arguments: str, environment: dict[str, str], timeout: float, merged: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Do what `python -m <module> <arguments>` does at the top of the repository, standard input empty.

    `timeout` is in seconds; with `merged` its errors are a part of its output.

    Raises:
        subprocess.TimeoutExpired: it was killed; what it said is printed.
    """
    command = [sys.executable, "-m", module, *arguments]
    if sys.platform != "linux":  # A fork without exec is not safe with macOS' own libraries.
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
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        with _ONE_AT_A_TIME:
            socket.send_fds(
                _parent(), [b"."], [theirs.fileno(), out.fileno(), (out if merged else errors).fileno()]
            )
        theirs.close()
        ours.settimeout(timeout)
        pid = 0
        try:
            with ours.makefile("rw") as talk:
                talk.write(json.dumps([command, environment]) + "\n")
                talk.flush()
                pid = _number(talk.readline())
                code = _number(talk.readline())
        except BaseException as error:
            if pid:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    ours.settimeout(10)
                    ours.recv(64)
            for file in (out, errors):
                file.seek(0)
                print(file.read())
            if isinstance(error, TimeoutError):
                raise subprocess.TimeoutExpired(command, timeout) from None
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
        import_module(f"maricopa_scrapy.{package}")
        for module in walk_packages(
            [str(_ROOT / "maricopa_scrapy" / package)], f"maricopa_scrapy.{package}."
        ):
            import_module(module.name)
    assert not _NEVER & sys.modules.keys()
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    # Those that wait for a run are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(0))
    while True:
        _, files, _, _ = socket.recv_fds(control, 1, 3)
        if not files:
            sys.exit()
        if os.fork() == 0:
            control.close()
            return _run(*files)
        for file in files:
            os.close(file)


def _run(talk: int, out: int, errors: int) -> list[str]:
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
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, out, errors)):
        os.dup2(file, number)
    os.closerange(3, max(nothing, out, errors, talk) + 64)
    os.environ.clear()
    os.environ.update(environment)
    return list(command)


if __name__ == "__main__":
    _, _, name, *sys.argv[1:] = _serve()
    runpy.run_module(name, run_name="__main__", alter_sys=True)
