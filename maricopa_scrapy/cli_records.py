"""The verbs of `maricopa` that look after what is stored: is it right, what changed, what was it read from."""

from typing import Annotated

import typer

from maricopa_scrapy.store import ledger, verify
from maricopa_scrapy.store.connect import Session
from maricopa_scrapy.terminal import database, fail, out, settings

app = typer.Typer()

Job = Annotated[int | None, typer.Argument(help="a job's number; all jobs without")]


def _check_job(session: Session, job: int | None) -> None:
    if job is not None:
        try:
            ledger.check_job(session, job)
        except ledger.LedgerError as error:
            raise fail(str(error)) from None


@app.command("verify")
def verify_(job: Job = None) -> None:
    """Check that the database agrees with itself, and is what healthy runs leave; exit code 1 when it is not.

    Each problem is named with table, key and remedy: targets that are not accounted for, leases of runs that are gone, rows without a
    capture or altered since they were stored, changes that no run made, jobs below their source's floors.

    Example: maricopa verify 12
    """
    _, manifests = settings()
    with database() as opened:
        _check_job(opened, job)
        found = verify.check(opened, job, {source: manifest.floors for source, manifest in manifests.items()})
    for problem in found:
        out.print(f"{problem.table}: {problem.key}: {problem.message}", markup=False, soft_wrap=True)
        out.print(f"    {problem.remedy}", markup=False, soft_wrap=True, style="dim")
    if found:
        raise typer.Exit(1)
    out.print("all agrees: every accepted target is there, every finished one has its rows, every row its capture and its hash")
