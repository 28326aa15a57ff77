"""`maricopa diff --source gis`: what the last complete roll changed, on the screen and as CSV."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Database
from tests.helpers.rolls import as_text, crawler, layer

Start = Callable[..., SandboxProcess]


def maricopa(database: Database, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MARICOPA_")} | {
        "MARICOPA_DATABASE_URL": database.url
    }
    command = [sys.executable, "-c", "from maricopa_scrapy.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_a_roll_beside_the_one_before(tmp_path: Path, database: Database, county: Start) -> None:
    none = maricopa(database, "diff", "--source", "gis")
    assert (none.returncode, "no roll is complete yet" in none.stderr) == (2, True)
    assert maricopa(database, "diff", "--source", "treasury").returncode == 2

    assert crawler(tmp_path, database, county(gis_parcels=3000))("roll").code == 0
    first = maricopa(database, "diff", "--source", "gis")
    assert (first.returncode, "nothing to compare with" in " ".join(first.stdout.split())) == (0, True)

    assert crawler(tmp_path, database, county(gis_parcels=3000, epoch=1))("roll").code == 0
    path = tmp_path / "changes.csv"
    second = maricopa(database, "diff", "--source", "gis", "--limit", "3", "--csv", str(path))
    assert second.returncode == 0, second.stderr
    assert "owner_name" in second.stdout
    with path.open() as file:
        written = {(row["apn"], row["field"], row["old"], row["new"]) for row in csv.DictReader(file)}
    expected = layer(3000, epoch=1).changes(0)
    assert written == {
        (apn, name, as_text(name, old) or "", as_text(name, new) or "") for apn, name, old, new in expected
    }

    apn = next(iter(written))[0]
    shown = maricopa(database, "property", apn)
    assert shown.returncode == 0, shown.stderr
    assert "Owner  county GIS, " in shown.stdout
