"""A database in trouble under a crawl: locks of others, cancelled statements, a killed server, a full disk, a
set clock, a frozen run.
"""

import contextlib
import datetime as dt
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import psutil
import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor
from scrapy.http import Response

from maricopa_scrapy.cli.terminal import moment
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import DatabaseCancelled, DatabaseUnavailable, Session
from maricopa_scrapy.database.server_checks import explained
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.ledger import ledger, lost_runs
from maricopa_scrapy.machine import processes
from maricopa_scrapy.pace.throttle import retry_after
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawler, Database
from tests.helpers import debian_postgres as debian
from tests.helpers.command import Maricopa, apns, wait_for, within_s

Start = Callable[..., SandboxProcess]

AS_ROOT = os.geteuid() == 0
_DONE = "SELECT count(*) FROM crawl.target WHERE state = 'done'"


@contextlib.contextmanager
def locked(database: Database, table: str, mode: str = "ACCESS EXCLUSIVE") -> Iterator[int]:
    """Another client holds a table's lock; yields its server process."""
    with contextlib.closing(psycopg2.connect(database.url, application_name="psql")) as holder:
        with holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN {mode} MODE")
        yield holder.get_backend_pid()
        if not holder.closed:
            holder.rollback()


@contextlib.contextmanager
def rows_locked(database: Database, table: str) -> Iterator[None]:
    """Another client holds the rows of a table, and a job's word is not among them."""
    with contextlib.closing(psycopg2.connect(database.url, application_name="psql")) as holder:
        with holder.cursor() as cursor:
            cursor.execute(f"SELECT FROM {table} FOR UPDATE")
        yield
        holder.rollback()


def _stands_still(sandbox: SandboxProcess) -> bool:
    """Whether nothing is asked for within a second."""
    before = sandbox.stats()["assessor"]["requests"]
    time.sleep(1)
    return bool(sandbox.stats()["assessor"]["requests"] == before)


def _is_past(database: Database, count: int) -> bool:
    return done(database) > count


def done(database: Database) -> int:
    """How many targets are done, by a session that waits for a server in trouble."""
    session = Session(database.url, patience=30)
    try:
        return int(session.rows(_DONE)[0][0])
    finally:
        session.close()


def ended(crawl: "subprocess.Popen[str]") -> str:
    """Wait for the end of a crawl, and return what it logged."""
    return crawl.communicate(timeout=90)[0]


@pytest.mark.timed
@pytest.mark.parametrize("table", ["assessor.parcel", "crawl.issue"])
def test_cancel_does_not_wait_for_a_lock_of_somebody_else(
    tmp_path: Path, database: Database, county: Start, table: str
) -> None:
    sandbox = county()
    sandbox.faults({"new_field": {"probability": 1.0}})
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=20)
    run = maricopa.start("run", "property-search", "--apns", apns(400), "--mode", "api-only", "-y")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.target WHERE state = 'done'"))
    with locked(database, table):
        wait_for(
            lambda: database.rows(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
                " current_database()"
            )
        )
        begun = time.monotonic()
        said = maricopa("cancel", "1")
        took = time.monotonic() - begun
        assert (said.code, took < within_s() + 1) == (0, True), (said, took)
        assert "job 1 is cancelled" in said.out
        run.communicate(timeout=30)
        assert run.returncode == 6
        assert database.rows("SELECT verdict FROM crawl.job") == [("cancelled",)]
        assert database.rows("SELECT state, reason FROM crawl.run") == [("closed", "cancelled")]
        assert "leased" not in database.states()


@pytest.mark.timed
@pytest.mark.parametrize("word", ["pause", "ctrl-c", "cancel of a row", "status", "jobs"])
def test_no_word_waits_for_a_lock_of_somebody_else(
    tmp_path: Path, database: Database, county: Start, word: str
) -> None:
    sandbox = county()
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=20)
    run = maricopa.start("run", "property-search", "--apns", apns(400), "--mode", "api-only", "-y")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.target WHERE state = 'done'"))
    # A row of a table that every answer is stored in is held in another way than the table.
    table, mode = (
        ("crawl.job", "ROW SHARE") if word == "cancel of a row" else ("assessor.owner", "ACCESS EXCLUSIVE")
    )
    with locked(database, table, mode) if mode != "ROW SHARE" else rows_locked(database, "assessor.parcel"):
        if mode != "ROW SHARE":
            wait_for(
                lambda: database.rows(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
                    " current_database()"
                )
            )
        begun = time.monotonic()
        if word == "ctrl-c":
            run.send_signal(signal.SIGINT)
        else:
            said = maricopa.here(word.split()[0], *([] if word == "jobs" else ["1"]))
            assert (said.code, "Traceback" in said.errors) == (0, False), said
        took = time.monotonic() - begun
        if word in ("status", "jobs"):
            assert took < within_s()
            assert maricopa.here("cancel", "1").code == 0
            run.communicate(timeout=30)
            return
        if word == "pause":
            # Whoever follows the job waits for it to go on.
            assert took < within_s() + 1
            run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)
        assert time.monotonic() - begun < within_s() + 3, took
        states = {"pause": "paused", "ctrl-c": "paused", "cancel of a row": "finished"}
        assert database.rows("SELECT state FROM crawl.job") == [(states[word],)]
        assert database.one("SELECT state FROM crawl.run") == "closed"
        assert "leased" not in database.states()


def test_a_job_goes_on_under_a_lock_as_soon_as_it_goes(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=50)
    begun = Crawler(database, sandbox.url, rate=50).start("assessor", "-a", f"apns={apns(120)}")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.target WHERE state = 'done'"))
    assert maricopa.here("pause", "1").code == 0
    ended(begun)
    with locked(database, "assessor.parcel"):
        # That it returns while the lock is held says that it does not wait for it.
        said = maricopa.here("resume", "1", "--detach")
        assert said.code == 0, said
        wait_for(
            lambda: database.rows(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
                " current_database()"
            )
        )
    wait_for(lambda: database.rows("SELECT verdict FROM crawl.job") == [("completed",)])
    assert database.states() == {"done": 120}


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
def test_a_lock_that_goes_costs_nothing(database: Database, county: Start, mode: str) -> None:
    sandbox = county()
    crawl = Crawler(database, sandbox.url, rate=50).start("assessor", "-a", f"apns={apns(60)}")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.target WHERE state = 'done'"))
    with locked(database, "assessor.parcel", mode) as pid:
        time.sleep(4)
    log = ended(crawl)
    assert crawl.returncode == 0, log
    assert database.states() == {"done": 60}
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] == 60
    assert (
        "psql of postgres holds a lock on assessor.parcel; wait for its end, or end it: SELECT"
        f" pg_terminate_backend({pid})" in log
    )
    assert "database lost" not in log


def test_a_verb_that_meets_a_lock_says_whose_it_is(tmp_path: Path, database: Database) -> None:
    with locked(database, "crawl.job"):
        said = Maricopa(database, "", tmp_path, rate=None, environment={"COLUMNS": "500"})("status", "1")
        assert said.code == 2
    assert re.fullmatch(r"error: psql of postgres holds a lock on crawl.job; .*\n", said.errors)


def test_a_statement_of_a_killed_run_does_not_live_on(database: Database, county: Start) -> None:
    sandbox = county()
    crawl = Crawler(database, sandbox.url, rate=50).start("assessor", "-a", f"apns={apns(200)}")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.target WHERE state = 'done'"))
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'maricopa_scrapy' AND datname ="
        " current_database() AND pid <> pg_backend_pid()"
    )
    with locked(database, "assessor.parcel"):
        wait_for(lambda: database.rows(waits + " AND wait_event_type = 'Lock'"))
        crawl.kill()
        crawl.communicate()
        wait_for(lambda: not database.rows(waits))


def test_a_statement_that_is_cancelled_is_asked_again(database: Database, county: Start) -> None:
    sandbox = county()
    crawl = Crawler(database, sandbox.url, rate=100).start("assessor", "-a", f"apns={apns(150)}")
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.run"))
    while crawl.poll() is None:
        database.rows(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'maricopa_scrapy'"
            " AND pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%%stage_target%%'"
            " AND random() < 0.3"
        )
        time.sleep(0.05)
    log = ended(crawl)
    assert crawl.returncode == 0, log
    assert database.states() == {"done": 150}
    assert "database lost" not in log


def test_a_limit_of_the_user_s_own_that_is_too_short_is_told(database: Database) -> None:
    joint = "&" if "?" in database.url else "?"
    session = Session(f"{database.url}{joint}options=-c%20statement_timeout%3D100", patience=20)
    with pytest.raises(DatabaseCancelled, match="statement_timeout in the address"):
        session.transact(lambda cursor: cursor.execute("SELECT pg_sleep(2)"))
    session.close()


def test_a_transaction_that_was_idle_for_too_long_is_begun_again(database: Database) -> None:
    """As after SIGSTOP: the server has ended it."""
    session = Session(database.url, patience=20)
    tries: list[int] = []

    def work(cursor: Cursor) -> int:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 100")
        tries.append(1)
        if len(tries) == 1:
            time.sleep(0.5)
        cursor.execute("SELECT 7")
        return int(cursor.fetchall()[0][0])

    assert (session.transact(work), len(tries)) == (7, 2)
    session.close()


def test_two_that_deadlock_both_go_on(database: Database) -> None:
    database.rows("CREATE TABLE public.both AS SELECT generate_series(1, 2) AS n, 0 AS hits; SELECT 1")
    met = threading.Barrier(2)
    failures: list[Exception] = []

    def work(first: int, second: int) -> None:
        session = Session(database.url, patience=20)
        tries = []

        def hit(cursor: Cursor) -> None:
            cursor.execute("UPDATE public.both SET hits = hits + 1 WHERE n = %s", (first,))
            tries.append(1)
            if len(tries) == 1:
                met.wait(60)
            cursor.execute("UPDATE public.both SET hits = hits + 1 WHERE n = %s", (second,))

        try:
            session.transact(hit)
        except (DatabaseUnavailable, psycopg2.Error) as error:
            failures.append(error)
        session.close()

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert database.rows("SELECT hits FROM public.both") == [(2,), (2,)]


# The embedded server.


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Path, Database]]:
    """A data folder of its own, and its database while a server is up."""
    # Not below pytest's folders: the next session on this machine closes them to the server's user.
    folder = Path(tmp_path.parent.parent / f"own-{os.getpid()}-{time.monotonic_ns()}")
    folder = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp") / folder.name
    url = embedded.start(folder)
    try:
        yield folder, Database(url)
    finally:
        embedded.release(folder)
        shutil.rmtree(folder, ignore_errors=True)


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


@pytest.mark.parametrize("how", ["postmaster twice", "backends", "immediate"])
def test_an_embedded_server_that_is_killed_is_started_again(
    own: tuple[Path, Database], county: Start, how: str
) -> None:
    folder, database = own
    sandbox = county()
    crawler = Crawler(None, sandbox.url, rate=30, environment={"MARICOPA_DATA_DIR": str(folder)})
    crawl = crawler.start("assessor", "-a", f"apns={apns(120)}")
    wait_for(lambda: database.rows("SELECT to_regclass('crawl.target')") != [(None,)])
    wait_for(lambda: done(database) > 5)
    for _ in range(2 if how == "postmaster twice" else 1):
        pid, done_before = postmaster(folder), done(database)
        if how == "backends":
            for child in psutil.Process(pid).children():
                with contextlib.suppress(psutil.Error):
                    child.kill()
        else:
            os.kill(pid, signal.SIGQUIT if how == "immediate" else signal.SIGKILL)
        wait_for(partial(_is_past, database, done_before + 5))
    log = ended(crawl)
    assert crawl.returncode == 0, log
    asked = sandbox.stats()["assessor"]["by_kind"]["parcel"]
    embedded.start(folder)
    assert database.states() == {"done": 120}
    # What was under way when the server went may be asked for again; nothing was asked for while it was away.
    assert asked <= 120 + 30, log


def test_nothing_is_asked_for_while_the_database_is_away(
    database: Database, county: Start, tmp_path: Path
) -> None:
    sandbox = county()
    crawl = Crawler(database, sandbox.url, rate=20).start("assessor", "-a", f"apns={apns(400)}")
    wait_for(lambda: done(database) > 10)
    name = database.one("SELECT current_database()")
    other = Database(database.url.replace(f"/{name}?", "/postgres?"))
    other.rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false; SELECT 1")
    other.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
    wait_for(lambda: _stands_still(sandbox))
    before = sandbox.stats()["assessor"]["requests"]
    time.sleep(4)
    after = sandbox.stats()["assessor"]["requests"]
    other.rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true; SELECT 1")
    wait_for(lambda: sandbox.stats()["assessor"]["requests"] > after + 5)
    crawl.send_signal(signal.SIGINT)
    log = ended(crawl)
    assert after == before, log
    assert crawl.returncode == 4, log
    assert "leased" not in database.states()


def _full(database: Database, message: str) -> None:
    database.rows(
        "CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
        f" '{message}' USING ERRCODE = '53100'; END $$; CREATE TRIGGER full_disk BEFORE INSERT ON"
        " assessor.parcel EXECUTE FUNCTION public.full_disk(); SELECT 1"
    )


@pytest.mark.parametrize(
    ("message", "says", "is_own"),
    [
        ("could not extend file: No space left on device", "make room", True),
        ("could not extend file: No space left on device", "the server's disk is full", False),
        (
            'could not resize shared memory segment "/PostgreSQL.1" to 1 bytes: No space left on device',
            "/dev/shm",
            True,
        ),
    ],
)
def test_a_full_disk_is_waited_for_and_the_remedy_fits(
    own: tuple[Path, Database], county: Start, tmp_path: Path, message: str, says: str, is_own: bool
) -> None:
    folder, database = own
    sandbox = county()
    Crawler(database, sandbox.url)("assessor", "-a", f"apns={apns(1)}")
    _full(database, message)
    config = tmp_path / "config"
    shutil.copytree("config", config)
    text = (config / "config.yaml").read_text()
    (config / "config.yaml").write_text(re.sub(r"database_patience: \d+", "database_patience: 3", text))
    environment = {"MARICOPA_CONFIG": str(config), "MARICOPA_DATA_DIR": str(folder)}
    crawler = Crawler(None if is_own else database, sandbox.url, rate=20, environment=environment)
    crawl = crawler("assessor", "-a", f"apns={apns(60)}")
    assert crawl.code == 4, crawl.log
    (line,) = {
        line.split("stored: ")[1] for line in crawl.log.splitlines() if "nothing more can be stored" in line
    }
    assert says in line
    assert (str(folder) in line) == (is_own and says != "/dev/shm")
    assert "MARICOPA_DATABASE_URL" not in line
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] < 50
    database.rows("DROP TRIGGER full_disk ON assessor.parcel; SELECT 1")
    again = crawler("assessor", "-a", "job=2")
    assert again.code == 0, again.log
    assert database.states(2) == {"done": 60}


@pytest.mark.skipif(not AS_ROOT, reason="only root mounts a small /dev/shm")
def test_a_small_dev_shm_is_named(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"shm-{os.getpid()}-{time.monotonic_ns()}"
    command = f"mount -t tmpfs -o size=64k tmpfs /dev/shm && exec {sys.executable} -m maricopa_scrapy status"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")} | {
        "MARICOPA_DATA_DIR": str(folder)
    }
    try:
        said = subprocess.run(
            ["unshare", "-m", "sh", "-c", command],
            env=environment | {"COLUMNS": "500"},
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if "unshare failed" in said.stderr or "mount:" in said.stderr:
        pytest.skip("this machine lets nobody mount")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1), said
    assert "/dev/shm is full or too small" in said.stderr
    assert "disk is full" not in said.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            (
                'FATAL:  could not resize shared memory segment "/PostgreSQL.7" to 1048576 bytes: No space'
                " left on device"
            ),
            "/dev/shm",
        ),
        (
            "FATAL:  could not map anonymous shared memory: Cannot allocate memory\nshared memory segment",
            "/dev/shm",
        ),
        ('PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device', "the disk is full"),
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', "the disk is full"),
    ],
)
def test_what_is_full_is_told_apart(said: str, told: str) -> None:
    assert told in explained("it did not start", said)


# Clocks.


def test_a_process_is_the_same_whatever_its_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            started, known = processes.started_of(child.pid), processes.process_of(child.pid)
            # The time of boot, which a clock that is set moves.
            monkeypatch.setattr(psutil.Process, "create_time", lambda self: time.time() + 3600)
            assert processes.started_of(child.pid) == started
            assert processes.is_alive(child.pid, started)
            assert processes.is_alive(child.pid, known)
            assert not processes.is_alive(child.pid, started + 1)
            assert not processes.is_alive(child.pid, known.replace("-", "+", 1))
        finally:
            child.kill()
    assert not processes.is_alive(child.pid, started)


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[debian.Cluster, debian.FakeClock]]:
    """A server whose clock can be set."""
    folder = tmp_path_factory.mktemp("clock")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    clock = debian.FakeClock(Path(folder / "offset") if not AS_ROOT else Path(f"/tmp/clock-{os.getpid()}"))
    clock.set(0)
    with debian.cluster(**clock.environment()) as up:
        yield up, clock
    clock.file.unlink(missing_ok=True)


@debian.needs_postgres
@debian.needs_faketime
@pytest.mark.xdist_group("debian-clock")
@pytest.mark.parametrize("step", [3600, -3600])
def test_a_clock_that_is_set_ends_no_run(
    clocked: tuple[debian.Cluster, debian.FakeClock], county: Start, step: int
) -> None:
    cluster, clock = clocked
    clock.set(0)
    sandbox = county(latency=0.05)
    sandbox.faults({"server_error": {"probability": 0.1, "kind": "parcel"}})
    database = Database(cluster.url(cluster.database()))
    begin = Crawler(database, sandbox.url, rate=15)
    first = begin.start("assessor", "-a", f"apns={apns(80)}")
    wait_for(lambda: database.rows("SELECT to_regclass('crawl.run')") != [(None,)])
    wait_for(lambda: database.rows("SELECT 1 FROM crawl.run"))
    second = begin.start("assessor", "-a", "job=1")
    wait_for(lambda: len(database.rows("SELECT 1 FROM crawl.run")) == 2)
    wait_for(lambda: done(database) > 15)
    clock.set(step)
    logs = [ended(crawl) for crawl in (first, second)]
    clock.set(0)
    assert [first.returncode, second.returncode] == [0, 0], logs
    assert database.states() == {"done": 80}
    assert database.rows("SELECT state, reason FROM crawl.run") == [("closed", "finished")] * 2
    stats = sandbox.stats()["assessor"]["by_kind"]["parcel"]
    # A 500 among the first answers of a run may be the token's: it is asked again, and spends no attempt.
    assert 0 <= stats - 80 - database.one("SELECT coalesce(sum(attempts), 0) FROM crawl.target") <= 4


def test_runs_that_only_seem_silent_because_a_clock_was_set_are_left_alone(
    session: Session, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = ledger.open_job(session, "property_search", [FollowOn("assessor", "parcel", "10100000")], {})
    runs = [ledger.open_run(session, job, "assessor", "assessor") for _ in range(3)]
    ledger.heartbeat(session, runs[0])
    # By a database's clock that was set an hour ahead all others are silent; one of them is on another
    # machine.
    database.rows(
        "UPDATE crawl.run SET node = 'elsewhere' WHERE id = 2; UPDATE crawl.run SET pid = 1, "
        "process = %s WHERE id = 3"
        " RETURNING 1",
        processes.process_of(1),
    )
    database.rows(
        "UPDATE crawl.run SET heartbeat_at = heartbeat_at - interval '1 h' WHERE id > 1 RETURNING 1"
    )
    lookout = next(
        found
        for dsn, found in lost_runs._lookouts.items()
        if str(database.one("SELECT current_database()")) in dsn
    )
    lookout._offset -= 3600
    ledger.heartbeat(session, runs[0])
    assert database.rows("SELECT DISTINCT state FROM crawl.run") == [("running",)]
    # Ten seconds later, by a clock that nobody sets, they are lost.
    real = time.monotonic
    for later in (5.2, 10.4):
        monkeypatch.setattr(
            "maricopa_scrapy.ledger.lost_runs.time.monotonic", lambda later=later: real() + later
        )
        lookout._offset -= 5.2
        ledger.heartbeat(session, runs[0])
    assert database.rows("SELECT id, state FROM crawl.run ORDER BY id") == [
        (1, "running"),
        (2, "lost"),
        (3, "lost"),
    ]


def test_a_beat_from_the_future_counts_from_now(session: Session, database: Database) -> None:
    job, _ = ledger.open_job(session, "property_search", [FollowOn("assessor", "parcel", "10100000")], {})
    mine, other = (ledger.open_run(session, job, "assessor", "assessor") for _ in range(2))
    database.rows(
        "UPDATE crawl.run SET node = 'elsewhere', heartbeat_at = now() + interval '1 h' WHERE id = %s"
        " RETURNING 1",
        other.id,
    )
    ledger.heartbeat(session, mine)
    assert (
        database.one("SELECT heartbeat_at <= clock_timestamp() FROM crawl.run WHERE id = %s", other.id)
        is True
    )


@debian.needs_faketime
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("America/Phoenix", "2027-01-01T07:00:00Z"),
    ],
    ids=["back", "forth", "half an hour", "a year's end"],
)
def test_a_change_of_the_hour_under_a_run_changes_nothing(
    database: Database, county: Start, zone: str, change: str
) -> None:
    at = dt.datetime.fromisoformat(change)
    sandbox = county()
    sandbox.faults({"server_error": {"probability": 0.1, "kind": "parcel"}})
    # The run's clock is months away from the server's too.
    clock = {
        "FAKETIME": f"@{int(at.timestamp()) - 6}",
        "FAKETIME_FMT": "%s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    clock |= {"LD_PRELOAD": str(debian.FAKETIME), "TZ": zone}
    crawl = Crawler(database, sandbox.url, rate=10, environment=clock).start(
        "assessor", "-a", f"apns={apns(60)}"
    )
    log = ended(crawl)
    assert crawl.returncode == 0, log
    assert database.states() == {"done": 60}
    assert database.rows("SELECT state, reason FROM crawl.run") == [("closed", "finished")]
    spent = database.one("SELECT coalesce(sum(attempts), 0) FROM crawl.target")
    assert 0 <= sandbox.stats()["assessor"]["by_kind"]["parcel"] - 60 - spent <= 4
    # The moments of answers go on by seconds across the change.
    first, last = database.rows("SELECT min(fetched_at), max(fetched_at) FROM crawl.capture")[0]
    assert dt.timedelta(seconds=2) < last - first < dt.timedelta(seconds=60)
    assert at - dt.timedelta(seconds=6) < first < at + dt.timedelta(seconds=50)
    assert last > at


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC0"])
def test_a_day_and_a_retry_after_are_the_same_in_every_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        # 02:30 of that day is no time in New York; days are Arizona's.
        assert moment("--since", "2026-03-08T02:30") == dt.datetime(2026, 3, 8, 9, 30, tzinfo=dt.UTC)
        assert moment("--since", "2026-11-01") == dt.datetime(2026, 11, 1, 7, tzinfo=dt.UTC)
        assert abs(moment("--since", "1h") - dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)) < dt.timedelta(
            seconds=5
        )
        later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90), usegmt=True)
        assert 80 < (retry_after(Response("http://x", 429, headers={"Retry-After": later})) or 0) <= 91
    finally:
        monkeypatch.undo()
        time.tzset()


# A run that was frozen.


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_frozen_run_that_was_taken_for_lost_asks_for_nothing_more(
    database: Database, county: Start, is_cancelled: bool
) -> None:
    sandbox = county(latency=0.1)
    begin = Crawler(database, sandbox.url, rate=10)
    frozen = begin.start("assessor", "-a", f"apns={apns(60)}")
    wait_for(lambda: done(database) > 3)
    frozen.send_signal(signal.SIGSTOP)
    try:
        held = database.one("SELECT count(*) FROM crawl.target WHERE state = 'leased'")
        assert held > 0
        other = begin.start("assessor", "-a", "job=1")
        if is_cancelled:
            wait_for(lambda: database.one("SELECT state FROM crawl.run WHERE id = 1") == "lost", 40)
            database.rows("UPDATE crawl.job SET requested_state = 'cancel' RETURNING 1")
        log = ended(other)
        assert other.returncode == (6 if is_cancelled else 0), log
        assert database.rows("SELECT state FROM crawl.job") == [("finished",)]
        before = sandbox.stats()["assessor"]["requests"]
    finally:
        frozen.send_signal(signal.SIGCONT)
    log = ended(frozen)
    assert sandbox.stats()["assessor"]["requests"] <= before + 1, log
    assert database.rows("SELECT state, reason FROM crawl.run WHERE id = 1") == [("lost", "lost")]
    assert database.rows("SELECT state, verdict FROM crawl.job") == [
        ("finished", "cancelled" if is_cancelled else "completed")
    ]
    assert is_cancelled or "others have taken over what it held" in log
    assert frozen.returncode == (4 if is_cancelled else 0), log


def test_a_run_that_was_frozen_for_less_goes_on(database: Database, county: Start) -> None:
    sandbox = county()
    crawl = Crawler(database, sandbox.url, rate=20).start("assessor", "-a", f"apns={apns(60)}")
    wait_for(lambda: done(database) > 3)
    crawl.send_signal(signal.SIGSTOP)
    time.sleep(5)
    crawl.send_signal(signal.SIGCONT)
    log = ended(crawl)
    assert crawl.returncode == 0, log
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] == 60
    assert database.rows("SELECT state FROM crawl.run") == [("closed",)]


def test_a_database_that_is_gone_has_a_remedy_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_set in (True, False):
        if is_set:
            monkeypatch.setenv("MARICOPA_DATABASE_URL", "x")
        else:
            monkeypatch.delenv("MARICOPA_DATABASE_URL", raising=False)
        session = Session("postgresql://x@127.0.0.1:9/x")
        with pytest.raises(DatabaseUnavailable) as caught:
            session.transact(lambda cursor: None)
        assert ("MARICOPA_DATABASE_URL" in str(caught.value)) == is_set
