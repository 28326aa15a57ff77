"""What makes a page a parcel's whose address alone names it: its owner or situs address, against what is
stored. Pure.
"""

import re
from collections.abc import Sequence

from maricopa_scrapy.items import Signs
from maricopa_scrapy.parsing.errors import SourceChanged

_WORDS = re.compile(r"[^A-Z0-9]+", re.ASCII)
# The state and the ZIP, at the end of an address.
_END = re.compile(r"(?: (?:AZ|ARIZONA))?(?: (\d{5})(?: \d{4})?)?$", re.ASCII)
# The words of a town; of a unit, which is another parcel, and of a street's kind they are not.
_TOWN = re.compile(r"(?: (?:EL|[A-Z]{3,}))+", re.ASCII)
_NO_TOWN = frozenset(
    (
        "UNIT",
        "APT",
        "STE",
        "SUITE",
        "BLDG",
        "LOT",
        "SPC",
        "SPACE",
        "REAR",
        "FRONT",
        "AVE",
        "BLVD",
        "CIR",
        "HWY",
        "WAY",
    )
)
# A source, whom it names as the owner, and the situs address that it has: what is stored of a parcel.
Stored = tuple[str, str | None, str | None]


def check_signs(signs: Signs, stored: Sequence[Stored]) -> None:
    """Return when the page is the parcel's: its situs address is one that is stored, or, where none can be
    compared, its owner is.

    An owner may have many parcels, and a parcel another owner than last year: where situs addresses can be
    compared, they alone decide.
    Raises SourceChanged with the question for a person.
    """
    places = [situs for _, _, situs in stored if situs and _address(situs)]
    if signs.situs_address and _address(signs.situs_address) and places:
        agree = any(same_place(signs.situs_address, situs) for situs in places)
    else:
        agree = any(owner and same_owner(signs.owner, owner) for _, owner, _ in stored)
    if not agree:
        # No names: a person finds them in the capture and the database, and an owner who is withheld may be
        # among them.
        known = "; ".join(
            _told(source, owner, situs, signs) for source, owner, situs in stored if owner or situs
        )
        ask = (
            f"is this page parcel {signs.apn}'s? Only its address says so. The page's situs address is"
            f" {signs.situs_address!r}; stored:"
            f" {known or 'nothing of the parcel, which `scrapy crawl assessor` would fetch'}"
        )
        raise SourceChanged(
            "address", "an owner or a situs address that agrees with what is stored", None, ask
        )


def same_place(shown: str, stored: str) -> bool:
    """Tell whether two situs addresses are the same, one of them with its town, state or ZIP, perhaps.

    >>> same_place("2 S MAIN ST", "2 S Main St., PHOENIX 85003")
    True
    >>> same_place("2 S MAIN ST MESA, AZ 85201", "2 S MAIN ST   MESA  85201")
    True
    >>> same_place("2 S MAIN ST", "2 S MAIN ST UNIT 5"), same_place("2 S MAIN ST 85003", "2 S MAIN ST 85004")
    (False, False)
    >>> same_place("NO ADDRESS", "NO ADDRESS")
    False
    """
    first, second = _address(shown), _address(stored)
    if first is None or second is None or (first[1] and second[1] and first[1] != second[1]):
        return False
    short, long = sorted((first[0], second[0]), key=len)
    rest = long[len(short) :]
    is_town = _TOWN.fullmatch(rest) and not _NO_TOWN & set(rest.split())
    return short == long or (len(short.split()) > 2 and long.startswith(short) and bool(is_town))


def _address(text: str) -> tuple[str, str] | None:
    """Return an address up to its state and ZIP, and the ZIP; None for a text without a house's number, which
    any parcel may have.
    """
    plain = _plain(text)
    end = _END.search(plain)
    assert end is not None
    street = plain[: end.start()]
    return (street, end[1] or "") if re.match(r"[1-9]\w* \w", street) else None


def same_owner(shown: str | None, stored: str) -> bool:
    """Tell whether an owner that is stored is one of the lines that a page shows, or all of them.

    >>> same_owner("A TRUST\\n1 N MAIN ST", "A  Trust"), same_owner("A TRUST II", "A TRUST")
    (True, False)
    """
    lines = [_plain(line) for line in (shown or "").splitlines()]
    # The treasurer's own row has the mailing address below the name.
    name = _plain(stored.splitlines()[0]) if stored.strip() else ""
    return bool(name) and name in lines


def _told(source: str, owner: str | None, situs: str | None, signs: Signs) -> str:
    whose = (
        "no owner" if not owner else "the same owner" if same_owner(signs.owner, owner) else "another owner"
    )
    return f"{source} has situs address {situs!r}, {whose}"


def _plain(text: str) -> str:
    return " ".join(_WORDS.sub(" ", text.upper()).split())
