"""`maricopa new-source`: what it makes is a source like the others, which a crawl asks and stores."""

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from maricopa_scrapy.cli import new_source
from tests.conftest import ROOT, Database, administer


class _Office(BaseHTTPRequestHandler):
    """Answers /permits/permits/{apn}: of one parcel with another one's, of one with a field of another
    form.
    """

    def do_GET(self) -> None:
        _, _, apn = self.path.rpartition("/")
        answer = {
            "apn": "16528099" if apn == "16528055" else apn,
            "description": "ROOF",
            "amount": "?" if apn == "16528056" else "1200",
        }
        body = json.dumps(answer).encode() if self.path.startswith("/permits/permits/") else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("maricopa_scrapy", "config", "tests", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "scrapy.cfg"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def test_a_source_from_the_scaffold_is_asked_and_stored(checkout: Path, server: str, template: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MARICOPA_", "SCRAPY_"))
    }
    environment["PYTHONPATH"] = str(checkout)

    def run(*command: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *command],
            cwd=checkout,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    made = run(
        "-m",
        "maricopa_scrapy",
        "new-source",
        "permits",
        "--url",
        "https://permits.example.gov",
        "--path",
        "/permits/{apn}",
        "--kind",
        "permit",
        "--title",
        "the county's building permits",
    )
    assert made.returncode == 0, made.stderr
    assert [line for line in made.stdout.splitlines() if line.endswith("sources/permits/spider.py")]

    # Step 6: the house, the parser's golden folders, and the way the files are laid out.
    page = run("-m", "maricopa_scrapy.database.data_dictionary").stdout
    assert page.count("## `permits.permit`") == 1
    (checkout / "docs" / "data.md").write_text(page)
    tests = ("tests/sources/test_golden.py", "tests/test_structure.py")
    checks = ("-m", "pytest", *tests, "-k", "permits or house or dictionary or named")
    first = run(*checks)
    assert "expected.json was missing and is written: review it" in first.stdout
    assert "\n5 failed, " in first.stdout
    checked = run(*checks)
    assert checked.returncode == 0, checked.stdout
    folder = checkout / "tests" / "fixtures" / "permits" / "permit"
    expected = {path.parent.name: path.read_text() for path in folder.glob("*/expected.json")}
    assert '"amount": 1200' in expected["16528054-ordinary"]
    assert '"absent": [\n' in expected["16528054-key_absent"]
    causes = {"no_parcel": "source_changed", "odd_amount": "source_changed", "wrong_parcel": "wrong_parcel"}
    for case, cause in causes.items():
        assert f'"cause": "{cause}"' in expected[f"16528054-{case}"]
    files = [str(path) for path in checkout.rglob("permits/*.py")]
    for step in (("ruff", "check"), ("ruff", "format", "--check"), ("mypy", "--strict")):
        checked = run("-m", *step, *(path for path in files if step[0] == "ruff" or "tests" not in path))
        assert checked.returncode == 0, checked.stdout

    # A database that was there before the source.
    administer(server, f"CREATE DATABASE with_permits TEMPLATE {template}")
    url = server.replace("/maricopa?", "/with_permits?")
    try:
        with ThreadingHTTPServer(("127.0.0.1", 0), _Office) as office:
            threading.Thread(target=office.serve_forever, daemon=True).start()
            sandbox = f"http://127.0.0.1:{office.server_port}"
            crawl = run(
                "-m",
                "scrapy",
                "crawl",
                "permits",
                "-a",
                "apns=165-28-054,165-28-055,165-28-056",
                "-s",
                "MARICOPA_RATE_LIMIT=50",
                MARICOPA_DATABASE_URL=url,
                MARICOPA_SANDBOX=sandbox,
            )
            office.shutdown()
        database = Database(url)
        assert database.rows("SELECT apn, description, amount FROM permits.permit") == [
            ("16528054", "ROOF", 1200)
        ], crawl.stderr
        assert database.rows("SELECT key, state, cause FROM crawl.target ORDER BY key") == [
            ("16528054", "done", None),
            ("16528055", "dead", "wrong_parcel"),
            ("16528056", "dead", "source_changed"),
        ]
        assert crawl.returncode == 3
    finally:
        administer(server, "DROP DATABASE with_permits WITH (FORCE)")


@pytest.mark.parametrize(
    ("name", "url", "path", "said"),
    [
        ("Permits", "https://permits.example.gov", "/permits/{apn}", "name 'Permits'"),
        ("class", "https://permits.example.gov", "/permits/{apn}", "name 'class'"),
        ("../permits", "https://permits.example.gov", "/permits/{apn}", "name '../permits'"),
        ("permits", "permits.example.gov", "/permits/{apn}", "base URL"),
        ("permits", "https://permits.example.gov", "/permits", "path '/permits'"),
        ("assessor", "https://permits.example.gov", "/permits/{apn}", "is there already"),
    ],
)
def test_a_mistake_writes_nothing(name: str, url: str, path: str, said: str) -> None:
    before = sorted(ROOT.glob("config/sources/*"))
    with pytest.raises(new_source.ScaffoldError, match=said):
        new_source.write(ROOT, name, name, url, path)
    assert sorted(ROOT.glob("config/sources/*")) == before


def test_it_wants_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(new_source.ScaffoldError, match="is no checkout"):
        new_source.write(tmp_path, "permits", "permits", "https://permits.example.gov", "/permits/{apn}")
