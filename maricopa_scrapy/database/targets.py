"""The targets of a job: new ones for it, and the run that works on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from psycopg2.extensions import cursor as Cursor
from pydantic import ValidationError

from maricopa_scrapy.database.tables import copy_into, copy_line, copy_lines
from maricopa_scrapy.items import Detail, FollowOn

# Characters of a detail that many targets of a job are likely to share.
_SMALL = 100


@dataclass(frozen=True, slots=True)
class Run:
    """One spider process at work on one job. `execution`: how many requests it may have under way
    (`crawl.job`).
    """

    id: int
    job_id: int
    source: str
    execution: str = "parallel"
    # Whose targets it leases besides its own source's; and what the job was asked for.
    also: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def sources(self) -> list[str]:
        return [self.source, *self.also]


@lru_cache(256)
def _same(model: type[Detail], stored: str) -> Detail:
    return model.model_validate_json(stored)


def detail_of(details: Mapping[str, type[Detail]], kind: str, stored: str | None) -> Detail | None:
    """Return the stored detail of a target, JSON, as its source knows it, by kind. Raises ValueError, of one
    line, for what is not of this version.
    """
    model = details.get(kind)
    if model is None:
        if stored is None:
            return None
        raise ValueError(f"a {kind} has a detail that this version does not know")
    stored = "{}" if stored is None else stored
    try:
        return _same(model, stored) if len(stored) < _SMALL else model.model_validate_json(stored)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("detail", *first["loc"])))
        raise ValueError(f"a {kind} is not as this version knows it: {where}: {first['msg']}") from None


def add_targets(cursor: Cursor, job_id: int, targets: Iterable[FollowOn]) -> int:
    """Insert the targets that the job does not have yet, in the caller's transaction; returns how many were
    new.
    """
    cursor.execute(
        "CREATE TEMP TABLE IF NOT EXISTS stage_target_new (source text, kind text, key text, detail jsonb,"
        " priority smallint, not_before timestamptz, position int) ON COMMIT DELETE ROWS"
    )
    cursor.execute("DELETE FROM stage_target_new")
    lines = (
        copy_line(
            (
                t.source,
                t.kind,
                t.key,
                None if t.detail is None else t.detail.model_dump_json(exclude_unset=True),
                t.priority,
                t.not_before,
                position,
            )
        )
        for position, t in enumerate(targets)
    )
    copy_lines(cursor, copy_into("stage_target_new"), lines)
    cursor.execute(
        "INSERT INTO crawl.target (job_id, source, kind, key, detail, priority, not_before)"
        " SELECT %s, source, kind, key, detail, priority, not_before FROM stage_target_new ORDER BY position"
        " ON CONFLICT (job_id, source, kind, key) DO NOTHING",
        (job_id,),
    )
    accepted = cursor.rowcount
    cursor.execute("UPDATE crawl.job SET enumerated = enumerated + %s WHERE id = %s", (accepted, job_id))
    return accepted
