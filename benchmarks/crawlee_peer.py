"""The other peer of bench-pace: crawlee with its throttling manager, on the same parcels.

Run by a Python that has crawlee, which CRAWLEE_PYTHON names: python -m benchmarks.crawlee_peer BASE_URL
APN_FILE
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def main(base_url: str, apns: str) -> None:
    # Of an environment of its own: pip install 'crawlee[httpx]'
    from crawlee import Request
    from crawlee.configuration import Configuration
    from crawlee.crawlers import HttpCrawler
    from crawlee.request_loaders import ThrottlingRequestManager
    from crawlee.storage_clients import MemoryStorageClient
    from crawlee.storages import RequestQueue

    storage, configuration = MemoryStorageClient(), Configuration(log_level="CRITICAL")
    queue = await RequestQueue.open(storage_client=storage, configuration=configuration)
    throttled: Any = ThrottlingRequestManager(
        inner=queue, domains=[base_url], request_manager_opener=RequestQueue.open
    )
    crawler = HttpCrawler(
        request_manager=throttled,
        storage_client=storage,
        configuration=configuration,
        configure_logging=False,
    )

    async def handle(context: Any) -> None:
        json.loads(await context.http_response.read())

    crawler.router.default_handler(handle)

    headers = {"AUTHORIZATION": "sandbox"}
    await crawler.run(
        [
            Request.from_url(f"{base_url}/parcel/{apn}", headers=headers)
            for apn in Path(apns).read_text().split()
        ]
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
