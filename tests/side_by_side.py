"""Cases of a test file that run side by side: they mostly wait, so that together they take little longer than the longest."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

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

    def __call__(self, case: Case) -> Case:
        self._cases[case.__name__] = case
        return case

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases)

    @contextmanager
    def begin(
        self, request: pytest.FixtureRequest, server: str, template: str, folder: Path, at_once: int
    ) -> Iterator[Callable[[str], None]]:
        """Start those cases that were selected, as params `case` of the file's one test; yields what raises as a case did."""
        specs = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
        selected = [spec.params["case"] for spec in specs if spec is not None and "case" in spec.params]
        with ExitStack() as stack, ThreadPoolExecutor(at_once) as pool:
            # Before the first begins: a copy of the template takes turns.
            databases = [stack.enter_context(fresh_database(server, template)) for _ in selected]
            futures: dict[str, Future[None]] = {
                name: pool.submit(self._run, name, folder / str(at), database)
                for at, (name, database) in enumerate(zip(selected, databases, strict=True))
            }

            def outcome(name: str) -> None:
                if name in futures:
                    futures.pop(name).result(timeout=400)
                    return
                # Asked once more: alone, in a place of its own.
                with fresh_database(server, template) as database:
                    self._run(name, folder / f"{name} again", database)

            yield outcome
            for future in futures.values():
                future.cancel()

    def _run(self, name: str, folder: Path, database: Database) -> None:
        folder.mkdir()
        with counties() as county:
            self._cases[name](Place(folder, database, county))
