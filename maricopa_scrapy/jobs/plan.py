"""What a job will do, before it begins: which spiders, how many requests of each source, how long about, and
what it cannot collect.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from maricopa_scrapy.arguments import ApnList, spider_arguments
from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.crawl.ledger_spider import LedgerSpider
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import PRIORITIES, FollowOn
from maricopa_scrapy.jobs import jobs_yaml as catalogs
from maricopa_scrapy.jobs.jobs_yaml import Catalog, JobType, Step, shown
from maricopa_scrapy.ledger import source_state as paces
from maricopa_scrapy.ledger.jobs import PlannedRun
from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.records.refresh import Decision
from maricopa_scrapy.records.stale import deeds, stale

EXECUTIONS = ("sequential", "parallel", "hybrid")


class PlanError(ValueError):
    """A job that cannot be as it was asked for; the message is one line with the reason."""


class NothingToDo(PlanError):
    """All that was asked for is stored, and as new as asked."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of the manager: a kind of job, and one of `apns` (a file, or a list), `owner`, `address`.

    `priorities`: how urgent single APNs are, 0 critical to 3 low, where they differ from the job. `as_of`:
    the
    moment that a refresh takes for now.
    """

    type: str
    mode: str | None = None
    apns: str | None = None
    owner: str | None = None
    address: str | None = None
    match: str | None = None
    priority: str = "normal"
    execution: str = "parallel"
    older_than: dt.timedelta | None = None
    sections: tuple[str, ...] = ()
    skip_invalid: bool = False
    apn_column: str | None = None
    as_of: dt.datetime | None = None
    priorities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One spider of the plan. `requests`: how many at least, or at most; None where a search must tell first.
    Rates a second.
    """

    name: str
    title: str
    spider: str
    source: str
    phase: int
    feeds: tuple[str, ...]
    targets: Iterable[FollowOn]
    requests: int | None
    is_at_most: bool
    rate: float
    ceiling: float
    starts_learning: bool
    is_rest: bool

    @property
    def seconds(self) -> float | None:
        """About how long its requests take at the rate that is known now."""
        return None if self.requests is None else self.requests / self.rate


@dataclass(slots=True)
class Plan:
    """The whole of it. `parcels`: how many are asked for, None where a search must tell; `misses`: what will
    not be fetched, and why.
    """

    type: str
    title: str
    mode: str
    priority: str
    execution: str
    parameters: dict[str, Any]
    parcels: int | None
    steps: list[PlannedStep]
    misses: list[str]
    notes: list[str]
    priorities: Mapping[str, int]
    # What the job keeps of its list: the lines that were left out.
    told: Mapping[str, Any] = field(default_factory=dict)
    # Of a refresh: what is asked again and what not, as far as it is known yet; seconds of a full collection.
    decisions: list[Decision] = field(default_factory=list)
    full: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """About how long the job takes: the phases one after another, each as long as its slowest source."""
        phases: dict[int, list[float]] = {}
        for step in self.steps:
            if step.seconds is None:
                return None
            phases.setdefault(step.phase, []).append(step.seconds)
        return sum(max(times) for times in phases.values())

    def targets(self) -> Iterator[FollowOn]:
        """Yield the targets of all sources that are known at the start."""
        usual = PRIORITIES.index(self.priority)
        targets = chain.from_iterable(step.targets for step in self.steps)
        for target in progress_line.counted(targets, "writing the targets"):
            yield replace(target, priority=self.priorities.get(target.key, usual))

    def runs(self, place: str, at_once: int = 1) -> list[PlannedRun]:
        """Return the runs that the job is made of, `at_once` a source: one where only one request may be
        under way.
        """
        copies = 1 if self.execution == "sequential" else at_once
        return [
            PlannedRun(step.spider, step.source, step.phase, step.feeds, place)
            for step in self.steps
            for _ in range(copies)
        ]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a step of the plan is told besides its order: the list, the rates learnt so far, and all steps of
    the mode.
    """

    session: Session
    apns: ApnList | None
    rates: Mapping[str, float]
    steps: Sequence[Step]


class Planner:
    """Turns orders into plans; `settings` are Scrapy's, with those of the command line."""

    def __init__(self, settings: Settings, catalog: Catalog | None = None) -> None:
        self.catalog = catalog or catalogs.load()
        self.settings = settings
        self._spiders = SpiderLoader.from_settings(settings)
        self._manifests: dict[str, Manifest] = settings["MARICOPA_MANIFESTS"]

    def plan(self, order: Order, session: Session) -> Plan:
        """Raises PlanError, NoSuchJob, ArgumentError or StartError; each message is one line."""
        name, job = self.catalog.job(order.type)
        mode, how = self.catalog.mode(name, order.mode)
        spider_arguments.choice("priority", order.priority, PRIORITIES)
        spider_arguments.choice("execution", order.execution, EXECUTIONS)
        given = self._given(name, job, order)
        plan = Plan(
            name,
            job.title,
            mode,
            order.priority,
            order.execution,
            {},
            None,
            [],
            list(how.misses),
            [],
            order.priorities,
        )
        listed = None if order.apns is None else self._list(order, plan)
        wanted = self._sections(name, how.steps, how.misses, order)
        steps = [step for step in how.steps if not wanted or step.section in wanted]
        known = _Known(session, listed, {pace.source: pace.rate for pace in paces.paces(session)}, steps)
        for step in self._possible(steps, given, plan):
            apns = self._lacking(step, order, known, mode == "intelligent", plan) if step.section else None
            if apns == []:
                plan.notes.append(
                    f"{self.catalog.spiders[step.step].title}: nothing that can be asked for is missing, or"
                    " older than asked"
                )
            else:
                plan.steps.append(self._step(step, given, order, plan, apns, known))
        if not plan.steps:
            # What the mode cannot collect at all is no reason here, unless it is the only one.
            missing = plan.misses[len(how.misses) :]
            kind = NothingToDo if plan.notes and not missing else PlanError
            why = plan.notes + missing or plan.misses
            raise kind(f"there is nothing to do: {'; '.join(why) or 'no spider of this job is there'}")
        self._describe(plan, order)
        return plan

    def _given(self, name: str, job: JobType, order: Order) -> str:
        inputs = {"apns": order.apns, "owner": order.owner, "address": order.address}
        given = [word for word, value in inputs.items() if value is not None]
        if len(given) > 1:
            raise PlanError(f"--{given[0]} and --{given[1]} exclude each other")
        if given and given[0] not in job.takes:
            raise PlanError(f"{shown(name)} takes --{' or --'.join(job.takes)}, not --{given[0]}")
        sections = self.catalog.sections(name)
        if not sections and (order.sections or order.older_than):
            goes = "sections goes with data-enhancement and refresh" if order.sections else ""
            raise PlanError(f"--{goes or 'older-than goes with data-enhancement'}, not with {shown(name)}")
        if order.match is not None and (not given or given[0] == "apns"):
            raise PlanError("--match goes with --owner or --address")
        for option, is_given in (
            ("skip-invalid", order.skip_invalid),
            ("apn-column", order.apn_column is not None),
        ):
            if is_given and given != ["apns"]:
                raise PlanError(f"--{option} goes with a list of --apns")
        if not given and not sections:
            raise PlanError(f"{shown(name)} needs one of {', '.join(f'--{word}' for word in job.takes)}")
        return given[0] if given else "apns"

    def _list(self, order: Order, plan: Plan) -> ApnList:
        """Read the list, once for all steps: it may be a pipe."""
        assert order.apns is not None
        progress_line.doing("reading the list")
        apns = ApnList("apns", order.apns, order.skip_invalid, order.apn_column)
        plan.parcels = distinct = len(set(apns.hold()))
        if apns.given > distinct:
            plan.notes.append(f"{apns.given - distinct} of {apns.given} APNs are given twice")
        plan.notes += [f"{apns.path}: {note}" for note in apns.notes]
        plan.notes += [f"left out: {line}" for line in apns.skipped[:5]]
        if apns.left_out > 5:
            plan.notes.append(f"left out: {apns.left_out - 5:,} more lines that hold no APN")
        plan.told = apns.told
        plan.priorities = {**apns.priorities, **order.priorities}
        return apns

    def _sections(self, name: str, steps: Sequence[Step], misses: Sequence[str], order: Order) -> list[str]:
        known = self.catalog.sections(name)
        if not known:
            return []
        here = {step.section for step in steps}
        for section in order.sections:
            spider_arguments.choice("sections", section, known)
            if section not in here:
                why = next(
                    (miss for miss in misses if miss.startswith(f"section {section}:")),
                    f"section {section} is not part of this mode",
                )
                raise PlanError(why)
        return list(order.sections) or [section for section in known if section in here]

    def _possible(self, steps: Sequence[Step], given: str, plan: Plan) -> list[Step]:
        possible: list[Step] = []
        for step in steps:
            facts, spider = self.catalog.spiders[step.step], self.catalog.spider(step.step)
            is_fed = any(step.step in other.feeds for other in possible)
            if spider not in self._spiders.list() or (
                facts.via and "via" not in self.spider_class(spider).known_arguments
            ):
                plan.misses.append(f"{facts.title}: this version has no spider for it")
            elif given not in step.takes and not is_fed:
                why = "they are asked by APN only" if step.takes else "nothing finds targets for them"
                plan.misses.append(f"{facts.title}: {why}")
            elif step.at_least and (plan.parcels or 0) < step.at_least:
                plan.notes.append(f"{facts.title}: only for {step.at_least} APNs and more")
            else:
                possible.append(step)
        return possible

    def _lacking(
        self, step: Step, order: Order, known: "_Known", without_cancelled: bool, plan: Plan
    ) -> list[str]:
        """Return the APNs that the step's section lacks; of the recorder the numbers of their deeds."""
        given = None if known.apns is None else list(dict.fromkeys(known.apns))
        progress_line.doing(f"looking for what is missing: {self.catalog.spiders[step.step].title}")
        via = self.catalog.spiders[step.step].via
        source = self.spider_class(self.catalog.spider(step.step)).chosen({"via": via} if via else {}).source
        kind = self._manifests[source].rate.kind
        apns = stale(known.session, source, order.older_than, given, without_cancelled and kind == "scraper")
        if self.catalog.spiders[step.step].asks != "deed":
            return apns
        last = deeds(known.session, apns)
        if last.others:
            told = (
                f"{last.others:,} parcels have a deed number by which its API cannot be asked, such as"
                f" {last.example}; they are left out"
            )
            plan.notes.append(f"{self.catalog.spiders[step.step].title}: {told}")
        return last.numbers

    def _step(
        self, step: Step, given: str, order: Order, plan: Plan, apns: list[str] | None, known: "_Known"
    ) -> PlannedStep:
        facts = self.catalog.spiders[step.step]
        own: dict[str, Any] = {"via": facts.via} if facts.via else {}
        if given in step.takes and not step.rest:
            listed = known.apns if apns is None else ApnList.of_values("apns", apns)
            own[given] = listed if given == "apns" else getattr(order, given)
            own |= {"match": order.match} if order.match else {}
        spider = self.spider_class(self.catalog.spider(step.step)).chosen(own)
        manifest, _, _ = spider.connection(self.settings)
        targets: Iterable[FollowOn] = () if step.rest else spider.opening()
        if facts.asks == "deed" and apns is not None:
            targets = chain(targets, [FollowOn(spider.source, "document", number) for number in apns])
        elif given in own:
            targets = spider.work(own).targets
        parcels = len(apns) if apns is not None else plan.parcels
        requests, is_at_most = parcels, step.rest or given not in step.takes or facts.asks == "deed"
        if facts.asks == "list" and parcels is not None:
            size = next(iter(manifest.layers.values())).list if manifest.layers else 1
            requests = 1 + -(-parcels // size)
        feeds = tuple(
            self.spider_class(self.catalog.spider(name)).source
            for name in step.feeds
            if self._needs_feeding(name, given, known.steps)
        )
        return self.timed(step, targets, requests, known.rates, spider, feeds, is_at_most)

    def timed(
        self,
        step: Step,
        targets: Iterable[FollowOn],
        requests: int | None,
        rates: Mapping[str, float],
        spider: type[LedgerSpider] | None = None,
        feeds: tuple[str, ...] = (),
        is_at_most: bool = False,
    ) -> PlannedStep:
        """Return a step with the rate at which its source is asked; `rates` are those learnt so far. Raises
        StartError where the source cannot be asked.
        """
        spider = spider or self.spider_class(self.catalog.spider(step.step))
        manifest, _, _ = spider.connection(self.settings)
        pinned = self.settings.getfloat("MARICOPA_RATE_LIMIT")
        ceiling = pinned or self.settings.getfloat("MARICOPA_RATE_CEILING") or self._ceiling(manifest)
        return PlannedStep(
            name=step.step,
            title=self.catalog.spiders[step.step].title,
            spider=self.catalog.spider(step.step),
            source=spider.source,
            phase=step.phase,
            feeds=feeds,
            targets=targets,
            requests=requests,
            is_at_most=is_at_most,
            rate=pinned or min(rates.get(spider.source, manifest.rate.start), ceiling),
            ceiling=ceiling,
            starts_learning=not pinned and spider.source not in rates,
            is_rest=step.rest,
        )

    def _needs_feeding(self, name: str, given: str, steps: Sequence[Step]) -> bool:
        # One that knows its targets itself is not told them again; and one that is not there is told nothing.
        fed = next((step for step in steps if step.step == name), None)
        return (
            fed is not None and given not in fed.takes and self.catalog.spider(name) in self._spiders.list()
        )

    def _ceiling(self, manifest: Manifest) -> float:
        return float(self.settings["MARICOPA_CONFIG"].batch_processing.ceiling(manifest.rate.kind))

    def spider_class(self, name: str) -> type[LedgerSpider]:
        """Return the spider of a name."""
        spider = self._spiders.load(name)
        assert issubclass(spider, LedgerSpider)
        return spider

    def _describe(self, plan: Plan, order: Order) -> None:
        asked: dict[str, Any] = {
            name: value
            for name in ("apns", "apn_column", "owner", "address", "match")
            if (value := getattr(order, name)) is not None
        }
        if len(str(asked.get("apns", ""))) > 80 and "," in asked["apns"]:
            asked["apns"] = f"{asked['apns'].split(',')[0].strip()} and {(plan.parcels or 1) - 1} more"
        if order.older_than:
            asked["older_than"] = f"{order.older_than / dt.timedelta(days=1):g}d"
        if order.sections:
            asked["sections"] = ",".join(order.sections)
        follow = sorted({source for step in plan.steps for source in step.feeds})
        vias = {facts.via for step in plan.steps if (facts := self.catalog.spiders[step.name]).via}
        rest = sorted({step.source for step in plan.steps if step.is_rest})
        asked |= plan.told
        plan.parameters = asked | {
            name: value
            for name, value in (
                ("parcels", plan.parcels),
                ("follow", follow),
                ("via", "".join(sorted(vias))),
                ("rest", rest),
            )
            if value
        }
