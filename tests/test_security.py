"""What a stranger asks first: where secrets go, what reaches SQL, what a hostile answer or file can do, which
doors are open.
"""

import ast
import configparser
import gzip
import re
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import brotli
import psutil
import pytest
import zstandard
from scrapy.utils.project import get_project_settings

from benchmarks import licences
from maricopa_scrapy.database.store_and_acknowledge import body_of
from maricopa_scrapy.items import Cause
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_check import FileRefused, scan
from tests.conftest import ROOT, Crawler, Database
from tests.helpers.command import Maricopa, words_of

TOKEN = "5ec7e7a0-70ce-4a11-8c0f-f00dfacec0de"
PACKAGE = ROOT / "maricopa_scrapy"


def _everything(database: Database) -> str:
    """Return all rows of all tables as text, and the captures unpacked."""
    tables = database.rows(
        "SELECT format('%%I.%%I', table_schema, table_name) FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'"
    )
    assert len(tables) > 30
    found = [
        text
        for (text,) in database.rows(
            " UNION ALL ".join(f"SELECT t::text FROM {table} t" for (table,) in tables)
        )
    ]
    found += [
        body_of(body).decode("utf-8", "replace")
        for (body,) in database.rows("SELECT body FROM crawl.capture WHERE body IS NOT NULL")
    ]
    assert len(found) > 50
    return "\n".join(found)


def test_the_token_is_nowhere_but_in_the_request(
    tmp_path: Path, database: Database, county: Callable[..., Any], fast_retries: dict[str, str]
) -> None:
    sandbox = county(token=TOKEN)
    # Something that is an issue.
    sandbox.faults({"new_field": {"probability": 1.0}})
    # Only a county's own address gets a token, the sandbox never: here the manifest says that this machine is
    # the county.
    manifest = fast_retries["MARICOPA_CONFIG"] + "/sources/assessor.yaml"
    text = re.sub(r"(?m)^base_url: .*", f"base_url: {sandbox.url}/assessor", Path(manifest).read_text())
    Path(manifest).write_text(text)
    environment = fast_retries | {
        "MARICOPA_ASSESSOR_TOKEN": TOKEN,
        "MARICOPA_DATA_DIR": str(tmp_path / "data"),
    }
    crawler = Crawler(database, None, environment=environment)
    process = crawler.start(
        "assessor", "-a", "apns=" + ",".join(County().apns(3)), "-s", "LOG_LEVEL=DEBUG", real=True
    )
    seen = " ".join(psutil.Process(process.pid).cmdline())
    while process.poll() is None and not sandbox.stats()["assessor"]["requests"]:
        seen += " ".join(
            word for child in psutil.Process(process.pid).children(recursive=True) for word in words_of(child)
        )
        time.sleep(0.1)
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert sandbox.stats()["assessor"]["by_status"]["200"] >= 3
    wrong = TOKEN.replace("5ec7", "bad0")
    refused = Crawler(database, None, environment=environment | {"MARICOPA_ASSESSOR_TOKEN": wrong})(
        "assessor", "-a", "apns=" + County().apns(4)[3]
    )
    assert refused.code != 0
    command = Maricopa(database, sandbox.url, tmp_path, environment=environment)
    says = [
        command.here(*words)
        for words in (("report", "1"), ("report", "2", "--html", "-"), ("issues",), ("status", "2", "--json"))
    ]
    assert [one.code for one in says] == [0, 0, 0, 0]
    assert "new_field" in says[2].out
    everything = [log, refused.log, seen, _everything(database), *(one.out + one.errors for one in says)]
    everything += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (TOKEN, wrong):
        assert not [text[max(0, at - 200) : at + 50] for text in everything if (at := text.find(secret)) >= 0]


# What may be put between the words of a statement: names and conditions that are written in the package,
# never a value from outside.
_NAME = re.compile(
    r"(self|table|record|_TABLE|kind|source|duplicates|\w*_TABLE)\.(name|stage|table|known|key|key\[0\]|complete_by|origin|RANGES)|_?[A-Z][A-Z_]*"
    r"|names?|columns|present|same|back|removed|scope|kind|select|old|differs|counts|fresh|leave|table|held|tables|origin|fields|quoted|mine|is_staged|which|selected|filled|first|array|quoted_role|condition|tier_of|matched|tier\.where|before|told|rank|view|_FEW|rows|of_books|earlier|here\.quoted_role|DECIDE\[source\]"
)
_BUILT = re.compile(r"', '\.join\(.*\)|(self\.)?_\w+\(.*\)|columns_of\(table\)|_[A-Z]+\.format\(.*\)")
_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|DROP|TRUNCATE|COPY|ALTER|MERGE|LOCK|SET)\b")
_RUNS = ("execute", "executemany", "copy_expert", "mogrify")


def _between(node: ast.AST) -> list[str]:
    """Return what an f-string, a format or a percent sign puts into a text that is a statement."""
    if (
        isinstance(node, ast.JoinedStr)
        and node.values
        and isinstance(node.values[0], ast.Constant)
        and _SQL.match(str(node.values[0].value))
    ):
        return [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mod)
        and isinstance(node.left, ast.Constant)
        and _SQL.match(str(node.left.value))
    ):
        return ["a percent sign"]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _RUNS
        and node.args
    ):
        return (
            ["a percent sign"]
            if isinstance(node.args[0], ast.BinOp) and isinstance(node.args[0].op, ast.Mod)
            else []
        )
    return []


def test_values_reach_sql_as_parameters_alone() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        if "sandbox" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                found += [(path.name, one) for one in _between(node)]
    assert len(found) > 50
    assert [
        one
        for one in found
        if not (_NAME.fullmatch(one[1]) or _BUILT.fullmatch(one[1]) or one[1] == "DATABASE")
    ] == []


def test_the_search_for_such_statements_finds_them() -> None:
    for line in (
        'c.execute(f"SELECT 1 FROM t WHERE apn = {apn}")',
        'c.execute("DELETE FROM t WHERE a = %s" % apn)',
        "c.execute(x % apn)",
    ):
        assert [
            one for node in ast.walk(ast.parse(line)) for one in _between(node) if not _NAME.fullmatch(one)
        ], line


_MB = b" " * 2**20


def _brotli() -> bytes:
    packing = brotli.Compressor(quality=1)
    return b"".join([*(packing.process(_MB) for _ in range(400)), packing.finish()])


def _bombs() -> dict[str, bytes]:
    """Return 400 MB of blanks, by what packs them: all that a request of ours says it takes."""
    deflate = zlib.compressobj(1)
    first, again = (deflate.compress(_MB) + deflate.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    zstd = zstandard.ZstdCompressor().compressobj()
    return {
        "gzip": gzip.compress(_MB) * 400,
        "deflate": first + again * 399,
        "br": _brotli(),
        "zstd": b"".join([*(zstd.compress(_MB) for _ in range(400)), zstd.flush()]),
    }


class _Bombs(BaseHTTPRequestHandler):
    """Answers that unpack to 400 MB, each kind in its turn; robots.txt is none."""

    packed: ClassVar[dict[str, bytes]] = {}
    sent: ClassVar[list[str]] = []
    takes: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        body = b"User-agent: *\nDisallow:\n"
        kind = ""
        if "robots" not in self.path:
            kind = list(self.packed)[len(self.sent) % len(self.packed)]
            self.sent.append(kind)
            self.takes.update(self.headers["Accept-Encoding"].split(", "))
            body = self.packed[kind]
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if kind else "text/plain")
        if kind:
            self.send_header("Content-Encoding", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Forbidding(BaseHTTPRequestHandler):
    """Its robots.txt lets nobody in; everything else is not there."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b"User-agent: *\nDisallow: /\n" if self.path == "/robots.txt" else b""
        self.send_response(200 if body else 502)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_what_robots_txt_forbids_is_not_asked_for_unless_the_manifest_of_that_source_says_so(
    database: Database, fast_retries: dict[str, str]
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forbidding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    manifest = Path(fast_retries["MARICOPA_CONFIG"]) / "sources" / "assessor.yaml"
    try:
        for obeys, other in ((True, False), (False, True)):
            for source, value in (("assessor", obeys), ("gis", other)):
                changed = manifest.with_name(f"{source}.yaml")
                changed.write_text(
                    re.sub(
                        r"(?m)^obey_robots: \w+", f"obey_robots: {str(value).lower()}", changed.read_text()
                    )
                )
            _Forbidding.asked.clear()
            crawler = Crawler(
                database, f"http://127.0.0.1:{server.server_address[1]}", environment=fast_retries
            )
            crawl = crawler("assessor", "-a", f"apns={County().apns(1)[0]}")
            assert crawl.code != 0
            assert "Traceback" not in crawl.log, crawl.log
            assert any(path.startswith("/assessor/") for path in _Forbidding.asked) is not obeys, (
                _Forbidding.asked
            )
            (cause,) = database.rows("SELECT cause FROM crawl.target ORDER BY id DESC LIMIT 1")
            assert cause == ("refused" if obeys else "server_error",)
    finally:
        server.shutdown()
        server.server_close()


def test_an_answer_that_unpacks_to_a_bomb_is_refused_by_size(
    database: Database, fast_retries: dict[str, str]
) -> None:
    _Bombs.packed |= _bombs()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bombs)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        crawler = Crawler(database, f"http://127.0.0.1:{server.server_address[1]}", environment=fast_retries)
        process = crawler.start("assessor", "-a", "apns=" + ",".join(County().apns(4)), real=True)
        peak = 0
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            threading.Event().wait(0.05)
        log, _ = process.communicate(timeout=60)
    finally:
        server.shutdown()
        server.server_close()
    assert process.returncode != 0, log
    assert _Bombs.takes == set(_Bombs.sent) == set(_Bombs.packed)
    assert "Traceback" not in log
    assert database.one("SELECT count(*) FROM crawl.target WHERE state = 'done'") == 0
    causes = database.rows("SELECT cause, count(*) FROM crawl.target GROUP BY cause")
    assert causes == [("malformed", 4)], log
    assert peak < 300 * 2**20


def test_a_zip_that_unpacks_to_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Sales.txt", b"0" * (60 * 2**20))
    with pytest.raises(FileRefused) as refused:
        scan(path, SALES_AFFIDAVITS)
    assert refused.value.cause in (Cause.MALFORMED, Cause.SOURCE_CHANGED)


def test_a_capture_that_unpacks_to_a_bomb_is_refused() -> None:
    compressor = zstandard.ZstdCompressor().compressobj(size=2**29)
    packed = b"".join([*(compressor.compress(bytes(2**20)) for _ in range(512)), compressor.flush()])
    assert len(packed) < 2**20
    with pytest.raises(ValueError, match="more than"):
        body_of(packed)


def test_no_door_is_open() -> None:
    settings = get_project_settings()
    assert settings.getbool("TELNETCONSOLE_ENABLED") is False
    assert settings.getbool("REMOTE_CONTROL_ENABLED") is False
    assert settings.getint("DOWNLOAD_MAXSIZE") <= 64 * 2**20
    assert settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES") is True
    node = configparser.RawConfigParser()
    node.read(ROOT / "examples" / "scrapyd.conf")
    assert node["scrapyd"]["bind_address"] == "127.0.0.1"
    for name in ("username", "password"):
        value = node["scrapyd"][name]
        # No value of its own: scrapyd takes it from the environment, and does not start without.
        assert re.fullmatch(r"%\(SCRAPYD_\w+_is_not_set\)s", value)


def test_scans_are_written_below_the_data_folder_whatever_a_number_says(tmp_path: Path) -> None:
    for number in ("../../etc/passwd", "20130183449/../../x"):
        said = Crawler(None, None, environment={"MARICOPA_DATA_DIR": str(tmp_path)})(
            "documents", "-a", f"recording_numbers={number}", "-a", "pdf=yes"
        )
        assert said.code == 2, said.log
        assert len(said.error_lines()) == 1
    assert list(tmp_path.rglob("*.pdf")) == []


def test_every_licence_is_listed() -> None:
    page = licences.PAGE.read_text()
    listed = dict(re.findall(r"^\| (\S+) \| (.+) \|$", page, re.MULTILINE))
    missing = set(licences.locked()) - listed.keys()
    assert not missing, "python -m benchmarks.licences"
    unknown = {name for name, text in listed.items() if text == "not declared"}
    # Of other systems; the rest is known.
    assert unknown <= {"brotlicffi", "colorama", "pypydispatcher", "pywin32"}
