"""Faults by name and probability. Which request gets which is a hash of the seed and the request's number."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn, parse_recording_number
from maricopa_scrapy.sandbox.county.parcel import withheld_parcel
from maricopa_scrapy.sandbox.county.seeded_chance import share

# Instead of the answer, or in its transport; on every path.
ANY_PATH = (
    "throttled", "unavailable", "server_error", "hang", "reset", "truncated", "malformed", "soft_404",
    "unauthorized", "forbidden",
    "challenge", "maintenance",
)  # fmt: skip
# Only of whole parcels, and only of those that exist.
INSTEAD_OF_PARCEL = ("wrong_parcel", "empty_404", "null_answer")


def _renamed_field(parcel: dict[str, Any]) -> dict[str, Any]:
    return {"LotSizeSqFt" if key == "LotSize" else key: value for key, value in parcel.items()}


def _missing_field(parcel: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parcel.items() if key != "LotSize"}


def _new_field(parcel: dict[str, Any]) -> dict[str, Any]:
    return parcel | {"GreenScore": 7}


def _retyped_field(parcel: dict[str, Any]) -> dict[str, Any]:
    newest, *others = parcel["Valuations"]
    return parcel | {"Valuations": [newest | {"FullCashValue": "12x"}, *others]}


def _all_retyped(parcel: dict[str, Any]) -> dict[str, Any]:
    """Only what says whose answer it is has its own form."""
    kept = {key: parcel[key] for key in ("TreasurersTransitionUrl", "RentalInformation") if key in parcel}
    return {key: {"odd": 1} for key in parcel} | kept | {"RentalInformation": [1]}


def _nul_text(parcel: dict[str, Any]) -> dict[str, Any]:
    name = parcel["Owner"]["Ownership"] or "WITHHELD"
    return parcel | {"Owner": parcel["Owner"] | {"Ownership": f"{name[:4]}\0{name[4:]}"}}


def _no_identity(parcel: dict[str, Any]) -> dict[str, Any]:
    return parcel | {"TreasurersTransitionUrl": None, "Sketches": {"TotalPages": 0, "Pages": []}}


def _owner_as_list(parcel: dict[str, Any]) -> dict[str, Any]:
    return parcel | {"Owner": []}


def _treasurer_moved(parcel: dict[str, Any]) -> dict[str, Any]:
    apn = parcel["TreasurersTransitionUrl"].rpartition("=")[2]
    return parcel | {"TreasurersTransitionUrl": f"https://treasurer.maricopa.gov/tax/parcel/{apn}"}


def _odd_deed(parcel: dict[str, Any]) -> dict[str, Any]:
    # Book and page, as deeds were numbered before the recorder's numbers of eleven digits.
    return parcel | {"Owner": parcel["Owner"] | {"MostCurrentDeed": "12345-0678"}}


EDITS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "renamed_field": _renamed_field,
    "missing_field": _missing_field,
    "new_field": _new_field,
    "retyped_field": _retyped_field,
    "all_retyped": _all_retyped,
    "nul_text": _nul_text,
    "no_identity": _no_identity,
    "owner_as_list": _owner_as_list,
    "treasurer_moved": _treasurer_moved,
    "odd_deed": _odd_deed,
    "withheld_owner": withheld_parcel,
}
# Only of a GIS layer: of a page of its rows; and of what it says of itself, or of its pages where `kind` is
# page or list.
OF_PAGES = ("error_body", "short_page")
OF_LAYER = ("missing_field", "new_field", "retyped_field", "renamed_field")
# Only of the recorder: of a document's detail, of a search; and of single documents: as a row of a search (or
# of a legacy list) they are not there, odd, or without a number, while the total stays; wherever they are
# told their day is of another year.
OF_DOCUMENTS = ("wrong_document",)
OF_DETAILS = ("missing_field", "new_field", "renamed_field", "retyped_field")
OF_SEARCHES = ("dropped_filter",)
OF_ROWS = ("hidden_rows", "odd_rows", "unnumbered_rows", "other_year")
# Only of the treasurer's page of a parcel.
OF_TAXES = (
    "endless_shell", "changed_order", "swapped_values", "renamed_heading", "unknown_status", "paid_but_due",
    "blank_cell", "empty_grid",
    "more_pages", "patched_grid", "bare_pager", "virtual_grid", "missing_year", "lone_heading", "pushed_rows",
    "late_rows", "generic_none",
    "search_first", "search_loading", "search_empty", "late_end", "other_tab_first",
)  # fmt: skip
NAMES = (*ANY_PATH, *INSTEAD_OF_PARCEL, *EDITS, *OF_PAGES, *OF_DOCUMENTS, *OF_SEARCHES, *OF_ROWS, *OF_TAXES)


class FaultError(ValueError):
    """A fault that doesn't exist, or options it doesn't have."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Of the requests it can meet, limited by `kind` (parcel, search or a sub-resource's name) and
    `keys` (APNs or recording numbers), the first `count` get it, for `seconds` from when it was set, each
    with `probability`. `retry_after` is the header of throttled and unavailable, as sent.

    Without kind "search", `keys` never meet a search; with it, they meet the search for such an APN.
    """

    name: str
    probability: float = 1.0
    kind: str | None = None
    keys: tuple[str, ...] = ()
    count: int | None = None
    seconds: float | None = None
    retry_after: str | None = None


class Faults:
    """The faults in force, each name once."""

    def __init__(self, seed: int, settings: Mapping[str, Any] | None = None) -> None:
        self._seed = seed
        self._faults: dict[str, Fault] = {}
        self._met: dict[str, int] = {}
        self._set_at: dict[str, float] = {}
        self.set(settings or {})

    def set(self, settings: Mapping[str, Any]) -> None:
        """Add or replace faults: {name: probability, or {"probability", "kind", "keys", "count", "seconds",
        "retry_after"}}.

        Raises FaultError.
        """
        found = {name: parse_fault(name, options) for name, options in settings.items()}
        self._faults |= found
        self._met |= dict.fromkeys(found, 0)
        self._set_at |= dict.fromkeys(found, time.monotonic())

    def clear(self) -> None:
        """Answer well again."""
        self._faults.clear()
        self._met.clear()
        self._set_at.clear()

    def report(self) -> dict[str, Any]:
        """Return the faults in force, by name."""
        return {name: asdict(fault) for name, fault in self._faults.items()}

    def __bool__(self) -> bool:
        return bool(self._faults)

    def share_of(self, name: str) -> float:
        """Return the probability of a fault that meets rows, not requests; 0 when it is not in force."""
        fault = self._faults.get(name)
        return fault.probability if fault else 0.0

    def choose(self, request: int, kind: str, key: str | None, exists: bool) -> Fault | None:
        """Return the fault of a request: the first in force that meets it. `exists`: it asks for a parcel
        that exists.
        """
        for name, fault in self._faults.items():
            if not _meets(fault, kind, key, exists):
                continue
            if fault.count is not None and self._met[name] >= fault.count:
                continue
            if fault.seconds is not None and time.monotonic() - self._set_at[name] > fault.seconds:
                continue
            self._met[name] += 1
            if share(self._seed, "fault", name, request) < fault.probability:
                return fault
        return None


def _meets(fault: Fault, kind: str, key: str | None, exists: bool) -> bool:
    if fault.name not in ANY_PATH and not (kind == "parcel" and exists):
        # Of scans only where it is said.
        is_document = kind == "document" or kind == fault.kind == "preview"
        in_recorder = (fault.name in OF_DOCUMENTS and is_document) or (
            fault.name in OF_SEARCHES and kind == "search"
        )
        in_recorder = in_recorder or (fault.name in OF_DETAILS and kind == "document")
        is_page = kind in ("page", "list")
        in_layer = fault.name in OF_LAYER and (kind == "layer" or (is_page and kind == fault.kind))
        in_gis = (fault.name in OF_PAGES and is_page) or in_layer
        if not (in_gis or in_recorder):
            return False
    if fault.kind is not None and fault.kind != kind:
        return False
    return not fault.keys or (key in fault.keys and (kind != "search" or fault.kind == "search"))


def parse_fault(name: str, options: Any) -> Fault:
    """Return a fault from its JSON. Raises FaultError."""
    if name not in NAMES:
        raise FaultError(f"there is no fault {name!r}; there are {', '.join(NAMES)}")
    options = dict(options) if isinstance(options, Mapping) else {"probability": options}
    try:
        keys = tuple(_key(key) for key in options.pop("keys", None) or ())
        retry_after = options.pop("retry_after", None)
        fault = Fault(
            name, keys=keys, retry_after=None if retry_after is None else str(retry_after), **options
        )
    except (TypeError, IdentifierError) as error:
        raise FaultError(f"fault {name}: {error}") from None
    _check(name, fault.probability, fault.count, fault.seconds)
    return fault


def _key(text: str) -> str:
    try:
        return parse_apn(text)
    except IdentifierError:
        return parse_recording_number(text)


def _check(name: str, probability: object, count: object, seconds: object) -> None:
    if not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise FaultError(f"fault {name}: its probability is a number from 0 to 1")
    if count is not None and type(count) is not int:
        raise FaultError(f"fault {name}: its count is a whole number")
    if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
        raise FaultError(f"fault {name}: its seconds are a number above 0")
