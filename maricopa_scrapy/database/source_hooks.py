"""What a source does in the writer's transactions besides storing its rows: the functions of its
sources/<source>/hooks.py.

They are found by the source's name, so that nothing here knows a source:

- store_pages(cursor, run, answers): in place of pages.store_pages
- acknowledged(cursor, run, answers): after the acknowledgement of their targets
- one_of_each_key(rows): in place of columns.last_of_each_key, for captures read again
- told(cursor, table, absent): of the columns that are absent, those that anybody has told, of a table that
  several tell
- shared_fields(cursor): as JSON, the fields that count as changes by who told before and who tells now
- MORE_ROWS: by a table's name, that of another with the same columns, which keeps further rows of its keys
- not_comparable(cursor, keys): of APNs, those that a capture read again says too little about
- IDENTITIES: SQL for (source, owner, situs address) of the parcel %(apn)s
- HELD_JOBS: SQL for the ids of jobs that stay, however old they are
- withheld_documents(cursor): the numbers of documents whose names are not shown

A source has those that it needs.
"""

import importlib
import importlib.util
import pkgutil
from functools import cache
from typing import Any


@cache
def hooks_of(source: str) -> Any:
    """Return the module with the source's hooks; None where it has none."""
    try:
        found = importlib.util.find_spec(f"maricopa_scrapy.sources.{source}.hooks")
    except ModuleNotFoundError as error:
        # Of a source without a folder of its own; a library that is missing is an error.
        if error.name != f"maricopa_scrapy.sources.{source}":
            raise
        return None
    return found and importlib.import_module(found.name)


@cache
def of_all(name: str) -> tuple[Any, ...]:
    """Return what the sources' hooks have under a name, in the order of the sources' names."""
    sources = importlib.import_module("maricopa_scrapy.sources")
    hooks = [hooks_of(part.name) for part in pkgutil.iter_modules(sources.__path__) if part.ispkg]
    return tuple(getattr(one, name) for one in hooks if hasattr(one, name))
