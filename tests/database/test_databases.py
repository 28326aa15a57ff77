"""Databases of other people: encodings, poolers, roles, standbys and limits of a real server that is not
ours.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from maricopa_scrapy.database.connect import Session, migrate
from maricopa_scrapy.database.schema import files
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawl, Crawler, Database
from tests.helpers import debian_postgres as debian
from tests.helpers.command import Maricopa, Said

pytestmark = [debian.needs_postgres, pytest.mark.xdist_group("debian")]

APNS = "apns=" + ",".join(County().apns(6))


@pytest.fixture(scope="module")
def cluster() -> Iterator[debian.Cluster]:
    with debian.cluster() as up:
        yield up


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with SandboxProcess() as process:
        yield process.url


@pytest.fixture(scope="module")
def filled(cluster: debian.Cluster, sandbox: str) -> str:
    """Name of a database with six parcels; tests leave it as it is, or copy it."""
    name = cluster.database()
    crawl = Crawler(Database(cluster.url(name)), sandbox)("assessor", "-a", APNS)
    assert crawl.code == 0, crawl.log
    return name


def copied(cluster: debian.Cluster, name: str, owner: str = "postgres") -> str:
    copy = cluster.database()
    cluster.do(f"DROP DATABASE {copy}")
    cluster.do(f"CREATE DATABASE {copy} TEMPLATE {name} OWNER {owner}")
    return copy


def crawled(url: str, sandbox: str, *more: str, **environment: str) -> Crawl:
    return Crawler(Database(url), sandbox, environment=environment)("assessor", "-a", APNS, *more)


def said(url: str, sandbox: str, folder: Path, *arguments: str) -> Said:
    maricopa = Maricopa(Database(url), sandbox, folder, rate=None, environment={"COLUMNS": "2000"})
    return maricopa(*arguments) if arguments[0] == "run" else maricopa.here(*arguments)


def schemas(cluster: debian.Cluster, database: str) -> set[str]:
    return {
        name
        for (name,) in cluster.do(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information)'", database
        )
    }


def refused(crawl: Crawl, *words: str) -> None:
    """It ended before it began, with one line that has the words."""
    assert crawl.code == 2, crawl.log
    lines = crawl.error_lines()
    assert len(lines) == 1, crawl.log
    assert "Traceback" not in crawl.log
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_that_cannot_hold_every_name_is_refused(
    cluster: debian.Cluster, sandbox: str, tmp_path: Path, encoding: str
) -> None:
    name = cluster.database(encoding)
    refused(crawled(cluster.url(name), sandbox), name, encoding, "needs UTF8", "ENCODING 'UTF8'")
    told = said(cluster.url(name), sandbox, tmp_path, "status")
    assert (told.code, told.out, told.errors.count("\n")) == (2, "", 1)
    assert schemas(cluster, name) == {"public"}


@pytest.mark.parametrize("where", ["role", "database", "PGCLIENTENCODING", "address"])
def test_names_with_accents_are_stored_whatever_encoding_clients_are_told(
    cluster: debian.Cluster, filled: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    name, role, query = copied(cluster, filled), cluster.role(options="SUPERUSER"), ""
    if where in ("role", "database"):
        cluster.do(
            f"ALTER {where.upper()} {role if where == 'role' else name} SET client_encoding = 'LATIN1'"
        )
    elif where == "address":
        query = "client_encoding=latin1"
    else:
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    text = "PEÑA IBÁÑEZ, Łukasz – 東京"
    session = Session(cluster.url(name, role, query))
    session.transact(lambda cursor: cursor.execute("UPDATE assessor.owner SET ownership = %s", (text,)))
    assert session.rows("SHOW client_encoding") == [("UTF8",)]
    session.close()
    stored = cluster.do(
        "SELECT DISTINCT encode(convert_to(ownership, 'UTF8'), 'hex') FROM assessor.owner", name
    )
    assert stored == [(text.encode().hex(),)]


@debian.needs_pgbouncer
@pytest.mark.parametrize(
    ("pool_mode", "settings"),
    [
        ("transaction", {"server_round_robin": "1", "min_pool_size": "5"}),
        ("transaction", {}),
        ("statement", {}),
    ],
)
def test_a_pooler_of_transactions_is_refused_before_anything_is_written(
    cluster: debian.Cluster, sandbox: str, tmp_path: Path, pool_mode: str, settings: dict[str, str]
) -> None:
    name = cluster.database()
    with debian.pgbouncer(cluster, pool_mode, **settings) as pooler:
        url = cluster.url(name, port=pooler.port)
        refused(crawled(url, sandbox), "PgBouncer", name, "pool_mode = session")
        told = said(url, sandbox, tmp_path, "doctor")
        assert told.code == 1
        assert "PgBouncer" in told.out
        # What others get of the pool is as it was.
        with contextlib.closing(psycopg2.connect(url)) as other:
            other.autocommit = True
            with other.cursor() as cursor:
                cursor.execute("SHOW search_path")
                assert cursor.fetchall() == [('"$user", public',)]
    assert schemas(cluster, name) == {"public"}


@debian.needs_pgbouncer
def test_a_pooler_of_sessions_serves(cluster: debian.Cluster, sandbox: str) -> None:
    name = cluster.database()
    with debian.pgbouncer(cluster, "session") as pooler:
        crawl = crawled(cluster.url(name, port=pooler.port), sandbox)
    assert crawl.code == 0, crawl.log
    assert cluster.do("SELECT count(*) FROM crawl.target WHERE state = 'done'", name) == [(6,)]


@debian.needs_pgbouncer
def test_a_pool_of_one_connection_is_too_small(cluster: debian.Cluster, sandbox: str) -> None:
    name = cluster.database()
    with debian.pgbouncer(cluster, "session", default_pool_size="1") as pooler:
        refused(crawled(cluster.url(name, port=pooler.port), sandbox), "PgBouncer", "pool_size")


@debian.needs_pgbouncer
@pytest.mark.parametrize("where", ["address", "PGOPTIONS"])
def test_a_start_up_parameter_that_a_pooler_refuses_is_named(
    cluster: debian.Cluster, sandbox: str, where: str
) -> None:
    name = cluster.database()
    environment = {"PGOPTIONS": "-c work_mem=12MB"} if where == "PGOPTIONS" else {}
    with debian.pgbouncer(cluster, "session") as pooler:
        url = cluster.url(
            name, query="options=-c%20work_mem%3D12MB" if where == "address" else "", port=pooler.port
        )
        refused(
            crawled(url, sandbox, **environment),
            "PgBouncer",
            "options",
            "ignore_startup_parameters",
            "PGOPTIONS",
        )


# Verbs that only read, and verbs that write: each says what a role lacks, or does its work.
READS = (
    ("status",),
    ("status", "1"),
    ("jobs",),
    ("report", "1"),
    ("property", County().apns(1)[0]),
    ("issues",),
    ("verify",),
    ("changes", "--since", "7d"),
    ("captures",),
    ("doctor",),
    ("verify", "1"),
    ("issues", "1"),
    ("report", "1", "--html", "-"),
    ("status", "1", "--json"),
    ("jobs", "--json"),
    ("changes", "--since", "7d", "--query", "new-owner"),
)
WRITES = (
    ("cancel", "1"),
    ("retry", "1"),
    ("reparse", "--source", "assessor"),
    ("cleanup", "--older-than", "1h"),
    ("run", "property-search", "--apns", County().apns(1)[0], "-y"),
)


def _granted(line: str) -> list[str]:
    return re.findall(r"((?:GRANT [A-Z]|ALTER ROLE )[^;]+);", line)


@pytest.mark.parametrize("lack", ["CREATE on the database", "CREATE on public"])
def test_a_role_without_create_is_told_the_grant_that_helps(
    cluster: debian.Cluster, sandbox: str, lack: str
) -> None:
    name, role = cluster.database(), cluster.role()
    if lack == "CREATE on public":
        cluster.do(f"GRANT CREATE ON DATABASE {name} TO {role}")
    crawl = crawled(cluster.url(name, role), sandbox)
    refused(crawl, f"role {role}", f"database {name}", "GRANT")
    assert schemas(cluster, name) == {"public"}
    assert cluster.do("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", name) == [
        (0,)
    ]
    for grant in _granted(crawl.log):
        cluster.do(grant, name)
    again = crawled(cluster.url(name, role), sandbox)
    assert again.code == 0, again.log


def test_tables_of_another_role_are_brought_up_to_date_by_it_alone_and_never_by_half(
    cluster: debian.Cluster, sandbox: str, filled: str
) -> None:
    name, role = copied(cluster, filled), cluster.role()
    owner = cluster.role()
    for (schema,) in cluster.do(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information)' AND nspname <> 'public'", name
    ):
        cluster.do(f"ALTER SCHEMA {schema} OWNER TO {owner}", name)
    cluster.do(
        f"GRANT CREATE ON DATABASE {name} TO {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role}", name
    )
    cluster.do(
        f"GRANT USAGE ON SCHEMA crawl TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA"
        f" crawl TO {role}",
        name,
    )
    # As after an upgrade: something is to come.
    cluster.do("DELETE FROM crawl.migration WHERE name = 'views'", name)
    before = cluster.do("SELECT name FROM crawl.migration ORDER BY 1", name)
    refused(
        crawled(cluster.url(name, role), sandbox),
        f"role {role}",
        f"database {name}",
        f"GRANT {owner} TO {role}",
    )
    assert cluster.do("SELECT name FROM crawl.migration ORDER BY 1", name) == before


def test_a_role_that_may_see_nothing_is_told_what_reading_needs(
    cluster: debian.Cluster, sandbox: str, filled: str, tmp_path: Path
) -> None:
    name, role = copied(cluster, filled), cluster.role()
    told = said(cluster.url(name, role), sandbox, tmp_path, "status", "1")
    assert (told.code, told.errors.count("\n")) == (2, 1)
    assert f"role {role}" in told.errors
    assert "GRANT SELECT ON" in told.errors
    doctor = said(cluster.url(name, role), sandbox, tmp_path, "doctor")
    assert (doctor.code, doctor.errors) == (1, "")
    assert "GRANT SELECT ON" in doctor.out
    for grant in _granted(told.errors):
        cluster.do(grant, name)
    again = said(cluster.url(name, role), sandbox, tmp_path, "status", "1")
    assert again.code == 0, again.errors


def test_migrations_are_applied_all_or_none(cluster: debian.Cluster) -> None:
    """The last of them fails: of the first nothing stays."""
    name = cluster.database()
    cluster.do("CREATE TABLE public.property (in_the_way int)", name)
    with pytest.raises(psycopg2.errors.DuplicateTable):
        migrate(cluster.url(name))
    assert schemas(cluster, name) == {"public"}
    cluster.do("DROP TABLE public.property", name)
    migrate(cluster.url(name))
    assert "recorder" in schemas(cluster, name)


@pytest.mark.parametrize("kind", ["reader", "default_transaction_read_only", "standby"])
def test_who_may_only_read_reads_and_is_told_what_writing_needs(
    cluster: debian.Cluster, sandbox: str, filled: str, tmp_path: Path, kind: str
) -> None:
    name, role = copied(cluster, filled), cluster.role(options="SUPERUSER" if kind == "standby" else "")
    for schema in sorted(schemas(cluster, name)):
        rights = "SELECT" if kind == "reader" else "ALL"
        cluster.do(
            f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO"
            f" {role}",
            name,
        )
    if kind == "default_transaction_read_only":
        cluster.do(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(debian.standby(cluster)) if kind == "standby" else cluster
        url = where.url(name, role)
        for verb in READS:
            told = said(url, sandbox, tmp_path, *verb)
            assert told.code == (1 if verb == ("doctor",) and "problem " in told.out else 0), (
                verb,
                told.out,
                told.errors,
            )
            assert "may" not in told.errors
        for more in ((), ("--job", "1")):
            told = said(url, sandbox, tmp_path, "export", "--to", str(tmp_path / "export"), *more)
            assert told.code == 0, told.errors
            assert "6 properties" in told.out
        before = cluster.do("SELECT * FROM crawl.job", name)
        for verb in WRITES:
            told = said(url, sandbox, tmp_path, *verb)
            assert told.code == 2, (verb, told.out, told.errors)
            last = told.errors.strip().splitlines()[-1]
            assert role in last, (verb, told.errors)
            assert name in last, (verb, told.errors)
            assert "GRANT" in last, (verb, told.errors)
            assert "Traceback" not in told.errors
        crawl = crawled(url, sandbox)
        assert crawl.code == 2, crawl.log
        assert "Traceback" not in crawl.log
        assert cluster.do("SELECT * FROM crawl.job", name) == before
        if kind == "standby":
            return
        for grant in _granted(crawl.log):
            cluster.do(grant, name)
        again = crawled(url, sandbox)
        assert again.code == 0, again.log


def test_the_role_s_limits_are_for_others(cluster: debian.Cluster, sandbox: str) -> None:
    role = cluster.role(options="SUPERUSER")
    name = cluster.database()
    for limit, value in (
        ("statement_timeout", "200"),
        ("lock_timeout", "1"),
        ("idle_in_transaction_session_timeout", "200"),
        ("idle_session_timeout", "600"),
        ("default_transaction_isolation", "serializable"),
        ("search_path", "elsewhere"),
        ("datestyle", "'German, DMY'"),
        ("timezone", "'Asia/Tokyo'"),
        ("extra_float_digits", "0"),
        ("bytea_output", "escape"),
        ("standard_conforming_strings", "off"),
    ):
        cluster.do(f"ALTER ROLE {role} SET {limit} = {value}")
    crawl = crawled(cluster.url(name, role), sandbox)
    assert crawl.code == 0, crawl.log
    assert "database lost" not in crawl.log
    assert cluster.do("SELECT state, count(*) FROM crawl.target GROUP BY 1", name) == [("done", 6)]


def _shown(session: Session, *names: str) -> list[Any]:
    return [session.rows(f"SHOW {name}")[0][0] for name in names]


@pytest.mark.parametrize("where", ["address", "PGOPTIONS"])
def test_the_user_s_own_options_are_kept(
    cluster: debian.Cluster, filled: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    own = "-c work_mem=12MB -c statement_timeout=90s -c search_path=gis -c TimeZone=Asia/Tokyo"
    query = ""
    if where == "address":
        query = "options=" + own.replace(" ", "%20").replace("=", "%3D")
    else:
        monkeypatch.setenv("PGOPTIONS", own)
    session = Session(cluster.url(filled, query=query))
    shown = _shown(
        session,
        "work_mem",
        "statement_timeout",
        "search_path",
        "TimeZone",
        "idle_in_transaction_session_timeout",
    )
    assert shown == ["12MB", "90s", "public", "UTC", "1min"]
    session.close()


# Each has tables of our names in a place that would be looked at before ours.
_SHADOWS = {
    "a schema of the role's own": ("role", '"$user", public', ""),
    "ALTER ROLE": ("shadow", "shadow, crawl, assessor, public", "role"),
    "ALTER DATABASE": ("shadow", "shadow, public", "database"),
    "ALTER ROLE IN DATABASE": ("shadow", "shadow", "both"),
    "the address": ("shadow", "shadow", "address"),
    "nothing at all": ("shadow", "''", "role"),
}


@pytest.mark.parametrize("where", _SHADOWS)
def test_a_search_path_of_others_leads_to_none_of_their_tables(
    cluster: debian.Cluster, sandbox: str, tmp_path: Path, where: str
) -> None:
    schema, path, of = _SHADOWS[where]
    name, role = cluster.database(), cluster.role(options="SUPERUSER")
    schema = role if schema == "role" else schema
    cluster.do(f"CREATE SCHEMA {schema} AUTHORIZATION {role}", name)
    for table in ("migration", "property", "stage_target", "parcel", "job"):
        cluster.do(f"CREATE TABLE {schema}.{table} (trap text PRIMARY KEY)", name)
    set_for = {
        "role": f"ROLE {role}",
        "database": f"DATABASE {name}",
        "both": f"ROLE {role} IN DATABASE {name}",
    }.get(of)
    if set_for:
        cluster.do(f"ALTER {set_for} SET search_path = {path}")
    url = cluster.url(name, role, f"options=-c%20search_path%3D{path}" if of == "address" else "")
    for _ in range(2):
        crawl = crawled(url, sandbox)
        assert crawl.code == 0, crawl.log
    for verb in (("verify",), ("status", "1"), ("property", County().apns(1)[0])):
        assert said(url, sandbox, tmp_path, *verb).code == 0
    assert cluster.do("SELECT count(*) FROM crawl.migration", name) == [(len(files()),)]
    assert cluster.do(f"SELECT count(*) FROM {schema}.migration", name) == [(0,)]
    assert cluster.do("SELECT count(*) FROM assessor.parcel", name) == [(6,)]


@pytest.mark.parametrize("role", ["crawl", "assessor", "treasurer", "gis"])
def test_a_role_named_like_a_schema_of_ours(
    cluster: debian.Cluster, sandbox: str, tmp_path: Path, role: str
) -> None:
    name, role = cluster.database(), cluster.role(role, "SUPERUSER")
    cluster.do(f'ALTER ROLE {role} SET search_path = "$user", assessor, public')
    for _ in range(2):
        crawl = crawled(cluster.url(name, role), sandbox)
        assert crawl.code == 0, crawl.log
    assert said(cluster.url(name, role), sandbox, tmp_path, "verify").code == 0
    assert cluster.do(
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'migration'", name
    ) == [("crawl",)]
