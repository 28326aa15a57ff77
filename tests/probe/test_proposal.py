"""A proposed manifest: where it is written, what stays, and what is refused."""

import datetime as dt
from pathlib import Path

import pytest
import yaml

from maricopa_scrapy.configuration import ConfigError, load
from maricopa_scrapy.probe import findings_table as table
from maricopa_scrapy.probe.proposal import Proposal, apply, written
from tests.conftest import ROOT

DAY = dt.date(2026, 11, 30)


def _page() -> dict[str, object]:
    content = yaml.safe_load((ROOT / "config" / "sources" / "treasurer.yaml").read_text())
    page: dict[str, object] = content["page"]
    page["statuses"] = {"Settled": "paid", "Open": "unpaid", "Lien": "lien", "State Lien": "state_lien"}
    return page


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MARICOPA_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_written_to_a_config_folder_of_the_user_s_own_and_the_old_one_stays(here: Path) -> None:
    file, old = apply(Proposal("treasurer", {"page": _page()}), DAY)
    assert file.resolve() == here / "config" / "sources" / "treasurer.yaml"
    assert old.name == "treasurer.yaml.20261130"
    shipped = (ROOT / "config" / "sources" / "treasurer.yaml").read_text()
    assert old.read_text() == shipped
    # What was not proposed stands as it did, comments too.
    assert file.read_text().startswith(shipped.partition("\npage:")[0])
    # A crawl now reads it, with all other sources beside it.
    _, manifests = load()
    assert manifests["treasurer"].page is not None
    assert manifests["treasurer"].page.statuses["Settled"] == "paid"
    assert set(manifests) == {path.stem for path in (ROOT / "config" / "sources").glob("*.yaml")}
    again, older = apply(Proposal("treasurer", {"page": _page()}), DAY)
    assert (again, older.name) == (file, "treasurer.yaml.20261130.2")


def test_maricopa_config_comes_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = here / "mine"
    (named / "sources").mkdir(parents=True)
    (named / "sources" / "treasurer.yaml").write_text(
        (ROOT / "config" / "sources" / "treasurer.yaml").read_text()
    )
    monkeypatch.setenv("MARICOPA_CONFIG", str(named))
    file, _ = apply(Proposal("treasurer", {"page": _page()}), DAY)
    assert file == named / "sources" / "treasurer.yaml"
    assert not (here / "config").exists()


def test_a_key_in_the_middle_leaves_the_next_one_and_its_comment(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "sources").mkdir()
    shipped = (ROOT / "config" / "sources" / "recorder.yaml").read_text()
    (here / "sources" / "recorder.yaml").write_text(shipped)
    monkeypatch.setenv("MARICOPA_CONFIG", str(here))
    file, _ = apply(
        Proposal(
            "recorder",
            {"paths": {"search": "/d/search", "document": "/d/{number}", "index": "/i", "codes": "/c"}},
        ),
        DAY,
    )
    text = file.read_text()
    assert text.partition("\npaths:")[0] == shipped.partition("\npaths:")[0]
    assert text[text.index("search_page_size") :] == shipped[shipped.index("search_page_size") :]
    assert yaml.safe_load(text)["paths"]["index"] == "/i"


def test_what_does_not_fit_is_not_written(here: Path) -> None:
    with pytest.raises(ConfigError, match="page"):
        apply(Proposal("treasurer", {"page": {"version": 0}}), DAY)
    assert not list((here / "config" / "sources").glob("treasurer.yaml.*"))
    assert load()[1]["treasurer"].page is not None


def test_questions_are_shown_exactly() -> None:
    asked = "Which of the tabs is the payments': Tax Details [3] or 'Receipts'?"
    proposal = Proposal("treasurer", {"page": {"version": 2}}, [("status", "`Settled` in 3 rows")], [asked])
    shown = "\n".join(str(part) for part in table.proposal(proposal))
    assert f"question: {asked}" in shown
    assert "status: `Settled` in 3 rows" in shown
    assert written(proposal) in shown
