"""The plan of a refresh: the bulk sources first, then of each office what they and the calendar show to be
out of
date. What is asked is decided when the bulk sources have been read (records/refresh.py); the plan shows
what is
known before.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import PRIORITIES, FollowOn
from maricopa_scrapy.jobs.jobs_yaml import Step
from maricopa_scrapy.jobs.plan import EXECUTIONS, NothingToDo, Order, Plan, PlanError, Planner
from maricopa_scrapy.ledger import source_state as paces
from maricopa_scrapy.records import refresh
from maricopa_scrapy.records.refresh import Decision, Terms
from maricopa_scrapy.records.refresh_rules import OFFICES

REFRESH = "refresh"
# Rows of a whole county, and bytes of the Sales Affidavits, where none is stored yet (docs/sources.md).
_COUNTY = 1_760_000
_AFFIDAVITS = 62_000_000
_STORED = "SELECT count(*) FROM gis.parcel WHERE removed_at IS NULL"
_VALUES = "SELECT EXISTS (SELECT FROM gis.parcel WHERE full_cash_value IS NOT NULL)"


def plan_refresh(planner: Planner, order: Order, session: Session) -> Plan:
    """Return the plan. Raises PlanError, NoSuchJob, ArgumentError or StartError; each message is one line."""
    _check(order)
    mode, how = planner.catalog.mode(REFRESH, order.mode)
    spider_arguments.choice("priority", order.priority, PRIORITIES)
    spider_arguments.choice("execution", order.execution, EXECUTIONS)
    steps = _wanted(planner, how.steps, how.misses, order)
    title = planner.catalog.jobs[REFRESH].title
    misses = [] if order.sections else list(how.misses)
    plan = Plan(REFRESH, title, mode, order.priority, order.execution, {}, None, [], misses, [], {})
    within = _listed(order, plan)
    terms = _terms(planner, steps, order)
    decisions, expected = refresh.preview(session, terms, within)
    plan.decisions = [one for one in decisions if one.stored]
    if not plan.decisions:
        whom = "any of these parcels" if within is not None else "a parcel"
        raise NothingToDo(
            f"there is nothing to do: no office was asked for {whom} yet; `maricopa run comprehensive`"
            " collects them first"
        )
    rates = {pace.source: pace.rate for pace in paces.paces(session)}
    rows = session.rows(_STORED)[0][0] or _COUNTY
    for step in steps:
        if not step.section:
            targets, requests = _bulk(planner, step, within, rows)
            plan.steps.append(planner.timed(step, targets, requests, rates))
            continue
        decision = next(one for one in decisions if one.source == _spider(planner, step).source)
        title = planner.catalog.spiders[step.step].title
        if not decision.stored:
            plan.notes.append(f"{title}: it was not asked for any of these parcels yet, and is not now")
            continue
        made = planner.timed(step, (), _requests(decision, expected), rates)
        plan.steps.append(made)
        plan.full[made.source] = decision.stored / made.rate
    _tell(plan, session, expected)
    plan.parameters = dict(plan.told) | {
        name: value
        for name, value in (
            ("within", None if within is None else f"{len(within):,} parcels"),
            ("sections", ",".join(order.sections)),
            ("refresh", terms.parameters() | {"offices": [one.source for one in plan.decisions]}),
        )
        if value
    }
    return plan


def _terms(planner: Planner, steps: Sequence[Step], order: Order) -> Terms:
    offices = {_spider(planner, step).source for step in steps if step.section}
    settings = planner.settings["MARICOPA_CONFIG"].refresh
    return Terms(
        tuple(source for source in OFFICES if source in offices),
        settings.sample_share,
        settings.sample_least,
        settings.posting_days,
        order.as_of,
    )


def _check(order: Order) -> None:
    for name, is_given in (
        ("owner", order.owner is not None),
        ("address", order.address is not None),
        ("match", order.match is not None),
        ("older-than", order.older_than is not None),
    ):
        if is_given:
            raise PlanError(f"refresh takes --within, --sections and --as-of, not --{name}")
    if order.apns is None and (order.skip_invalid or order.apn_column is not None):
        raise PlanError(
            f"--{'skip-invalid' if order.skip_invalid else 'apn-column'} goes with a list: --within"
        )


def _wanted(planner: Planner, steps: Sequence[Step], misses: Sequence[str], order: Order) -> list[Step]:
    here = [step.section for step in steps if step.section]
    for section in order.sections:
        spider_arguments.choice("sections", section, planner.catalog.sections(REFRESH))
        if section not in here:
            raise PlanError(next(miss for miss in misses if miss.startswith(f"section {section}:")))
    wanted = order.sections or here
    # The Sales Affidavits tell of owners, whom the assessor is asked for.
    bulk = [one for one in steps if not one.section and (one.step != "affidavits" or "property" in wanted)]
    return bulk + [one for one in steps if one.section in wanted]


def _listed(order: Order, plan: Plan) -> list[str] | None:
    """Return the parcels of the list, each once, and tell the plan how it was read; None without one."""
    if order.apns is None:
        return None
    read = ApnList("within", order.apns, order.skip_invalid, order.apn_column)
    apns = list(dict.fromkeys(read.hold()))
    plan.parcels, plan.told = len(apns), read.told
    plan.notes += [f"{read.path}: {note}" for note in read.notes]
    plan.notes += [f"left out: {line}" for line in read.skipped[:5]]
    if read.left_out > 5:
        plan.notes.append(f"left out: {read.left_out - 5:,} more lines that hold no APN")
    return apns


def _bulk(
    planner: Planner, step: Step, within: list[str] | None, rows: int
) -> tuple[Iterable[FollowOn], int]:
    spider = _spider(planner, step)
    manifest, _, _ = spider.connection(planner.settings)
    if step.step == "affidavits":
        # Each piece is two requests: its address redirects.
        return spider.work({"affidavits": "download"}).targets, 2 * -(-_AFFIDAVITS // manifest.max_body)
    layer = next(iter(manifest.layers.values()))
    if within is None:
        # The layer itself, its extent before and after, and the pages.
        return spider.work({}).targets, 3 + -(-rows // layer.page)
    given: dict[str, Any] = {"apns": ApnList.of_values("apns", within)}
    return spider.work(given).targets, 1 + -(-len(within) // layer.list)


def _spider(planner: Planner, step: Step) -> type[LedgerSpider]:
    return planner.spider_class(planner.catalog.spider(step.step))


def _requests(decision: Decision, expected: int | None) -> int:
    # What the roll will show is asked of the assessor; of the others no more follows from it.
    known = sum(count for reason, count in decision.asked.items())
    return known + decision.sampled + (expected or 0)


def _tell(plan: Plan, session: Session, expected: int | None) -> None:
    about = (
        "how many that will be, two complete rolls must tell first"
        if expected is None
        else f"by the last two rolls about {expected:,}, which the requests of each office have in them"
    )
    plan.notes.append(f"what the roll shows to have changed since the last one is asked for too: {about}")
    if plan.decisions and not session.rows(_VALUES)[0][0]:
        plan.notes.append(
            "the stored roll has no values: the layer does not tell them, and a change of value alone is"
            " not found"
        )
    if "new_bill" in {reason for one in plan.decisions for reason in one.asked}:
        plan.notes.append("new bills have come in September: each parcel is asked for once")
