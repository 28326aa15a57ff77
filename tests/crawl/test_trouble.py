"""A source that is away, refuses, or asks for a person: how the run ends, and that everything unfinished is
still there.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database

Start = Callable[..., SandboxProcess]


def _impatient(tmp_path: Path, **changes: object) -> dict[str, str]:
    """Environment of a crawl whose assessor is given up after three seconds of silence."""
    folder = tmp_path / "config"
    (folder / "sources").mkdir(parents=True)
    (folder / "config.yaml").write_text((ROOT / "config" / "config.yaml").read_text())
    manifest = yaml.safe_load((ROOT / "config" / "sources" / "assessor.yaml").read_text())
    manifest["breaker"] = {"failures": 5, "probe_after": 0.2, "probe_most": 0.5, "silence": 3}
    manifest["rate"] |= {"hold": 0.2, "hold_most": 0.5}
    (folder / "sources" / "assessor.yaml").write_text(yaml.safe_dump(manifest | changes))
    return {"MARICOPA_CONFIG": str(folder)}


def _apns(count: int) -> str:
    return "apns=" + ",".join(County().apns(count))


@pytest.mark.parametrize("fault", ["throttled", "unavailable", "reset", "soft_404", "forbidden", "malformed"])
def test_a_source_that_stays_away_ends_the_run_with_everything_pending(
    tmp_path: Path, database: Database, county: Start, fault: str
) -> None:
    sandbox = county()
    sandbox.faults({fault: 1.0})
    crawl = Crawler(database, sandbox.url, environment=_impatient(tmp_path))("assessor", "-a", _apns(40))
    assert crawl.code == 4, crawl.log
    assert database.one("SELECT reason FROM crawl.run") == "source_unavailable"
    assert database.states() == {"pending": 40}
    assert "Traceback" not in crawl.log
    assert sandbox.stats()["assessor"]["requests"] <= 45
    sandbox.clear_faults()
    again = Crawler(database, sandbox.url, environment=_impatient_again(tmp_path))("assessor", "-a", "job=1")
    assert again.code == 0, again.log
    assert database.states() == {"done": 40}
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()


def _impatient_again(tmp_path: Path) -> dict[str, str]:
    return {"MARICOPA_CONFIG": str(tmp_path / "config")}


def test_a_county_that_cannot_be_reached_is_not_tried_to_death(tmp_path: Path, database: Database) -> None:
    crawl = Crawler(database, "http://127.0.0.1:9", environment=_impatient(tmp_path))(
        "assessor", "-a", _apns(30)
    )
    assert crawl.code == 4, crawl.log
    assert database.one("SELECT reason FROM crawl.run") == "source_unavailable"
    assert database.states() == {"pending": 30}
    assert "Traceback" not in crawl.log
    assert "no answer for" in crawl.log


def test_a_challenge_leaves_everything_and_the_job_can_go_on(database: Database, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"challenge": 1.0})
    crawl = Crawler(database, sandbox.url)("assessor", "-a", _apns(30))
    assert crawl.code == 5, crawl.log
    assert database.states() == {"pending": 30}
    assert database.one("SELECT sum(attempts) FROM crawl.target") == 0
    # Five may be under way when the first comes back; none follows.
    assert sandbox.stats()["assessor"]["requests"] <= 5
    sandbox.clear_faults()
    assert Crawler(database, sandbox.url)("assessor", "-a", "job=1").code == 0
    assert database.states() == {"done": 30}


def test_a_maintenance_page_is_waited_out(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"maintenance": {"probability": 1.0, "count": 8}})
    crawl = Crawler(database, sandbox.url, environment=_impatient(tmp_path))("assessor", "-a", _apns(40))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 40}
    assert "maintenance page" in crawl.log


def test_the_next_run_starts_at_what_was_learnt(database: Database, county: Start) -> None:
    sandbox = county(rate=30, burst=5, retry_after="seconds", track=True)
    apns = County().apns(350)
    ceiling = ("-s", "MARICOPA_RATE_CEILING=500")
    assert (
        Crawler(database, sandbox.url, rate=None)(
            "assessor", "-a", "apns=" + ",".join(apns[:250]), *ceiling
        ).code
        == 0
    )
    learnt = database.one("SELECT rate FROM crawl.source")
    assert 20 <= learnt <= 40
    sandbox.reset()
    assert (
        Crawler(database, sandbox.url, rate=None)(
            "assessor", "-a", "apns=" + ",".join(apns[250:]), *ceiling
        ).code
        == 0
    )
    times = sandbox.stats()["assessor"]["answered_at"]
    assert len(times) == 100
    assert 0.75 * learnt <= 49 / (times[49] - times[0]) <= 1.05 * learnt


def test_a_hold_outlives_the_run_that_got_it(database: Database, county: Start) -> None:
    sandbox = county(track=True)
    sandbox.faults({"throttled": {"probability": 1.0, "count": 1, "retry_after": "6"}})
    crawl = Crawler(database, sandbox.url).start("assessor", "-a", _apns(20))
    while not database.one("SELECT count(*) FROM crawl.source WHERE blocked_until > now() + interval '3 s'"):
        time.sleep(0.05)
    os.kill(crawl.pid, signal.SIGKILL)
    crawl.communicate()
    until = database.one("SELECT extract(epoch FROM blocked_until)::float FROM crawl.source")
    environment = os.environ | {"MARICOPA_DATABASE_URL": database.url, "COLUMNS": "120"}
    status = subprocess.run(
        [Path(sys.executable).parent / "maricopa", "status"], env=environment, capture_output=True, text=True
    )
    assert re.search(r"assessor +\d+\.\d\d/s +about \d+\.\d\d/s +\d +held for [3-6] s", status.stdout), status
    asked = sandbox.stats()["assessor"]["requests"]
    assert Crawler(database, sandbox.url)("assessor", "-a", "job=1").code == 0
    stats = sandbox.stats()["assessor"]
    assert len([at for at in stats["answered_at"] if at < until - 0.1]) <= asked
    assert database.states() == {"done": 20}


def test_retries_of_a_source_that_half_fails_are_bounded(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    sandbox.faults({"server_error": {"probability": 0.3, "kind": "parcel"}})
    environment = _impatient(tmp_path, attempts=50, retries={"at_least": 10, "share": 0.1, "at_most": 100})
    begun = time.monotonic()
    crawl = Crawler(database, sandbox.url, rate=100, environment=environment)("assessor", "-a", _apns(60))
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": 60}
    # Ten, a tenth of the answers, and one a second when nothing else was left.
    assert sandbox.stats()["assessor"]["by_kind"]["parcel"] - 60 <= 10 + 6 + (time.monotonic() - begun)


def test_causes_have_budgets_of_their_own(database: Database, county: Start) -> None:
    apns = County().apns(3)
    sandbox = county()
    sandbox.faults(
        {
            "all_retyped": {"probability": 1.0, "keys": apns[:1]},
            "wrong_parcel": {"probability": 1.0, "keys": apns[1:2]},
        }
    )
    crawl = Crawler(database, sandbox.url)("assessor", "-a", "apns=" + ",".join(apns))
    assert crawl.code == 3, crawl.log
    rows = database.rows(
        "SELECT key, attempts, failures FROM crawl.target WHERE state = 'dead' ORDER BY attempts"
    )
    assert rows == [(apns[0], 2, {"source_changed": 2}), (apns[1], 3, {"wrong_parcel": 3})]


def test_an_open_source_is_tried_also_when_no_retry_is_left(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county()
    sandbox.faults({"reset": 1.0})
    impatient = _impatient(tmp_path, retries={"at_least": 1, "share": 0.1, "at_most": 10})
    crawl = Crawler(database, sandbox.url, environment=impatient)("assessor", "-a", _apns(8))
    assert crawl.code == 4, crawl.log
    assert database.rows(
        "UPDATE crawl.source SET state = jsonb_set(state, '{health,retries}', '0') RETURNING is_open"
    ) == [(True,)]
    database.rows("UPDATE crawl.target SET attempts = 1 RETURNING 1")
    sandbox.clear_faults()
    again = Crawler(database, sandbox.url, environment=impatient)("assessor", "-a", "job=1", timeout=40)
    assert again.code == 0, again.log
    assert database.states() == {"done": 8}


def test_a_row_of_bad_targets_does_not_keep_the_others_from_being_asked(
    tmp_path: Path, database: Database, county: Start
) -> None:
    apns = County().apns(60)
    sandbox = county()
    sandbox.faults({"server_error": {"probability": 1.0, "keys": apns[5:20]}})
    environment = _impatient(tmp_path)
    for arguments in ("apns=" + ",".join(apns), "job=1", "job=1"):
        Crawler(database, sandbox.url, environment=environment)("assessor", "-a", arguments)
    assert database.one("SELECT count(*) FROM crawl.target WHERE state = 'done'") == 45


def test_a_pace_that_breaks_ends_the_run(database: Database, county: Start) -> None:
    sandbox = county(latency=0.1)
    crawl = Crawler(database, sandbox.url, rate=20).start("assessor", "-a", _apns(200))
    while not database.one("SELECT count(*) FROM crawl.target WHERE state = 'done'"):
        time.sleep(0.1)
    database.rows("UPDATE crawl.source SET state = jsonb_set(state, '{rate,rate}', 'null') RETURNING 1")
    log, _ = crawl.communicate(timeout=60)
    assert crawl.returncode == 1, log
    assert "the pace broke" in log
    assert database.one("SELECT reason FROM crawl.run") == "pipeline_error"


def test_what_another_version_wrote_into_the_row_is_let_by(database: Database, county: Start) -> None:
    sandbox = county()
    assert Crawler(database, sandbox.url)("assessor", "-a", _apns(3)).code == 0
    database.rows("UPDATE crawl.source SET state = jsonb_set(state, '{rate,novelty}', '7') RETURNING 1")
    assert Crawler(database, sandbox.url)("assessor", "-a", _apns(5)).code == 0


def test_runs_that_join_together_keep_to_the_rate_from_the_first_second(
    database: Database, county: Start
) -> None:
    sandbox = county(track=True)
    first = Crawler(database, sandbox.url, rate=4).start("assessor", "-a", _apns(200))
    while not database.rows("SELECT 1 FROM crawl.run"):
        time.sleep(0.05)
    others = [Crawler(database, sandbox.url, rate=4).start("assessor", "-a", "job=1") for _ in range(3)]
    while database.one("SELECT count(*) FROM crawl.run") < 4:
        time.sleep(0.05)
    time.sleep(8)
    for crawl in (first, *others):
        crawl.send_signal(signal.SIGINT)
        crawl.communicate(timeout=60)
    times = sandbox.stats()["assessor"]["answered_at"]
    # Five beats of each of the four may lie in four seconds; runs that each kept to 4/s by themselves would
    # send 64.
    most = max(sum(at <= other < at + 4 for other in times) for at in times)
    assert most <= 4 * (4 + 1) + 4


def test_a_run_with_nothing_to_send_takes_nothing_from_the_others(database: Database, county: Start) -> None:
    sandbox = county(rate=40, burst=8, retry_after="seconds", track=True)
    ceiling = ("-s", "MARICOPA_RATE_CEILING=500")
    apns = County().apns(451)
    crawl = Crawler(database, sandbox.url, rate=None).start(
        "assessor", "-a", "apns=" + ",".join(apns[:450]), *ceiling
    )
    while not database.rows("SELECT 1 FROM crawl.run"):
        time.sleep(0.05)
    idle = Crawler(database, sandbox.url, rate=None).start("assessor", "-a", f"apns={apns[450]}", *ceiling)
    while not database.rows("SELECT 1 FROM crawl.job WHERE id = 2"):
        time.sleep(0.05)
    database.rows(
        "UPDATE crawl.target SET state = 'pending', cause = 'timeout', not_before = now() + interval '1 h'"
        " WHERE job_id = 2 RETURNING 1"
    )
    log, _ = crawl.communicate(timeout=80)
    idle.send_signal(signal.SIGINT)
    idle.communicate(timeout=60)
    assert crawl.returncode == 0, log
    stats = sandbox.stats()["assessor"]
    assert stats["refused"] <= 10
    times = stats["answered_at"]
    assert 200 / (times[-1] - times[-201]) >= 0.6 * 40
