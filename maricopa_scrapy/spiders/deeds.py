"""From parcels to documents: the deed number of a parcel is the recording number of its last deed."""

from collections.abc import Iterable
from typing import Any

from maricopa_scrapy.identifiers import IdentifierError, parse_recording_number
from maricopa_scrapy.items import FollowOn, Issue


def deed_follow_ons(parameters: dict[str, Any], deeds: Iterable[tuple[str, str | None]]) -> tuple[list[FollowOn], list[Issue]]:
    """Return the documents of parcels as targets, each once, where the job asks for them (`follow`), and numbers that are none.

    `deeds` has (APN, deed number as the source says it).
    """
    if "recorder" not in parameters.get("follow", ()):
        return [], []
    found: dict[str, None] = {}
    odd = []
    for apn, number in deeds:
        if number is None:
            continue
        try:
            found[parse_recording_number(number)] = None
        except IdentifierError:
            odd.append(Issue("odd_deed_number", number[:40], f"the deed number of {apn}, {number!r}, is no recording number"))
    detail = {"neighbours": True} if parameters.get("neighbours") == "yes" else None
    return [FollowOn("recorder", "document", number, detail) for number in found], odd
