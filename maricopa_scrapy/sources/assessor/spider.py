"""The assessor's API: one request a parcel; a search where the APN is not known, or where the county seems
not to know it.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote

from scrapy import Request
from scrapy.http import Response

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl.leasing_spider import LeasingSpider
from maricopa_scrapy.crawl.ledger_spider import Handler, LedgerSpider, Work
from maricopa_scrapy.items import Answer, Cause, Detail, FollowOn, Issue, IssueKind, Outcome, Reason, Target
from maricopa_scrapy.pace.answer_check import Refusal, is_refusal
from maricopa_scrapy.parsing.follow_ons import deed_follow_ons, page_follow_ons
from maricopa_scrapy.parsing.links import moved_link
from maricopa_scrapy.sources.assessor import parcel as pages
from maricopa_scrapy.sources.assessor.public_page_spider import AssessorPageSpider, expected_links
from maricopa_scrapy.sources.assessor.records import Owner, Parcel

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from maricopa_scrapy.database.targets import Run

_SEARCHES = ("owner", "address")
# So many answers of 500, and none other, from the first on: it is seen live without a valid token.
_FIRST_500S = 5


class SearchDetail(Detail):
    """Page `page` of a search; `seen` rows came before it, `last` is the digest of the page before it."""

    name: str
    words: str
    match: str
    page: int
    seen: int
    last: str | None = None


class AssessorSpider(LedgerSpider):
    """Targets: `parcel` by APN, and `search` by "owner=..." or "address=...", a page each."""

    name = "assessor"
    source = "assessor"
    needed_paths: ClassVar[tuple[str, ...]] = ("parcel", "search")
    known_arguments: ClassVar[dict[str, str]] = {
        "apns": "a list of parcels: a file, or APNs separated by commas (docs/parcel-lists.md)",
        "apn_column": "the column of the list that holds the parcels: its heading, or its number",
        "owner": "words of an owner: parcels whose owner has all of them",
        "address": "words of an address: parcels whose address has all of them",
        "match": "`any`: every row of the search, which looks at all columns",
        "via": "`page`: the public pages in place of the API; no token, APNs only, a few values",
    }
    has_ways = True
    details = {"search": SearchDetail}
    links: dict[str, str]
    # Until an answer of another status comes.
    _all_500 = True
    _count_500 = 0

    @classmethod
    def chosen(cls, given: dict[str, str]) -> type[LedgerSpider]:
        """`via=page` is the spider of the public page, which is asked by APN only."""
        if spider_arguments.choice("via", given.pop("via", "api"), ("api", "page")) == "api":
            return cls
        for name in (*_SEARCHES, "match"):
            if name in given:
                raise ArgumentError(
                    name,
                    "does not go with `via=page`, which reads pages by APN; give -a apns=..., or leave"
                    " via=page out",
                )
        return AssessorPageSpider

    @classmethod
    def from_crawler(cls, crawler: "Crawler", *args: Any, **kwargs: Any) -> Any:
        """As every spider's, and where links should lead. Raises ArgumentError or StartError."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        if isinstance(spider, cls):
            spider.links = expected_links(spider.manifest.links, crawler.settings["MARICOPA_MANIFESTS"])
        return spider

    @classmethod
    def for_co_source(cls, lead: LeasingSpider, run: "Run") -> Self:
        """As every spider's, and where links should lead. Raises StartError."""
        spider = super().for_co_source(lead, run)
        spider.links = expected_links(spider.manifest.links, lead.settings["MARICOPA_MANIFESTS"])
        return spider

    @classmethod
    def reader(cls, manifests: Mapping[str, Manifest]) -> Self:
        """As every spider's, and where links should lead. Raises StartError."""
        spider = super().reader(manifests)
        spider.links = expected_links(spider.manifest.links, dict(manifests))
        return spider

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read `apns`, `owner` or `address`; `match=any` takes every row of a search, not only those that
        fit.
        """
        name = spider_arguments.one_of(given, ("apns", *_SEARCHES))
        if name == "apns":
            apns = ApnList.of(name, given)
            targets = (FollowOn(cls.source, "parcel", apn) for apn in apns)
            return Work("property_search", apns.parameters, targets, apns=apns)
        for option in ("skip_invalid", "apn_column"):
            if option in given:
                raise ArgumentError(option, f"goes with a list of apns, not with `{name}`")
        words = spider_arguments.query(name, given[name])
        match = spider_arguments.choice("match", given.get("match", name), (name, "any"))
        first = search_page(name, words, match, 1)
        return Work("property_search", {name: words, "match": match}, [first])

    def request(self, target: Target) -> Request:
        """Ask for a parcel, or for a page of a search."""
        if target.kind == "parcel":
            return self.fetch(target, self.manifest.paths["parcel"].format(apn=target.key), self.parse_parcel)
        wanted = SearchDetail.of(target)
        return self._search(target, wanted.words, wanted.page, self.parse_search)

    def _search(self, target: Target, words: str, page: int, handler: Handler) -> Request:
        path = self.manifest.paths["search"].format(query=quote(words, safe=""), page=page)
        return self.fetch(target, path, handler)

    def _glance(self, request: Request, response: Response | None) -> None:
        super()._glance(request, response)
        if response is None or not self._all_500 or not response.url.startswith(self.base_url):
            return
        if response.status == 500:
            self._count_500 += 1
            if self._count_500 == _FIRST_500S:
                self.logger.error(
                    "the first %d answers were HTTP 500: most likely the token is missing, wrong or withdrawn"
                    " (%s); no target is marked",
                    _FIRST_500S,
                    self.manifest.token_env,
                )
                self.stop(Reason.UNAUTHORIZED)
        elif not is_refusal(response):
            self._all_500 = False

    def is_doubtful(self, response: Response) -> bool:
        """A 500 says nothing of its target as long as everything is answered so."""
        return response.status == 500 and self._all_500

    @property
    def left_out(self) -> tuple[str, ...]:
        """As `kept_body` does it."""
        return ("phones",) if self.manifest.keep_sketches else ("phones", "sketches")

    def kept_body(self, body: bytes) -> bytes:
        """Leave out telephone numbers, and the sketch unless the manifest keeps it."""
        return pages.redact(body, sketches=not self.manifest.keep_sketches)

    def parse_parcel(self, body: bytes, target: Target) -> Answer:
        """Read a whole parcel."""
        page = pages.parse_parcel(body, target.key, self.links)
        issues = page.notes.issues("the assessor's answer")
        issues += [moved_link(key, url, self.links[key], target.key) for key, url in page.moved_links]
        complete = [(record, target.key) for record in page.complete]
        owners = [(target.key, record.deed_number) for record in page.records if isinstance(record, Owner)]
        deeds, odd = deed_follow_ons(self.parameters, owners)
        is_cancelled = any(record.is_cancelled for record in page.records if isinstance(record, Parcel))
        follow_ons = deeds + page_follow_ons(self.parameters, target.key, is_cancelled)
        unread = tuple(page.notes.unread)
        return Answer(
            target,
            records=page.records,
            complete=complete,
            follow_ons=follow_ons,
            issues=issues + odd,
            unread=unread,
        )

    handlers = {"parcel": parse_parcel}

    def not_found(self, target: Target, handler: Handler) -> Request | None:
        """An empty answer alone proves nothing: ask the search whether there is such a parcel."""
        if handler != self.parse_parcel:
            return None
        return self._search(target, target.key, 1, self.parse_existence)

    def parse_existence(self, body: bytes, target: Target) -> Answer:
        """Read the search that follows an empty answer: gone only when the county lists no such APN."""
        page = pages.parse_search(body)
        if any(row.apn == target.key for row in page.rows):
            raise Refusal(Cause.REFUSED, "an empty answer for a parcel that the search lists")
        if page.notes.unread:
            raise Refusal(
                Cause.SOURCE_CHANGED,
                f"an empty answer, and a search of which {', '.join(page.notes.unread)} cannot be read",
            )
        if page.count >= self.manifest.search_page_size:
            raise Refusal(
                Cause.REFUSED, "an empty answer, and a search too full to show that there is no such parcel"
            )
        return Answer(target, Outcome.GONE)

    def parse_search(self, body: bytes, target: Target) -> Answer:
        """Read one page of a search: its parcels, and the next page when this one is full, become targets."""
        asked = SearchDetail.of(target)
        words, number, before = asked.words, asked.page, asked.seen
        page = pages.parse_search(body)
        fits = {"owner": pages.matches_owner, "address": pages.matches_address}.get(asked.match)
        hits = [row.apn for row in page.rows if fits is None or fits(row, words)]
        self.logger.info(
            "search %s=%r: page %d has %d rows, %d fit (of %s in all)",
            asked.name,
            words,
            number,
            page.count,
            len(hits),
            page.total,
        )
        issues = page.notes.issues("the assessor's search")
        follow_ons = [FollowOn(self.source, "parcel", apn) for apn in hits]
        last = blake2b(body, digest_size=16).hexdigest()
        more = page.count >= self.manifest.search_page_size or (page.total or 0) > before + page.count
        if page.count and last == asked.last:
            issues.append(
                Issue(
                    IssueKind.REPEATED_PAGE,
                    words,
                    f"search {words!r}: page {number} repeats the page before it",
                )
            )
            follow_ons = []
        elif page.count and more:
            follow_ons.append(
                search_page(asked.name, words, asked.match, number + 1, before + page.count, last)
            )
        elif page.total is not None and page.total != before + page.count:
            issues.append(
                Issue(
                    IssueKind.SEARCH_TOTAL,
                    words,
                    f"search {words!r}: {before + page.count} rows came, {page.total} were announced",
                )
            )
        is_done = follow_ons or page.unread
        return Answer(
            target,
            Outcome.DONE if is_done else Outcome.GONE,
            follow_ons=follow_ons,
            issues=issues,
            unread=tuple(page.notes.unread),
        )


def search_page(
    name: str, words: str, match: str, number: int, seen: int = 0, last: str | None = None
) -> FollowOn:
    """Return a page of a search as a target (SearchDetail)."""
    detail = SearchDetail(name=name, words=words, match=match, page=number, seen=seen, last=last)
    return FollowOn("assessor", "search", f"{name}={words} page={number}", detail)
