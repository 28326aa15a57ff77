"""The last deed of each parcel, and its document at the recorder: from APN to deed number to one request a
document.
"""

from collections.abc import Iterator
from typing import ClassVar

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, StartError, Work
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.sources.assessor.spider import AssessorSpider
from maricopa_scrapy.sources.bulk.spider import AffidavitsSpider
from maricopa_scrapy.sources.gis.spider import list_target
from maricopa_scrapy.sources.gis.target_details import LayerDetail
from maricopa_scrapy.sources.recorder.api_requests import RecorderSpider
from maricopa_scrapy.sources.recorder.stored_deeds import add_stored_deeds
from maricopa_scrapy.sources.roll import RollSpider


class SalesSpider(RecorderSpider):
    """Targets: those of the GIS for lists of parcels, of the assessor for parcels that the GIS has no deed
    of, and their documents.
    """

    name = "sales"
    known_arguments: ClassVar[dict[str, str]] = {
        "apns": "a list of parcels: a file, or APNs separated by commas (docs/parcel-lists.md)",
        "apn_column": "the column of the list that holds the parcels: its heading, or its number",
        "affidavits": "the county's file of all sales in place of a list: see the spider `affidavits`",
        "neighbours": (
            "`yes`: also the two documents after each deed, marked as such; the loan of the purchase is"
            " often one"
        ),
        "pdf": "`yes`: also the scans, into `documents/` of the data folder",
    }
    also: ClassVar[tuple[type[LedgerSpider], ...]] = (RollSpider, AssessorSpider)
    # A list is 500 rows of 50 columns.
    batch_most = 100

    @classmethod
    def chosen(cls, given: dict[str, str]) -> type[LedgerSpider]:
        """The file of Sales Affidavits is read by a spider of its own."""
        return AffidavitsSpider if "affidavits" in given else cls

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read `apns`; `neighbours=yes` also asks for the two documents after each deed: the loan of the
        purchase is often one.
        """
        apns = ApnList.of(spider_arguments.one_of(given, ("apns",)), given)
        neighbours = "yes" if spider_arguments.flag("neighbours", given.get("neighbours", "no")) else "no"
        pdf = "yes" if spider_arguments.flag("pdf", given.get("pdf", "no")) else "no"
        parameters = apns.parameters | {"neighbours": neighbours, "pdf": pdf}
        parameters |= {"follow": ["recorder", "assessor"], "sources": ["gis", "assessor"]}
        return Work("sales", parameters, _targets(apns), apns=apns)

    @classmethod
    def opening(cls) -> Iterator[FollowOn]:
        """How far the index of names has come."""
        yield FollowOn("recorder", "index", "names")

    def servable(self) -> tuple[type[LedgerSpider], ...]:
        """Leave out the assessor's API where its token is not set: the GIS has the deeds of nearly all
        parcels.
        """
        try:
            AssessorSpider.connection(self.settings)
        except StartError:
            return (RollSpider,)
        return self.also

    @classmethod
    def take_up(cls, cursor: Cursor, run: Run) -> None:
        """Add the deeds of parcels that the job has stored."""
        super().take_up(cursor, run)
        add_stored_deeds(cursor, run)


def _targets(apns: ApnList) -> Iterator[FollowOn]:
    yield from SalesSpider.opening()
    yield from list_target(apns, LayerDetail(geometry="point", accept_shrink=False))
