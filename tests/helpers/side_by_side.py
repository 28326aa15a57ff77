"""Cases of a test file that run side by side: they mostly wait, so that together they take little longer than
the longest.

Those that hold a deadline (`timed`) run alone, in the part of the suite that does.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Database, counties, fresh_database


@dataclass(frozen=True)
class Place:
    """What a case has for itself: a folder, a database with the schema, and sandbox counties."""

    folder: Path
    database: Database
    county: Callable[..., SandboxProcess]


Case = Callable[[Place], None]


class Cases:
    """The cases of a file, by name; a decorator adds one."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._timed: set[str] = set()

    def __call__(self, case: Case) -> Case:
        self._cases[case.__name__] = case
        return case

    def timed(self, case: Case) -> Case:
        """Add a case that holds a deadline."""
        self._timed.add(case.__name__)
        return self(case)

    def params(self) -> Iterable[Any]:
        """Return the cases as params of the file's one test, which calls them `case`."""
        return [
            pytest.param(name, marks=pytest.mark.timed if name in self._timed else ()) for name in self._cases
        ]

    @contextmanager
    def begin(
        self, request: pytest.FixtureRequest, server: str, template: str, folder: Path, at_once: int
    ) -> Iterator[Callable[[str], None]]:
        """Start those cases that were selected, as params `case` of the file's one test; yields what raises
        as a case did.
        """
        specs = [
            getattr(item, "callspec", None) for item in request.session.items if item.path == request.path
        ]
        selected = [spec.params["case"] for spec in specs if spec is not None and "case" in spec.params]
        beside = [name for name in selected if name not in self._timed]
        with ExitStack() as stack, ThreadPoolExecutor(at_once) as pool:
            # Before the first begins: a copy of the template takes turns.
            databases = [stack.enter_context(fresh_database(server, template)) for _ in beside]
            futures: dict[str, Future[None]] = {
                name: pool.submit(self._run, name, folder / str(at), database)
                for at, (name, database) in enumerate(zip(beside, databases, strict=True))
            }

            def outcome(name: str) -> None:
                if name in futures:
                    futures.pop(name).result(timeout=400)
                    return
                # One that is timed, or asked once more: alone, in a place of its own.
                wait(futures.values())
                with fresh_database(server, template) as database:
                    self._run(name, Path(mkdtemp(prefix=f"{name[:30]}-", dir=folder)), database)

            yield outcome
            for future in futures.values():
                future.cancel()

    def _run(self, name: str, folder: Path, database: Database) -> None:
        folder.mkdir(exist_ok=True)
        with counties() as county:
            self._cases[name](Place(folder, database, county))
