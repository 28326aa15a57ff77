"""The peer of bench-browser: a plain Playwright script that shows the same pages one after another, and keeps
their HTML.

python -m benchmarks.browser_peer ADDRESS APNS BROWSER
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

_ROW = ".k-grid-table .k-table-td .trs-fs-16"
_FILLED = "() => [...document.querySelectorAll('.k-grid-table .trs-fs-16')].every(cell => cell.textContent)"


def show(page: Page, url: str) -> list[str]:
    """Return the HTML of both tabs; the old grid is taken away before the second is opened, as its author
    does.
    """
    page.goto(url)
    page.wait_for_selector(f"{_ROW}, #propertyOwnerSearchResultColumn")
    if page.query_selector(_ROW) is None:
        return [page.content()]
    page.wait_for_function(_FILLED)
    summary = page.content()
    page.evaluate("() => { document.querySelector('.k-grid').parentElement.innerHTML = ''; }")
    page.click("#ptiNav a >> nth=1")
    page.wait_for_selector(_ROW)
    page.wait_for_function(_FILLED)
    return [summary, page.content()]


def main(address: str, apns: str, browser: str) -> None:
    """Show every parcel in a page of its own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser)
        for apn in Path(apns).read_text().split():
            page = chromium.new_page()
            show(page, f"{address}/PropertyTaxInformation/?Parcel={apn}")
            page.close()
        chromium.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
