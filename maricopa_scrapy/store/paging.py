"""The pages of one transaction of the writer: each table's rows at once, and what a roll must remember of them."""

from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items import Target
from maricopa_scrapy.store import roll
from maricopa_scrapy.store.columns import Lines, array_of, joined, last_of_each_key, merge_lines
from maricopa_scrapy.store.ledger import Run
from maricopa_scrapy.store.stacked import Aside, lowest_of_each
from maricopa_scrapy.store.tables import Table


def store_pages(cursor: Cursor, run: Run, answers: Sequence[tuple[Target, list[Lines], int]]) -> None:
    """Store the pages of some answers: (target, its pages, rows without a key), in the caller's transaction."""
    of_table: dict[tuple[Table, int | None], list[Lines]] = {}
    ranges: dict[int, list[int]] = {}
    for target, pages, unkeyed in answers:
        walk = (target.detail or {}).get("walk") if target.kind == "range" else None
        for page in pages:
            of_table.setdefault((page.table, walk), []).append(page)
        if walk is not None:
            ranges.setdefault(walk, []).append(target.id)
            roll.note_seen(cursor, run, target, pages[0].keys, unkeyed)
    for (table, walk), parts in of_table.items():
        rows = joined(parts)
        if table.name != "gis.parcel":
            merge_lines(cursor, run, last_of_each_key(rows))
        elif walk is None:
            cursor.execute("DELETE FROM gis.absent WHERE apn = ANY(%s::text[])", (array_of(rows.keys),))
            merge_lines(cursor, run, lowest_of_each(rows))
        else:
            aside = Aside(cursor, run, walk, ranges[walk])
            merge_lines(cursor, run, aside.known(rows), aside.stored_by_this_walk)
