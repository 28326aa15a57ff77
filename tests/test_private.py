"""What nobody else on the machine may read: the data folder, its logs, and what is collected into it."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.store import embedded
from maricopa_scrapy.store.private import make_folder, open_log
from tests.command import Maricopa, apns
from tests.conftest import Database

AS_ROOT = os.geteuid() == 0


def modes(folder: Path) -> dict[str, int]:
    """The modes of a folder and of all in it, but for the cluster, which is Postgres' own."""
    paths = [folder, *(path for path in folder.rglob("*") if "postgres" not in path.relative_to(folder).parts)]
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in paths if not path.is_symlink()}


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
    found = modes(folder)
    assert len([name for name in found if name.endswith(".log")]) >= 3
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


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
def test_a_log_of_an_older_version_is_closed_and_a_folder_that_was_there_is_left_alone(tmp_path: Path) -> None:
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
