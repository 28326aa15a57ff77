"""The assessor's public page: is a parcel read from it, and does it say that there is none?"""

from typing import Any

from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.parsing.links import TREASURER
from maricopa_scrapy.probe.client import Asker
from maricopa_scrapy.probe.key_differences import listed
from maricopa_scrapy.probe.manifests import line_of
from maricopa_scrapy.sources.assessor import public_page as pages
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets
from maricopa_scrapy.sources.assessor.public_page_spider import expected_links

_READ, _ALL, _NEW = "a parcel's page is read", "all labels that we read are there", "no label is new"
_LINK, _ABSENT = "its link leads to where we ask the treasurer", "an unknown parcel is answered as absent"


def assumptions(_: Asker) -> tuple[str, ...]:
    """Return all that is looked at, for when it ends early."""
    return (_READ, _ALL, _NEW, _LINK, _ABSENT)


async def check(asker: Asker, manifests: Any) -> None:
    """Ask, and note what held. Raises Ended."""
    labels = asker.manifest.labels
    assert labels is not None
    layout = pages.Layout(**dict(labels))
    treasurer = expected_links({}, manifests).get(TREASURER)
    correct = line_of("assessor_page", "labels", "columns")
    new, absent, moved, refused, read = set[str](), set[str](), "", [], 0
    for apn in asker.planned.apns:
        body = await asker.page(f"page of {format_apn(apn)}", _url(asker, apn))
        if body is None:
            continue
        try:
            page = pages.parse_page(without_secrets(body), apn, layout, treasurer)
        except PageError as error:
            refused.append(f"{format_apn(apn)}: {error}")
            continue
        new |= set(page.notes.new)
        absent |= set(page.notes.absent)
        refused += [f"{format_apn(apn)}: {error}" for error in page.notes.unread.values()]
        moved = moved or page.moved or ""
        read += page.record is not None
        if page.record is None:
            refused.append(f"{format_apn(apn)}: it says that there is no such parcel")
    if read or refused:
        asker.sheet.check(
            _READ,
            not refused,
            "; ".join(refused) or f"{read} parcels",
            f"correct {correct}, or attach the bundle to an issue",
        )
    if read:
        asker.sheet.check(_ALL, not absent, listed(absent) or "all", f"correct {correct}")
        asker.sheet.check(
            _NEW,
            not new,
            listed(new) or "none",
            f"{line_of('assessor_page', 'labels', 'ignored')}, or a column",
        )
        asker.sheet.check(_LINK, not moved, moved or "as expected", line_of("treasurer", "base_url"))
    await _absence(asker, layout)


async def _absence(asker: Asker, layout: pages.Layout) -> None:
    apn = asker.planned.absent
    body = await asker.page(f"page of unknown {format_apn(apn)}", _url(asker, apn))
    if body is None:
        return
    try:
        page = pages.parse_page(without_secrets(body), apn, layout, None)
    except PageError as error:
        asker.sheet.broken(
            _ABSENT,
            str(error),
            f"put the words that the page shows into {line_of('assessor_page', 'labels', 'absent')}",
        )
    else:
        if page.record is None:
            asker.sheet.held(_ABSENT, "by words that are known")
        else:
            asker.sheet.untold(_ABSENT, f"there is a parcel {format_apn(apn)}")


def _url(asker: Asker, apn: str) -> str:
    return asker.url(asker.manifest.paths["parcel"].format(apn=apn))
