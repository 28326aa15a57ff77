"""Scans of documents into the data folder, by Scrapy's FilesPipeline; what the recorder withholds, or does
not have yet, is told apart.
"""

import datetime as dt
import hashlib
import os
import re
from collections import defaultdict
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from scrapy import Request
from scrapy.exceptions import DropItem
from scrapy.http import Response
from scrapy.pipelines.files import FilesPipeline, FSFilesStore
from twisted.python.failure import Failure

from maricopa_scrapy.items import Answer, Capture, Cause, Issue, Outcome
from maricopa_scrapy.machine.private_files import default_data_dir, make_folder, private
from maricopa_scrapy.pace.answer_check import (
    WORDS_WITHIN,
    cause_of,
    is_challenge,
    is_refusal,
    said_of,
    wanting_proxy,
)
from maricopa_scrapy.pace.certificates import Unverified
from maricopa_scrapy.pace.proxies import wants_password
from maricopa_scrapy.pace.scrapy_internals import forget_media
from maricopa_scrapy.pace.throttle import retry_after
from maricopa_scrapy.sources.recorder.legacy_pages import is_blocked
from maricopa_scrapy.sources.recorder.records import Image
from maricopa_scrapy.sources.recorder.target_details import ScanDetail, number_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

FOLDER = "documents"
_NUMBER = re.compile(r"(?<![0-9])(?:19|20)[0-9]{9}(?![0-9])")
# A whole file ends with its mark, but for a few bytes.
_END, _END_WITHIN = b"%%EOF", 2048
_ROOM = "make room, or name another folder with MARICOPA_DATA_DIR"


class _Folder(FSFilesStore):
    """A folder that is made with its first file; `unwritten` says what went wrong with a path."""

    def __init__(self, basedir: str) -> None:
        self.basedir = basedir
        self.created_directories = defaultdict(set)
        self.unwritten: dict[str, OSError] = {}

    def persist_file(self, path: Any, buf: BytesIO, info: Any, meta: Any = None, headers: Any = None) -> None:
        """Write a file whole, or leave what was there: what is raised here Scrapy logs with its traceback."""
        file = Path(self.basedir, path)
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        try:
            make_folder(file.parent)
            with open(part, "wb", opener=private) as opened:
                opened.write(buf.getvalue())
            part.replace(file)
        except OSError as error:
            self.unwritten[path] = error
            with suppress(OSError):
                part.unlink(missing_ok=True)


class ScansPipeline(FilesPipeline):
    """Downloads the scan of each `scan` target, and completes its answer with what came."""

    STORE_SCHEMES = {"": _Folder, "file": _Folder}
    LOG_FAILED_RESULTS = False
    _unfetched: dict[str, BaseException]

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        pipeline = cls(str(default_data_dir() / FOLDER), crawler=crawler)
        # Asked for anew each time: a file is never taken for an answer.
        pipeline.expires = -1
        pipeline._unfetched = {}
        return pipeline

    def get_media_requests(self, item: Any, info: Any) -> list[Request]:
        """Return the request for the scan of a `scan` target; of other items none."""
        if not isinstance(item, Answer) or item.target.kind != "scan":
            return []
        request: Request = info.spider.request(item.target)
        manifest = info.spider.manifest
        meta = request.meta | {
            "dont_redirect": False,
            "download_maxsize": manifest.max_file or manifest.max_body,
        }
        return [request.replace(callback=None, errback=None, cb_kwargs={}, meta=meta)]

    def file_path(
        self, request: Request, response: Response | None = None, info: Any = None, *, item: Any = None
    ) -> str:
        """Return YEAR/NUMBER.pdf."""
        number = number_of(item.target)
        return f"{number[:4]}/{number}.pdf"

    async def media_downloaded(
        self, response: Response, request: Request, info: Any, *, item: Any = None
    ) -> Any:
        """Keep a scan, and note on the answer what else came."""
        spider, number = info.spider, number_of(item.target)
        body, status = response.body, response.status
        type_ = (response.headers.get(b"Content-Type") or b"").decode("latin-1")
        item.capture = Capture(
            sha256=hashlib.sha256(body).digest(),
            source=item.target.source,
            url=response.url,
            status=status,
            content_type=type_,
            fetched_at=dt.datetime.now(dt.UTC),
            body=b"",
            is_kept=False,
        )
        facts: dict[str, Any] = {
            "recording_number": number,
            "url": request.url,
            "path": None,
            "sha256": None,
            "size": None,
            "is_restricted": False,
        }
        others = [one for one in _NUMBER.findall(response.url) if one != number[:11]]
        if status == 200 and body.startswith(b"%PDF-") and _END in body[-_END_WITHIN:] and not others:
            kept = await super().media_downloaded(response, request, info, item=item)
            assert isinstance(self.store, _Folder)
            if error := self.store.unwritten.pop(kept["path"], None):
                self._keep_not(item, f"{error.filename or kept['path']}: {error.strerror}; {_ROOM}")
                spider.pace.answered(item.target.source)
                return {}
            digest = hashlib.sha256(body).hexdigest()
            item.records = [Image(**facts | {"path": kept["path"], "sha256": digest, "size": len(body)})]
        elif status == 200 and b"<" in body and is_blocked(body):
            item.records = [Image(**facts | {"is_restricted": True})]
        elif status == 404:
            asked = ScanDetail.of(item.target)
            item.follow_ons, item.issues = spider.look_again(asked.date, number, "scan", asked)
            item.outcome = Outcome.DONE if item.follow_ons else Outcome.GONE
        elif not body.startswith(b"%PDF-") and is_challenge(response, spider.manifest.refusals, WORDS_WITHIN):
            spider.stop("blocked")
            return {}
        else:
            cause = (
                Cause.SERVER_ERROR if status >= 500 else Cause.MALFORMED if status == 200 else Cause.REFUSED
            )
            cause = Cause.THROTTLED if is_refusal(response) else cause
            message = f"HTTP {status} with {type_ or 'no type'} where a scan is due"
            if proxy := wanting_proxy(response):
                cause, message = Cause.CONNECTION, wants_password(proxy)
            if status == 200 and body.startswith(b"%PDF-"):
                cause = Cause.WRONG_DOCUMENT if others else Cause.MALFORMED
                message = (
                    f"the scan of {others[0]}" if others else f"a scan of {len(body):,} bytes that breaks off"
                )
            self._fail(item, cause, message, retry_after(response))
            spider.pace.failed(request, item.target.source, cause)
            return {}
        spider.pace.answered(item.target.source)
        return {}

    def media_failed(self, failure: Failure, request: Request, info: Any) -> Any:
        """Leave it to `item_completed`, which knows whose scan it was: of an error that is raised Scrapy
        writes the whole traceback.
        """
        assert failure.value is not None
        self._unfetched[request.url] = failure.value

    def item_completed(self, results: list[Any], item: Any, info: Any) -> Any:
        """Complete the answer of a scan that never came. Raises DropItem where the run ends: its target is
        given back.
        """
        if isinstance(item, Answer) and item.target.kind == "scan":
            info.spider.scanned(item.target)
        if results and info.spider.stopping:
            raise DropItem("the run ends")
        # It would give the same failure again when the target is tried again.
        forget_media(info)
        for is_well, result in results:
            error = (
                self._unfetched.pop(info.spider.request(item.target).url, None) if is_well else result.value
            )
            if error is not None:
                if isinstance(error, Unverified):
                    info.spider.distrust(error)
                    raise DropItem("the run ends")
                cause = cause_of(error)
                self._fail(item, cause, said_of(error), None)
                info.spider.pace.failed(info.spider.request(item.target), item.target.source, cause)
        return item

    def _keep_not(self, item: Answer, message: str) -> None:
        """Give a scan up that came and cannot be written here."""
        self._fail(item, Cause.STORE, message, None)
        item.is_final, item.issues = True, [Issue(Cause.STORE, message[:200], message)]

    def _fail(self, item: Answer, cause: Cause, message: str, again: float | None) -> None:
        item.outcome, item.cause, item.message, item.retry_after = Outcome.FAILED, cause, message, again
        spider: Any = self.crawler.spider
        item.is_target_s_fault = not spider.pace.is_open(item.target.source)
        spider.logger.warning("scan %s: %s (%s)", item.target.key, cause, message)
