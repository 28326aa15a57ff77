"""What the recorder's targets say besides their keys."""

import datetime as dt

from maricopa_scrapy.items import Detail, Target
from maricopa_scrapy.parsing.follow_ons import DeedDetail


class AgainDetail(Detail):
    """What is asked for `again`, so many times: the key of the target then is not its number any more."""

    number: str | None = None
    again: int = 0


class DocumentDetail(DeedDetail, AgainDetail):
    """A document; `listed`: a search has told of it."""

    listed: bool = False


class NeighbourDetail(AgainDetail):
    """The document `distance` after a deed, of which the names and the day are known."""

    deed: str
    names: tuple[str, ...]
    date: dt.date | None
    distance: int


class ScanDetail(AgainDetail):
    """A scan; `date`: the day on which its document was recorded."""

    date: dt.date | None


class DaysDetail(Detail):
    """Some days, both included."""

    since: dt.date
    until: dt.date

    @property
    def days(self) -> str:
        return str(self.since) if self.since == self.until else f"{self.since} to {self.until}"


class WindowDetail(DaysDetail):
    """A page of a search. On the pages before it `seen` rows came, `junk` of them without a number and
    `unread` that are odd; each but the last of them lacks `missing` rows to be full in all, the last `lacks`,
    and had the (name, number) of `before`. `total`: what the first page says.
    """

    query: dict[str, str]
    label: str
    owner: str | None = None
    page: int = 1
    seen: int = 0
    junk: int = 0
    unread: int = 0
    missing: int = 0
    lacks: int = 0
    total: int | None = None
    before: tuple[tuple[str | None, str], ...] = ()


class LegacyListDetail(DaysDetail):
    """A list of the legacy pages, of a code, from the number `cursor` on; `seen` documents came before it,
    `unread` of them in rows that are odd.
    """

    code: str
    cursor: str
    seen: int
    unread: int = 0


def number_of(target: Target) -> str:
    """Return the recording number that a target is about."""
    return AgainDetail.of(target).number or target.key
