"""Is what a job brought as much as a healthy one brings? The floors stand in the source's manifest."""

import logging
from collections.abc import Iterator, Mapping, Sequence

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.tables import RECORDS, Table, table_of
from maricopa_scrapy.items import Floor

logger = logging.getLogger(__name__)

# What is asked for again (a document whose names were not indexed) was counted when it was asked for first.
_ASKED = """
    SELECT count(*) FROM crawl.target WHERE job_id = %(job)s AND source = %(source)s AND kind = %(kind)s
      AND state = 'done'
    AND (%(file)s IS NULL OR detail ->> 'file' = %(file)s) AND NOT coalesce(detail ? 'again', false)
"""
_ENDED = """
    SELECT j.id, t.source FROM crawl.job j JOIN crawl.target t ON t.job_id = j.id
    WHERE j.state = 'finished' AND t.source = ANY(%(sources)s) AND (%(job)s IS NULL OR j.id = %(job)s)
    GROUP BY j.id, t.source HAVING bool_and(t.state IN ('done', 'gone', 'dead')) ORDER BY j.id, t.source
"""


def table_named(name: str) -> Table | None:
    """Return the table of that name, None when no record class has it."""
    return next((table_of(record) for record in RECORDS if record.table == name), None)


def mistake(floors: Sequence[Floor]) -> str | None:
    """Say which table or column of the floors there is not."""
    for floor in floors:
        table = table_named(floor.table)
        if table is None:
            return f"floors: there is no table {floor.table}"
        for column in floor.filled:
            if column not in table.fields:
                return f"floors: {floor.table} has no column {column}"
    return None


def note_shortfall(
    cursor: Cursor, run_id: int, job_id: int, source: str, floors: Sequence[Floor]
) -> str | None:
    """Note at the end of a run which floors its source is below in the job; returns them, None when there is
    none.
    """
    below = "; ".join(text for floor in floors for text in _below(cursor, job_id, source, floor)) or None
    if below:
        logger.error("below the floor of a healthy run: %s", below)
    cursor.execute("UPDATE crawl.run SET shortfall = %s WHERE id = %s", (below, run_id))
    return below


def broken(
    cursor: Cursor, job_id: int | None, of_sources: Mapping[str, Sequence[Floor]]
) -> Iterator[tuple[int, str, str]]:
    """Yield (job, source, what is short) of a finished job, or of all."""
    cursor.execute(
        _ENDED, {"job": job_id, "sources": [source for source, floors in of_sources.items() if floors]}
    )
    for job, source in cursor.fetchall():
        for floor in of_sources[source]:
            for text in _below(cursor, job, source, floor):
                yield job, source, text


def _below(cursor: Cursor, job_id: int, source: str, floor: Floor) -> Iterator[str]:
    table = table_named(floor.table)
    assert table is not None
    values = {"job": job_id, "source": source, "kind": floor.kind, "file": floor.file}
    cursor.execute(_ASKED, values)
    (asked,) = cursor.fetchone() or (0,)
    if not asked:
        return
    cursor.execute(_counts(table, floor), values)
    rows, *filled = cursor.fetchone() or (0,)
    if not rows:
        yield f"{table.name} has no row, after {asked} answers of kind {floor.kind}"
        return
    if floor.each is not None and rows < floor.each * asked and asked >= floor.least:
        yield (
            f"{table.name} has {rows} rows for {asked} answers of kind {floor.kind}; at least {floor.each:g}"
            " for each are expected"
        )
    if floor.whole is not None and rows < floor.whole and not _is_sandbox(cursor, job_id):
        yield f"{table.name} has {rows:,} rows; at least {floor.whole:,} are expected of the whole county"
    for (column, least), count in zip(floor.filled.items(), filled, strict=True):
        if rows >= floor.least and count < least * rows:
            yield (
                f"{table.name}.{column} has a value in {count / rows:.0%} of {rows} rows; at least"
                f" {least:.0%} are expected"
            )


def _counts(table: Table, floor: Floor) -> str:
    columns = "".join(f", count(r.{column})" for column in floor.filled)
    present = "r.removed_at IS NULL" if table.complete_by else "true"
    if floor.whole is not None:
        return f"SELECT count(*){columns} FROM {table.name} r WHERE {present}"
    return f"""
        SELECT count(*){columns} FROM crawl.target t JOIN {table.name} r ON r.{table.key[0]} = t.key
        WHERE t.job_id = %(job)s AND t.source = %(source)s AND t.kind = %(kind)s AND t.state = 'done'
          AND {present}
    """


def _is_sandbox(cursor: Cursor, job_id: int) -> bool:
    cursor.execute("SELECT is_sandbox FROM crawl.job WHERE id = %s", (job_id,))
    return bool((cursor.fetchone() or (False,))[0])
