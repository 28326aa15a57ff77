"""A refresh from the command line: a county a period later, killed on its way, found whole with few requests;
what it says of it; and mistakes.
"""

import shutil
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.report_page import render
from maricopa_scrapy.records import dossier, verify
from maricopa_scrapy.records.job_report import read
from maricopa_scrapy.records.refresh import outcome
from maricopa_scrapy.sandbox.treasurer.bills import day_of
from tests.conftest import ROOT, Database, maricopa
from tests.helpers.refreshed import (
    Place,
    Truth,
    counted,
    killed_and_resumed,
    missed,
    skipped_and_changed,
)
from tests.helpers.taxes import needs_browser

PARCELS = 160
CHANGED = 0.08
# A seed of which few parcels show all ways to change.
SEED = 39


def _sample(folder: Path, least: int) -> dict[str, str]:
    shutil.copytree(ROOT / "config", folder)
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["refresh"]["sample_least"] = least
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return {"MARICOPA_CONFIG": str(folder)}


@needs_browser
def test_a_county_a_period_later_is_found_whole_by_few_requests_whatever_kills_the_job(
    database: Database, tmp_path: Path
) -> None:
    place = Place(database.url, tmp_path, PARCELS, SEED, CHANGED, environment=_sample(tmp_path / "config", 8))
    apns = place.collect()
    with place.sandbox(1) as sandbox:
        truth = Truth.of(place, sandbox, apns)
        assert all((truth.assessor, truth.recorder, truth.owners, truth.payments & truth.due))
        sandbox.reset()
        job, kills = killed_and_resumed(
            place, sandbox, "--as-of", str(day_of(1)), "-s", "MARICOPA_RATE_LIMIT=20"
        )
        assert kills == 3
        assert database.rows("SELECT verdict FROM crawl.job WHERE id = %s", job) == [("completed",)]
        assert "treasurer: of 8 of the" in place.said()
        lost = missed(place, truth)
        assert not lost["assessor"] | lost["recorder"] | lost["owner"] | lost["payments due"]

        stats = sandbox.stats()
        asked = database.rows(
            "SELECT source, key FROM crawl.refresh_target WHERE job_id = %s AND because <> ALL(%s)",
            job,
            ["half_due", "delinquent_due", "sample"],
        )
        owners = [apn for apn in truth.owners if ("treasurer", apn) in asked]
        assert len(asked) == len(truth.assessor) + len(truth.recorder) + len(owners)
        # A kill can cost what was under way to be asked for again: at an API five requests at the most.
        assert sum(counted(stats, source, [key]) for source, key in asked) <= len(asked) + 5
        assert stats["gis"]["requests"] + stats["bulk"]["requests"] <= 20

    session = Session(database.url)
    for proof in outcome(session, job):
        skipped, changed = skipped_and_changed(place, proof.decision.source, apns)
        assert proof.sample_answered == 8
        low, high = proof.missed or (1.0, 0.0)
        assert low <= changed / skipped <= high, proof.decision.source
    assert "had changed after all" in render(read(session, job))
    ((apn, due_on),) = database.rows(
        "SELECT key, (due_at AT TIME ZONE 'America/Phoenix')::date::text FROM crawl.not_asked"
        " WHERE source = 'treasurer' AND because = 'paid' ORDER BY key LIMIT 1"
    )
    console = Console(width=200, file=StringIO())
    for part in dossier.parcel(session, apn):
        console.print(part)
    told = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    rule = "because all its bills are paid: it cannot change before the next bill, in September"
    assert "treasurer: not asked since 20" in told
    assert f"{rule} (due {due_on})" in told
    assert not list(verify.problems(session))
    session.close()


def test_the_plan_says_what_is_asked_and_why_and_one_more_refresh_asks_for_its_sample_alone(
    database: Database, tmp_path: Path
) -> None:
    place = Place(database.url, tmp_path, 40, SEED, environment=_sample(tmp_path / "config", 3))
    apns = place.collect()
    with place.sandbox(0) as sandbox:
        options = ("run", "refresh", "--within", ",".join(apns[:20]), "--mode", "api-only")
        planned = place.run(sandbox, "maricopa_scrapy", *options, "--dry-run")
        assert "neither the county's roll nor the Sales Affidavits tell of a change since" in planned
        assert "A full collection of the same would take" in planned
        assert "section tax: the treasurer has no API, only pages" in planned
        said = place.run(sandbox, "maricopa_scrapy", *options, "-y", "-s", "MARICOPA_RATE_LIMIT=100")
    assert "assessor: of 3 of the 20 that the rule left out, 0 had changed after all" in said
    assert database.rows(
        "SELECT source, because, count(*) FROM crawl.refresh_target GROUP BY 1, 2 ORDER BY 1"
    ) == [
        ("assessor", "sample", 3),
        ("recorder", "sample", 3),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "refresh", "--dry-run"), "no office was asked for a parcel yet"),
        (
            ("run", "refresh", "--owner", "SMITH"),
            "refresh takes --within, --sections and --as-of, not --owner",
        ),
        (("run", "refresh", "--older-than", "3d"), "not --older-than"),
        (("run", "refresh", "--within", "101-01-001", "--apns", "101-01-001"), "give one of them"),
        (("run", "tax", "--within", "101-01-001"), "--within goes with refresh, not with tax"),
        (("run", "refresh", "--within", "12-34"), "'12-34' is neither an APN"),
        (("run", "refresh", "--sections", "gis"), "'gis' is not one of property, sales, tax"),
        (
            ("run", "refresh", "--mode", "api-only", "--sections", "tax"),
            "the treasurer has no API, only pages",
        ),
        (
            ("run", "refresh", "--mode", "parallel-all"),
            "whom to ask is known only when the roll has been read",
        ),
        (("run", "refresh", "--apn-column", "2"), "--apn-column goes with a list: --within"),
    ],
)
def test_mistakes_are_told_in_one_line(database: Database, arguments: tuple[str, ...], said: str) -> None:
    done = maricopa(database, *arguments, MARICOPA_ASSESSOR_TOKEN="none")
    assert said in (done.stdout + done.stderr)
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1
