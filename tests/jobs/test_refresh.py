"""A refresh from the command line: a county a period later, killed on its way, found whole with few requests;
what it says of it; and mistakes.
"""

import shutil
from pathlib import Path

import pytest
import yaml

from maricopa_scrapy.database.connect import Session
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
        options = ("--as-of", str(day_of(1)))
        planned = place.run(sandbox, "maricopa_scrapy", "run", "refresh", *options, "--dry-run")
        assert "delinquent: it bears more interest each month" in planned
        assert "all its bills are paid: it cannot change before the next bill" in planned
        assert "A full collection of the same would take" in planned
        sandbox.reset()
        job, kills = killed_and_resumed(place, sandbox, *options, "-s", "MARICOPA_RATE_LIMIT=20")
        assert kills == 3
        assert database.rows("SELECT verdict FROM crawl.job WHERE id = %s", job) == [("completed",)]
        lost = missed(place, truth)
        assert not lost["assessor"] | lost["recorder"] | lost["owner"] | lost["payments due"]

        stats = sandbox.stats()
        due = ("half_due", "delinquent_due", "sample")
        asked = database.rows(
            "SELECT source, key FROM crawl.refresh_target WHERE job_id = %s AND because <> ALL(%s)",
            job,
            list(due),
        )
        # A kill can cost what was under way to be asked for again: at an API five requests at the most.
        assert len(asked) == len(truth.assessor) + len(truth.recorder) + len(
            [apn for apn in truth.owners if ("treasurer", apn) in asked]
        )
        assert sum(counted(stats, source, [key]) for source, key in asked) <= len(asked) + 5
        assert stats["gis"]["requests"] + stats["bulk"]["requests"] <= 20

        session = Session(database.url)
        for proof in outcome(session, job):
            skipped, changed = skipped_and_changed(place, proof.decision.source, apns)
            assert proof.sample_answered == 8
            low, high = proof.missed or (1.0, 0.0)
            assert low <= changed / skipped <= high, proof.decision.source
        session.close()

        said = place.run(sandbox, "maricopa_scrapy", "report", str(job))
        assert "left out by the rule, and asked all the same to prove it" in said
        assert "had changed after all" in place.run(sandbox, "maricopa_scrapy", "status", str(job))
        page = tmp_path / "report.html"
        place.run(sandbox, "maricopa_scrapy", "report", str(job), "--html", str(page))
        assert "had changed after all" in page.read_text()
        ((apn, due_on),) = database.rows(
            "SELECT key, (due_at AT TIME ZONE 'America/Phoenix')::date::text FROM crawl.not_asked"
            " WHERE source = 'treasurer' AND because = 'paid' ORDER BY key LIMIT 1"
        )
        told = place.run(sandbox, "maricopa_scrapy", "property", apn)
        assert "treasurer: not asked since 20" in told
        rule = "because all its bills are paid: it cannot change before the next bill, in September"
        assert f"{rule} (due {due_on})" in " ".join(told.split())
        place.run(sandbox, "maricopa_scrapy", "verify")

        # What was asked just now is not asked again: one more refresh asks for its sample alone.
        again = place.run(
            sandbox, "maricopa_scrapy", "run", "refresh", "--within", ",".join(apns[:40]),
            "--sections", "property,sales", "-y", "-s", "MARICOPA_RATE_LIMIT=100",
        )  # fmt: skip
        assert "refresh, intelligent" in again
        assert database.rows(
            "SELECT DISTINCT source, because FROM crawl.refresh_target WHERE job_id > %s ORDER BY 1", job
        ) == [("assessor", "sample"), ("recorder", "sample")]


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
