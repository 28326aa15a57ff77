"""The assessor's public page, for people without a token: a plain GET a parcel, and only what the server
itself writes into it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scrapy import Request
from scrapy.http import Response

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, StartError, Work
from maricopa_scrapy.items import Answer, FollowOn, Outcome, Target
from maricopa_scrapy.pace.answer_check import check_page_answer
from maricopa_scrapy.parsing.links import TREASURER, moved_link
from maricopa_scrapy.sources.assessor.public_page import Layout, parse_page
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class AssessorPageSpider(LedgerSpider):
    """Targets: `parcel` by APN. `scrapy crawl assessor -a via=page` is this spider too."""

    name = "assessor_page"
    source = "assessor_page"
    needed_paths: ClassVar[tuple[str, ...]] = ("parcel",)
    known_arguments: ClassVar[dict[str, str]] = {
        "apns": "a list of parcels: a file, or APNs separated by commas (docs/parcel-lists.md)",
        "apn_column": "the column of the list that holds the parcels: its heading, or its number",
    }
    layout: ClassVar[Layout]
    treasurer: str | None

    @classmethod
    def from_crawler(cls, crawler: "Crawler", *args: Any, **kwargs: Any) -> Any:
        """As every spider's, and where the link to the treasurer should lead. Raises ArgumentError or
        StartError.
        """
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.treasurer = expected_links({}, crawler.settings["MARICOPA_MANIFESTS"]).get(TREASURER)
        return spider

    @classmethod
    def connection(cls, settings: Any) -> tuple[Manifest, str, dict[str, str]]:
        """As every source's, and the labels of the page. Raises StartError."""
        manifest, base_url, headers = super().connection(settings)
        cls.layout = _layout(manifest)
        return manifest, base_url, headers

    @classmethod
    def reader(cls, manifests: Mapping[str, Manifest]) -> Self:
        """As every spider's, with the labels of the page. Raises StartError."""
        spider = super().reader(manifests)
        cls.layout = _layout(spider.manifest)
        spider.treasurer = expected_links({}, dict(manifests)).get(TREASURER)
        return spider

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read `apns`."""
        name = spider_arguments.one_of(given, ("apns",))
        apns = ApnList.of(name, given)
        targets = (FollowOn(cls.source, "parcel", apn) for apn in apns)
        return Work(
            "property_search", {"via": "page"} | apns.parameters, targets, apns=apns, mode="scraping_only"
        )

    def request(self, target: Target) -> Request:
        """Ask for a parcel's page."""
        return self.fetch(target, self.manifest.paths["parcel"].format(apn=target.key), self.parse_parcel)

    def check_answer(self, response: Response) -> None:
        """A page is due. Raises Refusal."""
        check_page_answer(response, self.manifest.refusals)

    @property
    def left_out(self) -> tuple[str, ...]:
        """As `kept_body` does it."""
        return ("scripts", "token")

    def kept_body(self, body: bytes) -> bytes:
        """Leave out the scripts, and the token that the site gives them."""
        return without_secrets(body)

    def parse_parcel(self, body: bytes, target: Target) -> Answer:
        """Read a parcel's page."""
        page = parse_page(body, target.key, self.layout, self.treasurer)
        if page.record is None:
            return Answer(target, Outcome.GONE)
        issues = page.notes.issues("the assessor's page")
        if page.moved and self.treasurer:
            issues.append(moved_link(TREASURER, page.moved, self.treasurer, target.key))
        return Answer(target, records=[page.record], issues=issues, unread=tuple(page.notes.unread))

    handlers = {"parcel": parse_parcel}

    def _glance(self, request: Request, response: Response | None) -> None:
        """Without a token a 401 is a refusal of one page, and ends no run."""


def _layout(manifest: Manifest) -> Layout:
    if manifest.labels is None:
        raise StartError("config/sources/assessor_page.yaml: labels: missing")
    try:
        return Layout(**dict(manifest.labels))
    except ValueError as error:
        raise StartError(f"config/sources/assessor_page.yaml: {error}") from None


def expected_links(links: dict[str, str], manifests: dict[str, Manifest]) -> dict[str, str]:
    """Return where links should lead: of the treasurer, what its own manifest says."""
    treasurer = manifests.get("treasurer")
    if treasurer is None or "parcel" not in treasurer.paths:
        return links
    return links | {TREASURER: treasurer.base_url.rstrip("/") + treasurer.paths["parcel"]}
