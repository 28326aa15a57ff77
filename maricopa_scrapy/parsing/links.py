"""Links from one office's answer to another's pages: which parcel they name, and whether they lead where we
think.
"""

import re
from functools import cache
from urllib.parse import unquote, unquote_plus

from maricopa_scrapy.items import Issue, IssueKind
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn

TREASURER = "TreasurersTransitionUrl"

_PARCEL_PARAMETER = re.compile(r"[?&]parcel=([^&#]*)", re.IGNORECASE)
_HOST_AND_PATH = re.compile(r"(?:https?:)?//([^/?#]*)([^?#]*)", re.IGNORECASE)
_APN_LIKE = re.compile(r"(?<![0-9A-Za-z])\d{3}-?\d{2}-?\d{3}-?[A-Za-z]?(?![0-9A-Za-z])", re.ASCII)


def parcels_in(url: str) -> list[str]:
    """Return the values of a link's parameter `parcel`.

    >>> parcels_in("https://host/x/?Parcel=165-28-054"), parcels_in("https://host/?account=16528054")
    (['165-28-054'], [])
    """
    return [number for value in _PARCEL_PARAMETER.findall(url) if (number := unquote_plus(value).strip())]


def names(url: str, apn: str) -> bool:
    """Whether a link names the parcel, in its path or in any parameter.

    >>> names("https://host/parcel/165-28-054/tax", "16528054")
    True
    >>> names("https://host/parcel/16528054A", "16528054")
    False
    """
    return any(_same(number, apn) for number in _APN_LIKE.findall(unquote(url.split("#", 1)[0])))


def leads_elsewhere(url: str, expected: str, apn: str) -> bool:
    """Whether a link's host or path is not the expected URL's, or it lacks the parcel where that has `{apn}`.

    Scheme, the case of the host and the rest of the query don't count.
    """
    host, path = _expected_place(expected)
    if _place(url) != (host, path.replace("{apn}", apn)):
        return True
    return "{apn}" in expected and not names(url, apn)


def moved_link(key: str, url: str, expected: str, apn: str) -> Issue:
    """Return the issue of a link that leads elsewhere: the same one for all parcels whose links have the same
    form.
    """
    found = _APN_LIKE.sub(lambda like: "{apn}" if _same(like[0], apn) else like[0], unquote(url))
    if key == TREASURER:
        message = (
            f"the treasurer moved: the assessor leads to {found}, config/sources/treasurer.yaml to {expected}"
        )
        return Issue(
            IssueKind.TREASURER_MOVED,
            found[:200],
            message,
            {"found": url, "expected": expected.replace("{apn}", apn)},
        )
    place = found.split("?", 1)[0]
    return Issue(
        IssueKind.MOVED_LINK,
        f"{key} {place}"[:200],
        f"{key} leads to {place}, not to {expected}",
        {"found": url},
    )


def _same(number: str, apn: str) -> bool:
    try:
        return parse_apn(number) == apn
    except IdentifierError:
        return False


@cache
def _expected_place(url: str) -> tuple[str, str]:
    return _place(url)


def _place(url: str) -> tuple[str, str]:
    found = _HOST_AND_PATH.match(url)
    return (found[1].lower(), found[2] or "/") if found else ("", url)
