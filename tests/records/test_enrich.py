"""`maricopa enrich`: every row and column of a person's table stays, in its order, and ours come behind."""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database
from tests.helpers.command import Maricopa

APNS = County().apns(30)
KNOWN = APNS[:20]
MANY = 4_000


@pytest.fixture(scope="module")
def written() -> list[list[str]]:
    """A table of 40 columns: notations of all kinds, duplicates, parcels that are not stored, and none."""
    chance = random.Random(7)
    heading = ["no", "name", "PARCEL", *[f"c{n}" for n in range(36)], "owner"]
    rows = []
    for number in range(MANY):
        apn = chance.choice(APNS)
        shown = chance.choice(
            [apn, format_apn(apn), f" {format_apn(apn)} ", apn.replace("-", ""), "n/a", "", "12-34"]
        )
        rest = [chance.choice(["", "é", "=1+1", "a, b", 'say "x"', "00123", "$5"]) for _ in range(36)]
        rows.append([str(number), "José O'Brien", shown, *rest, "mine"])
    return [heading, *rows]


def _table(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def maricopa(database: Database, county: Callable[..., Any], tmp_path: Path) -> Maricopa:
    sandbox = county()
    crawl = Crawler(database, sandbox.url)("assessor", "-a", f"apns={','.join(KNOWN)}")
    assert crawl.code == 0, crawl.log
    return Maricopa(database, sandbox.url, tmp_path)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_all_rows_and_columns_stay_and_ours_come_behind(
    maricopa: Maricopa, database: Database, tmp_path: Path, written: list[list[str]], form: str
) -> None:
    to = tmp_path / f"enriched.{form}"
    table = _table(tmp_path / "leads.csv", written)
    said = maricopa(
        "enrich",
        str(table),
        "--apn-column",
        "PARCEL",
        "--add",
        "owner,lot_size_sqft,deed_date",
        "--to",
        str(to),
    )
    assert said.code == 0, said.errors
    if form == "csv":
        with to.open(encoding="utf-8", newline="") as file:
            found = list(csv.reader(file))
    else:
        sheet = openpyxl.load_workbook(to).active
        assert sheet is not None
        found = [["" if cell is None else cell for cell in row] for row in sheet.iter_rows(values_only=True)]
    width = len(written[0])
    assert len(found) == len(written)
    # Row by row: pytest would compare a difference of all of them for minutes.
    odd = next(
        ((given, row) for given, row in zip(written, found, strict=True) if row[:width] != given), None
    )
    assert odd is None
    assert found[0][width:] == ["owner_2", "lot_size_sqft", "deed_date", "told_by", "apn", "note"]
    owners = dict(database.rows("SELECT apn, ownership FROM public.property"))
    for given, row in zip(written[1:], found[1:], strict=True):
        digits = "".join(one for one in given[2] if one.isalnum())
        owner, _, _, told, apn, note = row[width:]
        if digits in owners:
            assert (owner, apn, note) == (owners[digits], digits, "")
            assert told.startswith("assessor 20")
        elif digits in APNS:
            assert (owner, told, apn, note) == ("", "", digits, "nothing is stored of this parcel")
        else:
            assert (owner, told, apn) == ("", "", "")
            assert note
    assert f"{MANY:,} rows" in said.errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--add", "ownr", "--to", "out.csv"), "there is no ownr"),
        (("--to", "out.pdf"), "ends in .csv or .xlsx"),
        (("--apn-column", "nope", "--to", "out.csv"), "nope"),
    ],
)
def test_a_mistake_is_one_line(
    database: Database, tmp_path: Path, written: list[list[str]], arguments: tuple[str, ...], said: str
) -> None:
    table = _table(tmp_path / "leads.csv", written[:5])
    refused = Maricopa(database, "", tmp_path)("enrich", str(table), *arguments)
    assert refused.code == 2
    assert said in refused.errors
    assert len(refused.errors.strip().splitlines()) == 1
    assert not Path("out.csv").exists()
