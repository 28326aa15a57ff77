"""The `maricopa` command: one function a verb; the work is done elsewhere."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from maricopa_scrapy import __version__
from maricopa_scrapy.cli import (
    enrich_verb,
    find_verb,
    job_verbs,
    ledger_verbs,
    probe_verb,
    record_verbs,
    schedule_verbs,
)
from maricopa_scrapy.cli.terminal import OneLine, database, fail, out
from maricopa_scrapy.database import interrupts
from maricopa_scrapy.machine import progress_line
from maricopa_scrapy.machine.child_environment import dump_no_core, essential

app = typer.Typer(
    cls=OneLine,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Without the boxes of rich, whose import takes longer than all else of `maricopa --help`.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
    help="Public property records of Maricopa County, Arizona, in one Postgres database.",
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        out.print(f"maricopa_scrapy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="say which version this is"),
    ] = False,
) -> None:
    pass


for _verb in (
    job_verbs.run,
    ledger_verbs.jobs,
    ledger_verbs.status,
    ledger_verbs.report,
    job_verbs.pause,
    job_verbs.resume,
    job_verbs.cancel,
    job_verbs.retry,
    ledger_verbs.cleanup,
    schedule_verbs.tick,
    find_verb.find,
    enrich_verb.enrich,
    probe_verb.probe,
):
    app.command()(_verb)
app.add_typer(record_verbs.app)
app.add_typer(schedule_verbs.schedules, name="schedule")
app.add_typer(schedule_verbs.lists, name="lists")


@app.command("property")
def property_(apn: Annotated[str, typer.Argument(help="an APN in any notation, such as 165-28-054")]) -> None:
    """What is stored of one parcel, as a person would read it.

    Example: maricopa property 165-28-054
    """
    from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
    from maricopa_scrapy.records import dossier

    try:
        key = parse_apn(apn)
    except IdentifierError as error:
        raise fail(f"{error}; the form is 165-28-054 or 16528054") from None
    with database() as opened:
        parts = dossier.parcel(opened, key)
    if not parts:
        raise fail(f"parcel {apn} is not stored; `scrapy crawl assessor -a apns={apn}` fetches it")
    for part in parts:
        out.print(part)


@app.command()
def diff(
    source: Annotated[str, typer.Option(help="whose records: gis")],
    limit: Annotated[int, typer.Option(min=0, help="how many single changes to show")] = 20,
    csv: Annotated[Path | None, typer.Option(help="write all changes to this file")] = None,
) -> None:
    """What changed between the last two complete rolls of a source, and since.

    Example: maricopa diff --source gis --csv changes.csv
    """
    from maricopa_scrapy.records import dossier
    from maricopa_scrapy.records.roll_diff import SOURCES, changes, last_roll

    if source not in SOURCES:
        raise fail(f"--source {source}: there is {', '.join(SOURCES)}")
    with database() as opened:
        compared = last_roll(opened)
        if compared is None:
            raise fail("no roll is complete yet; `scrapy crawl roll` makes one")
        for part in dossier.comparison(compared, changes(opened, compared.since, limit)):
            out.print(part)
        if csv is not None:
            try:
                dossier.write_changes(csv, changes(opened, compared.since))
            except OSError as error:
                raise fail(f"--csv {csv}: {error.strerror}") from None


@app.command()
def deploy(
    to: Annotated[
        list[str], typer.Option(help="a scrapyd: http://user:password@host:6800; may be given several times")
    ],
) -> None:
    """Put the project, with the settings in force here, on scrapyd nodes.

    User and password may also stand in SCRAPYD_USERNAME and SCRAPYD_PASSWORD, where no list of processes
    shows them.

    Example: maricopa deploy --to http://node1:6800 --to http://node2:6800
    """
    from maricopa_scrapy.configuration import ConfigError
    from maricopa_scrapy.jobs import deploy as deployment
    from maricopa_scrapy.jobs.executor import NodeError
    from maricopa_scrapy.jobs.scrapyd import ScrapydNode

    try:
        for node in [ScrapydNode(url) for url in to]:
            with progress_line.shown():
                progress_line.doing(f"putting the project on {node.name}")
                version, spiders = deployment.deploy(node)
            out.print(f"{node.name}: version {version}, {spiders} spiders", markup=False, soft_wrap=True)
    except (NodeError, ConfigError) as error:
        raise fail(str(error)) from None


@app.command()
def demo(parcels: Annotated[int, typer.Option(min=1, max=100_000, help="how many to collect")] = 50) -> None:
    """Start the sandbox county, collect parcels from all of its offices, and show the result.

    Example: maricopa demo --parcels 50
    """
    from maricopa_scrapy.cli.demo import run
    from maricopa_scrapy.configuration import ConfigError
    from maricopa_scrapy.crawl.ledger_spider import StartError
    from maricopa_scrapy.database.connect import DatabaseUnavailable

    try:
        code = run(parcels, out)
    except (DatabaseUnavailable, ConfigError, StartError) as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
def sandbox(context: typer.Context) -> None:
    """Serve an invented county on this machine, until Ctrl-C; `maricopa sandbox --help` lists its options.

    Example: maricopa sandbox --port 8642 --latency 0.2 --fault throttled=0.05
    """
    from maricopa_scrapy.sandbox.__main__ import main as serve

    raise typer.Exit(serve(context.args, announce=True))


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
    }
)
def postgres(
    context: typer.Context, program: Annotated[str, typer.Argument(help="psql, pg_dump or pg_restore")]
) -> None:
    """Run one of Postgres' own programs on the database: to look around, to save it, to bring it back. What
    follows is for the program.

    Example: maricopa postgres psql -c "SELECT count(*) FROM property"
    """
    from maricopa_scrapy.database import embedded
    from maricopa_scrapy.database.connect import (
        DatabaseOlder,
        DatabaseUnavailable,
        database_url,
        environment_of,
        migrate,
    )

    try:
        executable = embedded.program(program)
    except embedded.EmbeddedError as error:
        raise fail(str(error)) from None
    try:
        with progress_line.shown():
            progress_line.doing("opening the database")
            url = database_url()
        # These programs take its rows out.
        with suppress(DatabaseOlder):
            migrate(url)
    except DatabaseUnavailable as error:
        raise fail(str(error)) from None
    # In the environment: an address may hold a password, and arguments are seen by everybody on the machine.
    environment = essential("PG", "PSQL", "PAGER", "LESS", "EDITOR", "VISUAL") | environment_of(url)
    ran = subprocess.run([executable, *context.args], env=environment, check=False)
    raise typer.Exit(ran.returncode)


@app.command("new-source")
def new_source(
    name: Annotated[str, typer.Argument(help="also the module, the spider and the schema, such as permits")],
    url: Annotated[str, typer.Option(help="where the source is asked: https://permits.example.gov")],
    path: Annotated[str, typer.Option(help="of one parcel: /permits/{apn}")],
    title: Annotated[str | None, typer.Option(help="as a person would call it")] = None,
    kind: Annotated[str, typer.Option(help="what one answer is: also the table")] = "record",
) -> None:
    """Make the files of a further source in a checkout of the project: manifest, record, schema, parser,
    spider, test.

    Example: maricopa new-source permits --url https://permits.example.gov --path '/permits/{apn}' --kind
    permit
    """
    from maricopa_scrapy.cli import new_source as scaffold

    try:
        files = scaffold.write(Path.cwd(), name, title or name, url, path, kind)
    except scaffold.ScaffoldError as error:
        raise fail(str(error)) from None
    for file in files:
        out.print(file, markup=False, highlight=False, soft_wrap=True)
    out.print('\nnext: CONTRIBUTING.md, "A source in six steps"')


def main() -> None:
    """Run the command."""
    dump_no_core()
    with interrupts.cancelling():
        app()
