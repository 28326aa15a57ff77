"""`maricopa deploy`: what is in the egg, that a node runs it and not what is installed beside it, and every
way in which it can fail.
"""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.database import schema
from maricopa_scrapy.jobs import deploy
from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.scrapyd import PROJECT
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def scrapyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrapyd]:
    with Scrapyd(tmp_path_factory.mktemp("scrapyd")) as started:
        yield started


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A user's settings: a contact of his own, one source fewer, nothing that came later."""
    folder = tmp_path / "settings"
    shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns("gis.yaml", "__*"))
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace('contact: ""', "contact: tests@example.org"))
    return folder


def _maricopa(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("MARICOPA_", "SCRAPYD_"))
    }
    command = [sys.executable, "-c", "from maricopa_scrapy.cli.main import main; main()", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=own | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_node_runs_what_was_deployed(scrapyd: Scrapyd, config: Path) -> None:
    node = scrapyd.node()
    with pytest.raises(NodeError, match=rf"no project {PROJECT}; `maricopa deploy --to {scrapyd.url}`"):
        node.check()
    credentials = {"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": PASSWORD}
    for number in (1, 2):
        done = _maricopa("deploy", "--to", scrapyd.url, MARICOPA_CONFIG=str(config), **credentials)
        assert done.returncode == 0, done.stderr
        newest = node.versions()[-1]
        assert done.stdout.startswith(f"{scrapyd.url}: version {newest}, ")
        # scrapyd runs the last; a version of the same second replaces the one before.
        assert len(node.versions()) <= number
    node.check()

    # As scrapyd's runner does it, with the package in front of the egg on Python's path, as an installed one
    # is.
    egg = scrapyd.folder / "eggs" / PROJECT / f"{newest}.egg"
    shown = (
        "from scrapyd.runner import activate_egg; import sys; activate_egg(sys.argv[1]); from"
        " scrapy.utils.project import get_project_settings as s; u = s(); import"
        " maricopa_scrapy.sources.assessor.spider as m; from maricopa_scrapy.database.schema import files;"
        " print(m.__file__, u['USER_AGENT'], sorted(u['MARICOPA_MANIFESTS']), [(name, len(file.read_bytes()))"
        " for name, file in files().items()])"
    )
    beside = {name: value for name, value in os.environ.items() if not name.startswith("SCRAPY")} | {
        "PYTHONPATH": str(ROOT)
    }
    run = subprocess.run(
        [sys.executable, "-c", shown, str(egg)],
        cwd=scrapyd.folder,
        env=beside,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith(f"{egg}/maricopa_scrapy/sources/assessor/spider.py maricopa_scrapy/"), (
        run.stdout
    )
    assert "(+tests@example.org)" in run.stdout
    assert "'assessor'" in run.stdout
    assert "'gis'" not in run.stdout
    # The files that make the tables are read from within it.
    assert run.stdout.endswith(
        f" {[(name, len(file.read_bytes())) for name, file in schema.files().items()]}\n"
    )


def test_the_egg_holds_the_package_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MARICOPA_CONFIG", raising=False)
    egg = deploy.build()
    assert egg == deploy.build()
    with zipfile.ZipFile(io.BytesIO(egg)) as archive:
        names = set(archive.namelist())
        assert (
            archive.read("maricopa_scrapy/config/config.yaml")
            == (ROOT / "config" / "config.yaml").read_bytes()
        )
    package = ROOT / "maricopa_scrapy"
    files = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = Path(str(resources.files("maricopa_scrapy.config")))
    yaml = [*(ROOT / "config").glob("*.yaml"), *(ROOT / "config" / "sources").glob("*.yaml")]
    config = {f"maricopa_scrapy/config/{path.relative_to(ROOT / 'config')}" for path in yaml}
    config |= {f"maricopa_scrapy/config/{path.name}" for path in shipped.glob("*.yaml")}
    information = {f"EGG-INFO/{name}" for name in ("PKG-INFO", "entry_points.txt")}
    assert names == files | config | information | {
        "maricopa_scrapy/config/__init__.py",
        "maricopa_scrapy_deployed.py",
    }


def test_an_installed_package_makes_the_same_egg(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "maricopa_scrapy", tmp_path / "installed" / "maricopa_scrapy", ignore=ignored)
    shutil.copytree(ROOT / "config", tmp_path / "installed" / "maricopa_scrapy" / "config", ignore=ignored)
    code = (
        "import hashlib; from maricopa_scrapy.jobs.deploy import build;"
        " print(hashlib.sha256(build()).hexdigest())"
    )
    own = {name: value for name, value in os.environ.items() if name != "MARICOPA_CONFIG"}
    digests = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=at,
            env=own | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for at, path in ((ROOT, str(ROOT)), (tmp_path, str(tmp_path / "installed")))
    ]
    assert digests[0] == digests[1]


def test_versions_sort_by_time() -> None:
    import datetime as dt

    zone = dt.timezone(dt.timedelta(hours=-7))
    moments = [dt.datetime(2026, 9, 30, 17, 0, tzinfo=zone), dt.datetime(2026, 10, 1, 0, 0, 1, tzinfo=dt.UTC)]
    assert sorted(map(deploy.version, reversed(moments))) == [deploy.version(moment) for moment in moments]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "http://maricopa:wr0ng@{at}",
            (
                "refuses this user or password; give them as http://user:password@host:6800, or in"
                " SCRAPYD_USERNAME"
            ),
        ),
        ("http://{at}", "wants a user and a password"),
        (
            "http://maricopa:wr0ng@127.0.0.1:1",
            "http://127.0.0.1:1 cannot be reached (Connection refused); start scrapyd there",
        ),
        (
            "http://maricopa:wr0ng@no.such.host.invalid:6800",
            "http://no.such.host.invalid:6800 cannot be reached",
        ),
        ("https://maricopa:wr0ng@{sandbox}", "scrapyd itself speaks http"),
        ("http://maricopa:wr0ng@{sandbox}", "is not a scrapyd"),
        ("node1:6800", "'node1:6800' is not the address of a scrapyd"),
    ],
)
def test_a_node_that_takes_nothing_is_one_line(
    scrapyd: Scrapyd, county: Callable[..., Any], address: str, message: str
) -> None:
    sandbox = county().url.removeprefix("http://") if "sandbox" in address else ""
    done = _maricopa(
        "deploy", "--to", address.format(at=scrapyd.url.removeprefix("http://"), sandbox=sandbox)
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert "wr0ng" not in line


def test_settings_that_cannot_be_used_are_not_deployed(scrapyd: Scrapyd, config: Path) -> None:
    (config / "config.yaml").write_text("contakt: me\n")
    before = (scrapyd.folder / "eggs").exists() and scrapyd.node().versions()
    done = _maricopa(
        "deploy",
        "--to",
        f"http://{USER}:x@{scrapyd.url.removeprefix('http://')}",
        MARICOPA_CONFIG=str(config),
    )
    assert done.returncode == 2
    assert "refuses this user" in done.stderr
    done = _maricopa(
        "deploy",
        "--to",
        scrapyd.url,
        MARICOPA_CONFIG=str(config),
        SCRAPYD_USERNAME=USER,
        SCRAPYD_PASSWORD=PASSWORD,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "contakt: unknown key; did you mean contact?" in line
    assert ((scrapyd.folder / "eggs").exists() and scrapyd.node().versions()) == before


def test_a_version_that_would_not_be_run_is_taken_back(tmp_path: Path) -> None:
    """First a node that cannot load the project, then one with a version of somebody else's that sorts
    last.
    """
    with Scrapyd(tmp_path / "bare", {"MARICOPA_CONFIG": "/nowhere"}) as scrapyd:
        with pytest.raises(NodeError, match="MARICOPA_CONFIG names /nowhere, which has no folder sources/"):
            deploy.deploy(scrapyd.node())
        assert scrapyd.node().versions() == []
    broken = tmp_path / "old" / "eggs" / PROJECT / "r7-master.egg"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(deploy.build())
    with Scrapyd(tmp_path / "old") as scrapyd:
        with pytest.raises(NodeError, match=r"r7-master of maricopa_scrapy sorts after .*delversion.json"):
            deploy.deploy(scrapyd.node())
        assert scrapyd.node().versions() == ["r7-master"]


def test_a_scrapyd_that_lies_in_the_project_is_not_deployed_to(tmp_path: Path) -> None:
    shutil.copy(ROOT / "scrapy.cfg", tmp_path)
    with Scrapyd(tmp_path, {"PYTHONPATH": str(ROOT), "MARICOPA_CONFIG": str(ROOT / "config")}) as scrapyd:
        with pytest.raises(NodeError, match="started in a folder with a scrapy.cfg"):
            deploy.deploy(scrapyd.node())
        assert scrapyd.node().versions() == []


def test_a_node_that_lacks_a_package_says_what_to_do(scrapyd: Scrapyd) -> None:
    egg = io.BytesIO()
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 2.1\nName: lacking\nVersion: 1\n")
        archive.writestr("EGG-INFO/entry_points.txt", "[scrapy]\nsettings = lacking.settings\n")
        archive.writestr("lacking/__init__.py", "")
        archive.writestr("lacking/settings.py", "import no_such_package\n")
    node = scrapyd.node()
    with pytest.raises(
        NodeError, match="No module named 'no_such_package'.*; install in scrapyd's own Python"
    ) as raised:
        node.add_version("20990101_000000-1", egg.getvalue())
    assert "\n" not in str(raised.value)
    node.drop_version("20990101_000000-1")
