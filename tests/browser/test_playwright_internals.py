"""What we rely on in the private parts of scrapy-playwright and Playwright
(browser/playwright_internals.py).
"""

import importlib
import inspect
import os
from typing import Any

import pytest
from scrapy_playwright.handler import ScrapyPlaywrightDownloadHandler
from scrapy_playwright.provider import PlaywrightBrowserProvider

from maricopa_scrapy.browser import playwright_internals


def test_a_handler_starts_and_ends_its_browser_by_the_methods_that_ours_overrides() -> None:
    for method in ("_launch", "_close"):
        told = f"ScrapyPlaywrightDownloadHandler does not call {method} any more: see OpenPlaywrightHandler"
        assert f"self.{method}()" in inspect.getsource(ScrapyPlaywrightDownloadHandler), told


def test_a_driver_gets_the_environment_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in playwright_internals._TRANSPORTS:
        try:
            transport: Any = importlib.import_module(f"playwright._impl.{name}")
        except ModuleNotFoundError:
            continue
        found.append(transport)
        # Restored with the test's end.
        monkeypatch.setattr(transport, "get_driver_env", transport.get_driver_env)
        assert "get_driver_env()" in inspect.getsource(transport), (
            "Playwright starts its driver otherwise: see set_driver_environment"
        )
    assert found, "Playwright starts its driver in another module: see set_driver_environment"
    monkeypatch.setenv("A_SECRET", "of ours")
    playwright_internals.set_driver_environment({"PATH": os.environ["PATH"]})
    given = found[0].get_driver_env()
    assert "A_SECRET" not in given
    assert given["PATH"] == os.environ["PATH"]
    assert given["PW_LANG_NAME"] == "python", (
        "Playwright gives its driver something else: see set_driver_environment"
    )


def test_a_provider_has_the_fields_that_ours_starts_and_ends_by() -> None:
    told = "PlaywrightBrowserProvider has changed: see browser/launch.py"
    config = object()
    assert (
        vars(PlaywrightBrowserProvider(config)).items()
        >= {"config": config, "playwright": None, "playwright_context_manager": None}.items()
    ), told
