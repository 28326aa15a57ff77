"""A tab that was read while the browser showed it is not read again as it is kept."""

from maricopa_scrapy import configuration
from maricopa_scrapy.browser.handler import VISIT
from maricopa_scrapy.browser.visit import Shown
from maricopa_scrapy.items import Target
from maricopa_scrapy.sources.treasurer import page as pages
from maricopa_scrapy.sources.treasurer.spider import TaxSpider
from tests.helpers.calls import calls_of
from tests.sources.treasurer.test_page import APN, HISTORY, OWED, PAID, SUMMARY, grid, page


def test_each_tab_of_a_parcel_is_parsed_once() -> None:
    spider = TaxSpider.reader(configuration.load()[1])
    spider.base_url = "http://127.0.0.1"
    target = Target(1, "treasurer", "parcel", APN)
    html = {
        "summary": page(grid(SUMMARY, [OWED, PAID])),
        "payments": page(grid(HISTORY, [["+", "2024", "Tax Payment", "$617.28", "10/01/2024"]])),
    }
    visit = spider.request(target).meta[VISIT]
    with calls_of(pages.parse_tab) as calls:
        assert [visit.check(tab, text, "https://x/1") for tab, text in html.items()] == [None, None]
        shown = Shown("parcel", html, 200, {}, address="https://x/1")
        answer = spider.parse_page(spider.pack(shown), target)
    assert calls.count == 2
    assert [type(record).__name__ for record in answer.records] == [
        "TaxAccount",
        "TaxBill",
        "TaxBill",
        "TaxPayment",
    ]
    assert answer.records == pages.parse_page(spider.pack(shown), APN, visit.layout).records
