"""What a person who waits sees and can do: a line that says what is being done, and Ctrl-C at any moment."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from maricopa_scrapy import __version__
from maricopa_scrapy.database.connect import Session
from tests.conftest import Database, maricopa, named

# What `--help` must not wait for.
HEAVY = ("psycopg2", "pydantic", "scrapy", "twisted", "lxml", "orjson", "yaml", "zstandard", "openpyxl")


def _environment(database: Database) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")}
    return kept | {"MARICOPA_DATABASE_URL": database.url, "COLUMNS": "200", "TERM": "xterm"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['maricopa', '--help']\nfrom maricopa_scrapy.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "comprehensive" in said or "verify" in said
    assert said.splitlines()[-1] == "heavy: []"


def test_version_and_completion() -> None:
    assert maricopa(None, "--version").stdout.strip() == f"maricopa_scrapy {__version__}"
    said = maricopa(None, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_MARICOPA_COMPLETE" in said.stdout or "complete" in said.stdout, said.stderr


def _locked(database: Database) -> "psycopg2.extensions.connection":
    """A connection that holds the table of targets: whoever reads it waits."""
    connection = psycopg2.connect(database.url)
    connection.cursor().execute("LOCK TABLE crawl.target IN ACCESS EXCLUSIVE MODE")
    return connection


def _waits(database: Database) -> None:
    """Return once a query waits for the lock."""
    for _ in range(300):
        if Session(named(database.url, "maricopa")).rows(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s",
            (database.url.partition("?")[0].rsplit("/", 1)[1],),
        ):
            return
        time.sleep(0.1)
    pytest.fail("nobody waits for the lock")


@pytest.mark.parametrize("verb", [("verify",), ("status", "1"), ("jobs",), ("export", "--to", "out")])
def test_ctrl_c_is_heard_during_a_query(database: Database, tmp_path: Path, verb: tuple[str, ...]) -> None:
    database.rows(
        "INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters)"
        " VALUES ('tax', 'api_only', true, 'normal', '{}') RETURNING 1"
    )
    holder = _locked(database)
    process = subprocess.Popen(
        [sys.executable, "-m", "maricopa_scrapy", *verb],
        env=_environment(database),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _waits(database)
        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert time.monotonic() - at < 2
        assert (process.returncode, said) == (130, "")
    finally:
        process.kill()
        holder.close()


def test_what_takes_long_says_what_it_does_on_the_terminal_alone(database: Database, tmp_path: Path) -> None:
    holder = _locked(database)
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "maricopa_scrapy", "verify"],
        env=_environment(database),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    try:
        _waits(database)
        at, seen = time.monotonic(), b""
        while b"verify: " not in seen and time.monotonic() - at < 10:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)
        assert time.monotonic() - at < 2
        assert re.search(rb"\r\x1b\[2Kverify: [a-z ]+ \(\d+ s\)", seen), seen
        holder.close()
        out, _ = process.communicate(timeout=60)
        assert out.startswith(b"all agrees")
        # The line is gone in the end.
        while select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
        assert seen.endswith(b"\r\x1b[2K")
    finally:
        process.kill()
        os.close(terminal)


def test_without_a_terminal_nothing_is_said(database: Database) -> None:
    said = maricopa(database, "verify", "--quick")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("the ledger agrees")
