"""The pages of one transaction of the writer: each table's rows at once. A source may do it in its own way
(source_hooks.py).
"""

from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.absent_columns import pages_with_stored
from maricopa_scrapy.database.columns import Lines, joined, last_of_each_key, merge_lines
from maricopa_scrapy.database.tables import Table
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Answer


def store_pages(cursor: Cursor, run: Run, answers: Sequence[Answer]) -> None:
    """Store the pages of some answers, in the caller's transaction."""
    of_table: dict[tuple[Table, str], list[Lines]] = {}
    for answer in answers:
        for page in answer.encoded.pages:
            of_table.setdefault((page.table, answer.target.kind), []).append(pages_with_stored(cursor, page))
    for parts in of_table.values():
        merge_lines(cursor, run, last_of_each_key(joined(parts)))
