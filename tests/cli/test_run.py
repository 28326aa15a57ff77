"""`maricopa run` and its companions on this machine, against the sandbox: what is collected, seen, paused,
cancelled and taken up again.
"""

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from maricopa_scrapy.cli.main import app
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.ledger.verdict import EXIT_CODES
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Database, fresh_database
from tests.helpers.command import Maricopa, apns, wait_for, within_s, words_of
from tests.helpers.side_by_side import Cases, Place

case = Cases()


def _agrees(database: Database) -> None:
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()


def _is_past(database: Database, done: int) -> bool:
    return database.states().get("done", 0) > done


def _crawls(database: Database) -> list[int]:
    """Return the processes of planned runs that are there: those of this database, nobody else's."""
    handles = [
        handle.split()
        for (handle,) in database.rows("SELECT handle FROM crawl.planned_run WHERE handle IS NOT NULL")
    ]
    return [int(pid) for pid, started in handles if _is_there(int(pid), float(started))]


def _is_there(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@case
def a_job_from_the_plan_to_the_report(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(gis_parcels=100)
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    planned = maricopa.here(
        "run",
        "property-search",
        "--apns",
        apns(40),
        "--mode",
        "parallel-all",
        "--dry-run",
        "-s",
        "MARICOPA_RATE_LIMIT=100",
    )
    assert planned.code == 0, planned.errors
    assert re.search(r"assessor +assessor's API +40 +100\.00/s", planned.out)
    assert re.search(r"gis +GIS layers, in lists +2 ", planned.out)
    assert database.one("SELECT count(*) FROM crawl.job") == 0
    unasked = maricopa("run", "property-search", "--apns", apns(40))
    assert (unasked.code, unasked.errors.count("\n")) == (2, 1)
    assert "add -y" in unasked.errors
    assert sandbox.stats()["assessor"]["requests"] == 0

    done = maricopa("run", "property_search", "--apns", apns(40), "--mode", "parallel_all", "-y")
    assert done.code == 0, done.errors + maricopa.logs()
    assert dict(
        database.rows("SELECT source, count(*) FROM crawl.target WHERE state = 'done' GROUP BY 1")
    ) == {"assessor": 40, "gis": 2}
    assert database.rows("SELECT type, mode, state, verdict FROM crawl.job") == [
        ("property_search", "parallel_all", "finished", "completed")
    ]
    assert "Job 1: property-search, parallel-all, parallel: completed" in done.out
    assert re.search(r"assessor +40 +0 +0 +0 +40 +0 ", done.out)
    assert not _crawls(database)
    _agrees(database)

    status = maricopa.here("status", "1", "--json").json
    assert (status["status"], status["total"], status["done"], status["success_rate"]) == (
        "completed",
        42,
        42,
        1.0,
    )
    by_source = {source["source"]: source for source in status["sources"]}
    served = sandbox.stats()
    for name, source in by_source.items():
        assert source["requests"] == source["answers"] == served[name]["requests"]
        assert source["bytes"] > 0
        assert 0 < source["p50_seconds"] <= source["p95_seconds"]
    assert "completed" in maricopa.here("jobs").out
    assert "requests a parcel" in maricopa.here("report", "1").out


@case
def validation_asks_the_api_only_for_what_the_gis_does_not_have(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(track=True, gis_parcels=100)
    absent = County().absent(6)
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(County().apns(30) + absent))
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    done = maricopa("run", "validation", "--apns", str(path), "-y")
    assert done.code == 0, done.errors + maricopa.logs()
    assert set(sandbox.stats()["assessor"]["fetched"]) == set(absent)
    assert {
        key
        for (key,) in database.rows(
            "SELECT key FROM crawl.target WHERE source = 'assessor' AND state = 'gone'"
        )
    } == set(absent)
    assert database.rows("SELECT phase, state FROM crawl.planned_run ORDER BY number") == [
        (0, "ended"),
        (1, "ended"),
    ]
    _agrees(database)


@case
def what_one_office_says_is_asked_of_the_next(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(track=True, gis_parcels=100)
    there, absent = County().apns(10), County().absent(2)
    path = tmp_path / "apns.txt"
    path.write_text("\n".join(there + absent))
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=20)
    done = maricopa("run", "comprehensive", "--mode", "intelligent", "--apns", str(path), "-y", "--json")
    assert done.code == 0, done.errors + maricopa.logs()
    states = {(source, state): count for source, state, count in database.rows(_BY_SOURCE)}
    deeds = {
        number
        for (number,) in database.rows("SELECT deed_number FROM assessor.owner WHERE deed_number IS NOT NULL")
    }
    documents = {
        key
        for (key,) in database.rows(
            "SELECT key FROM crawl.target WHERE source = 'recorder' AND kind = 'document'"
        )
    }
    assert documents == {number for number in deeds if re.fullmatch(r"(19|20)\d{9}", number)}
    assert states[("assessor", "done")] == states[("treasurer", "done")] == 10
    assert states[("assessor", "gone")] == 2
    # No page is opened for a parcel that there is not.
    assert set(sandbox.stats()["treasurer"]["fetched"]) == set(there)
    assert {source["source"] for source in done.json["sources"]} == {"assessor", "treasurer", "recorder"}
    _agrees(database)


_BY_SOURCE = "SELECT source, state, count(*) FROM crawl.target GROUP BY source, state"


@case.timed
def a_browser_s_crawl_is_cancelled_within_five_seconds(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    maricopa = Maricopa(database, county(latency=0.5).url, tmp_path, rate=20)
    running = maricopa.start("run", "tax", "--apns", apns(60), "-y")
    wait_for(lambda: database.states().get("done"))
    (pid,) = _crawls(database)
    crawl = psutil.Process(pid)
    # The browser is of a group of its own.
    started = [crawl, *crawl.children(recursive=True)]
    assert any("--type=renderer" in words_of(process) for process in started)
    _say("cancel", maricopa)
    assert psutil.wait_procs(started, timeout=within_s())[1] == []
    out, errors = running.communicate(timeout=60)
    assert running.returncode == EXIT_CODES["cancelled"], out + errors
    assert database.states().keys() == {"done", "pending"}
    assert database.one("SELECT count(*) FROM treasurer.account") == database.states()["done"]
    _agrees(database)


def _say(word: str, maricopa: Maricopa) -> str:
    """Say it of job 1, and see the job do so within 5 s of the word; returns what the command said."""
    said = maricopa.start(word, "1")
    wait_for(lambda: maricopa.database.one("SELECT requested_state FROM crawl.job") == word)
    done = "paused" if word == "pause" else "finished"
    assert wait_for(lambda: maricopa.database.one("SELECT state FROM crawl.job") == done) < within_s()
    out, errors = said.communicate(timeout=60)
    assert said.returncode == 0, errors
    return out


@case.timed
def pause_resume_and_cancel_from_another_terminal(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(latency=0.05, track=True)
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=20)
    begun = maricopa("run", "property-search", "--apns", apns(200), "-y", "--detach")
    assert begun.code == 0, begun.errors + maricopa.logs()
    assert "job 1 goes on in the background" in begun.out
    wait_for(lambda: database.states().get("done"))
    assert "job 1 is paused; `maricopa resume 1` goes on" in _say("pause", maricopa)
    assert wait_for(lambda: not _crawls(database)) < within_s()
    asked = sandbox.stats()["assessor"]["requests"]
    assert maricopa.here("status", "1", "--json").json["status"] == "paused"
    assert sandbox.stats()["assessor"]["requests"] == asked

    # The one that was detached waits, and goes on.
    resumed = maricopa.start("resume", "1")
    wait_for(lambda: database.one("SELECT requested_state FROM crawl.job") == "run")
    assert wait_for(lambda: sandbox.stats()["assessor"]["requests"] > asked) < within_s()
    assert "job 1 goes on" in resumed.communicate(timeout=60)[0]
    wait_for(lambda: sandbox.stats()["assessor"]["requests"] > asked + 5)
    watched = maricopa.start("status", "1", "--watch", "--json")
    time.sleep(1.5)
    assert "job 1 is cancelled; what it had collected is stored" in _say("cancel", maricopa)
    assert wait_for(lambda: not _crawls(database)) < within_s()
    out, _ = watched.communicate(timeout=60)
    assert '"status": "cancelled"' in out.splitlines()[-1]
    for verb in ("cancel", "pause", "resume"):
        refused = maricopa.here(verb, "1")
        assert (refused.code, refused.errors.count("\n")) == (2, 1)
        assert "cancelled" in refused.errors
    assert database.rows("SELECT state, verdict FROM crawl.job") == [("finished", "cancelled")]
    assert database.one("SELECT count(*) FROM assessor.parcel") == database.states()["done"]
    assert max(sandbox.stats()["assessor"]["fetched"].values()) == 1
    _agrees(database)
    # And its supervisor has gone home.
    pid, started = database.rows("SELECT supervisor_pid, supervisor_started FROM crawl.job")[0]
    assert wait_for(lambda: not _is_there(pid, started)) < within_s()


@case
def who_reads_json_reads_nothing_else(here: Place) -> None:
    maricopa = Maricopa(here.database, here.county().url, here.folder)
    only = ("run", "property-search", "--apns", apns(3), "-y", "--json")
    planned = maricopa(*only, "--dry-run")
    assert (planned.code, planned.out) == (0, ""), planned.errors
    assert re.search(r"assessor .* 3 +100.00/s", planned.errors), planned.errors
    begun = maricopa(*only, "--detach")
    assert begun.code == 0, begun.errors + maricopa.logs()
    (line,) = begun.out.splitlines()
    assert f"job {json.loads(line)['job']} goes on in the background" in begun.errors
    wait_for(lambda: here.database.states() == {"done": 3})


@case
def ctrl_c_pauses_and_a_manager_that_was_killed_is_replaced(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(latency=0.05, track=True)
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=20)
    first = maricopa.start("run", "property-search", "--apns", apns(120), "-y", "--json")
    wait_for(lambda: database.states().get("done"))
    first.send_signal(signal.SIGINT)
    out, errors = first.communicate(timeout=60)
    assert first.returncode == EXIT_CODES["incomplete"], errors
    assert "job 1 is paused; `maricopa resume 1` goes on with it" in errors
    assert [json.loads(line)["job"] for line in out.splitlines()] == [1] * out.count("\n")
    assert json.loads(out.splitlines()[-1])["status"] == "paused"

    second = maricopa.start("resume", "1")
    wait_for(lambda: _crawls(database))
    done = database.states()["done"]
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    # Its spider goes on by itself.
    wait_for(lambda: database.states()["done"] > done + 10)
    assert len(_crawls(database)) == 1
    os.kill(_crawls(database)[0], signal.SIGKILL)
    assert maricopa.here("status", "1").code == 0
    third = maricopa("resume", "1")
    assert third.code == 0, third.errors + maricopa.logs()
    assert database.states() == {"done": 120}
    assert database.one("SELECT verdict FROM crawl.job") == "completed"
    _agrees(database)


@case
def a_spider_that_is_killed_is_started_again(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(latency=0.05)
    maricopa = Maricopa(database, sandbox.url, tmp_path, rate=30)
    running = maricopa.start("run", "property-search", "--apns", apns(90), "-y")
    for _ in range(2):
        wait_for(partial(_is_past, database, database.states().get("done", 0)))
        (pid,) = _crawls(database)
        os.kill(pid, signal.SIGKILL)
    out, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors + maricopa.logs()
    assert database.states() == {"done": 90}
    assert database.rows("SELECT state, count(*) FROM crawl.run GROUP BY 1 ORDER BY 1") == [
        ("closed", 1),
        ("lost", 2),
    ]
    assert "completed" in out
    _agrees(database)


@case
def what_was_given_up_is_asked_for_again(here: Place) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(gis_parcels=100)
    sandbox.faults({"all_retyped": {"probability": 1.0, "keys": County().apns(3)}})
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    first = maricopa("run", "property-search", "--apns", apns(12), "-y")
    assert first.code == EXIT_CODES["completed_with_failures"], first.errors
    assert re.search(r"source_changed +3", first.out)
    assert "its causes: source_changed" in maricopa.here("retry", "1", "--cause", "timeout").errors
    sandbox.clear_faults()
    again = maricopa("retry", "1", "--cause", "source_changed")
    assert again.code == 0, again.errors + maricopa.logs()
    assert "3 targets are asked for again" in again.out
    assert database.states() == {"done": 12}
    assert "given up no target" in maricopa.here("retry", "1").errors


def _execution(here: Place, execution: str) -> None:
    tmp_path, database, county = here.folder, here.database, here.county
    sandbox = county(latency=0.15, track=True)
    path = tmp_path / "apns.csv"
    words = ["low"] * 8 + ["", "normal"] * 4 + ["critical", "high"] * 5
    lines = [f"{apn};X;{word}" for apn, word in zip(County().apns(26), words, strict=True)]
    path.write_text("\n".join(["# for the morning", "", "APN;owner;priority", *lines]))
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    done = maricopa("run", "property-search", "--apns", str(path), "--execution", execution, "-y")
    assert done.code == 0, done.errors + maricopa.logs()
    seen = sandbox.stats()["assessor"]
    assert seen["in_flight_peak"] == (1 if execution == "sequential" else 5)
    rows = database.rows(
        "SELECT priority, extract(epoch FROM done_at)::float, key FROM crawl.target ORDER BY done_at"
    )
    # Critical and high, then normal, then low, as the county got them. (One may slip by while robots.txt is
    # awaited.)
    priorities = {key: priority for priority, _, key in rows}
    groups = [(0, 0, 1, 2)[priorities[key]] for key in seen["fetched"]]
    assert sorted(groups) == [0] * 10 + [1] * 8 + [2] * 8
    assert sum(earlier > later for earlier, later in itertools.pairwise(groups)) <= 1
    # Those that are low come one by one in both: six latencies, 0.9 s; two at once would be 0.45 s.
    times = [at for priority, at, _ in rows if priority == 3][1:]
    assert times[-1] - times[0] >= 0.7


@case
def sequential_has_one_request_under_way(here: Place) -> None:
    _execution(here, "sequential")


@case
def hybrid_has_as_many_under_way_as_a_target_is_urgent(here: Place) -> None:
    _execution(here, "hybrid")


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], None]]:
    with case.begin(request, server, template, tmp_path_factory.mktemp("run"), 3) as outcome:
        yield outcome


@pytest.mark.parametrize("case", case.params())
def test_run(outcome: Callable[[str], None], case: str) -> None:
    outcome(case)


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("run", "comprehensiv", "--apns", "x"), r"there is no job 'comprehensiv'; did you mean comprehensive\?"),
    (
        ("run", "tax", "--mode", "api-only", "--apns", "165-28-054"),
        r"tax has no mode api-only: the treasurer has no API",
    ),
    (
        ("run", "property-search", "--mode", "parallel"),
        r"there is no mode 'parallel'; did you mean parallel-all\?",
    ),
    (("run", "property-search"), r"property-search needs one of --apns, --owner, --address"),
    (("run", "property-search", "--apns", "missing.txt"), r"--apns: 'missing.txt' is neither an APN"),
    (
        ("run", "property-search", "--apns", "165-28-054", "--owner", "X"),
        r"--apns and --owner exclude each other",
    ),
    (
        ("run", "property-search", "--apns", "165-28-054", "--priority", "urgent"),
        r"--priority: 'urgent' is not one of",
    ),
    (("run", "property-search", "--apns", "165-28-054", "--execution", "hybird"), r"did you mean hybrid\?"),
    (
        ("run", "property-search", "--apns", "165-28-054", "--sections", "tax"),
        r"--sections goes with data-enhancement",
    ),
    (("run", "validation", "--owner", "X"), r"validation takes --apns, not --owner"),
    (("run", "data-enhancement", "--sections", "taxes"), r"--sections: 'taxes' is not one of property"),
    (
        ("run", "data-enhancement", "--older-than", "30"),
        r"--older-than: '30' is not a length of time; the form is 30d",
    ),
    (
        ("run", "data-enhancement", "--sections", "tax", "--mode", "api-only"),
        r"section tax: the treasurer has no API",
    ),
    (("status", "99"), r"there is no job 99; `maricopa jobs` lists them"),
    (("pause", "99"), r"there is no job 99"),
    (("cancel", "99"), r"there is no job 99"),
    (("resume", "99"), r"there is no job 99"),
    (("retry", "99"), r"there is no job 99"),
    (("report", "99"), r"there is no job 99"),
    (("status", "abc"), r"valid integer.*`maricopa status --help`"),
    (("staus", "1"), r"No such command 'staus'\. Did you mean 'status'"),
    (("run", "tax", "--apns", "165-28-054", "--yess"), r"No such option: --yess"),
    (("pause",), r"Missing argument"),
    (("jobs", "--limit", "0"), r"'--limit'"),
    (
        ("run", "property-search", "--owner", "X", "--mode", "scraping-only"),
        r"nothing to do: assessor's public page: they are asked by APN only",
    ),
    (
        ("run", "tax", "--apns", "165-28-054", "-s", "MARICOPA_RATE_LIMIT=fast"),
        r"MARICOPA_RATE_LIMIT=fast is not a number",
    ),
    (("run", "tax", "--apns", "165-28-054", "--on", "node1"), r"'node1' is not the address of a scrapyd"),
    (("cleanup", "--older-than", "soon"), r"--older-than: 'soon' is not a length of time"),
    (
        ("run", "property-search", "--apns", "165-28-054", "-y", "--on", "http://127.0.0.1:9"),
        r"http://127.0.0.1:9 cannot be reached",
    ),
]


@pytest.fixture(scope="module")
def untouched(server: str, template: str) -> Iterator[Database]:
    """One database for all mistakes: none of them leaves anything in it."""
    with fresh_database(server, template) as database:
        yield database


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_mistake_is_one_line(
    tmp_path: Path, untouched: Database, arguments: tuple[str, ...], message: str
) -> None:
    said = Maricopa(untouched, "http://127.0.0.1:9", tmp_path, rate=None).here(*arguments)
    assert said.code == 2, said
    assert said.errors.count("\n") == 1, said.errors
    assert re.search(message, said.errors), said.errors
    assert untouched.one("SELECT count(*) FROM crawl.job") == 0


def test_every_verb_has_help_with_an_example_and_run_lists_the_exit_codes(
    tmp_path: Path, untouched: Database
) -> None:
    maricopa = Maricopa(untouched, "", tmp_path, rate=None)
    # The sandbox has a command line of its own.
    verbs = [found.name or found.callback.__name__ for found in app.registered_commands if found.callback]
    verbs.remove("sandbox")
    for verb in verbs:
        said = maricopa.here(verb, "--help")
        assert said.code == 0
        assert f"Example: maricopa {verb}" in said.out
    words = " ".join(maricopa.here("run", "--help").out.split())
    for verdict, code in EXIT_CODES.items():
        assert f"{code} {verdict}" in words
