"""A bundle of the sandbox's answers holds no name, address or telephone number of them, and is still of
use.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from maricopa_scrapy.configuration import load
from maricopa_scrapy.probe.bundle import Bundle
from maricopa_scrapy.probe.words_to_keep import LETTERS, allowed_words, is_person_key
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer.site import identity
from tests.helpers.probe_runs import Probe, Probed
from tests.helpers.taxes import needs_browser

Start = Callable[..., SandboxProcess]
ALLOWED = allowed_words(load()[1])


def _texts(value: Any, key: str = "") -> Iterator[str]:
    """Every text below a key that is a person's or an address."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in ("fieldAliases", "fields", "displayFieldName"):
                yield from _texts(one, name)
    elif isinstance(value, list):
        for one in value[:50]:
            yield from _texts(one, key)
    elif isinstance(value, str) and is_person_key(key):
        yield value


def _persons_of(whole: dict[str, bytes]) -> set[str]:
    """What must not be in the bundle, read from the one with names."""
    found: set[str] = set()
    for name, content in whole.items():
        if name.startswith("bodies/") and name.endswith(".json"):
            found.update(_texts(json.loads(content)))
    return {text.strip() for text in found}


def _truth() -> set[str]:
    """Owners and addresses of the parcels that are asked for, from the sandbox's own county."""
    county, found = County(), set[str]()
    for apn in county.apns(2):
        lines, situs = identity(county, apn)
        parcel, _ = county.undrawn(apn)
        found |= {
            *lines,
            situs,
            parcel["PropertyAddress"].strip(),
            parcel["Owner"]["FullMailingAddress"].strip(),
        }
    return found


def _leaks(files: dict[str, bytes], persons: set[str]) -> set[str]:
    """The texts, and the words of four letters and more, that are in the bundle."""
    shown = "\n".join(
        f"{name}\n{content.decode('utf-8', 'ignore')}"
        for name, content in files.items()
        if not name.endswith(".png")
    )
    shown = f"{shown}\n{unquote_plus(shown)}"
    words = {word.casefold() for word in LETTERS.findall(shown)}
    wanted = {
        word.casefold() for text in persons for word in LETTERS.findall(text) if len(word) >= 4
    } - ALLOWED
    whole = {
        text
        for text in persons
        if len(text) >= 6 and not set(map(str.casefold, LETTERS.findall(text))) <= ALLOWED
    }
    return {text for text in whole if text in shown} | (wanted & words)


@pytest.mark.parametrize(
    "source",
    [
        "assessor",
        "gis",
        "recorder",
        "recorder_legacy",
        "assessor_page",
        "bulk",
        pytest.param("treasurer", marks=needs_browser),
    ],
)
def test_a_bundle_has_no_person_in_it(tmp_path: Path, county: Start, source: str) -> None:
    sandbox = county(gis_parcels=2_000)
    probe = Probe(sandbox.url, tmp_path)
    whole, safe = probe(source, "--with-names"), probe(source)
    assert safe.code == whole.code == 0, safe.out + safe.errors
    persons = _persons_of(whole.bundle(source)) | _truth()
    files = safe.bundle(source)
    assert _leaks(files, persons) == set()
    for name, content in files.items():
        assert b"555-0142" not in content, name
        assert b"<script" not in content.lower(), name
    # The test would see them.
    if source not in ("bulk",):
        assert len(_leaks(whole.bundle(source), persons | _names_of_pages(whole, source))) >= 2
    assert _leaks(files, _names_of_pages(whole, source)) == set()
    if source == "treasurer":
        _can_be_read_and_drawn(files, sandbox)


def _names_of_pages(whole: Probed, source: str) -> set[str]:
    """Names in HTML, by the recorder's label and the treasurer's and assessor's truth."""
    found: set[str] = set()
    for name, content in whole.bundle(source).items():
        if source == "recorder_legacy" and name.endswith(".html"):
            found.update(re.findall(r'lblRecDocName">([^<]+)', content.decode()))
    return found


def test_the_same_value_has_the_same_replacement_in_all_answers(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    files = Probe(sandbox.url, tmp_path)("assessor").bundle("assessor")
    parcels = [
        json.loads(content)
        for name, content in files.items()
        if name.startswith("bodies/") and b'"LocalJusidiction"' in content
    ]
    rows = [
        row for name, content in files.items() if "search" in name for row in json.loads(content)["Results"]
    ]
    apn = County().apns(1)[0]
    parcel = next(one for one in parcels if apn in one["TreasurersTransitionUrl"])
    row = next(one for one in rows if one["APN"] == apn)
    assert row["Ownership"] == parcel["Owner"]["Ownership"][:100]
    assert parcel["PropertyAddress"].startswith(row["SitusAddress"].strip())
    truth, _ = County().undrawn(apn)
    # Numbers, dates and codes are those of the county.
    for key in ("MCR", "LotSize", "TaxAreaCode", "PropertyUseCode", "SectionTownshipRange", "PropertyType"):
        assert parcel[key] == truth[key], key
    assert parcel["Owner"]["DeedDate"] == truth["Owner"]["DeedDate"]
    assert [one["FullCashValue"] for one in parcel["Valuations"]] == [
        one["FullCashValue"] for one in truth["Valuations"]
    ]
    # And another bundle has another key.
    again = Probe(sandbox.url, tmp_path)("assessor").bundle("assessor")
    assert parcel["Owner"]["Ownership"] not in "".join(
        content.decode("utf-8", "ignore") for content in again.values()
    )


def _can_be_read_and_drawn(files: dict[str, bytes], sandbox: SandboxProcess) -> None:
    apn = County().apns(1)[0]
    page = next(
        content.decode()
        for name, content in files.items()
        if name.endswith("summary.html") and apn.encode() in content
    )
    for kept in (
        "Tax Year",
        "Assessed Tax",
        "Total Due",
        "Owner Name and Mailing Address",
        "Paid",
        "#ptiNav"[1:],
    ):
        assert kept in page
    assert re.search(r"\$\d+,?\d*\.\d\d", page)
    pictures = {name: content for name, content in files.items() if name.endswith(".png")}
    assert len(pictures) == len([name for name in files if name.endswith(".html")])
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    # A picture is drawn without a further request.
    assert sandbox.stats()["treasurer"]["by_kind"]["parcel"] == 2 * 3
    assert "image" not in sandbox.stats()["treasurer"]["by_kind"]


def test_a_second_bundle_of_a_day_does_not_replace_the_first(tmp_path: Path) -> None:
    bundle = Bundle("gis", {"a.txt": b"first"})
    day = dt.date(2026, 11, 30)
    paths = [bundle.write(tmp_path, day) for _ in range(3)]
    assert [path.name for path in paths] == [
        "probe-gis-20261130.zip",
        "probe-gis-20261130-2.zip",
        "probe-gis-20261130-3.zip",
    ]
