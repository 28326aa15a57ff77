"""The data dictionary, docs/data.md: each table's records as the models have them."""

import datetime as dt
import inspect
import sys
from decimal import Decimal
from types import NoneType
from typing import Any, get_args, get_origin

from maricopa_scrapy.database.tables import RECORDS
from maricopa_scrapy.items import Record

_HEAD = """# Data dictionary

Written by `make docs` from the records of `sources/*/*records.py`; a test keeps it so. NULL: the
source says nothing, or has no such column in the answer that was read. APNs are text of eight characters
and perhaps a letter, without dashes.

Each table also has `content_hash` (of the source's fields), `capture_sha256` (the answer in which these
values were first seen), `first_seen_at` and `changed_at`; tables of which a complete answer may
lack a row have `removed_at`.
"""
_TYPES: dict[Any, str] = {
    str: "text", int: "integer", float: "float", bool: "boolean", Decimal: "numeric", dt.date: "date",
    dt.datetime: "timestamptz",
    list: "jsonb", dict: "jsonb",
}  # fmt: skip


def dictionary() -> str:
    """Return the dictionary as Markdown."""
    return _HEAD + "".join(_section(record) for record in sorted(RECORDS, key=lambda record: record.table))


def _section(record: type[Record]) -> str:
    told, _, rest = inspect.cleandoc(record.__doc__ or "").partition("\n")
    _, _, what = told.partition(": ")
    text = f"{what[:1].upper()}{what[1:]}\n{rest}".strip()
    lines = [
        "",
        f"## `{record.table}`",
        "",
        text,
        "",
        f"Key: {', '.join(f'`{column}`' for column in record.key)}.",
        "",
    ]
    lines += ["| column | type | NULL |", "|---|---|---|"]
    for name, info in record.model_fields.items():
        kinds = _kinds(info.annotation)
        types = dict.fromkeys(_TYPES[kind] for kind in kinds if kind is not NoneType)
        lines.append(f"| `{name}` | {', '.join(types)} | {'yes' if NoneType in kinds else ''} |")
    return "\n".join(lines) + "\n"


def _kinds(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if isinstance(origin, type) and origin in _TYPES:
        return [origin]
    arguments = get_args(annotation)
    return [kind for argument in arguments for kind in _kinds(argument)] if arguments else [annotation]


if __name__ == "__main__":
    sys.stdout.write(dictionary())
