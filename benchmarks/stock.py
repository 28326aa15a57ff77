"""The peers of bench-pace: a stock Scrapy spider on the same parcels, with whatever settings it is given.

python -m benchmarks.stock BASE_URL APN_FILE '{"DOWNLOAD_DELAY": 0.02}'
"""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response


class StockSpider(Spider):
    name = "stock"
    base_url = ""
    apns = ""

    async def start(self) -> AsyncIterator[Any]:
        for apn in Path(self.apns).read_text().split():
            yield Request(f"{self.base_url}/parcel/{apn}", headers={"AUTHORIZATION": "sandbox"})

    def parse(self, response: Response, **kwargs: Any) -> Any:
        yield {"keys": len(json.loads(response.body))}


def main(base_url: str, apns: str, settings: str) -> None:
    process = CrawlerProcess({"LOG_LEVEL": "CRITICAL", "TELNETCONSOLE_ENABLED": False} | json.loads(settings))
    process.crawl(StockSpider, base_url=base_url, apns=apns)
    process.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
