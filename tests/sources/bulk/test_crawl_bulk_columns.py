"""Bulk files of which a column is absent, renamed or of another form: the other columns are stored, what was
stored of it stays.
"""

from collections.abc import Callable
from pathlib import Path

from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import Crawler, Database
from tests.helpers.affidavits import changed, zipped
from tests.helpers.bulk import RESIDENTIAL_HEADER, residential_line, secured_line
from tests.helpers.rolls import agrees

Start = Callable[..., SandboxProcess]
_TARGET = "SELECT state, rows, unread FROM crawl.target ORDER BY id DESC LIMIT 1"
_ISSUES = (
    "SELECT kind, signature, count FROM crawl.issue WHERE job_id = (SELECT max(id) FROM crawl.job) ORDER BY"
    " kind, signature"
)
_CHANGES = "SELECT field, old, new, count(*) FROM crawl.change GROUP BY 1, 2, 3 ORDER BY 1, 3"


def test_a_column_of_another_form_is_unread_and_the_others_are_stored(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Secured_Master.txt"
    load = Crawler(database, county(gis_parcels=1).url)
    path.write_text("".join(secured_line(number) + "\n" for number in range(5000)))
    assert load("roll", "-a", f"secured_master={path}").code == 0
    lines = [
        secured_line(number).replace("|RESIDENTIAL|", "|R3?|" if number % 3 else "|RESIDENTIAL|")
        for number in range(5001)
    ]
    lines[7] = secured_line(7, owner="QUAIL RUN HOMES INC").replace("|RESIDENTIAL|", "|R3?|")
    # One line that does not fit by another column is set aside, as ever.
    lines[9] = lines[9].replace("|09282010|", "|IA|")
    path.write_text("\n".join(lines) + "\n")
    crawl = load("roll", "-a", f"secured_master={path}")
    assert crawl.code == 3, crawl.log
    assert database.rows(_TARGET) == [("done", 5000, ["secured_master.property_type"])]
    assert database.rows("SELECT verdict FROM crawl.job ORDER BY id") == [
        ("completed",),
        ("completed_with_failures",),
    ]
    assert database.rows(_CHANGES) == [("owner_name", "COPPER STATE HOLDINGS LLC", "QUAIL RUN HOMES INC", 1)]
    assert database.rows("SELECT property_type, count(*) FROM bulk.secured_master GROUP BY 1 ORDER BY 2") == [
        (None, 1),
        ("RESIDENTIAL", 5000),
    ]
    assert database.rows("SELECT reason FROM bulk.reject") == [
        ("column 15 (deed_date): expected a date MMDDYYYY",)
    ]
    unread, rejected = (
        "secured_master.property_type: column 13 (property_type)",
        "column 15 (deed_date): expected a date MMDDYYYY",
    )
    assert database.rows(_ISSUES) == [("rejected_line", rejected, 1), ("unread_section", unread, 1)]
    agrees(database)


def test_a_residential_master_is_the_same_with_and_without_a_header(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Residential_Master.txt"
    load = Crawler(database, county(gis_parcels=1).url)
    lines = [residential_line(number) for number in range(3000)]
    lines[5] = lines[5].replace("COPPER STATE HOLDINGS LLC", "PEÑA")
    path.write_bytes("\n".join(lines).encode("latin-1") + b"\n")
    assert load("roll", "-a", f"residential_master={path}").code == 0
    assert (
        database.one(
            "SELECT owner_name FROM bulk.residential_master WHERE owner_name <> 'COPPER STATE HOLDINGS LLC'"
        )
        == "PEÑA"
    )
    for header in (RESIDENTIAL_HEADER, "\ufeff" + RESIDENTIAL_HEADER):
        path.write_text("\n".join([header, *lines]) + "\n")
        crawl = load("roll", "-a", f"residential_master={path}")
        assert crawl.code == 0, crawl.log
        assert database.rows(_TARGET) == [("done", 3000, None)]
        assert [kind for kind, *_ in database.rows(_ISSUES)] == ["new_field"]
    assert database.rows(_CHANGES) == database.rows("SELECT place FROM bulk.reject") == []
    # Without a column that has a name, and with another parcel.
    text = [RESIDENTIAL_HEADER, *lines, residential_line(3000)]
    path.write_text("\n".join("|".join([*line.split("|")[:2], *line.split("|")[3:]]) for line in text) + "\n")
    crawl = load("roll", "-a", f"residential_master={path}")
    assert crawl.code == 0, crawl.log
    assert database.rows(_CHANGES) == []
    assert database.rows(
        "SELECT construction_class, count(*) FROM bulk.residential_master GROUP BY 1 ORDER BY 2"
    ) == [(None, 1), ("CLASS R3", 3000)]
    assert ("absent_field", "Residential Master.Class", 1) in database.rows(_ISSUES)
    agrees(database)


def test_a_renamed_column_of_the_affidavits_clears_nothing(
    tmp_path: Path, database: Database, county: Start
) -> None:
    path = tmp_path / "Sales_Affidavits.zip"
    load = Crawler(database, county(gis_parcels=1).url)
    zipped(path, 3000)
    assert load("affidavits", "-a", f"affidavits={path}").code == 0
    before = database.rows("SELECT deed_number, apn, occurrence, sale_price FROM bulk.sale ORDER BY 1, 2, 3")

    def edit(text: list[str]) -> None:
        text.append(changed(text[1], PARCELNUMBER="20904027B"))
        text[0] = text[0].replace("SALEPRICE", "PRICE").replace("|SITUSSUITE|", "|")
        at = text[0].split("|").index("SITUSADDRESS") + 1
        text[1:] = ["|".join([*line.split("|")[:at], *line.split("|")[at + 1 :]]) for line in text[1:]]

    zipped(path, 3000, edit=edit)
    crawl = load("affidavits", "-a", f"affidavits={path}")
    assert crawl.code == 0, crawl.log
    now = database.rows("SELECT deed_number, apn, occurrence, sale_price FROM bulk.sale ORDER BY 1, 2, 3")
    (new,) = set(now) - set(before)
    assert (new[1], new[3], len(now)) == ("20904027B", None, 3001)
    assert database.rows(_CHANGES) == []
    names = [
        ("absent_field", "Sales Affidavits.SALEPRICE", 1),
        ("absent_field", "Sales Affidavits.SITUSSUITE", 1),
    ]
    assert [one for one in database.rows(_ISSUES) if one[0] != "future_date"] == [
        *names,
        ("new_field", "PRICE", 1),
    ]
    # Without the number of its deed a line is nobody's.
    zipped(path, 3000, edit=lambda text: text.__setitem__(0, text[0].replace("DEEDNUMBER", "DEED")))
    crawl = load("affidavits", "-a", f"affidavits={path}")
    assert crawl.code == 3, crawl.log
    ((state, cause, message),) = database.rows(
        "SELECT state, cause, message FROM crawl.target ORDER BY id DESC LIMIT 1"
    )
    assert (state, cause, "DEEDNUMBER" in message) == ("dead", "source_changed", True)
    agrees(database)
