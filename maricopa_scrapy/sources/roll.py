"""The county's parcel roll: from the GIS layers, or from the assessor's bulk files."""

from typing import ClassVar

from scrapy import Request

from maricopa_scrapy.arguments import spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.crawl.ledger_spider import Work
from maricopa_scrapy.items import Target
from maricopa_scrapy.sources.bulk import file_targets
from maricopa_scrapy.sources.bulk.file_lines import FILES
from maricopa_scrapy.sources.gis.spider import LayerSpider


class RollSpider(LayerSpider, file_targets.BulkFileSpider):
    """Targets: those of the GIS layers; `file`: a bulk file."""

    name = "roll"
    details = LayerSpider.details | file_targets.BulkFileSpider.details
    known_arguments: ClassVar[dict[str, str]] = {
        "layer": "E, C, A, D or F; else the first of config/sources/gis.yaml that is as we know it",
        "apns": (
            "a list of parcels: a file, or APNs separated by commas; without it, `since` or a file: the whole"
            " county"
        ),
        "apn_column": "the column of the list that holds the parcels: its heading, or its number",
        "since": "parcels whose last deed is of that day, YYYY-MM-DD, or later",
        **dict.fromkeys(FILES, "the assessor's bulk file, .txt or .zip, from this machine's disk"),
        "geometry": "`polygon`: also the outline of each parcel; `point` (default): coordinates alone",
        "captures": "whose answers are kept: `all`, `failures` or `none`; else what the manifest says",
        "accept_shrink": (
            "`yes`: trust a layer that misses more than 2 % of the stored parcels, or a file that is over 2 %"
            " shorter"
        ),
    }

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read what is wanted; without `apns`, `since` or a file it is the whole county."""
        if not FILES.keys() & given.keys():
            return super().work(given)
        name = spider_arguments.one_of(given, ("apns", "since", *FILES))
        for option in ("layer", "geometry", "captures"):
            if option in given:
                raise ArgumentError(option, f"does not go with `{name}`")
        shrink = spider_arguments.flag("accept_shrink", given.get("accept_shrink", "no"))
        return Work("bulk_file", given, [file_targets.target(cls.source, name, name, given[name], shrink)])

    def request(self, target: Target) -> Request:
        """Ask a layer for what the target is, or stand for a file that is here."""
        return file_targets.marker(target) if target.kind == "file" else super().request(target)
