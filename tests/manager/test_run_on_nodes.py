"""`maricopa run --on`: a job on two real scrapyd nodes, of which one is lost with its crawl."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.store import verify
from maricopa_scrapy.store.connect import Session
from tests.command import WITHIN_S, Maricopa, apns, wait_for
from tests.conftest import ROOT, Database


def test_a_job_goes_on_when_a_node_and_then_its_manager_are_lost(tmp_path: Path, database: Database, county: Callable[..., Any]) -> None:
    sandbox = county(track=True)
    environment = {"MARICOPA_DATABASE_URL": database.url, "MARICOPA_SANDBOX": sandbox.url, "PYTHONPATH": str(ROOT)}
    environment |= {"MARICOPA_CONFIG": str(ROOT / "config")}
    with ExitStack() as stack:
        nodes = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            # The project as it lies here, without an egg.
            shutil.copy(ROOT / "scrapy.cfg", tmp_path / name)
            nodes.append(stack.enter_context(Scrapyd(tmp_path / name, environment)))
        maricopa = Maricopa(database, sandbox.url, tmp_path / "data", rate=15)
        addresses = [node.url.replace("//", f"//{USER}:{PASSWORD}@") for node in nodes]
        wrong = maricopa("run", "property-search", "--apns", apns(3), "-y", "--on", nodes[0].url.replace("//", "//me:wrong@"))
        assert (wrong.code, wrong.errors.count("\n")) == (2, 1)
        assert re.search(r"refuses this user or password", wrong.errors)
        assert "wrong" not in wrong.errors.replace("wrong;", "")

        running = maricopa.start("run", "property-search", "--apns", apns(200), "-y", "--on", addresses[0], "--on", addresses[1])
        wait_for(lambda: database.one("SELECT count(DISTINCT run_id) FROM crawl.target WHERE state = 'done'") == 2, 60)
        assert database.one("SELECT count(DISTINCT split_part(handle, ' ', 1)) FROM crawl.planned_run") == 2
        nodes[0].kill_with_crawls()
        # The other goes on; and so it does when nobody supervises it.
        done = database.states()["done"]
        wait_for(lambda: database.states()["done"] > done + 10, 60)
        os.kill(running.pid, signal.SIGKILL)
        out, errors = running.communicate()
        assert PASSWORD not in out + errors
        resumed = maricopa.start("resume", "1", "--on", addresses[1])
        wait_for(lambda: database.one("SELECT supervisor_pid FROM crawl.job") == resumed.pid, 60)

        assert "job 1 is paused; `maricopa resume 1` goes on with it" in maricopa("pause", "1").out
        assert wait_for(lambda: not nodes[1].crawls()) < WITHIN_S
        assert "job 1 goes on" in maricopa("resume", "1").out
        _, errors = resumed.communicate(timeout=90)
        assert resumed.returncode == 0, errors
    assert database.states() == {"done": 200}
    assert database.one("SELECT verdict FROM crawl.job") == "completed"
    again = sum(count - 1 for count in sandbox.stats()["assessor"]["fetched"].values())
    assert again <= 2 * 15
    assert PASSWORD not in str(database.rows("SELECT j::text, p::text FROM crawl.job j JOIN crawl.planned_run p ON p.job_id = j.id"))
    session = Session(database.url)
    assert verify.problems(session) == []
    session.close()
