"""Scrapy settings that come from another machine, by `setting` of scrapyd's schedule.json: some would make a run another program.

Who may start a run could with them have any file written and any program loaded on a node, or take the pace, robots.txt and the
certificates away. Who has a shell of the machine needs none of this to do the same: `scrapy crawl -s` is let by.
"""

import re
import sys
from collections.abc import Iterable

# Paths of what is loaded, places that are written to, and what guards people and hosts.
_OURS = re.compile(
    r"(SPIDER_MODULES|NEWSPIDER_MODULE|COMMANDS_MODULE|ADDONS|EXTENSIONS|ITEM_PIPELINES|DOWNLOAD_HANDLERS|DOWNLOADER_MIDDLEWARES"
    r"|SPIDER_MIDDLEWARES|SPIDER_CONTRACTS|FEED_EXPORTERS|FEED_STORAGES)(_BASE)?"
    r"|\w+_CLASS|\w+_IMPLEMENTATIONS|\w+_PARSER|\w+_QUEUE|\w+_POLICY|\w+_STORAGE|DOWNLOADER|SCHEDULER|LOG_FORMATTER|TWISTED_REACTOR"
    r"|ASYNCIO_EVENT_LOOP|DNS_RESOLVER|DOWNLOADER_CLIENTCONTEXTFACTORY|HTTPCACHE_\w+|TEMPLATES_DIR|FEED_URI\w*|FEED_TEMPDIR|FILES_\w+"
    r"|IMAGES_\w+|PLAYWRIGHT_\w+|HTTPPROXY_\w+|ROBOTSTXT_\w+|DOWNLOAD_VERIFY_CERTIFICATES|DOWNLOAD_SLOTS|DOWNLOAD_DELAY|AUTOTHROTTLE_\w+"
    r"|REDIRECT_ENABLED|METAREFRESH_ENABLED|COOKIES_ENABLED|TELNETCONSOLE_\w+|REMOTE_CONTROL_\w+|MARICOPA_CONFIG|MARICOPA_MANIFESTS"
)
# What scrapyd gives itself, in place of what it was given, where its own setting is not empty.
_OF_SCRAPYD = {"LOG_FILE": "logs_dir", "FEEDS": "items_dir", "JOBDIR": "jobs_dir"}


def refused(given: Iterable[str]) -> str | None:
    """Return the line about the first setting NAME=VALUE that no node takes; None when all may be given."""
    for name in (pair.partition("=")[0].strip() for pair in given):
        if name in _OF_SCRAPYD and not _is_scrapyd_s(_OF_SCRAPYD[name]):
            return f"the setting {name} would have any file written on the node; it is scrapyd's alone to give"
        if _OURS.fullmatch(name):
            return f"the setting {name} is the project's own: no run takes it from elsewhere"
    return None


def is_of_scrapyd() -> bool:
    """Whether scrapyd started this process."""
    return "scrapyd" in sys.modules


def _is_scrapyd_s(option: str) -> bool:
    return is_of_scrapyd() and bool(sys.modules["scrapyd"].Config().get(option, ""))
