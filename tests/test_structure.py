"""The house: who may import whom, what the files are like, and that models, tables and manifests agree."""

import ast
import datetime as dt
import importlib
import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings
from setuptools.dist import Distribution

from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.database.data_dictionary import dictionary
from maricopa_scrapy.database.tables import RECORDS, table_of
from maricopa_scrapy.items import Cause, IssueKind, Reason, Record
from maricopa_scrapy.jobs.explanations import CAUSES, REASONS
from maricopa_scrapy.ledger import yield_floors
from maricopa_scrapy.ledger.target_states import MEANINGS, TargetState
from maricopa_scrapy.ledger.verdict import EXIT_CODES
from maricopa_scrapy.sources.parser_strictness import written
from tests.conftest import ROOT, Database
from tests.helpers import forked, golden

PACKAGE = ROOT / "maricopa_scrapy"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Each room, and the rooms of ours that it may know: only such as stand above it here, so that there is no
# circle.
MAY_IMPORT: dict[str, set[str]] = {
    "machine": set(),
    "items": set(),
    "parsing": {"items"},
    "arguments": {"items", "parsing"},
    "configuration": {"items", "parsing"},
    "settings": {"configuration"},
    "sandbox": {"machine", "parsing"},
    "database": {"items", "machine"},
    "ledger": {"database", "items", "machine"},
    "pace": {"configuration", "database", "items", "ledger"},
    "browser": {"configuration", "machine", "pace"},
    "crawl": {"arguments", "configuration", "database", "items", "ledger", "machine", "pace", "parsing"},
    "sources": {
        "arguments",
        "browser",
        "configuration",
        "crawl",
        "database",
        "items",
        "machine",
        "pace",
        "parsing",
    },
    "records": {"database", "items", "ledger", "machine", "parsing", "sources"},
    # It asks the spiders what their arguments mean, so that a job's targets are those of `scrapy crawl`.
    "jobs": {"arguments", "configuration", "crawl", "database", "items", "ledger", "machine", "records"},
    "probe": {"browser", "configuration", "crawl", "items", "machine", "pace", "parsing", "sources"},
    "cli": {
        "arguments",
        "browser",
        "configuration",
        "crawl",
        "database",
        "jobs",
        "ledger",
        "machine",
        "parsing",
        "probe",
        "records",
        "sandbox",
        "settings",
    },
    "__main__": {"cli"},
}
# The files of sources/ that know several offices.
BETWEEN_OFFICES = {"roll", "sales", "parser_strictness"}
# Whose private parts are used in no module but these, which say what they rely on.
FOREIGN = ("scrapy", "scrapy_playwright", "playwright", "twisted")
INTERNALS = ("pace/scrapy_internals.py", "browser/playwright_internals.py")


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
    known = {name.split(".")[1] for name in _imports(path) if name.startswith("maricopa_scrapy.")}
    assert known - {room, "__version__"} <= MAY_IMPORT[room]


def test_the_house_has_few_rooms_and_few_doors_and_no_circle() -> None:
    rooms = list(MAY_IMPORT)
    for at, room in enumerate(rooms):
        assert MAY_IMPORT[room] <= set(rooms[:at]), room
    assert len(rooms) <= 20
    assert sum(map(len, MAY_IMPORT.values())) <= 75


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if _room(path) == "sources"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_an_office_knows_no_other_office(path: Path) -> None:
    office = path.relative_to(PACKAGE / "sources").parts[0].removesuffix(".py")
    known = {name.split(".")[2] for name in _imports(path) if name.startswith("maricopa_scrapy.sources.")} - {
        office
    }
    assert office in BETWEEN_OFFICES or not known


@pytest.mark.parametrize("room", ["database", "ledger", "crawl"])
def test_no_statement_outside_of_the_sources_names_a_table_of_theirs(room: str) -> None:
    schemas = "|".join(sorted({table_of(record).schema for record in RECORDS}))
    for path in (PACKAGE / room).rglob("*.py"):
        texts = [
            node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
        ]
        assert not [
            text for text in texts if isinstance(text, str) and re.search(rf"\b({schemas})\.", text)
        ], path


def test_the_database_and_the_parsers_do_not_know_scrapy() -> None:
    for room in ("database", "ledger", "parsing", "records", "items.py"):
        target = PACKAGE / room
        for path in target.rglob("*.py") if target.is_dir() else [target]:
            assert not {name for name in _imports(path) if name.split(".")[0] in ("scrapy", "twisted")}, path


def _defined(tree: ast.AST) -> set[str]:
    """The names that code gives: to its functions, and to what its objects keep."""
    functions = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    fields = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return (
        functions
        | fields
        | {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
    )


def _private(names: Iterable[str]) -> set[str]:
    # A named tuple's methods are public, and have the underscore lest they be taken for fields.
    return {name for name in names if re.match("_(?!_)", name)} - {"_asdict", "_fields", "_replace"}


@cache
def _private_parts(foreign: type) -> set[str]:
    """The names with an underscore of the methods of a class of others', and of what its objects keep."""
    return _private(_defined(ast.parse(textwrap.dedent(inspect.getsource(foreign)))))


def test_nothing_private_of_scrapy_is_used_but_in_the_modules_for_it() -> None:
    own = set().union(*(_defined(ast.parse(path.read_text())) for path in MODULES))
    for path in MODULES:
        if path.relative_to(PACKAGE).as_posix() not in INTERNALS:
            nodes = list(ast.walk(ast.parse(path.read_text())))
            used = {node.attr for node in nodes if isinstance(node, ast.Attribute)} - own
            for node in nodes:
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FOREIGN:
                    used.update(
                        *(alias.name.split(".") for alias in node.names), (node.module or "").split(".")
                    )
            assert not _private(used), path


def test_no_class_bends_what_is_private_of_its_base_from_scrapy() -> None:
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if path.stem == "__main__" or path.relative_to(PACKAGE).as_posix() in INTERNALS:
            continue
        for ours in vars(importlib.import_module(name)).values():
            if isinstance(ours, type) and ours.__module__ == name:
                bases = [base for base in ours.__mro__ if base.__module__.split(".")[0] in FOREIGN]
                tree = ast.parse(textwrap.dedent(inspect.getsource(ours)))
                used = _defined(tree) | {
                    node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                }
                assert not used & set().union(*map(_private_parts, bases)), ours


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_named_for_what_they_hold_and_stay_readable(path: Path) -> None:
    assert not re.search(r"util|helper|common|base_v\d|misc", path.stem)
    assert len(path.read_text().splitlines()) <= 500
    assert ast.get_docstring(ast.parse(path.read_text())) or not path.read_text().strip()


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")
)
def test_every_bench_can_be_imported(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("room", ["database", "ledger"])
def test_the_map_of_a_room_names_each_of_its_files(room: str) -> None:
    told = set(
        re.findall(r"\w+", ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or "")
    )
    assert {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"} <= told


def test_every_spider_stands_in_the_folder_of_its_office_and_has_a_manifest() -> None:
    settings = get_project_settings()
    loader = SpiderLoader.from_settings(settings)
    names = loader.list()
    assert names
    for name in names:
        spider = loader.load(name)
        assert re.fullmatch(
            r"maricopa_scrapy\.sources\.(\w+\.(\w+_)?spider|roll|sales)", spider.__module__
        ), name
        assert issubclass(spider, LedgerSpider)
        assert spider.source in settings["MARICOPA_MANIFESTS"]
        assert spider.known_arguments


@pytest.mark.parametrize("parser", golden.parsers())
def test_every_parser_has_golden_folders_of_what_it_reads_and_of_what_it_refuses(parser: str) -> None:
    found = [case.is_refused for case in golden.cases() if case.parser == parser]
    assert len(found) > 2
    assert set(found) == {True, False}


def test_every_manifest_is_named_for_its_source() -> None:
    for file in (ROOT / "config" / "sources").glob("*.yaml"):
        assert yaml.safe_load(file.read_text())["source"] == file.stem


def test_every_floor_is_of_a_table_and_columns_that_there_are() -> None:
    for source, manifest in get_project_settings()["MARICOPA_MANIFESTS"].items():
        assert yield_floors.mistake(manifest.floors) is None, source


def test_the_data_dictionary_is_what_the_records_say() -> None:
    assert (ROOT / "docs" / "data.md").read_text() == dictionary(), "run `make docs`"


def test_the_tiers_of_the_sources_are_what_the_parsers_say() -> None:
    told = (ROOT / "docs" / "sources.md").read_text()
    assert written(told) == told, "run `make docs`"


def test_the_page_of_arguments_is_what_the_spiders_say() -> None:
    shown = forked.run("scrapy", "arguments", "--markdown", environment=dict(os.environ), timeout=60)
    assert shown.stdout == (ROOT / "docs" / "arguments.md").read_text(), "run `make docs`"
    for spider in map(SpiderLoader.from_settings(get_project_settings()).load, ("tax", "sales")):
        assert issubclass(spider, LedgerSpider)
        told = forked.run("scrapy", "arguments", spider.name, environment=dict(os.environ), timeout=60).stdout
        assert all(f"    {name} " in told for name in spider.known_arguments | spider.common_arguments)


def test_an_unknown_spider_has_no_arguments() -> None:
    shown = forked.run("scrapy", "arguments", "taxes", environment=dict(os.environ), timeout=60)
    assert shown.returncode == 2
    assert "there is no spider taxes; there are affidavits, assessor" in shown.stderr


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.table)
def test_a_record_s_fields_are_its_table_s_columns(database: Database, record: type[Record]) -> None:
    table = table_of(record)
    schema, name = table.name.split(".")
    columns = database.rows(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        schema,
        name,
    )
    ours = (
        ["content_hash", "capture_sha256", "first_seen_at", "changed_at"]
        + ["removed_at"] * bool(table.complete_by)
        + ["unseen_since"] * table.stays
    )
    # Columns that a later migration adds stand behind.
    assert sorted(column for column, _ in columns) == sorted([*table.fields, *ours])
    json_columns = {column for column, kind in columns if kind == "jsonb"}
    assert json_columns == {table.fields[i] for i in table.json_at}
    # The writer tells new rows from known ones by their keys, as Postgres returns them.
    kinds: dict[Any, tuple[str, ...]] = {
        str: ("text",),
        int: ("integer", "bigint"),
        dt.date: ("date",),
        Decimal: ("numeric",),
    }
    assert all(dict(columns)[key] in kinds[record.model_fields[key].annotation] for key in table.key)
    # Of a scale of its own, Postgres would write a number otherwise than it was hashed.
    assert not database.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s AND "
        "data_type = 'numeric'"
        " AND numeric_scale IS NOT NULL",
        schema,
        name,
    )
    keys = database.rows(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = "
        "ANY(i.indkey)"
        " WHERE i.indrelid = %s::regclass AND i.indisprimary",
        table.name,
    )
    assert {key for (key,) in keys} == set(table.key)


def _rows_of(heading: str) -> set[str]:
    """The words in the first column of the table below a heading of docs/logs.md."""
    text = (ROOT / "docs" / "logs.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {
        word.strip()
        for line in text.splitlines()
        if line.startswith("| ")
        for word in line.split("|")[1].split(",")
    }


WORDS = {
    "Verdicts": set(EXIT_CODES),
    "Reasons": set(Reason),
    "Causes of a failed target": set(Cause),
    "Issues": set(IssueKind),
}


@pytest.mark.parametrize(("heading", "words"), WORDS.items())
def test_the_log_s_words_have_a_row_that_says_what_to_do(heading: str, words: set[str]) -> None:
    assert words
    assert words <= _rows_of(heading)


def test_every_issue_in_the_table_is_one_that_there_is() -> None:
    text = (ROOT / "docs" / "logs.md").read_text().split("\n## Issues\n")[1].split("\n\n")[1]
    named = {word.strip() for line in text.splitlines()[2:] for word in line.split("|")[1].split(",")}
    assert named == set(IssueKind)


def test_the_states_of_a_target_are_those_of_its_table() -> None:
    (allowed,) = re.findall(
        r"CHECK \(state IN \(('pending', 'leased'[^)]*)\)", (PACKAGE / "ledger" / "schema.sql").read_text()
    )
    assert re.findall(r"\w+", allowed) == list(TargetState) == list(MEANINGS)


def test_the_words_for_a_person_are_of_all_causes() -> None:
    assert set(CAUSES) == set(Cause)
    assert set(Reason) - {Reason.FINISHED} <= set(REASONS)


@pytest.mark.parametrize(
    "file", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda file: file.name
)
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


def test_an_installed_package_has_every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    shipped = {Path(path).resolve() for path in build.get_outputs(include_bytecode=False)}
    placed = {path.relative_to(Path(build.build_lib).resolve()) for path in shipped}
    ours = {
        path.relative_to(ROOT)
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= placed, "`packages` or `package-data` in pyproject.toml"
