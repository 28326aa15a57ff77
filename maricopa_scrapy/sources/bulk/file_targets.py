"""The assessor's bulk files as targets of a spider: read from this machine's disk, a batch of lines an item.

One file is one target, acknowledged with its last batch: a load that was killed begins again, and stores
nothing twice.
"""

import asyncio
import datetime as dt
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from scrapy import Request

from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.crawl.argument_spider import CHARACTERS, Ledger
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.database.connect import DatabaseUnavailable
from maricopa_scrapy.items import (
    Answer,
    Capture,
    Cause,
    Detail,
    FollowOn,
    Issue,
    IssueKind,
    Outcome,
    Rows,
    Target,
)
from maricopa_scrapy.sources.bulk import affidavits, last_load
from maricopa_scrapy.sources.bulk.file_check import (
    Batch,
    FileRefused,
    Member,
    Scan,
    batches,
    check_shrink,
    damage_named,
    decoded,
    lost_of,
    scan,
)
from maricopa_scrapy.sources.bulk.file_layout import FileShape, Layout, column_issues, too_many
from maricopa_scrapy.sources.bulk.file_lines import FILES, Repeats, future_dates, parse_lines, rejected

SHAPES = {**FILES, affidavits.NAME: affidavits.SALES_AFFIDAVITS}

_PHOENIX = ZoneInfo("America/Phoenix")
_PAUSE_S = 0.005
_SHOWN = 20
# Secured Master comes in books; each is compared with itself.
_BOOK = re.compile(r"BK\d+", re.IGNORECASE)


class FileDetail(Detail):
    """Which file it is; of Secured Master also which book. `accept_shrink`: it may be shorter than the
    last.
    """

    file: str
    book: str | None = None
    accept_shrink: bool = False


def target(source: str, name: str, file: str, value: str, accept_shrink: bool = False) -> FollowOn:
    """Return the target of a file that argument `name` gives. Raises ArgumentError when it cannot be read."""
    path = Path(value).expanduser()
    try:
        value.encode()
        if not path.is_file():
            raise ArgumentError(
                name,
                f"{value} is not a file; give the county's .txt or .zip (docs/sources.md has its address)",
            )
        with path.open("rb") as opened:
            opened.read(1)
    except UnicodeEncodeError:
        raise ArgumentError(name, f"{value!r}: the file's name is not UTF-8; rename it") from None
    except OSError as error:
        raise ArgumentError(name, f"{value}: {error.strerror}") from None
    return of_path(source, file, path, accept_shrink)


def of_path(source: str, file: str, path: Path, accept_shrink: bool) -> FollowOn:
    """Return the target of a file on this machine's disk."""
    book = None if path.suffix.lower() == ".zip" else _BOOK.search(path.name)
    detail = FileDetail(file=file, book=book and book[0].upper(), accept_shrink=accept_shrink)
    return FollowOn(source, "file", str(path.resolve()), detail)


def marker(target: Target) -> Request:
    """Return a request that is never sent: it stands for the file in the spider's stream of work."""
    return Request(
        f"file://{target.key}", cb_kwargs={"target": target}, meta={"bulk_file": True}, dont_filter=True
    )


class BulkFileSpider(LedgerSpider):
    """Base class of spiders that have targets of kind `file` too: `request()` returns their `marker`."""

    details = {"file": FileDetail}
    # A batch is 2,000 rows.
    batch_most = 8
    answers_at_start = True

    async def _requests(self) -> AsyncIterator[Any]:
        # Two transactions' worth, so that the writer never waits for the reader; less one, at which the
        # pipeline does not wait either.
        most = 2 * min(self.settings["MARICOPA_CONFIG"].writer.batch_size, self.batch_most) - 1
        async for request in super()._requests():
            if request.meta.get("bulk_file"):
                self._leave(request)
                async for answer in _answers(
                    request.cb_kwargs["target"], self.ledger, most, self.logger, lambda: self.stopping
                ):
                    yield answer
            else:
                yield request


async def _answers(
    target: Target, ledger: Ledger, most: int, logger: Any, is_stopping: Callable[[], Any]
) -> AsyncIterator[Answer]:
    """Yield the file's answers: parts, `most` ahead of what is stored, and a last one that acknowledges the
    target or says why not.

    None once the run ends.
    """
    detail = FileDetail.of(target)
    path, shape = Path(target.key), SHAPES[detail.file]
    try:
        found = await asyncio.to_thread(scan, path, shape)
        before: int | None = None
        if not detail.accept_shrink:
            before = await ledger.ask(last_load.last_rows, detail.file, detail.book)
            check_shrink(found, before)
        if before is None and not found.members[0][0].name:
            logger.info(
                "%s: a text file does not say how long it is; whether it is whole, its zip or a load before"
                " would tell",
                path.name,
            )
        load = _Load(target, shape, found, before, logger)
        for member, layout in found.members:
            with damage_named(), member.open() as file:
                for batch in batches(file, layout.is_headed):
                    # Nothing but the header.
                    if not batch.lines:
                        continue
                    yield load.part(batch, member, layout)
                    # Without a database the backlog stays as it is.
                    while ledger.backlog >= most and not is_stopping():
                        await asyncio.sleep(_PAUSE_S)
                    if is_stopping():
                        return
                    await asyncio.sleep(0)
        yield load.end()
    except DatabaseUnavailable:
        return
    except FileRefused as error:
        yield _failure(target, error.cause, f"{path.name}: {error}", logger)
    except OSError as error:
        yield _failure(
            target,
            Cause.MALFORMED,
            f"{path.name}: {error.strerror or error}; is the file still there, and readable?",
            logger,
        )


class _Load:
    """One file on its way into its table."""

    def __init__(
        self, target: Target, shape: FileShape, found: Scan, before: int | None, logger: Any
    ) -> None:
        now = dt.datetime.now(dt.UTC)
        self._target, self._shape, self._found, self._before, self._logger = (
            target,
            shape,
            found,
            before,
            logger,
        )
        self._repeats = Repeats(shape, found.again)
        self._today = now.astimezone(_PHOENIX).date()
        # The file's digest stands for it: its body is the user's to keep.
        uri = Path(target.key).as_uri()
        self._capture = Capture(
            found.digest,
            target.source,
            uri,
            200,
            "text/plain",
            now,
            b"",
            is_kept=False,
            size=Path(target.key).stat().st_size,
        )
        self._rows = self._aside = self._misfits = self._future = 0
        self._is_garbled = False

    def part(self, batch: Batch, member: Member, layout: Layout) -> Answer:
        """Read a batch. Raises FileRefused when too much of the file does not fit."""
        place = member.place
        lines = decoded(batch.lines)
        read = parse_lines(lines, self._shape, place, batch.first, layout, self._repeats)
        misfits = [one for one in read.rejects if one.is_misfit]
        self._misfits += len(misfits)
        begins = batch.first <= 1 + layout.is_headed
        if too_many(self._misfits, self._found.lines, layout.is_headed) or (
            begins and 2 * len(misfits) > len(lines)
        ):
            raise FileRefused(
                Cause.SOURCE_CHANGED,
                f"{self._misfits:,} lines of {place}, up to line {batch.first + len(lines) - 1:,}, are not"
                f" those of the {self._shape.name} (line {misfits[-1].number:,}: {misfits[-1].reason}); it is"
                f" another file, or its columns have moved (docs/sources.md); {self._rows:,} rows before them"
                " are stored",
            )
        self._rows += len(read.numbers)
        for one in read.rejects[: max(0, _SHOWN - self._aside)]:
            self._logger.warning("%s, line %d is rejected: %s", place, one.number, one.reason)
        self._aside += len(read.rejects)
        future = future_dates(read, self._shape, self._today, place)
        self._future += len(future)
        issues = [
            Issue(IssueKind.REJECTED_LINE, one.kind, f"{place}, line {one.number}: {one.reason}")
            for one in read.rejects
        ] + future
        for at, what in lost_of(batch.lines):
            self._is_garbled = True
            issues.append(
                Issue(
                    IssueKind.LOST_CHARACTERS,
                    f"{self._shape.name}: {what}",
                    f"{place}, line {batch.first + at}: {what}",
                )
            )
        pages: list[Rows] = read.pages
        if read.rejects:
            file = FileDetail.of(self._target).file
            pages = [*pages, rejected(read.rejects, file, place, self._found.digest)]
        return Answer(
            self._target, Outcome.DONE, capture=self._capture, pages=pages, issues=issues, is_part=True
        )

    def end(self) -> Answer:
        """Acknowledge the file. Raises FileRefused when its lines are not those that were counted, or none is
        a row.
        """
        name = Path(self._target.key).name
        if self._rows + self._aside != self._found.lines:
            raise FileRefused(
                Cause.MALFORMED,
                f"it was {self._found.lines:,} lines long, and has changed while it was read; load it again",
            )
        if not self._rows:
            raise FileRefused(
                Cause.SOURCE_CHANGED,
                f"none of its {self._found.lines:,} lines is a row of the {self._shape.name}",
            )
        self._logger.info(
            "%s: %d lines: %d rows, %d set aside (bulk.reject)%s",
            name,
            self._found.lines,
            self._rows,
            self._aside,
            f"; {self._future} dates in the future" if self._future else "",
        )
        first = self._found.members[0][1]
        issues = column_issues(self._shape, first, self._found.misfits, self._found.lines)
        if self._before is not None and self._rows < self._before:
            # Cut at the end of a line, a text file looks whole.
            told = (
                f"{name} has {self._rows:,} rows, and the last one that was loaded had {self._before:,}: is"
                " it whole?"
            )
            issues.append(Issue(IssueKind.FEWER_ROWS, self._shape.name, told))
        unread = (
            tuple(self._shape.section(number) for number in sorted(first.unread))
            + (CHARACTERS,) * self._is_garbled
        )
        return Answer(
            self._target,
            Outcome.DONE,
            capture=self._capture,
            issues=issues,
            unkeyed=self._rows,
            unread=unread,
        )


def _failure(target: Target, cause: Cause, message: str, logger: Any) -> Answer:
    logger.log(logging.ERROR, "%s", message)
    issue = Issue(cause, f"file: {message}"[:200], message)
    return Answer(target, Outcome.FAILED, issues=[issue], cause=cause, message=message, is_final=True)
