"""`maricopa reparse`: the stored captures of a source, read again with today's parsers, against what is
stored.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg2.extensions import cursor as Cursor
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl import reparsed_rows as store
from maricopa_scrapy.crawl.argument_spider import read
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.database.connect import DatabaseUnavailable, Session
from maricopa_scrapy.database.stored_identity import signs_of
from maricopa_scrapy.database.targets import Run, detail_of
from maricopa_scrapy.items import Answer, Reason
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.pace.answer_check import Refusal
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.identity import check_signs

NAME = "reparse"
# A transaction: so many answers, or fewer when they are pages of rows.
_ANSWERS = 200
_ROWS_MOST = 16_000
_SHOWN_MOST = 20


@dataclass(slots=True)
class Report:
    """What came of it. `failures` are answers that cannot be read today: (kind and key, capture, URL, why),
    the first of them.
    """

    answers: int = 0
    unkept: int = 0
    same: int = 0
    left: int = 0
    fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[store.Difference] = field(default_factory=list)
    # Sections that cannot be read although others can: how many answers have them.
    unread: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: list[tuple[str, str, str, str]] = field(default_factory=list)


def registry() -> dict[str, dict[str, type[LedgerSpider]]]:
    """Return for each source the kinds of answers that are read into rows, and the spider that reads them."""
    loader = SpiderLoader.from_settings(Settings({"SPIDER_MODULES": ["maricopa_scrapy.sources"]}))
    found: dict[str, dict[str, type[LedgerSpider]]] = {}
    for spider in map(loader.load, loader.list()):
        # Some sources have no spider of their own: they are served besides another.
        for one in (*spider.also, spider) if issubclass(spider, LedgerSpider) else ():
            if one.handlers:
                found.setdefault(one.source, {}).update(dict.fromkeys(one.handlers, one))
    return found


class Reparse:
    """One source's answers, read again; of one job, or of all. `is_dry`: nothing is stored, and each field is
    told once.
    """

    def __init__(
        self,
        session: Session,
        manifests: Mapping[str, Manifest],
        source: str,
        job_id: int | None,
        is_dry: bool,
        shown: int = _SHOWN_MOST,
    ) -> None:
        self._session = session
        self._source = source
        self._job_id = job_id
        self._is_dry = is_dry
        self._shown = shown
        self._kinds = kinds = registry()[source]
        readers = {spider: spider.reader(manifests) for spider in kinds.values()}
        self._handlers: dict[str, Callable[..., Any]] = {
            kind: spider.handlers[kind].__get__(readers[spider]) for kind, spider in kinds.items()
        }
        self._told: set[tuple[str, str, str]] = set()
        self._beaten = time.monotonic()
        self.report = Report()

    def run(self) -> Report:
        """Read, compare and, unless it is dry, merge. Raises DatabaseUnavailable, LedgerError."""
        if self._is_dry:
            self._work(Run(0, 0, self._source))
            return self.report
        parameters = {"source": self._source} | ({} if self._job_id is None else {"job": self._job_id})
        is_sandbox = self._session.transact(_is_sandbox)
        job_id, _ = ledger.open_job(self._session, NAME, [], parameters, is_sandbox=is_sandbox)
        run = ledger.open_run(self._session, job_id, NAME, self._source, is_sandbox)
        reason: str = Reason.PIPELINE_ERROR
        try:
            self._work(run)
            store.acquit(self._session, self._job_id)
            reason = Reason.FINISHED
        except KeyboardInterrupt:
            reason = Reason.CANCELLED
            raise
        finally:
            ledger.close_run(
                self._session, run, reason, {"answers": self.report.answers, "failed": self.report.failed}
            )
        return self.report

    def _work(self, run: Run) -> None:
        progress_line.doing(f"reading answers of {self._source} again")
        reads: list[store.Read] = []
        rows = 0
        for stored in store.answers(
            self._session, self._source, list(self._handlers), self._job_id, _ANSWERS
        ):
            for one in stored:
                if (read := self._read(one)) is not None:
                    reads.append(read)
                    rows += sum(map(len, read.pages))
                if rows >= _ROWS_MOST:
                    self._compare(run, reads)
                    reads, rows = [], 0
            self._compare(run, reads)
            reads, rows = [], 0

    def _read(self, stored: store.Stored) -> store.Read | None:
        kind = stored.target.kind
        if None in stored.bodies:
            self.report.unkept += 1
            return None
        self.report.answers += 1
        progress_line.done(self.report.answers)
        try:
            detail = detail_of(self._kinds[kind].details, kind, stored.detail)
            target = replace(stored.target, detail=detail)
            # An answer of several captures is handed over as they are: its reader takes as many.
            answer = read(self._handlers[kind], [body for body in stored.bodies if body is not None], target)
            for signs in answer.signs if isinstance(answer, Answer) else ():
                check_signs(signs, signs_of(self._session, target.key))
        except DatabaseUnavailable:
            raise
        except (PageError, Refusal) as error:
            self._failed(stored, f"{error.cause}: {error}")
            return None
        except Exception as error:  # noqa: BLE001 - whatever a parser trips over is told with its capture, and the others go on
            self._failed(stored, f"{type(error).__name__}: {error}")
            return None
        if not isinstance(answer, Answer):
            self._failed(stored, "its reader wants another answer first")
            return None
        self.report.unread.update(answer.unread)
        return store.Read(stored, answer.records, answer.pages, answer.complete, answer.unread)

    def _failed(self, stored: store.Stored, why: str) -> None:
        self.report.failed += 1
        if len(self.report.failures) < self._shown:
            one = (
                f"{stored.target.kind} {stored.target.key}",
                stored.captures[0].hex(),
                stored.urls[0],
                why.splitlines()[0],
            )
            self.report.failures.append(one)

    def _compare(self, run: Run, reads: list[store.Read]) -> None:
        if not reads:
            return
        outcome = store.compare(self._session, run, reads, self._is_dry)
        self.report.same += outcome.same
        self.report.left += outcome.left
        differences = outcome.differences
        if self._is_dry:
            # Of answers that came one after another, the rows were not mended in between.
            differences = [one for one in differences if (one.table, one.key, one.field) not in self._told]
            self._told.update((one.table, one.key, one.field) for one in differences)
        self.report.fields += store.by_field(differences)
        self.report.examples += differences[: self._shown - len(self.report.examples)]
        if not self._is_dry and time.monotonic() - self._beaten > ledger.HEARTBEAT_S:
            ledger.heartbeat(self._session, run)
            self._beaten = time.monotonic()


def shown(report: Report, is_dry: bool) -> Iterator[RenderableType]:
    """Yield the report as a person would read it."""
    yield (
        f"{report.answers:,} captures read again: {report.same:,} rows the same, {report.left:,} changed"
        " since or not compared"
    )
    if report.unkept:
        yield f"{report.unkept:,} answers have no body to read: it was not kept, or was pruned"
    if report.failed:
        yield Text(
            f"{report.failed:,} captures cannot be read by today's parser; their rows are left as they are",
            style="bold",
        )
        for what, capture, url, why in report.failures:
            yield Text(f"  {what} (capture {capture}, {url}): {why}")
        if report.failed > len(report.failures):
            yield f"  and {report.failed - len(report.failures):,} others"
    if report.unread:
        named = ", ".join(f"{section} {count:,}" for section, count in report.unread.most_common())
        yield f"sections that cannot be read by today's parser, their rows are left as they are: {named}"
    if not report.fields:
        yield "no field differs"
        return
    counts = Table(
        title="Differs, nothing stored" if is_dry else "Differed, stored",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for name in ("table", "field", "rows"):
        counts.add_column(name, justify="right" if name == "rows" else "left")
    for (table, name), count in report.fields.most_common():
        counts.add_row(table, Text(name), f"{count:,}")
    yield counts
    single = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("table", "key", "field", "stored", "read today"):
        single.add_column(name, overflow="fold")
    for one in report.examples:
        single.add_row(
            one.table, Text(one.key), Text(one.field or "(row)"), Text(one.old or ""), Text(one.new or "")
        )
    yield ""
    yield single


def _is_sandbox(cursor: Cursor) -> bool:
    cursor.execute("SELECT coalesce(bool_or(is_sandbox), false) FROM crawl.job")
    return bool((cursor.fetchone() or (False,))[0])
