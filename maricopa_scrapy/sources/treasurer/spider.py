"""The treasurer's tax pages: bills of all years, what is paid and due, and the payments. One page a parcel,
in a browser.
"""

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.configuration import Manifest, PageLayout
from maricopa_scrapy.crawl.argument_spider import lose
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, StartError, Work
from maricopa_scrapy.items import Answer, Detail, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.sources.treasurer import page as pages
from maricopa_scrapy.sources.treasurer import tabs as treasurer_tabs
from maricopa_scrapy.sources.treasurer.account import check_absent
from maricopa_scrapy.sources.treasurer.records import TaxBill, TaxPayment

if TYPE_CHECKING:
    from maricopa_scrapy.browser.visit import Shown

_TABS = ("summary", "payments")
# Two tabs of each page that the largest pool shows at once.
_TABS_KNOWN = 2 * 16
_HANDLER = "maricopa_scrapy.browser.handler.BrowserHandler"


class ParcelDetail(Detail):
    """The tabs of a parcel's page that are wanted."""

    tabs: tuple[str, ...] = _TABS


class TaxSpider(LedgerSpider):
    """Targets: `parcel` by APN."""

    name = "tax"
    source = "treasurer"
    needed_paths: ClassVar[tuple[str, ...]] = ("parcel",)
    known_arguments: ClassVar[dict[str, str]] = {
        "apns": "a list of parcels: a file, or APNs separated by commas (docs/parcel-lists.md)",
        "apn_column": "the column of the list that holds the parcels: its heading, or its number",
        "tabs": "`summary`: the bills alone; `summary,payments` (default): the payments too",
    }
    is_rendered = True
    details = {"parcel": ParcelDetail}
    # No other spider gets the browser's handler, nor loads what it needs.
    custom_settings = {"DOWNLOAD_HANDLERS": {"http": _HANDLER, "https": _HANDLER}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A tab is read while it can still be looked at, and again as it is kept: mostly the same.
        self._read_tab = lru_cache(_TABS_KNOWN)(self._parsed_tab)

    def _parsed_tab(self, tab: str, html: str, apn: str, address: str) -> pages.Page:
        return pages.parse_tab(tab, html, apn, self._page(), address)

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read `apns`; `tabs=summary` leaves out the payments."""
        name = spider_arguments.one_of(given, ("apns",))
        tabs = _tabs(given.get("tabs", ",".join(_TABS)))
        apns = ApnList.of(name, given)
        detail = None if tabs == _TABS else ParcelDetail(tabs=tabs)
        targets = (FollowOn(cls.source, "parcel", apn, detail) for apn in apns)
        return Work("tax", apns.parameters | ({"tabs": ",".join(tabs)} if detail else {}), targets, apns=apns)

    @classmethod
    def connection(cls, settings: Any) -> tuple[Manifest, str, dict[str, str]]:
        """As every source's; and there must be a browser. Raises StartError."""
        from maricopa_scrapy.browser import find

        manifest, base_url, headers = super().connection(settings)
        if manifest.page is None:
            raise StartError("config/sources/treasurer.yaml has no `page`")
        try:
            find.check(settings["MARICOPA_CONFIG"].browser)
        except find.NoBrowser as error:
            raise StartError(str(error)) from None
        return manifest, base_url, headers

    def request(self, target: Target) -> Request:
        """Ask for a parcel's page."""
        from maricopa_scrapy.browser.handler import VISIT
        from maricopa_scrapy.browser.visit import Visit

        layout = self._page()
        request = self.fetch(target, self.manifest.paths["parcel"].format(apn=target.key), self.parse_page)
        request.meta[VISIT] = Visit(
            layout,
            self.manifest.refusals,
            ParcelDetail.of(target).tabs,
            target.key,
            partial(self._problem, target.key),
        )
        return request

    def _page(self) -> PageLayout:
        assert self.manifest.page is not None
        return self.manifest.page

    def _problem(self, apn: str, tab: str, html: str, address: str) -> str | None:
        """Return what is wrong with a tab, while it can still be looked at; without the value, so that many
        are one.
        """
        from maricopa_scrapy.browser.visit import ABSENT

        kept, layout = treasurer_tabs.keep(html), self._page()
        try:
            if tab == ABSENT:
                check_absent(kept, apn, layout)
            else:
                self._read_tab(tab, kept, apn, address if layout.keeps_address else "")
        except PageError as error:
            return f"{error.cause} {error.path}"
        return None

    def pack(self, shown: "Shown") -> bytes:
        """Return what the browser showed as one body."""
        assert shown.kind != "page"
        address = shown.address if self._page().keeps_address else ""
        return treasurer_tabs.pack(treasurer_tabs.Tabs(shown.kind, shown.html, self._page().version, address))  # type: ignore[arg-type]

    @property
    def left_out(self) -> tuple[str, ...]:
        """What `kept_body` and `pack` leave out."""
        return ("phones", "scripts", "styles")

    def kept_body(self, body: bytes) -> bytes:
        """Leave out telephone numbers of what is no parcel's page; a parcel's has none any more."""
        return treasurer_tabs.kept(body)

    def parse_page(self, body: bytes, target: Target) -> Answer:
        """Read a parcel's tabs."""
        page = pages.parse_page(body, target.key, self._page(), self._read_tab)
        if not page.exists:
            return Answer(target, Outcome.GONE)
        issues = [
            Issue(IssueKind.NEW_FIELD, heading, f"the treasurer's page has a new column: {heading}")
            for heading in page.new_fields
        ]
        complete: list[Any] = [(TaxBill, target.key)]
        # A history that says that it is empty removes nothing: it may have been read before its rows came.
        if any(isinstance(record, TaxPayment) for record in page.records):
            complete.append((TaxPayment, target.key))
        answer = Answer(target, records=page.records, complete=complete, issues=issues, signs=page.signs)
        garbled = {
            f"{record.table}.{name}"
            for record in page.records
            for name, value in record
            if _is_garbled(value)
        }
        for column in sorted(garbled):
            lose(
                answer,
                column,
                f"{column} has a sign that the browser could not decode: it is stored as"
                f" {treasurer_tabs.REPLACED}",
            )
        return answer

    handlers = {"parcel": parse_page}


def _is_garbled(value: object) -> bool:
    return (
        treasurer_tabs.REPLACED in value
        if isinstance(value, str)
        else isinstance(value, list) and any(map(_is_garbled, value))
    )


def _tabs(value: str) -> tuple[str, ...]:
    wanted = [spider_arguments.choice("tabs", part.strip(), _TABS) for part in value.split(",")]
    if "summary" not in wanted:
        raise ArgumentError(
            "tabs",
            f"{value!r} leaves out the summary, which says what is owed; give summary, or summary,payments",
        )
    return tuple(tab for tab in _TABS if tab in wanted)
