"""`maricopa probe` against the sandbox: what holds, what does not, what the county counted, and how it
ends.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, counties
from tests.helpers.probe_runs import Probe, Probed
from tests.helpers.taxes import needs_browser

Start = Callable[..., SandboxProcess]
PLAIN = ("assessor", "assessor_page", "gis", "recorder", "recorder_legacy", "bulk")
EACH = [*PLAIN, pytest.param("treasurer", marks=needs_browser)]
# Requests for robots.txt are not counted by the sandbox.
MOST_COUNTED = 11


def _navigations(counted: dict[str, Any], source: str) -> int:
    """What counts as a request: at the treasurer a navigation."""
    stats = counted[source]
    return int(stats["by_kind"]["parcel"] if source == "treasurer" else stats["requests"])


def _settings(folder: Path, source: str, change: Callable[[dict[str, Any]], None]) -> dict[str, str]:
    """The shipped settings, but for a change of one manifest."""
    shutil.copytree(ROOT / "config", folder)
    file = folder / "sources" / f"{source}.yaml"
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))
    return {"MARICOPA_CONFIG": str(folder)}


@dataclass(frozen=True)
class Whole:
    """All sources, probed together, and what the county counted."""

    probed: Probed
    stats: dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with counties() as county:
        sandbox = county(gis_parcels=6_000, track=True)
        probed = Probe(sandbox.url, tmp_path_factory.mktemp("whole"))()
        assert probed.code == 0, probed.out + probed.errors
        yield Whole(probed, sandbox.stats())


@needs_browser
@pytest.mark.parametrize("source", [*PLAIN, "treasurer"])
def test_of_the_sandbox_all_holds(whole: Whole, source: str) -> None:
    found = whole.probed.findings(source)
    assert not [one for one in found.values() if one["held"] is False]
    told = {name for name, one in found.items() if one["held"] is None}
    # Not told of the sandbox: TLS, what a parcel may lack, rows beyond what the manifest asks for.
    assert told <= {
        "the certificate is trusted",
        "keys and kinds of Improvements",
        "layer D: more rows an answer",
        "layer F: more rows an answer",
    }
    for assumption in found:
        assert assumption.split()[0] in whole.probed.out
    stats = whole.stats[source]
    assert 2 <= _navigations(whole.stats, source) <= MOST_COUNTED
    assert stats["unknown_paths"] == []
    assert stats["in_flight_peak"] == 1 or source == "treasurer"
    # Who asks is said as by a crawl.
    assert all("maricopa_scrapy/" in agent for agent in stats.get("agents", {}))
    assert "requests.json" in whole.probed.bundle(source)


@needs_browser
def test_without_a_source_all_are_asked(whole: Whole) -> None:
    said = whole.probed.out
    assert sorted(re.findall(r"probe-(\w+)-\d{8}\.zip", said)) == sorted((*PLAIN, "treasurer"))
    # The plan came first, with each source's requests and time.
    assert said.index("at most 12 requests of a source") < said.index("Assumptions")


def test_the_shipped_pace_is_one_request_in_two_seconds(tmp_path: Path, county: Start) -> None:
    sandbox = county(track=True)
    probed = Probe(sandbox.url, tmp_path, rate=None)("recorder")
    assert probed.code == 0, probed.out + probed.errors
    stats = sandbox.stats()["recorder"]
    assert 5 <= stats["requests"] <= MOST_COUNTED
    # When an answer was given is seen as late as the sandbox gets a processor.
    assert (stats["requests"] - 1) / (stats["last_request"] - stats["first_request"]) <= 0.55
    at = stats["answered_at"]
    assert min(later - earlier for earlier, later in pairwise(at)) >= 1.5


@pytest.mark.parametrize("source", EACH)
def test_the_first_challenge_ends_the_source(tmp_path: Path, county: Start, source: str) -> None:
    sandbox = county(gis_parcels=3_000)
    sandbox.faults({"challenge": 1.0}, source)
    probed = Probe(sandbox.url, tmp_path)(source)
    assert probed.code == 5, probed.out + probed.errors
    stats = sandbox.stats()
    assert _navigations(stats, source) == 1
    assert all(one["requests"] == 0 for name, one in stats.items() if name != source)
    assert probed.broken(source)["no challenge"].startswith("HTTP 403 with a challenge")
    # All that was planned is in the table, as not asked.
    assert sum(one["held"] is None for one in probed.findings(source).values()) >= 3
    assert re.search(rf"{source}: .*blocked", probed.out)


def test_a_challenge_in_the_middle_ends_it_there_and_other_sources_go_on(
    tmp_path: Path, county: Start
) -> None:
    sandbox = county(gis_parcels=3_000)
    sandbox.faults({"challenge": {"kind": "search"}}, "assessor")
    probed = Probe(sandbox.url, tmp_path)("assessor", "recorder")
    assert probed.code == 5
    stats = sandbox.stats()["assessor"]
    assert stats["by_kind"] == {"parcel": 3, "search": 1}
    assert probed.findings("assessor")["a parcel is read whole"]["held"] is True
    assert sandbox.stats()["recorder"]["requests"] > 5


def test_too_fast_is_the_end_too(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"throttled": {"kind": "search"}}, "recorder")
    probed = Probe(sandbox.url, tmp_path)("recorder")
    assert probed.code == 3
    assert "HTTP 429" in probed.broken("recorder")["the pace is borne"]
    assert sandbox.stats()["recorder"]["by_kind"]["search"] == 1
    assert "document" not in sandbox.stats()["recorder"]["by_kind"]


def test_a_wrong_token_is_told_at_once(tmp_path: Path, county: Start) -> None:
    sandbox = county(token="another")
    probed = Probe(sandbox.url, tmp_path)("assessor")
    assert probed.code == 3
    assert "MARICOPA_ASSESSOR_TOKEN" in probed.broken("assessor")["the token is taken"]
    assert sandbox.stats()["assessor"]["requests"] == 1


def test_nothing_but_500_says_that_the_token_is_the_likely_cause(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"server_error": 1.0}, "assessor")
    probed = Probe(sandbox.url, tmp_path)("assessor")
    assert probed.code == 3
    assert "every answer was HTTP 500" in probed.broken("assessor")["the token is taken"]


# Source, fault, assumption that does not hold, a word of its evidence or of what follows.
CHANGES = [
    ("assessor", "renamed_field", "keys and kinds of the parcel itself", "absent: LotSize"),
    ("assessor", "renamed_field", "no key is new", "LotSizeSqFt"),
    ("assessor", "missing_field", "keys and kinds of the parcel itself", "absent: LotSize"),
    ("assessor", "new_field", "no key is new", "GreenScore"),
    ("assessor", "retyped_field", "keys and kinds of Valuations", "FullCashValue"),
    ("assessor", "no_identity", "a parcel is read whole", "TreasurersTransitionUrl"),
    ("assessor", "wrong_parcel", "a parcel is read whole", "expected parcel"),
    (
        "assessor",
        "treasurer_moved",
        "links lead to where we ask",
        r"sources/treasurer.yaml line \d+: base_url",
    ),
    (
        "gis",
        "missing_field",
        "layer E: its fields",
        r"SalePrice.*sources/gis.yaml line \d+: layers.E.columns",
    ),
    ("gis", "retyped_field", "layer E: its fields", "SalePrice"),
    ("gis", "new_field", "layer A: no field is new", "GreenScore"),
    ("gis", "error_body", "layer E: rows are read", "expected an answer"),
    ("recorder", "dropped_filter", "a search is filtered by code and days", "dropped"),
    ("recorder", "wrong_document", "a document: its keys and kinds", "recordingNumber"),
]


@pytest.mark.parametrize(("source", "fault", "assumption", "word"), CHANGES)
def test_a_source_that_has_changed_is_told_with_the_evidence(
    tmp_path: Path, county: Start, source: str, fault: str, assumption: str, word: str
) -> None:
    sandbox = county(gis_parcels=6_000)
    sandbox.faults({fault: 1.0}, source)
    probed = Probe(sandbox.url, tmp_path)(source)
    assert probed.code == 3, probed.out + probed.errors
    broken = probed.broken(source)
    assert re.search(word, broken[assumption]), broken
    assert _navigations(sandbox.stats(), source) <= MOST_COUNTED


# What the skins show otherwise is in tests/probe/test_skins.py.
@needs_browser
@pytest.mark.parametrize(
    ("fault", "assumption", "word"),
    [
        ("renamed_heading", "columns of the tab summary", r"Balance.*line \d+: page.columns"),
        ("no_identity", "it names the parcel", "page.account"),
    ],
)
def test_a_page_that_has_changed_is_told_with_the_evidence(
    tmp_path: Path, county: Start, fault: str, assumption: str, word: str
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        # What does not come is not waited for as long as of the county.
        manifest["page"]["timeouts"]["settle"] = 3

    sandbox = county()
    sandbox.faults({fault: 1.0}, "treasurer")
    environment = _settings(tmp_path / "settings", "treasurer", change)
    probed = Probe(sandbox.url, tmp_path, environment=environment)("treasurer")
    assert probed.code == 3, probed.out + probed.errors
    broken = probed.broken("treasurer")
    assert re.search(word, broken[assumption]), broken
    assert _navigations(sandbox.stats(), "treasurer") <= MOST_COUNTED


def test_a_silent_cap_and_another_midnight_name_the_line_to_correct(tmp_path: Path, county: Start) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"]["E"] |= {"page": 4_000, "days": "utc"}

    sandbox = county(gis_parcels=6_000)
    environment = _settings(tmp_path / "settings", "gis", change)
    probed = Probe(sandbox.url, tmp_path, environment=environment)("gis")
    assert probed.code == 3
    broken = probed.broken("gis")
    assert re.search(
        r"asked for 4,001, 2,000 came.*settings/sources/gis.yaml line \d+: layers.E.page: 2000",
        broken["layer E: rows an answer"],
    )
    assert re.search(r"07:00 UTC.*line \d+: layers.E.days: phoenix", broken["layer E: the zone of its dates"])
    line = int(re.findall(r"line (\d+)", broken["layer E: the zone of its dates"])[0])
    assert (tmp_path / "settings" / "sources" / "gis.yaml").read_text().splitlines()[
        line - 1
    ].strip() == "days: utc"


@pytest.mark.parametrize("source", PLAIN)
def test_whatever_a_source_answers_is_a_row_of_the_table(tmp_path: Path, county: Start, source: str) -> None:
    sandbox = county(gis_parcels=2_000)
    for fault in ("malformed", "truncated", "maintenance"):
        sandbox.clear_faults()
        sandbox.faults({fault: 1.0}, source)
        probed = Probe(sandbox.url, tmp_path)(source)
        assert probed.code == 3, probed.out + probed.errors
        assert not probed.errors
        assert probed.broken(source)


def test_a_page_before_the_recorder_s_api_is_a_guard(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    sandbox.faults({"soft_404": 1.0}, "recorder")
    assert Probe(sandbox.url, tmp_path)("recorder").code == 5
    assert sandbox.stats()["recorder"]["requests"] == 1


def test_parcels_that_are_named_are_asked_for(tmp_path: Path, county: Start) -> None:
    sandbox = county(track=True)
    apns = County().apns(5)[3:]
    probed = Probe(sandbox.url, tmp_path)(
        "assessor", "--apn", apns[0], "--apn", f"{apns[1][:3]}-{apns[1][3:5]}-{apns[1][5:]}"
    )
    assert probed.code == 0, probed.out
    assert set(apns) <= sandbox.stats()["assessor"]["fetched"].keys()


def test_many_parcels_stay_within_the_dozen(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    parcels = [argument for apn in County().apns(8) for argument in ("--apn", apn)]
    probed = Probe(sandbox.url, tmp_path)("assessor", *parcels)
    assert sandbox.stats()["assessor"]["requests"] == MOST_COUNTED
    assert probed.findings("assessor")["all that was planned is asked"]["held"] is None
    refused = Probe(sandbox.url, tmp_path)("assessor", *parcels, "--apn", County().apns(9)[8])
    assert refused.code == 2
    assert "8 at most" in refused.errors


def test_a_source_that_is_not_there_is_told(tmp_path: Path, county: Start) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["base_url"] = "http://127.0.0.1:9"

    environment = _settings(tmp_path / "settings", "recorder", change)
    probed = Probe("", tmp_path, environment=environment)("recorder")
    assert probed.code == 3, probed.out + probed.errors
    assert any("127.0.0.1" in evidence for evidence in probed.broken("recorder").values())


MISTAKES = [
    (("nonsense",), "there is no source nonsense"),
    (("assessor", "--apn", "12-34"), "'12-34' is not an APN"),
    (("assessor", "-s", "DOWNLOAD_DELAY=0"), "MARICOPA_RATE_LIMIT"),
    (("assessor", "-s", "MARICOPA_RATE_LIMIT=fast"), "not a number"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_asked(
    tmp_path: Path, county: Start, arguments: tuple[str, ...], words: str
) -> None:
    sandbox = county()
    probed = Probe(sandbox.url, tmp_path, rate=None)(*arguments)
    assert probed.code == 2
    assert words in probed.errors
    assert len(probed.errors.splitlines()) == 1
    assert all(one["requests"] == 0 for one in sandbox.stats().values())


def test_without_a_terminal_it_wants_a_yes(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    probed = Probe(sandbox.url, tmp_path)("assessor", yes=False)
    assert probed.code == 2
    assert "--yes" in probed.errors
    assert len(probed.errors.splitlines()) == 1
    assert sandbox.stats()["assessor"]["requests"] == 0
    assert not list(probed.folder.iterdir())


def test_a_source_without_its_token_is_left_out_and_when_named_refused(tmp_path: Path) -> None:
    named = Probe("", tmp_path, rate=None)("assessor", yes=False)
    assert named.code == 2
    assert "MARICOPA_ASSESSOR_TOKEN is not set" in named.errors
    unnamed = Probe("", tmp_path, rate=None)(yes=False)
    assert unnamed.code == 2
    assert "assessor is left out: MARICOPA_ASSESSOR_TOKEN is not set" in " ".join(unnamed.out.split())
    assert "nobody can be asked" in unnamed.errors
    # A faster pace is for the sandbox alone.
    fast = Probe("", tmp_path, rate=5)("recorder")
    assert fast.code == 2
    assert "for the sandbox only" in fast.errors


def test_who_says_no_at_the_terminal_asks_nothing(tmp_path: Path, county: Start) -> None:
    sandbox = county()
    ours, theirs = os.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")}
    asking = subprocess.Popen(
        [sys.executable, "-m", "maricopa_scrapy", "probe", "assessor", "--out", str(tmp_path)],
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment | {"MARICOPA_SANDBOX": sandbox.url},
    )
    os.write(ours, b"n\n")
    said, _ = asking.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 0, said
    assert said.index("To ask") < said.index("Begin?")
    assert sandbox.stats()["assessor"]["requests"] == 0
    assert not list(tmp_path.iterdir())
