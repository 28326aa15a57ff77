"""The peer of bench-assessor: a bare Scrapy spider that fetches and JSON-decodes the same bodies.

The same Scrapy settings and download handler as ours, less our components.

    python -m benchmarks.bare BASE_URL APN_FILE
"""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider, signals
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response
from scrapy.settings import Settings


class BareSpider(Spider):
    name = "bare"
    base_url = ""
    apns = ""

    async def start(self) -> AsyncIterator[Any]:
        with Path(self.apns).open() as file:
            for line in file:
                yield Request(
                    f"{self.base_url}/parcel/{line.strip()}",
                    headers={"AUTHORIZATION": "sandbox"},
                    meta={"download_slot": "assessor"},
                    dont_filter=True,
                )
                while self.crawler.engine.needs_backout():
                    await self.crawler.signals.wait_for(signals.scheduler_empty)

    def parse(self, response: Response, **kwargs: Any) -> Any:
        assert len(json.loads(response.body)) >= 41


def main(base_url: str, apns: str, rate: float) -> None:
    settings = Settings()
    settings.setmodule("maricopa_scrapy.settings", priority="project")
    slots = {name: dict(slot, delay=1 / rate) for name, slot in settings["DOWNLOAD_SLOTS"].items()}
    extensions = {k: None if k.startswith("maricopa") else v for k, v in settings["EXTENSIONS"].items()} | {
        "scrapy.extensions.corestats.CoreStats": 0
    }
    settings.setdict(
        {
            "ITEM_PIPELINES": {},
            "DOWNLOADER": "scrapy.core.downloader.Downloader",
            "EXTENSIONS": extensions,
            "DOWNLOAD_SLOTS": slots,
        },
        priority="cmdline",
    )
    process = CrawlerProcess(settings)
    process.crawl(BareSpider, base_url=base_url, apns=apns)
    process.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
