"""The beat of a manager's jobs: a thread and a connection of its own, so that no other query delays it."""

import logging
import threading
from collections.abc import Callable, Collection

from maricopa_scrapy.database.connect import DatabaseUnavailable, Session
from maricopa_scrapy.ledger import jobs
from maricopa_scrapy.ledger.ledger import HEARTBEAT_S

logger = logging.getLogger(__name__)

# So long a beat under way may take when the manager closes.
_END_S = 1.0


class Beat:
    """Says every three seconds that this process supervises the jobs that `supervised` returns.

    `on_failure` is told what ended it, such as a database that stayed away for longer than `patience`.
    """

    def __init__(
        self,
        url: str,
        patience: float,
        supervised: Callable[[], Collection[int]],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._session = Session(url, patience)
        self._supervised = supervised
        self._on_failure = on_failure
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="job-beat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Beat no more, and wait no longer for a database that is away."""
        self._closing.set()
        self._thread.join(_END_S)
        while self._thread.is_alive():
            self._session.cancel()
            self._thread.join(_END_S)

    def _work(self) -> None:
        try:
            while not self._closing.is_set():
                if job_ids := list(self._supervised()):
                    jobs.beat(self._session, job_ids)
                self._closing.wait(HEARTBEAT_S)
        except Exception as error:
            if self._closing.is_set() and isinstance(error, DatabaseUnavailable):
                return
            logger.error("jobs beat no more: %s", error, exc_info=not isinstance(error, DatabaseUnavailable))
            self._on_failure(error)
        finally:
            self._session.close()
