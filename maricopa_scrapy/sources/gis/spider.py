"""What is asked of the county's GIS layers: all of one, a list of APNs, or the deeds since a day."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
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
from maricopa_scrapy.items import Answer, Cause, Detail, Extent, FollowOn, Issue, IssueKind, Outcome, Target
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged
from maricopa_scrapy.parsing.follow_ons import deed_follow_ons
from maricopa_scrapy.sources.gis import layer as pages
from maricopa_scrapy.sources.gis import layer_walk as rolls
from maricopa_scrapy.sources.gis.target_details import (
    DoubledDetail,
    ExtentDetail,
    IdsDetail,
    LayerDetail,
    ListDetail,
    RangeDetail,
    RowsDetail,
)

_PHOENIX = ZoneInfo("America/Phoenix")
_EXTENT = [
    {"statisticType": kind, "onStatisticField": "{id}", "outStatisticFieldName": name}
    for kind, name in (("min", "first_id"), ("max", "last_id"), ("count", "row_count"))
]
# Tries of the first layer before the others are tried, one after the other, at once.
_TRIES_A_LAYER = 2


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
    details: ClassVar[dict[str, type[Detail]]] = {
        "layer": LayerDetail,
        "extent": ExtentDetail,
        "ids": IdsDetail,
        "range": RangeDetail,
        "list": ListDetail,
        "absent": ListDetail,
        "doubled": DoubledDetail,
    }
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
            options = options.model_copy(update={"since": since, "until": today})
        return Work(
            "roll" if name == "county" else "deeds_since",
            given,
            [FollowOn(cls.source, "layer", name, options)],
        )

    def request(self, target: Target) -> Request:
        """Ask for what the target is."""
        query = {"where": "1=1", "f": "json"}
        match target.detail:
            case ExtentDetail(layer=layer, object_id=object_id):
                statistics = json.dumps(_EXTENT, separators=(",", ":")).replace("{id}", object_id)
                return self._query(target, layer, query | {"outStatistics": statistics}, self.parse_extent)
            case IdsDetail(layer=layer, where=where):
                query |= {"where": where or "1=1", "returnIdsOnly": "true"}
                return self._query(target, layer, query, self.parse_ids)
            case RangeDetail() as asked:
                ids = f"{asked.object_id}>={asked.first} AND {asked.object_id}<={asked.last}"
                query |= self._of_rows(asked.layer, asked)
                query["where"] = f"{ids} AND {asked.where}" if asked.where else ids
                return self._query(target, asked.layer, query, self.parse_range)
            case ListDetail(layer=layer, apns=apns) as listed if target.kind == "list":
                query |= self._of_rows(layer, listed) | {"where": self._where_apns(layer, apns)}
                return self._query(target, layer, query, self.parse_list, post=True)
            case ListDetail(layer=layer, apns=apns) | DoubledDetail(layer=layer, apns=apns):
                query |= {"where": self._where_apns(layer, apns), "returnCountOnly": "true"}
                handler = self.parse_absent if target.kind == "absent" else self.parse_doubled
                return self._query(target, layer, query, handler, post=True)
        wanted = LayerDetail.of(target).layer
        return self._ask_layer(target, [wanted] if wanted else list(self.shapes))

    def _of_rows(self, layer: str, detail: RowsDetail) -> dict[str, str]:
        columns = self.shapes[layer].without(detail.lacking).values()
        shape = {"returnGeometry": "true", "outSR": "4326", "geometryPrecision": "8"}
        return {
            "outFields": ",".join((detail.object_id, *(name for name, _ in columns))),
            "orderByFields": detail.object_id,
            **(shape if detail.outlines else {"returnGeometry": "false"}),
        }

    def parse_layer(self, body: bytes, target: Target, order: list[str]) -> Answer | Request:
        """Read what the layer has; without its row ids or APNs, or the day that is asked by, try the next
        one.
        """
        name, *others = order
        shape, detail = self.shapes[name], LayerDetail.of(target)
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
        shared = RowsDetail(
            object_id=layer.object_id,
            lacking=tuple(layer.lacking),
            captures=detail.captures,
            outlines=detail.geometry == "polygon",
            list=self.manifest.layers[name].list,
        )
        if target.key == "apns":
            follow_ons = list(self._lists(name, detail.apns, name, shared))
        elif target.key == "since":
            where = _since(self.shapes[name], detail.since, detail.until)
            ids = IdsDetail(**shared.stored(), layer=name, where=where, page=page)
            follow_ons = [FollowOn(self.source, "ids", f"{name} {where}", ids)]
        else:
            extent = ExtentDetail(
                **shared.stored(), layer=name, page=page, accept_shrink=detail.accept_shrink
            )
            follow_ons = [FollowOn(self.source, "extent", name, extent)]
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
        detail = ExtentDetail.of(target)
        now = dt.datetime.now(dt.UTC)
        extent = pages.parse_extent(body, detail.layer, detail.page, now, detail.shared())
        return Answer(target, extent=replace(extent, accept_shrink=detail.accept_shrink))

    def parse_doubled(self, body: bytes, target: Target) -> Answer:
        """Read whether the layer has as many rows of some APNs as came: the extent that waits for it goes on,
        or the walk begins anew.
        """
        told = DoubledDetail.of(target)
        count = pages.parse_count(body)
        if count != told.rows:
            self.logger.warning("%s: %d rows came, the layer has %d", target.key, told.rows, count)
        extent = Extent(
            told.layer,
            told.first,
            told.last,
            told.count,
            told.page,
            told.read_at,
            told.shared(),
            told.accept_shrink,
            count == told.rows,
            told.walk,
        )
        return Answer(target, extent=extent)

    def parse_ids(self, body: bytes, target: Target) -> Answer:
        """Read the row ids of a query: each page of them is a range with a known number of rows."""
        detail = IdsDetail.of(target)
        ids, told = iter(pages.parse_ids(body)), detail.stored()
        what = f"{detail.layer} {detail.where or f'walk {detail.walk}'}"
        follow_ons: list[FollowOn] = []
        while part := list(islice(ids, detail.page)):
            one = RangeDetail(**told, first=part[0], last=part[-1], expected=len(part))
            follow_ons.append(FollowOn(self.source, "range", f"{what} ids {part[0]}-{part[-1]}", one))
        return Answer(target, Outcome.DONE if follow_ons else Outcome.GONE, follow_ons=follow_ons)

    def parse_range(self, body: bytes, target: Target) -> Answer:
        """Read a page of features; of one that was cut, the rest becomes a target."""
        detail = RangeDetail.of(target)
        page = self._features(body, detail.layer, detail)
        if any(not detail.first <= one <= detail.last for one in page.ids):
            raise Malformed("features", f"row ids from {detail.first} to {detail.last}", page.ids)
        follow_ons = []
        if page.is_cut and page.ids != sorted(page.ids):
            raise Malformed("features", "row ids in order of a page that is cut", page.ids)
        # Some servers set the flag on any full page: nothing is left behind the last id.
        if page.is_cut and page.ids and (last := page.ids[-1]) < detail.last:
            rest = {"first": last + 1}
            if detail.expected is not None:
                rest["expected"] = detail.expected - len(page.ids)
            follow_ons.append(
                FollowOn(
                    self.source, "range", f"{target.key} from {last + 1}", detail.model_copy(update=rest)
                )
            )
        elif detail.expected not in (None, len(page.ids)):
            raise Malformed("features", f"{detail.expected} rows", page.ids)
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
        """Read the parcels of a list; what did not come is asked for once more (ask_absent_again.py), then
        noted as absent.
        """
        detail = ListDetail.of(target)
        apns, layer = detail.apns, detail.layer
        page = self._features(body, layer, detail)
        if page.is_cut:
            half = len(apns) // 2
            if not half:
                raise Malformed("features", "all rows of one APN", page.ids)
            return Answer(
                target,
                follow_ons=[
                    *self._lists(layer, apns[:half], target.key, detail),
                    *self._lists(layer, apns[half:], target.key, detail),
                ],
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
                layer,
                ", ".join(missing[:5]),
            )
        deeds, odd = self._deeds(page)
        if "assessor" in self.parameters.get("follow", ()):
            lacking = [apn for apn, deed in _deed_numbers(page) if deed is None] + missing
            if self.serves("assessor"):
                deeds += [FollowOn("assessor", "parcel", apn) for apn in lacking]
            elif lacking:
                told = (
                    f"{len(lacking)} parcels have no deed number in layer {layer}; the API was not"
                    " asked, for want of a token"
                )
                odd.append(Issue(IssueKind.NO_DEED_NUMBER, target.key[:200], told, {"apns": lacking[:50]}))
        absent = [pages.absent_rows(missing, layer)] if missing else []
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
        detail = ListDetail.of(target)
        if pages.parse_count(body):
            again = self._lists(detail.layer, detail.apns, f"{detail.layer} again", detail)
            return Answer(target, follow_ons=list(again))
        return Answer(target, pages=[pages.absent_rows(list(detail.apns), detail.layer)])

    handlers = {"range": parse_range, "list": parse_list, "absent": parse_absent}

    def kept_of(self, target: Target) -> str:
        """As the argument `captures` says, else the manifest."""
        captures = target.detail.captures if isinstance(target.detail, LayerDetail | RowsDetail) else None
        return captures or super().kept_of(target)

    def _deeds(self, page: pages.Page) -> tuple[list[FollowOn], list[Issue]]:
        return deed_follow_ons(self.parameters, _deed_numbers(page))

    def _features(self, body: bytes, layer: str, detail: RowsDetail) -> pages.Page:
        return pages.parse_features(
            body, self.shapes[layer], detail.object_id, detail.lacking, detail.outlines
        )

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

    def _where_apns(self, layer: str, apns: Iterable[str]) -> str:
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

    def _lists(
        self, layer: str, apns: tuple[str, ...], prefix: str, shared: RowsDetail
    ) -> Iterator[FollowOn]:
        size = self.manifest.layers[layer].list
        told = shared.stored() | {"layer": layer}
        for at in range(0, len(apns), size):
            part = apns[at : at + size]
            key = f"{prefix} {part[0]}-{part[-1]} ({len(part)})"
            yield FollowOn(self.source, "list", key, ListDetail(**told | {"apns": part}))


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


def _options(given: dict[str, str], name: str) -> LayerDetail:
    if "accept_shrink" in given and name != "county":
        raise ArgumentError("accept_shrink", f"does not go with `{name}`")
    geometry = spider_arguments.choice("geometry", given.get("geometry", "point"), ("point", "polygon"))
    shrink = spider_arguments.flag("accept_shrink", given.get("accept_shrink", "no"))
    options: dict[str, Any] = {"layer": given["layer"]} if "layer" in given else {}
    if "captures" in given:
        options["captures"] = spider_arguments.choice(
            "captures", given["captures"], ("all", "failures", "none")
        )
    return LayerDetail(geometry=geometry, accept_shrink=shrink, **options)


def list_target(apns: ApnList, options: LayerDetail) -> Iterator[FollowOn]:
    """Yield the target that asks for parcels by lists; `options` as `-a geometry` and the like give them."""
    distinct = tuple(dict.fromkeys(apns))
    apns.distinct = len(distinct)
    yield FollowOn("gis", "layer", "apns", options.model_copy(update={"apns": distinct}))


def _deed_numbers(page: pages.Page) -> Iterator[tuple[str, str | None]]:
    if not page.pages:
        return iter(())
    columns = dict(zip(pages.COLUMNS, page.pages[0].columns, strict=True))
    return zip(columns["apn"], columns["deed_number"], strict=True)


def _since(shape: pages.Shape, since: dt.date | None, until: dt.date | None) -> str:
    deed_date = shape.columns["deed_date"][0]
    return f"{deed_date} >= timestamp '{since} 00:00:00' AND {deed_date} <= timestamp '{until} 23:59:59'"
