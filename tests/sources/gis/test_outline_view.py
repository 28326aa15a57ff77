"""gis.parcel_outline: only where PostGIS is; and there, geometries that PostGIS itself can measure."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maricopa_scrapy.database.connect import migrate
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Database, administer
from tests.helpers.rolls import crawler

Start = Callable[..., SandboxProcess]
# Debian's packages postgresql-N and postgresql-N-postgis-3.
_CONTROL = "/usr/share/postgresql/*/extension/postgis.control"


@pytest.fixture
def with_postgis() -> Iterator[Database]:
    """A database with PostGIS on a server of the system's own Postgres, which ends with the test."""
    found = sorted(Path("/").glob(_CONTROL.lstrip("/")))
    if not found:
        pytest.skip(
            "PostGIS is not installed (Debian: postgresql-15-postgis-3); the embedded Postgres cannot have it"
        )
    binaries = Path("/usr/lib/postgresql") / found[-1].parts[-3] / "bin"
    if not (binaries / "initdb").exists() or (os.getuid() == 0 and shutil.which("runuser") is None):
        pytest.skip(f"{binaries} has no server that can be started here")
    as_owner = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgis-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        data = folder / "data"

        def run(*command: str) -> None:
            subprocess.run(
                [*as_owner, str(binaries / command[0]), *command[1:]],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=60,
            )

        run("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8")
        run(
            "pg_ctl",
            "-D",
            str(data),
            "-l",
            str(folder / "log"),
            "-o",
            f"-h '' -k {folder} -p 5432 -F",
            "-w",
            "start",
        )
        try:
            url = f"postgresql://postgres@/postgres?host={folder}&port=5432"
            migrate(url)
            administer(url, "CREATE EXTENSION postgis")
            yield Database(url)
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


def test_where_postgis_is_a_view_has_the_outlines_as_geometries(
    tmp_path: Path, with_postgis: Database, county: Start
) -> None:
    sandbox = county(gis_parcels=300)
    crawl = crawler(tmp_path, with_postgis, sandbox)("roll", "-a", "geometry=polygon")
    assert crawl.code == 0, crawl.log
    with_postgis.rows(
        "UPDATE gis.outline SET geometry = NULL WHERE apn = (SELECT min(apn) FROM gis.outline) RETURNING apn"
    )
    rows: list[tuple[Any, ...]] = with_postgis.rows(
        "SELECT count(*), count(outline), bool_and(ST_IsValid(outline)), bool_and(ST_SRID(outline) = 4326),"
        " bool_and(ST_Contains(outline, ST_SetSRID(ST_MakePoint(longitude, latitude), 4326))) FROM"
        " gis.parcel_outline"
    )
    assert rows == [(300, 299, True, True, True)]
    # A second roll finds the view there.
    assert crawler(tmp_path, with_postgis, sandbox)("roll", "-a", "geometry=polygon").code == 0


def test_where_postgis_is_not_there_is_no_view_and_a_roll_is_complete(
    tmp_path: Path, database: Database, county: Start
) -> None:
    crawl = crawler(tmp_path, database, county(gis_parcels=100))("roll", "-a", "geometry=polygon")
    assert crawl.code == 0, crawl.log
    assert database.one("SELECT to_regclass('gis.parcel_outline')") is None
    assert database.one("SELECT count(geometry) FROM gis.outline") == 100
