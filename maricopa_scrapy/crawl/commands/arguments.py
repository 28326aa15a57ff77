"""`scrapy arguments`: what each spider can be asked for, as a person reads it, or as docs/arguments.md."""

import argparse
import sys
import textwrap
from collections.abc import Iterator

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from maricopa_scrapy.crawl.ledger_spider import LedgerSpider

_HEAD = """# The arguments of the spiders

Written by `make docs`; `scrapy arguments` shows the same. Given as
`scrapy crawl SPIDER -a NAME=VALUE`, and to scrapyd as parameters."""


class Command(ScrapyCommand):
    """Prints the arguments of all spiders, or of those that are named."""

    requires_crawler_process = False

    def syntax(self) -> str:
        return "[options] [spider ...]"

    def short_desc(self) -> str:
        return "Show the arguments of the spiders (-a NAME=VALUE)"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--markdown", action="store_true", help="as tables, for docs/arguments.md")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from scrapy.spiderloader import get_spider_loader

        assert self.settings is not None
        loader = get_spider_loader(self.settings)
        if unknown := [name for name in args if name not in loader.list()]:
            raise UsageError(
                f"there is no spider {unknown[0]}; there are {', '.join(sorted(loader.list()))}",
                print_help=False,
            )
        told: dict[str, dict[str, str]] = {}
        for name in args or sorted(loader.list()):
            spider = loader.load(name)
            assert issubclass(spider, LedgerSpider)
            told[name] = spider.known_arguments
        told["every spider"] = LedgerSpider.common_arguments
        shown = _table if opts.markdown else _lines
        lines = [line for name, arguments in told.items() for line in shown(name, arguments)]
        sys.stdout.write("\n".join([_HEAD if opts.markdown else "", *lines]).lstrip() + "\n")


def _table(name: str, arguments: dict[str, str]) -> Iterator[str]:
    yield f"\n## {name.capitalize() if ' ' in name else name}\n"
    yield "| argument | meaning |"
    yield "|---|---|"
    yield from (f"| `{argument}` | {meaning} |" for argument, meaning in arguments.items())


def _lines(name: str, arguments: dict[str, str]) -> Iterator[str]:
    yield name
    for argument, meaning in arguments.items():
        first, *rest = textwrap.wrap(meaning, 74, break_on_hyphens=False)
        yield f"    {argument:<20} {first}"
        yield from (f"{'':25}{line}" for line in rest)
