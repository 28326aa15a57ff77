"""What somebody at the other end, or beside us, may want: our terminal, our token, our spreadsheet, our
files, our nodes.
"""

import csv
import datetime as dt
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from warcio.archiveiterator import ArchiveIterator

from maricopa_scrapy.browser.find import find
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.crawl.refused_settings import refused
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import Capture, FollowOn
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.machine.safe_text import visible
from maricopa_scrapy.records import dossier, web_archive
from maricopa_scrapy.records.roll_diff import Change
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.conftest import ROOT, Crawler, Database, maricopa
from tests.helpers.command import Maricopa
from tests.helpers.networks import RATE, TOKEN, Front, crawler, serving
from tests.helpers.taxes import needs_browser

Start = Callable[..., SandboxProcess]
APN = County().apns(1)[0]
# Clears the screen, writes to the clipboard (OSC 52), a C1 control, turns the line around, hides, and ends
# another's markup.
CODES = "\x1b[2J\x1b]52;c;cm0gLXJm\x07\x9b31m\u202egnp\u202c\u2066\u200b\x7f[/b][link=file:///x]:smile:"
# The same as JSON has it.
IN_JSON = json.dumps(CODES)[1:-1].encode()
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def _hostile(body: bytes) -> bytes:
    """Put it into an owner's name, and into the name of a key that nobody knows."""
    body = re.sub(rb'"Ownership" *: *"[^"]*', lambda found: b'"Ownership":"=SMITH ' + IN_JSON, body)
    return b'{"New ' + IN_JSON + b'":1,' + body.lstrip()[1:]


def test_terminal_codes_of_the_county_are_visible_marks_in_everything_printed(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    front = Front(shared_county)
    crawl = crawler(tmp_path, database, front.url)
    with serving(front):
        assert crawl("assessor", "-a", f"apns={APN}", *RATE).code == 0
        front.change = _hostile
        again = crawl("assessor", "-a", f"apns={APN}", *RATE)
        front.raw = lambda connection: connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/x\x1b]52;c;cm0=\x07\x9b31m\r\nContent-Length:"
            b" 5\r\n\r\nhello"
        )
        broken = crawl("assessor", "-a", f"apns={County().apns(2)[1]}", *RATE)
    assert again.code == 0, again.log
    stored = database.one("SELECT ownership FROM assessor.owner WHERE apn = %s", APN)
    # Escapes of C0 are kept as they are told, or left out by the parser; the rest is there.
    assert "\x9b31m\u202egnp" in stored
    command = Maricopa(database, "", tmp_path)
    verbs: list[tuple[str, ...]] = [
        ("property", APN),
        ("issues",),
        ("issues", "--json"),
        ("report", "2"),
        ("report", "3"),
        ("report", "2", "--html", "-"),
        ("report", "3", "--html", "-"),
        ("changes", "--since", "1d"),
        ("changes", "--since", "1d", "--format", "jsonl"),
        ("changes", "--since", "1d", "--query", "new-owner"),
        ("status",),
        ("status", "2"),
        ("status", "2", "--json"),
        ("jobs",),
        ("verify",),
        ("captures",),
    ]
    said = {verb: command.here(*verb) for verb in verbs}
    assert {verb: one.errors for verb, one in said.items() if one.code} == {}
    everything = {" ".join(verb): one.out + one.errors for verb, one in said.items()} | {
        "log": again.log,
        "broken": broken.log,
    }
    for what, text in everything.items():
        assert not OBEYED.search(text.replace("\r\n", "\n")), what
    for verb in (
        ("property", APN),
        ("issues",),
        ("changes", "--since", "1d"),
        ("report", "2", "--html", "-"),
    ):
        assert "�31m�gnp" in said[verb].out, verb
        assert "[/b][link=file:///x]:smile:" in re.sub(r"\s+", "", said[verb].out), verb
    assert "HTTP 200 with text/x␛]52" in broken.log
    assert "text/x␛]52" in said["issues",].out
    assert "text/x␛]52" in said["report", "3", "--html", "-"].out
    # JSON says the same by escapes, and a file has it as it was told.
    news = [
        json.loads(line) for line in said["changes", "--since", "1d", "--format", "jsonl"].out.splitlines()
    ]
    assert stored in {row["new"] for row in news}
    assert command.here("changes", "--since", "1d", "--to", str(tmp_path / "to.csv")).code == 0
    with (tmp_path / "to.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert f"'{stored}" in {row["new"] for row in rows}
    assert "'=SMITH" in said["changes", "--since", "1d"].out


_SEEN = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f"


def test_every_character_that_nobody_sees_has_a_mark() -> None:
    unseen = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    ]
    fillers = list("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\U000e0100\U000e01ef")
    assert [
        hex(ord(one))
        for one in [*unseen, *fillers]
        if visible(one) == one and one not in "\n\t" and not re.match(f"[{_SEEN}]", one)
    ] == []
    assert all(len(visible(one)) == 1 for one in unseen)


def test_a_job_s_own_words_are_visible_marks_in_everything_printed(
    tmp_path: Path, database: Database
) -> None:
    session = Session(database.url)
    words = {
        "owner": CODES,
        "note": f"\r{CODES}",
        "settings": {"USER_AGENT": CODES},
        CODES: CODES,
        "sections": [CODES],
    }
    targets = [FollowOn("assessor", "parcel", f"{CODES} {at}") for at in range(3)]
    job = str(ledger.open_job(session, "property_search", targets, words)[0])
    run = ledger.open_run(session, int(job), "assessor", "assessor")
    row = "INSERT INTO crawl.issue (job_id, run_id, source, kind, signature, message, target_key, example,"
    row += " first_at, last_at) VALUES"
    database.rows(
        f"{row} (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, now(), now()) RETURNING 1",
        int(job),
        run.id,
        *[CODES] * 5,
        json.dumps({CODES: [CODES]}),
    )
    database.rows(
        "UPDATE crawl.target SET state = 'dead', cause = %s, message = %s, run_id = NULL RETURNING 1",
        CODES,
        CODES,
    )
    database.rows("UPDATE crawl.job SET shortfall = %s RETURNING 1", CODES)
    ledger.close_run(session, run, "finished", {})
    database.rows("UPDATE crawl.planned_run SET message = %s RETURNING 1", CODES)
    session.close()
    command = Maricopa(database, "", tmp_path)
    verbs = [
        ("status", job),
        ("status", job, "--watch"),
        ("status", job, "--json"),
        ("jobs",),
        ("jobs", "--json"),
        ("report", job),
        ("report", job, "--html", "-"),
        ("issues", job),
        ("issues", "--json"),
        ("verify", job),
        ("verify",),
        ("captures",),
        ("doctor",),
        ("retry", job, "--cause", CODES, "--on", f"http://127.0.0.1:9/{CODES}"),
        ("cancel", job),
        ("resume", CODES),
        ("run", CODES, "--apns", APN),
        ("run", "tax", "--apns", APN, "--mode", CODES),
        ("property", CODES),
        (CODES,),
        ("run", "property-search", "--owner", CODES, "--dry-run"),
        ("changes", "--since", CODES),
        ("export", "--to", str(tmp_path / CODES)),
        ("report", job, "--html", f"/{CODES}/x"),
        ("probe", CODES),
        ("diff", "--source", CODES),
        ("reparse", "--source", CODES),
        ("cleanup", "--older-than", CODES),
    ]
    for verb in verbs:
        said = command.here(*verb)
        for text in (said.out, said.errors):
            assert not OBEYED.search(text.replace("\r\n", "\n")), (verb, text)
        assert "Traceback" not in said.out + said.errors, verb
        assert said.code in (0, 1, 2, 3), (verb, said)


def test_a_mistake_of_a_user_s_list_is_visible_too(tmp_path: Path, database: Database) -> None:
    path = tmp_path / "apns.txt"
    path.write_text(f"{CODES}\n", encoding="utf-8")
    said = Crawler(database, "http://127.0.0.1:9")("assessor", "-a", f"apns={path}")
    run = maricopa(database, "run", "tax", "--apns", str(path), "-y", MARICOPA_SANDBOX="http://127.0.0.1:9")
    name = maricopa(database, "property", CODES)
    for text, code in ((said.log, said.code), (run.stderr, run.returncode), (name.stderr, name.returncode)):
        assert code == 2, text
        assert not OBEYED.search(text), text


def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(tmp_path: Path) -> None:
    texts = [
        "=1+1",
        "@SUM(A1)",
        "+1+1",
        "-2+3",
        "\t=1",
        "\r=1",
        "＝1",
        "'x",
        "-112.07",
        "+5",
        "-1e5",
        "plain",
        "",
        None,
    ]
    at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    dossier.write_changes(
        tmp_path / "diff.csv", [Change("1", "gis.parcel", "owner_name", text, text, at) for text in texts]
    )
    with (tmp_path / "diff.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    defused = [f"'{text}" for text in texts[:8] if text] + ["-112.07", "+5", "-1e5", "plain", "", ""]
    assert [row["old"] for row in rows] == [row["new"] for row in rows] == defused


_SECRETS = ("TOKEN", "MARICOPA_", "SCRAPYD_PASSWORD", "s3cret")


def _secret(environment: str) -> list[str]:
    return [line for line in re.split(r"[\n\0]", environment) if any(word in line for word in _SECRETS)]


@needs_browser
def test_neither_the_browser_nor_its_driver_gets_the_token(
    tmp_path: Path, database: Database, county: Start
) -> None:
    seen, program = tmp_path / "seen", tmp_path / "browser"
    seen.mkdir()
    program.write_text(
        f"#!/bin/sh\nenv > {seen}/$$.browser\n(ulimit -c; ulimit -Hc) > {seen}/$$.core\ntr '\\0' '\\n' <"
        f" /proc/$PPID/environ > {seen}/$$.parent\ntr '\\0' ' ' < /proc/$PPID/cmdline >"
        f' {seen}/$$.command\nexec {shlex.quote(find(BrowserSettings()))} "$@"\n'
    )
    program.chmod(0o755)
    shutil.copytree(ROOT / "config", tmp_path / "settings")
    config = tmp_path / "settings" / "config.yaml"
    content = yaml.safe_load(config.read_text())
    content.setdefault("browser", {})["executable"] = str(program)
    config.write_text(yaml.safe_dump(content))
    environment = {
        "MARICOPA_CONFIG": str(tmp_path / "settings"),
        "MARICOPA_ASSESSOR_TOKEN": TOKEN,
        "MARICOPA_DATA_DIR": str(tmp_path),
    }
    environment |= {
        "SCRAPYD_PASSWORD": "s3cret",
        "https_proxy": "http://ann:s3cret@127.0.0.1:9",
        "PGPASSWORD": "s3cret",
    }
    done = Crawler(database, county().url, environment=environment)("tax", "-a", f"apns={APN}")
    assert (done.code, database.states()) == (0, {"done": 1}), done.log
    files = sorted(seen.glob("*.browser"))
    # The one that is tried, and the one that works.
    assert len(files) >= 2
    assert [line for file in files for line in _secret(file.read_text())] == []
    # What crashes leaves no memory behind: it may hold the token.
    assert {file.read_text() for file in seen.glob("*.core")} == {"0\n0\n"}
    drivers = [file for file in seen.glob("*.command") if "cli.js" in file.read_text()]
    assert drivers
    assert [line for file in drivers for line in _secret(file.with_suffix(".parent").read_text())] == []
    assert "PATH=" in drivers[0].with_suffix(".parent").read_text()


def test_psql_and_the_sandbox_get_what_they_need_and_no_token(
    database: Database, county: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"MARICOPA_ASSESSOR_TOKEN": TOKEN, "SCRAPYD_PASSWORD": "s3cret", "PGAPPNAME": "looks-around"}
    command = ("-Atc", "SHOW application_name", "-c", "\\! env; echo core: $(ulimit -c) $(ulimit -Hc)")
    said = maricopa(database, "postgres", "psql", *command, **secrets)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("looks-around\n")
    assert "PGDATABASE=" in said.stdout
    assert "core: 0 0\n" in said.stdout
    assert _secret(said.stdout) == []
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    with SandboxProcess() as sandbox:
        environment = psutil.Process(sandbox.pid).environ()
    assert "PATH" in environment
    assert _secret("\n".join(f"{name}={value}" for name, value in environment.items())) == []


def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path, database: Database) -> None:
    target, folder = tmp_path / "theirs", tmp_path / "their_folder"
    target.touch()
    folder.mkdir()
    for name, to in (("to_file", target), ("to_folder", folder), ("dangling", tmp_path / "nobody")):
        (tmp_path / name).symlink_to(to)
    (tmp_path / "twice").symlink_to(tmp_path / "to_file")
    session = Session(database.url)
    job = str(ledger.open_job(session, "tax", [], {})[0])
    session.close()
    command = Maricopa(database, "", tmp_path)
    for link in ("to_file", "dangling", "twice"):
        for verb in (("changes", "--since", "1d", "--to"), ("captures", "--warc"), ("report", job, "--html")):
            said = command.here(*verb, str(tmp_path / link))
            assert (said.code, said.errors.count("\n"), "symbolic link" in said.errors) == (2, 1, True), (
                verb,
                link,
                said,
            )
        with pytest.raises(FileExistsError):
            dossier.write_changes(tmp_path / link, [])
    for verb in (("export", "--to"), ("report", job, "--html")):
        said = command.here(*verb, str(tmp_path / "to_folder"))
        assert (said.code, "symbolic link" in said.errors) == (2, True), (verb, said)
    assert target.read_bytes() == b""
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "nobody").exists()
    # A report that is ours, and a link to it.
    assert command.here("report", job, "--html", str(tmp_path / "report.html")).code == 0
    (tmp_path / "to_report").symlink_to(tmp_path / "report.html")
    before = (tmp_path / "report.html").stat().st_mtime_ns
    assert command.here("report", job, "--html", str(tmp_path / "to_report")).code == 2
    assert (tmp_path / "report.html").stat().st_mtime_ns == before
    # The system's own links are ways to what is open here already.
    shown = maricopa(database, "changes", "--since", "1d", "--to", "/dev/stdout")
    assert (shown.returncode, shown.stdout[:5]) == (0, "apn,t") or shown.stdout.startswith(
        ("at,", "table", "changed")
    ), shown


@pytest.mark.parametrize(
    "setting",
    [
        'FEEDS={{"{folder}/stolen": {{"format": "csv"}}}}',
        (
            'DOWNLOAD_HANDLERS={{"https": "tests.helpers.networks.Front", "http":'
            ' "tests.helpers.networks.Front"}}'
        ),
        " SPIDER_LOADER_CLASS=tests.helpers.networks.Front",
        'ADDONS={{"tests.helpers.networks.Front": 1}}',
        "MARICOPA_SANDBOX=http://127.0.0.1:9",
    ],
    ids=lambda setting: setting.strip().partition("=")[0],
)
def test_settings_smuggled_in_through_scrapyd_are_refused(
    tmp_path: Path, database: Database, setting: str
) -> None:
    log = tmp_path / "run.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")}
    environment |= {
        "SCRAPY_PROJECT": "maricopa_scrapy",
        "MARICOPA_DATABASE_URL": database.url,
        "MARICOPA_SANDBOX": "http://127.0.0.1:9",
    }
    # As scrapyd starts a run.
    command = [
        sys.executable,
        "-m",
        "scrapyd.runner",
        "crawl",
        "assessor",
        "-s",
        setting.format(folder=tmp_path),
        "-s",
        f"LOG_FILE={log}",
    ]
    ran = subprocess.run(
        [*command, "-a", f"apns={APN}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    name = setting.strip().partition("=")[0]
    assert ran.returncode == 2, ran.stderr
    assert f"the setting {name} " in log.read_text()
    assert "Traceback" not in ran.stderr + log.read_text()
    assert not (tmp_path / "stolen").exists()
    assert database.one("SELECT count(*) FROM crawl.job") == 0


@pytest.mark.parametrize(
    "name",
    [
        "ADDONS",
        "EXTENSIONS_BASE",
        " ITEM_PIPELINES",
        "SCHEDULER_DISK_QUEUE",
        "STATS_CLASS",
        "ROBOTSTXT_OBEY",
        "ROBOTSTXT_PARSER",
        "DOWNLOAD_VERIFY_CERTIFICATES",
        "AUTOTHROTTLE_ENABLED",
        "JOBDIR",
        "LOG_FILE",
        "FEED_EXPORTERS",
        "FILES_STORE",
        "HTTPCACHE_ENABLED",
        "TELNETCONSOLE_ENABLED",
        "MARICOPA_MANIFESTS",
        "DNS_RESOLVER",
        "PLAYWRIGHT_BROWSER_PROVIDER",
        "TWISTED_REACTOR",
        "MAIL_HOST",
        "MARICOPA_SANDBOX",
        "DEFAULT_REQUEST_HEADERS",
        "CONCURRENT_REQUESTS",
        "FEED_URI_PARAMS",
        "MEMUSAGE_NOTIFY_MAIL",
        "log_level",
        "A_SETTING_OF_A_LATER_SCRAPY",
    ],
)
def test_no_node_takes_a_setting_that_names_code_files_or_guards(name: str) -> None:
    assert (refused(["LOG_LEVEL=DEBUG", f"{name}=x"]) or "").startswith(f"the setting {name.strip()} ")


def test_other_settings_are_given_to_nodes() -> None:
    assert (
        refused(
            [
                "LOG_LEVEL=DEBUG",
                "MARICOPA_RATE_LIMIT=5",
                "STATS_DUMP=1",
                "USER_AGENT=x",
                "CLOSESPIDER_TIMEOUT=9",
            ]
        )
        is None
    )


def test_a_node_is_given_no_such_setting(database: Database) -> None:
    arguments = (
        "run",
        "tax",
        "--apns",
        APN,
        "-y",
        "--on",
        "http://127.0.0.1:9",
        "-s",
        'FEEDS={"/tmp/x": {}}',
    )
    said = maricopa(database, *arguments)
    assert (said.returncode, "the setting FEEDS" in said.stderr) == (2, True), said.stderr


_SMUGGLED = [
    {"FEEDS": '{"stolen": {"format": "csv"}}'},
    {"LOG_LEVEL": "INFO", "EXTENSIONS": '{"tests.helpers.networks.Front": 1}'},
    {"JOBDIR": "stolen"},
]


@pytest.mark.parametrize("settings", _SMUGGLED, ids=lambda settings: list(settings)[-1])
@pytest.mark.parametrize("verb", [("resume",), ("resume", "--detach"), ("retry",)], ids=" ".join)
def test_a_job_that_goes_on_takes_no_such_setting_from_its_row(
    tmp_path: Path, database: Database, verb: tuple[str, ...], settings: dict[str, str]
) -> None:
    session = Session(database.url)
    job, _ = ledger.open_job(
        session, "property_search", [FollowOn("assessor", "parcel", APN)], {"settings": settings}
    )
    session.close()
    database.rows("UPDATE crawl.target SET state = 'dead', cause = 'timeout' RETURNING 1")
    before = database.rows("SELECT * FROM crawl.job, crawl.target")
    said = Maricopa(database, "http://127.0.0.1:9", tmp_path).here(*verb, str(job))
    assert (said.code, f"the setting {list(settings)[-1]} " in said.errors, said.errors.count("\n")) == (
        2,
        True,
        1,
    ), said
    assert database.rows("SELECT * FROM crawl.job, crawl.target") == before
    assert database.one("SELECT count(*) FROM crawl.run") == 0


@pytest.mark.parametrize("verb", [("resume",), ("resume", "--detach"), ("retry",)], ids=" ".join)
@pytest.mark.parametrize(
    "node",
    [
        "http://192.0.2.7:6800",
        "https://127.0.0.1.example.net",
        "http://127.0.0.1:9@192.0.2.8:6800",
        "http://[x",
    ],
)
def test_the_password_of_nodes_is_sent_to_no_address_that_only_the_job_s_row_names(
    tmp_path: Path, database: Database, verb: tuple[str, ...], node: str
) -> None:
    session = Session(database.url)
    job, _ = ledger.open_job(session, "property_search", [FollowOn("assessor", "parcel", APN)], {})
    session.close()
    database.rows(
        "INSERT INTO crawl.planned_run (job_id, number, spider, source, phase, feeds, place)"
        " VALUES (%s, 1, 'assessor', 'assessor', 1, '{}', %s) RETURNING 1",
        job,
        node,
    )
    command = Maricopa(database, "http://127.0.0.1:9", tmp_path, environment={"SCRAPYD_PASSWORD": "s3cret"})
    said = command.here(*verb, str(job))
    assert (said.code, f"add --on {node}" in said.errors) == (2, True), said
    assert database.rows("SELECT state FROM crawl.job") == [("pending",)]


def test_a_new_job_is_given_no_setting_that_it_could_not_go_on_with(
    tmp_path: Path, database: Database
) -> None:
    given = ("run", "property-search", "--apns", APN, "-y", "-s", f"LOG_FILE={tmp_path / 'stolen'}")
    said = Maricopa(database, "http://127.0.0.1:9", tmp_path).here(*given)
    assert (said.code, "the setting LOG_FILE " in said.errors) == (2, True), said
    assert database.one("SELECT count(*) FROM crawl.job") == 0
    assert not (tmp_path / "stolen").exists()


def test_a_web_archive_has_the_records_that_were_written_and_no_header_of_a_stranger_s(
    tmp_path: Path,
) -> None:
    types = [
        "application/json\x85WARC-Evil: 1",
        "text/html\r\nX-Evil: 1",
        "text/html\r\n\r\nWARC/1.1\r\n",
        "a\nb",
        "\xff",
        "x" * 9_000,
    ]
    now = dt.datetime.now(dt.UTC)
    bodies = [b"WARC/1.1\r\nWARC-Type: response\r\n\r\n" + kind.encode("latin-1") for kind in types]
    captures = [
        Capture(
            hashlib.sha256(body).digest(),
            "assessor",
            f"https://host/?q=\r\nWARC-Evil: {at}",
            200,
            kind,
            now,
            body,
            is_rendered=bool(at % 2),
        )
        for at, (kind, body) in enumerate(zip(types, bodies, strict=True))
    ]
    assert web_archive.write(tmp_path / "x.warc", captures) == len(captures)
    with (tmp_path / "x.warc").open("rb") as file:
        records = [
            (
                record.rec_headers.headers,
                record.http_headers.headers if record.http_headers else [],
                record.content_stream().read(),
            )
            for record in ArchiveIterator(file)
        ]
    assert [body for *_, body in records[1:]] == bodies
    assert {
        name for headers, inner, _ in records for name, _ in [*headers, *inner] if "evil" in name.lower()
    } == set()


def test_a_scan_is_never_written_where_a_number_of_the_county_s_leads(
    tmp_path: Path, database: Database, shared_county: str
) -> None:
    def elsewhere(body: bytes) -> bytes:
        return re.sub(rb'("recordingNumber" *: *)"?(\d{11})"?', rb'\1"../../../../\2/../../stolen"', body)

    front = Front(shared_county, change=elsewhere)
    crawl = crawler(tmp_path, database, front.url, "recorder", attempts=1, attempts_of={})
    with serving(front):
        for what in (
            ("recording_numbers=20240000001",),
            ("codes=WD", "since=2025-04-15", "until=2025-04-15"),
        ):
            done = crawl(
                "documents", *(word for argument in what for word in ("-a", argument)), "-a", "pdf=yes", *RATE
            )
            assert done.code in (3, 4), done.log
            assert "Traceback" not in done.log
    assert database.one("SELECT count(*) FROM recorder.image") == 0
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and "settings" not in path.parts]
    assert [path for path in outside if "stolen" in path.name or path.suffix == ".pdf"] == []
    assert not any("stolen" in path for path in front.asked)
