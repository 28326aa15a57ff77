"""config/jobs.yaml: the seven jobs and five modes, as data."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from maricopa_scrapy import configuration
from maricopa_scrapy.configuration import Words, _Settings

Input = Literal["apns", "owner", "address"]
Mode = Literal["api_only", "scraping_only", "api_then_scraping", "parallel_all", "intelligent"]
MODES: tuple[Mode, ...] = ("api_only", "scraping_only", "api_then_scraping", "parallel_all", "intelligent")


class NoSuchJob(ValueError):
    """A job, a mode or a section that there is not; the message is one line with the reason, or what there
    is.
    """


class SpiderFacts(_Settings):
    """One way to collect: the spider (`via`: by which of its ways), and what one of its requests is for."""

    title: Words
    asks: Literal["parcel", "list", "deed", "file"]
    spider: str = ""
    via: str = ""


class Step(_Settings):
    """One spider of a mode."""

    step: str
    takes: tuple[Input, ...]
    phase: Annotated[int, Field(ge=0, le=9)] = 0
    feeds: tuple[str, ...] = ()
    at_least: Annotated[int, Field(ge=0)] = 0
    rest: bool = False
    section: str = ""


class ModeOfJob(_Settings):
    """The steps of a job in one mode, or the reason for which there are none."""

    steps: tuple[Step, ...] = ()
    misses: tuple[Words, ...] = ()
    refused: str = ""

    @model_validator(mode="after")
    def _has_one(self) -> "ModeOfJob":
        if bool(self.steps) == bool(self.refused):
            raise ValueError("give either steps or the reason why it is refused")
        names = [step.step for step in self.steps]
        for step in self.steps:
            if not set(step.feeds) <= set(names):
                raise ValueError(
                    f"step {step.step} feeds {', '.join(step.feeds)}, which are not all steps of the mode"
                )
            fed_by = [other for other in self.steps if step.step in other.feeds]
            # Nor may two wait for each other.
            if any(
                names.index(other.step) >= names.index(step.step) or other.phase > step.phase
                for other in fed_by
            ):
                raise ValueError(f"step {step.step} comes before one that feeds it")
            if not step.takes and not fed_by:
                raise ValueError(f"step {step.step} takes nothing and is fed by none")
        return self


class JobType(_Settings):
    """One kind of job. `mode` is its default, `takes` what it can be asked by."""

    title: Words
    mode: Mode
    takes: tuple[Input, ...]
    modes: dict[Mode, ModeOfJob]

    @model_validator(mode="after")
    def _whole(self) -> "JobType":
        if missing := [mode for mode in MODES if mode not in self.modes]:
            raise ValueError(f"modes without steps or a reason: {', '.join(missing)}")
        if self.modes[self.mode].refused:
            raise ValueError(f"the default mode {self.mode} is refused")
        return self


class Catalog(_Settings):
    """All of it."""

    spiders: dict[str, SpiderFacts]
    jobs: dict[str, JobType]

    @model_validator(mode="after")
    def _known(self) -> "Catalog":
        for name, job in self.jobs.items():
            for mode, how in job.modes.items():
                for step in how.steps:
                    if step.step not in self.spiders:
                        raise ValueError(
                            f"{name}.{mode}: step {step.step} is not one of {', '.join(self.spiders)}"
                        )
        return self

    def spider(self, step: str) -> str:
        """Return the name of the spider that a step is."""
        return self.spiders[step].spider or step

    def job(self, name: str) -> tuple[str, JobType]:
        """Return the kind of job that is meant, with dashes or underscores. Raises NoSuchJob."""
        known = _meant("job", name, self.jobs)
        return known, self.jobs[known]

    def mode(self, job: str, name: str | None) -> tuple[Mode, ModeOfJob]:
        """Return the mode that is meant, the job's default without a name. Raises NoSuchJob where the pair
        makes no sense.
        """
        known = self.jobs[job].mode if name is None else _meant("mode", name, MODES)
        mode: Mode = next(mode for mode in MODES if mode == known)
        how = self.jobs[job].modes[mode]
        if how.refused:
            raise NoSuchJob(f"{shown(job)} has no mode {shown(mode)}: {how.refused.replace('_', '-')}")
        return mode, how

    def sections(self, job: str) -> list[str]:
        """Return the sections of a job, in the order of the file."""
        steps = [step for how in self.jobs[job].modes.values() for step in how.steps]
        return list(dict.fromkeys(step.section for step in steps if step.section))


def load() -> Catalog:
    """Read jobs.yaml. Raises ConfigError."""
    return configuration.read("jobs.yaml", Catalog)


def shown(name: str) -> str:
    """Return the name as it is written on the command line."""
    return name.replace("_", "-")


def _meant(what: str, given: str, known: Iterable[str]) -> str:
    names = list(known)
    name = given.strip().lower().replace("-", "_")
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {shown(close[0])}?" if close else f"; there are {', '.join(map(shown, names))}"
    raise NoSuchJob(f"there is no {what} {given!r}{hint}")
