"""What the targets of the GIS layers say besides their keys."""

import datetime as dt

from maricopa_scrapy.items import Detail


class LayerDetail(Detail):
    """What is wanted of a layer, as the spider's arguments say it; of parcels their `apns`, of deeds the days
    `since` to `until`.
    """

    geometry: str
    accept_shrink: bool
    layer: str | None = None
    captures: str | None = None
    apns: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None


class RowsDetail(Detail):
    """How rows are asked for: the field of row ids, the mapped fields that the layer is `lacking`, whether
    with `outlines`, whose answers are kept (`captures`), and how many APNs a `list` has.
    """

    object_id: str
    lacking: tuple[str, ...]
    outlines: bool
    captures: str | None
    list: int

    def shared(self) -> "RowsDetail":
        """Return what goes with every range of a walk."""
        return RowsDetail.model_validate({name: getattr(self, name) for name in RowsDetail.model_fields})


class ExtentDetail(RowsDetail):
    """How much a layer holds; a range is to have `page` rows."""

    layer: str
    page: int
    accept_shrink: bool


class IdsDetail(RowsDetail):
    """All row ids of a `walk`, or of the rows that fit `where`."""

    layer: str
    page: int
    walk: int | None = None
    where: str | None = None


class RangeDetail(RowsDetail):
    """The rows from id `first` to `last`, of a `walk` or of those that fit `where`; `expected`: how many they
    are, where that is known.
    """

    layer: str
    first: int
    last: int
    expected: int | None = None
    page: int | None = None
    walk: int | None = None
    where: str | None = None


class ListDetail(RowsDetail):
    """The rows of some parcels; `again`: of those that did not come."""

    layer: str
    apns: tuple[str, ...]
    again: bool = False


class DoubledDetail(RowsDetail):
    """Some parcels of which `rows` rows came in a walk, and the extent that waits for it."""

    layer: str
    apns: tuple[str, ...]
    rows: int
    first: int
    last: int
    count: int
    read_at: dt.datetime
    walk: int
    page: int
    accept_shrink: bool
