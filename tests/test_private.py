"""What nobody else on the machine may read: the data folder, its logs, and what is collected into it."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from maricopa_scrapy.database import embedded
from maricopa_scrapy.machine.private_files import make_folder, open_log
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.command import Maricopa, apns, wait_for
from tests.helpers.networks import TOKEN

AS_ROOT = os.geteuid() == 0


def modes(folder: Path) -> dict[str, int]:
    """The modes of a folder and of all in it, but for the cluster, which is Postgres' own."""
    paths = [
        folder,
        *(path for path in folder.rglob("*") if "postgres" not in path.relative_to(folder).parts),
    ]
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in paths
        if not path.is_symlink()
    }


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's folders: the next session on this machine closes them to the server's user.
    made = Path("/tmp") / f"private-{os.getpid()}"
    yield made
    embedded.release(made)
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.usefixtures("open_umask")
def test_a_job_leaves_nothing_in_the_data_folder_that_others_can_read(
    folder: Path, database: Database, county: Callable[..., SandboxProcess]
) -> None:
    maricopa = Maricopa(database, county().url, folder)
    said = maricopa("run", "property-search", "--apns", apns(2), "--mode", "api-only", "-y")
    assert said.code == 0, said.errors
    said = maricopa("run", "property-search", "--apns", apns(3), "--mode", "api-only", "-y", "--detach")
    assert said.code == 0, said.errors
    # The log of the second job's run comes with its process.
    wait_for(lambda: len(list(folder.rglob("log/*.log"))) >= 3)
    found = modes(folder)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


@pytest.mark.usefixtures("open_umask")
def test_files_in_a_folder_that_was_open_before_are_private_all_the_same(
    folder: Path, database: Database, county: Callable[..., SandboxProcess]
) -> None:
    folder.mkdir(mode=0o755)
    sandbox = county(recorder_today="2025-04-15", recorder_indexed="2025-04-15")
    crawl = Crawler(database, sandbox.url, environment={"MARICOPA_DATA_DIR": str(folder)})
    assert crawl("documents", "-a", "recording_numbers=20240000001", "-a", "pdf=yes").code == 0
    assert crawl("affidavits", "-a", "affidavits=download").code == 0
    found = modes(folder)
    assert {Path(name).suffix for name in found} >= {".pdf", ".zip"}
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077 and name != "."} == {}


@pytest.mark.usefixtures("open_umask")
def test_a_run_of_scrapyd_logs_for_its_owner_alone(tmp_path: Path, database: Database) -> None:
    log = tmp_path / "run.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")}
    environment |= {
        "SCRAPY_PROJECT": "maricopa_scrapy",
        "MARICOPA_DATABASE_URL": database.url,
        "MARICOPA_SANDBOX": "http://127.0.0.1:9",
    }
    command = [
        sys.executable,
        "-m",
        "scrapyd.runner",
        "crawl",
        "assessor",
        "-s",
        f"LOG_FILE={log}",
        "-a",
        "apns=\x1b]52;c;x\x07",
    ]
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2, ran.stderr
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "\x1b" not in log.read_text() + ran.stderr
    assert "52;c;x" in log.read_text()


def test_the_embedded_server_gets_no_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "MARICOPA_ASSESSOR_TOKEN": TOKEN,
        "SCRAPYD_PASSWORD": TOKEN,
        "PGPASSWORD": TOKEN,
        "HTTPS_PROXY": f"http://a:{TOKEN}@x",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    embedded.start(folder)
    server = psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))
    seen = []
    for one in (server, *server.children()):
        # A backend may end meanwhile.
        with suppress(ProcessLookupError, FileNotFoundError):
            seen.append(Path(f"/proc/{one.pid}/environ").read_text())
    assert len(seen) > 1
    assert not [text for text in seen if TOKEN in text or "MARICOPA" in text]
    assert TOKEN not in (folder / "log" / "postgres.log").read_text()


@pytest.mark.usefixtures("open_umask")
def test_the_embedded_server_s_log_and_folder_are_private(folder: Path) -> None:
    embedded.start(folder)
    found = modes(folder)
    # As root the server's own user passes through, and lists nothing.
    assert found["."] == (0o701 if AS_ROOT else 0o700)
    assert found["log"] == 0o700
    assert found["log/postgres.log"] == 0o600
    assert stat.S_IMODE((folder / "postgres").stat().st_mode) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_a_log_of_an_older_version_is_closed_and_a_folder_that_was_there_is_left_alone(
    tmp_path: Path,
) -> None:
    log = tmp_path / "job-1.log"
    log.write_text("old\n")
    log.chmod(0o644)
    tmp_path.chmod(0o755)
    make_folder(tmp_path)
    with open_log(log) as file:
        file.write(b"new\n")
    assert (log.read_text(), stat.S_IMODE(log.stat().st_mode)) == ("old\nnew\n", 0o600)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    make_folder(tmp_path / "a" / "b")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")} == {0o700}


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "job-1.log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        open_log(tmp_path / "job-1.log")


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "log")


@pytest.mark.parametrize("has_reader", [False, True])
def test_a_log_is_not_written_into_a_pipe_or_a_device(tmp_path: Path, has_reader: bool) -> None:
    pipe = tmp_path / "job-1.log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if has_reader else None
    for place in (pipe, Path("/dev/null")):
        with pytest.raises(OSError, match="no file|No such device"):
            open_log(place)
    if reader is not None:
        assert os.read(reader, 10) == b""
        os.close(reader)
