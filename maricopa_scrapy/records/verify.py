"""Does the database agree with itself? The ledger's identity, and the tie between rows, captures and
targets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.row_hash import columns_of, other_lines, touched
from maricopa_scrapy.database.rows import named
from maricopa_scrapy.database.tables import RECORDS, Table, table_of
from maricopa_scrapy.items import Floor, Record
from maricopa_scrapy.ledger import yield_floors
from maricopa_scrapy.ledger.lost_runs import SILENCE_S
from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.sources.assessor.public_page_records import PageParcel
from maricopa_scrapy.sources.assessor.records import Parcel
from maricopa_scrapy.sources.recorder.records import Image, LegacyDocument
from maricopa_scrapy.sources.treasurer.records import TaxAccount

# (source, kind of target): the table that has a row under the target's key when it is done, unless this
# section was unread.
OWN_ROW: dict[tuple[str, str], tuple[type[Record], str]] = {
    ("assessor", "parcel"): (Parcel, "parcel"),
    ("assessor_page", "parcel"): (PageParcel, "parcel"),
    ("treasurer", "parcel"): (TaxAccount, "account"),
}

# Of each table, so many keys are named; the others are counted.
_SHOWN = 10
_CHUNK = 5_000

_IDENTITY = """
    SELECT j.id, j.enumerated, count(t.id) FROM crawl.job j LEFT JOIN crawl.target t ON t.job_id = j.id
    WHERE %(job)s IS NULL OR j.id = %(job)s
    GROUP BY j.id, j.enumerated HAVING j.enumerated <> count(t.id)
"""
_EMPTY_DONE = """
    SELECT job_id, source, kind, key, count(*) OVER () FROM crawl.target
    WHERE state = 'done' AND coalesce(rows, 0) = 0 AND unread IS NULL
      AND (%(job)s IS NULL OR job_id = %(job)s) ORDER BY id LIMIT %(shown)s
"""
_ROWLESS_DONE = """
    SELECT t.job_id, t.key, count(*) OVER () FROM crawl.target t
    WHERE t.state = 'done' AND t.source = %(source)s AND t.kind = %(kind)s
      AND (%(job)s IS NULL OR t.job_id = %(job)s)
      AND NOT coalesce(%(section)s = ANY(t.unread), false)
      AND NOT EXISTS (SELECT FROM {table} p WHERE p.{key} = t.key) ORDER BY t.id LIMIT %(shown)s
"""
_UNREAD = """
    SELECT t.job_id, t.source, section, count(*), min(t.key) AS key FROM crawl.target t
    CROSS JOIN LATERAL unnest(t.unread) AS section
    WHERE t.unread IS NOT NULL AND (%(job)s IS NULL OR t.job_id = %(job)s)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 4 DESC, 3
"""
_ORPHANS = """
    SELECT {key}, encode(r.capture_sha256, 'hex'), count(*) OVER () FROM {table} r
    WHERE NOT EXISTS (SELECT FROM crawl.target_capture t
        WHERE t.state = 'done' AND t.sha256 = r.capture_sha256)
    ORDER BY {order} LIMIT %(shown)s
"""
_UNCAPTURED = """
    SELECT {key}, encode(r.capture_sha256, 'hex'), count(*) OVER () FROM {table} r
    WHERE NOT EXISTS (SELECT FROM crawl.capture c WHERE c.sha256 = r.capture_sha256) {scope}
    ORDER BY {order} LIMIT %(shown)s
"""
_OF_JOB = "AND r.capture_sha256 IN (SELECT t.sha256 FROM crawl.target_capture t WHERE t.job_id = %(job)s)"
_UNEVEN_ROLL = """
    SELECT job_id, walk, row_count, received, parcels + duplicates + unkeyed AS accounted FROM gis.roll
    WHERE state = 'complete' AND (received <> row_count OR received <> parcels + duplicates + unkeyed)
      AND (%(job)s IS NULL OR job_id = %(job)s)
"""
_OPEN_ROLL = """
    SELECT r.job_id, r.walk FROM gis.roll r JOIN crawl.job j ON j.id = r.job_id
    WHERE r.state = 'open' AND j.state = 'finished' AND (%(job)s IS NULL OR r.job_id = %(job)s)
"""
# A search that came short was halved; the halves, all of them whole by their own totals, have fewer rows than
# it said.
_UNEVEN_WINDOWS = """
    SELECT w.query, w.since, w.until, w.total, sum(p.row_count) AS rows FROM recorder.search_window w
    JOIN recorder.search_window p ON p.query = w.query AND p.since >= w.since AND p.until <= w.until
      AND p.state <> 'split'
    WHERE w.state = 'split' AND w.total <= 500 AND (%(job)s IS NULL OR w.capture_sha256 IN
          (SELECT t.sha256 FROM crawl.target_capture t WHERE t.job_id = %(job)s))
    GROUP BY w.query, w.since, w.until, w.total
    HAVING sum(p.row_count) < w.total AND bool_and(p.state IN ('complete', 'walked'))
    ORDER BY 1, 2, 3 LIMIT %(shown)s
"""
_STALE_LEASES = """
    SELECT t.job_id, t.run_id, r.state, count(*),
           (array_agg(t.source || ' ' || t.kind || ' ' || t.key ORDER BY t.id))[1:3] AS examples
    FROM crawl.target t LEFT JOIN crawl.run r ON r.id = t.run_id
    WHERE t.state = 'leased' AND (%(job)s IS NULL OR t.job_id = %(job)s)
      AND (r.state IS DISTINCT FROM 'running' OR r.heartbeat_at < now() - make_interval(secs => %(silence)s))
    GROUP BY t.job_id, t.run_id, r.state ORDER BY 1, 2
"""
_SILENT_RUNS = """
    SELECT r.id, r.job_id, r.spider, r.heartbeat_at FROM crawl.run r
    WHERE r.state = 'running' AND r.heartbeat_at < now() - make_interval(secs => %(silence)s)
      AND (%(job)s IS NULL OR r.job_id = %(job)s)
      AND NOT EXISTS (SELECT FROM crawl.target t WHERE t.job_id = r.job_id AND t.state = 'leased'
          AND t.run_id = r.id) ORDER BY 1
"""
_NOBODY_S_CHANGES = """
    SELECT run_id, count(*), (array_agg(table_name || ' ' || key::text || ' ' || field ORDER BY id))[1]
    FROM crawl.change c
    WHERE NOT EXISTS (SELECT FROM crawl.run r WHERE r.id = c.run_id)
    GROUP BY run_id ORDER BY run_id LIMIT %(shown)s
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not agree: where, which key, what, and what to do about it."""

    table: str
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.table}: {self.key}: {self.message}; {self.remedy}"


def problems(
    session: Session, job_id: int | None = None, of_sources: Mapping[str, Sequence[Floor]] | None = None
) -> list[str]:
    """Return what does not agree, a sentence each; an empty list when all does. `of_sources`: the floors of
    each source.
    """
    return [str(problem) for problem in check(session, job_id, of_sources)]


def unread(session: Session, job_id: int | None = None) -> list[str]:
    """Return what could not be read of answers that are stored in part, a line each: no contradiction, but
    something is missing.
    """

    def work(cursor: Cursor) -> list[str]:
        cursor.execute(_UNREAD, {"job": job_id})
        return [
            f"job {of.job_id}: {of.source}: section {of.section} of {of.count:,} answers could not be read,"
            f" the first of {of.key}; `maricopa issues {of.job_id}` says why, `maricopa reparse --source"
            f" {of.source}` reads them after a mend, `maricopa retry {of.job_id} --unread` asks again"
            for of in named(cursor)
        ]

    return session.transact(work)


def check(
    session: Session,
    job_id: int | None = None,
    of_sources: Mapping[str, Sequence[Floor]] | None = None,
    is_quick: bool = False,
) -> list[Problem]:
    """Return what does not agree, of a job or of the whole database. `is_quick`: the ledger, leases, rolls
    and floors alone; no row is read for its capture or its hash.
    """

    def work(cursor: Cursor) -> list[Problem]:
        values = {"job": job_id, "silence": SILENCE_S, "shown": _SHOWN}
        tables = [table_of(record) for record in RECORDS]
        found: list[Problem] = []
        progress_line.doing("verify: leases of runs")
        found += leases(cursor, job_id)
        for part in _QUICK if is_quick else _PARTS:
            progress_line.doing(f"verify: {part.__name__.strip('_').replace('_', ' ')}")
            found += part(cursor, values)
        for table in () if is_quick else tables:
            progress_line.doing(f"verify: captures of {table.name}")
            found += _origins(cursor, table, values)
        progress_line.doing("verify: floors of jobs")
        for job, source, floor in yield_floors.broken(cursor, job_id, of_sources or {}):
            found.append(
                Problem(
                    "crawl.job",
                    f"job {job}",
                    f"{source}: {floor}",
                    f"look at `maricopa issues {job}`, then collect again",
                )
            )
        return found

    found = session.transact(work)
    for record in () if is_quick else RECORDS:
        found += _tampered(session, table_of(record), job_id)
    return found


def _counts(cursor: Cursor, values: dict[str, Any]) -> Iterator[Problem]:
    cursor.execute(_IDENTITY, values)
    for job, enumerated, targets in cursor.fetchall():
        message = f"{enumerated} targets were accepted, {targets} are there"
        yield Problem(
            "crawl.target",
            f"job {job}",
            message,
            "targets were added or deleted by hand: give the list to a new job",
        )


def _targets(cursor: Cursor, values: dict[str, Any]) -> Iterator[Problem]:
    cursor.execute(_EMPTY_DONE, values)
    yield from _listed(
        cursor,
        "crawl.target",
        lambda job, source, kind, key: Problem(
            "crawl.target",
            f"job {job}",
            f"{kind} {key} is done, but its answer held nothing",
            f"ask {source} for it again, in a new job",
        ),
    )
    for (source, kind), (record, section) in OWN_ROW.items():
        table = table_of(record)
        cursor.execute(
            _ROWLESS_DONE.format(table=table.name, key=table.key[0]),
            {**values, "source": source, "kind": kind, "section": section},
        )
        remedy = f"`maricopa reparse --source {source}` reads its capture again"
        message = f"is done, but has no row in {table.name}"
        yield from _listed(
            cursor,
            table.name,
            lambda job, key, t=table, m=f"{kind} {{}} {message}", r=remedy: Problem(
                t.name, f"job {job}", m.format(key), r
            ),
        )


def leases(cursor: Cursor, job_id: int | None) -> list[Problem]:
    """Return what runs that are gone still hold, and those that never said that they ended."""
    return list(_leases(cursor, {"job": job_id, "silence": SILENCE_S}))


def _leases(cursor: Cursor, values: dict[str, Any]) -> Iterator[Problem]:
    cursor.execute(_STALE_LEASES, values)
    for held in named(cursor):
        who = f"leased by a run that is gone (run {held.run_id}, {held.state or 'unknown'})"
        yield Problem(
            "crawl.target",
            f"job {held.job_id}",
            f"{held.count} targets are {who}: {', '.join(held.examples)}",
            f"`-a job={held.job_id}` takes them up",
        )
    cursor.execute(_SILENT_RUNS, values)
    for run in named(cursor):
        remedy = f"`scrapy crawl {run.spider} -a job={run.job_id}` notes it as lost and goes on"
        yield Problem(
            "crawl.run",
            f"run {run.id}",
            f"is said to run, and is silent since {run.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC",
            remedy,
        )


def _rolls(cursor: Cursor, values: dict[str, Any]) -> Iterator[Problem]:
    cursor.execute(_UNEVEN_ROLL, values)
    for roll in named(cursor):
        message = (
            f"the layer had {roll.row_count} rows, {roll.received} came, {roll.accounted} are accounted for"
        )
        where = f"job {roll.job_id}, walk {roll.walk}"
        yield Problem("gis.roll", where, message, "`scrapy crawl roll` makes a new one")
    cursor.execute(_OPEN_ROLL, values)
    for job, walk in cursor.fetchall():
        yield Problem(
            "gis.roll",
            f"job {job}, walk {walk}",
            "the job ended and the walk did not",
            f"`-a job={job}` takes it up",
        )


def _windows(cursor: Cursor, values: dict[str, Any]) -> Iterator[Problem]:
    cursor.execute(_UNEVEN_WINDOWS, values)
    for window in named(cursor):
        message = f"{window.total} rows were reported, and the days of it have {window.rows}"
        yield Problem(
            "recorder.search_window",
            f"{window.query} {window.since} to {window.until}",
            message,
            "`scrapy crawl documents` of these days asks again",
        )


def _changes(cursor: Cursor, values: dict[str, Any]) -> Iterator[Problem]:
    if values["job"] is None:
        cursor.execute(_NOBODY_S_CHANGES, values)
        for run, count, example in cursor.fetchall():
            message = f"{count} changes are of a run that the ledger does not have, the first of {example}"
            yield Problem(
                "crawl.change",
                f"run {run}",
                message,
                "they were written by hand: delete them, or put the run back",
            )


# What is looked at beside the rows; of a quick look that which the ledger alone tells.
_QUICK = (_counts, _rolls, _windows)
_PARTS = (_counts, _targets, _rolls, _windows, _changes)


def _origins(cursor: Cursor, table: Table, values: dict[str, Any]) -> Iterator[Problem]:
    names = {
        "table": table.name,
        "key": _key_of(table),
        "order": ", ".join(f"r.{column}" for column in table.key),
    }
    again = f"collect it again, or delete it: DELETE FROM {table.name} WHERE ..."
    if values["job"] is None:
        cursor.execute(_ORPHANS.format(**names), values)
        yield from _listed(
            cursor,
            table.name,
            lambda key, sha: Problem(
                table.name,
                key,
                f"a row whose capture belongs to no finished target (capture {sha[:12]})",
                again,
            ),
        )
    cursor.execute(_UNCAPTURED.format(**names, scope=_OF_JOB if values["job"] is not None else ""), values)
    yield from _listed(
        cursor,
        table.name,
        lambda key, sha: Problem(
            table.name, key, f"a row whose capture is not there (capture {sha[:12]})", again
        ),
    )


def _tampered(session: Session, table: Table, job_id: int | None) -> list[Problem]:
    """Rows whose hash, taken again of what is stored, is not the one next to them."""
    scope = "" if job_id is None else f"WHERE true {_OF_JOB % {'job': job_id}}"
    found: list[str] = []
    count = 0
    with session.snapshot() as connection, connection.cursor() as cursor:
        progress_line.doing(f"verify: values of {table.name}", _about(cursor, table))
        others = other_lines(cursor, table, scope, progress_line.done)
        progress_line.doing(f"verify: values of {table.name} once more", len(others))
        for at in range(0, len(others), _CHUNK):
            cursor.execute(
                f"SELECT {columns_of(table)}, encode(r.content_hash, 'hex') FROM {table.name} r"
                " WHERE r.ctid = ANY(%s::tid[])",
                (others[at : at + _CHUNK],),
            )
            for row in touched(table, cursor.fetchall()):
                count += 1
                if len(found) < _SHOWN:
                    found.append(
                        " ".join(
                            f"{column}={row[at]}" for column, at in zip(table.key, table.key_at, strict=True)
                        )
                    )
            progress_line.done(at)
    remedy = _put_back(table)
    problems = [
        Problem(table.name, key, "a row that was altered: its values are not those that were hashed", remedy)
        for key in found
    ]
    return problems + _others(table.name, count - len(found))


def _about(cursor: Cursor, table: Table) -> int:
    cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", (table.name,))
    ((rows,),) = cursor.fetchall()
    return max(0, int(rows))


def _put_back(table: Table) -> str:
    if table.schema == "bulk":
        return "its file, loaded again, puts it back"
    if table.name == Image.table:
        return "`scrapy crawl documents -a pdf=yes` asks for the scan again"
    source = "recorder_legacy" if table.name == LegacyDocument.table else table.schema
    return f"`maricopa reparse --source {source}` puts back what its capture says"


def _key_of(table: Table) -> str:
    parts = [f"'{column}=' || r.{column}::text" for column in table.key]
    return f"concat_ws(' ', {', '.join(parts)})"


def _listed(cursor: Cursor, table: str, of: Callable[..., Problem]) -> Iterator[Problem]:
    """Yield a problem for each row that was found, and one for those beyond the limit: the last column counts
    them all.
    """
    rows = cursor.fetchall()
    yield from (of(*row[:-1]) for row in rows)
    yield from _others(table, rows[-1][-1] - len(rows) if rows else 0)


def _others(table: str, count: int) -> list[Problem]:
    return [Problem(table, "others", f"{count} more like the ones before", "as for those")] if count else []
