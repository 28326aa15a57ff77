"""The real things on loopback: an embedded Postgres, a database of its own for each test, a sandbox county, a
crawl.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from hypothesis import settings

from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session, migrate
from tests.helpers import forked

ROOT = Path(__file__).parent.parent

# The same examples in every run; `make fuzz` looks for new ones.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


# A shell's job in the background ignores Ctrl-C, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Begun first, so that the run does not end with one of them alone.
_LONGEST = (
    "test_pace",
    "test_trouble",
    "test_chaos",
    "test_scrapyd",
    "test_crawl_sales",
    "test_browser_kills",
    "test_run",
    "test_run_on_nodes",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the tests over pytest-xdist's workers one by one, but for those that share what their module
    starts.
    """
    items.sort(
        key=lambda item: next(
            (rank for rank, name in enumerate(_LONGEST) if item.path.stem == name), len(_LONGEST)
        )
    )
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        shared = [fixtures[-1].scope for fixtures in item._fixtureinfo.name2fixturedefs.values() if fixtures]
        if "module" in shared:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        # A figure of time that was missed on shared cores is measured once more. What fails anywhere else is
        # a bug to be found.
        if item.get_closest_marker("timed"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was run once more: it has a cause, in the test or in the code."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"rerun: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Scrapy's get_project_settings writes SCRAPY_SETTINGS_MODULE, which the processes of later tests would
    inherit.
    """
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of an embedded server for the whole session."""
    # Not below pytest's folders: the next session on this machine closes them to the server's user.
    with tempfile.TemporaryDirectory(
        prefix="maricopa-tests-", dir=memory(), ignore_cleanup_errors=True
    ) as folder:
        url = embedded.start(Path(folder))
        try:
            if memory():
                administer(url, "ALTER SYSTEM SET max_wal_size = '128MB'")
                administer(url, "SELECT pg_reload_conf()")
            yield url
        finally:
            embedded.release(Path(folder))


@cache
def memory() -> str | None:
    """A folder in memory when there is plenty: ext4 takes up to half a second for the files of a database
    after some were deleted.

    TMPDIR, when it is set, is where they go.
    """
    folder = "/dev/shm"
    if "TMPDIR" in os.environ or not os.access(folder, os.W_OK):
        return None
    free = min(shutil.disk_usage(folder).free, psutil.virtual_memory().available)
    return folder if free > 8 * 2**30 else None


def named(url: str, database: str) -> str:
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}" + (f"?{query}" if query else "")


def administer(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """Name of a database with the schema, to copy from."""
    administer(server, "CREATE DATABASE template_maricopa")
    migrate(named(server, "template_maricopa"))
    return "template_maricopa"


@dataclass
class Database:
    """A fresh database with the schema."""

    url: str

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        session = Session(self.url)
        try:
            return session.rows(statement, values)
        finally:
            session.close()

    def one(self, statement: str, *values: Any) -> Any:
        ((value,),) = self.rows(statement, *values)
        return value

    def states(self, job: int = 1) -> dict[str, int]:
        return dict(
            self.rows("SELECT state, count(*) FROM crawl.target WHERE job_id = %s GROUP BY state", job)
        )


@contextmanager
def fresh_database(server: str, template: str) -> Iterator[Database]:
    """A database that is dropped in the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    # On a disk the copy by files would wait for each of them to be written.
    administer(
        server,
        f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {'file_copy' if memory() else 'wal_log'}",
    )
    yield Database(named(server, name))
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(server: str, template: str) -> Iterator[Database]:
    with fresh_database(server, template) as fresh:
        yield fresh


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    opened = Session(database.url)
    yield opened
    opened.close()


@contextmanager
def counties() -> Iterator[Callable[..., Any]]:
    """Start sandbox counties that end together."""
    from tests.helpers.forked_sandbox import ForkedSandbox

    started: list[ForkedSandbox] = []

    def start(**options: Any) -> ForkedSandbox:
        sandbox = ForkedSandbox(**options)
        sandbox.__enter__()
        started.append(sandbox)
        return sandbox

    try:
        yield start
    finally:
        for sandbox in started:
            sandbox.__exit__(None, None, None)


@pytest.fixture
def county() -> Iterator[Callable[..., Any]]:
    """Start sandbox counties that end with the test."""
    with counties() as start:
        yield start


@pytest.fixture(scope="module")
def shared_county() -> Iterator[str]:
    """The address of a sandbox county, by a token, that no test of a module changes."""
    from tests.helpers.networks import TOKEN

    with counties() as start:
        yield start(
            token=TOKEN, gis_parcels=60, recorder_today="2025-04-15", recorder_indexed="2025-04-15"
        ).url


@pytest.fixture
def fast_retries(tmp_path: Path) -> dict[str, str]:
    """Environment of a crawl that gives a target up after two tries."""
    folder = tmp_path / "settings"
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "assessor.yaml"
    manifest.write_text(re.sub(r"(?m)^attempts: \d+", "attempts: 2", manifest.read_text()))
    return {"MARICOPA_CONFIG": str(folder)}


@dataclass
class Crawl:
    """A finished `scrapy crawl`."""

    code: int
    log: str

    def error_lines(self) -> list[str]:
        return [line for line in self.log.splitlines() if "error:" in line]


@dataclass
class Crawler:
    """Runs `scrapy crawl` as a user would, in a process of its own."""

    database: Database | None
    sandbox: str | None
    rate: float | None = 500
    environment: dict[str, str] | None = None

    def __call__(self, *arguments: str, timeout: float = 90) -> Crawl:
        done = forked.run(
            "scrapy",
            "crawl",
            *arguments,
            *self._rate(),
            environment=self._environment(),
            timeout=timeout,
            merged=True,
        )
        return Crawl(done.returncode, done.stdout)

    def start(self, *arguments: str, real: bool = False) -> "subprocess.Popen[str]":
        """Start one to be watched or ended; `real`: one that is not forked."""
        return forked.start(
            "scrapy",
            "crawl",
            *arguments,
            *self._rate(),
            environment=self._environment(),
            merged=True,
            real=real,
        )

    def script(self, path: Path, *arguments: str, timeout: float = 120) -> str:
        """Run a Python script that uses Scrapy's own API, in the project's folder; returns what it logs."""
        done = subprocess.run(
            [sys.executable, str(path), *arguments],
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith("MARICOPA_") or k == "MARICOPA_CAPTURES"
        }
        if self.database:
            environment["MARICOPA_DATABASE_URL"] = self.database.url
        if self.sandbox:
            environment["MARICOPA_SANDBOX"] = self.sandbox
        return environment | (self.environment or {})

    def _rate(self) -> list[str]:
        return ["-s", f"MARICOPA_RATE_LIMIT={self.rate}"] if self.rate and self.sandbox else []


def maricopa(database: Database | None, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the `maricopa` command as a user would; `more` is added to its environment."""
    environment = (
        {k: v for k, v in os.environ.items() if not k.startswith("MARICOPA_")} | {"COLUMNS": "200"} | more
    )
    if database:
        environment["MARICOPA_DATABASE_URL"] = database.url
    return forked.run("maricopa_scrapy", *arguments, environment=environment, timeout=120)


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start stubs of a layer that end with the test; each has `count` parcels with a row and `more` rows."""
    from tests.helpers.layer_stub import LayerStub, apn, row

    started: list[LayerStub] = []

    def start(count: int, *more: dict[str, Any], layer: str = "E") -> Any:
        stub = LayerStub([*(row(number, apn(number), layer) for number in range(1, count + 1)), *more], layer)
        started.append(stub)
        return stub

    yield start
    for stub in started:
        stub.close()


@pytest.fixture
def crawl(tmp_path: Path, database: Database) -> "Callable[..., Crawl]":
    """Crawl a stub of a layer by pages of ten rows."""
    from tests.helpers.rolls import crawler

    def run(stub: Any, *arguments: str, **changes: Any) -> Crawl:
        return crawler(tmp_path, database, stub, page=10, **changes)("roll", *arguments)

    return run
