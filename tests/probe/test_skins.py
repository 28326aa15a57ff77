"""`maricopa probe treasurer` on pages that are shown otherwise: what does not hold, what does once the manifest fits, and the bundle."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from maricopa_scrapy.probe.known import LETTERS, allowed_words
from maricopa_scrapy.sandbox.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer import identity
from maricopa_scrapy.sandbox.treasurer_skins import SKINS, owner_blocks
from maricopa_scrapy.settings_files import load
from tests.conftest import ROOT
from tests.probe.running import Probe
from tests.taxes import needs_browser
from tests.treasurer_skins import PAGES, merged

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


def _persons(skin: str, bundle: str) -> list[str]:
    """Owners and addresses of every parcel that the bundle names, as the skin shows them."""
    found = []
    for apn in {number.replace("-", "") for number in re.findall(r"\d{3}-?\d{2}-?\d{3}[A-Z]?", bundle)}:
        if TRUTH.exists(apn):
            lines, situs = identity(TRUTH, apn)
            found += [line for _, block in owner_blocks(SKINS[skin], TRUTH, apn, lines) for line in block] + [situs]
    return [text for text in found if text]


# What does not hold of a skin while the manifest is the shipped one.
BROKEN = {
    "three_owners": "it names owner and situs",
    "other_words": "its statuses are known",
    "absent_grid": "an unknown parcel is shown as absent",
}


@pytest.mark.parametrize("skin", BROKEN)
def test_what_a_skin_shows_otherwise_is_told_and_no_person_is_in_its_bundle(tmp_path: Path, county: Start, skin: str) -> None:
    sandbox = county(treasurer_skin=skin)
    probed = Probe(sandbox.url, tmp_path, environment=_settings(tmp_path / "settings", {}))("treasurer")
    assert probed.code == 3, probed.out + probed.errors
    assert set(probed.broken("treasurer")) >= {BROKEN[skin]}
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] == 3
    files = probed.bundle("treasurer")
    shown = "\n".join(f"{name} {content.decode('utf-8', 'ignore')}" for name, content in files.items() if not name.endswith(".png"))
    persons = _persons(skin, shown)
    assert len(persons) >= 6
    for text in persons:
        assert text not in shown
        left = {word.casefold() for word in LETTERS.findall(text) if len(word) >= 4} - ALLOWED
        assert not left & {word.casefold() for word in LETTERS.findall(shown)}, text


@pytest.mark.parametrize("skin", ["six_tabs", "found_grid"])
def test_a_manifest_that_fits_the_skin_holds(tmp_path: Path, county: Start, skin: str) -> None:
    sandbox = county(treasurer_skin=skin)
    probed = Probe(sandbox.url, tmp_path, environment=_settings(tmp_path / "settings", PAGES[skin]))("treasurer")
    assert probed.code == 0, probed.out + probed.errors
    assert probed.findings("treasurer")["it has the tabs"]["held"] is True
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] == 3


def test_a_page_that_only_its_address_names_is_no_proof(tmp_path: Path, county: Start) -> None:
    sandbox = county(treasurer_skin="address_identity")
    probed = Probe(sandbox.url, tmp_path, environment=_settings(tmp_path / "settings", PAGES["address_identity"]))("treasurer")
    named = probed.findings("treasurer")["it is named by more than its address"]
    assert named["held"] is None
    assert "scrapy crawl assessor" in named["follows"]
