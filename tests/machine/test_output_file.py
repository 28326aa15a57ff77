"""What a verb writes where a person says: a new file, whole or not there; nothing that is not ours is
touched.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.cli.new_source import ScaffoldError
from maricopa_scrapy.cli.new_source import write as new_source
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.machine.output_file import new_file
from maricopa_scrapy.records import dossier
from maricopa_scrapy.records.web_archive import write as write_warc
from tests.conftest import Database
from tests.helpers import report_jobs
from tests.helpers.command import Maricopa

_OTHERS = "a letter of somebody's"


def _places(folder: Path) -> dict[str, Path]:
    """Return places that hold what is not ours, or can hold nothing, by what is wrong with them."""
    (folder / "letter").write_text(_OTHERS)
    (folder / "link").symlink_to(folder / "letter")
    (folder / "dangling").symlink_to(folder / "nobody")
    (folder / "busy.part").write_text(_OTHERS)
    (folder / "below").mkdir()
    return {
        "is there already": folder / "letter",
        "link is there already": folder / "link",
        "letter is there already": folder / "below" / ".." / "letter",
        "dangling is there already": folder / "dangling",
        "busy.part is there already": folder / "busy",
        "Is a directory": folder / "below",
        "there is no folder .*; make it first": folder / "no" / "x",
        "Not a directory": folder / "letter" / "x",
        "File name too long": folder / ("x" * 300),
        # Closed to root as well.
        "Permission denied|No such file|Operation not permitted|Read-only": Path("/proc/maricopa"),
    }


def _untouched(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "below",
        "busy.part",
        "dangling",
        "letter",
        "link",
    ]
    assert (folder / "letter").read_text() == (folder / "busy.part").read_text() == _OTHERS
    assert (folder / "link").readlink() == folder / "letter"
    assert list((folder / "below").iterdir()) == []


_WRITERS: dict[str, Callable[[Path], object]] = {
    "diff --csv": lambda path: dossier.write_changes(path, []),
    "captures --warc": lambda path: write_warc(path, []),
}


@pytest.mark.parametrize("verb", _WRITERS)
def test_a_writer_refuses_what_is_not_ours(tmp_path: Path, verb: str) -> None:
    for wrong, path in _places(tmp_path).items():
        with pytest.raises(OSError, match=wrong) as raised:
            _WRITERS[verb](path)
        assert "\n" not in str(raised.value.strerror)
    _untouched(tmp_path)
    _WRITERS[verb](tmp_path / "new")
    assert (tmp_path / "new").read_bytes()


def test_a_verb_refuses_it_in_a_line(tmp_path: Path, database: Database, session: Session) -> None:
    job = report_jobs.make(session, database, "completed", targets=2)
    maricopa = Maricopa(database, "", tmp_path / "data", rate=None)
    folder = tmp_path / "places"
    folder.mkdir()
    places = _places(folder)
    waiting = report_jobs.make(session, database, "pending", targets=1)
    for words in (
        ("changes", "--since", "2026-11-01", "--to"),
        ("captures", "--warc"),
        ("report", str(job), "--html"),
    ):
        for wrong, path in places.items():
            if (words[0], wrong) == ("report", "Is a directory"):
                continue
            said = maricopa.here(*words, str(path))
            assert (said.code, said.errors.count("\n"), said.out) == (2, 1, ""), (words, wrong, said)
            assert said.errors.startswith(f"error: {words[-1]} "), said.errors
        _untouched(folder)
    # Logs go below the data folder. What goes on was given no setting that is refused before that.
    database.rows("UPDATE crawl.job SET parameters = parameters - 'settings' RETURNING 1")
    for command in (
        ("resume", str(waiting), "--detach"),
        ("run", "validation", "--apns", "165-28-054", "-y"),
    ):
        said = Maricopa(database, "http://127.0.0.1:9", folder / "letter", rate=None).here(*command)
        assert (said.code, said.errors.count("\n")) == (2, 1), said
        assert "cannot write logs" in said.errors
    # A report is asked for again while its job runs: one of ours is replaced, also in a folder.
    page = folder / "below" / f"report-{job}.html"
    for _ in range(2):
        assert maricopa.here("report", str(job), "--html", str(folder / "below")).code == 0
    assert page.read_text().endswith("</html>")
    page.write_text(_OTHERS)
    assert maricopa.here("report", str(job), "--html", str(page)).code == 2
    assert page.read_text() == _OTHERS


def _half(path: Path) -> None:
    with new_file(path) as file:
        file.write("half")
        raise ZeroDivisionError


def _late(path: Path) -> None:
    with new_file(path) as file:
        file.write("ours")
        path.write_text(_OTHERS)


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with pytest.raises(ZeroDivisionError):
        _half(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileExistsError, match="has come meanwhile"):
        _late(path)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("rows.csv", _OTHERS)]


def test_other_ways_to_a_file_of_somebody_else_s_are_refused(tmp_path: Path) -> None:
    theirs, folder = tmp_path / "theirs", tmp_path / "folder"
    theirs.write_bytes(b"x" * 10_000 + b"ours")
    folder.mkdir()
    os.link(theirs, tmp_path / "hard")
    (tmp_path / "new.part").symlink_to(tmp_path / "nobody")
    (tmp_path / "link").symlink_to(folder)
    # Their mark stands too far behind to be one of our own files.
    for name in ("hard", "new", "link", "folder"):
        with (
            pytest.raises(OSError, match=r"is there already|directory"),
            new_file(tmp_path / name, "wb", b"ours") as file,
        ):
            file.write(b"y")
    assert theirs.read_bytes() == b"x" * 10_000 + b"ours"
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "nobody").exists()
    # A folder may lie elsewhere: who names a path by it goes there.
    with new_file(tmp_path / "link" / "new.txt") as file:
        file.write("y")
    assert (folder / "new.txt").read_text() == "y"


def test_what_is_no_file_and_what_is_empty_are_written_in_place(tmp_path: Path) -> None:
    pipe, empty = tmp_path / "pipe", tmp_path / "empty"
    os.mkfifo(pipe)
    empty.touch()
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    for path in (pipe, empty, Path("/dev/null")):
        with new_file(path) as file:
            file.write("a,b\n")
    reader.join(60)
    assert (got, empty.read_text()) == (["a,b\n"], "a,b\n")
    assert sorted(tmp_path.iterdir()) == [empty, pipe]


@pytest.mark.parametrize("name", ["../permits", "/etc/permits", "a/b", "permits\n", "..", "", "class"])
def test_a_source_s_name_is_no_path(tmp_path: Path, name: str) -> None:
    for folder in ("maricopa_scrapy/sources", "config/sources"):
        (tmp_path / folder).mkdir(parents=True)
    for words in ((name, "record"), ("permits", name)):
        with pytest.raises(ScaffoldError) as raised:
            new_source(
                tmp_path, words[0], "Permits", "https://permits.example.gov", "/permits/{apn}", words[1]
            )
        assert "\n" not in str(raised.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
