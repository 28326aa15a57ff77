"""Golden folders: an answer, and beside it the file of what must be read in it.

A case is tests/fixtures/<office>/<parser>/<case>/. It holds the answer (one file, or several), expected.json,
and asked.json where the parser is told more than the answer. The name of a case begins with what was asked
for, where there is such a thing: 90101001-vacant. All answers are invented.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import orjson
import pytest

from maricopa_scrapy.items import Detail, Issue, Record, Rows
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.sources.bulk.file_check import FileRefused

_SOURCES = "maricopa_scrapy.sources"
ROOT = Path(__file__).parents[1] / "fixtures"
_EXPECTED, _ASKED = "expected.json", "asked.json"
_OPTIONS = (
    orjson.OPT_INDENT_2
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


@dataclass(frozen=True)
class Case:
    """One golden folder."""

    folder: Path

    @property
    def name(self) -> str:
        """Office, parser and case."""
        return "/".join(self.folder.parts[-3:])

    @property
    def parser(self) -> str:
        """Office and parser."""
        return self.name.rpartition("/")[0]

    @property
    def key(self) -> str:
        """What was asked for."""
        return self.folder.name.partition("-")[0]

    @cached_property
    def asked(self) -> dict[str, Any]:
        """What else the parser is told."""
        file = self.folder / _ASKED
        return dict(orjson.loads(file.read_bytes())) if file.exists() else {}

    @property
    def is_refused(self) -> bool:
        """Whether it is expected to be no answer."""
        file = self.folder / _EXPECTED
        return file.exists() and file.read_bytes().startswith(b'{\n  "error": ')

    @property
    def files(self) -> list[Path]:
        """The files of the answer."""
        return [file for file in sorted(self.folder.iterdir()) if file.name not in (_EXPECTED, _ASKED)]

    @property
    def body(self) -> bytes:
        """The answer that is one file."""
        (file,) = self.files
        return file.read_bytes()


def cases(root: Path = ROOT) -> list[Case]:
    """Return all cases, in order."""
    return [Case(folder) for folder in sorted(root.glob("*/*/*")) if folder.is_dir()]


@cache
def parsers() -> dict[str, Callable[..., object]]:
    """Return each parser of an answer that the code has, by its office and what it reads."""
    found: dict[str, Callable[..., object]] = {}
    for file in sorted(Path(str(importlib.import_module(_SOURCES).__file__)).parent.glob("*/*.py")):
        # Spiders, which have none, are slow to import.
        if "\ndef parse_" not in file.read_text():
            continue
        module = importlib.import_module(f"{_SOURCES}.{file.parent.name}.{file.stem}")
        for name, one in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("parse_") and one.__module__ == module.__name__:
                found[f"{file.parent.name}/{name.removeprefix('parse_')}"] = one
    return found


def outcome(read: Callable[[], object]) -> bytes:
    """Return what a reading gives, or why it is refused, as JSON."""
    try:
        found = read()
    except (PageError, FileRefused) as error:
        found = {"error": type(error).__name__, "cause": error.cause, "message": str(error)}
    return orjson.dumps(found, default=_shown, option=_OPTIONS)


def check(case: Case, found: bytes) -> None:
    """Fail with the difference between an outcome and the expected one. Where there is none yet, write it and
    fail.
    """
    file = case.folder / _EXPECTED
    if not file.exists():
        file.write_bytes(found)
        pytest.fail(f"{file} was missing and is written: review it", pytrace=False)
    said = file.read_bytes()
    if found != said:
        lines = difflib.unified_diff(
            said.decode().splitlines(), found.decode().splitlines(), str(file), "what is read", lineterm=""
        )
        pytest.fail("\n".join(lines), pytrace=False)


def _shown(value: Any) -> Any:
    """Return what orjson does not know as something that it does."""
    if isinstance(value, Notes):
        unread = {section: str(error) for section, error in value.unread.items()}
        parts = {"new": list(value.new), "absent": list(value.absent), "unread": unread}
        return {name: part for name, part in parts.items() if part}
    if isinstance(value, Detail):
        return value.stored()
    if isinstance(value, Record):
        absent = {"absent": sorted(value.absent)} if value.absent else {}
        return {"table": value.table, **value.__dict__} | absent
    if isinstance(value, Rows):
        return _page(value)
    if is_dataclass(value):
        shown = {one.name: getattr(value, one.name) for one in fields(value)}
        if isinstance(value, Issue):
            return {name: part for name, part in shown.items() if part is not None}
        # What a person is told: the notes, and what else the answer is odd in.
        if "notes" in shown and hasattr(value, "issues"):
            shown["issues"] = value.issues
            del shown["notes"]
        return shown
    if isinstance(value, type) and issubclass(value, Record):
        return value.table
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, str | Decimal):
        return str(value)
    raise TypeError(f"nothing says how {value!r} is shown")


def _page(page: Rows) -> dict[str, Any]:
    """Return the rows, each without what is NULL in it; `absent` in all of them, `absent_at` in those at some
    positions.
    """
    rows = (zip(page.record.model_fields, row, strict=True) for row in zip(*page.columns, strict=True))
    parts: dict[str, Any] = {
        "rows": [{name: value for name, value in row if value not in (None, "")} for row in rows],
        "absent": ", ".join(name for name, at in page.absent.items() if at is None),
        "absent_at": {name: sorted(at) for name, at in page.absent.items() if at is not None},
    }
    return {"table": page.record.table} | {name: part for name, part in parts.items() if part}
