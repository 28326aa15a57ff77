"""The schema: made by its files, each once; what came later is applied to what is there; an older development
database is left alone.
"""

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from maricopa_scrapy.database import connect, embedded, schema
from maricopa_scrapy.database.connect import environment_of, migrate, pending_migrations
from maricopa_scrapy.database.server_checks import DatabaseOlder
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import ROOT, Crawler, Database, administer, maricopa, named

APN = County().apns(1)[0]
# As the migrations of the development versions left it, as far as it matters here.
_OLDER = """
    CREATE TABLE public._yoyo_migration (migration_hash varchar(64) PRIMARY KEY, migration_id varchar(255),
    applied_at_utc timestamp);
    INSERT INTO public._yoyo_migration VALUES ('1', '0001_crawl', now()), ('2', '0002_assessor', now()),
        ('25', '0025_process', now());
    CREATE SCHEMA crawl;
    CREATE TABLE crawl.job (id bigint PRIMARY KEY, type text, wish text);
    INSERT INTO crawl.job VALUES (1, 'property_search', 'run');
"""


@pytest.fixture
def empty(server: str) -> Iterator[Database]:
    """A database without the schema."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    administer(server, f"CREATE DATABASE {name}")
    yield Database(named(server, name))
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """What a later version brings: the file of a further source, and a migration."""
    (tmp_path / "permits.sql").write_text(
        "CREATE SCHEMA permits; CREATE TABLE permits.permit (apn text PRIMARY KEY);"
    )
    (tmp_path / "migration.sql").write_text("ALTER TABLE permits.permit ADD COLUMN amount bigint;")
    more = {"source-permits": tmp_path / "permits.sql", "0001_amount": tmp_path / "migration.sql"}
    now: dict[str, Traversable] = schema.files()
    monkeypatch.setattr(schema, "files", lambda: now | more)
    return more


def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process."""
    monkeypatch.setattr(connect, "_up_to_date", set())


def test_the_files_are_the_ledger_then_each_source_then_the_views() -> None:
    names = list(schema.files())
    offices = sorted(path.parent.name for path in (ROOT / "maricopa_scrapy" / "sources").glob("*/schema.sql"))
    first = ["ledger", *(f"source-{office}" for office in offices), "views", "find"]
    assert names[: len(first)] == first
    assert all(re.fullmatch(r"\d{4}_\w+", name) for name in names[len(first) :])


def test_each_file_is_recorded_and_a_second_time_nothing_is_done(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pending_migrations(empty.url) == list(schema.files())
    migrate(empty.url)
    recorded = empty.rows("SELECT * FROM crawl.migration ORDER BY name")
    assert [name for name, _ in recorded] == sorted(schema.files())
    _anew(monkeypatch)
    migrate(empty.url)
    assert empty.rows("SELECT * FROM crawl.migration ORDER BY name") == recorded


def test_a_process_looks_once(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    pending = connect.pending_migrations

    def look(url: str) -> Any:
        looks.append(url)
        return pending(url)

    monkeypatch.setattr(connect, "pending_migrations", look)
    for _ in range(3):
        migrate(empty.url)
    assert looks == [empty.url]


def test_processes_that_begin_at_once_make_it_once(empty: Database) -> None:
    code = "import sys; from maricopa_scrapy.database.connect import migrate; migrate(sys.argv[1])"
    started = [
        subprocess.Popen([sys.executable, "-c", code, empty.url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    assert empty.one("SELECT count(*) FROM crawl.migration") == len(schema.files())


def test_what_a_later_version_brings_is_applied_to_what_is_there(
    database: Database, later: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pending_migrations(database.url) == list(later)
    _anew(monkeypatch)
    migrate(database.url)
    assert pending_migrations(database.url) == []
    assert database.rows("SELECT apn, amount FROM permits.permit") == []


@pytest.mark.parametrize("is_new", [True, False])
def test_all_or_nothing_is_applied(
    empty: Database, later: dict[str, Path], monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    good = later["0001_amount"].read_text()
    if not is_new:
        with monkeypatch.context() as before:
            before.setattr(
                schema,
                "files",
                lambda files=schema.files: {n: f for n, f in files().items() if n not in later},
            )
            migrate(empty.url)
    kept = list(later) if not is_new else list(schema.files())
    later["0001_amount"].write_text("ALTER TABLE permits.nothing ADD COLUMN amount bigint;")
    _anew(monkeypatch)
    with pytest.raises(psycopg2.errors.UndefinedTable):
        migrate(empty.url)
    assert pending_migrations(empty.url) == kept
    assert empty.one("SELECT to_regnamespace('permits')") is None
    later["0001_amount"].write_text(good)
    migrate(empty.url)
    assert pending_migrations(empty.url) == []


def _dump(url: str) -> str:
    ran = subprocess.run(
        [embedded.program("pg_dump")], env=environment_of(url), capture_output=True, text=True, check=True
    )
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", ran.stdout)


def _one_line(code: int, said: str) -> str:
    (line,) = [line for line in said.splitlines() if "error: " in line]
    assert code == 2, said
    assert "made by a development version older than 0.1.0" in line
    for way in (
        "maricopa postgres pg_dump --file old.sql",
        "maricopa export",
        "MARICOPA_DATA_DIR",
        "MARICOPA_DATABASE_URL",
    ):
        assert way in line
    assert "Traceback" not in said
    return line


def test_an_older_development_database_is_told_in_one_line_and_left_as_it_is(
    empty: Database, tmp_path: Path
) -> None:
    administer(empty.url, _OLDER)
    before = _dump(empty.url)
    for verb in (
        ("status",),
        ("verify",),
        ("jobs",),
        ("run", "tax", "--apns", APN, "-y"),
        ("export", "--to", str(tmp_path / "export")),
    ):
        told = maricopa(empty, *verb)
        assert told.stderr.count("\n") == 1, told.stderr
        _one_line(told.returncode, told.stderr)
        assert told.stdout == ""
    for spider, argument in (("assessor", f"apns={APN}"), ("tax", "job=1"), ("roll", "layer=E")):
        crawl = Crawler(empty, "http://127.0.0.1:9")(spider, "-a", argument)
        _one_line(crawl.code, crawl.log)
    doctor = maricopa(empty, "doctor")
    assert (doctor.returncode, doctor.stderr) == (1, "")
    assert "problem records: the database" in doctor.stdout
    assert _dump(empty.url) == before
    # The way out that the line shows.
    old = tmp_path / "old.sql"
    assert maricopa(empty, "postgres", "pg_dump", "--file", str(old)).returncode == 0
    assert "1\tproperty_search\trun" in old.read_text()


@pytest.mark.parametrize("left", ["CREATE SCHEMA crawl", _OLDER.split("CREATE SCHEMA")[0]])
def test_a_part_of_an_older_one_is_enough(empty: Database, left: str) -> None:
    administer(empty.url, left)
    with pytest.raises(DatabaseOlder, match="development version older than"):
        migrate(empty.url)


def test_another_program_s_migrations_are_no_reason(empty: Database) -> None:
    administer(
        empty.url,
        _OLDER.split("INSERT")[0]
        + "INSERT INTO public._yoyo_migration VALUES ('1', '0001_customers', now())",
    )
    migrate(empty.url)
    assert empty.one("SELECT count(*) FROM public.property") == 0
