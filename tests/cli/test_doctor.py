"""`maricopa doctor`: each thing by itself, with its remedy; no host of the county is asked."""

import re
import shutil
from pathlib import Path

import pytest

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.ledger import ledger
from tests.conftest import ROOT, Database, administer, maricopa


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """Settings that name a program which shows a page, as a browser does."""
    shows = tmp_path / "shows"
    shows.write_text("#!/bin/sh\necho '<title>maricopa</title>'\n")
    shows.chmod(0o755)
    folder = tmp_path / "config"
    shutil.copytree(ROOT / "config", folder)
    config = folder / "config.yaml"
    assert 'executable: ""' in config.read_text()
    config.write_text(
        config.read_text()
        .replace('executable: ""', f'executable: "{shows}"')
        .replace('contact: ""', 'contact: "me@example.org"')
    )
    return {"MARICOPA_CONFIG": str(folder)}


def test_all_is_well(database: Database, browser: dict[str, str]) -> None:
    told = maricopa(database, "doctor", MARICOPA_ASSESSOR_TOKEN="secret-token", **browser)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "problem" not in told.stdout
    for expected in (
        r"settings: 3 sources|settings: \d+ sources: assessor.*contact me@example.org",
        "token of assessor: MARICOPA_ASSESSOR_TOKEN is set",
        r"browser: .*/shows",
        r"database: MARICOPA_DATABASE_URL; Postgres \d+\.\d+",
        "schema: up to date",
        "leases: none is of a run that is gone",
    ):
        assert re.search(expected, told.stdout), told.stdout
    assert "secret-token" not in told.stdout


def test_each_problem_has_its_remedy(
    tmp_path: Path, database: Database, session: Session, browser: dict[str, str]
) -> None:
    targets = [FollowOn("assessor", "parcel", f"1010{i:04d}") for i in range(3)]
    job_id, _ = ledger.open_job(session, "property_search", targets, {})
    run = ledger.open_run(session, job_id, "assessor", "assessor")
    ledger.lease(session, run, 2)
    database.rows(
        "UPDATE crawl.run SET node = 'elsewhere', heartbeat_at = now() - interval '1 minute' RETURNING 1"
    )
    state = '{"rate": {"rate": 0.5}, "health": {"is_open": true}}'
    database.rows("INSERT INTO crawl.source (source, state) VALUES ('assessor', %s) RETURNING 1", state)
    config = Path(browser["MARICOPA_CONFIG"])
    settings = config / "config.yaml"
    settings.write_text(settings.read_text().replace(str(tmp_path / "shows"), "/no/such/browser"))
    told = maricopa(database, "doctor", MARICOPA_NODES="http://127.0.0.1:9", **browser)
    assert told.returncode == 1
    for expected in (
        r"problem token of assessor: MARICOPA_ASSESSOR_TOKEN is not set\n +ask the assessor for one",
        r"problem browser: .*executable.*\n? *.*/no/such/browser",
        r"problem leases: job 1: 2 targets are leased by a run that is gone .*\n +`-a job=1` takes them up",
        r"problem source assessor: its answers failed: the breaker is open\n +look whether",
        r"problem scrapyd: .*127.0.0.1:9.*\n +start it",
    ):
        assert re.search(expected, told.stdout), f"{expected}\n{told.stdout}"

    (config / "sources" / "gis.yaml").write_text("source: gis\nnonsense: 1\n")
    broken = maricopa(database, "doctor", **browser)
    assert broken.returncode == 1
    assert re.search(r"problem settings: .*gis.yaml: nonsense: unknown key", broken.stdout)


def test_a_database_that_is_not_there_and_one_without_tables(server: str, browser: dict[str, str]) -> None:
    gone = maricopa(
        None, "doctor", MARICOPA_DATABASE_URL="postgresql://me:hidden-word@127.0.0.1:9/x", **browser
    )
    assert gone.returncode == 1
    assert re.search(
        r"problem database: MARICOPA_DATABASE_URL: cannot reach.*\n +check MARICOPA_DATABASE_URL", gone.stdout
    ), gone.stdout
    assert "hidden-word" not in gone.stdout + gone.stderr

    administer(server, "CREATE DATABASE without_tables")
    head, _, query = server.partition("?")
    url = f"{head.rsplit('/', 1)[0]}/without_tables?{query}"
    try:
        empty = maricopa(None, "doctor", MARICOPA_DATABASE_URL=url, **browser)
        files = r"ledger, source-assessor, .*, views, find"
        says = rf"problem schema: \d+ files are not applied: {files}\n +any other verb"
        assert re.search(says, empty.stdout), empty.stdout
        assert (
            Database(url).one(
                "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            == 0
        )
    finally:
        administer(server, "DROP DATABASE without_tables WITH (FORCE)")
