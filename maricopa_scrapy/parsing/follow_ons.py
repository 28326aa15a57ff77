"""From parcels to other offices: a parcel's deed number is the recording number of its last deed, its APN the
treasurer's.
"""

from collections.abc import Iterable
from typing import Any

from maricopa_scrapy.items import Detail, FollowOn, Issue, IssueKind
from maricopa_scrapy.parsing.identifiers import IdentifierError, form_of, parse_recording_number


class DeedDetail(Detail):
    """What a parcel says of the document that its deed number names: whether its neighbours are wanted."""

    neighbours: bool = False


def page_follow_ons(parameters: dict[str, Any], apn: str, is_cancelled: bool | None) -> list[FollowOn]:
    """Return the treasurer's page of a parcel as a target, where the job asks for it (`follow`): of one that
    is cancelled there is none.
    """
    is_wanted = "treasurer" in parameters.get("follow", ()) and not is_cancelled
    return [FollowOn("treasurer", "parcel", apn)] if is_wanted else []


def deed_follow_ons(
    parameters: dict[str, Any], deeds: Iterable[tuple[str, str | None]]
) -> tuple[list[FollowOn], list[Issue]]:
    """Return the documents of parcels as targets, each once, where the job asks for them (`follow`), and
    numbers that are none.

    `deeds` has (APN, deed number as the source says it). Books and pages (12345-0678) and other forms
    (NOD-12345) are stored as they are, and cannot be asked for: an issue for each form counts them. A number
    with a letter becomes a target, which says how it can be asked.
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
            odd.append(odd_deed(apn, number))
    return deeds_of(parameters, found), odd


def deeds_of(parameters: dict[str, Any], numbers: Iterable[str]) -> list[FollowOn]:
    """Return documents as targets, with their neighbours where the job asks for those."""
    detail = DeedDetail(neighbours=True) if parameters.get("neighbours") == "yes" else None
    return [FollowOn("recorder", "document", number, detail) for number in numbers]


def odd_deed(apn: str, number: str) -> Issue:
    """Return the issue of a deed number by which the recorder cannot be asked; those of one form are the same
    issue.
    """
    told = (
        f"the deed number of {apn}, {number!r}, is no recording number: it is stored as it is, and the"
        " recorder cannot be asked for it"
    )
    return Issue(IssueKind.ODD_DEED_NUMBER, form_of(number), told)
