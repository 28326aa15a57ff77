"""The report page in a real browser: for a job of every outcome, on a telephone and a wide screen, in the
light and in the dark.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from parsel import Selector
from playwright.sync_api import Browser, sync_playwright

from maricopa_scrapy.browser.find import find
from maricopa_scrapy.configuration import BrowserSettings
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.report_charts import Clock, rates
from maricopa_scrapy.records import job_report
from tests.conftest import ROOT, Database
from tests.helpers import report_jobs
from tests.helpers.command import Maricopa
from tests.helpers.taxes import needs_browser

# What a person sees of each, as the page's badge.
OUTCOMES = {
    "completed": "completed",
    "completed_with_failures": "completed with failures",
    "incomplete": "incomplete",
    "cancelled": "cancelled",
    "blocked": "blocked",
    "failed": "failed",
    "nothing_done": "completed with failures",
    "running": "running",
    "interrupted": "interrupted",
    "pending": "pending",
}
# Shapes that are drawn, with their size; text that stands out too little from what is behind it (WCAG 2.2,
# 4.5 : 1).
SEEN = """
() => {
  const size = (node) => {
    const box = node.getBoundingClientRect();
    return [node.getAttribute('class'), box.width, box.height];
  };
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || node.closest('svg')) continue;
    const [one, other] = [luminance(getComputedStyle(node).color), luminance(behind(node))].sort().reverse();
    const ratio = (one + 0.05) / (other + 0.05);
    const text = texts.currentNode.data.trim().slice(0, 40);
    if (ratio < 4.5) faint.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}: ${text}`);
  }
  return {
    title: document.title, faint, width: document.documentElement.scrollWidth, inside: window.innerWidth,
    shapes: [...document.querySelectorAll('svg[role=img] :is(rect, path.answered, path.refused)')].map(size),
    lines: [...document.querySelectorAll('svg path.line')].map(size),
    unnamed: [...document.querySelectorAll('svg:not([aria-hidden=true])')]
      .filter((svg) => !svg.querySelector('title')?.textContent).length,
    unscoped: document.querySelectorAll('th:not([scope])').length,
    foreign: document.querySelectorAll(
      'script, img, iframe, object, a:not([href^="#"]), link:not([href^="data:"])').length,
  };
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find(BrowserSettings()))
        yield opened
        opened.close()


@pytest.fixture
def maricopa(tmp_path: Path, database: Database) -> Maricopa:
    return Maricopa(database, "", tmp_path, rate=None)


@needs_browser
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_page_shows_a_job_of_every_outcome(
    outcome: str, maricopa: Maricopa, database: Database, session: Session, browser: Browser
) -> None:
    job = report_jobs.make(session, database, outcome, targets=60)
    pictures = ROOT / "build"
    pictures.mkdir(exist_ok=True)
    said = maricopa.here("report", str(job), "--html", str(maricopa.folder))
    file = maricopa.folder / f"report-{job}.html"
    assert (said.code, said.out) == (0, f"{file}: open it in a browser\n")
    page = browser.new_context().new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("request", lambda request: trouble.append(f"request: {request.url}"))
    page.goto(file.as_uri())
    for width in (400, 1400):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            seen = page.evaluate(SEEN)
            if outcome == "incomplete" or (width, scheme) in ((400, "dark"), (1400, "light")):
                page.screenshot(path=str(pictures / f"report-{outcome}-{width}-{scheme}.png"), full_page=True)
            assert seen["title"] == f"Job {job}: comprehensive, {OUTCOMES[outcome]}"
            assert seen["width"] <= seen["inside"] == width
            assert seen["faint"] == []
            assert (seen["unnamed"], seen["unscoped"], seen["foreign"]) == (0, 0, 0)
            # A chart of coverage for each source; of rates and of response times, where anything was sent.
            assert all(w > 0 and h > 0 for _, w, h in seen["shapes"]), seen["shapes"]
            names = [name for name, _, _ in seen["shapes"]]
            was_sent = outcome not in ("nothing_done", "pending")
            assert len([name for name in names if name in ("done", "gone", "failed", "left")]) >= 3
            assert (names.count("answered") > 30) is was_sent
            assert names.count("refused") == 2 * was_sent
            assert len(seen["lines"]) == 3 * was_sent
            assert all(w > 0 for _, w, _ in seen["lines"])
    # On paper, portrait, whatever the screen is.
    page.set_viewport_size({"width": 720, "height": 900})
    page.emulate_media(media="print")
    seen = page.evaluate(SEEN)
    assert (seen["width"], seen["faint"]) == (720, [])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # The icon is data, and that is all.
    assert [line for line in trouble if not line.startswith("request: data:")] == [
        f"request: {file.as_uri()}"
    ]
    page.context.close()


def test_the_page_says_what_the_ledger_says_and_escapes_the_county_s_words(
    maricopa: Maricopa, database: Database, session: Session
) -> None:
    job = report_jobs.make(session, database, "completed_with_failures", targets=60)
    text = maricopa.here("report", str(job), "--html", "-").out
    page = Selector(text)
    assert "hidden-word" not in text
    for tag in ("<script", "<img", "onerror=document"):
        assert tag not in text
    seen = [
        " ".join("".join(each.css("::text").getall()).split())
        for each in page.css("#changes ins, #issues p, #failures li, #arguments dd")
    ]
    evil = " ".join(report_jobs.EVIL.split())
    assert evil in seen
    assert len([each for each in seen if evil in each]) == 2 + 1 + 3 + 3 + 1
    assert "49" not in "".join(page.css("#arguments dd *::text").getall())

    def table(section: str) -> list[list[str]]:
        rows = page.css(f"#{section} tbody tr") + page.css(f"#{section} tfoot tr")
        return [
            [" ".join("".join(cell.css("::text").getall()).split()) for cell in row.css("th, td")]
            for row in rows
        ]

    # By hand: of 60 of each source, 0.9 done and 0.05 gone.
    counts = database.rows(
        "SELECT source, count(*), count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = "
        "'gone'),"
        " count(*) FILTER (WHERE state = 'dead') FROM crawl.target WHERE job_id = %s GROUP BY 1 ORDER BY "
        "min(id)",
        job,
    )
    assert [row[:6] for row in table("coverage")[:3]] == [[*map(str, row), "0"] for row in counts]
    assert table("coverage")[3][0:2] == ["all", "180"]
    assert [row[:2] for row in table("responses")] == [
        ["assessor", "1,060"],
        ["treasurer", "800"],
        ["recorder", "497"],
    ]
    assert {(row[0], row[1]) for row in table("changes")} == {
        ("assessor.owner" + field, "7") for field in ("ownership", "sale_price", "deed_number")
    }
    told = " ".join("".join(page.css("#failures article ::text").getall()).split())
    assert f"{counts[0][4]} given up" in told
    assert re.search(rf"parcel 101000\d\d and {counts[0][4] - 1} more: no answer within 30 s: <script>", told)
    assert "2 tries failed; the targets were answered in the end" in told


def test_a_chart_s_own_words_are_words(maricopa: Maricopa, database: Database, session: Session) -> None:
    job = report_jobs.make(session, database, "completed", targets=20)
    source = "]]></text></svg><script>1</script><svg onload='1'> & \x1b]52;c;x\x07\u202e"
    for (table,) in database.rows(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'crawl' AND column_name ="
        " 'source' AND table_name IN (SELECT relname FROM pg_class WHERE relkind = 'r')"
    ):
        session.rows(
            f"UPDATE crawl.{table} SET source = %s WHERE source = 'treasurer' RETURNING 1", (source,)
        )
    text = maricopa.here("report", str(job), "--html", "-").out
    page = Selector(text)
    for tag in ("<script>1", "onload='1'>", "\x1b", "\x07", "\u202e"):
        assert tag not in text
    assert len(page.css("svg")) >= 2
    drawn = " ".join(page.css("svg *::text").getall())
    assert "<script>1</script>" in drawn


def test_what_cannot_be_written_or_is_not_there_is_one_line(
    maricopa: Maricopa, database: Database, session: Session
) -> None:
    assert (
        maricopa.here("report", "7", "--html", "-").errors
        == "error: there is no job 7; `maricopa jobs` lists them\n"
    )
    job = report_jobs.make(session, database, "pending", targets=1)
    said = maricopa.here("report", str(job), "--html", "/nowhere/report.html")
    assert (said.code, said.errors) == (
        2,
        "error: --html /nowhere/report.html: there is no folder /nowhere; make it first\n",
    )
    text = maricopa.here("report", str(job))
    assert text.code == 0
    assert "Job 1: comprehensive" in text.out


def test_pauses_are_left_out_of_the_charts(database: Database, session: Session) -> None:
    job = report_jobs.make(session, database, "completed", targets=5)
    # The first run was a day before the others.
    database.rows(
        "UPDATE crawl.run SET started_at = started_at - interval '1 d', finished_at = finished_at - interval"
        " '1 d' WHERE id = 1 RETURNING 1"
    )
    database.rows("UPDATE crawl.sample SET at = at - interval '1 d' WHERE run_id = 1 RETURNING 1")
    found = job_report.read(session, job)
    clock = Clock((run.started_at, run.finished_at) for run in found.runs if run.finished_at)
    assert clock.seconds == pytest.approx(2400, abs=30)
    ((at, left_out),) = clock.cuts
    assert at == pytest.approx(0.5, abs=0.02)
    assert left_out == pytest.approx(86_400 - 1200, abs=60)
    chart = rates("assessor", found.intervals, clock)
    assert chart is not None
    # All of its answers lie in the first half, and the area below the curve is their number.
    halves = [
        sum(answered for _, answered, _, _ in chart.table[:6]),
        sum(answered for _, answered, _, _ in chart.table[6:]),
    ]
    assert halves[1] == 0
    assert sum(halves) / len(chart.table) * clock.seconds == pytest.approx(1060, rel=0.02)


def test_samples_of_a_long_run_are_few(database: Database, session: Session) -> None:
    from maricopa_scrapy.database.targets import Run
    from maricopa_scrapy.ledger import ledger, traffic_samples

    job = report_jobs.make(session, database, "running", targets=1)
    database.rows("DELETE FROM crawl.sample RETURNING 1")
    # A beat every 3 s for a quarter of an hour: its clock is moved, not waited for.
    taken = 0

    def beat(age: float, cursor: Any) -> None:
        nonlocal taken
        cursor.execute(
            "UPDATE crawl.run SET started_at = now() - make_interval(secs => %s) WHERE id = 1", (age,)
        )
        cursor.execute("UPDATE crawl.sample SET at = at - interval '3 s' WHERE run_id = 1")
        traffic_samples.note(cursor, 1)
        taken += cursor.rowcount

    for age in range(3, 900, 3):
        session.transact(partial(beat, age))
    assert 200 < taken < 250
    run = Run(1, job, "assessor")
    ledger.close_run(session, run, "finished", {}, {"assessor": report_jobs.traffic(5000, 0, 0.1)})
    assert database.one("SELECT max(requests) FROM crawl.sample WHERE run_id = 1") == 5000
