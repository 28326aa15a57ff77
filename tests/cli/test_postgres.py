"""`maricopa postgres`: the stored records by SQL, saved, and brought back."""

from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2.extensions
import pytest

from tests.conftest import Database
from tests.helpers.command import Maricopa, wait_for


@pytest.fixture
def maricopa(tmp_path: Path, database: Database) -> Maricopa:
    return Maricopa(database, "", tmp_path, rate=None)


def test_what_was_saved_is_brought_back(maricopa: Maricopa, tmp_path: Path) -> None:
    name = maricopa.database.one("SELECT current_database()")
    saved = tmp_path / "maricopa.dump"
    for arguments in (
        ("psql", "-X", "-q", "-c", "CREATE TABLE public.kept AS SELECT 42 AS answer"),
        ("pg_dump", "-Fc", "-f", str(saved)),
        ("psql", "-X", "-q", "-c", "DROP TABLE public.kept"),
        ("pg_restore", "--clean", "--if-exists", "--exit-on-error", "-d", name, str(saved)),
    ):
        said = maricopa("postgres", *arguments)
        assert said.code == 0, said.errors
    assert maricopa.database.rows("SELECT answer FROM public.kept") == [(42,)]


def test_a_program_s_failure_and_another_program_are_told(maricopa: Maricopa) -> None:
    said = maricopa("postgres", "psql", "-X", "-c", "SELECT nonsense")
    assert (said.code, "nonsense" in said.errors) == (1, True)
    said = maricopa.here("postgres", "initdb")
    assert (said.code, said.errors) == (
        2,
        "error: 'initdb' is none of the programs: psql, pg_dump, pg_restore\n",
    )


def test_a_password_is_in_no_argument(maricopa: Maricopa) -> None:
    url = maricopa.database.url
    maricopa.database.url = psycopg2.extensions.make_dsn(url, password="hunter2")
    running = maricopa.start("postgres", "psql", "-X", "-At", "-c", "SELECT pg_sleep(2), 'slept'")
    maricopa.database.url = url
    seen: dict[str, str] = {}

    def is_there() -> bool:
        for process in psutil.Process(running.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                seen[process.name()] = " ".join(process.cmdline())
        return "psql" in seen

    wait_for(is_there)
    out, errors = running.communicate(timeout=30)
    assert (running.returncode, out, errors) == (0, "|slept\n", "")
    assert "pg_sleep" in seen["psql"]
    assert "hunter2" not in str(seen)
