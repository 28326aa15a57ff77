"""The verb `maricopa probe`: first contact with the sources."""

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import typer

from maricopa_scrapy.cli.terminal import fail, out
from maricopa_scrapy.machine import progress_line

_SANDBOX_ONLY = ("MARICOPA_RATE_LIMIT",)


def probe(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help=(
                "assessor, assessor_page, gis, recorder, recorder_legacy, treasurer, bulk; all that can be"
                " asked"
            ),
        ),
    ] = None,
    apn: Annotated[
        list[str] | None,
        typer.Option(help="a parcel that exists, in any notation; may be given several times"),
    ] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="do not ask whether to begin")] = False,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="write the manifest that is proposed to MARICOPA_CONFIG, else ./config"),
    ] = False,
    with_names: Annotated[
        bool, typer.Option("--with-names", help="leave names and addresses in the bundle, for yourself only")
    ] = False,
    to: Annotated[Path, typer.Option("--out", help="the folder of the bundles")] = Path(),
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="NAME=VALUE", help="MARICOPA_RATE_LIMIT=N, of the sandbox only"),
    ] = None,
) -> None:
    """Is each source still what we take it for? At most 12 polite requests of each, a table, and a bundle to
    attach to an issue.

    Exit codes: 0 all assumptions held, 2 a mistake in the command, 3 some did not hold, 5 a source answered
    by a challenge.

    Example: maricopa probe
    Example: maricopa probe treasurer --apn 165-28-054 --apn 501-38-034A
    Example: maricopa probe treasurer --apply
    """
    import asyncio

    from maricopa_scrapy.crawl.source_connection import StartError
    from maricopa_scrapy.probe import findings, request_plan
    from maricopa_scrapy.probe import findings_table as table
    from maricopa_scrapy.probe import run as probing

    names = _names(sources or [], list(request_plan.KINDS))
    apns = _apns(apn or [], request_plan.MOST)
    if not to.is_dir():
        raise fail(f"--out {to}: there is no such folder")
    settings = _settings(setting or [])
    try:
        drawn = request_plan.draw_up(names, apns, settings)
    except StartError as error:
        raise fail(str(error)) from None
    for part in table.plan(drawn):
        out.print(part)
    if not yes:
        _ask()
    if with_names:
        out.print(
            "names and addresses of real persons stay in the bundles (--with-names): do not show them to"
            " anybody",
            style="bold yellow",
        )
    options = probing.Options(to, with_names, lambda line: out.print(line, markup=False))
    try:
        with progress_line.shown():
            progress_line.doing("asking the sources")
            results = asyncio.run(probing.run(drawn, settings, options))
    except OSError as error:
        raise fail(f"--out {to}: {error.strerror or error}") from None
    sheets = [result.sheet for result in results]
    out.print(table.findings(sheets))
    for line in table.summary(sheets):
        out.print(line)
    for result in results:
        out.print(f"bundle: {result.bundle}", markup=False, soft_wrap=True)
        _propose(result, apply)
    raise typer.Exit(findings.exit_code(sheets))


def _names(given: list[str], known: list[str]) -> list[str]:
    for name in given:
        if name not in known:
            raise fail(f"there is no source {name}; there are {', '.join(known)}")
    return list(dict.fromkeys(given))


def _apns(given: list[str], most: int) -> list[str]:
    from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn

    try:
        found = list(dict.fromkeys(map(parse_apn, given)))
    except IdentifierError as error:
        raise fail(f"--apn: {error}; the form is 165-28-054 or 16528054") from None
    if len(found) > most - 4:
        raise fail(
            f"--apn: {len(found)} parcels; {most - 4} at most, as no source gets more than {most} requests"
        )
    return found


def _settings(pairs: list[str]) -> "dict[str, object]":
    from maricopa_scrapy import settings

    found = {name: value for name, value in vars(settings).items() if name.isupper()}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in _SANDBOX_ONLY:
            raise fail(f"-s {pair}: the form is {', '.join(_SANDBOX_ONLY)}=VALUE")
        found[name] = value
    return found


def _ask() -> None:
    if not sys.stdin.isatty():
        raise fail("nobody can be asked whether to begin, as this is no terminal: add --yes")
    if not typer.confirm("Begin?", default=True):
        raise typer.Exit(0)


def _propose(result: "object", apply: bool) -> None:
    from maricopa_scrapy.configuration import ConfigError
    from maricopa_scrapy.probe import findings_table as table
    from maricopa_scrapy.probe import proposal
    from maricopa_scrapy.probe.run import Result

    assert isinstance(result, Result)
    found = result.proposal
    if found is None:
        if apply:
            out.print(f"{result.sheet.source}: nothing is proposed, and nothing was written")
        return
    for part in table.proposal(found):
        out.print(part)
    if not apply:
        out.print(f"`maricopa probe {found.source} --apply` writes it", soft_wrap=True)
    elif found.questions:
        out.print("nothing was written: answer the questions first", style="bold yellow")
    else:
        try:
            file, old = proposal.apply(found, dt.datetime.now().astimezone().date())
        except ConfigError as error:
            raise fail(str(error)) from None
        out.print(f"written: {file}; the old one: {old}", markup=False, soft_wrap=True)
