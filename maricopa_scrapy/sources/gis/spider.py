"""What is asked of the county's GIS layers: all of one, a list of APNs, or the deeds since a day."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from psycopg2.extensions import cursor as Cursor
from scrapy import Request

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, StartError, Work
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Answer, Cause, Extent, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged
from maricopa_scrapy.parsing.follow_ons import deed_follow_ons
from maricopa_scrapy.sources.gis import layer as pages
from maricopa_scrapy.sources.gis import layer_walk as rolls

_PHOENIX = ZoneInfo("America/Phoenix")
_EXTENT = [
    {"statisticType": kind, "onStatisticField": "{id}", "outStatisticFieldName": name}
    for kind, name in (("min", "first_id"), ("max", "last_id"), ("count", "row_count"))
]
# Tries of the first layer before the others are tried, one after the other, at once.
_TRIES_A_LAYER = 2
# What each range of a walk is told.
_SHARED = ("object_id", "lacking", "outlines", "captures", "list")


class LayerSpider(LedgerSpider):
    """Base class of the spider `roll` (sources/roll.py). Its targets, by kind:

    `layer`: which one, and is it as we know it; then, of the county, an `extent`, a `range` a page (of a
    layer with sparse ids first all
    `ids`), and `doubled`: has the layer as many rows of some APNs as came? Of APNs a `list`, and `absent`:
    has it any of those that did not come? Of the deeds since a day `ids` and ranges.
    """

    source = "gis"
    # A page is up to 2,000 rows: some 16,000 rows a transaction.
    batch_most = 8
    shapes: ClassVar[dict[str, pages.Shape]] = {}
    # Default 5 MB, three pages: the engine would stop and go.
    custom_settings = {"SCRAPER_SLOT_MAX_ACTIVE_SIZE": 24_000_000}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passed_over: list[Issue] = []

    @classmethod
    def connection(cls, settings: Any) -> tuple[Manifest, str, dict[str, str]]:
        """As every source's, and the layers of the manifest. Raises StartError."""
        manifest, base_url, headers = super().connection(settings)
        cls.shapes = _shapes(manifest)
        return manifest, base_url, headers

    @classmethod
    def reader(cls, manifests: Mapping[str, Manifest]) -> Self:
        """As every source's, with the layers of the manifest. Raises StartError."""
        cls.shapes = _shapes(manifests[cls.source])
        return super().reader(manifests)

    @classmethod
    def take_up(cls, cursor: Cursor, run: Run) -> None:
        """Have the extent of a walk that was interrupted read again."""
        rolls.take_up(cursor, run)

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read what is wanted; without `apns` or `since` it is the whole county."""
        if "layer" in given:
            given = given | {
                "layer": spider_arguments.choice("layer", given["layer"].strip().upper(), cls.shapes)
            }
        wanted = [name for name in ("apns", "since") if name in given]
        name = spider_arguments.one_of(given, wanted) if wanted else "county"
        options = _options(given, name)
        if name == "apns":
            apns = ApnList.of(name, given)
            return Work("parcel_list", given, list_target(apns, options), apns=apns)
        for option in ("skip_invalid", "apn_column"):
            if option in given:
                raise ArgumentError(option, "goes with a list of apns")
        if name == "since":
            since, today = spider_arguments.date(name, given[name]), dt.datetime.now(_PHOENIX).date()
            if since > today:
                raise ArgumentError(name, f"{since} is after today, {today}")
            options |= {"since": str(since), "until": str(today)}
        return Work(
            "roll" if name == "county" else "deeds_since",
            given,
            [FollowOn(cls.source, "layer", name, options)],
        )

    def request(self, target: Target) -> Request:
        """Ask for what the target is."""
        detail = target.detail or {}
        if target.kind == "layer":
            return self._ask_layer(target, self._order(detail))
        query: dict[str, str] = {"where": detail.get("where", "1=1"), "f": "json"}
        layer = detail["layer"]
        if target.kind == "extent":
            statistics = json.dumps(_EXTENT, separators=(",", ":")).replace("{id}", detail["object_id"])
            return self._query(target, layer, query | {"outStatistics": statistics}, self.parse_extent)
        if target.kind == "ids":
            return self._query(target, layer, query | {"returnIdsOnly": "true"}, self.parse_ids)
        if target.kind in ("absent", "doubled"):
            query |= {"where": self._where_apns(layer, detail["apns"]), "returnCountOnly": "true"}
            return self._query(
                target,
                layer,
                query,
                self.parse_absent if target.kind == "absent" else self.parse_doubled,
                post=True,
            )
        fields = [
            detail["object_id"],
            *(name for name, _ in self.shapes[layer].without(detail["lacking"]).values()),
        ]
        query |= {
            "outFields": ",".join(fields),
            "returnGeometry": "false",
            "orderByFields": detail["object_id"],
        }
        if detail.get("outlines"):
            query |= {"returnGeometry": "true", "outSR": "4326", "geometryPrecision": "8"}
        if target.kind == "list":
            query["where"] = self._where_apns(layer, detail["apns"])
            return self._query(target, layer, query, self.parse_list, post=True)
        ids = "{0}>={1} AND {0}<={2}".format(detail["object_id"], detail["first"], detail["last"])
        query["where"] = f"{ids} AND {detail['where']}" if "where" in detail else ids
        return self._query(target, layer, query, self.parse_range)

    def parse_layer(self, body: bytes, target: Target, order: list[str]) -> Answer | Request:
        """Read what the layer has; without its row ids or APNs, or the day that is asked by, try the next
        one.
        """
        name, *others = order
        shape, detail = self.shapes[name], target.detail or {}
        try:
            layer = pages.parse_layer(body, shape)
            if target.key == "since" and shape.columns["deed_date"][0] in layer.lacking:
                raise SourceChanged(f"fields.{shape.columns['deed_date'][0]}", "the day of the deed", ABSENT)
        except SourceChanged as error:
            if not others:
                raise
            return self._pass_over(
                target, order, Issue(Cause.SOURCE_CHANGED, f"layer {name}: {error.path}"[:200], str(error))
            )
        page = min(layer.page or self.manifest.layers[name].page, self.manifest.layers[name].page)
        self.logger.info(
            "layer %s: %d rows an answer, without %s", name, page, ", ".join(layer.lacking) or "nothing"
        )
        shared = {
            "layer": name,
            "object_id": layer.object_id,
            "lacking": layer.lacking,
            "captures": detail.get("captures"),
            "outlines": detail["geometry"] == "polygon",
            "list": self.manifest.layers[name].list,
        }
        if target.key == "apns":
            follow_ons = list(self._lists(detail["apns"], name, shared))
        elif target.key == "since":
            where = _since(self.shapes[name], detail["since"], detail["until"])
            follow_ons = [
                FollowOn(self.source, "ids", f"{name} {where}", shared | {"where": where, "page": page})
            ]
        else:
            follow_ons = [
                FollowOn(
                    self.source,
                    "extent",
                    name,
                    shared | {"page": page, "accept_shrink": detail["accept_shrink"]},
                )
            ]
        issues = (
            self._passed_over
            + layer.notes.issues(f"layer {name}")
            + pages.new_fields_issue(name, layer.new_fields)
        )
        return Answer(target, follow_ons=follow_ons, issues=issues, unread=tuple(layer.notes.unread))

    def parse_extent(self, body: bytes, target: Target) -> Answer:
        """Read how much the layer holds; what follows from it is the store's to say
        (sources/gis/layer_walk.py).
        """
        detail = target.detail or {}
        shared = {name: detail[name] for name in _SHARED}
        extent = pages.parse_extent(body, detail["layer"], detail["page"], dt.datetime.now(dt.UTC), shared)
        return Answer(target, extent=replace(extent, accept_shrink=detail["accept_shrink"]))

    def parse_doubled(self, body: bytes, target: Target) -> Answer:
        """Read whether the layer has as many rows of some APNs as came: the extent that waits for it goes on,
        or the walk begins anew.
        """
        detail = target.detail or {}
        count = pages.parse_count(body)
        if count != detail["rows"]:
            self.logger.warning("%s: %d rows came, the layer has %d", target.key, detail["rows"], count)
        told: dict[str, Any] = {
            name: detail[name]
            for name in ("layer", "first", "last", "count", "page", "accept_shrink", "walk")
        }
        told |= {
            "read_at": dt.datetime.fromisoformat(detail["read_at"]),
            "detail": {name: detail[name] for name in _SHARED},
        }
        return Answer(target, extent=Extent(**told, confirmed=count == detail["rows"]))

    def parse_ids(self, body: bytes, target: Target) -> Answer:
        """Read the row ids of a query: each page of them is a range with a known number of rows."""
        detail = target.detail or {}
        ids = iter(pages.parse_ids(body))
        follow_ons: list[FollowOn] = []
        while part := list(islice(ids, detail["page"])):
            one = detail | {"first": part[0], "last": part[-1], "expected": len(part)}
            what = detail.get("where") or f"walk {detail['walk']}"
            follow_ons.append(
                FollowOn(self.source, "range", f"{detail['layer']} {what} ids {part[0]}-{part[-1]}", one)
            )
        return Answer(target, Outcome.DONE if follow_ons else Outcome.GONE, follow_ons=follow_ons)

    def parse_range(self, body: bytes, target: Target) -> Answer:
        """Read a page of features; of one that was cut, the rest becomes a target."""
        detail = target.detail or {}
        page = self._features(body, detail)
        if any(not detail["first"] <= one <= detail["last"] for one in page.ids):
            raise Malformed("features", f"row ids from {detail['first']} to {detail['last']}", page.ids)
        follow_ons = []
        if page.is_cut and page.ids != sorted(page.ids):
            raise Malformed("features", "row ids in order of a page that is cut", page.ids)
        # Some servers set the flag on any full page: nothing is left behind the last id.
        if page.is_cut and page.ids and (last := page.ids[-1]) < detail["last"]:
            rest = {name: value for name, value in detail.items() if name != "expected"} | {"first": last + 1}
            if "expected" in detail:
                rest["expected"] = detail["expected"] - len(page.ids)
            follow_ons.append(FollowOn(self.source, "range", f"{target.key} from {last + 1}", rest))
        elif len(page.ids) != detail.get("expected", len(page.ids)):
            raise Malformed("features", f"{detail['expected']} rows", page.ids)
        outcome = Outcome.DONE if page.ids else Outcome.GONE
        deeds, odd = self._deeds(page)
        issues = page.issues + odd
        return Answer(
            target,
            outcome,
            follow_ons=follow_ons + deeds,
            issues=issues,
            pages=page.pages,
            unkeyed=page.unkeyed,
            unread=page.unread,
        )

    def parse_list(self, body: bytes, target: Target) -> Answer:
        """Read the parcels of a list; what did not come is asked for once more (absent_parcels.py), then
        noted as absent.
        """
        detail = target.detail or {}
        apns = detail["apns"]
        page = self._features(body, detail)
        if page.is_cut:
            half = len(apns) // 2
            if not half:
                raise Malformed("features", "all rows of one APN", page.ids)
            return Answer(
                target,
                follow_ons=list(self._lists(apns[:half], target.key, detail))
                + list(self._lists(apns[half:], target.key, detail)),
            )
        asked = set(apns)
        if not asked.issuperset(page.apns):
            raise Malformed(
                "features", "parcels that were asked for", [apn for apn in page.apns if apn not in asked]
            )
        found = set(page.apns)
        missing = [apn for apn in apns if apn not in found]
        if missing:
            self.logger.info(
                "%s: %d of %d are not in layer %s: %s",
                target.key,
                len(missing),
                len(apns),
                detail["layer"],
                ", ".join(missing[:5]),
            )
        deeds, odd = self._deeds(page)
        if "assessor" in self.parameters.get("follow", ()):
            lacking = [apn for apn, deed in _deed_numbers(page) if deed is None] + missing
            if self.serves("assessor"):
                deeds += [FollowOn("assessor", "parcel", apn) for apn in lacking]
            elif lacking:
                told = (
                    f"{len(lacking)} parcels have no deed number in layer {detail['layer']}; the API was not"
                    " asked, for want of a token"
                )
                odd.append(Issue(IssueKind.NO_DEED_NUMBER, target.key[:200], told, {"apns": lacking[:50]}))
        absent = [pages.absent_rows(missing, detail["layer"])] if missing else []
        return Answer(
            target,
            follow_ons=deeds,
            issues=page.issues + odd,
            pages=[*page.pages, *absent],
            unread=page.unread,
        )

    def parse_absent(self, body: bytes, target: Target) -> Answer:
        """Read whether the layer has any of the APNs that did not come; if so, they are asked for by list
        once more.
        """
        detail = target.detail or {}
        if pages.parse_count(body):
            return Answer(
                target, follow_ons=list(self._lists(detail["apns"], f"{detail['layer']} again", detail))
            )
        return Answer(target, pages=[pages.absent_rows(detail["apns"], detail["layer"])])

    handlers = {"range": parse_range, "list": parse_list, "absent": parse_absent}

    def kept_of(self, target: Target) -> str:
        """As the argument `captures` says, else the manifest."""
        return (target.detail or {}).get("captures") or super().kept_of(target)

    def _deeds(self, page: pages.Page) -> tuple[list[FollowOn], list[Issue]]:
        return deed_follow_ons(self.parameters, _deed_numbers(page))

    def _features(self, body: bytes, detail: dict[str, Any]) -> pages.Page:
        return pages.parse_features(
            body, self.shapes[detail["layer"]], detail["object_id"], detail["lacking"], detail["outlines"]
        )

    def _order(self, detail: dict[str, Any]) -> list[str]:
        return [detail["layer"]] if detail.get("layer") else list(self.shapes)

    def _failure(
        self, request: Request, target: Target, cause: Cause, message: str, *more: Any
    ) -> Answer | Request:
        """As every spider's; a layer that fails once more than it may is left for the next one."""
        failed = super()._failure(request, target, cause, message, *more)
        order = request.meta.get("layers", ())
        if (
            cause is Cause.THROTTLED
            or len(order) < 2
            or target.attempts + 1 < min(_TRIES_A_LAYER, self.manifest.attempts)
        ):
            return failed
        return self._pass_over(
            target,
            order,
            Issue(
                IssueKind.LAYER_FAILED, f"layer {order[0]}: {cause}", f"layer {order[0]}: {cause} ({message})"
            ),
        )

    def _pass_over(self, target: Target, order: list[str], why: Issue) -> Request:
        self.logger.warning("layer %s is left for layer %s (%s)", order[0], order[1], why.message)
        self._passed_over.append(why)
        return self._ask_layer(target, order[1:])

    def _where_apns(self, layer: str, apns: list[str]) -> str:
        field, _ = self.shapes[layer].columns["apn"]
        return f"{field} IN ({','.join(repr(apn) for apn in apns)})"

    def _ask_layer(self, target: Target, order: list[str]) -> Request:
        request = self._ask(
            target,
            self._address(order[0]) + "?f=json",
            lambda body, target: self.parse_layer(body, target, order),
        )
        return request.replace(meta={**request.meta, "layers": order})

    def _query(
        self, target: Target, layer: str, query: dict[str, str], handler: Any, post: bool = False
    ) -> Request:
        address, form = self._address(layer) + "/query", urlencode(query)
        if not post:
            return self._ask(target, f"{address}?{form}", handler)
        request = self._ask(target, address, handler)
        return request.replace(
            method="POST", body=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )

    def _ask(self, target: Target, url: str, handler: Any) -> Request:
        # A layer may be on another host than the source's own address.
        return self.fetch(target, "", handler).replace(url=url)

    def _address(self, layer: str) -> str:
        return f"{self.base_url}/{layer}" if self.is_sandbox else self.manifest.layers[layer].url

    def _lists(self, apns: list[str], prefix: str, shared: dict[str, Any]) -> Any:
        size = self.manifest.layers[shared["layer"]].list
        for at in range(0, len(apns), size):
            part = apns[at : at + size]
            yield FollowOn(
                self.source, "list", f"{prefix} {part[0]}-{part[-1]} ({len(part)})", {**shared, "apns": part}
            )


def _shapes(manifest: Manifest) -> dict[str, pages.Shape]:
    try:
        shapes = {
            name: pages.Shape(name, layer.days, layer.columns, layer.optional, layer.ignored)
            for name, layer in manifest.layers.items()
        }
    except ValueError as error:
        raise StartError(f"config/sources/gis.yaml: {error}") from None
    if not shapes:
        raise StartError("config/sources/gis.yaml has no layers")
    return shapes


def _options(given: dict[str, str], name: str) -> dict[str, Any]:
    if "accept_shrink" in given and name != "county":
        raise ArgumentError("accept_shrink", f"does not go with `{name}`")
    geometry = spider_arguments.choice("geometry", given.get("geometry", "point"), ("point", "polygon"))
    shrink = spider_arguments.flag("accept_shrink", given.get("accept_shrink", "no"))
    options: dict[str, Any] = {"geometry": geometry, "accept_shrink": shrink}
    if "layer" in given:
        options["layer"] = given["layer"]
    if "captures" in given:
        options["captures"] = spider_arguments.choice(
            "captures", given["captures"], ("all", "failures", "none")
        )
    return options


def list_target(apns: ApnList, options: dict[str, Any]) -> Iterator[FollowOn]:
    """Yield the target that asks for parcels by lists; `options` as `-a geometry` and the like give them."""
    distinct = list(dict.fromkeys(apns))
    apns.distinct = len(distinct)
    yield FollowOn("gis", "layer", "apns", {**options, "apns": distinct})


def _deed_numbers(page: pages.Page) -> Iterator[tuple[str, str | None]]:
    if not page.pages:
        return iter(())
    columns = dict(zip(pages.COLUMNS, page.pages[0].columns, strict=True))
    return zip(columns["apn"], columns["deed_number"], strict=True)


def _since(shape: pages.Shape, since: str, until: str) -> str:
    deed_date = shape.columns["deed_date"][0]
    return f"{deed_date} >= timestamp '{since} 00:00:00' AND {deed_date} <= timestamp '{until} 23:59:59'"
