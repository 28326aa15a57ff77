"""config/*.yaml as typed settings. Order: the folder $MARICOPA_CONFIG, ./config, the copy that came with the
package.
"""

import difflib
import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from maricopa_scrapy.items import Cause, Floor
from maricopa_scrapy.parsing.page_layout import Layout

# The most that a user may ask of a county host, requests per second.
CEILING_MOST = 5.0
# Database connections that a run holds: the ledger's and the writer's.
CONNECTIONS_A_RUN = 2


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number, not yes or no")  # noqa: TRY004, pydantic reports no other
    return value


Positive = Annotated[float, BeforeValidator(_no_flag), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_no_flag), Field(ge=1)]
# Seconds; longer waits are no waits.
Seconds = Annotated[float, BeforeValidator(_no_flag), Field(gt=0, le=86_400, allow_inf_nan=False)]
Ceiling = Annotated[float, BeforeValidator(_no_flag), Field(gt=0, le=CEILING_MOST, allow_inf_nan=False)]

Port = Annotated[int, BeforeValidator(_no_flag), Field(ge=0, le=65_535)]
PoolSize = Annotated[int, BeforeValidator(_no_flag), Field(ge=1, le=16)]

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]


class ConfigError(ValueError):
    """A file of settings that cannot be used; the message is one line: file, key, what is wrong."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchProcessing(_Settings):
    """`api_rate_limit`, `scraper_rate_limit`: requests per second that no API, no site of pages exceeds.

    `max_concurrent_jobs` of the manager run at once; `connection_pool_size`: database connections that one
    manager's runs hold at most;
    `browser_pool_size`: pages that one browser shows at once.
    """

    max_concurrent_jobs: Count = 3
    api_rate_limit: Ceiling = 2.0
    scraper_rate_limit: Ceiling = 1.0
    browser_pool_size: PoolSize = 4
    connection_pool_size: Annotated[int, BeforeValidator(_no_flag), Field(ge=CONNECTIONS_A_RUN)] = 20
    cache_disabled: bool = True

    @field_validator("cache_disabled", mode="before")
    @classmethod
    def _is_disabled(cls, value: object) -> object:
        if value is not True:
            raise ValueError(
                "must be true: what is collected is always asked of the county, a kept answer is never served"
                " in its place"
            )
        return value

    def ceiling(self, kind: str) -> float:
        """Return the ceiling of a kind of source."""
        return self.api_rate_limit if kind == "api" else self.scraper_rate_limit


class WriterSettings(_Settings):
    """Answers a transaction, seconds until a smaller one is stored, seconds to wait for a lost database."""

    batch_size: Count = 500
    flush_interval: Positive = 1.0
    database_patience: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0


class BrowserSettings(_Settings):
    """Which browser, or the address of one that runs (`endpoint`, CDP); parcels until a page is replaced; who
    it says it is.

    `user_agents`: one a page, in turn; none is the browser's own with our name behind. `stealth`: hide that
    it is automated.
    """

    executable: str = ""
    endpoint: Annotated[str, Field(pattern=r"^((https?|wss?)://[^/]+.*)?$")] = ""
    retire_after: Count = 100
    user_agents: tuple[Words, ...] = ()
    stealth: bool = False


class RefreshSettings(_Settings):
    """Of what a refresh leaves out, the part that it asks all the same, and how many at the least; days
    until a
    payment is posted.
    """

    sample_share: Annotated[float, BeforeValidator(_no_flag), Field(ge=0, le=1)] = 0.001
    sample_least: Annotated[int, BeforeValidator(_no_flag), Field(ge=0)] = 50
    posting_days: Annotated[int, BeforeValidator(_no_flag), Field(ge=0, le=60)] = 7


class MetricsSettings(_Settings):
    """The first port of this machine on which a crawl answers Prometheus; 0 for any, none for not at all."""

    port: Port | None = None


class Config(_Settings):
    """config.yaml."""

    contact: str = ""
    batch_processing: BatchProcessing = BatchProcessing()
    browser: BrowserSettings = BrowserSettings()
    writer: WriterSettings = WriterSettings()
    refresh: RefreshSettings = RefreshSettings()
    metrics: MetricsSettings = MetricsSettings()


class Rate(_Settings):
    """Requests per second: where a source starts and what it never goes below. `kind` names its ceiling in
    config.yaml.

    Seconds: `hold` after the first refusal without a Retry-After (doubled for each that follows), at most
    `hold_most`.
    `slow_at`: how many times its best latency a source may take before less is asked of it at once.
    """

    kind: Literal["api", "scraper"]
    start: Positive
    floor: Positive
    hold: Seconds = 1.0
    hold_most: Seconds = 300.0
    slow_at: Annotated[float, BeforeValidator(_no_flag), Field(ge=1, allow_inf_nan=False)] = 4.0

    @model_validator(mode="after")
    def _ordered(self) -> "Rate":
        if self.floor > self.start:
            raise ValueError(f"floor {self.floor} is above start {self.start}")
        if self.hold > self.hold_most:
            raise ValueError(f"hold {self.hold} is above hold_most {self.hold_most}")
        return self


class Breaker(_Settings):
    """After `failures` in a row a source is only tried by single requests: after `probe_after` seconds, then
    twice that, up to
    `probe_most`. After `silence` seconds without an answer the run ends."""

    failures: Count = 10
    probe_after: Seconds = 5.0
    probe_most: Seconds = 60.0
    silence: Seconds = 900.0

    @model_validator(mode="after")
    def _ordered(self) -> "Breaker":
        if self.probe_after > self.probe_most:
            raise ValueError(f"probe_after {self.probe_after} is above probe_most {self.probe_most}")
        if self.silence < self.probe_after:
            raise ValueError(f"silence {self.silence} is below probe_after {self.probe_after}")
        return self


class Retries(_Settings):
    """Failed targets asked for again: `at_least` so many, then this `share` of the answers; `at_most` at
    once.
    """

    at_least: Count = 10
    share: Annotated[float, BeforeValidator(_no_flag), Field(ge=0, le=1)] = 0.1
    at_most: Count = 100

    @model_validator(mode="after")
    def _ordered(self) -> "Retries":
        if self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is above at_most {self.at_most}")
        return self


class Robots(_Settings):
    """A robots.txt that cannot be had is asked for again after `again_after` seconds, then twice that, up to
    `again_most`; after
    `patience` seconds the run ends, or after the breaker's `silence` if that is less."""

    again_after: Seconds = 5.0
    again_most: Seconds = 60.0
    patience: Seconds = 600.0


class Refusals(_Settings):
    """Words in a page that was not asked for: what tells a challenge, a site that is closed for maintenance,
    an unknown address. Those of all sources are in config/refusal_words.yaml, a manifest adds its own.
    """

    challenge: tuple[Words, ...] = ()
    maintenance: tuple[Words, ...] = ()
    soft_404: tuple[Words, ...] = ()

    def __add__(self, more: "Refusals") -> "Refusals":
        return Refusals(
            challenge=self.challenge + more.challenge,
            maintenance=self.maintenance + more.maintenance,
            soft_404=self.soft_404 + more.soft_404,
        )


class Layer(_Settings):
    """One layer of the GIS: its address, rows an answer, APNs a list, whose midnight its dates are, and its
    fields by column.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^/]+/.+[^/]$")]
    page: Count
    list: Count
    days: Literal["utc", "phoenix"]
    columns: dict[str, tuple[str, str]]
    optional: dict[str, tuple[str, str]] = {}
    ignored: tuple[str, ...] = ()


class Indexing(_Settings):
    """When what a source has not indexed yet is asked for again: hours between two tries, days after which it
    is given up.
    """

    again_after: Positive = 24.0
    give_up_after: Count = 14


class PageLabels(_Settings):
    """The labels of the assessor's public page, as sources/assessor/public_page.py takes them."""

    columns: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]
    ignored: tuple[str, ...] = ()
    absent: tuple[Words, ...] = ()
    absent_alone: tuple[Words, ...] = ()


class Timeouts(_Settings):
    """Seconds for one operation of the browser: to load a page, until a tab of it is filled, to close it, for
    a picture of it.
    """

    load: Seconds = 30.0
    settle: Seconds = 90.0
    close: Seconds = 5.0
    snapshot: Seconds = 10.0


class PageLayout(Layout):
    """How a page shows a parcel, and how long it may take.

    `quiet`: seconds without a change of a grid with rows; `patience`: where the server pushes them, or says
    that there is nothing.
    """

    timeouts: Timeouts = Timeouts()
    quiet: Seconds = 0.1
    patience: Seconds = 1.0


class Manifest(_Settings):
    """config/sources/<source>.yaml: one source's addresses, pace and limits; seconds and bytes."""

    source: str
    title: str
    base_url: Annotated[str, Field(pattern=r"^https?://[^/]+")]
    token_env: str | None = None
    token_header: str | None = None
    token_help: str | None = None
    paths: dict[str, str]
    search_page_size: Count = 25
    rate: Rate
    # Of a source with a `page`: the pool's size.
    concurrency: Count = 1
    timeout: Positive
    attempts: Count
    attempts_of: dict[Cause, Count] = {}
    breaker: Breaker = Breaker()
    retries: Retries = Retries()
    refusals: Refusals = Refusals()
    max_body: Count
    max_file: Count | None = None
    obey_robots: bool = True
    robots: Robots = Robots()
    keep_sketches: bool = False
    links: dict[str, str] = {}
    layers: dict[str, Layer] = {}
    names: Indexing = Indexing()
    codes: dict[Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")], str] = {}
    labels: PageLabels | None = None
    captures: Literal["all", "failures", "none"] = "all"
    floors: tuple[Floor, ...] = ()
    page: PageLayout | None = None


_S = TypeVar("_S", bound=_Settings)
# Each process reads them all: libyaml takes a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load() -> tuple[Config, dict[str, Manifest]]:
    """Read config.yaml and every manifest. Raises ConfigError."""
    folder = config_folder()
    config = _read(folder / "config.yaml", Config)
    common = read("refusal_words.yaml", Refusals)
    manifests = {}
    for file in sorted((folder / "sources").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            manifest = _read(file, Manifest)
            _check_floor(file, manifest, config)
            manifest = manifest.model_copy(update={"refusals": common + manifest.refusals})
            if manifest.page:
                manifest = manifest.model_copy(
                    update={"concurrency": config.batch_processing.browser_pool_size}
                )
            manifests[manifest.source] = manifest
    if not manifests:
        raise ConfigError(f"{folder / 'sources'}: no manifest in it; the package ships one a source")
    return config, manifests


def read(name: str, kind: type[_S]) -> _S:
    """Read another file of the folder, or the copy that came with the package where the folder has none.
    Raises ConfigError.
    """
    file = config_folder() / name
    return _read(file if file.is_file() else resources.files("maricopa_scrapy.config") / name, kind)


def config_folder() -> Traversable:
    """Return the folder that is read. Raises ConfigError."""
    named = os.environ.get("MARICOPA_CONFIG")
    if named:
        if not (Path(named) / "sources").is_dir():
            raise ConfigError(f"MARICOPA_CONFIG names {named}, which has no folder sources/")
        return Path(named)
    here = Path("config")
    if (here / "config.yaml").is_file() and (here / "sources").is_dir():
        return here
    return resources.files("maricopa_scrapy.config")


def _read(file: Traversable, kind: type[_S]) -> _S:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return kind.model_validate(content if content is not None else {})
    except ValidationError as error:
        raise ConfigError(f"{file}: {_explain(error, kind)}") from error


def _explain(error: ValidationError, kind: type[_Settings]) -> str:
    # A misspelt key is both unknown and missing: the first says more.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    if first["type"] == "extra_forbidden":
        known = list(_known_keys(kind, first["loc"][:-1]))
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        return f"{key}: unknown key" + (
            f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
        )
    if first["type"] == "missing":
        return f"{key}: missing"
    # Of two keys that do not fit each other the message itself names the values.
    got = (
        ""
        if isinstance(first["input"], dict) and first["type"] == "value_error"
        else f" (got {first['input']!r})"
    )
    return f"{key}: {first['msg'].removeprefix('Value error, ')}{got}"


def _known_keys(kind: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    for part in path:
        # A key of a dict, or a place in a list, is no field: the model is that of its values.
        if str(part) in kind.model_fields:
            kind = _model_in(kind.model_fields[str(part)].annotation) or kind
    return list(kind.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _check_floor(file: Traversable, manifest: Manifest, config: Config) -> None:
    kind = manifest.rate.kind
    ceiling = config.batch_processing.ceiling(kind)
    if manifest.rate.floor > ceiling:
        raise ConfigError(
            f"{file}: rate.floor: {manifest.rate.floor} is above {kind}_rate_limit {ceiling} of config.yaml"
        )
