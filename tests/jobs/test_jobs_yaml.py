"""config/jobs.yaml: every job in every mode is made of spiders that there are, or refused with a reason;
mistakes are one line.
"""

import shutil
from itertools import product
from pathlib import Path

import pytest
import yaml
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings

from maricopa_scrapy import configuration
from maricopa_scrapy.configuration import ConfigError
from maricopa_scrapy.jobs import jobs_yaml as catalogs
from maricopa_scrapy.jobs.jobs_yaml import MODES, NoSuchJob
from tests.conftest import ROOT

JOBS = (
    "property_search",
    "comprehensive",
    "tax",
    "sales",
    "validation",
    "data_enhancement",
    "refresh",
)


def test_every_pair_has_steps_or_a_reason() -> None:
    catalog = catalogs.load()
    assert tuple(catalog.jobs) == JOBS
    spiders = SpiderLoader.from_settings(get_project_settings()).list()
    refused: list[tuple[str, str]] = []
    for job, mode in product(JOBS, MODES):
        try:
            _, how = catalog.mode(job, mode)
        except NoSuchJob as error:
            refused.append((str(error), f"{catalogs.shown(job)} has no mode {catalogs.shown(mode)}: "))
        else:
            assert {catalog.spider(step.step) for step in how.steps} <= set(spiders)
    assert all(message.startswith(begin) and len(message) > len(begin) + 20 for message, begin in refused)
    assert 0 < len(refused) < len(JOBS) * len(MODES) / 2
    # No mode without a browser opens pages, and none of pages alone asks an API.
    manifests = configuration.load()[1]
    kinds = {
        "assessor": "assessor",
        "assessor_page": "assessor_page",
        "roll": "gis",
        "tax": "treasurer",
        "sales": "recorder",
        "documents": "recorder",
        "affidavits": "bulk",
    }
    for job in JOBS:
        for mode, kind in (("api_only", "api"), ("scraping_only", "scraper")):
            steps = catalog.jobs[job].modes[mode].steps
            assert {manifests[kinds[step.step]].rate.kind for step in steps} <= {kind}


def test_names_may_be_written_with_dashes() -> None:
    catalog = catalogs.load()
    assert catalog.job("Property-Search")[0] == "property_search"
    assert catalog.mode("comprehensive", "api-then-scraping")[0] == "api_then_scraping"
    assert catalog.mode("tax", None)[0] == "scraping_only"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "api_only"}, r"jobs\.tax: the default mode api_only is refused"),
        ({"takes": ["apn"]}, r"jobs\.tax\.takes\.0: Input should be 'apns'"),
        ({"titel": "x"}, r"jobs\.tax\.titel: unknown key; did you mean title\?"),
        ({"modes": {}}, r"jobs\.tax: modes without steps or a reason: api_only"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], message: str
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("MARICOPA_CONFIG", str(tmp_path / "config"))
    file = tmp_path / "config" / "jobs.yaml"
    content = yaml.safe_load(file.read_text())
    content["jobs"]["tax"] |= change
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message) as error:
        catalogs.load()
    assert "\n" not in str(error.value)
    # A folder of an earlier version has no such file: then it is the shipped one.
    file.unlink()
    assert tuple(catalogs.load().jobs) == JOBS


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "cache_disabled",
            False,
            r"batch_processing\.cache_disabled: must be true: .* is always asked of the county",
        ),
        ("max_concurrent_job", 3, r"max_concurrent_job: unknown key; did you mean max_concurrent_jobs\?"),
        ("max_concurrent_jobs", 0, r"max_concurrent_jobs: Input should be greater"),
        ("connection_pool_size", 1, r"connection_pool_size: Input should be greater"),
    ],
)
def test_limits_of_the_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: object, message: str
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("MARICOPA_CONFIG", str(tmp_path / "config"))
    file = tmp_path / "config" / "config.yaml"
    content = yaml.safe_load(file.read_text())
    content["batch_processing"][key] = value
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        configuration.load()
