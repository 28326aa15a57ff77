"""Scrapy settings that come from elsewhere: by `setting` of scrapyd's schedule.json, or out of a job's row in
the database.

Any other could make a run another program: have any file written, any program loaded, the pace, robots.txt
and the certificates taken away. Who has a shell of the machine needs none of this to do the same: `scrapy
crawl -s` is let by.
"""

import re
import sys
from collections.abc import Iterable

# What they can do is slow a run, end it, or say more or less. All others stay as the project has them, also
# those of a later Scrapy.
_LET_BY = re.compile(
    r"LOG_LEVEL|LOG_STDOUT|STATS_DUMP|USER_AGENT|CLOSESPIDER_\w+|DOWNLOAD_TIMEOUT|DNS_TIMEOUT|MEMUSAGE_(ENABLED|LIMIT_MB|WARNING_MB)"
    r"|MARICOPA_RATE_LIMIT|MARICOPA_RATE_CEILING|MARICOPA_METRICS_PORT"
)
# What scrapyd gives itself, in place of what it was given, where its own setting is not empty.
_OF_SCRAPYD = {"LOG_FILE": "logs_dir", "FEEDS": "items_dir", "JOBDIR": "jobs_dir"}


def refused(given: Iterable[str]) -> str | None:
    """Return the line about the first setting, NAME=VALUE or NAME, that no run takes from elsewhere; None
    when all may be given.
    """
    for name in (pair.partition("=")[0].strip() for pair in given):
        if name in _OF_SCRAPYD:
            if not _is_scrapyd_s(_OF_SCRAPYD[name]):
                return (
                    f"the setting {name} would have any file written where it runs; on a node it is scrapyd's"
                    " alone to give"
                )
        elif not _LET_BY.fullmatch(name):
            return (
                f"the setting {name} is the project's own: no run takes it from elsewhere (docs/operations.md"
                " lists those that it takes)"
            )
    return None


def is_of_scrapyd() -> bool:
    """Whether scrapyd started this process."""
    return "scrapyd" in sys.modules


def _is_scrapyd_s(option: str) -> bool:
    return is_of_scrapyd() and bool(sys.modules["scrapyd"].Config().get(option, ""))
