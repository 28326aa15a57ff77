"""`scrapy crawl tax` on each skin of the sandbox's treasurer, with the manifest that fits it: the rows are
the sandbox's truth.
"""

from pathlib import Path

import pytest

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.treasurer.bills import taxes
from maricopa_scrapy.sandbox.treasurer.site import identity
from maricopa_scrapy.sandbox.treasurer.skins import SKINS, owner_blocks
from tests.conftest import Crawler, Database
from tests.helpers.command import Maricopa
from tests.helpers.taxes import Start, crawler, differences, listed, needs_browser
from tests.helpers.treasurer_skins import PAGES

pytestmark = needs_browser

# That of the plain one is tests/sources/treasurer/test_crawl_tax.py.
SETTLED = [name for name in SKINS if name not in ("plain", "no_identity", "wrong_sums")]
TRUTH = County()


def _parcels() -> list[str]:
    """Eight parcels that have all statuses between them, one that was never billed, and one letter."""
    found: dict[str, str] = {}
    for apn in TRUTH.apns(400):
        bills = taxes(TRUTH.seed, TRUTH.epoch, apn).bills
        for kind in [bill.status for bill in bills] or ["never billed"]:
            found.setdefault(kind, apn)
        if apn[-1].isalpha():
            found.setdefault("letter", apn)
    return list(dict.fromkeys([*found.values(), *TRUTH.apns(12)]))[:8]


APNS, ABSENT = _parcels(), TRUTH.absent(2)
BILLED = [apn for apn in APNS if taxes(TRUTH.seed, TRUTH.epoch, apn).bills][:4]
STORED = (
    "SELECT apn FROM treasurer.account UNION ALL SELECT apn FROM treasurer.bill UNION ALL SELECT apn FROM"
    " treasurer.payment"
)


def _accounts(skin: str) -> dict[str, tuple[str | None, str | None]]:
    """Return owner and situs address of each parcel, as the skin shows them."""
    found = {}
    for apn in APNS:
        lines, situs = identity(TRUTH, apn)
        blocks = owner_blocks(SKINS[skin], TRUTH, apn, lines)
        owners = [line for heading, block in blocks if "Owner" in heading for line in block]
        found[apn] = ("\n".join(owners) or None, situs or None)
    return found


@pytest.mark.parametrize("skin", SETTLED)
def test_a_skin_that_its_manifest_fits_is_read_right(
    tmp_path: Path, database: Database, county: Start, skin: str
) -> None:
    sandbox = county(treasurer_skin=skin)
    if skin == "address_identity":
        assert Crawler(database, sandbox.url)("assessor", "-a", f"apns={','.join(APNS)}").code == 0
    crawl = crawler(database, sandbox, tmp_path, page=PAGES[skin], attempts=1)(
        "tax", "-a", listed(tmp_path, [*APNS, *ABSENT])
    )
    assert crawl.code == 0, crawl.log
    assert "Traceback" not in crawl.log
    states = dict(database.rows("SELECT key, state FROM crawl.target WHERE source = 'treasurer'"))
    assert states == dict.fromkeys(APNS, "done") | dict.fromkeys(ABSENT, "gone")
    assert differences(database, TRUTH, APNS) == []
    accounts = {
        apn: rest for apn, *rest in database.rows("SELECT apn, owner, situs_address FROM treasurer.account")
    }
    assert accounts == {apn: list(told) for apn, told in _accounts(skin).items()}
    assert database.rows("SELECT kind, message FROM crawl.issue WHERE kind <> 'new_field'") == []


QUESTIONS = {
    "no_identity": (
        "Question: where does the page say which parcel it is of? Its place belongs in page.identity"
    ),
    "wrong_sums": "Which column is which belongs in page.columns.summary",
}


@pytest.mark.parametrize("skin", QUESTIONS)
def test_a_skin_that_nothing_fits_stores_nothing_and_asks(
    tmp_path: Path, database: Database, county: Start, skin: str
) -> None:
    sandbox = county(treasurer_skin=skin)
    # Known are the owner and the situs address that the page shows: without its number they are no identity.
    assert Crawler(database, sandbox.url)("assessor", "-a", f"apns={','.join(BILLED)}").code == 0
    crawl = crawler(database, sandbox, tmp_path, page=PAGES[skin], attempts=1)(
        "tax", "-a", listed(tmp_path, BILLED)
    )
    assert crawl.code == 3, crawl.log
    causes = database.rows("SELECT DISTINCT state, cause FROM crawl.target WHERE source = 'treasurer'")
    assert causes == [("dead", "source_changed")]
    assert database.rows(STORED) == []
    asked = database.rows(
        "SELECT message, screenshot IS NOT NULL, capture_sha256 IS NOT NULL FROM crawl.issue"
    )
    assert asked
    assert all(
        QUESTIONS[skin] in message and has_picture and has_body for message, has_picture, has_body in asked
    )


def test_a_page_that_its_address_alone_names_is_another_s(
    tmp_path: Path, database: Database, county: Start
) -> None:
    sandbox = county(treasurer_skin="address_identity")
    wrong, unknown, known = BILLED[0], BILLED[1], BILLED[2]
    assert Crawler(database, sandbox.url)("assessor", "-a", f"apns={wrong},{known}").code == 0
    sandbox.faults({"wrong_parcel": {"keys": [wrong]}}, source="treasurer")
    crawl = crawler(database, sandbox, tmp_path, page=PAGES["address_identity"], attempts=1)
    ran = crawl("tax", "-a", f"apns={wrong},{unknown},{known}")
    assert ran.code == 3, ran.log
    assert dict(database.rows("SELECT key, cause FROM crawl.target WHERE state = 'dead'")) == {
        wrong: "source_changed",
        unknown: "source_changed",
    }
    assert {apn for (apn,) in database.rows(STORED)} == {known}
    (message,) = (message for (message,) in database.rows("SELECT message FROM crawl.issue"))
    assert (
        f"Question: is this page parcel {wrong}'s?" in message
        or f"Question: is this page parcel {unknown}'s?" in message
    )
    owners = [
        owner
        for (owner,) in database.rows("SELECT ownership FROM assessor.owner WHERE ownership IS NOT NULL")
    ]
    assert not any(owner in message for owner in owners)

    # Once the sign is known, what is kept is read again by it, and only so.
    again = Maricopa(database, sandbox.url, tmp_path, environment=crawl.environment or {}).here
    assert "1 captures read again" in (said := again("reparse", "--source", "treasurer").out), said
    database.rows("UPDATE assessor.parcel SET property_address = '1 N OTHER ST PHOENIX 85003' RETURNING 1")
    database.rows("DELETE FROM treasurer.account RETURNING 1")
    assert "1 captures cannot be read" in (said := again("reparse", "--source", "treasurer").out), said


def test_another_tab_that_is_open_at_first_is_left(tmp_path: Path, database: Database, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"other_tab_first": 1.0}, source="treasurer")
    crawl = crawler(database, sandbox, tmp_path, page={"starts_with": "other"}, attempts=1)(
        "tax", "-a", listed(tmp_path, [*APNS, *ABSENT])
    )
    assert crawl.code == 0, crawl.log
    assert database.states() == {"done": len(APNS), "gone": len(ABSENT)}
    assert differences(database, TRUTH, APNS) == []
