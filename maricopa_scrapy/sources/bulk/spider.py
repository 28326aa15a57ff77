"""The Sales Affidavits: every sale since 2000, with price, seller and buyer, from a file given or fetched."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, ClassVar

from scrapy import Request
from scrapy.http import Response

from maricopa_scrapy.arguments import spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.crawl.ledger_spider import Work
from maricopa_scrapy.items import Answer, Capture, Cause, FollowOn, Issue, Outcome, Reason, Target
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.pace.answer_check import WORDS_WITHIN, Refusal, is_challenge
from maricopa_scrapy.sources.bulk import file_targets
from maricopa_scrapy.sources.bulk.affidavits import NAME
from maricopa_scrapy.sources.bulk.download import Download, moved_to

_FETCH = "download"
_HOPS_MOST = 3


class AffidavitsSpider(file_targets.BulkFileSpider):
    """Targets: `download`, which uncovers a `file`; `file`."""

    name = "affidavits"
    source = "bulk"
    needed_paths = (NAME,)
    known_arguments: ClassVar[dict[str, str]] = {
        "affidavits": "the county's zip or text file, or `download`: fetched into the data folder first",
        "accept_shrink": "`yes`: load a file that is over 2 % shorter than the last one",
    }
    details = file_targets.BulkFileSpider.details | {_FETCH: file_targets.FileDetail}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._downloads: dict[int, Download] = {}

    @classmethod
    def work(cls, given: dict[str, str]) -> Work:
        """Read which file: its name, or `download`."""
        if "skip_invalid" in given:
            raise ArgumentError(
                "skip_invalid",
                "goes with a list; lines of the file that do not fit are set aside in any case",
            )
        value = given.get("affidavits", "").strip()
        if not value:
            raise ArgumentError(
                "affidavits", "missing; give the county's Sales_Affidavits.zip, or affidavits=download"
            )
        shrink = spider_arguments.flag("accept_shrink", given.get("accept_shrink", "no"))
        if value == _FETCH:
            wanted = FollowOn(
                cls.source, _FETCH, NAME, file_targets.FileDetail(file=NAME, accept_shrink=shrink)
            )
        else:
            wanted = file_targets.target(cls.source, "affidavits", NAME, value, shrink)
        return Work("affidavits", given, [wanted])

    def request(self, target: Target) -> Request:
        """Ask for the next piece of the file, or stand for a file that is here."""
        if target.kind == "file":
            return file_targets.marker(target)
        return self._piece(target, self.base_url + self.manifest.paths[target.key])

    def _piece(self, target: Target, url: str, hops: int = 0) -> Request:
        # Also of one answer: a server that gives no pieces sends all at once.
        most = self.manifest.max_file or self.manifest.max_body
        path = default_data_dir() / "bulk" / "Sales_Affidavits.zip"
        download = self._downloads.setdefault(target.id, Download(path, self.manifest.max_body, most))
        return Request(
            url,
            headers=download.headers,
            callback=self._came,
            errback=self._failed,
            cb_kwargs={"target": target, "hops": hops},
            meta={
                "download_slot": self.source,
                "download_timeout": self.manifest.timeout,
                "download_maxsize": most,
                "dont_obey_robotstxt": not self.manifest.obey_robots,
            },
            dont_filter=True,
        )

    def _came(self, response: Response, target: Target, hops: int) -> Iterator[Answer | Request]:
        download = self._downloads[target.id]
        request = response.request or Request(response.url)
        try:
            url = moved_to(response)
            if url is None:
                is_whole = download.take(response)
            elif hops == _HOPS_MOST:
                raise Refusal(Cause.REFUSED, f"{hops + 1} redirects, the last to {url[:80]}")
        except Refusal as error:
            cause = error.cause
            if is_challenge(response, self.manifest.refusals, WORDS_WITHIN):
                cause = Cause.CHALLENGE
                self.stop(Reason.BLOCKED)
            yield self._failure(request, target, cause, str(error), str(error), response=response)
            return
        except OSError as error:
            message = (
                f"{error.filename or download.path}: {error.strerror}; make room, or name another folder with"
                " MARICOPA_DATA_DIR"
            )
            self.logger.error("%s", message)
            issue = Issue(Cause.STORE, message[:200], message)
            yield Answer(
                target, Outcome.FAILED, issues=[issue], cause=Cause.STORE, message=message, is_final=True
            )
            return
        self.pace.answered(self.source)
        if url is not None:
            yield self._piece(target, url, hops + 1)
        elif not is_whole:
            yield self._piece(target, self.base_url + self.manifest.paths[target.key])
        else:
            yield self._whole(target, download, response)

    def _whole(self, target: Target, download: Download, response: Response) -> Answer:
        path = download.finish()
        detail = file_targets.FileDetail.of(target)
        size, now = path.stat().st_size, dt.datetime.now(dt.UTC)
        self.logger.info("%s: fetched, %d bytes", path, size)
        capture = Capture(
            download.sha256,
            self.source,
            response.url,
            200,
            "application/zip",
            now,
            b"",
            is_kept=False,
            size=size,
        )
        del self._downloads[target.id]
        follow_on = file_targets.of_path(self.source, detail.file, path, detail.accept_shrink)
        return Answer(target, Outcome.DONE, capture=capture, follow_ons=[follow_on])
