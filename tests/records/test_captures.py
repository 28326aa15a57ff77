"""What is kept of answers, and what people get of it: policies, issues with their evidence, a web archive,
and room again.
"""

import datetime as dt
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from warcio.archiveiterator import ArchiveIterator

from maricopa_scrapy.cli import terminal
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.store_and_acknowledge import body_of
from maricopa_scrapy.database.tables import RECORDS
from maricopa_scrapy.items import Capture
from maricopa_scrapy.records import verify
from maricopa_scrapy.records.web_archive import write
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sources.treasurer import tabs
from tests.conftest import ROOT, Crawler, Database, maricopa
from tests.helpers.command import Maricopa
from tests.helpers.recorder import SANDBOX

Start = Callable[..., SandboxProcess]


def _settings(tmp_path: Path, name: str, old: str, new: str) -> dict[str, str]:
    folder = tmp_path / name
    shutil.copytree(ROOT / "config", folder)
    manifest = folder / "sources" / "assessor.yaml"
    text = re.sub(r"(?m)^attempts: \d+", "attempts: 2", manifest.read_text())
    assert old in text
    manifest.write_text(text.replace(old, new))
    return {"MARICOPA_CONFIG": str(folder)}


def test_issues_archive_and_room(
    tmp_path: Path, database: Database, county: Start, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "width", 200)
    apns = County().apns(12)
    sandbox = county()
    sandbox.faults({"new_field": {"probability": 1.0}})
    crawler = Crawler(database, sandbox.url)
    maricopa = Maricopa(database, sandbox.url, tmp_path)
    assert crawler("assessor", "-a", f"apns={','.join(apns[:8])}").code == 0
    assert crawler("assessor", "-a", f"apns={','.join(apns)}").code == 0

    # One line for what is the same, over both jobs; one job's by itself.
    (issue,) = [json.loads(line) for line in maricopa.here("issues", "--json").out.splitlines()]
    assert (issue["source"], issue["kind"], issue["signature"], issue["count"], issue["jobs"]) == (
        "assessor",
        "new_field",
        "GreenScore",
        20,
        2,
    )
    assert (issue["job"], issue["target"] in apns, issue["has_body"]) == (2, True, True)
    assert issue["url"] == f"{sandbox.url}/assessor/parcel/{issue['target']}"
    body = database.one("SELECT body FROM crawl.capture WHERE encode(sha256, 'hex') = %s", issue["capture"])
    assert b"GreenScore" in body_of(body)
    shown = maricopa.here("issues", "1").out
    assert "assessor new_field: the assessor's answer has a new field: GreenScore" in shown
    assert re.search(r"8 times, .* UTC; the newest: job 1", shown)
    assert maricopa.here("issues", "9").code == 2

    # The archive holds the kept bodies, and its own reader finds no fault with it.
    for name in ("all.warc", "all.warc.gz"):
        path = tmp_path / name
        told = maricopa.here("captures", "--warc", str(path))
        assert (told.code, told.out.split()[0]) == (0, "12"), told.errors
        with path.open("rb") as file:
            found = {}
            for record in ArchiveIterator(file, check_digests="raise"):
                if record.rec_type == "warcinfo":
                    continue
                assert (record.rec_type, record.http_headers.get_statuscode()) == ("response", "200")
                assert record.http_headers.get_header("Content-Type") == "application/json"
                assert record.rec_headers.get_header("WARC-Left-Out") == "phones, sketches"
                at = dt.datetime.fromisoformat(record.rec_headers.get_header("WARC-Date"))
                found[record.rec_headers.get_header("WARC-Target-URI")] = (
                    at,
                    hashlib.sha256(record.content_stream().read()).digest(),
                )
        stored = {
            url: (at, bytes(sha))
            for url, at, sha in database.rows("SELECT url, fetched_at, sha256 FROM crawl.capture")
        }
        assert found == stored
    of_job = tmp_path / "job.warc"
    assert maricopa.here("captures", "--warc", str(of_job), "--job", "1").out.startswith("8 records")
    assert maricopa.here("captures", "--warc", str(tmp_path / "no" / "x.warc")).code == 2

    # Room: what present values were read from stays, unless that too is asked for.
    sandbox.clear_faults()
    after = county(epoch=2)
    assert Crawler(database, after.url)("assessor", "-a", f"apns={','.join(apns)}").code == 0
    rows = " UNION ".join(f"SELECT capture_sha256 FROM {record.table}" for record in RECORDS)
    held = database.one(f"SELECT count(*) FROM ({rows}) r")
    bodies = "SELECT count(*) FROM crawl.capture WHERE body IS NOT NULL"
    everything = database.one(bodies)
    assert held < everything
    assert maricopa.here("prune").code == 2
    assert maricopa.here("prune", "--older-than", "1d", "--even-present").out.startswith("0 bodies")
    database.rows("UPDATE crawl.capture SET fetched_at = fetched_at - interval '2 days' RETURNING 1")
    dry = maricopa.here("prune", "--older-than", "1d", "--dry-run")
    assert dry.out.startswith(f"{everything - held} bodies"), dry.out + dry.errors
    assert database.one(bodies) == everything
    assert maricopa.here("prune", "--older-than", "1d").out.startswith(f"{everything - held} bodies")
    assert database.one(bodies) == held
    assert (
        database.one(
            "SELECT count(*) FROM crawl.capture WHERE pruned_at IS NOT NULL AND url <> '' AND size > 0"
        )
        == everything - held
    )
    assert verify.problems(session) == []
    again = maricopa.here("reparse", "--source", "assessor", "--dry-run").out
    assert f"{everything - held} answers have no body to read" in again
    assert "no field differs" in again
    listed = maricopa.here("captures").out
    assert re.search(
        rf"assessor +all +{everything} +{held} +{everything - held} .*phones, sketches", listed
    ), listed
    assert maricopa.here("prune", "--older-than", "1d", "--even-present").out.startswith(f"{held} bodies")
    assert database.one(bodies) == 0
    # An answer that comes again brings its body back.
    assert Crawler(database, after.url)("assessor", "-a", f"apns={','.join(apns)}").code == 0
    assert database.one(bodies) == 12
    assert verify.problems(session) == []


def test_what_is_not_kept_is_noted_with_its_facts(
    tmp_path: Path, database: Database, county: Start, session: Session
) -> None:
    """Each source has its own policy: of one job, all of the GIS is kept, the recorder's failures, nothing of
    the assessor.
    """
    # The first is the one that the rolls know.
    truth, apns = County(), County().apns(7)[1:]
    deeds = [deed for apn in apns if (deed := truth.parcel(apn)["Owner"]["MostCurrentDeed"])]
    sandbox = county(gis_parcels=1, **SANDBOX)
    for source, key in (("assessor", apns[0]), ("recorder", deeds[-1])):
        sandbox.faults({"malformed": {"probability": 1.0, "keys": [key]}}, source=source)
    environment = _settings(tmp_path, "policies", "captures: all", "captures: none")
    for source, policy in (("recorder", "failures"), ("gis", "all")):
        manifest = tmp_path / "policies" / "sources" / f"{source}.yaml"
        text = re.sub(r"(?m)^attempts(_of)?:.*\n( +\w+: \d+\n)*|^captures:.*\n", "", manifest.read_text())
        manifest.write_text(f"{text}\nattempts: 2\ncaptures: {policy}\n")
    crawl = Crawler(database, sandbox.url, environment=environment)("sales", "-a", f"apns={','.join(apns)}")
    assert crawl.code == 3, crawl.log
    kept = dict(
        database.rows("SELECT source, count(*) FROM crawl.capture WHERE body IS NOT NULL GROUP BY source")
    )
    assert kept == {
        "gis": database.one("SELECT count(*) FROM crawl.capture WHERE source = 'gis'"),
        "recorder": 1,
    }
    assert database.rows("SELECT cause FROM crawl.target WHERE source = 'recorder' AND state = 'dead'") == [
        ("malformed",)
    ]
    facts = database.rows(
        "SELECT url, status, size > 1000, left_out FROM crawl.capture WHERE source = 'assessor'"
    )
    assert {(status, is_sized, *left_out) for _, status, is_sized, left_out in facts} == {
        (200, True, "phones", "sketches")
    }
    assert {url.rpartition("/")[2] for url, *_ in facts} == set(apns)
    assert verify.problems(session) == []
    listed = maricopa(database, "captures", **environment).stdout
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [
        ["assessor", "none"],
        ["gis", "all"],
        ["recorder", "failures"],
    ]


def test_kept_sketches_are_said_to_be(tmp_path: Path, database: Database, county: Start) -> None:
    truth = County()
    apn = next(apn for apn in truth.apns(20) if truth.parcel(apn)["Sketches"]["Pages"])
    environment = _settings(tmp_path, "sketches", "keep_sketches: false", "keep_sketches: true")
    assert Crawler(database, county().url, environment=environment)("assessor", "-a", f"apns={apn}").code == 0
    ((body, left_out),) = database.rows("SELECT body, left_out FROM crawl.capture")
    assert left_out == ["phones"]
    assert orjson.loads(body_of(body))["Sketches"] == truth.parcel(apn)["Sketches"]
    told = maricopa(database, "reparse", "--source", "assessor", "--dry-run")
    assert "no field differs" in told.stdout


def test_what_a_browser_showed_is_a_resource_a_tab(tmp_path: Path) -> None:
    at = dt.datetime(2026, 11, 1, 12, 0, 0, 123456, dt.UTC)
    html = {"summary": "<html><body>due</body></html>", "payments": "<html><body>paid: ü</body></html>"}
    packed = tabs.pack(tabs.Tabs("parcel", html, 1))
    captures = [
        Capture(
            b"1",
            "treasurer",
            "http://host/parcel/1",
            200,
            "application/json",
            at,
            packed,
            left_out=("phones",),
            is_rendered=True,
        ),
        Capture(
            b"2",
            "treasurer",
            "http://host/parcel/2",
            200,
            "text/html",
            at,
            b"<html></html>",
            is_rendered=True,
        ),
        Capture(b"3", "assessor", "http://host/parcel/3", 404, "", at, b""),
    ]
    path = tmp_path / "shown.warc.gz"
    assert write(path, captures) == 4
    with path.open("rb") as file:
        read = [
            (
                record.rec_type,
                record.rec_headers.get_header("WARC-Target-URI"),
                record.content_stream().read().decode(),
            )
            for record in ArchiveIterator(file, check_digests="raise")
        ]
    assert read[1:] == [
        ("resource", "http://host/parcel/1#summary", html["summary"]),
        ("resource", "http://host/parcel/1#payments", html["payments"]),
        ("resource", "http://host/parcel/2", "<html></html>"),
        ("response", "http://host/parcel/3", ""),
    ]
