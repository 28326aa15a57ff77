"""The assessor's bulk files as a target of the roll spider: read from this machine's disk, a batch of lines an item.

One file is one target, acknowledged with its last batch: a load that was killed begins again, and stores nothing twice.
"""

import asyncio
import datetime as dt
import hashlib
import io
import logging
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request

from maricopa_scrapy.arguments import ArgumentError
from maricopa_scrapy.items import Answer, Capture, Cause, FollowOn, Issue, Outcome, Target
from maricopa_scrapy.pages.bulk_files import FILES, parse_lines
from maricopa_scrapy.pages.errors import PageError

if TYPE_CHECKING:
    from maricopa_scrapy.spiders.base import Ledger

_LINES_A_BATCH = 2_000
# Fewer than make the pipeline wait: an engine that closes meanwhile never learns that an item of start() is done.
_AHEAD_MOST = 12
_PAUSE_S = 0.005
_SHOWN = 5


def target(name: str, value: str) -> FollowOn:
    """Return the target of a file. Raises ArgumentError when it cannot be read."""
    path = Path(value).expanduser()
    try:
        if not path.is_file():
            raise ArgumentError(name, f"{value} is not a file; give the county's .txt or .zip (docs/sources.md has its address)")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ArgumentError(name, f"{value}: {error.strerror}") from None
    return FollowOn("gis", "file", str(path.resolve()), {"file": name})


def marker(target: Target) -> Request:
    """Return a request that is never sent: it stands for the file in the spider's stream of work."""
    return Request(f"file://{target.key}", cb_kwargs={"target": target}, meta={"bulk_file": True}, dont_filter=True)


def target_of(request: Any) -> Target | None:
    """Return the file that a request stands for, None for any other."""
    if isinstance(request, Request) and request.meta.get("bulk_file"):
        found: Target = request.cb_kwargs["target"]
        return found
    return None


async def answers(target: Target, ledger: "Ledger", logger: Any, is_stopping: Callable[[], Any]) -> AsyncIterator[Answer]:
    """Yield the file's answers: parts, and a last one that acknowledges the target or says why not; none once the run ends."""
    assert target.detail is not None
    path, shape = Path(target.key), FILES[target.detail["file"]]
    rows = rejected = 0
    try:
        capture = await asyncio.to_thread(_capture, path)
        for place, first, lines in _batches(path):
            read = parse_lines(lines, shape, place, first)
            rows += len(lines) - len(read.rejects)
            rejected += len(read.rejects)
            for number, reason in read.rejects[:_SHOWN]:
                logger.warning("%s, line %d is rejected: %s", place, number, reason)
            issues = [Issue("rejected_line", reason, f"{place}, line {number}: {reason}") for number, reason in read.rejects]
            yield Answer(target, Outcome.DONE, capture=capture, pages=read.pages, issues=issues, is_part=True)
            # Without a database the backlog stays as it is.
            while ledger.backlog >= _AHEAD_MOST and not is_stopping():
                await asyncio.sleep(_PAUSE_S)
            if is_stopping():
                return
            await asyncio.sleep(0)
        if not rows:
            raise EOFError("the file has no lines")
    except PageError as error:
        yield _failure(target, Cause.SOURCE_CHANGED, f"{path.name}: {error}", logger)
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        yield _failure(target, Cause.MALFORMED, f"{path.name}: {error}", logger)
    else:
        logger.info("%s: %d rows, %d lines rejected", path.name, rows, rejected)
        yield Answer(target, Outcome.DONE, capture=capture, unkeyed=rows)


def _failure(target: Target, cause: Cause, message: str, logger: Any) -> Answer:
    logger.log(logging.ERROR, "%s", message)
    issue = Issue(cause, f"file: {message}"[:200], message)
    return Answer(target, Outcome.FAILED, issues=[issue], cause=cause, message=message, is_final=True)


def _capture(path: Path) -> Capture:
    """The file's digest stands for it: its body is the user's to keep."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return Capture(digest.digest(), "gis", path.as_uri(), 200, "text/plain", dt.datetime.now(dt.UTC), b"", False, path.stat().st_size)


def _batches(path: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (name of the file, number of the first line, lines) of a text file, or of each text file in a zip."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as raw:
            yield from _lines(path.name, raw)
        return
    with zipfile.ZipFile(path) as archive:
        for name in sorted(name for name in archive.namelist() if name.lower().endswith(".txt")):
            with archive.open(name) as member:
                yield from _lines(Path(name).name, member)


def _lines(name: str, raw: Any) -> Iterator[tuple[str, int, list[str]]]:
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n")
    number = 1
    while lines := list(islice(text, _LINES_A_BATCH)):
        kept = [line.rstrip("\r\n").replace("\0", "") for line in lines]
        while kept and not kept[-1]:
            kept.pop()
        yield name, number, kept
        number += len(lines)
