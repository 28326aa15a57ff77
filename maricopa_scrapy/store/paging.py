"""The pages of one transaction of the writer: each table's rows at once, and what a roll or a list must remember of them."""

from collections.abc import Sequence
from functools import partial

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.items import Target
from maricopa_scrapy.store import lists, roll, stacked
from maricopa_scrapy.store.absent import pages_with_stored
from maricopa_scrapy.store.columns import Lines, array_of, joined, last_of_each_key, merge_lines
from maricopa_scrapy.store.layers import note_columns
from maricopa_scrapy.store.ledger import Run
from maricopa_scrapy.store.tables import Table


def store_pages(cursor: Cursor, run: Run, answers: Sequence[tuple[Target, list[Lines], int]]) -> None:
    """Store the pages of some answers: (target, its pages, rows without a key), in the caller's transaction."""
    # By table, the kind of target, and the walk: what a walk brings is settled at its end.
    of_table: dict[tuple[Table, str, int | None], list[tuple[Target, Lines]]] = {}
    for target, pages, unkeyed in answers:
        pages = [pages_with_stored(cursor, page) for page in pages]
        detail = target.detail or {}
        walk = detail.get("walk") if target.kind == "range" else None
        for page in pages:
            if page.table.name == "gis.absent" and not detail.get("again"):
                lists.note_unfound(cursor, run, page.keys)
            else:
                of_table.setdefault((page.table, target.kind, walk), []).append((target, page))
        if walk is not None:
            roll.note_seen(cursor, run, target, pages[0], unkeyed)
    for layer, columns in {page.told for _, pages, _ in answers for page in pages if page.told is not None}:
        note_columns(cursor, layer, columns)
    for (table, kind, walk), parts in of_table.items():
        rows = joined([page for _, page in parts])
        if table.name != "gis.parcel":
            merge_lines(cursor, run, last_of_each_key(rows))
        elif walk is not None:
            merge_lines(cursor, run, stacked.without_known(cursor, rows), partial(stacked.keep_replaced, cursor))
        else:
            cursor.execute("DELETE FROM gis.absent WHERE apn = ANY(%s::text[])", (array_of(rows.keys),))
            # A list has all rows of its APNs; of the deeds since a day that is not known.
            withhold = partial(stacked.keep_replaced, cursor)
            if kind == "range":
                withhold = partial(stacked.without_doubtful, cursor, run, parts[0][0])
            merge_lines(cursor, run, stacked.lowest_of_each(rows), withhold)
