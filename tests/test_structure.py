"""The house: who may import whom, what the files are like, and that models, tables and manifests agree."""

import ast
import datetime as dt
import importlib
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings

from maricopa_scrapy.items import Cause, IssueKind, Reason
from maricopa_scrapy.manager.words import CAUSES, REASONS
from maricopa_scrapy.spiders.base import LedgerSpider
from maricopa_scrapy.store import floors
from maricopa_scrapy.store.dictionary import dictionary
from maricopa_scrapy.store.tables import RECORDS, table_of
from maricopa_scrapy.store.verdict import EXIT_CODES
from maricopa_scrapy.tiers import written
from tests import forked
from tests.conftest import ROOT, Database

PACKAGE = ROOT / "maricopa_scrapy"
MODULES = sorted(PACKAGE.rglob("*.py"))
# room: the rooms of ours that it may know (DESIGN: imports go one way).
MAY_IMPORT = {
    "identifiers": set(),
    "items": {"identifiers"},
    "pages": {"items", "identifiers"},
    "store": {"items", "identifiers"},
    "sandbox": {"environment", "identifiers"},
    "settings_files": {"items", "pages"},
    "arguments": {"identifiers", "items"},
    "lists": {"arguments", "identifiers", "items"},
    "download": {"environment", "items", "settings_files", "store"},
    "spiders": {"arguments", "download", "identifiers", "items", "lists", "pages", "settings_files", "store"},
    "pipelines": {"download", "items", "pages", "store"},
    "extensions": {"arguments", "download", "items", "lists", "settings_files", "spiders", "store", "visible"},
    "commands": {"arguments", "environment", "extensions", "overrides", "spiders", "store", "visible"},
    "settings": {"settings_files"},
    "new_file": set(),
    "visible": set(),
    "environment": set(),
    "overrides": set(),
    "dossier": {"store", "export", "identifiers", "manager", "sections", "new_file"},
    "sections": {"store", "identifiers"},
    "demo": {"store", "sandbox", "dossier", "manager", "download", "settings_files"},
    # It asks the spiders what their arguments mean, so that a job's targets are those of `scrapy crawl`.
    "manager": {"arguments", "identifiers", "items", "lists", "settings_files", "spiders", "store", "visible"},
    "terminal": {"arguments", "export", "new_file", "settings_files", "store", "visible"},
    "reparse": {"items", "pages", "download", "settings_files", "spiders", "store"},
    "tiers": {"pages"},
    "doctor": {"store", "settings_files", "download", "manager"},
    "warc": {"items", "pages", "new_file"},
    "export": {"store", "new_file"},
    "cli_records": {"store", "spiders", "arguments", "reparse", "doctor", "warc", "export", "terminal"},
    "cli_jobs": {"overrides", "store", "manager", "arguments", "settings_files", "terminal", "dossier", "spiders", "new_file"},
    "__main__": {"cli"},
    "new_source": set(),
    "probe": {"identifiers", "items", "pages", "download", "settings_files", "spiders", "new_file"},
    "cli_probe": {"identifiers", "settings_files", "settings", "spiders", "probe", "terminal"},
    "cli": {
        "cli_probe",
        "environment",
        "new_source",
        "cli_jobs",
        "cli_records",
        "terminal",
        "store",
        "dossier",
        "demo",
        "sandbox",
        "identifiers",
        "settings_files",
        "manager",
        "spiders",
    },
}


def _room(path: Path) -> str:
    return _name(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))


def _name(room: str) -> str:
    return "items" if room.startswith("items_") else room


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "maricopa_scrapy":
                names.update(f"maricopa_scrapy.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    known = {_name(name.split(".")[1]) for name in _imports(path) if name.startswith("maricopa_scrapy.")}
    assert known - {room, "__version__"} <= MAY_IMPORT[room]


def test_the_store_and_the_pages_do_not_know_scrapy() -> None:
    for room in ("store", "pages", "items.py", "identifiers.py"):
        target = PACKAGE / room
        for path in target.rglob("*.py") if target.is_dir() else [target]:
            assert not {name for name in _imports(path) if name.split(".")[0] in ("scrapy", "twisted")}, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_named_for_what_they_hold_and_stay_readable(path: Path) -> None:
    assert not re.search(r"util|helper|common|base_v\d|misc", path.stem)
    assert len(path.read_text().splitlines()) <= 420
    assert ast.get_docstring(ast.parse(path.read_text())) or not path.read_text().strip()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__"))
def test_every_bench_can_be_imported(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


def test_the_map_of_the_store_names_each_of_its_files() -> None:
    told = set(re.findall(r"\w+", ast.get_docstring(ast.parse((PACKAGE / "store" / "__init__.py").read_text())) or ""))
    assert {path.stem for path in (PACKAGE / "store").glob("*.py")} - {"__init__"} <= told


def test_every_spider_is_named_for_its_file_and_has_a_manifest() -> None:
    settings = get_project_settings()
    loader = SpiderLoader.from_settings(settings)
    names = loader.list()
    assert names
    for name in names:
        spider = loader.load(name)
        assert spider.__module__ == f"maricopa_scrapy.spiders.{name}"
        assert issubclass(spider, LedgerSpider)
        assert spider.source in settings["MARICOPA_MANIFESTS"]
        assert spider.known_arguments


def test_every_manifest_is_named_for_its_source() -> None:
    for file in (ROOT / "config" / "sources").glob("*.yaml"):
        assert yaml.safe_load(file.read_text())["source"] == file.stem


def test_every_floor_is_of_a_table_and_columns_that_there_are() -> None:
    for source, manifest in get_project_settings()["MARICOPA_MANIFESTS"].items():
        assert floors.mistake(manifest.floors) is None, source


def test_the_data_dictionary_is_what_the_records_say() -> None:
    assert (ROOT / "docs" / "data.md").read_text() == dictionary(), "run `make docs`"


def test_the_tiers_of_the_sources_are_what_the_parsers_say() -> None:
    told = (ROOT / "docs" / "sources.md").read_text()
    assert written(told) == told, "run `make docs`"


def test_the_page_of_arguments_is_what_the_spiders_say() -> None:
    shown = forked.run("scrapy", "arguments", "--markdown", environment=dict(os.environ), timeout=60)
    assert shown.stdout == (ROOT / "docs" / "arguments.md").read_text(), "run `make docs`"
    for spider in map(SpiderLoader.from_settings(get_project_settings()).load, ("tax", "sales")):
        told = forked.run("scrapy", "arguments", spider.name, environment=dict(os.environ), timeout=60).stdout
        assert all(f"    {name} " in told for name in spider.known_arguments | spider.common_arguments)


def test_an_unknown_spider_has_no_arguments() -> None:
    shown = forked.run("scrapy", "arguments", "taxes", environment=dict(os.environ), timeout=60)
    assert shown.returncode == 2
    assert "there is no spider taxes; there are affidavits, assessor" in shown.stderr


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.table)
def test_a_record_s_fields_are_its_table_s_columns(database: Database, record: type) -> None:
    table = table_of(record)
    schema, name = table.name.split(".")
    columns = database.rows(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position", schema, name,
    )  # fmt: skip
    ours = (
        ["content_hash", "capture_sha256", "first_seen_at", "changed_at"]
        + ["removed_at"] * bool(table.complete_by)
        + ["unseen_since"] * table.stays
    )
    # Columns that a later migration added stand behind.
    assert sorted(column for column, _ in columns) == sorted([*table.fields, *ours])
    json_columns = {column for column, kind in columns if kind == "jsonb"}
    assert json_columns == {table.fields[i] for i in table.json_at}
    # The writer tells new rows from known ones by their keys, as Postgres returns them.
    kinds = {str: ("text",), int: ("integer", "bigint"), dt.date: ("date",), Decimal: ("numeric",)}
    assert all(dict(columns)[key] in kinds[record.model_fields[key].annotation] for key in table.key)
    # Of a scale of its own, Postgres would write a number otherwise than it was hashed.
    assert not database.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s AND data_type = 'numeric'"
        " AND numeric_scale IS NOT NULL", schema, name,
    )  # fmt: skip
    keys = database.rows(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
        " WHERE i.indrelid = %s::regclass AND i.indisprimary", table.name,
    )  # fmt: skip
    assert {key for (key,) in keys} == set(table.key)


def _rows_of(heading: str) -> set[str]:
    """The words in the first column of the table below a heading of docs/logs.md."""
    text = (ROOT / "docs" / "logs.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {word.strip() for line in text.splitlines() if line.startswith("| ") for word in line.split("|")[1].split(",")}


WORDS = {"Verdicts": set(EXIT_CODES), "Reasons": set(Reason), "Causes of a failed target": set(Cause), "Issues": set(IssueKind)}


@pytest.mark.parametrize(("heading", "words"), WORDS.items())
def test_the_log_s_words_have_a_row_that_says_what_to_do(heading: str, words: set[str]) -> None:
    assert words
    assert words <= _rows_of(heading)


def test_every_issue_in_the_table_is_one_that_there_is() -> None:
    text = (ROOT / "docs" / "logs.md").read_text().split("\n## Issues\n")[1].split("\n\n")[1]
    named = {word.strip() for line in text.splitlines()[2:] for word in line.split("|")[1].split(",")}
    assert named == set(IssueKind)


def test_the_words_for_a_person_are_of_all_causes() -> None:
    assert set(CAUSES) == set(Cause)
    assert set(Reason) - {Reason.FINISHED} <= set(REASONS)


@pytest.mark.parametrize("file", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda file: file.name)
def test_documents_lead_to_files_that_there_are(file: Path) -> None:
    for place in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
        assert (file.parent / place).exists(), place


def test_nothing_is_unused_or_undeclared() -> None:
    for command in (("vulture",), ("deptry", "--no-ansi", ".")):
        ran = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_settings_that_guard_people_and_hosts() -> None:
    settings = get_project_settings()
    assert not settings.getbool("TELNETCONSOLE_ENABLED")
    assert not settings.getbool("REMOTE_CONTROL_ENABLED")
    assert settings.getbool("ROBOTSTXT_OBEY")
    assert settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES")
    assert settings.getfloat("DOWNLOAD_DELAY") > 0
    assert settings.getint("DOWNLOAD_MAXSIZE") <= 64 * 2**20
    assert settings.getint("CONCURRENT_ITEMS") <= 8
    for name, slot in settings["DOWNLOAD_SLOTS"].items():
        assert slot["delay"] > 0, name
        assert slot["concurrency"] <= settings.getint("CONCURRENT_REQUESTS")
