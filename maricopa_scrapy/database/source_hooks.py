"""What a source does in the writer's transactions beside storing its rows: the functions of its sources/<source>/hooks.py.

They are found by the source's name, so that nothing here knows a source:

- store_pages(cursor, run, answers): in place of pages.store_pages
- acknowledged(cursor, run, answers): after the acknowledgement of their targets
- one_of_each_key(rows): in place of columns.last_of_each_key, for captures read again
- told(cursor, table, absent): of the columns that are absent, those that anybody has told, of a table that several tell
- shared_fields(cursor): as JSON, the fields that count as changes by who told before and who tells now
"""

import importlib
import importlib.util
from functools import cache
from typing import Any


@cache
def hooks_of(source: str) -> Any:
    """Return the module with the source's hooks; None where it has none."""
    try:
        found = importlib.util.find_spec(f"maricopa_scrapy.sources.{source}.hooks")
    except ModuleNotFoundError:
        return None
    return found and importlib.import_module(found.name)
