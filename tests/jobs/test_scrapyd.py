"""Real scrapyd nodes on this machine: plain schedules, stop and kill, and what becomes of a job when a node
is lost.
"""

import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks import scrapyd_nodes as cases
from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.deploy import deploy
from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.scrapyd import ScrapydNode
from maricopa_scrapy.ledger import jobs
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import ROOT
from tests.helpers.command import within_s
from tests.helpers.side_by_side import Cases, Place

case = Cases()
Result = Callable[[str], dict[str, Any]]
RATE = 25.0


def _post(node: Scrapyd, service: str, **fields: str) -> None:
    """As `curl -u user:password URL/schedule.json -d name=value ...` does."""
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, node.url, node.user, node.password)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(passwords)
    )
    with opener.open(f"{node.url}/{service}", urllib.parse.urlencode(fields).encode(), timeout=60) as answer:
        assert b'"status": "ok"' in answer.read()


def _until(is_so: Callable[[], bool], timeout: float = 60) -> float:
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < timeout, "waited in vain"
        time.sleep(0.1)
    return time.monotonic() - begun


@case
def plain_schedules_without_an_egg(here: Place) -> None:
    """scrapyd in the project's folder, with a jobs_dir and an items_dir of its own."""
    tmp_path, database, county = here.folder, here.database, here.county
    apns = County().apns(8)
    shutil.copy(ROOT / "scrapy.cfg", tmp_path)
    (tmp_path / "apns.txt").write_text("\n".join(apns) + "\n")
    (tmp_path / "lists").mkdir()
    environment = {"MARICOPA_DATABASE_URL": database.url, "MARICOPA_SANDBOX": county().url}
    environment |= {"PYTHONPATH": str(ROOT), "MARICOPA_CONFIG": str(ROOT / "config")}
    with Scrapyd(tmp_path, environment, {"jobs_dir": "jobs", "items_dir": "items"}) as scrapyd:
        node = scrapyd.node()
        node.check()
        rate = "MARICOPA_RATE_LIMIT=500"
        _post(
            scrapyd,
            "schedule.json",
            project="default",
            spider="assessor",
            apns=", ".join(apns[:3]),
            jobid="list",
            setting=rate,
        )
        _post(
            scrapyd,
            "schedule.json",
            project="maricopa_scrapy",
            spider="assessor",
            apns="apns.txt",
            jobid="path",
            setting=rate,
        )
        for bad in ("nowhere.txt", "lists", f"{apns[0]},12-34"):
            _post(
                scrapyd,
                "schedule.json",
                project="maricopa_scrapy",
                spider="assessor",
                apns=bad,
                jobid=f"bad-{bad[:3]}",
                setting=rate,
            )
        _until(lambda: node.load() == 0)

        assert sorted(database.rows("SELECT verdict, enumerated, parameters ->> 'apns' FROM crawl.job")) == [
            ("completed", 3, ", ".join(apns[:3])),
            ("completed", 8, "apns.txt"),
        ]
        assert database.one("SELECT count(*) FROM assessor.parcel") == 8
        # scrapyd calls them all finished; what went wrong is in the run's log.
        assert (
            f"'nowhere.txt' is neither an APN (such as 165-28-054) nor a file here (looked in {tmp_path})"
            in node.last_words("assessor", "bad-now")
        )
        assert "lists is a folder" in node.last_words("assessor", "bad-lis")
        assert "'12-34' is not an APN" in node.last_words("assessor", f"bad-{apns[0][:3]}")
        logs = {path.stem: path.read_text() for path in (tmp_path / "logs").rglob("*.log")}
        assert "3 done, 0 gone" in logs["list"]
        assert "8 done, 0 gone" in logs["path"]
        assert "telnet console" not in "".join(logs.values()).lower()
        assert len((tmp_path / "items" / "default" / "assessor" / "list.jl").read_text().splitlines()) == 3


@case.timed
def stop_kill_pause_and_cancel_and_a_node_that_was_started_anew(here: Place) -> None:
    database, session = here.database, Session(here.database.url)
    environment = {"MARICOPA_DATABASE_URL": database.url, "MARICOPA_SANDBOX": here.county(latency=0.3).url}
    apns = ",".join(County().apns(200))

    def works(run: int) -> bool:
        return bool(database.rows("SELECT 1 FROM crawl.target WHERE state = 'leased' AND run_id = %s", run))

    with Scrapyd(here.folder, environment) as scrapyd:
        node = scrapyd.node(MARICOPA_RATE_LIMIT="1")
        deploy(node)

        handle = node.start("assessor", {"apns": apns})
        _until(lambda: works(1))
        assert node.is_running(handle)
        (crawl,) = scrapyd.crawls()
        shown = " ".join(crawl.cmdline())
        assert f"_job={handle}" in shown
        node.stop(handle)
        # To send what waits in the slot would take ten seconds.
        assert _until(lambda: database.one("SELECT state FROM crawl.run") == "closed") < within_s()
        _until(lambda: node.is_running(handle) is False)
        assert database.rows("SELECT state, reason, verdict FROM crawl.run") == [
            ("closed", "shutdown", "incomplete")
        ]
        assert database.one("SELECT count(*) FROM crawl.target WHERE state = 'leased'") == 0
        node.stop(handle)  # it is over: nothing to do

        handle = node.start("assessor", {"job": "1"})
        _until(lambda: works(2))
        node.kill(handle)
        _until(lambda: node.is_running(handle) is False)
        assert scrapyd.crawls() == []

        handle = node.start("assessor", {"job": "1"})
        _until(lambda: works(3))
        assert dict(database.rows("SELECT id, state FROM crawl.run")) == {
            1: "closed",
            2: "lost",
            3: "running",
        }
        (crawl,) = scrapyd.crawls()
        scrapyd.kill()
        assert node.is_running(handle) is None
        scrapyd.__enter__()
        node = scrapyd.node()
        # The crawl still runs, and this scrapyd does not know it.
        assert node.is_running(handle) is None
        with pytest.raises(NodeError, match="was started anew and does not know"):
            node.stop(handle)
        assert scrapyd.crawls() == [crawl]
        # But the ledger reaches it.
        jobs.request_state(session, 1, "pause")
        assert _until(lambda: database.one("SELECT state FROM crawl.job") == "paused") < within_s()
        _until(lambda: scrapyd.crawls() == [])
        jobs.resume(session, 1)
        node = scrapyd.node(MARICOPA_RATE_LIMIT="1")
        handle = node.start("assessor", {"job": "1"})
        _until(lambda: works(4))
        jobs.request_state(session, 1, "cancel")
        assert _until(lambda: database.one("SELECT state FROM crawl.job") == "finished") < within_s()
        _until(lambda: node.is_running(handle) is False)
        assert database.one("SELECT verdict FROM crawl.job") == "cancelled"
        assert verify.problems(session) == []
        handle = node.start("assessor", {"job": "1"})
        _until(lambda: node.is_running(handle) is False)
        assert "job 1 was cancelled; start a new one" in node.last_words("assessor", handle)
        with pytest.raises(NodeError, match="scrapyd takes `priority` for itself"):
            node.start("assessor", {"apns": "apns.txt", "priority": "high"})
        with pytest.raises(NodeError, match="spider 'asessor' not found"):
            node.start("asessor", {"job": "1"})
        said = scrapyd.log() + shown
    session.close()
    for secret in (PASSWORD, database.url):
        assert secret not in said


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, server: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], None]]:
    with case.begin(request, server, template, tmp_path_factory.mktemp("scrapyd"), 2) as outcome:
        yield outcome


@pytest.mark.parametrize("case", case.params())
def test_scrapyd(outcome: Callable[[str], None], case: str) -> None:
    outcome(case)


@pytest.fixture(scope="module")
def result(server: str, outcome: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """Start all cases at the first question, beside the others of this file; they take as long as the
    longest, not as their sum.
    """
    folder = tmp_path_factory.mktemp("nodes")
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        "node, alone": lambda: cases.node_lost(server, folder, 100, RATE, runs=1),
        "scrapyd": lambda: cases.scrapyd_lost(server, folder, 200, RATE),
    }
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures: dict[str, Future[dict[str, Any]]] = {name: pool.submit(job) for name, job in jobs.items()}
        yield lambda name: futures[name].result(timeout=400)


def test_a_lost_node_s_targets_go_to_another(result: Result) -> None:
    figures = result("node, alone")
    assert figures["lost"] == 0, figures
    assert figures["verdict"] == "completed"
    # The lost one's was started on the other node.
    assert figures["runs"].count(("lost", None)) == 1
    assert set(figures["runs"]) == {("closed", "completed"), ("lost", None)}
    assert figures["crawls left"] == 0
    # What it had in its hands: at most a second of answers that were not stored, and its slot.
    assert figures["fetched again"] <= 2 * RATE
    assert figures["most in 10 s of the budget"] <= 1.10


def test_a_scrapyd_that_is_lost_alone_does_not_end_its_crawl(result: Result) -> None:
    figures = result("scrapyd")
    assert figures["crawls that went on"] == 1, figures
    assert figures["lost"] == 0, figures
    # And none is started in its place.
    assert figures["runs"] == [("closed", "completed"), ("closed", "completed")]
    assert figures["fetched again"] == 0
    assert figures["most in 10 s of the budget"] <= 1.10


@pytest.mark.parametrize(
    "address",
    [
        "node1:6800",
        "http://",
        "ftp://a",
        "http://u:p@ss/word@a:1",
        "http://u:p?w@a:1",
        "http://u:p#w@a",
        "http://u:12?w@a",
    ],
)
def test_what_is_no_address_is_said_without_its_password(address: str) -> None:
    with pytest.raises(
        NodeError, match="is not the address of a scrapyd; the form is http://user:password@host:6800"
    ) as raised:
        ScrapydNode(address)
    assert "word@" not in str(raised.value).replace("password@host", "")
    assert "'p" not in str(raised.value)


def test_an_address_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    node = ScrapydNode("https://me:p%40ss%2Fword@[::1]:6800/scrapyd/?max_proc=4")
    assert (node.name, node.capacity) == ("https://[::1]:6800/scrapyd", 4)
    assert "ss" not in repr(node).replace("scrapyd", "")
    with pytest.raises(NodeError, match="max_proc=N"):
        ScrapydNode("http://a:1?max_proc=0")
    with pytest.raises(NodeError, match="max_proc=N"):
        ScrapydNode("http://a:1?weight=2")


def test_the_shipped_settings_do_not_start_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="SCRAPYD_PASSWORD_is_not_set"), Scrapyd(tmp_path, password=""):
        pass
    with Scrapyd(tmp_path) as scrapyd:
        assert scrapyd.process is not None
        bound = {
            c.laddr.ip
            for c in psutil.Process(scrapyd.process.pid).net_connections()
            if c.status == psutil.CONN_LISTEN
        }
        assert bound == {"127.0.0.1"}
        with pytest.raises(NodeError, match="wants a user and a password; give them as"):
            ScrapydNode(scrapyd.url, "", "").check()
        with pytest.raises(NodeError, match="refuses this user or password") as raised:
            ScrapydNode(scrapyd.url, USER, "wrong-one").check()
        assert "wrong-one" not in str(raised.value)
