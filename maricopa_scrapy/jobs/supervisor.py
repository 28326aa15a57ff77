"""One process's jobs, step by step: wait for a turn, start the runs of each phase, start anew what was lost,
see the end.

What it decides it reads in the ledger, so that another supervisor can go on at any moment. The beat, by which
others know that somebody supervises a job, is another thread's (beat.py): it waits for no query.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from maricopa_scrapy.configuration import CONNECTIONS_A_RUN, BatchProcessing
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.targets import add_targets
from maricopa_scrapy.items import FollowOn
from maricopa_scrapy.jobs.executor import Executor, NodeError
from maricopa_scrapy.ledger import jobs
from maricopa_scrapy.ledger.jobs import JobState, RunState
from maricopa_scrapy.records import refresh
from maricopa_scrapy.records.stale import missing_of_lists

logger = logging.getLogger(__name__)

# Seconds after which a run that does not end by itself is asked to, and after which it is killed.
_ASK_AFTER_S = 4.0
_KILL_AFTER_S = 8.0
# A process that never came to the ledger is given so long to do so where its node cannot tell whether it
# lives.
_SILENT_S = 30.0
# Starts in a row that came to nothing: never in the ledger; lost soon after; refused by the place, which is
# asked for half a minute.
_TRIES_UNSEEN = 2
_TRIES = 5
_TRIES_REFUSED = 6
_SOON_S = 10.0
# Targets that are added at once.
_BATCH = 20_000


@dataclass(slots=True)
class _Supervised:
    """A job of this process. `ending_since`: when its runs were first seen to have no reason to be there any
    more.
    """

    executor: Executor
    phase: int = -1
    ending_since: float | None = None
    asked: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    handles: dict[int, str] = field(default_factory=dict)
    not_before: dict[int, float] = field(default_factory=dict)


class Supervisor:
    """Not for use by two threads at once. All methods raise DatabaseUnavailable."""

    def __init__(
        self, session: Session, limits: BatchProcessing, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._limits = limits
        self._clock = clock
        self._jobs: dict[int, _Supervised] = {}

    @property
    def jobs(self) -> list[int]:
        """The jobs that have not ended, or whose processes have not."""
        return list(self._jobs)

    def adopt(self, job_id: int, executor: Executor) -> None:
        """Supervise the job from now on. Raises LedgerError when another process does."""
        jobs.adopt(self._session, job_id)
        self._jobs[job_id] = _Supervised(executor)

    def step(self) -> None:
        """Do for each job what is due now."""
        now = self._clock()
        for job_id, mine in list(self._jobs.items()):
            job = jobs.see(self._session, job_id)
            if not job.is_mine:
                logger.warning("job %d: another process has taken it over", job_id)
                del self._jobs[job_id]
                continue
            for run in job.runs:
                if run.handle:
                    mine.handles[run.number] = run.handle
            if job.state == "finished" or job.requested_state != "run":
                self._end(job, mine, now)
            elif job.state == "pending":
                mine.ending_since, mine.phase = None, -1
                if jobs.take_turn(self._session, job_id, self._limits.max_concurrent_jobs):
                    logger.info("job %d begins", job_id)
            elif job.state == "running":
                mine.ending_since = None
                self._advance(job, mine, now)

    def _end(self, job: JobState, mine: _Supervised, now: float) -> None:
        there = [handle for handle in mine.handles.values() if mine.executor.is_running(handle)]
        if not there:
            mine.handles.clear()
            if job.state == "finished":
                logger.info("job %d: %s", job.id, job.verdict)
                del self._jobs[job.id]
            return
        if mine.ending_since is None:
            mine.ending_since = now
            mine.asked.clear()
            mine.killed.clear()
        for after, done, act in (
            (_ASK_AFTER_S, mine.asked, mine.executor.stop),
            (_KILL_AFTER_S, mine.killed, mine.executor.kill),
        ):
            if now - mine.ending_since >= after:
                for handle in there:
                    if handle not in done:
                        done.add(handle)
                        self._try(lambda act=act, handle=handle: act(handle))  # type: ignore[misc]

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except NodeError as error:
            logger.warning("%s", error)

    def _advance(self, job: JobState, mine: _Supervised, now: float) -> None:
        phase = min((run.phase for run in job.runs if run.state != "ended"), default=-1)
        if phase > max(mine.phase, 0):
            self._find_rest(job, phase)
            mine.phase = phase
            return  # what the phase has to do is seen anew
        mine.phase = phase
        for run in job.runs:
            if run.phase != phase or run.state == "ended" or now < mine.not_before.get(run.number, now):
                continue
            if run.state == "planned":
                self._begin(job, run, mine, now)
            elif run.run != "running":
                self._look_after(job, run, mine, now)

    def _find_rest(self, job: JobState, phase: int) -> None:
        if "refresh" in job.parameters:
            for one in self._session.transact(lambda cursor: refresh.derive(cursor, job.id, phase)):
                asked, skipped = sum(one.asked.values()), sum(one.skipped.values())
                logger.info(
                    "job %d: %s is asked for %d again, and for %d of the other %d to prove the rule",
                    job.id,
                    one.source,
                    asked,
                    one.sampled,
                    skipped,
                )
        if "assessor" not in job.parameters.get("rest", ()):
            return
        missing = self._session.transact(lambda cursor: missing_of_lists(cursor, job.id))
        targets = (FollowOn("assessor", "parcel", apn) for apn in missing)
        # In parts, each for itself: whoever changes the job's row need not wait for a million targets.
        while part := list(islice(targets, _BATCH)):
            self._session.transact(lambda cursor, part=part: add_targets(cursor, job.id, part))  # type: ignore[misc]
        logger.info("job %d: %d parcels are not in the GIS; the API is asked for them", job.id, len(missing))

    def _begin(self, job: JobState, run: RunState, mine: _Supervised, now: float) -> None:
        if not run.has_open_targets:
            if not run.is_fed:
                jobs.note_end(self._session, job.id, run.number, run.message or "nothing to do")
            return
        # One that is started anew does not wait: others may wait for it.
        if not run.starts and not self._has_connections(job):
            return
        jobs.note_start(self._session, job.id, run.number, None)
        try:
            handle = mine.executor.start(run.spider, {"job": str(job.id), "_planned": str(run.number)})
        except NodeError as error:
            logger.warning("job %d: %s", job.id, error)
            self._again(job, run, mine, now, str(error), _TRIES_REFUSED)
            return
        mine.handles[run.number] = handle
        jobs.note_start(self._session, job.id, run.number, handle)
        logger.info("job %d: %s is started at %s", job.id, run.spider, mine.executor.name)

    def _has_connections(self, job: JobState) -> bool:
        started = jobs.started_runs(self._session, list(self._jobs))
        return (started + 1) * CONNECTIONS_A_RUN <= self._limits.connection_pool_size

    def _look_after(self, job: JobState, run: RunState, mine: _Supervised, now: float) -> None:
        there = mine.executor.is_running(run.handle) if run.handle else False
        if there or (there is None and run.run == "" and run.age < _SILENT_S):
            return
        # It may have come to the ledger, and ended in order, between that look and this one.
        now_is = next((one for one in jobs.see(self._session, job.id).runs if one.number == run.number), None)
        if now_is is None or (now_is.state, now_is.run, now_is.handle) != (run.state, run.run, run.handle):
            return
        words = mine.executor.last_words(run.spider, run.handle) if run.handle else ""
        logger.warning(
            "job %d: %s ended without a word to the ledger%s",
            job.id,
            run.spider,
            f": {words}" if words else "",
        )
        self._again(job, run, mine, now, words, _TRIES if run.run == "lost" else _TRIES_UNSEEN)

    def _again(
        self, job: JobState, run: RunState, mine: _Supervised, now: float, words: str, tries: int
    ) -> None:
        was_at_work = run.run == "lost" and run.age > _SOON_S
        starts = 1 if was_at_work else run.starts + (run.state == "planned")
        if starts >= tries:
            jobs.note_end(self._session, job.id, run.number, words or "its process ended again and again")
            return
        mine.not_before[run.number] = now + 2.0 ** (starts - 1) - 1
        jobs.note_again(self._session, job.id, run.number, 0 if was_at_work else starts)
