"""What a capture says when it is read again, against what is stored: the fields that differ, merged as the
writer merges.

Captures come in the order in which they were fetched. A row is compared with a capture unless a later one has
changed it since, or a complete answer no longer had it: then it is left as it is.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import NamedTupleCursor

from maricopa_scrapy.database.absent_columns import overlaid, pages_with_stored, with_stored
from maricopa_scrapy.database.columns import last_of_each_key, lines_of
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.row_hash import columns_of, touched
from maricopa_scrapy.database.rows import named
from maricopa_scrapy.database.source_hooks import hooks_of
from maricopa_scrapy.database.store_and_acknowledge import body_of, take_turns
from maricopa_scrapy.database.tables import RECORDS, Table, copy_lines, origin_of, table_of
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Record, Rows, Target

Key = tuple[Any, ...]

# An answer that came again unchanged is read once, as of the last time.
_ANSWERS = """
    WITH answer AS (
        SELECT target_id, kind, key, done_at, array_agg(sha256 ORDER BY position) AS captures
        FROM crawl.target_capture
        WHERE source = %(source)s AND state = 'done' AND kind = ANY(%(kinds)s)
        GROUP BY target_id, kind, key, done_at
    ), latest AS (SELECT kind, key, max(done_at) AS at FROM answer GROUP BY kind, key)
    SELECT (array_agg(a.target_id ORDER BY a.done_at DESC))[1] AS id, a.kind, a.key, a.captures,
           min(a.done_at) AS first_at, max(a.done_at) AS last_at, max(l.at) AS latest_at
    FROM answer a JOIN latest l USING (kind, key) {of_job}
    GROUP BY a.kind, a.key, a.captures ORDER BY max(a.done_at), 1
"""
_OF_JOB = "JOIN crawl.target t ON t.id = a.target_id AND t.job_id = %(job)s"
_BODIES = "SELECT sha256, url, body FROM crawl.capture WHERE sha256 = ANY(%s)"
_DETAILS = "SELECT id, detail::text FROM crawl.target WHERE id = ANY(%s)"
_UNREAD = """
    SELECT id, kind, key, capture_sha256, unread FROM crawl.target
    WHERE source = %s AND key = ANY(%s) AND state = 'done' AND capture_sha256 IS NOT NULL
"""
# A job that gave up nothing, and of which nothing is unread any more.
_ACQUIT = """
    UPDATE crawl.job j SET verdict = 'completed'
    WHERE j.verdict = 'completed_with_failures' AND (%(job)s IS NULL OR j.id = %(job)s)
      AND NOT EXISTS (SELECT FROM crawl.target t
          WHERE t.job_id = j.id AND (t.unread IS NOT NULL OR t.state = 'dead'))
"""
_LAST_CHANGE = "SELECT coalesce(max(id), 0) FROM crawl.change"
_CHANGES = (
    "SELECT table_name, key, field, old, new FROM crawl.change WHERE run_id = %s AND id > %s ORDER BY id"
)
# A correction is dated when it is made; the row keeps the moment at which its source changed.
_DATE_CHANGES = "UPDATE crawl.change SET changed_at = now() WHERE run_id = %s AND id > %s"


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer as it is kept: bodies in order, None for one that is not; fetched first and last; whether it
    is the key's last.
    """

    target: Target
    # As it is stored: its spider knows the class of it.
    detail: str | None
    captures: tuple[bytes, ...]
    urls: tuple[str, ...]
    bodies: tuple[bytes | None, ...]
    first_at: dt.datetime
    last_at: dt.datetime
    is_latest: bool


@dataclass(slots=True)
class Read:
    """What was read from a stored answer."""

    stored: Stored
    records: list[Record]
    pages: list[Rows]
    complete: list[tuple[type[Record], str]]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one row; `field` is "" for a whole row: `new` says that it is not stored, `old` that it is
    not read any more.
    """

    table: str
    key: str
    field: str
    old: str | None
    new: str | None


@dataclass(slots=True)
class Outcome:
    """Rows compared: the same, left as they are (changed since, removed, or not comparable), and what
    differs.
    """

    same: int = 0
    left: int = 0
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class _Produced:
    """One row as it is read today: its hash, its line of COPY without its origin, the first answer that says
    so, when the last one did, and how many do.
    """

    digest: str
    line: str
    stored: Stored
    last_at: dt.datetime
    times: int = 1
    # The floor, where the table has it.
    rank: int | None = None
    # Columns of which the answer said nothing.
    absent: frozenset[str] = frozenset()


def answers(
    session: Session, source: str, kinds: Sequence[str], job_id: int | None, size: int
) -> Iterator[list[Stored]]:
    """Yield the stored answers of a source, oldest first, up to `size` at a time. Raises
    DatabaseUnavailable.
    """
    values = {"source": source, "kinds": list(kinds), "job": job_id}
    for found in session.chunks(
        _ANSWERS.format(of_job="" if job_id is None else _OF_JOB), values, size, NamedTupleCursor
    ):
        yield session.transact(lambda cursor, found=found: _with_bodies(cursor, source, found))  # type: ignore[misc]


def _with_bodies(cursor: Cursor, source: str, found: list[Any]) -> list[Stored]:
    cursor.execute(_BODIES, ([sha for answer in found for sha in answer.captures],))
    kept = {
        bytes(sha): (url, None if body is None else body_of(body)) for sha, url, body in cursor.fetchall()
    }
    cursor.execute(_DETAILS, ([answer.id for answer in found],))
    details = dict(cursor.fetchall())
    stored = []
    for answer in found:
        names = tuple(bytes(sha) for sha in answer.captures)
        urls, bodies = zip(*(kept.get(name, ("", None)) for name in names), strict=True)
        stored.append(
            Stored(
                Target(answer.id, source, answer.kind, answer.key),
                details[answer.id],
                names,
                urls,
                bodies,
                answer.first_at,
                answer.last_at,
                answer.last_at == answer.latest_at,
            )
        )
    return stored


def compare(session: Session, run: Run, read: list[Read], is_dry: bool) -> Outcome:
    """Merge what was read of some answers, in one transaction, and return what differed; undone when
    `is_dry`.
    """
    return session.transact(lambda cursor: _Comparison(cursor, run, read).outcome(), undo=is_dry)


def acquit(session: Session, job_id: int | None) -> None:
    """Make jobs completed whose unread sections are all read now, of one job or of all."""
    session.transact(lambda cursor: cursor.execute(_ACQUIT, {"job": job_id}))


class _Comparison:
    """Some answers against the stored rows, within one transaction."""

    def __init__(self, cursor: Cursor, run: Run, read: list[Read]) -> None:
        self._cursor = cursor
        self._run = run
        self._read = read
        self._found = Outcome()
        self._produced: dict[Table, dict[Key, _Produced]] = {}
        self._paged: set[Table] = set()

    def outcome(self) -> Outcome:
        for read in self._read:
            self._produce(read)
        tables = set(self._produced)
        tables |= {
            table
            for record in RECORDS
            if (table := table_of(record)).schema in {one.schema for one in tables}
        }
        take_turns(self._cursor, {"crawl", self._run.source} | {table.schema for table in tables})
        self._cursor.execute(_LAST_CHANGE)
        ((last,),) = self._cursor.fetchall()
        for table in sorted(tables, key=lambda table: table.name):
            self._compare(table)
        self._note_unread()
        self._cursor.execute(_CHANGES, (self._run.id, last))
        for one in named(self._cursor):
            self._found.differences.append(
                Difference(one.table_name, _shown(one.key), one.field, one.old, one.new)
            )
        self._cursor.execute(_DATE_CHANGES, (self._run.id, last))
        return self._found

    def _produce(self, read: Read) -> None:
        stored = read.stored
        origin = origin_of(stored.captures[0], stored.last_at)
        for record in read.records:
            table = table_of(type(record))
            key, digest, line = table.row(record, origin)
            self._put(
                table,
                key,
                _Produced(digest, _without_origin(line), stored, stored.last_at, absent=record.absent),
            )
        for rows in read.pages:
            lines = pages_with_stored(self._cursor, lines_of(rows, origin))
            table = lines.table
            self._paged.add(table)
            lines = getattr(hooks_of(table.schema), "one_of_each_key", last_of_each_key)(lines)
            keys: list[Any] = lines.keys
            for at, key in enumerate(keys):
                rank = lines.ranks[at] if lines.ranks else None
                one = _Produced(
                    lines.digests[at],
                    _without_origin(lines.lines[at].decode()),
                    stored,
                    stored.last_at,
                    rank=rank,
                )
                # A key is a tuple where it has several columns.
                self._put(table, key if isinstance(key, tuple) else (key,), one)

    def _put(self, table: Table, key: Key, one: _Produced) -> None:
        before = self._produced.setdefault(table, {}).get(key)
        if before is not None:
            if one.absent:
                digest, line = overlaid(table, one.line, before.line.split("\t"), one.absent)
                one = replace(one, digest=digest, line=line, absent=one.absent & before.absent)
            if before.digest == one.digest:
                one = replace(before, last_at=one.last_at, times=before.times + 1)
            else:
                self._found.left += before.times
        self._produced[table][key] = one

    def _compare(self, table: Table) -> None:
        produced = self._produced.get(table, {})
        if not_comparable := getattr(hooks_of(table.schema), "not_comparable", None):
            produced = self._without(produced, not_comparable(self._cursor, [key[0] for key in produced]))
        produced = self._with_stored(table, produced)
        known = self._known(table, produced)
        staged = []
        for key, one in produced.items():
            row = known.pop(key, None)
            if row is None:
                if table.comes_and_goes:
                    self._found.left += one.times
                    continue
                self._found.differences.append(
                    Difference(table.name, _named(table, key), "", None, "not stored")
                )
                staged.append(f"{one.line}\t{origin_of(one.stored.captures[0], one.stored.first_at)}")
            elif row.changed_at > one.last_at or row.removed_at is not None:
                self._found.left += one.times
            elif row.digest == one.digest and not row.is_touched:
                self._found.same += one.times
            elif row.rank != one.rank:
                # Another row of the same APN.
                self._found.left += one.times
            else:
                # What was altered by hand still has the hash of what it was: without it, it differs.
                if row.is_touched:
                    self._forget_hash(table, key)
                at = row.changed_at if row.capture in one.stored.captures else one.stored.last_at
                staged.append(f"{one.line}\t{origin_of(one.stored.captures[0], at)}")
        self._merge(table, staged)
        self._missing(table, known)

    def _with_stored(self, table: Table, produced: dict[Key, _Produced]) -> dict[Key, _Produced]:
        absent = {key: one.absent for key, one in produced.items() if one.absent}
        filled = with_stored(
            self._cursor, table, {key: (produced[key].digest, produced[key].line) for key in absent}, absent
        )
        return produced | {
            key: replace(produced[key], digest=digest, line=line) for key, (digest, line) in filled.items()
        }

    def _note_unread(self) -> None:
        """Note of each target which sections of its answer today's parser cannot read."""
        now = {
            (read.stored.target.kind, read.stored.target.key, read.stored.captures[0]): (
                list(read.unread) or None
            )
            for read in self._read
        }
        self._cursor.execute(_UNREAD, (self._run.source, [key for _, key, _ in now]))
        for target in named(self._cursor):
            found = now.get((target.kind, target.key, bytes(target.capture_sha256)), target.unread)
            if found != target.unread:
                self._cursor.execute("UPDATE crawl.target SET unread = %s WHERE id = %s", (found, target.id))

    def _without(self, produced: dict[Key, _Produced], others: Collection[Any]) -> dict[Key, _Produced]:
        """Return what was read, without the rows of some APNs, which are left as they are."""
        self._found.left += sum(one.times for key, one in produced.items() if key[0] in others)
        return {key: one for key, one in produced.items() if key[0] not in others}

    def _known(self, table: Table, produced: dict[Key, _Produced]) -> dict[Key, "_Row"]:
        """Rows under the keys that were read, and those that the same captures gave before."""
        kind = table.key_types[0]
        firsts = {key[0] for key in produced}
        # A page is not about one key: what it gave before is told by its capture alone.
        scope = "r.capture_sha256 = ANY(%(captures)s) OR" if table in self._paged else ""
        if kind == "text" and not scope:
            firsts |= {read.stored.target.key for read in self._read}
        removed = "r.removed_at" if table.complete_by else "NULL::timestamptz"
        self._cursor.execute(
            f"SELECT {columns_of(table)}, encode(r.content_hash, 'hex'), r.capture_sha256, r.changed_at,"
            f" {removed} FROM {table.name} r WHERE {scope} r.{table.key[0]} = ANY(%(keys)s::{kind}[])",
            {"captures": self._captures(), "keys": list(firsts)},
        )
        found = self._cursor.fetchall()
        width = len(table.fields)
        altered = {id(row) for row in touched(table, found)}
        floor = table.fields.index("floor") if "floor" in table.fields else None
        rows = {}
        for row in found:
            rank = None if floor is None else -1 if row[floor] is None else row[floor]
            key = tuple(row[at] for at in table.key_at)
            rows[key] = _Row(
                row[width], bytes(row[width + 1]), row[width + 2], row[width + 3], id(row) in altered, rank
            )
        return rows

    def _captures(self) -> list[bytes]:
        return [capture for read in self._read for capture in read.stored.captures]

    def _forget_hash(self, table: Table, key: Key) -> None:
        same = " AND ".join(f"{column} = %s" for column in table.key)
        self._cursor.execute(f"UPDATE {table.name} SET content_hash = '' WHERE {same}", key)

    def _merge(self, table: Table, staged: list[str]) -> None:
        if staged:
            self._cursor.execute(table.create_stage)
            copy_lines(self._cursor, table.copy, staged)
            self._cursor.execute(
                table.merge,
                {
                    "run": self._run.id,
                    "shared": hooks_of(table.schema).shared_fields(self._cursor) if table.told_at else None,
                },
            )
            self._cursor.execute(f"TRUNCATE {table.stage}")

    def _missing(self, table: Table, known: dict[Key, "_Row"]) -> None:
        """Rows that these captures gave before and do not give now: removed where the answer is complete,
        told in any case.
        """
        captures = set(self._captures())
        gone = [key for key, row in known.items() if row.capture in captures and row.removed_at is None]
        latest = [] if table.stays else [read for read in self._read if read.stored.is_latest]
        complete = {value for read in latest for record, value in read.complete if table_of(record) is table}
        lost = [key for key in gone if key[0] in complete]
        for key in gone:
            if key not in lost:
                self._found.differences.append(
                    Difference(table.name, _named(table, key), "", "not read any more", None)
                )
        if lost:
            self._cursor.execute(table.create_stage)
            lines = [
                f"{one.line}\t{origin_of(one.stored.captures[0], one.stored.last_at)}"
                for key, one in self._produced.get(table, {}).items()
                if key[0] in complete
            ]
            copy_lines(self._cursor, table.copy, lines)
            values = sorted({key[0] for key in lost})
            self._cursor.execute(
                table.mark_removed, {"at": dt.datetime.now(dt.UTC), "values": values, "run": self._run.id}
            )
            self._cursor.execute(f"TRUNCATE {table.stage}")


@dataclass(frozen=True, slots=True)
class _Row:
    """A stored row, whether it was altered by hand, and its floor where the table has it."""

    digest: str
    capture: bytes
    changed_at: dt.datetime
    removed_at: dt.datetime | None
    is_touched: bool
    rank: int | None


def _without_origin(line: str) -> str:
    return line.rsplit("\t", 3)[0]


def _named(table: Table, key: Key) -> str:
    return _shown(dict(zip(table.key, key, strict=True)))


def _shown(key: dict[str, Any]) -> str:
    return " ".join(f"{column}={value}" for column, value in key.items())


def by_field(differences: Sequence[Difference]) -> Counter[tuple[str, str]]:
    """Count differences by table and field; whole rows by what is said of them."""
    return Counter((one.table, one.field or f"(row {one.new or one.old})") for one in differences)
