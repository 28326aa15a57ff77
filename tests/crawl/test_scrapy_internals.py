"""What we rely on in the private and undocumented parts of Scrapy (pace/scrapy_internals.py): a test that
fails names what changed.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request, Spider, signals
from scrapy.core import engine, scraper
from scrapy.core.downloader import Downloader, Slot
from scrapy.core.downloader.handlers import http11
from scrapy.core.downloader.handlers.http11 import TunnelError
from scrapy.crawler import CrawlerRunner
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.pipelines.files import FilesPipeline, FSFilesStore
from scrapy.pipelines.media import MediaPipeline
from scrapy.utils.project import get_project_settings
from scrapy.utils.test import get_crawler

from maricopa_scrapy.crawl.commands.crawl import Command
from maricopa_scrapy.crawl.scrapy_stats import Stats
from maricopa_scrapy.pace import scrapy_internals
from maricopa_scrapy.pace.proxies import Proxies
from maricopa_scrapy.pace.scrapy_internals import HEAD_MOST
from maricopa_scrapy.pace.slots import PacedSlot
from tests.conftest import ROOT


def _names(function: Any) -> set[str]:
    """The names that a function of Scrapy uses."""
    return set(function.__code__.co_names)


@pytest.fixture(scope="module")
def facts() -> Any:
    """What a crawl saw that used each part once."""
    command = [sys.executable, "-m", "tests.helpers.internals_crawl"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_an_engine_s_slot_says_whether_it_closes(facts: Any) -> None:
    seen = facts["closes at the start"], facts["closes at the end"]
    assert seen == (False, True), "ExecutionEngine._slot or its `closing` has changed: see is_closing"


def test_an_engine_s_parts_say_whether_it_is_idle(facts: Any) -> None:
    seen = facts["idle with a request under way"], facts["idle without"]
    assert seen == (False, True), (
        "downloader.active, scraper.slot or ExecutionEngine._slot.scheduler has changed: see is_idle"
    )


def test_a_scraper_s_slot_and_the_engine_s_scheduler_are_where_is_idle_looks() -> None:
    assert {"queue", "active", "itemproc_size"} <= _names(scraper.Slot.is_idle), (
        "the scraper's Slot has changed: see is_idle"
    )
    assert "scheduler" in _names(engine._Slot.__init__), (
        "ExecutionEngine._slot has no scheduler any more: see is_idle"
    )


def test_an_engine_is_closed_with_a_reason(facts: Any) -> None:
    assert facts.get("reason") == "closed soon", (
        "ExecutionEngine.close_spider_async has changed: see close_soon"
    )


def test_a_spider_closes_when_its_last_item_of_start_has_ended(facts: Any) -> None:
    # The crawl of `facts` waits for such an item, and would never have ended.
    assert "reason" in facts, "Scraper.slot or its `closing` has changed: see end_idle_scraper"


def test_each_request_is_asked_of_the_handlers_by_one_method(facts: Any) -> None:
    assert facts["asked"] == 1, (
        "the downloader does not ask handlers.download_request_async any more: see OpenDownloader.ask"
    )


def test_a_held_downloader_sends_nothing_until_it_is_told(facts: Any) -> None:
    seen = facts["sent while held"], facts["sent when due"]
    assert seen == (False, 200), (
        "Downloader._process_queue is not what sends any more: see OpenDownloader.may_send"
    )


def test_a_request_under_way_can_be_dropped(facts: Any) -> None:
    told = (
        "Downloader._wait_for_download is not one task a request any more: see OpenDownloader.drop_under_way"
    )
    assert facts.get("dropped") == "dropped", told


def test_a_slot_that_is_kept_outlives_the_others(facts: Any) -> None:
    seen = facts["slots"], facts["slots that are kept"]
    assert seen == (["127.0.0.1", "kept"], ["kept"]), (
        "Downloader._slot_gc has changed: see OpenDownloader.is_kept"
    )


def test_slots_are_looked_for_once_a_minute() -> None:
    assert "_slot_gc" in _names(Downloader._start_slot_gc), (
        "nothing calls Downloader._slot_gc any more: see OpenDownloader.is_kept"
    )


def test_the_throttle_leaves_a_slot_its_delay(facts: Any) -> None:
    assert facts["delay"] == 0.01, (
        "AutoThrottle adjusts elsewhere than in _response_downloaded: see BareThrottle"
    )


def test_headers_without_end_are_cut(facts: Any) -> None:
    told = (
        "the handler's _pool._factory, or _parser and _giveUp of Twisted's protocol, have changed: see"
        " set_bounds"
    )
    assert f"headers of more than {HEAD_MOST:,} bytes" in facts.get("headers without end", ""), told


def test_tunnels_are_made_by_the_name_that_is_replaced() -> None:
    told = "_TunnelingAgent makes its endpoint otherwise: see set_bounds"
    assert "_TunnelingTCP4ClientEndpoint" in _names(http11._TunnelingAgent._getEndpoint), told


def test_a_tunnel_fails_by_its_deferred() -> None:
    tunnel: Any = scrapy_internals._Tunnel(None, "host", 443, ("proxy", 3128, None), None)  # type: ignore[arg-type]
    failed: list[Any] = []
    tunnel._tunnelReadyDeferred.addErrback(failed.append)
    tunnel.processProxyResponse(b"x" * (HEAD_MOST + 1))
    assert [failure.type for failure in failed] == [TunnelError], (
        "_TunnelingTCP4ClientEndpoint has changed: see _Tunnel"
    )
    assert "proxy:3128" in str(failed[0].value), (
        "_TunnelingTCP4ClientEndpoint names its proxy otherwise: see _Tunnel"
    )
    assert "_protocol" in _names(http11._TunnelingTCP4ClientEndpoint.requestTunnel), (
        "the tunnel keeps its protocol elsewhere: see _Tunnel"
    )


def test_a_proxy_without_a_scheme_is_read_by_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert Proxies().proxies["https"] == (None, "http://proxy:3128"), (
        "HttpProxyMiddleware._get_proxy has changed: see proxies.py"
    )


def test_a_command_s_crawler_is_that_of_its_spider() -> None:
    command: Any = Command()
    command.crawler_process = CrawlerRunner(get_project_settings())
    found = scrapy_internals.crawler_of(command, "tax")
    assert found.spidercls.name == "tax", "the command's _create_crawler has changed: see crawler_of"


def test_a_pipeline_answers_from_what_it_is_made_to_forget() -> None:
    info = MediaPipeline.SpiderInfo(Spider("any"))
    info.downloaded[b"fingerprint"] = {"url": "", "path": "", "checksum": None, "status": "downloaded"}
    scrapy_internals.forget_media(info)
    assert not info.downloaded
    assert "downloaded" in _names(MediaPipeline._process_request), (
        "MediaPipeline answers from elsewhere: see forget_media"
    )


def test_the_downloader_uses_of_a_slot_what_ours_gives() -> None:
    used = _names(Downloader._process_queue)
    told = "Downloader uses its slots otherwise: see pace/slots.py"
    assert {"queue", "lastseen", "latercall", "free_transfer_slots", "download_delay"} <= used, told
    assert {"transferring"} <= _names(Downloader._download), told
    ours, stock = PacedSlot(1, 1.0, 0.1), Slot(1, 1.0, 0.1)
    assert all(
        hasattr(ours, name) and hasattr(stock, name)
        for name in ("queue", "lastseen", "latercall", "transferring")
    ), told


def test_the_downloader_has_its_slots_and_their_settings_where_ours_are_put() -> None:
    crawler = get_crawler(
        settings_dict={
            "DOWNLOAD_HANDLERS": {"http": None, "https": None},
            "DOWNLOAD_SLOTS": {"gis": {"delay": 2.0}},
        }
    )
    downloader = Downloader(crawler)
    assert downloader.per_slot_settings == {"gis": {"delay": 2.0}}, (
        "Downloader.per_slot_settings has changed: see pace/slots.py"
    )
    request = Request("http://localhost/", meta={"download_slot": "gis"})
    downloader.slots["gis"] = slot = PacedSlot(1, 1.0, 0.1)
    assert downloader._get_slot(request) == ("gis", slot), "Downloader.slots has changed: see pace/slots.py"


def test_robots_are_asked_for_by_the_method_that_ours_overrides() -> None:
    asked = []

    class Robots(RobotsTxtMiddleware):
        async def robot_parser(self, request: Request) -> None:
            asked.append(request.url)

    middleware = Robots(get_crawler(settings_dict={"ROBOTSTXT_OBEY": True}))
    asyncio.run(middleware.process_request(Request("http://localhost/a")))
    assert asked == ["http://localhost/a"], "RobotsTxtMiddleware.robot_parser has changed: see pace/robots.py"


def test_an_item_is_counted_once() -> None:
    crawler = get_crawler(settings_dict={"EXTENSIONS": {"scrapy.extensions.corestats.CoreStats": None}})
    stats = Stats.from_crawler(crawler)
    crawler.signals.send_catch_log(signals.item_scraped, item={}, spider=None, response=None)
    assert stats.stats.get_value("item_scraped_count") is None, (
        "CoreStats.item_scraped has changed: see crawl/scrapy_stats.py"
    )


def test_a_folder_of_files_is_made_of_what_ours_sets(tmp_path: Path) -> None:
    told = "FSFilesStore has changed: see sources/recorder/scans.py"
    assert set(vars(FSFilesStore(str(tmp_path)))) == {"basedir", "created_directories"}, told


def test_a_file_s_age_is_held_against_what_ours_sets(tmp_path: Path) -> None:
    pipeline = FilesPipeline(str(tmp_path), crawler=get_crawler())
    assert isinstance(pipeline.expires, int), (
        "FilesPipeline.expires has changed: see sources/recorder/scans.py"
    )
