"""What the treasurer's page looks like, as config/sources/treasurer.yaml says it under `page`: selectors,
places and the county's words.

Nobody has seen the present page: whatever may be otherwise there is a value here, and its default is what one
client saw in March 2026.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

# A CSS selector, or a whole text of the page.
Selected = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
Place = Annotated[int, Field(ge=0, strict=True)]
Status = Literal["paid", "unpaid", "lien", "state_lien"]

# The columns of each tab; those in the second list may be missing from a manifest.
_COLUMNS = {
    "summary": (("tax_year", "status", "assessed", "paid", "interest", "amount_due"), ("fees",)),
    "payments": (("tax_year", "description", "amount", "paid_on"), ()),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Part):
    """A place where the parcel's number may stand: the account block, a heading of the page (`selector`), the
    text of a tab, the page's own address. The address only repeats what was asked: it counts together with an
    owner or a situs address that agrees with what is stored of the parcel.
    """

    at: Literal["account", "heading", "tab", "address"]
    selector: Selected | None = None

    @model_validator(mode="after")
    def _selected(self) -> Self:
        if (self.at == "heading") != (self.selector is not None):
            raise ValueError("a heading has a selector, and nothing else has one")
        return self


class Column(_Part):
    """A column of a grid: the headings that name it (whole texts, without case) or, where the grid has no
    headings or this one has none, its position (the first td is 0); and what its cells are.
    """

    headings: tuple[str, ...] = ()
    position: Place | None = None
    kind: Literal["year", "money", "signed_money", "status", "text", "date"]
    optional: bool = False

    @model_validator(mode="after")
    def _found(self) -> Self:
        if not self.headings and self.position is None:
            raise ValueError("a column has headings, a position, or both")
        return self


class Owners(_Part):
    """How the owners stand below their heading. `lines`: all in the element that follows it. `blocks`:
    several headings, an element below each. `list`: the elements that match `items`, up to the next heading.
    """

    listed: Literal["lines", "blocks", "list"] = "lines"
    items: Selected = "li"


class Results(_Part):
    """A grid of parcels that the search found, in place of a parcel: `rows` (CSS, of the whole page), each of
    which names its parcel.

    It lists the parcel that was asked for: its row is clicked, or what `open` matches in it. It does not:
    there is no such parcel.
    """

    rows: Selected
    open: Selected | None = None


class Layout(_Part):
    """How a page shows a parcel, as far as its HTML goes (sources/treasurer/page.py).

    `parcel`: an element that is there when a parcel is; `absent`: one that is there when none is, and says
    one of `absent_texts`, or anything when `absent_alone`, or lists others (`results`).
    `tabs`: the tabs' links; `places`: which of them, by place from 0 or by whole text; `starts_with`: whether
    the summary is open at first.
    `account`: the block of owner and situs address, in the parent of the grid's next `account_container`
    above it, or in the whole page where that is null; `headings` in it, of which the first `title` are its
    title; `blocks`: words in the heading of each part; none: not on the page.
    `none`: whole texts of a tab without rows. `statuses`: the county's whole texts and ours. Texts are
    compared without case.
    `status_words`: of any other status, single words by ours, `not`, and `other` for those that tell nothing:
    it is read when all of its words are among them (sources/treasurer/bill_status.py); the sums of its row
    must agree in any case.
    """

    version: Annotated[int, Field(ge=1, strict=True)]
    parcel: Selected
    identity: Annotated[tuple[Identity, ...], Field(min_length=1)] = (Identity(at="account"),)
    absent: Selected
    absent_texts: tuple[Text, ...] = ()
    absent_alone: bool = False
    results: Results | None = None
    tabs: Selected
    places: dict[str, Place | Text | Annotated[tuple[Text, ...], Field(min_length=1)]]
    starts_with: Literal["summary", "other"] = "summary"
    grid: Selected
    account: Selected
    account_container: Selected | None = ".container-fluid"
    headings: Selected = "h3"
    title: Place = 1
    blocks: dict[str, tuple[str, ...]]
    owners: Owners = Owners()
    columns: dict[str, dict[str, Column]]
    none: dict[str, tuple[str, ...]]
    statuses: dict[str, Status]
    status_words: dict[Status | Literal["not", "other"], tuple[str, ...]] = {}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, named in (("places", [*self.places]), ("columns", [*self.columns]), ("none", [*self.none])):
            if set(named) != set(_COLUMNS):
                raise ValueError(f"{name} has {', '.join(named)}, not {', '.join(_COLUMNS)}")
        for tab, (needed, more) in _COLUMNS.items():
            if not set(needed) <= set(self.columns[tab]) <= {*needed, *more}:
                raise ValueError(f"columns.{tab} has {', '.join(self.columns[tab])}, not {', '.join(needed)}")
        if set(self.blocks) != {"owner", "situs_address"}:
            raise ValueError(f"blocks has {', '.join(self.blocks)}, not owner, situs_address")
        if any(one.at == "address" for one in self.identity) and not any(self.blocks.values()):
            raise ValueError(
                "identity by the address needs the owner's or the situs address's block beside it"
            )
        return self

    @property
    def keeps_address(self) -> bool:
        """Whether a capture needs the page's own address, to be read again."""
        return any(one.at == "address" for one in self.identity)

    def texts_of(self, tab: str) -> tuple[str, ...] | None:
        """Return the texts that a tab's link may have, without case; None where the tab is known by its
        place.
        """
        place = self.places[tab]
        if isinstance(place, int):
            return None
        return tuple(text.casefold() for text in ((place,) if isinstance(place, str) else place))
