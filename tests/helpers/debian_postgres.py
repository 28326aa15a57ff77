"""A Postgres and a PgBouncer of Debian's packages, private to the tests: a server as other people have one,
with TCP, roles and poolers.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.conftest import memory

_BINARIES = max(
    Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=Path()
)
_PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
_UP_S = 20.0


def _why_not(missing: bool, package: str) -> str:
    """Return why a test cannot run here; where CI is set it must."""
    return (
        f"there is no server of Debian's package {package} (`make servers` installs it)"
        if missing and not os.environ.get("CI")
        else ""
    )


def _needs(missing: bool, package: str) -> pytest.MarkDecorator:
    why = _why_not(missing, package)
    return pytest.mark.skipif(bool(why), reason=why or "it is there")


needs_postgres = _needs(not (_BINARIES / "initdb").exists(), "postgresql")
needs_pgbouncer = _needs(_PGBOUNCER is None, "pgbouncer")
needs_faketime = _needs(FAKETIME is None, "faketime")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _account() -> dict[str, Any]:
    """Who a server runs as: neither of them does as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, _account()["user"], _account()["group"])


@dataclass
class Server:
    """A process that listens on a port of loopback, until `end`."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def end(self, how: int = signal.SIGINT) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(timeout=_UP_S)


@dataclass
class Cluster:
    """A Postgres. Every database and role of a test has a name of its own."""

    folder: Path
    server: Server
    made: list[str] = field(default_factory=list)

    def url(
        self, database: str = "postgres", user: str = "postgres", query: str = "", port: int | None = None
    ) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.server.port}/{database}" + (
            f"?{query}" if query else ""
        )

    def do(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        with contextlib.closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def database(self, encoding: str = "UTF8", owner: str = "postgres") -> str:
        """Make an empty database; returns its name."""
        name = f"db_{uuid.uuid4().hex[:10]}"
        self.do(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0 OWNER {owner}")
        return name

    def role(self, name: str = "", options: str = "") -> str:
        """Make a role that may log in; returns its name."""
        name = name or f"role_{uuid.uuid4().hex[:10]}"
        self.do(f"DROP ROLE IF EXISTS {name}")
        self.do(f"CREATE ROLE {name} LOGIN {options}")
        return name


@contextlib.contextmanager
def _started(command: list[str], folder: Path, port: int, **environment: str) -> Iterator[Server]:
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"} | environment,
            start_new_session=True,
            **_account(),
        )
    server = Server(port, process, log)
    try:
        until = time.monotonic() + _UP_S
        while True:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def cluster(**environment: str) -> Iterator[Cluster]:
    """A fresh Postgres; `environment` is added to its own."""
    # Not below pytest's folders: the next session on this machine closes them to the server's user.
    with tempfile.TemporaryDirectory(
        prefix="maricopa-debian-", dir=memory(), ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        _own(folder)
        folder.chmod(0o755)
        initdb = [
            str(_BINARIES / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **_account()
        )
        with postgres(folder / "data", folder, **environment) as server:
            up = Cluster(folder, server)
            _wait_for(up)
            yield up


def _wait_for(up: Cluster) -> None:
    until = time.monotonic() + _UP_S
    while True:
        try:
            up.do("SELECT 1")
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < until, up.server.log.read_text()
            time.sleep(0.05)


@contextlib.contextmanager
def postgres(data: Path, folder: Path, **environment: str) -> Iterator[Server]:
    """Start the server of a folder of data."""
    port = free_port()
    options = [
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-k",
        str(folder),
        "-c",
        "fsync=off",
        "-c",
        "max_wal_senders=2",
        "-c",
        "wal_level=replica",
    ]
    with _started(
        [str(_BINARIES / "postgres"), "-D", str(data), *options], folder, port, **environment
    ) as server:
        yield server


@contextlib.contextmanager
def standby(primary: Cluster) -> Iterator[Cluster]:
    """A copy of a cluster that is in recovery, and only reads."""
    data = primary.folder / f"standby-{uuid.uuid4().hex[:8]}"
    command = [
        str(_BINARIES / "pg_basebackup"),
        "-D",
        str(data),
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
        "--no-sync",
        "-d",
        primary.url("postgres"),
    ]
    subprocess.run(command, check=True, cwd=primary.folder, **_account())
    with postgres(data, primary.folder) as server:
        up = Cluster(primary.folder, server)
        _wait_for(up)
        yield up


@contextlib.contextmanager
def pgbouncer(before: Cluster, pool_mode: str, **settings: str) -> Iterator[Server]:
    """A PgBouncer before a cluster."""
    assert _PGBOUNCER is not None
    port = free_port()
    folder = before.folder / f"pgbouncer-{port}"
    folder.mkdir()
    _own(folder)
    folder.chmod(0o755)
    (folder / "users").write_text(
        "".join(f'"{name}" ""\n' for (name,) in before.do("SELECT rolname FROM pg_roles WHERE rolcanlogin"))
    )
    given = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "pool_mode": pool_mode,
        "default_pool_size": "20",
    } | settings
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={before.server.port}",
        "[pgbouncer]",
        *(f"{k} = {v}" for k, v in given.items()),
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    with _started([_PGBOUNCER, str(folder / "pgbouncer.ini")], folder, port) as server:
        yield server


@dataclass
class FakeClock:
    """The clock of a server under libfaketime, which tests can set."""

    file: Path

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set(self, seconds: int) -> None:
        """Move the clock by so many seconds from the true time."""
        part = self.file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n")
        part.chmod(0o644)
        part.replace(self.file)
