"""`make chaos`: a comprehensive job with every fault at once, Postgres restarted, spiders and browsers
killed: nothing is lost or wrong.

Runs that end because the county refuses (a challenge, a source that is down) are resumed once that is over,
as a person would. A fault of the list that nobody met fails the bench, as a loss does. In the end the county
is well, and what was given up is asked for again.
"""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos_campaign import OF_PARCELS, Campaign, Done, Plan
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.browser.find import NoBrowser, check
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session, migrate
from maricopa_scrapy.records import verify
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Database
from tests.helpers.recorder import SANDBOX, documents
from tests.helpers.rolls import layer
from tests.helpers.truth import wrong

PARCELS = int(os.environ.get("PARCELS", "0")) or (100 if QUICK else 1000)
_SHOWN = 10
# Each must be met at least once, at whichever source.
MUST_MEET = (
    "throttled",
    "unavailable",
    *OF_PARCELS,
    "wrong_parcel",
    "all_retyped",
    "retyped_field",
    "challenge",
)
_GIVEN_UP = (
    "SELECT cause, count(*) FROM crawl.target WHERE job_id = %s AND state = 'dead' GROUP BY 1 ORDER BY 1"
)


@dataclass
class Found:
    """What is left of a job: targets by source and state, those given up by cause, what is wrong, what verify
    says, answers with unread sections, runs by reason.
    """

    verdict: str
    states: Counter[tuple[str, str]]
    causes: dict[str | None, int]
    wrong: list[str]
    problems: list[str]
    unread: int
    reasons: dict[str | None, int]

    @property
    def lost(self) -> int:
        """Targets in no final state, or given up for no cause."""
        final = sum(count for (_, state), count in self.states.items() if state in ("done", "gone", "dead"))
        return self.states.total() - final + self.causes.get(None, 0)

    def of(self, state: str) -> int:
        """Return how many targets are in a state."""
        return sum(count for (_, one), count in self.states.items() if one == state)


def look(campaign: Campaign) -> Found:
    """Compare what is stored with the county, and let `verify` look."""
    stored = Database(campaign.url)
    session = Session(campaign.url)
    try:
        problems = verify.problems(session)
    finally:
        session.close()
    states = Counter(
        {
            (source, state): count
            for source, state, count in stored.rows(
                "SELECT source, state, count(*) FROM crawl.target WHERE job_id = %s GROUP BY 1, 2",
                campaign.job,
            )
        }
    )
    found = wrong(
        stored, campaign.job, campaign.county, documents(), layer(2 * campaign.plan.parcels), campaign.apns
    )
    reasons = dict(
        stored.rows(
            "SELECT coalesce(reason, state), count(*) FROM crawl.run WHERE job_id = %s GROUP BY 1",
            campaign.job,
        )
    )
    verdict = stored.one("SELECT verdict FROM crawl.job WHERE id = %s", campaign.job)
    unread: int = stored.one(
        "SELECT count(*) FROM crawl.target WHERE job_id = %s AND unread IS NOT NULL", campaign.job
    )
    return Found(
        verdict, states, dict(stored.rows(_GIVEN_UP, campaign.job)), found, problems, unread, reasons
    )


def campaign(plan: Plan, data: Path, folder: Path, url: str) -> tuple[Done, Found, Found]:
    """Run it; returns what was done, what was found under the faults, and what when the given up was asked
    for again.
    """
    with SandboxProcess(gis_parcels=2 * plan.parcels, latency=0.05, **SANDBOX) as sandbox:
        one = Campaign(plan, sandbox, data, folder, url)
        try:
            one.run()
            under = look(one)
            one.ask_again()
            return one.done, under, look(one)
        finally:
            one.close()


def has_browser() -> bool:
    """Whether the treasurer's pages can be read here."""
    try:
        check(BrowserSettings())
    except NoBrowser as error:
        print(f"  without the treasurer's pages: {error}")
        return False
    return True


def report(bench: Bench, plan: Plan, done: Done, under: Found, after: Found) -> None:
    """Add the rows of the table."""

    def least(what: str, count: int, bar: int = 1, figure: str = "") -> None:
        bench.add(Row(what, figure or f"{count}", "", count, bar))

    def none(what: str, count: int) -> None:
        bench.add(Row(what, f"{count}", "", count, 0, at_most=True))

    names = sorted({name for _, name in done.faults} | set(MUST_MEET))
    for name in names:
        by_source = ", ".join(
            f"{source} {count}" for (source, one), count in sorted(done.faults.items()) if one == name
        )
        count = done.met(name)
        bench.add(Row(f"fault {name}", f"{count} ({by_source})", "", count, 1))
    least("spiders killed", done.kills, plan.kills)
    least("browsers killed", done.browsers, plan.browsers)
    least("Postgres restarted", done.restarts, 2)
    for reason in ("blocked", "source_unavailable"):
        least(f"runs that ended {reason}", under.reasons.get(reason, 0))
    least("times that the campaign resumed the job", done.resumed)
    bench.add(Row("supervisors that had to be replaced", f"{done.adopted}"))
    none("events that found nothing to happen to", len(done.unsent))
    for (source, state), count in sorted(under.states.items()):
        bench.add(Row(f"{source}: {state}", f"{count}"))
    causes = ", ".join(f"{cause} {count}" for cause, count in under.causes.items()) or "none"
    bench.add(Row("given up, by cause", causes))
    least("answers with a section that could not be read", under.unread)
    bench.add(Row("survived", f"{under.of('done') + under.of('gone')} of {under.states.total()}"))
    none("lost (in no final state, or given up for no cause)", under.lost)
    none("wrong", len(under.wrong))
    none("problems that verify names", len(under.problems))
    least("asked for again when the county was well", done.retried)
    none("then lost, given up or unread", after.lost + after.of("dead") + after.unread)
    none("then wrong", len(after.wrong))
    none("then problems that verify names", len(after.problems))
    for line in [
        *under.wrong[:_SHOWN],
        *under.problems[:_SHOWN],
        *after.wrong[:_SHOWN],
        *after.problems[:_SHOWN],
        *done.unsent,
    ]:
        print(f"  {line}")


def main() -> int:
    bench = Bench("chaos")
    begun = time.monotonic()
    with_pages = has_browser()
    # The slowest first: a job ends, and can be resumed, when its last run has.
    challenged = (*(["treasurer"] if with_pages else []), "assessor", "recorder")
    plan = Plan(
        parcels=PARCELS,
        absent=max(2, PARCELS // 50),
        kills=4 if QUICK else 10,
        browsers=2 if with_pages else 0,
        mode="parallel_all" if with_pages else "api_only",
        challenged=challenged,
        rate=10 if QUICK else 40,
        trouble_s=10,
        most_s=3000,
    )
    with tempfile.TemporaryDirectory(prefix="maricopa-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = folder / "data"
        server = embedded.start(data)
        try:
            migrate(server)
            done, under, after = campaign(plan, data, folder, server)
        finally:
            if os.environ.get("KEEP"):
                shutil.copytree(folder / "log", os.environ["KEEP"], dirs_exist_ok=True)
            embedded.release(data)
    bench.add(Row("seconds", f"{time.monotonic() - begun:.0f}"))
    if not done.has_ended:
        bench.add(Row("the job came to its end", "no", "", 0, 1))
    report(bench, plan, done, under, after)
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
