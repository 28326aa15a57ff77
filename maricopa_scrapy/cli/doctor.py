"""`maricopa doctor`: does all that a crawl needs stand ready on this machine? No host of the county is
asked.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.configuration import Config, ConfigError, Manifest, load
from maricopa_scrapy.database.connect import (
    DatabaseUnavailable,
    Session,
    connect,
    database_url,
    pending_migrations,
)
from maricopa_scrapy.ledger import source_state as source
from maricopa_scrapy.ledger import yield_floors
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.records import verify

# A hold of less is the ordinary answer to a refusal.
_HELD_LONG_S = 60.0
_FREE_LEAST = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` is empty when it is well."""

    what: str
    says: str
    remedy: str = ""

    @property
    def is_well(self) -> bool:
        return not self.remedy


def findings(nodes: list[str]) -> Iterator[Finding]:
    """Yield what was found, thing by thing; `nodes` are addresses of scrapyd."""
    try:
        config, manifests = load()
    except ConfigError as error:
        config, manifests = Config(), {}
        yield Finding(
            "settings", str(error), "correct the file; config/ of the project has every key with its default"
        )
    else:
        yield from _settings(config, manifests)
    yield from _tokens(manifests)
    yield _browser(config)
    yield from _database()
    yield from map(_node, nodes)


def _settings(config: Config, manifests: dict[str, Manifest]) -> Iterator[Finding]:
    wrong = {
        source: found
        for source, manifest in manifests.items()
        if (found := yield_floors.mistake(manifest.floors))
    }
    for name, mistake in wrong.items():
        yield Finding("settings", f"config/sources/{name}.yaml: {mistake}", "correct its floors")
    if not wrong:
        contact = (
            f"contact {config.contact}"
            if config.contact
            else "no contact: put your address into config.yaml for the county to see"
        )
        yield Finding("settings", f"{len(manifests)} sources: {', '.join(manifests)}; {contact}")


def _tokens(manifests: dict[str, Manifest]) -> Iterator[Finding]:
    sandbox = os.environ.get("MARICOPA_SANDBOX")
    for name, manifest in manifests.items():
        if manifest.token_env is None:
            continue
        what = f"token of {name}"
        if os.environ.get(manifest.token_env, "").strip():
            yield Finding(what, f"{manifest.token_env} is set")
        elif sandbox:
            yield Finding(what, f"none is needed of the sandbox, {sandbox}")
        else:
            yield Finding(
                what,
                f"{manifest.token_env} is not set",
                f"{manifest.token_help}, then `export {manifest.token_env}=...`",
            )


def _browser(config: Config) -> Finding:
    from maricopa_scrapy.browser import find

    try:
        find.check(config.browser)
        where = find.endpoint_of(config.browser) or find.find(config.browser)
    except find.NoBrowser as error:
        says, _, remedy = str(error).partition(": ")
        return Finding("browser", says, remedy or "see `browser` of config.yaml")
    return Finding("browser", str(where))


def _database() -> Iterator[Finding]:
    is_ours = not os.environ.get("MARICOPA_DATABASE_URL")
    folder = default_data_dir()
    which = f"embedded, in {folder}" if is_ours else "MARICOPA_DATABASE_URL"
    try:
        url = database_url()
        connection = connect(url)
    except DatabaseUnavailable as error:
        says, _, remedy = str(error).partition("; ")
        yield Finding("database", f"{which}: {says}", remedy or "see the message")
        return
    version = connection.server_version
    connection.close()
    yield Finding("database", f"{which}; Postgres {version // 10_000}.{version % 10_000}")
    try:
        yield from _stored(url)
    except DatabaseUnavailable as error:
        says, _, remedy = str(error).partition("; ")
        yield Finding("records", says, remedy or "see the message")
    if is_ours:
        yield _disk(folder)


def _stored(url: str) -> Iterator[Finding]:
    if pending := pending_migrations(url):
        missing = f"{len(pending)} files are not applied: {', '.join(pending)}"
        yield Finding("schema", missing, "any other verb applies them, such as `maricopa status`")
    else:
        yield Finding("schema", "up to date")
        session = Session(url)
        yield from _ledger(session)
        session.close()


def _ledger(session: Session) -> Iterator[Finding]:
    gone = session.transact(lambda cursor: verify.leases(cursor, None))
    for problem in gone:
        yield Finding("leases", f"{problem.key}: {problem.message}", problem.remedy)
    if not gone:
        yield Finding("leases", "none is of a run that is gone")
    for pace in source.paces(session):
        if pace.is_open:
            remedy = (
                "look whether the source is down; a crawl tries it by single requests, and goes on when it"
                " answers"
            )
            yield Finding(f"source {pace.source}", "its answers failed: the breaker is open", remedy)
        elif pace.held > _HELD_LONG_S:
            yield Finding(
                f"source {pace.source}",
                f"it refused: held for {pace.held:.0f} s",
                "wait; docs/pace.md says why",
            )
        else:
            yield Finding(f"source {pace.source}", f"{pace.rate:.2f} requests/s")
    size = session.transact(_size)
    yield Finding(
        "size", f"{size / 1e6:,.0f} MB, of which captures {session.transact(_captures) / 1e6:,.0f} MB"
    )


def _size(cursor: Cursor) -> int:
    cursor.execute("SELECT pg_database_size(current_database())")
    ((size,),) = cursor.fetchall()
    return int(size)


def _captures(cursor: Cursor) -> int:
    cursor.execute("SELECT pg_total_relation_size('crawl.capture')")
    ((size,),) = cursor.fetchall()
    return int(size)


def _disk(folder: Path) -> Finding:
    here = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(here).free
    says = f"{free / 1e9:,.1f} GB are free in {here}"
    if free < _FREE_LEAST:
        return Finding(
            "disk",
            says,
            "make room, or `maricopa prune --older-than 90d`, or MARICOPA_DATA_DIR=<a folder with room>",
        )
    return Finding("disk", says)


def _node(url: str) -> Finding:
    from maricopa_scrapy.jobs.executor import NodeError
    from maricopa_scrapy.jobs.scrapyd import PROJECT, ScrapydNode

    try:
        node = ScrapydNode(url)
        status = node.daemon_status()
        known = node.projects()
    except NodeError as error:
        return Finding("scrapyd", str(error), "start it, or correct its address (docs/operations.md)")
    says = f"{node.name}: {status['running']} running, {status['pending']} pending"
    if PROJECT not in known:
        return Finding(
            "scrapyd", f"{says}; it does not have the project", f"`maricopa deploy --to {node.name}`"
        )
    return Finding("scrapyd", says)
