"""`maricopa probe treasurer` on pages that are shown otherwise: what does not hold, what does once the
manifest fits, and the bundle.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from maricopa_scrapy.configuration import load
from maricopa_scrapy.probe.words_to_keep import LETTERS, allowed_words
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer.site import identity
from maricopa_scrapy.sandbox.treasurer.skins import SKINS, owner_blocks
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.probe_runs import Probe, Probed
from tests.helpers.taxes import differences, needs_browser
from tests.helpers.treasurer_skins import PAGES, merged

pytestmark = needs_browser
Start = Callable[..., SandboxProcess]
ALLOWED = allowed_words(load()[1])
TRUTH = County()


def _settings(folder: Path, changes: dict[str, Any]) -> dict[str, str]:
    shutil.copytree(ROOT / "config", folder)
    file = folder / "sources" / "treasurer.yaml"
    content = yaml.safe_load(file.read_text())
    content["page"] = merged(content["page"], {"timeouts": {"settle": 4}} | changes)
    file.write_text(yaml.safe_dump(content))
    return {"MARICOPA_CONFIG": str(folder)}


def _no_person(skin: str, probed: Probed) -> None:
    """No owner and no address that the skin shows is in the bundle."""
    files = probed.bundle("treasurer")
    shown = "\n".join(
        f"{name} {content.decode('utf-8', 'ignore')}"
        for name, content in files.items()
        if not name.endswith(".png")
    )
    persons = _persons(skin, shown)
    assert len(persons) >= 6
    letters = {word.casefold() for word in LETTERS.findall(shown)}
    for text in persons:
        assert text not in shown
        left = {word.casefold() for word in LETTERS.findall(text) if len(word) >= 4} - ALLOWED
        assert not left & letters, text


def _persons(skin: str, bundle: str) -> list[str]:
    """Owners and addresses of every parcel that the bundle names, as the skin shows them."""
    found = []
    for apn in {number.replace("-", "") for number in re.findall(r"\d{3}-?\d{2}-?\d{3}[A-Z]?", bundle)}:
        if TRUTH.exists(apn):
            lines, situs = identity(TRUTH, apn)
            found += [line for _, block in owner_blocks(SKINS[skin], TRUTH, apn, lines) for line in block] + [
                situs
            ]
    return [text for text in found if text]


# What does not hold of a skin while the manifest is the shipped one, and a word of its evidence.
BROKEN = {
    "three_owners": ("it names owner and situs", "page.blocks"),
    "other_words": ("its statuses are known", "page.statuses"),
    "absent_grid": ("an unknown parcel is shown as absent", ""),
}


def test_a_manifest_that_fits_the_skin_holds(tmp_path: Path, county: Start) -> None:
    sandbox = county(treasurer_skin="six_tabs")
    probed = Probe(sandbox.url, tmp_path, environment=_settings(tmp_path / "settings", PAGES["six_tabs"]))(
        "treasurer"
    )
    assert probed.code == 0, probed.out + probed.errors
    assert probed.findings("treasurer")["it has the tabs"]["held"] is True
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] == 3


def test_a_page_that_only_its_address_names_is_no_proof(tmp_path: Path, county: Start) -> None:
    sandbox = county(treasurer_skin="address_identity")
    probed = Probe(
        sandbox.url, tmp_path, environment=_settings(tmp_path / "settings", PAGES["address_identity"])
    )("treasurer")
    named = probed.findings("treasurer")["it is named by more than its address"]
    assert named["held"] is None
    assert "scrapy crawl assessor" in named["follows"]


# The plain one is as the shipped manifest says: test_probe.py and test_crawl_tax.py.
SETTLED = [name for name in SKINS if name not in ("plain", "no_identity", "wrong_sums")]
APNS = TRUTH.apns(6)


@pytest.mark.parametrize("skin", SETTLED)
def test_each_skin_is_told_settled_by_the_command_and_then_collected(
    tmp_path: Path, database: Database, county: Start, skin: str
) -> None:
    sandbox = county(treasurer_skin=skin)
    environment = _settings(tmp_path / "settings", {})
    # Two whose bills have not all statuses, as a person would give them.
    probed = Probe(sandbox.url, tmp_path, environment=environment)(
        "treasurer", "--apn", APNS[0], "--apn", APNS[1], "--apply"
    )
    assert probed.code == 3, probed.out + probed.errors
    assert "answer the questions first" not in probed.out, probed.out
    assert "written: " in probed.out
    assert list((tmp_path / "settings" / "sources").glob("treasurer.yaml.2*"))
    if skin in BROKEN:
        assumption, word = BROKEN[skin]
        assert re.search(word, probed.broken("treasurer")[assumption])
    _no_person(skin, probed)
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] <= 12
    if skin == "address_identity":
        assert Crawler(database, sandbox.url)("assessor", "-a", f"apns={','.join(APNS)}").code == 0

    absent = TRUTH.absent(2)
    crawl = Crawler(database, sandbox.url, environment=environment)(
        "tax", "-a", f"apns={','.join([*APNS, *absent])}"
    )

    assert crawl.code == 0, crawl.log
    states = dict(database.rows("SELECT key, state FROM crawl.target WHERE source = 'treasurer'"))
    assert states == dict.fromkeys(APNS, "done") | dict.fromkeys(absent, "gone")
    assert differences(database, TRUTH, APNS) == []
    for apn, owner, situs in database.rows("SELECT apn, owner, situs_address FROM treasurer.account"):
        lines, place = identity(TRUTH, apn)
        owners = [
            line
            for heading, block in owner_blocks(SKINS[skin], TRUTH, apn, lines)
            if "Owner" in heading
            for line in block
        ]
        assert (owner, situs) == ("\n".join(owners) or None, place or None)


ASKED = {
    "no_identity": "where does the page say which parcel it is of? Its place belongs in page.identity",
    "wrong_sums": (
        "which columns of the summary are billed, paid, interest and due? No choice of them adds up in"
    ),
}


@pytest.mark.parametrize("skin", ASKED)
def test_what_nobody_can_tell_is_asked_exactly_and_nothing_is_written(
    tmp_path: Path, county: Start, skin: str
) -> None:
    sandbox = county(treasurer_skin=skin)
    environment = _settings(tmp_path / "settings", {})
    before = (tmp_path / "settings" / "sources" / "treasurer.yaml").read_text()
    probed = Probe(sandbox.url, tmp_path, environment=environment)(
        "treasurer", "--apn", APNS[0], "--apn", APNS[1], "--apply"
    )
    assert probed.code == 3, probed.out + probed.errors
    assert ASKED[skin] in " ".join(probed.out.split())
    assert "nothing was written" in probed.out
    assert (tmp_path / "settings" / "sources" / "treasurer.yaml").read_text() == before
    assert not list((tmp_path / "settings" / "sources").glob("treasurer.yaml.2*"))
