"""What a refresh asks again, and what not: decided from stored rows in a few statements, whatever their
number.

The bulk sources come first; their changes are in `crawl.change`. Then `derive` decides, office by office,
what is
asked again, and draws a sample of the rest. All of a decision is one transaction, so that a job that was
killed
decides once. `outcome` says how many of the sample had changed after all.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import PRIORITIES
from maricopa_scrapy.records.refresh_rules import (
    CHANGED,
    CREATE,
    DECIDE,
    KINDS,
    OFFICES,
    REASONS,
    RULES,
    SAMPLE,
    TOLD,
)

# By phase of the job; what the assessor tells anew, such as an owner, the other offices are asked for.
PHASES: dict[int, tuple[str, ...]] = {1: ("assessor",), 2: ("treasurer", "recorder")}

# Not the job's row: it is locked for no longer than it takes to count what is new.
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('crawl.refresh'), %s)"
_JOB = "SELECT parameters -> 'refresh', priority FROM crawl.job WHERE id = %s"
_DECIDED = "SELECT source FROM crawl.refresh WHERE job_id = %s AND is_whole"
_WITHIN = """
    SELECT array_agg(apn) FROM crawl.target t CROSS JOIN jsonb_array_elements_text(t.detail -> 'apns') AS a
    (apn)
    WHERE t.job_id = %s AND t.source = 'gis' AND t.kind = 'layer'
"""
_IS_WHOLE = """
    SELECT NOT EXISTS (
        SELECT FROM crawl.target WHERE job_id = %(job)s AND source IN ('gis', 'bulk') AND state NOT IN
        ('done', 'gone')
    ) AND (%(is_within)s OR EXISTS (SELECT FROM gis.roll WHERE job_id = %(job)s AND state = 'complete'))
"""
_COUNTS = "SELECT reason, rule, count(*) FROM {} GROUP BY reason, rule"
_PHOENIX = ZoneInfo("America/Phoenix")
_SAMPLE = """
    INSERT INTO crawl.refresh_target (job_id, source, key, because)
    SELECT %(job)s, %(source)s, key, 'sample' FROM refresh_decision WHERE rule IS NOT NULL
    ORDER BY md5(key || ' ' || %(job)s) LIMIT %(sample)s ON CONFLICT DO NOTHING
"""
_SAMPLED = """
    SELECT count(*) FROM crawl.refresh_target
    WHERE job_id = %(job)s AND source = %(source)s AND because = 'sample'
"""
_ASK = """
    INSERT INTO crawl.refresh_target (job_id, source, key, because)
    SELECT %(job)s, %(source)s, key, reason FROM refresh_decision WHERE reason IS NOT NULL
    ON CONFLICT (job_id, source, key) DO UPDATE SET because = excluded.because
    WHERE crawl.refresh_target.because = 'sample'
"""
_TARGETS = """
    INSERT INTO crawl.target (job_id, source, kind, key, priority)
    SELECT job_id, source, %(kind)s, key, %(priority)s FROM crawl.refresh_target
    WHERE job_id = %(job)s AND source = %(source)s ORDER BY because = 'sample', key
    ON CONFLICT (job_id, source, kind, key) DO NOTHING
"""
_FORGET = """
    DELETE FROM crawl.not_asked n USING refresh_decision d
    WHERE n.source = %(source)s AND n.key = d.key AND d.rule IS NULL
"""
# As a rule it is the same as last time: then nothing is written.
_NOTE = """
    INSERT INTO crawl.not_asked AS n (source, key, because, due_at, decided_at)
    SELECT %(source)s, d.key, d.rule, d.due_at, now()
    FROM refresh_decision d LEFT JOIN crawl.not_asked k ON k.source = %(source)s AND k.key = d.key
    WHERE d.rule IS NOT NULL AND (k.key IS NULL OR (k.because, k.due_at) IS DISTINCT FROM (d.rule, d.due_at))
    ON CONFLICT (source, key) DO UPDATE
    SET because = excluded.because, due_at = excluded.due_at, decided_at = excluded.decided_at
"""
_DECISION = """
    INSERT INTO crawl.refresh (job_id, source, as_of, is_whole, stored, asked, skipped, sampled)
    VALUES (%(job)s, %(source)s, %(as_of)s, %(is_whole)s, %(stored)s, %(asked)s, %(skipped)s, %(sampled)s)
    ON CONFLICT (job_id, source) DO UPDATE SET decided_at = now(), as_of = excluded.as_of, is_whole =
    excluded.is_whole,
        stored = excluded.stored, asked = excluded.asked, skipped = excluded.skipped, sampled =
        excluded.sampled
"""
_OUTCOME = """
    SELECT r.because = 'sample', count(*) FILTER (WHERE t.state IN ('done', 'gone')),
           count(*) FILTER (WHERE t.state = 'done' AND ({changed}))
    FROM crawl.refresh_target r
    JOIN crawl.target t ON t.job_id = r.job_id AND t.source = r.source AND t.kind = %(kind)s AND t.key = r.key
    WHERE r.job_id = %(job)s AND r.source = %(source)s GROUP BY 1
"""
_ROLLS = """
    SELECT started_at, finished_at, parcels FROM gis.roll WHERE state = 'complete'
    ORDER BY finished_at DESC LIMIT 2
"""
_CHANGED_IN_ROLL = f"""
    SELECT count(DISTINCT key ->> 'apn') FROM crawl.change
    WHERE table_name = 'gis.parcel' AND changed_at BETWEEN %s AND %s AND field IN ({TOLD})
"""  # noqa: S608 - words of ours alone
_OF_PARCEL = """
    WITH named AS (
        SELECT %(apn)s AS key, source FROM unnest(ARRAY['assessor', 'treasurer']) AS source
        UNION SELECT regexp_replace(deed_number, '[^0-9A-Za-z]', '', 'g'), 'recorder' FROM
        recorder.parcel_deed
        WHERE apn = %(apn)s
    )
    SELECT n.source, n.key, n.because, n.due_at, n.decided_at, (
        SELECT max(done_at) FROM crawl.target t WHERE t.source = n.source AND t.key = n.key AND t.state =
        'done'
          AND t.kind IN ('parcel', 'document'))
    FROM named JOIN crawl.not_asked n USING (source, key) ORDER BY array_position(%(offices)s, n.source),
    n.key
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a refresh is told: the offices it asks, the part of the skipped ones that it asks all the same and
    how many at the least, the days until a payment is posted, and the moment that counts as now.
    """

    offices: tuple[str, ...]
    sample_share: float
    sample_least: int
    posting_days: int
    as_of: dt.datetime | None = None

    @property
    def now(self) -> dt.datetime:
        return self.as_of or dt.datetime.now(dt.UTC)

    def parameters(self) -> dict[str, Any]:
        """Return it as the job keeps it."""
        return {
            "offices": list(self.offices),
            "sample_share": self.sample_share,
            "sample_least": self.sample_least,
            "posting_days": self.posting_days,
            "as_of": self.as_of.isoformat() if self.as_of else None,
        }

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> "Terms":
        """Read what a job keeps."""
        as_of = parameters["as_of"]
        return cls(
            tuple(parameters["offices"]),
            parameters["sample_share"],
            parameters["sample_least"],
            parameters["posting_days"],
            dt.datetime.fromisoformat(as_of) if as_of else None,
        )

    def sample(self, skipped: int) -> int:
        """Return how many of the skipped ones are asked all the same."""
        return min(skipped, max(self.sample_least, math.ceil(skipped * self.sample_share)))


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided of an office: how many it was asked for before, how many are asked again by reason, how
    many not by rule, and how many of these all the same.
    """

    source: str
    stored: int
    asked: dict[str, int]
    skipped: dict[str, int]
    sampled: int
    is_whole: bool = True

    @property
    def requests(self) -> int:
        return sum(self.asked.values()) + self.sampled

    def asked_because(self) -> Iterator[tuple[str, int]]:
        """Yield each reason as a person reads it, and how many are asked for it."""
        for reason, text in REASONS.items():
            if count := self.sampled if reason == SAMPLE else self.asked.get(reason, 0):
                yield text, count

    def skipped_because(self) -> Iterator[tuple[str, int]]:
        """Yield each rule as a person reads it, and how many it leaves out."""
        yield from ((text, self.skipped[rule]) for rule, text in RULES.items() if rule in self.skipped)


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of an office's decision: answers to what was asked again and how many of them had changed,
    and
    the same of the sample.
    """

    decision: Decision
    answered: int
    changed: int
    sample_answered: int
    sample_changed: int

    @property
    def missed(self) -> tuple[float, float] | None:
        """The part of the skipped ones that had changed, from and to, at 95 %; None without a sample."""
        return wilson(self.sample_changed, self.sample_answered) if self.sample_answered else None

    def lines(self) -> Iterator[str]:
        """Yield it as a person reads it."""
        source, skipped = self.decision.source, sum(self.decision.skipped.values())
        yield f"{source}: {self.changed:,} of {self.answered:,} that were asked again had changed"
        if self.missed is not None:
            low, high = self.missed
            yield (
                f"{source}: of {self.sample_answered:,} of the {skipped:,} that the rule left out,"
                f" {self.sample_changed:,} had changed after all: of all of them"
                f" {low:.2%} to {high:.2%} (95 %), {low * skipped:,.0f} to {high * skipped:,.0f}"
            )
        if not self.decision.is_whole:
            yield f"{source}: decided before the bulk sources were read to their end"


def wilson(hits: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a part of which `hits` of `count` were seen, by Wilson's score.

    >>> [round(part, 4) for part in wilson(0, 50)], [round(part, 4) for part in wilson(3, 100)]
    ([0.0, 0.0713], [0.0103, 0.0845])
    """
    part, spread = hits / count, z * z / count
    middle = (part + spread / 2) / (1 + spread)
    half = z * math.sqrt(part * (1 - part) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def derive(cursor: Cursor, job_id: int, phase: int) -> list[Decision]:
    """Decide what the offices of a phase are asked again, and add it to the job's targets, in the caller's
    transaction; what was decided after the bulk sources were read to their end stays so. Returns what is new.
    """
    cursor.execute(_ALONE, (job_id,))
    cursor.execute(_JOB, (job_id,))
    ((parameters, priority),) = cursor.fetchall()
    terms = Terms.of(parameters)
    cursor.execute(_DECIDED, (job_id,))
    decided = {source for (source,) in cursor.fetchall()}
    offices = [
        source for source in PHASES.get(phase, ()) if source in terms.offices and source not in decided
    ]
    if not offices:
        return []
    cursor.execute(_WITHIN, (job_id,))
    ((within,),) = cursor.fetchall()
    cursor.execute(_IS_WHOLE, {"job": job_id, "is_within": within is not None})
    ((is_whole,),) = cursor.fetchall()
    now, new = terms.now, 0
    decisions = []
    for source in offices:
        decision = _decide(cursor, source, terms, within, is_whole, now, job_id)
        names = {
            "job": job_id, "source": source, "kind": KINDS[source], "as_of": now, "is_whole": is_whole,
            "priority": PRIORITIES.index(priority), "sample": decision.sampled, "stored": decision.stored,
            "asked": Json(decision.asked), "skipped": Json(decision.skipped), "sampled": decision.sampled,
        }  # fmt: skip
        # A sample that was drawn already is not drawn anew.
        cursor.execute(_SAMPLED, names)
        names["sample"] = max(0, decision.sampled - cursor.fetchall()[0][0])
        cursor.execute(_SAMPLE, names)
        cursor.execute(_ASK, names)
        cursor.execute(_TARGETS, names)
        new += cursor.rowcount
        cursor.execute(_FORGET, names)
        cursor.execute(_NOTE, names)
        cursor.execute(_DECISION, names)
        decisions.append(decision)
    cursor.execute("UPDATE crawl.job SET enumerated = enumerated + %s WHERE id = %s", (new, job_id))
    return decisions


def preview(
    session: Session, terms: Terms, within: Sequence[str] | None
) -> tuple[list[Decision], int | None]:
    """Return what would be decided from what is stored now, before the bulk sources are read again; and how
    many
    parcels these will likely add, by the last two complete rolls: None where there were none.
    """

    def work(cursor: Cursor) -> tuple[list[Decision], int | None]:
        apns = None if within is None else list(within)
        decisions = [_decide(cursor, source, terms, apns, True, terms.now, 0) for source in terms.offices]
        return decisions, _expected(cursor, terms.now, apns)

    return session.transact(work)


def outcome(session: Session, job_id: int) -> list[Proof]:
    """Return what came of a refresh, office by office; an empty list for other jobs, or before it is
    decided."""

    def work(cursor: Cursor) -> list[Proof]:
        cursor.execute(
            "SELECT source, stored, asked, skipped, sampled, is_whole FROM crawl.refresh WHERE job_id = %s"
            " ORDER BY array_position(%s, source)",
            (job_id, list(OFFICES)),
        )
        proofs = []
        for decision in [Decision(*row) for row in cursor.fetchall()]:
            source = decision.source
            cursor.execute(
                _OUTCOME.format(changed=CHANGED[source]),
                {"job": job_id, "source": source, "kind": KINDS[source]},
            )
            found = {is_sample: tuple(counts) for is_sample, *counts in cursor.fetchall()}
            proofs.append(Proof(decision, *found.get(False, (0, 0)), *found.get(True, (0, 0))))
        return proofs

    return session.transact(work)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A parcel, or its document, that an office was not asked for, and the rule."""

    source: str
    key: str
    because: str
    due_at: dt.datetime | None
    decided_at: dt.datetime
    asked_at: dt.datetime | None


def left_out(cursor: Cursor, apn: str) -> list[LeftOut]:
    """Return what the last refresh left out of a parcel."""
    cursor.execute(_OF_PARCEL, {"apn": apn, "offices": list(OFFICES)})
    return [LeftOut(*row) for row in cursor.fetchall()]


def _decide(
    cursor: Cursor,
    source: str,
    terms: Terms,
    within: list[str] | None,
    is_whole: bool,
    now: dt.datetime,
    job_id: int,
) -> Decision:
    names = {
        "source": source,
        "kind": KINDS[source],
        "job": job_id,
        "within": within,
        "as_of": now,
        "today": now.astimezone(_PHOENIX).date(),
        "is_whole": is_whole,
        "posting": terms.posting_days,
    }
    # Temporary tables have no statistics yet; by nested loops a county would take hours.
    cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
    cursor.execute(CREATE, names)
    if job_id:
        cursor.execute(f"INSERT INTO refresh_decision {DECIDE[source]}", names)
        cursor.execute("ANALYZE refresh_decision")
        cursor.execute(_COUNTS.format("refresh_decision"))
    else:
        cursor.execute(_COUNTS.format(f"({DECIDE[source]}) decided"), names)
    asked: dict[str, int] = {}
    skipped: dict[str, int] = {}
    for reason, rule, count in cursor.fetchall():
        (asked if reason else skipped)[reason or rule] = count
    cursor.execute("SELECT count(*) FROM refresh_seen")
    ((stored,),) = cursor.fetchall()
    return Decision(source, stored, asked, skipped, terms.sample(sum(skipped.values())), is_whole)


def _expected(cursor: Cursor, now: dt.datetime, within: list[str] | None) -> int | None:
    cursor.execute(_ROLLS)
    rolls = cursor.fetchall()
    if len(rolls) < 2:
        return None
    (begun, ended, parcels), (_, before, _) = rolls
    cursor.execute(_CHANGED_IN_ROLL, (begun, ended))
    changed = int(cursor.fetchall()[0][0])
    apart = (ended - before).total_seconds()
    if apart <= 0:
        return None
    part = 1.0 if within is None else len(within) / max(parcels or 1, 1)
    return int(changed * part * max((now - ended).total_seconds(), 0.0) / apart)
