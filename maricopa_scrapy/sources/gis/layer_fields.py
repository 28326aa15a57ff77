"""The features of a page as columns of ours, of which some may be absent: at single positions, or of all rows
(None), as in items.Rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from maricopa_scrapy.parsing.errors import ABSENT, Malformed, SourceChanged
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.sources.gis.layer_values import KINDS, PRIVATE, Reading

_PREFIX = "esriFieldType"
# Positions, or None for all of a page.
Spots = frozenset[int] | None


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
                values = list(self.found[column])
                for at in withheld:
                    values[at] = None
                self.found[column] = values
            if column in self.absent:
                spots = self.absent[column]
                self.absent[column] = (frozenset(range(rows)) if spots is None else spots) - withheld


Attributes = tuple[list[tuple[Any, ...]], set[str], dict[str, Spots]]


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
