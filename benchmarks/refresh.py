"""`make bench-refresh`: a county collected once and refreshed a period later, in which one parcel in a
hundred changed its owner, deed, value or payments; killed three times on its way.

What is found is held against the sandbox's own list of changes, requests are counted by the sandbox, and what
was missed against the interval that the job's sample gives.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.assessor import database
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.refresh import Proof, outcome
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer.bills import day_of
from tests.conftest import ROOT
from tests.helpers.refreshed import Place, Truth, counted, killed_and_resumed, missed, skipped_and_changed

PARCELS = int(os.environ.get("PARCELS", 500 if QUICK else 20_000))
# Of what is left out, how many are asked all the same: more than shipped, for a sharper interval.
SAMPLE = 25 if QUICK else 400
# Requests a second: slow enough that a kill comes in the midst of an office.
RATE = 10.0


def config(folder: Path) -> dict[str, str]:
    """Return the environment of a run with a larger sample."""
    shutil.copytree(ROOT / "config", folder)
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["refresh"]["sample_least"] = SAMPLE
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return {"MARICOPA_CONFIG": str(folder)}


def found(place: Place, truth: Truth) -> Iterator[Row]:
    """What a full collection would find, and how much of it is stored."""
    lost = missed(place, truth)
    due = truth.payments & truth.due
    for what, all_of_it, missing in (
        ("owner, value, deed at the assessor", truth.assessor, lost["assessor"]),
        ("new deeds at the recorder", truth.recorder, lost["recorder"]),
        ("owners at the treasurer", truth.owners, lost["owner"]),
        ("payments on parcels that the calendar calls due", due, lost["payments due"]),
    ):
        share = 1 - len(missing) / len(all_of_it) if all_of_it else 1.0
        yield Row(f"{what}: found", f"{len(all_of_it) - len(missing)} of {len(all_of_it)}", "", share, 0.999)
    early = truth.payments - truth.due
    yield Row(
        "payments before the calendar calls them due: missed",
        f"{len(lost['payments not due'])} of {len(early)}",
    )


def requests(place: Place, truth: Truth, sandbox: SandboxProcess, job: int) -> Iterator[Row]:
    """What the server counted: for what had changed, and apart from it all else."""
    stats = sandbox.stats()
    asked: dict[str, dict[str, set[str]]] = {
        source: {"changed": set(), "sample": set(), "due": set()} for source in stats
    }
    for source, key, because in place.rows(
        "SELECT source, key, because FROM crawl.refresh_target WHERE job_id = %s", job
    ):
        is_due = because in ("half_due", "delinquent_due", "new_bill")
        asked[source]["sample" if because == "sample" else "due" if is_due else "changed"].add(key)
    offices = ("assessor", "treasurer", "recorder")
    changed = len(truth.assessor) + len(truth.recorder) + len(truth.owners - asked["treasurer"]["due"])
    count = {
        what: sum(counted(stats, one, asked[one][what]) for one in offices)
        for what in ("changed", "sample", "due")
    }
    yield Row(
        "requests for each changed parcel and office", f"{count['changed']} for {changed}", "",
        count["changed"] / max(changed, 1), 1.1, at_most=True,
    )  # fmt: skip
    bulk = stats["gis"]["requests"] + stats["bulk"]["requests"]
    yield Row("apart: requests of the roll and the Sales Affidavits", f"{bulk}")
    yield Row("apart: requests of the sample", f"{count['sample']}")
    yield Row("apart: pages of parcels with an open bill that is due", f"{count['due']}")
    full = 2 * PARCELS + len(
        place.rows("SELECT DISTINCT deed_number FROM assessor.owner WHERE deed_number IS NOT NULL")
    )
    yield Row(
        "all requests, of a full collection's",
        f"{sum(count.values()) + bulk}",
        f"{full}",
        (sum(count.values()) + bulk) / full,
    )


def proved(place: Place, proofs: list[Proof], apns: list[str]) -> Iterator[Row]:
    """The sample's interval beside what was missed in truth."""
    for proof in proofs:
        source = proof.decision.source
        skipped, changed = skipped_and_changed(place, source, apns)
        share = changed / max(skipped, 1)
        low, high = proof.missed or (0.0, 0.0)
        yield Row(
            f"{source}: changed among {skipped} left out, beside the sample's interval",
            f"{changed} ({share:.2%})",
            f"{low:.2%} to {high:.2%} of {proof.sample_answered}",
            1.0 if low <= share <= high else 0.0,
            1.0,
        )


def main() -> int:
    bench = Bench("refresh")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "postgres")
        with database(server, "refresh") as url:
            place = Place(url, folder, PARCELS, environment=config(folder / "config"))
            apns = place.collect()
            bench.add(Row("parcels, collected from all offices a period before", f"{PARCELS}"))
            with place.sandbox(1) as sandbox:
                truth = Truth.of(place, sandbox, apns)
                sandbox.reset()
                job, kills = killed_and_resumed(
                    place, sandbox, "--as-of", str(day_of(1)), "-s", f"MARICOPA_RATE_LIMIT={RATE}"
                )
                verdict, seconds = place.rows(
                    "SELECT verdict, extract(epoch FROM finished_at - started_at)::float FROM crawl.job"
                    " WHERE id = %s",
                    job,
                )[0]
                done = verdict == "completed" and kills == 3
                bench.add(
                    Row(
                        "killed three times, and completed", f"{kills} times, {verdict}", "", float(done), 1.0
                    )
                )
                bench.add(Row("seconds of the refresh, at 10 requests a second", f"{seconds:.0f} s"))
                session = Session(url)
                proofs = outcome(session, job)
                session.close()
                for rows in (
                    found(place, truth),
                    requests(place, truth, sandbox, job),
                    proved(place, proofs, apns),
                ):
                    for row in rows:
                        bench.add(row)
                place.run(sandbox, "maricopa_scrapy", "verify")
                bench.add(Row("maricopa verify", "agrees", "", 1.0, 1.0))
            code = bench.finish()
        embedded.release(folder / "postgres")
    return code


if __name__ == "__main__":
    sys.exit(main())
