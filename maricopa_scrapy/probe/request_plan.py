"""What a probe asks: of which sources, how many requests at most, and about how long it takes."""

import http.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl.source_connection import StartError, connect_to
from maricopa_scrapy.parsing.identifiers import format_apn

# Requests of one source at most, and a second: a first contact asks less than a crawl.
MOST = 12
RATE = 0.5
# A parcel that the county's own documents show, and a number that no parcel has: books end below 999.
KNOWN, UNKNOWN = "16528054", "99999999"
_ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Kind:
    """How one source is asked: what for, how many requests, seconds for one, the paths of its manifest that
    it takes.
    """

    asks: str
    requests: int
    seconds: float
    paths: tuple[str, ...] = ()
    takes_apns: bool = False


KINDS = {
    "assessor": Kind("parcels, one that does not exist, searches", 8, 1.5, ("parcel", "search"), True),
    "assessor_page": Kind("a parcel's page, and one that does not exist", 3, 1.0, ("parcel",), True),
    "gis": Kind("what each layer says of itself, a page of rows of three, a list", 12, 2.0),
    "recorder": Kind(
        "codes, the index, searches, documents", 8, 0.5, ("search", "document", "index", "codes")
    ),
    "recorder_legacy": Kind("a list, and a document", 3, 2.0, ("list", "document")),
    "treasurer": Kind("parcels in a browser, one that does not exist", 5, 20.0, ("parcel",), True),
    "bulk": Kind("the first bytes of the Sales Affidavits", 4, 2.0, ("sales_affidavits",)),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One source to ask: where, with which headers, for which parcels; `absent` is one that there is not."""

    name: str
    manifest: Manifest
    base_url: str
    headers: dict[str, str]
    apns: tuple[str, ...] = ()
    absent: str = UNKNOWN
    in_sandbox: bool = False

    @property
    def requests(self) -> int:
        """How many requests it is at most, those for robots.txt among them."""
        kind = KINDS[self.name]
        return min(MOST, kind.requests + max(0, len(self.apns) - 1) * kind.takes_apns)

    def seconds(self, rate: float) -> float:
        """About how long it takes."""
        return self.requests * (1 / rate + KINDS[self.name].seconds)


@dataclass(slots=True)
class Plan:
    """The sources, and those that cannot be asked, with the reason."""

    sources: list[Planned] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    rate: float = RATE


def draw_up(names: Sequence[str], apns: Sequence[str], settings: Any) -> Plan:
    """Return the plan. Raises StartError for a named source that cannot be asked, and when none can; unnamed
    ones are left out.
    """
    sandbox = str(settings["MARICOPA_SANDBOX"] or "").rstrip("/")
    asked: dict[str, tuple[Manifest, str, dict[str, str]]] = {}
    plan = Plan()
    for name in names or KINDS:
        try:
            asked[name] = connect_to(name, KINDS[name].paths, settings)
            check(name, asked[name][0], settings)
        except StartError as error:
            if names:
                raise
            asked.pop(name, None)
            plan.left_out[name] = str(error)
    if not asked:
        raise StartError("no source can be asked: " + "; ".join(plan.left_out.values()))
    plan.rate = float(settings["MARICOPA_RATE_LIMIT"] or RATE)
    known, absent = sandbox_apns(sandbox) if sandbox else ([KNOWN], UNKNOWN)
    parcels = tuple(apns or known)[: MOST - 4]
    plan.sources = [Planned(name, *one, parcels, absent, bool(sandbox)) for name, one in asked.items()]
    return plan


def check(name: str, manifest: Manifest, settings: Any) -> None:
    """Return when a source has what its checks need. Raises StartError."""
    if name == "gis" and not manifest.layers:
        raise StartError("config/sources/gis.yaml has no layers")
    if name == "assessor_page" and manifest.labels is None:
        raise StartError("config/sources/assessor_page.yaml has no labels")
    if name == "treasurer":
        from maricopa_scrapy.browser import find

        if manifest.page is None:
            raise StartError("config/sources/treasurer.yaml has no `page`")
        try:
            find.check(settings["MARICOPA_CONFIG"].browser)
        except find.NoBrowser as error:
            raise StartError(str(error)) from None


def sandbox_apns(url: str) -> tuple[list[str], str]:
    """Return two parcels of the sandbox county, and a number that none has. Raises StartError."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_ASK_S)
    try:
        connection.request("GET", "/_apns?count=2&absent=1")
        *known, absent = connection.getresponse().read().decode().split()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise StartError(
            f"MARICOPA_SANDBOX={url} does not answer: {error}; `maricopa sandbox` starts one"
        ) from None
    finally:
        connection.close()
    return known, absent


def shown(apns: Iterable[str]) -> str:
    """Return parcels as the county prints them."""
    return ", ".join(format_apn(apn) for apn in apns)
