"""Links to the treasurer and the recorder: the county's old and new forms, and forms that it may have
next.
"""

import os
from pathlib import Path

import pytest

from maricopa_scrapy.parsing.links import TREASURER, leads_elsewhere, moved_link
from maricopa_scrapy.sources.assessor import parcel

APN = "16528054"
OLD = "https://treasurer.maricopa.gov/parcel/default.aspx?Parcel={apn}"
NEW = "https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}"
CAPTURES = os.environ.get("MARICOPA_CAPTURES")


@pytest.mark.parametrize(
    ("url", "expected", "elsewhere"),
    [
        (NEW, NEW, False),
        (OLD, OLD, False),
        (OLD, NEW, True),
        (NEW, OLD, True),
        ("HTTP://Treasurer.Maricopa.gov/PropertyTaxInformation/?parcel={apn}", NEW, False),
        ("https://treasurer.maricopa.gov/PropertyTaxInformation/?account=165-28-054&lang=en", NEW, False),
        ("https://treasurer.maricopa.gov/PropertyTaxInformation/", NEW, True),
        ("https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel=16528055", NEW, True),
        ("https://treasurer.maricopa.gov/PropertyTaxInformation/?Parcel={apn}A", NEW, True),
        ("https://www.maricopa.gov/PropertyTaxInformation/?Parcel={apn}", NEW, True),
        ("https://t/parcel/{apn}/tax", "https://t/parcel/{apn}/tax", False),
        ("https://t/parcel/16528055/tax", "https://t/parcel/{apn}/tax", True),
        ("nonsense", NEW, True),
        ("https://[", NEW, True),
        # Without a parcel in it only host and path count.
        ("https://r/x.html?recordingNumber=1", "https://r/x.html", False),
    ],
)
def test_where_a_link_leads(url: str, expected: str, elsewhere: bool) -> None:
    assert leads_elsewhere(url.replace("{apn}", APN), expected, APN) is elsewhere


def test_all_parcels_of_one_new_form_are_one_issue_with_both_addresses() -> None:
    forms = ["https://treasurer.maricopa.gov/tax/parcel/{}", "https://treasurer.maricopa.gov/tax/parcel/{}"]
    issues = [
        moved_link(TREASURER, form.format(apn), NEW, apn)
        for form, apn in zip(forms, (APN, "11205131A"), strict=True)
    ]
    assert len({(issue.kind, issue.signature, issue.message) for issue in issues}) == 1
    assert issues[0].kind == "treasurer_moved"
    assert "https://treasurer.maricopa.gov/tax/parcel/{apn}" in issues[0].message
    assert NEW in issues[0].message
    assert issues[0].example == {"found": forms[0].format(APN), "expected": NEW.format(apn=APN)}


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
@pytest.mark.parametrize(
    ("served", "expected", "is_moved"),
    # What the county served in September 2025, and in November.
    [(OLD, OLD, False), (OLD, NEW, True), (NEW, OLD, True), (NEW, NEW, False)],
)
def test_the_captured_parcel_with_both_of_its_links(served: str, expected: str, is_moved: bool) -> None:
    body = (Path(CAPTURES or ".") / "assessor" / "parcel_165-28-054" / "parcel.json").read_bytes()
    captured = OLD.format(apn=APN).encode()
    assert body.count(captured) == 1
    page = parcel.parse_parcel(
        body.replace(captured, served.format(apn=APN).encode()), APN, {TREASURER: expected}
    )
    assert [key for key, _ in page.moved_links] == [TREASURER] * is_moved
