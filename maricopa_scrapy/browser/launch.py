"""How a browser is started or connected to, and that neither it nor its driver is left behind."""

import asyncio
import logging
from typing import Any

from playwright.async_api import Browser
from scrapy_playwright.provider import PlaywrightBrowserProvider

from maricopa_scrapy.browser.find import OF_BROWSERS, endpoint_of, find
from maricopa_scrapy.browser.marked_processes import MarkedProcesses, end_drivers
from maricopa_scrapy.browser.playwright_internals import set_driver_environment
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.machine.child_environment import essential

logger = logging.getLogger(__name__)

_LAUNCH_S = 20.0
_DRIVER_S = 3.0


class BrowserProvider(PlaywrightBrowserProvider):  # type: ignore[misc]
    """scrapy-playwright's provider, which finds the browser, marks its processes and can end them."""

    playwright: Any
    playwright_context_manager: Any

    def __init__(self, config: Any, settings: BrowserSettings, proxy: dict[str, str] | None = None) -> None:
        super().__init__(config)
        self._proxy = proxy
        self._settings = settings
        self._processes = MarkedProcesses()

    async def launch_browser(self) -> Browser:
        """Start a browser, or connect to the one named. Raises NoBrowser or Playwright's Error; who calls it
        sets a limit of time.
        """
        if self.playwright is None:
            set_driver_environment(essential(*OF_BROWSERS))
            await self.start()
        if endpoint := endpoint_of(self._settings):
            self.config.cdp_url = endpoint
            self.config.cdp_kwargs = {"timeout": _LAUNCH_S * 1000}
        else:
            self._processes.note()
            # Signals are Scrapy's: a browser that dies of Ctrl-C takes with it what is under way.
            self.config.launch_options = {
                "executable_path": await asyncio.to_thread(find, self._settings), "timeout": _LAUNCH_S * 1000,
                "args": [self._processes.switch], "env": essential(*OF_BROWSERS), "proxy": self._proxy,
                "handle_sigint": False, "handle_sigterm": False, "handle_sighup": False,
            }  # fmt: skip
        browser: Browser = await super().launch_browser()
        return browser

    def kill(self) -> None:
        """End what was started, with its processes; a browser that was only connected to is left alone."""
        self._processes.end()

    async def close(self) -> None:
        """End the driver, which lets go of every browser, and what was started. May be used again."""
        manager, self.playwright_context_manager, self.playwright = (
            self.playwright_context_manager,
            None,
            None,
        )
        try:
            if manager is not None:
                ending = asyncio.ensure_future(manager.__aexit__())
                if not (await asyncio.wait({ending}, timeout=_DRIVER_S))[0]:
                    logger.warning("the browser's driver did not end within %g s; it is killed", _DRIVER_S)
                    end_drivers()
                    await asyncio.wait({ending}, timeout=_DRIVER_S)
        finally:
            # Also what was cut short while it started.
            end_drivers()
            self._processes.end()
            self._processes.forget()
