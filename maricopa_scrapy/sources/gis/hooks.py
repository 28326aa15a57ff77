"""What the database does for the GIS: pages of rows in the course of a walk or a list, and what follows an
acknowledgement.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.absent_columns import pages_with_stored
from maricopa_scrapy.database.columns import Lines, array_of, joined, last_of_each_key, merge_lines
from maricopa_scrapy.database.tables import Table
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Answer, Target
from maricopa_scrapy.sources.gis import ask_absent_again, duplicates, layer_walk
from maricopa_scrapy.sources.gis.columns_ever_told import note_columns, shared_fields, told_columns
from maricopa_scrapy.sources.gis.target_details import ListDetail, RangeDetail

__all__ = ["acknowledged", "not_comparable", "one_of_each_key", "shared_fields", "store_pages", "told"]

# All rows of an APN that a layer has more than once.
MORE_ROWS = {"gis.parcel": "gis.duplicate"}
IDENTITIES = (
    "SELECT 'gis', owner_name, property_address FROM gis.parcel WHERE apn = %(apn)s AND removed_at IS NULL"
)
# Rolls are what `maricopa diff` compares.
HELD_JOBS = "SELECT job_id FROM gis.roll"


def store_pages(cursor: Cursor, run: Run, answers: Sequence[Answer]) -> None:
    """Store the pages of some answers, in the caller's transaction."""
    # By table, the kind of target, and the walk: what a walk brings is settled at its end.
    of_table: dict[tuple[Table, str, int | None], list[tuple[Target, Lines]]] = {}
    seen: list[tuple[Target, Lines, int]] = []
    # Asked once: each answer of Postgres waits for its turn beside the parser.
    known = told_columns(cursor)
    for answer in answers:
        target, detail = answer.target, answer.target.detail
        pages = [pages_with_stored(cursor, _with_told(page, known)) for page in answer.encoded.pages]
        walk = detail.walk if isinstance(detail, RangeDetail) else None
        is_again = isinstance(detail, ListDetail) and detail.again
        for page in pages:
            if page.table.name == "gis.absent" and not is_again:
                ask_absent_again.note_unfound(cursor, run, page.keys)
            else:
                of_table.setdefault((page.table, target.kind, walk), []).append((target, page))
        if walk is not None:
            seen.append((target, pages[0], answer.unkeyed))
    layer_walk.note_seen(cursor, run, seen)
    for layer, columns in {
        page.told for answer in answers for page in answer.encoded.pages if page.told is not None
    }:
        note_columns(cursor, layer, columns)
    for (table, kind, walk), parts in of_table.items():
        rows = joined([page for _, page in parts])
        if table.name != "gis.parcel":
            merge_lines(cursor, run, last_of_each_key(rows))
        elif walk is not None:
            merge_lines(
                cursor, run, duplicates.without_known(cursor, rows), partial(duplicates.keep_replaced, cursor)
            )
        else:
            cursor.execute("DELETE FROM gis.absent WHERE apn = ANY(%s::text[])", (array_of(rows.keys),))
            # A list has all rows of its APNs; of the deeds since a day that is not known.
            withhold = partial(duplicates.keep_replaced, cursor)
            if kind == "range":
                withhold = partial(duplicates.without_doubtful, cursor, run, parts[0][0])
            merge_lines(cursor, run, duplicates.lowest_of_each(rows), withhold)


def told(
    cursor: Cursor, table: Table, absent: dict[str, frozenset[int] | None]
) -> dict[str, frozenset[int] | None]:
    """Return those of the absent columns that any layer has told: in no row do the others have a value."""
    if table.name != "gis.parcel":
        return absent
    columns = told_columns(cursor)
    return {column: spots for column, spots in absent.items() if column in columns}


def _with_told(page: Lines, columns: Collection[str]) -> Lines:
    if page.table.name != "gis.parcel":
        return page
    return replace(page, absent={name: spots for name, spots in page.absent.items() if name in columns})


def one_of_each_key(rows: Lines) -> Lines:
    """Return one row a key: of the parcels that of the lowest floor, of other tables the last."""
    return duplicates.lowest_of_each(rows) if rows.table.name == "gis.parcel" else last_of_each_key(rows)


def not_comparable(cursor: Cursor, keys: Sequence[str]) -> Collection[str]:
    """Return the APNs with several rows: only the walk that they came with knows which one stands."""
    cursor.execute("SELECT DISTINCT apn FROM gis.duplicate WHERE apn = ANY(%s)", (list(keys),))
    return {apn for (apn,) in cursor.fetchall()}


def acknowledged(cursor: Cursor, run: Run, answers: Sequence[Answer]) -> None:
    """After targets were acknowledged: begin, go on with or end their walk, and ask again for what a list did
    not bring.
    """
    for answer in answers:
        if answer.extent is not None:
            layer_walk.settle(cursor, run, answer.extent)
        elif answer.target.kind in ("extent", "doubled"):
            layer_walk.note_dead_extent(cursor, run)
    kinds = {answer.target.kind for answer in answers}
    if kinds & {"range", "ids"}:
        layer_walk.advance(cursor, run)
    if "list" in kinds:
        ask_absent_again.ask_again(cursor, run)
