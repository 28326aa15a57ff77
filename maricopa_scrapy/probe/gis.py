"""The GIS layers: their fields, how many rows an answer has, whose midnight their dates are, and a list with
a parcel that is not there.
"""

import json
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from maricopa_scrapy.items import IssueKind
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.probe.client import Asker
from maricopa_scrapy.probe.key_differences import listed
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.sources.gis import layer as pages
from maricopa_scrapy.sources.gis.layer_values import DAY_BEGINS

_DAY_MS = 86_400_000
# Asked for rows: one layer of each schema, and F, whose dates nobody has proven; the others for what they say
# of themselves.
_READ = ("E", "F", "A")
_FIELDS, _NEW, _CAP, _ROWS, _DAYS = (
    "layer {}: its fields",
    "layer {}: no field is new",
    "layer {}: rows an answer",
    "layer {}: rows are read",
    "layer {}: the zone of its dates",
)
_ABSENCE = "a list leaves out an unknown parcel"
_ZONES = {"utc": "00:00 UTC", "phoenix": "07:00 UTC, midnight in Arizona"}


def assumptions(asker: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    layers = asker.manifest.layers
    of_all = [one.format(name) for name in layers for one in (_FIELDS, _NEW, _CAP)]
    return (
        *of_all,
        *(one.format(name) for name in layers if name in _READ for one in (_ROWS, _DAYS)),
        _ABSENCE,
    )


async def check(asker: Asker, _: Any) -> None:
    """Ask, and note what held. Raises Ended."""
    order = sorted(asker.manifest.layers, key=lambda name: name not in _READ)
    is_listed = False
    for name in order:
        found = await _layer(asker, name)
        if found is None or name not in _READ:
            continue
        apns = await _rows(asker, name, found)
        if apns and not is_listed:
            is_listed = True
            await _list(asker, name, apns)


def _shape(asker: Asker, name: str) -> pages.Shape:
    layer = asker.manifest.layers[name]
    return pages.Shape(name, layer.days, layer.columns, layer.optional, layer.ignored)


def _address(asker: Asker, name: str) -> str:
    return asker.url(f"/{name}") if asker.planned.in_sandbox else asker.manifest.layers[name].url


async def _layer(asker: Asker, name: str) -> pages.Layer | None:
    """Ask a layer what it is; returns None when it is not read."""
    body = await asker.json(f"layer {name}", _address(asker, name) + "?f=json")
    if body is None:
        return None
    remedy = (
        f"correct {line_of('gis', 'layers', name, 'columns')}; until then `scrapy crawl roll` reads the layer"
        " without it"
    )
    try:
        found = pages.parse_layer(body, _shape(asker, name))
    except PageError as error:
        asker.sheet.broken(_FIELDS.format(name), str(error), remedy)
        return None
    except ValueError as error:
        asker.sheet.broken(_FIELDS.format(name), str(error), remedy)
        return None
    absent = {
        path.removeprefix(f"{name}.") for path in found.notes.absent if not path.endswith("maxRecordCount")
    }
    if absent or found.notes.unread:
        odd = "; ".join(str(error) for error in found.notes.unread.values())
        told = "; ".join(filter(None, (f"absent: {listed(absent)}" if absent else "", odd)))
        asker.sheet.broken(_FIELDS.format(name), f"{told}; read without", remedy)
    else:
        lacking = f"; without the optional {', '.join(found.lacking)}" if found.lacking else ""
        asker.sheet.held(
            _FIELDS.format(name),
            f"{len(asker.manifest.layers[name].columns)} columns are there, of their types{lacking}",
        )
    asker.sheet.check(
        _NEW.format(name),
        not found.new_fields,
        f"new: {listed(set(found.new_fields))}" if found.new_fields else "none",
        f"nothing breaks, they are not stored: {line_of('gis', 'layers', name, 'optional')} or ignored",
    )
    if name not in _READ:
        _cap(asker, name, found.page, None)
    return found


def _cap(asker: Asker, name: str, said: int, rows: tuple[int, bool] | None) -> None:
    """Note how many rows an answer has: as the layer says, and, where it was asked for one more than a page,
    as came.
    """
    page, assumption = asker.manifest.layers[name].page, _CAP.format(name)
    told = f"the layer says {f'{said:,}' if said else 'nothing'}, the manifest {page:,}"
    most = said or page
    if rows is not None:
        came, is_cut = rows
        told += f"; asked for {page + 1:,}, {came:,} came"
        if not is_cut and came <= page:
            asker.sheet.untold(assumption, f"{told}, which is all it has")
            return
        most = came if is_cut and came < page else max(said, page)
    asker.sheet.check(assumption, most >= page, told, f"{line_of('gis', 'layers', name, 'page')}: {most}")
    if said > page:
        asker.sheet.untold(
            f"layer {name}: more rows an answer",
            f"{said:,} are said",
            f"{line_of('gis', 'layers', name, 'page')}: {said}",
        )


async def _rows(asker: Asker, name: str, layer: pages.Layer) -> list[str]:
    """Ask for one row more than a page has; returns the parcels that came."""
    shape, page = _shape(asker, name), asker.manifest.layers[name].page
    fields = [layer.object_id, *(field for field, _ in shape.without(layer.lacking).values())]
    query = {
        "where": "1=1",
        "outFields": ",".join(fields),
        "returnGeometry": "false",
        "orderByFields": layer.object_id,
        "resultRecordCount": str(page + 1),
        "f": "json",
    }
    body = await asker.json(f"layer {name}, a page", f"{_address(asker, name)}/query?{urlencode(query)}")
    if body is None:
        return []
    remedy = (
        f"correct the kinds in {line_of('gis', 'layers', name, 'columns')}, or attach the bundle to an issue"
    )
    features, is_cut = _features(body)
    if features:
        _cap(asker, name, layer.page, (len(features), is_cut))
    _days(asker, name, features, shape)
    try:
        found = pages.parse_features(body, shape, layer.object_id, layer.lacking)
    except PageError as error:
        asker.sheet.broken(_ROWS.format(name), str(error), remedy)
        return []
    odd = [issue.message for issue in found.issues if issue.kind is not IssueKind.NEW_FIELD]
    asker.sheet.check(
        _ROWS.format(name),
        not odd,
        "; ".join(odd) or f"{len(found.ids):,} rows, {found.unkeyed} without an APN",
        remedy,
    )
    return found.apns


def _features(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return the attributes of each feature, and whether the layer says that there are more; nothing where it
    cannot be read.
    """
    try:
        raw = json.loads(body)
        return [dict(one["attributes"]) for one in raw["features"]], bool(raw.get("exceededTransferLimit"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [], False


def _days(asker: Asker, name: str, features: list[dict[str, Any]], shape: pages.Shape) -> None:
    """Note at which hour the layer's dates stand: of days, midnight of a zone is nearly all of them."""
    dates = [field for field, kind in shape.columns.values() if kind == "date"]
    assumption = _DAYS.format(name)
    values = [value for one in features for field in dates if isinstance(value := one.get(field), int)]
    if not values:
        asker.sheet.untold(assumption, "no row has a date")
        return
    hours = Counter(value % _DAY_MS for value in values)
    fits = {zone: sum(hours[begin] for begin in begins) for zone, begins in DAY_BEGINS.items()}
    zone = max(fits, key=lambda one: fits[one])
    ours = asker.manifest.layers[name].days
    evidence = f"{fits[zone]:,} of {len(values):,} dates at {_ZONES[zone]}; the manifest says {ours}"
    if fits[zone] * 2 < len(values):
        hour, count = hours.most_common(1)[0]
        asker.sheet.broken(
            assumption,
            f"{count:,} of {len(values):,} dates at {hour / 3_600_000:g} h UTC",
            "attach the bundle to an issue",
        )
        return
    asker.sheet.check(assumption, zone == ours, evidence, f"{line_of('gis', 'layers', name, 'days')}: {zone}")


async def _list(asker: Asker, name: str, apns: list[str]) -> None:
    field, _ = asker.manifest.layers[name].columns["apn"]
    wanted = [*apns[:2], asker.planned.absent]
    form = urlencode(
        {
            "where": f"{field} IN ({','.join(map(repr, wanted))})",
            "outFields": field,
            "returnGeometry": "false",
            "f": "json",
        }
    )
    body = await asker.json(f"layer {name}, a list", f"{_address(asker, name)}/query", form)
    if body is None:
        return
    features, _ = _features(body)
    found = {str(one.get(field)) for one in features}
    evidence = f"asked for {len(set(wanted))} parcels by a POST form, {len(found)} came"
    asker.sheet.check(_ABSENCE, found == set(wanted[:-1]), evidence, "attach the bundle to an issue")
