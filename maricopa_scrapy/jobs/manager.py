"""The manager from Python: jobs are submitted, supervised by a thread of this process, and watched through
the ledger.

    with JobManager() as manager:
        job = manager.submit(["165-28-054"], job_type="property_search", on_progress=print)
        print(manager.wait(job).verdict)

Every method may be called from any thread, also from a GUI's; the `_async` ones from a coroutine.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from scrapy.settings import Settings

from maricopa_scrapy import configuration
from maricopa_scrapy.arguments import spider_arguments
from maricopa_scrapy.arguments.spider_arguments import age
from maricopa_scrapy.database import connect
from maricopa_scrapy.database.connect import DatabaseUnavailable, Session, migrate
from maricopa_scrapy.items import PRIORITIES
from maricopa_scrapy.jobs.beat import Beat
from maricopa_scrapy.jobs.executor import Executor
from maricopa_scrapy.jobs.local_processes import LocalProcesses
from maricopa_scrapy.jobs.plan import Order, Plan, PlanError, Planner
from maricopa_scrapy.jobs.refresh import REFRESH, plan_refresh
from maricopa_scrapy.jobs.supervisor import Supervisor
from maricopa_scrapy.ledger import jobs, ledger, progress, statistics
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.ledger.statistics import Statistics
from maricopa_scrapy.machine.private_files import default_data_dir

logger = logging.getLogger(__name__)

# Seconds between two steps of the supervisor, and between two reports of one job's progress.
_STEP_S = 0.25
_REPORT_S = 0.25
# So long the supervisor may take to end its step when the manager closes.
_END_S = 1.0

_PARAMETERS = ("execution", "match", "older_than", "sections", "skip_invalid", "apn_column", "as_of")
OnProgress = Callable[[JobProgress], object]


class JobManager:
    """Submits jobs and supervises them until `close`; jobs go on by themselves after it, and `resume` adopts
    them.

    `database_url`: a Postgres, else MARICOPA_DATABASE_URL or the embedded one. `executor`: where spiders run,
    else this machine.
    `settings`: Scrapy settings for every run. `sandbox`: the address of a sandbox county, else
    MARICOPA_SANDBOX.
    Raises DatabaseUnavailable or ConfigError.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        executor: Executor | None = None,
        settings: Mapping[str, str] | None = None,
        sandbox: str | None = None,
        runs_per_source: int = 1,
    ) -> None:
        self._url = database_url or connect.database_url()
        migrate(self._url)
        config, manifests = configuration.load()
        self._limits = config.batch_processing
        environment = (
            {"MARICOPA_DATABASE_URL": self._url}
            if database_url or os.environ.get("MARICOPA_DATABASE_URL")
            else {}
        )
        self._sandbox = os.environ.get("MARICOPA_SANDBOX", "") if sandbox is None else sandbox
        if sandbox is not None:
            environment["MARICOPA_SANDBOX"] = sandbox
        folder = default_data_dir() / "log"
        self._executor: Executor = executor or LocalProcesses(folder, settings, environment)
        self._runs_per_source = runs_per_source
        scrapy_settings = Settings(
            {
                "SPIDER_MODULES": ["maricopa_scrapy.sources"],
                "MARICOPA_CONFIG": config,
                "MARICOPA_MANIFESTS": manifests,
                "MARICOPA_SANDBOX": self._sandbox,
                "MARICOPA_RATE_LIMIT": None,
                "MARICOPA_RATE_CEILING": None,
                **(settings or {}),
            }
        )
        self.planner = Planner(scrapy_settings)
        self._lock = threading.RLock()
        # One for those who call, one for the supervisor, one for the beat.
        self._session = Session(self._url, config.writer.database_patience)
        self._patience = config.writer.database_patience
        self._new: list[int] = []
        self._watched: dict[int, _Watched] = {}
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._beat: Beat | None = None
        self._supervisor_session: Session | None = None
        self._failure: BaseException | None = None
        self._ended = threading.Condition()
        self._supervised: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Supervise no more. Runs go on; a job whose phases are not all begun waits for `resume`."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_END_S)
            # It is at a long query: whoever goes on with the job asks it again.
            while self._thread.is_alive():
                assert self._supervisor_session is not None
                self._supervisor_session.cancel()
                self._thread.join(_END_S)
        if self._beat is not None:
            self._beat.close()
        with self._lock:
            self._session.close()

    def plan(self, order: Order) -> Plan:
        """Return what a job would do. Raises PlanError, NoSuchJob, ArgumentError or StartError."""
        with self._lock:
            is_refresh = self.planner.catalog.job(order.type)[0] == REFRESH
            return (plan_refresh if is_refresh else Planner.plan)(self.planner, order, self._session)

    def submit(
        self,
        identifiers: Iterable[str] | Mapping[str, str] | str,
        *,
        job_type: str = "property_search",
        search_type: str = "apn",
        processing_mode: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        priority: str = "normal",
        on_progress: OnProgress | None = None,
    ) -> int:
        """Plan a job, write it and begin with it; returns its id.

        `identifiers`: APNs, or a mapping from APN to its priority, or a file of them; with search_type
        "owner" or "address" the words.
        `parameters`: execution, match, older_than ("30d"), sections, skip_invalid, apn_column, as_of (a
        datetime).
        `on_progress`
        is called with a JobProgress when something changed, at most 4 times a second, by the supervisor's
        thread; what it raises is logged and does no harm.
        Raises as `plan` does.
        """
        order = _order(identifiers, job_type, search_type, processing_mode, dict(parameters or {}), priority)
        return self.begin(self.plan(order), on_progress)

    def begin(self, plan: Plan, on_progress: OnProgress | None = None) -> int:
        """Write a planned job and begin with it; returns its id. Raises LedgerError, DatabaseUnavailable or
        NodeError.
        """
        job_id = self.write(plan)
        self._supervise(job_id, on_progress)
        return job_id

    def write(self, plan: Plan) -> int:
        """Write a planned job that another process is to begin with; returns its id. Raises as `begin`
        does.
        """
        self._executor.check()
        with self._lock:
            runs = plan.runs(self._executor.name, self._runs_per_source)
            job_id, _ = ledger.open_job(
                self._session,
                type_=plan.type,
                targets=plan.targets(),
                parameters=plan.parameters,
                mode=plan.mode,
                priority=plan.priority,
                is_sandbox=bool(self._sandbox),
                execution=plan.execution,
                also=lambda cursor, job_id: jobs.plan(cursor, job_id, runs),
            )
        return job_id

    def resume(self, job_id: int, on_progress: OnProgress | None = None) -> bool:
        """Go on with a job that is paused, interrupted or incomplete; returns whether this process supervises
        it now.

        Raises LedgerError when there is nothing to go on with.
        """
        with self._lock:
            if jobs.resume(self._session, job_id):
                return False
        self._supervise(job_id, on_progress)
        return True

    def retry(
        self,
        job_id: int,
        cause: str | None = None,
        on_progress: OnProgress | None = None,
        unread: bool = False,
    ) -> int:
        """Ask again for what was given up, all of it or that of one cause, or (`unread`) for answers of which
        a section could not be read; returns how many targets. Raises LedgerError.
        """
        with self._lock:
            count = jobs.retry(self._session, job_id, cause, unread)
            is_elsewhere = jobs.see(self._session, job_id).state == "running"
        if not is_elsewhere:
            self._supervise(job_id, on_progress)
        return count

    def pause(self, job_id: int) -> None:
        """Wish that the job pauses; it does within 5 s. Raises LedgerError."""
        with self._lock:
            jobs.request_state(self._session, job_id, "pause")

    def cancel(self, job_id: int) -> None:
        """Wish that the job ends; it does within 5 s, and stays cancelled. Raises LedgerError."""
        with self._lock:
            jobs.request_state(self._session, job_id, "cancel")

    def status(self, job_id: int) -> JobProgress:
        """Return how the job stands. Raises LedgerError when there is no such job."""
        with self._lock:
            return progress.read(self._session, job_id)

    def statistics(self, job_id: int | None = None) -> Statistics:
        """Return the figures of a job, or of all."""
        with self._lock:
            return statistics.read(self._session, job_id)

    def wait(self, job_id: int, timeout: float | None = None) -> JobProgress:
        """Return the job when it has ended, and its processes with it. Raises TimeoutError, LedgerError or
        DatabaseUnavailable.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.check()
            status = self.status(job_id)
            if status.state == "finished" and job_id not in self._supervised:
                return status
            left = _STEP_S if deadline is None else min(_STEP_S, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {job_id} is {status.word} after {timeout:g} s")
            with self._ended:
                self._ended.wait(left)

    def check(self) -> None:
        """Raise what ended the supervisor, if something did."""
        if self._failure is not None:
            raise self._failure

    def is_supervised(self, job_id: int) -> bool:
        """Tell whether this process supervises the job."""
        return job_id in self._supervised

    async def submit_async(self, *args: Any, **kwargs: Any) -> int:
        """As `submit`, without blocking the loop; `on_progress` is called in the loop's thread."""
        on_progress, loop = kwargs.pop("on_progress", None), asyncio.get_running_loop()

        def report(status: JobProgress) -> None:
            loop.call_soon_threadsafe(_call, on_progress, status)

        return await asyncio.to_thread(
            self.submit, *args, on_progress=report if on_progress else None, **kwargs
        )

    async def wait_async(self, job_id: int, timeout: float | None = None) -> JobProgress:
        """As `wait`, without blocking the loop."""
        return await asyncio.to_thread(self.wait, job_id, timeout)

    def _supervise(self, job_id: int, on_progress: OnProgress | None) -> None:
        with self._lock:
            # From here on it is ours, also for those who look at it before the supervisor's first step.
            jobs.adopt(self._session, job_id)
            self._supervised.add(job_id)
            self._new.append(job_id)
            if on_progress is not None:
                self._watched[job_id] = _Watched(on_progress)
            if self._thread is None:
                self._beat = Beat(self._url, self._patience, self._to_beat_for, self._failed)
                self._supervisor_session = Session(self._url, self._patience)
                self._thread = threading.Thread(target=self._work, name="job-manager", daemon=True)
                self._thread.start()
        self._wake.set()

    def _work(self) -> None:
        session = self._supervisor_session
        assert session is not None
        supervisor = Supervisor(session, self._limits)
        try:
            while not self._closing:
                with self._lock:
                    new, self._new = self._new, []
                for job_id in new:
                    try:
                        supervisor.adopt(job_id, self._executor)
                    except ledger.LedgerError as error:
                        logger.warning("%s", error)
                supervisor.step()
                self._report(session, supervisor)
                self._wake.wait(_STEP_S)
                self._wake.clear()
        except Exception as error:
            if self._closing and isinstance(error, DatabaseUnavailable):
                return
            logger.error(
                "jobs are supervised no more: %s",
                error,
                exc_info=not isinstance(error, DatabaseUnavailable | ledger.LedgerError),
            )
            self._failed(error)
        finally:
            session.close()
            with self._ended:
                self._ended.notify_all()

    def _to_beat_for(self) -> set[int]:
        # Nobody works on what is supervised no more.
        return set() if self._failure is not None else set(self._supervised)

    def _failed(self, error: Exception) -> None:
        # Whoever waits is told; nobody else would hear of what ends a thread.
        self._failure = self._failure or error

    def _report(self, session: Session, supervisor: Supervisor) -> None:
        with self._lock:
            watched = dict(self._watched)
            over = self._supervised - set(supervisor.jobs) - set(self._new)
        for job_id, one in watched.items():
            if time.monotonic() - one.reported_at >= _REPORT_S:
                one.report(progress.read(session, job_id))
            else:
                # Also the last word is not told too soon after the one before.
                over.discard(job_id)
        with self._lock:
            for job_id in over:
                self._watched.pop(job_id, None)
            self._supervised -= over
        if over:
            with self._ended:
                self._ended.notify_all()


class _Watched:
    """Who wants to know of a job, and what they were told last."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._last: JobProgress | None = None
        self.reported_at = -_REPORT_S

    def report(self, status: JobProgress) -> None:
        # Time alone is no change.
        if self._last is not None and replace(status, seconds=self._last.seconds) == self._last:
            return
        self._last, self.reported_at = status, time.monotonic()
        _call(self._on_progress, status)


def _call(on_progress: OnProgress, status: JobProgress) -> None:
    try:
        on_progress(status)
    except (Exception, SystemExit):
        logger.exception("on_progress of job %d raised", status.job)


def _order(
    identifiers: Iterable[str] | Mapping[str, str] | str,
    job_type: str,
    search_type: str,
    mode: str | None,
    given: dict[str, Any],
    priority: str,
) -> Order:
    spider_arguments.check_names(given, _PARAMETERS)
    spider_arguments.choice("search_type", search_type, ("apn", "owner", "address"))
    sections = given.get("sections", ())
    order = Order(
        job_type,
        mode,
        match=given.get("match"),
        priority=priority,
        execution=given.get("execution", "parallel"),
        older_than=(age("older_than", str(given["older_than"])) if "older_than" in given else None),
        sections=tuple(sections.split(",") if isinstance(sections, str) else sections),
        skip_invalid=bool(given.get("skip_invalid", False)),
        apn_column=given.get("apn_column"),
        as_of=given.get("as_of"),
    )
    parts = [identifiers] if isinstance(identifiers, str) else [str(one) for one in identifiers]
    if search_type != "apn":
        if len(parts) != 1:
            raise PlanError(
                f"a search by {search_type} takes one name, {len(parts)} were given; submit a job for each"
            )
        return replace(order, owner=parts[0]) if search_type == "owner" else replace(order, address=parts[0])
    if isinstance(identifiers, Mapping):
        urgent = {
            spider_arguments.apn("identifiers", apn): spider_arguments.choice("priority", word, PRIORITIES)
            for apn, word in identifiers.items()
        }
        order = replace(order, priorities={apn: PRIORITIES.index(word) for apn, word in urgent.items()})
    # Of stored parcels all are meant where none is named.
    if not parts and job_type.replace("-", "_") in ("data_enhancement", REFRESH):
        return order
    return replace(order, apns=",".join(parts))
