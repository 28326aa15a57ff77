"""`scrapy crawl`, ending with the ledger's verdict: Scrapy itself exits 0 on nearly every failure."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.exceptions import UsageError

from maricopa_scrapy.arguments import spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl import refused_settings
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider, StartError, Work
from maricopa_scrapy.crawl.run_record import open_work
from maricopa_scrapy.database.connect import DatabaseUnavailable, Session, database_url, migrate
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.ledger.ledger import LedgerError
from maricopa_scrapy.ledger.verdict import EXIT_CODES, FAILED
from maricopa_scrapy.machine.child_environment import dump_no_core
from maricopa_scrapy.machine.safe_text import visible
from maricopa_scrapy.pace.scrapy_internals import crawler_of

_USAGE = 2


@contextmanager
def _database() -> Iterator[Session]:
    url = database_url()
    migrate(url)
    session = Session(url)
    try:
        yield session
    finally:
        session.close()


class Command(CrawlCommand):
    """Writes the job before the crawl, so that a mistake is one line; exits with the verdict after it."""

    _mistake: str | None = None
    _connected: tuple[Manifest, str, dict[str, str]]

    def short_desc(self) -> str:
        return "Run a spider, and exit with the ledger's verdict"

    def long_desc(self) -> str:
        codes = ", ".join(f"{code} {verdict}" for verdict, code in EXIT_CODES.items())
        return f"Run a spider by name. Exit codes: {codes}; {_USAGE} a mistake in the command."

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--skip-invalid",
            action="store_true",
            help="leave out the lines of a list that are not what it should hold",
        )

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Take the options up, and of settings that came from elsewhere none that is refused: some are loaded
        before `run`.
        """
        dump_no_core()
        if refused_settings.is_of_scrapyd():
            # Its log is made by Scrapy, for all to read.
            os.umask(0o077)
            self._mistake = refused_settings.refused(opts.set)
        if self._mistake:
            opts.set = [pair for pair in opts.set if pair.startswith("LOG_FILE=")]
        super().process_options(args, opts)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if len(args) != 1:
            raise UsageError("give one spider; `scrapy list` shows them")
        assert self.crawler_process
        name = args[0]
        if self._mistake:
            self._refuse(name, self._mistake)
            return
        if name not in self.crawler_process.spider_loader.list():
            self._refuse(
                name,
                f"no such spider; there are {', '.join(sorted(self.crawler_process.spider_loader.list()))}",
            )
            return
        crawler = crawler_of(self, name)
        if not issubclass(crawler.spidercls, LedgerSpider):
            super().run(args, opts)
            return
        if opts.skip_invalid:
            opts.spargs["skip_invalid"] = "yes"
        try:
            spider, job_id = self._open_job(crawler.spidercls, opts.spargs)
        except (ArgumentError, DatabaseUnavailable, LedgerError, StartError) as error:
            self._refuse(name, str(error))
            return
        if spider is not crawler.spidercls:
            crawler = self.crawler_process.create_crawler(spider)
        # What the manager and scrapyd add has a name of its own kind, such as _planned.
        added = {name: value for name, value in opts.spargs.items() if name.startswith("_")}
        self.crawler_process.crawl(crawler, job=str(job_id), connected=self._connected, **added)
        self.crawler_process.start()
        self.exitcode = self._verdict(job_id)

    def _open_job(self, spider: type[LedgerSpider], given: dict[str, str]) -> tuple[type[LedgerSpider], int]:
        if "job" not in given:
            spider, work = self._work(spider, given)
            with _database() as session:
                return spider, open_work(
                    session, work, bool(self.settings and self.settings["MARICOPA_SANDBOX"])
                )
        with _database() as session:
            if spider.has_ways:
                # A job goes on by the way on which it began.
                given = {"via": ledger.way(session, spider_arguments.number("job", given["job"]))} | given
            spider, work = self._work(spider, given)
            assert work.job_id is not None
            ledger.check_runnable(session, work.job_id)
            return spider, work.job_id

    def _work(self, spider: type[LedgerSpider], given: dict[str, str]) -> tuple[type[LedgerSpider], Work]:
        spider = spider.chosen(given)
        self._connected = spider.connection(self.settings)
        return spider, spider.read_arguments(given)

    def _verdict(self, job_id: int) -> int:
        try:
            session = Session(database_url())
            verdict = ledger.own_verdict(session, job_id)
            session.close()
        except DatabaseUnavailable as error:
            logging.getLogger(__name__).error("no verdict: %s", error)
            return EXIT_CODES[FAILED]
        return EXIT_CODES.get(verdict or "", EXIT_CODES[FAILED])

    def _refuse(self, name: str, message: str) -> None:
        print(visible(f"scrapy crawl {name}: error: {message}"), file=sys.stderr)
        if self.settings and self.settings["LOG_FILE"]:
            # Under scrapyd nobody sees anything else.
            logging.getLogger(__name__).error("%s", visible(message))
        self.exitcode = _USAGE
