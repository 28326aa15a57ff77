"""All that reaches into the private parts of scrapy-playwright and Playwright; read in scrapy-playwright
0.0.48, Playwright 1.65.

A new release of either is held against this file and tests/browser/test_playwright_internals.py.
browser/launch.py relies on more that is not documented: the fields of the `PlaywrightBrowserProvider` that it
starts and ends.
"""

import contextlib
import importlib
import os
from collections.abc import Mapping
from typing import Any

from playwright._impl._driver import get_driver_env
from scrapy_playwright.handler import ScrapyPlaywrightDownloadHandler

# Where a driver is started, by the version of Playwright.
_TRANSPORTS = ("transport", "_transport")


class OpenPlaywrightHandler(ScrapyPlaywrightDownloadHandler):  # type: ignore[misc]
    """scrapy-playwright's handler without a browser of its own: a subclass starts one when it is asked, and
    ends it.

    Relies on `_launch`, called when the engine starts, and `_close`, called when it stops.
    """

    async def close_browser(self) -> None:
        """End what was started."""
        raise NotImplementedError

    async def _launch(self) -> None:
        """Start nothing yet: there is a handler for http and one for https, and only one of them is asked."""

    async def _close(self) -> None:
        await self.close_browser()


def set_driver_environment(environment: Mapping[str, str]) -> None:
    """Give Playwright's driver this environment besides what Playwright adds: it gives it all of ours, and
    takes no word about it.

    Relies on the module that starts the driver: it asks its own name `get_driver_env`.
    """

    def driver_environment() -> dict[str, str]:
        whole: dict[str, str] = get_driver_env()
        return {name: value for name, value in whole.items() if name not in os.environ} | dict(environment)

    for name in _TRANSPORTS:
        with contextlib.suppress(ModuleNotFoundError):
            transport: Any = importlib.import_module(f"playwright._impl.{name}")
            transport.get_driver_env = driver_environment
