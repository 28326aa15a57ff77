"""config/*.yaml: a mistake is refused with file, key and value."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from maricopa_scrapy import configuration
from maricopa_scrapy.configuration import ConfigError
from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target = tmp_path / "config"
    shutil.copytree(ROOT / "config", target)
    monkeypatch.setenv("MARICOPA_CONFIG", str(target))
    return target


def test_the_shipped_files_are_good() -> None:
    config, manifests = configuration.load()
    assert config.batch_processing.api_rate_limit == 2.0
    assert manifests["assessor"].concurrency == 5
    treasurer = manifests["treasurer"]
    assert treasurer.page is not None
    # A tab may take as long as a working client waits, and the whole parcel both of them.
    waits = treasurer.page.timeouts
    assert waits.settle == 90
    assert treasurer.timeout >= waits.load + 2 * waits.settle


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("floor: 0.2", "floor: 3.0", r"assessor\.yaml: rate: .*floor 3\.0 is above start 1\.0"),
        ("floor: 0.2", "floor: -1", r"assessor\.yaml: rate\.floor: .*\(got -1\)"),
        ("start: 1.0", "start: fast", r"assessor\.yaml: rate\.start: .*\(got 'fast'\)"),
        ("start: 1.0", "start: .nan", r"assessor\.yaml: rate\.start"),
        ("start: 1.0", "start: yes", r"assessor\.yaml: rate\.start: .*\(got True\)"),
        ("hold_most: 300", "hold_most: -1", r"assessor\.yaml: rate\.hold_most: .*\(got -1\)"),
        ("hold: 1.0", "hold: 301", r"assessor\.yaml: rate: .*hold 301\.0 is above hold_most 300\.0"),
        ("slow_at: 4", "slow_at: 0.5", r"assessor\.yaml: rate\.slow_at: .*\(got 0\.5\)"),
        ("failures: 10", "failures: ten", r"assessor\.yaml: breaker\.failures: .*\(got 'ten'\)"),
        ("silence: 900", "silence: .inf", r"assessor\.yaml: breaker\.silence"),
        ("share: 0.1", "share: 2", r"assessor\.yaml: retries\.share: .*\(got 2\)"),
        ("source_changed: 2", "source_change: 2", r"assessor\.yaml: attempts_of\.source_change"),
        ("concurrency: 5", "concurrency: 0", r"assessor\.yaml: concurrency: .*\(got 0\)"),
        ("attempts: 5", "atempts: 5", r"assessor\.yaml: atempts: unknown key; did you mean attempts\?"),
        ("paths:", "paths: [", r"assessor\.yaml: not YAML"),
    ],
)
def test_a_bad_manifest(folder: Path, old: str, new: str, said: str) -> None:
    file = folder / "sources" / "assessor.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=said) as error:
        configuration.load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("- {at: account}", "- {at: footer}", r"page\.identity\.0\.at: .*\(got 'footer'\)"),
        ("- {at: account}", "- {at: heading}", r"page\.identity\.0: a heading has a selector"),
        (
            "- {at: account}",
            "- {at: tab, selector: a}",
            r"page\.identity\.0: a heading has a selector, and nothing else has one",
        ),
        ("    - {at: account}", "    []", r"page\.identity"),
        ("starts_with: summary", "starts_with: payments", r"page\.starts_with"),
        ("places: {summary: 0", "places: {summary: -1", r"page\.places\.summary"),
        (
            "places: {summary: 0, payments: 1}",
            "places: {summary: 0}",
            r"page: places has summary, not summary, payments",
        ),
        (
            "headings: [Tax Year, Year], kind: year",
            "kind: year",
            r"page\.columns\.summary\.tax_year: a column has headings",
        ),
        ("amount_due: {headings", "balance: {headings", r"page: columns\.summary has .*balance"),
        ("listed: lines", "listed: columns", r"page\.owners\.listed"),
        ("results: null", "results: {row: tr}", r"page\.results\.row: unknown key; did you mean rows\?"),
        ("Unpaid: unpaid", "Unpaid: open", r"page\.statuses\.Unpaid"),
        (
            "  absent_alone: false",
            "  absnt_alone: false",
            r"page\.absnt_alone: unknown key; did you mean absent_alone\?",
        ),
    ],
)
def test_a_bad_page(folder: Path, old: str, new: str, said: str) -> None:
    file = folder / "sources" / "treasurer.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"treasurer\.yaml: " + said):
        configuration.load()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "api_rate_limit: 2.0",
            "api_rate_limit: 50",
            r"config\.yaml: batch_processing\.api_rate_limit: .*\(got 50\)",
        ),
        ("api_rate_limit: 2.0", "api_rate_limit: 0.1", r"rate\.floor: 0\.2 is above api_rate_limit 0\.1"),
        (
            "api_rate_limit: 2.0",
            "api_rate_limits: 2",
            r"api_rate_limits: unknown key; did you mean api_rate_limit\?",
        ),
        (
            "scraper_rate_limit: 1.0",
            "scraper_rate_limit: -1",
            r"batch_processing\.scraper_rate_limit: .*\(got -1\)",
        ),
        (
            "scraper_rate_limit: 1.0",
            "scraper_rate_limit: 9",
            r"batch_processing\.scraper_rate_limit: .*\(got 9\)",
        ),
        ("batch_size: 500", "batch_size: many", r"writer\.batch_size: .*\(got 'many'\)"),
        ("port:   ", "port: 99999 ", r"metrics\.port: .*\(got 99999\)"),
    ],
)
def test_a_bad_config(folder: Path, old: str, new: str, said: str) -> None:
    file = folder / "config.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        configuration.load()


def test_a_folder_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MARICOPA_CONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="MARICOPA_CONFIG names .*nowhere"):
        configuration.load()


def test_scrapy_says_it_in_one_line(folder: Path) -> None:
    (folder / "config.yaml").write_text("batch_processing: {api_rate_limit: 50}\n")
    crawl = subprocess.run(
        [sys.executable, "-m", "scrapy", "crawl", "assessor", "-a", "apns=165-28-054"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert crawl.returncode != 0
    assert re.fullmatch(r"error: .*config\.yaml: batch_processing\.api_rate_limit: .*\n", crawl.stderr), (
        crawl.stderr
    )
