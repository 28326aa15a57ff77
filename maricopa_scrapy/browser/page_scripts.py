"""What runs in the treasurer's page: scripts, and what of the manifest they are given."""

from importlib import resources
from typing import Any

from maricopa_scrapy.configuration import PageLayout

# Resolves when a tab is filled; the file says what it is given.
FILLED = resources.files("maricopa_scrapy.browser").joinpath("page_scripts.js").read_text(encoding="utf-8")
# The text of the first grid that has one.
STALE = """grid => [...document.querySelectorAll(grid + " tbody")]
  .map(b => b.textContent.replace(/\\s+/g, " ").trim()).find(t => t) || null"""
# Clicks the one link of a tab, by its place or by its text; of several alike, the one that is shown.
OPEN_TAB = """([tabs, place, texts]) => {
  const links = [...document.querySelectorAll(tabs)];
  const text = link => link.textContent.replace(/\\s+/g, " ").trim().toLowerCase();
  const named = texts ? links.filter(link => texts.includes(text(link))) : [links[place]];
  const shown = named.length > 1 ? named.filter(link => link.getClientRects().length) : named;
  if (shown.length !== 1 || !shown[0]) return false;
  shown[0].click();
  return true;
}"""
# Clicks the one row of a parcel among those that the search found, or what opens it there.
OPEN_RESULT = """([rows, open, key]) => {
  const number = /(?<![\\w-])\\d{3}-?\\d{2}-?\\d{3}[A-Za-z]?(?:-\\d)?(?![\\w-])/g;
  const apart = row =>
    [...row.querySelectorAll("td, th")].map(cell => cell.textContent).join(" ") || row.textContent;
  const isIts = one => one.replace(/-\\d$/, "").replaceAll("-", "").toUpperCase() === key;
  const found = [...document.querySelectorAll(rows)].filter(
    row => (apart(row).match(number) || []).some(isIts));
  const opened = found.length === 1 ? (open ? found[0].querySelector(open) : found[0]) : null;
  if (!opened) return false;
  opened.click();
  return true;
}"""
IS_ABSENT = """([absent, parcel]) => {
  const search = document.querySelector(absent);
  return !!search && ![...document.querySelectorAll(parcel)].some(one => !search.contains(one));
}"""
TEXT = "() => document.body ? document.body.innerText : ''"


def link_of(layout: PageLayout, tab: str) -> list[Any]:
    """Return what OPEN_TAB is given of a tab: the selector of all, its place, its texts in lower case."""
    return [layout.tabs, layout.places[tab], layout.texts_of(tab)]


def order_of(layout: PageLayout, key: str, tab: str | None, stale: str | None, is_opened: bool) -> list[Any]:
    """Return what FILLED is given of a parcel's tab, but for how long it must be quiet; without a tab, a link
    to the summary is enough.

    `stale`: the text of a grid that does not count; `is_opened`: what the search found does not either.
    """
    columns = None
    if tab is not None:
        columns = [
            {
                "names": [name.lower() for name in one.headings],
                "position": one.position,
                "kind": one.kind,
                "optional": one.optional,
            }
            for one in layout.columns[tab].values()
        ]
    page = {
        "grid": layout.grid,
        "parcel": layout.parcel,
        "key": key,
        "absent": layout.absent,
        "absentTexts": [] if is_opened else [text.lower() for text in layout.absent_texts],
        "absentAlone": layout.absent_alone and not is_opened,
        "rows": None if is_opened or layout.results is None else layout.results.rows,
    }
    none = [] if tab is None else [text.lower() for text in layout.none[tab]]
    return [page, columns, link_of(layout, "summary"), none, stale]
