"""Whether a source of a job may still get targets from another one's answers: a deed number, for instance."""

from psycopg2.extensions import cursor as Cursor

# Whose answers add targets of a source, in jobs whose parameter `follow` names it.
FEEDERS = {"recorder": ("assessor", "gis"), "assessor": ("gis",)}
# How long a run waits for the first run of a source that can.
_BEGINS_S = 60.0
# A target of a feeder that is worked on: by a run that lives, or by one that is about to begin (not one that
# came and ended).
_MAY_BE_FED = """
    SELECT EXISTS (
        SELECT FROM crawl.job j JOIN crawl.target t ON t.job_id = j.id AND t.source = ANY(%(feeders)s)
          AND t.state IN ('pending', 'leased')
        WHERE j.id = %(job)s AND coalesce(j.parameters -> 'follow', '[]') ? %(source)s
          AND NOT (t.state = 'pending' AND t.cause IS NULL
              AND coalesce(t.not_before, now()) > now() + make_interval(secs => %(later)s))
          AND (EXISTS (SELECT FROM crawl.run r WHERE r.job_id = j.id AND r.state = 'running'
                       AND t.source = ANY(coalesce(r.sources, ARRAY[r.source])))
               OR EXISTS (SELECT FROM crawl.run mine
                   WHERE mine.id = %(run)s AND mine.started_at > now() - make_interval(secs => %(begins)s)
                          AND NOT EXISTS (SELECT FROM crawl.planned_run p
                              WHERE p.job_id = j.id AND %(source)s = ANY (p.feeds)
                                          AND p.state = 'ended' AND p.ended_at > mine.started_at)))
    )
"""


# Runs of the job's plan that may yet find targets for the source, now or when their supervisor starts them.
_MAY_COME = """
    SELECT EXISTS (
        SELECT FROM crawl.planned_run p JOIN crawl.job j ON j.id = p.job_id
        LEFT JOIN crawl.run r ON r.id = p.run_id
        WHERE p.job_id = %(job)s AND %(source)s = ANY (p.feeds) AND p.state <> 'ended'
          AND (r.state = 'running' OR j.supervised_at > now() - make_interval(secs => %(silence)s)))
"""


def may_be_fed(cursor: Cursor, run_id: int, job_id: int, source: str, later: float, silence: float) -> bool:
    """Return whether a run of the job that lives, is planned, or begins with this one, can still add targets
    of the source.

    A feeder's target that is due only `later` seconds from now is not waited for; a supervisor silent for
    `silence` starts none.
    """
    cursor.execute(_MAY_COME, {"job": job_id, "source": source, "silence": silence})
    if cursor.fetchone() == (True,):
        return True
    if source not in FEEDERS:
        return False
    names = {
        "job": job_id,
        "run": run_id,
        "source": source,
        "feeders": list(FEEDERS[source]),
        "later": later,
        "begins": _BEGINS_S,
    }
    cursor.execute(_MAY_BE_FED, names)
    (is_fed,) = cursor.fetchone() or (False,)
    return bool(is_fed)
