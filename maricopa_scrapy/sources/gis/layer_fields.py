"""The features of a page as columns of ours, of which some may be absent: at single positions, or of all rows
(None), as in items.Rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from types import GenericAlias
from typing import Any

import msgspec

from maricopa_scrapy.parsing.bodies import is_within
from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.sources.gis.layer_values import KINDS, PRIVATE, WHOLE, Reading

_PREFIX = "esriFieldType"
# Positions, or None for all of a page.
Spots = frozenset[int] | None
# What an answer of f=json has beside its features; of these nobody asks but for two.
_BESIDE = (
    *("displayFieldName", "fieldAliases", "geometryType", "spatialReference", "objectIdFieldName"),
    *("uniqueIdField", "globalIdFieldName", "hasZ", "hasM", "fields", "exceededTransferLimit"),
)


def section(column: str) -> str:
    """Return what a column's section is called."""
    return f"parcel.{column}"


def types_of(fields: Iterable[Any]) -> dict[str, str]:
    """Return the type of each field that metadata or an answer lists, without Esri's prefix."""
    return {
        name: str(one.get("type")).removeprefix(_PREFIX)
        for one in fields
        if isinstance(one, dict) and isinstance(name := one.get("name"), str)
    }


def check_type(types: Mapping[str, str], name: str, kind: str) -> None:
    """Raise SourceChanged when a layer does not have a field, or has it in another type."""
    found = types.get(name, ABSENT)
    allowed = KINDS[kind][1]
    if found not in allowed:
        raise SourceChanged(f"fields.{name}", f"the type {' or '.join(allowed)}", found)


class Parcels:
    """The fields of a page on their way to columns: `found` has them, `absent` where they are not.

    `mapped` has field and kind of each column that the layer may have, `asked` are those that were asked for.
    """

    def __init__(
        self, layer: str, days: str, mapped: Mapping[str, tuple[str, str]], asked: Iterable[str]
    ) -> None:
        self._layer, self._mapped, self._asked = layer, mapped, list(asked)
        self.reading = Reading(days)
        self.notes = Notes()
        self.found: dict[str, Sequence[Any]] = {}
        self.absent: dict[str, Spots] = {column: None for column in mapped if column not in self._asked}

    def convert(
        self, said: Sequence[Sequence[Any]], missing: Mapping[str, Spots], types: Mapping[str, str]
    ) -> None:
        """Convert column after column of those asked for; `missing` says where a field is not, `types` are
        those that the answer tells.
        """
        odd = self.reading.odd
        for column, values in zip(self._asked, said, strict=True):
            name, kind = self._mapped[column]
            if column == "apn":
                continue
            if name in missing:
                self.notes.is_absent(f"{self._layer}.{name}")
                self.absent[column] = missing[name]
                if missing[name] is None:
                    continue
            with self.notes.section(section(column)):
                if name in types:
                    check_type(types, name, kind)
                self.found[column] = KINDS[kind][0](values, name, self.reading)
                if name in odd:
                    self.absent[column] = (self.absent.get(column) or frozenset()) | odd[name].at
            if column not in self.found:
                self.absent[column] = None

    def withhold(self, rows: int) -> None:
        """Where the owner of a row is withheld, its addresses are too: there they are NULL, whatever is said
        or stored of them.
        """
        withheld = self.reading.withheld
        if not withheld:
            return
        for column, (_, kind) in self._mapped.items():
            if kind not in PRIVATE:
                continue
            if column in self.found:
                values = self.found[column]
                if any(values[at] is not None for at in withheld):
                    values = list(values)
                    for at in withheld:
                        values[at] = None
                    self.found[column] = values
            if column in self.absent:
                spots = self.absent[column]
                self.absent[column] = (frozenset(range(rows)) if spots is None else spots) - withheld


Attributes = tuple[list[tuple[Any, ...]], set[str], dict[str, Spots]]


def plain_page(
    body: bytes, object_id: str, columns: Mapping[str, tuple[str, str]]
) -> tuple[list[tuple[Any, ...]], Any, Any] | None:
    """Return the row ids and the values of each column over all features, the answer's `fields`, and whether
    it was cut.

    None for a page whose features have other fields than these, or values that no field of its kind has, and
    for what is no page: those are read with the care that they need (`attributes`), at three times the price.
    """
    is_distinct = len({object_id, *(name for name, _ in columns.values())}) == len(columns) + 1
    if not is_distinct or not is_within(body) or (b"\\" in body and b"\\u0000" in body):
        return None
    try:
        page = _decoder(object_id, tuple(columns.values())).decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    rows = [msgspec.structs.astuple(feature.attributes) for feature in page.features]
    return list(zip(*rows, strict=True)), page.fields, page.exceededTransferLimit


@lru_cache(maxsize=8)
def _decoder(object_id: str, columns: tuple[tuple[str, str], ...]) -> msgspec.json.Decoder[Any]:
    # A field's name may be none of Python's; what holds only values need not be looked at for cycles.
    fields = [(object_id, WHOLE), *((name, KINDS[kind][2]) for name, kind in columns)]
    row = msgspec.defstruct(
        "Row",
        [(f"value_{at}", kind) for at, (_, kind) in enumerate(fields)],
        rename={f"value_{at}": name for at, (name, _) in enumerate(fields)},
        forbid_unknown_fields=True,
        gc=False,
    )
    feature = msgspec.defstruct("Feature", [("attributes", row)], forbid_unknown_fields=True, gc=False)
    beside = [(name, Any, None) for name in _BESIDE]
    page = msgspec.defstruct(
        "Page", [("features", GenericAlias(list, feature)), *beside], forbid_unknown_fields=True
    )
    return msgspec.json.Decoder(page)


def attributes(features: list[Any], names: list[str], identity: Sequence[str]) -> Attributes:
    """Return the values of each field over all features, the names of fields that were not asked for, and
    where fields are missing.

    Raises Malformed for what are no features, SourceChanged when a field of `identity` is missing.
    """
    holder = "attributes" if isinstance(features[0], dict) and "attributes" in features[0] else "properties"
    try:
        found = [one[holder] for one in features]
        columns = list(zip(*map(itemgetter(*names), found), strict=True))
        extra = set().union(*found).difference(names) if set(map(len, found)) != {len(set(names))} else set()
    except KeyError:
        return _partly(features, holder, names, identity)
    except (TypeError, AttributeError):
        raise Malformed("features", "objects with attributes", features) from None
    return columns, extra, {}


def _partly(features: list[Any], holder: str, names: list[str], identity: Sequence[str]) -> Attributes:
    found: list[dict[str, Any]] = []
    for feature in features:
        one = feature.get(holder) if isinstance(feature, dict) else None
        if not isinstance(one, dict):
            raise Malformed("features", "objects with attributes", features)
        found.append(one)
    missing: dict[str, Spots] = {}
    for name in names:
        at = frozenset([at for at, one in enumerate(found) if name not in one])
        if at and name in identity:
            raise SourceChanged(f"features.{name}", "this field", ABSENT)
        if at:
            missing[name] = None if len(at) == len(found) else at
    columns = [tuple([one.get(name) for one in found]) for name in names]
    return columns, set().union(*found).difference(names), missing
