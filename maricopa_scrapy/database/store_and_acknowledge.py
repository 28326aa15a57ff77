"""What one transaction of the writer stores: some answers, as lines of COPY.

Rows, changes, captures, follow-ons, issues, and only then the acknowledgement of the targets.
"""

import datetime as dt
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import orjson
import zstandard
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from maricopa_scrapy.database.absent_columns import overlaid, with_stored
from maricopa_scrapy.database.columns import Lines, lines_of
from maricopa_scrapy.database.rows_by_table import store_pages
from maricopa_scrapy.database.source_hooks import hooks_of
from maricopa_scrapy.database.tables import Table, copy_into, copy_line, copy_lines, origin_of, table_of
from maricopa_scrapy.database.targets import Run, add_targets
from maricopa_scrapy.items import Answer, Capture, Cause, Issue, IssueKind, Outcome, few

CREATE_STAGES = """
    CREATE TEMP TABLE stage_target (
        id bigint, state text, cause text, message text, rows integer, capture_sha256 bytea, at timestamptz,
        pause double precision, spent integer, unread text[]
    ) ON COMMIT DELETE ROWS;
"""
# Four times the most that a manifest lets an answer be.
_BODY_MOST = 256 * 2**20
_KNOWN_CAPTURES = "SELECT sha256, body IS NOT NULL FROM crawl.capture WHERE sha256 = ANY(%s)"
_CAPTURE = (
    "crawl.capture (sha256, source, url, status, content_type, fetched_at, size, left_out, is_rendered, body)"
)
# An answer that was not kept, or was pruned, and came again.
_KEEP_AFTER_ALL = """
    UPDATE crawl.capture SET url = %s, status = %s, content_type = %s, fetched_at = %s, size = %s,
        left_out = %s, body = %s,
        pruned_at = NULL WHERE sha256 = %s
"""
# Who waits here holds up all others of its schemas: soon it gives up, and tries again.
_WAIT_LITTLE = "SET LOCAL lock_timeout = '1s';"
# Runs take turns with each schema: what one has looked up stays so until it has stored, and nothing
# deadlocks. For a turn all wait.
_WAIT_LONG = "SET LOCAL lock_timeout = 0;"
_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtext('maricopa_scrapy'), hashtext(%s));"
_STILL_OPEN = """
    SELECT id, state = 'leased' AND run_id = %s FROM crawl.target
    WHERE id = ANY(%s) AND state IN ('pending', 'leased') ORDER BY id FOR UPDATE
"""
_ACKNOWLEDGE = """
    UPDATE crawl.target t
    SET state = s.state, cause = s.cause, message = s.message, rows = s.rows, capture_sha256 =
    s.capture_sha256,
        done_at = CASE WHEN s.state = 'pending' THEN NULL ELSE s.at END, not_before = now() +
        make_interval(secs => s.pause),
        attempts = t.attempts + s.spent, unread = s.unread,
        failures = CASE WHEN s.spent = 0 THEN t.failures ELSE coalesce(t.failures, '{}')
            || jsonb_build_object(s.cause, coalesce((t.failures ->> s.cause)::integer, 0) + s.spent) END,
        run_id = CASE WHEN s.state = 'pending' THEN NULL ELSE %s END
    FROM stage_target s WHERE t.id = s.id
"""
_RECORD_ISSUES = """
    INSERT INTO crawl.issue AS i
        (job_id, run_id, source, kind, signature, message, target_key, example, capture_sha256, count,
         first_at, last_at, screenshot)
    VALUES %s
    ON CONFLICT (job_id, source, kind, signature) DO UPDATE
    SET count = i.count + excluded.count, last_at = excluded.last_at, screenshot = coalesce(i.screenshot,
    excluded.screenshot)
"""
_FALL_SHORT = "UPDATE crawl.job SET shortfall = left(concat_ws('; ', shortfall, %s), 4000) WHERE id = %s"
_COSTS_NOTHING = (Cause.THROTTLED, Cause.CHALLENGE)
_RETRY_PAUSE_S = 1.0
_RETRY_PAUSE_MOST_S = 60.0


@dataclass(slots=True)
class Encoded:
    """The lines of COPY of an answer. Made by the thread that made the answer, while it is still in the
    processor's cache.
    """

    # Table, key, digest, line, and the columns of which the answer said nothing.
    rows: list[tuple[Table, tuple[Any, ...], str, str, frozenset[str]]]
    acknowledgement: str
    complete: list[tuple[Table, str]]
    pages: list[Lines]


def encode(answer: Answer, attempts: int, attempts_of: Mapping[Cause, int] = MappingProxyType({})) -> Answer:
    """Return the answer with its lines in place of its records; a target fails for good after `attempts`, or
    `attempts_of` its cause.

    Raises ValueError for what no column can hold.
    """
    capture = answer.capture
    at, sha256 = (capture.fetched_at, capture.sha256) if capture else (dt.datetime.now(dt.UTC), b"")
    origin = origin_of(sha256, at)
    rows = []
    for record in answer.records:
        table = table_of(type(record))
        rows.append((table, *table.row(record, origin), record.absent))
    encoded = Encoded(
        rows,
        copy_line(_acknowledgement(answer, at, sha256, attempts, attempts_of)),
        [(table_of(record), value) for record, value in answer.complete],
        [lines_of(page, origin) for page in answer.pages],
    )
    return replace(answer, records=[], pages=[], issues=few(answer.issues), encoded=encoded)


def store_batch(cursor: Cursor, run: Run, answers: list[Answer]) -> int:
    """Store the answers to targets that are still open, in the caller's transaction; returns how many rows
    they had.

    What another run has finished meanwhile, or this one in a commit whose answer was lost, is left as it is.
    """
    cursor.execute(_WAIT_LITTLE + _STILL_OPEN, (run.id, [answer.target.id for answer in answers]))
    held: dict[int, bool] = dict(cursor.fetchall())
    # An answer counts whoever holds the target; a failure only from the run that holds it.
    valid = [
        a for a in answers if a.target.id in held and (held[a.target.id] or a.outcome is not Outcome.FAILED)
    ]
    if not valid:
        return 0
    batch = _Batch(valid)
    batch.store(cursor, run)
    return batch.rows


def take_turns(cursor: Cursor, schemas: set[str]) -> None:
    """Wait until no other run stores rows in the schemas; they are this transaction's until it ends."""
    cursor.execute(_WAIT_LONG + _TAKE_TURNS * len(schemas) + _WAIT_LITTLE, sorted(schemas))


class _Batch:
    """Answers as one transaction."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        # Of a key that comes twice, the last counts: one statement cannot merge both.
        self._rows: dict[Table, dict[tuple[Any, ...], tuple[str, str]]] = {}
        self._absent: dict[Table, dict[tuple[Any, ...], frozenset[str]]] = {}
        self._complete: dict[Table, list[str]] = {}
        # What a whole lacks of rows that stay, by the value that it is the whole of.
        self._unseen: dict[tuple[Table, str], list[tuple[Any, ...]]] = {}
        for answer in answers:
            for row in answer.encoded.rows:
                self._take(*row)
            for table, value in answer.encoded.complete:
                self._complete.setdefault(table, []).append(value)

    def _take(
        self, table: Table, key: tuple[Any, ...], digest: str, line: str, absent: frozenset[str]
    ) -> None:
        rows = self._rows.setdefault(table, {})
        if absent:
            of_table = self._absent.setdefault(table, {})
            if key in rows:
                # Of what this answer does not say, the one before it does.
                digest, line = overlaid(table, line, rows[key][1].split("\t"), absent)
                absent &= of_table.get(key, frozenset())
            of_table[key] = absent
        elif self._absent:
            self._absent.get(table, {}).pop(key, None)
        rows[key] = digest, line

    @property
    def rows(self) -> int:
        return sum(len(rows) for rows in self._rows.values()) + sum(
            len(page) for answer in self._answers for page in answer.encoded.pages
        )

    def store(self, cursor: Cursor, run: Run) -> None:
        at = dt.datetime.now(dt.UTC)
        paged = {page.table for answer in self._answers for page in answer.encoded.pages}
        take_turns(
            cursor,
            {"crawl", run.source}
            | {table.schema for table in self._rows.keys() | self._complete.keys() | paged},
        )
        self._keep_captures(cursor)
        for table in self._rows.keys() | self._complete.keys():
            self._merge(cursor, table, run, at)
        self._store_pages(cursor, run)
        follow_ons = [
            replace(follow_on, priority=answer.target.priority)
            for answer in self._answers
            for follow_on in answer.follow_ons
        ]
        if follow_ons:
            add_targets(cursor, run.job_id, follow_ons)
        self._record_issues(cursor, run, at)
        if shortfalls := [answer.shortfall for answer in self._answers if answer.shortfall]:
            cursor.execute(_FALL_SHORT, ("; ".join(shortfalls), run.job_id))
        lines = {
            answer.target.id: answer.encoded.acknowledgement for answer in self._answers if not answer.is_part
        }
        copy_lines(cursor, copy_into("stage_target"), lines.values())
        cursor.execute(_ACKNOWLEDGE, (run.id,))
        for source, answers in self._by_source().items():
            if acknowledged := getattr(hooks_of(source), "acknowledged", None):
                acknowledged(cursor, run, answers)

    def _by_source(self) -> dict[str, list[Answer]]:
        found: dict[str, list[Answer]] = {}
        for answer in self._answers:
            found.setdefault(answer.target.source, []).append(answer)
        return found

    def _store_pages(self, cursor: Cursor, run: Run) -> None:
        for source, answers in self._by_source().items():
            if paged := [answer for answer in answers if answer.encoded.pages]:
                getattr(hooks_of(source), "store_pages", store_pages)(cursor, run, paged)

    def _keep_captures(self, cursor: Cursor) -> None:
        captures = {answer.capture.sha256: answer.capture for answer in self._answers if answer.capture}
        if not captures:
            return
        cursor.execute(_KNOWN_CAPTURES, (list(captures),))
        for sha256, has_body in cursor.fetchall():
            one = captures.pop(bytes(sha256))
            if one.is_kept and not has_body:
                facts = (
                    one.url,
                    one.status,
                    one.content_type,
                    one.fetched_at,
                    len(one.body),
                    list(one.left_out),
                )
                cursor.execute(
                    _KEEP_AFTER_ALL,
                    (*facts, zstandard.ZstdCompressor(level=1).compress(one.body), one.sha256),
                )
        copy_lines(cursor, copy_into(_CAPTURE), capture_lines(list(captures.values())))

    def _merge(self, cursor: Cursor, table: Table, run: Run, at: dt.datetime) -> None:
        rows = self._rows.get(table, {})
        if absent := self._absent.get(table):
            rows = with_stored(cursor, table, rows, absent)
        staged = [line for _, line in rows.values()]
        # Rows that are there need not travel, new ones need no merge (it is our turn); but what a whole lacks
        # is told by what is staged.
        if rows and not table.complete_by:
            cursor.execute(table.known, {"keys": list({key[0] for key in rows})})
            known = {tuple(key): digest for *key, digest in cursor.fetchall()}
            copy_lines(cursor, table.copy_new, [line for key, (_, line) in rows.items() if key not in known])
            staged = [line for key, (digest, line) in rows.items() if known.get(key, digest) != digest]
        if staged or table.complete_by:
            cursor.execute(table.create_stage)
            copy_lines(cursor, table.copy, staged)
        if staged:
            cursor.execute(table.merge, {"run": run.id})
        values = self._complete.get(table)
        if values and table.stays:
            cursor.execute(table.mark_unseen, {"at": at, "values": values})
            for key in cursor.fetchall():
                whole = str(key[table.key.index(table.complete_by or "")])
                self._unseen.setdefault((table, whole), []).append(key)
        elif values:
            cursor.execute(table.mark_removed, {"at": at, "values": values, "run": run.id})

    def _record_issues(self, cursor: Cursor, run: Run, at: dt.datetime) -> None:
        # One statement a kind of issue, not one an answer: a renamed field is in every answer.
        found: dict[tuple[str, str], list[tuple[Issue, Answer]]] = {}
        for answer in self._answers:
            for issue in [*answer.issues, *self._unseen_of(answer)]:
                found.setdefault((issue.kind, issue.signature), []).append((issue, answer))
        rows = []
        for same in found.values():
            issue, answer = same[0]
            example = None if issue.example is None else orjson.dumps(issue.example, default=str).decode()
            values = (
                run.job_id,
                run.id,
                answer.target.source,
                issue.kind,
                issue.signature,
                issue.message,
                answer.target.key,
                example,
            )
            screenshot = next((other.screenshot for other, _ in same if other.screenshot), None)
            rows.append(
                (*values, answer.capture.sha256 if answer.capture else None, len(same), at, at, screenshot)
            )
        execute_values(cursor, _RECORD_ISSUES, rows, page_size=1000)

    def _unseen_of(self, answer: Answer) -> Iterator[Issue]:
        for table, value in answer.encoded.complete:
            if keys := sorted(self._unseen.get((table, value), [])):
                rows = [dict(zip(table.key, key, strict=True)) for key in keys]
                named = ", ".join(str(key[-1]) for key in keys)
                told = (
                    f"{table.name}: {len(rows)} stored rows of {value} are no longer shown, and stay: {named}"
                )
                yield Issue(IssueKind.UNSEEN_ROWS, table.name, told[:500], rows)


def capture_lines(captures: list[Capture]) -> list[str]:
    """Return captures as lines of COPY into `crawl.capture`, their bodies compressed in one call that leaves
    other threads alone.
    """
    compressor = zstandard.ZstdCompressor(level=1)
    full = [capture for capture in captures if capture.body]
    # It refuses a list of empty bodies.
    compressed: Any = compressor.multi_compress_to_buffer([capture.body for capture in full]) if full else []
    bodies = {capture.sha256: compressed[number].tobytes() for number, capture in enumerate(full)}
    lines = []
    for capture in captures:
        size = len(capture.body) if capture.size is None else capture.size
        facts = (capture.source, capture.url, capture.status, capture.content_type, capture.fetched_at, size)
        more = f"{{{','.join(capture.left_out)}}}\t{capture.is_rendered}"
        body = (
            f"\\\\x{(bodies.get(capture.sha256) or compressor.compress(b'')).hex()}"
            if capture.is_kept
            else ""
        )
        lines.append(f"\\\\x{capture.sha256.hex()}\t{copy_line(facts)}\t{more}\t{body}")
    return lines


def body_of(compressed: bytes) -> bytes:
    """Return the capture's body as it was kept. Raises ValueError for one that would unpack to more than any
    source may send.
    """
    if zstandard.frame_content_size(bytes(compressed)) > _BODY_MOST:
        raise ValueError(f"a capture of more than {_BODY_MOST} bytes")
    return zstandard.ZstdDecompressor().decompress(bytes(compressed))


def _acknowledgement(
    answer: Answer, at: dt.datetime, sha256: bytes, attempts: int, attempts_of: Mapping[Cause, int]
) -> tuple[Any, ...]:
    target = answer.target
    capture = "\\x" + sha256.hex() if sha256 else None
    if answer.outcome is not Outcome.FAILED:
        unread = f"{{{','.join(answer.unread)}}}" if answer.unread else None
        return (target.id, answer.outcome.value, None, None, answer.size, capture, at, None, 0, unread)
    assert answer.cause is not None
    spent = 0 if answer.cause in _COSTS_NOTHING or not answer.is_target_s_fault else 1
    same = (target.failures or {}).get(answer.cause, 0) + spent
    is_last = spent and (target.attempts + 1 >= attempts or same >= attempts_of.get(answer.cause, attempts))
    if is_last or answer.is_final or answer.cause is Cause.STORE:
        return (target.id, "dead", answer.cause, answer.message, 0, capture, at, None, spent, None)
    # By the database's clock, which tells when they are due: ours may be another.
    pause = answer.retry_after
    if pause is None:
        # Full jitter, so that a fault's victims do not come back together.
        pause = random.uniform(0, min(_RETRY_PAUSE_MOST_S, _RETRY_PAUSE_S * 2**target.attempts))
    return (target.id, "pending", answer.cause, answer.message, None, capture, at, pause, spent, None)
