"""Jobs that start by themselves: what is saved and refused, and that each time starts one job, whatever
happens.
"""

import datetime as dt
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extras import Json

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs import schedules
from maricopa_scrapy.jobs.schedules import CronError, Schedule
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import ROOT, Database
from tests.helpers.command import Maricopa, wait_for

APNS = County().apns(5)
DAY = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
PAGE = ROOT / "docs" / "schedules.md"
TICKS = 6
FAST = ("-s", "MARICOPA_RATE_LIMIT=100")


@pytest.fixture
def maricopa(database: Database, county: Callable[..., Any], tmp_path: Path) -> Maricopa:
    sandbox = county(gis_parcels=60)
    return Maricopa(database, sandbox.url, tmp_path)


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    file = tmp_path / "my.txt"
    file.write_text("\n".join(APNS))
    return file


def _make_due(database: Database, ago: str, number: int = 1) -> None:
    database.rows(
        "UPDATE crawl.schedule SET next_at = date_trunc('minute', now()) - %s::interval WHERE id = %s"
        " RETURNING id",
        ago,
        number,
    )


@pytest.mark.parametrize(
    ("cron", "coming"),
    [
        ("0 5 * * 1-5", "Tue 2026-12-01 05:00"),
        ("*/15 * * * *", "Mon 2026-11-30 05:15"),
        ("0 2 29 2 *", "Tue 2028-02-29 02:00"),
        ("30 4 1 * *", "Tue 2026-12-01 04:30"),
    ],
)
def test_times_are_phoenix_times(cron: str, coming: str) -> None:
    assert schedules.clock(schedules.next_time(cron, DAY)) == coming


@pytest.mark.parametrize("cron", ["", "5 o'clock", "61 * * * *", "* * * *", "0 0 30 2 *"])
def test_a_time_that_is_none_is_named(cron: str) -> None:
    with pytest.raises(CronError, match="no time for a schedule|never comes"):
        schedules.next_time(cron, DAY)


@pytest.mark.parametrize(
    ("cron", "seconds", "why"),
    [
        ("0 5 * * *", 31 * 3600, "this takes about 31 hours and is due every 24 hours"),
        ("0 5 * * *", 23 * 3600, None),
        ("0 5 * * 1,2", 30 * 3600, "this takes about 30 hours and is due every 24 hours"),
        ("*/10 * * * *", 601, "this takes about 10 minutes and is due every 10 minutes"),
    ],
)
def test_a_job_longer_than_its_interval_is_told_with_the_arithmetic(
    cron: str, seconds: float, why: str | None
) -> None:
    assert schedules.too_long(cron, seconds, DAY) == why


def test_a_schedule_from_saving_to_its_rows(maricopa: Maricopa, database: Database, list_file: Path) -> None:
    added = maricopa(
        "schedule",
        "add",
        "0 5 * * 1-5",
        "run",
        "property-search",
        *FAST,
        "--apns",
        str(list_file),
        "--note",
        "early",
    )
    assert added.code == 0, added.errors
    assert maricopa("tick").out == ""
    assert "changed since" not in maricopa("schedule", "list").out
    # What the schedule collects is the list as it was saved.
    list_file.write_text(County().apns(9)[-1])
    _make_due(database, "3 days")
    ticked = maricopa("tick")
    assert ticked.code == 0, ticked.out + ticked.errors
    assert "job 1 was started, 72 hours late" in ticked.out
    assert "later times were missed" in ticked.out
    assert "has changed since: the list is as it was saved" in ticked.out
    wait_for(lambda: database.one("SELECT verdict FROM crawl.job WHERE id = 1") == "completed")
    assert database.rows("SELECT apn FROM assessor.parcel ORDER BY 1") == [(apn,) for apn in sorted(APNS)]
    assert maricopa("tick").out == ""
    assert database.one("SELECT count(*) FROM crawl.job") == 1
    listed = maricopa("schedule", "list").out
    assert "early" in listed
    assert "has changed since" in " ".join(listed.split())
    assert maricopa("schedule", "remove", "1").code == 0
    assert database.one("SELECT count(*) FROM crawl.list") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("0 5 * * *", "run", "tax", "--apns", "nothing-here.txt"), "nothing-here.txt"),
        (("0 5 * * *", "run", "taxes", "--apns", "16528054"), "taxes"),
        (("0 5 * * *", "run", "tax", "--nonsense"), "--nonsense"),
        (("every day", "run", "tax", "--apns", "16528054"), "no time for a schedule"),
        (("0 5 * * *", "probe"), "run TYPE"),
        (("0 5 * * *", "run", "tax", "--apns", "16528054", "--detach"), "--detach"),
        (("0 5 * * *", "run", "tax", "--apns", "16528054", "--on", "http://u:secret@h:1"), "MARICOPA_NODES"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_saved(
    maricopa: Maricopa, database: Database, arguments: tuple[str, ...], said: str
) -> None:
    refused = maricopa("schedule", "add", *arguments)
    assert refused.code == 2
    assert len(refused.errors.strip().splitlines()) == 1
    assert said in refused.errors
    assert "secret" not in refused.errors
    assert database.one("SELECT count(*) FROM crawl.schedule") == 0


def test_what_takes_longer_than_its_interval_is_refused_unless_anyway(
    maricopa: Maricopa, database: Database, tmp_path: Path
) -> None:
    many = tmp_path / "many.txt"
    many.write_text("\n".join(County().apns(2_000)))
    command = ("schedule", "add", "* * * * *", "run", "property-search", "--apns", str(many))
    refused = maricopa(*command)
    assert refused.code == 2
    assert "is due every 60 seconds" in refused.errors
    assert maricopa(*command, "--anyway").code == 0
    assert database.one("SELECT count(*) FROM crawl.schedule") == 1


def test_a_run_that_is_still_going_is_not_started_twice(maricopa: Maricopa, database: Database) -> None:
    maricopa("schedule", "add", "*/30 * * * *", "run", "property-search", *FAST, "--apns", ",".join(APNS))
    _make_due(database, "1 minute")
    assert maricopa("tick").code == 0
    maricopa("pause", "1")
    _make_due(database, "1 minute")
    told = maricopa("tick").out
    assert "not started: job 1 of the time before is still paused" in told
    assert database.one("SELECT count(*) FROM crawl.job") == 1
    assert "still paused" in database.one("SELECT message FROM crawl.schedule")


def test_many_ticks_start_each_time_once(maricopa: Maricopa, database: Database) -> None:
    for _ in range(3):
        maricopa("schedule", "add", "0 5 * * *", "run", "property-search", *FAST, "--apns", APNS[0])
    for number in (1, 2, 3):
        _make_due(database, "2 hours", number)
    ticks = [maricopa.start("tick") for _ in range(TICKS)]
    said = [tick.communicate(timeout=120)[0] for tick in ticks]
    assert [tick.returncode for tick in ticks] == [0] * TICKS, said
    assert database.one("SELECT count(*) FROM crawl.job") == 3
    assert sum(one.count("was started") for one in said) == 3


class _Killed(BaseException):
    """What kill -9 is to a test within one process."""


@pytest.mark.parametrize("when", ["before the job is written", "after the job is written"])
def test_a_tick_that_is_killed_loses_no_time_and_starts_none_twice(
    session: Session, database: Database, when: str
) -> None:
    schedules.add(session, "0 5 * * *", ("property_search", "--apns", APNS[0]))
    _make_due(database, "1 hour")

    def write(schedule: Schedule, due: dt.datetime, job: int | None) -> int:
        if job is not None:
            return job
        mark = schedules.mark(schedule, due)
        return int(
            database.one(
                "INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters)"
                " VALUES ('property_search', 'api_only', true, 'normal', %s) RETURNING id",
                Json(mark),
            )
        )

    def killed(schedule: Schedule, due: dt.datetime, job: int | None) -> int:
        if when == "after the job is written":
            write(schedule, due, job)
        raise _Killed

    with pytest.raises(_Killed):
        list(schedules.tick(session, killed, claim=1))
    # Nobody else takes it while the claim holds.
    assert list(schedules.tick(session, write)) == []
    wait_for(lambda: [one.job for one in schedules.tick(session, write)] == [1])
    assert database.one("SELECT count(*) FROM crawl.job") == 1
    assert list(schedules.tick(session, write)) == []


def test_the_units_of_the_page_are_what_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze on this machine")
    texts = re.findall(r"```ini\n# (maricopa-tick\.\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [name for name, _ in texts] == ["maricopa-tick.service", "maricopa-tick.timer"]
    for name, text in texts:
        (tmp_path / name).write_text(text.replace("%h/.local/bin/maricopa", sys.executable))
    units = [str(tmp_path / name) for name, _ in texts]
    checked = subprocess.run(
        [analyze, "verify", "--user", *units], capture_output=True, text=True, check=False
    )
    assert str(tmp_path) not in checked.stderr, checked.stderr


def test_lists_have_names(maricopa: Maricopa, database: Database, list_file: Path) -> None:
    assert maricopa("lists", "save", "mine", "--apns", str(list_file)).out == "mine: 5 parcels\n"
    assert maricopa("lists", "show", "mine").out.split() == APNS
    list_file.write_text(APNS[0])
    # The table folds a long path.
    assert "has changed since" in " ".join(maricopa("lists", "show").out.split())
    assert maricopa("lists", "save", "mine", "--apns", str(list_file)).out == "mine: 1 parcels\n"
    assert database.one("SELECT count(*) FROM crawl.list") == 1
    assert maricopa("lists", "remove", "mine").code == 0
    missing = maricopa("lists", "show", "mine")
    assert missing.code == 2
    assert "there is none" in missing.errors
