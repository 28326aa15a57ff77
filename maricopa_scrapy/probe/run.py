"""A probe from its plan to its findings and bundles: one source after another."""

import contextlib
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp

from maricopa_scrapy.pace.answer_check import BrowserFailed
from maricopa_scrapy.probe import (
    assessor,
    assessor_page,
    bulk,
    bundle,
    gis,
    recorder,
    recorder_legacy,
    treasurer,
)
from maricopa_scrapy.probe.client import Asker, Challenged, Ended, Turns
from maricopa_scrapy.probe.findings import Sheet
from maricopa_scrapy.probe.proposal import Proposal
from maricopa_scrapy.probe.request_plan import Plan, Planned

logger = logging.getLogger(__name__)

_CHECKS: dict[str, ModuleType] = {
    "assessor": assessor, "assessor_page": assessor_page, "gis": gis, "recorder": recorder,
    "recorder_legacy": recorder_legacy,
    "bulk": bulk,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """`folder`: where the bundles go; `with_names`: persons stay in them; `tell` is called with a line of
    progress.
    """

    folder: Path
    with_names: bool
    tell: Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What became of one source; `bundle` is its file."""

    sheet: Sheet
    bundle: Path
    proposal: Proposal | None = None


async def run(plan: Plan, settings: Any, options: Options) -> list[Result]:
    """Ask all sources of a plan, and write a bundle of each. Raises OSError when one cannot be written."""
    turns = Turns(plan.rate)
    results = []
    in_sandbox = any(planned.in_sandbox for planned in plan.sources)
    # A proxy of the user's knows nothing of this machine's own addresses.
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), trust_env=not in_sandbox
    ) as session:
        for planned in plan.sources:
            options.tell(f"{planned.name}: {planned.requests} requests at most")
            sheet = Sheet(planned.name)
            asker = Asker(planned, sheet, turns, settings["USER_AGENT"], session)
            results.append(await _one(planned, asker, settings, options))
    return results


async def _one(planned: Planned, asker: Asker, settings: Any, options: Options) -> Result:
    manifests = settings["MARICOPA_MANIFESTS"]
    if planned.name == "treasurer":
        return await _treasurer(asker, settings, options)
    checks = _CHECKS[planned.name]
    with _until_it_ends(asker, checks.assumptions(asker)):
        await checks.check(asker, manifests)
    made = bundle.make(asker, asker.sheet, None, bundle.anonymiser(asker, manifests, options.with_names))
    return Result(asker.sheet, made.write(options.folder, _today()))


async def _treasurer(asker: Asker, settings: Any, options: Options) -> Result:
    from maricopa_scrapy.probe.visits import browser

    manifests, proposal = settings["MARICOPA_MANIFESTS"], None
    async with browser(settings["MARICOPA_CONFIG"].browser, settings["USER_AGENT"]) as opened:
        with _until_it_ends(asker, treasurer.assumptions(asker)):
            proposal = await treasurer.check(asker, opened)
        made = bundle.make(
            asker, asker.sheet, proposal, bundle.anonymiser(asker, manifests, options.with_names)
        )
        for name, html in made.pages.items():
            try:
                made.files[f"pictures/{name}.png"] = await opened.picture(
                    html, proposal.marks if proposal else {}
                )
            except BrowserFailed as error:
                logger.warning("no picture of %s: %s", name, error)
    return Result(asker.sheet, made.write(options.folder, _today()), proposal)


@contextlib.contextmanager
def _until_it_ends(asker: Asker, assumptions: tuple[str, ...]) -> Any:
    why = "what comes before it was not as known"
    try:
        yield
    except (Ended, BrowserFailed) as error:
        why = str(error)
        if not isinstance(error, Challenged):
            asker.sheet.untold("all that was planned is asked", why)
    asker.conclude()
    asker.sheet.rest(assumptions, why)


def _today() -> dt.date:
    return dt.datetime.now().astimezone().date()
