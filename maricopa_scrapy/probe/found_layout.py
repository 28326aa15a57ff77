"""The `page` of config/sources/treasurer.yaml that fits explored pages: what was found, by what, and what
only a person can say.
"""

import re
from collections.abc import Sequence
from typing import Any

from parsel import Selector

from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.probe import page_columns as columns
from maricopa_scrapy.probe import page_parts as parts
from maricopa_scrapy.probe.explore import Explored, Step
from maricopa_scrapy.probe.page_account import Found, find_account, find_identity
from maricopa_scrapy.probe.page_columns import STATUS_WORDS, Table
from maricopa_scrapy.sources.treasurer import page as treasurer
from maricopa_scrapy.sources.treasurer import tabs
from maricopa_scrapy.sources.treasurer.account import check_absent
from maricopa_scrapy.sources.treasurer.bill_status import status_by_words
from maricopa_scrapy.sources.treasurer.parcel_numbers import NUMBER, text_of

_TABS = ("summary", "payments")
# Telerik's own words of an empty grid stand there before data come: they are no answer.
_GENERIC_NONE = "no records available."
_SAYS_NONE = re.compile(r"\b(no|not|none|unable|cannot|invalid|unknown|without)\b", re.IGNORECASE)
_TEXT_MOST = 300
_KINDS = {
    "summary": {"tax_year": "year", "status": "status", "assessed": "money", "paid": "money",
    "interest": "money", "fees": "money",
                "amount_due": "money"},
    "payments": {"tax_year": "year", "description": "text", "amount": "signed_money", "paid_on": "date"},
}  # fmt: skip


def find_layout(parcels: Sequence[Explored], absent: Explored | None, known: dict[str, Any]) -> Found:
    """Return the `page` that fits parcels that exist and one that does not; `known` is the present one, whose
    values stay where nothing else was found.

    With a question nothing should be written: the pages cannot be read without a person's answer.
    """
    found = Found(dict(known) | {"version": int(known.get("version", 0)) + 1})
    shown = [one for one in parcels if one.first]
    if not shown:
        found.questions.append(
            "which parcel exists? None of those that were asked for was shown; name two with --apn"
        )
        return found
    _tabs(found, shown)
    if not found.questions:
        find_account(found, shown)
        find_identity(found, shown)
        _timing(found, shown)
        _results(found, shown)
        _absence(found, shown, absent)
    if not found.questions:
        confirm(found, shown, absent)
    return found


def confirm(found: Found, parcels: Sequence[Explored], absent: Explored | None) -> None:
    """Read the explored pages by the layout that was found, and ask what the parser asks."""
    try:
        layout = Layout.model_validate(
            {key: value for key, value in found.page.items() if key in Layout.model_fields}
        )
    except ValueError as error:
        found.questions.append(f"the layout that was found is not whole: {error}")
        return
    for one in parcels:
        try:
            treasurer.parse_page(packed(one, layout), one.apn, layout)
        except PageError as error:
            found.questions.append(_asked(error))
            return
    if absent is not None and absent.first:
        try:
            check_absent(absent.first, absent.apn, layout)
        except PageError as error:
            found.questions.append(_asked(error))


def packed(one: Explored, layout: Layout) -> bytes:
    """Return the explored tabs as the spider keeps them."""
    html = {tab: step.html for tab in _TABS if (step := step_of(one, layout, tab)) is not None}
    return tabs.pack(tabs.Tabs("parcel", html, layout.version, one.address if layout.keeps_address else ""))


def step_of(one: Explored, layout: Layout, tab: str) -> Step | None:
    """Return the step that showed a tab; None where it was not shown."""
    if tab == "summary" and layout.starts_with == "summary":
        return one.steps[0] if one.steps else None
    texts, place = layout.texts_of(tab), layout.places[tab]
    return next(
        (
            s
            for s in one.steps
            if s.place is not None and (s.tab.casefold() in texts if texts else s.place == place)
        ),
        None,
    )


def _asked(error: PageError) -> str:
    return error.ask or f"the page could not be read: {error}"


# Tabs and their grids.


def _tabs(found: Found, parcels: Sequence[Explored]) -> None:
    first = parcels[0]
    tables = _tables(parcels)
    steps = {
        "summary": next((key for key, (table, _) in tables.items() if columns.is_summary(table)), None),
        "payments": next((key for key, (table, _) in tables.items() if columns.is_payments(table)), None),
    }
    if steps["summary"] is None:
        found.questions.append(
            "which tab shows a bill of each year, with its status and what is billed, paid and due? None was"
            " found"
        )
        return
    if steps["payments"] is None:
        found.questions.append(
            "which tab shows the payments, with year, description, amount and day? None was found"
        )
        return
    if first.tabs is None:
        found.questions.append("how are the tabs of the page opened? page.tabs selects their links")
        return
    css = _grid_css(tables, [key for key in steps.values() if key is not None], found.page)
    if css is None:
        found.questions.append("what selects the grids of both tabs? page.grid")
        return
    found.page |= {
        "tabs": first.tabs.css,
        "grid": css,
        "starts_with": "summary" if steps["summary"][0] == "" else "other",
    }
    found.note("tabs", ", ".join(first.tabs.texts), first.tabs.css)
    found.note("grid", f"{css}, with years and money", css)
    found.page["places"] = {tab: _place(first, steps[tab] or ("", 0), tables, tab) for tab in _TABS}
    found.page["columns"] = {}
    for tab in _TABS:
        _columns(found, tab, tables[steps[tab] or ("", 0)][0])
    _none(found, parcels, steps)


def _tables(parcels: Sequence[Explored]) -> dict[tuple[str, int], tuple[Table, list[tuple[Selector, Any]]]]:
    """Return the tables of all parcels, by the tab's text and the grid's place in it, each with the elements
    that it was read from.
    """
    found: dict[tuple[str, int], tuple[Table, list[tuple[Selector, Any]]]] = {}
    for one in parcels:
        for step in one.steps:
            root = Selector(text=step.html, type="html")
            for number, grid in enumerate(parts.grids_in(root)):
                rows = parts.cells_of(grid)
                table, elements = found.setdefault((step.tab, number), (Table(parts.headings_of(grid)), []))
                elements.append((root, grid.root))
                if rows:
                    table.parcels.append(rows)
    return found


def _grid_css(
    tables: dict[Any, tuple[Table, list[tuple[Selector, Any]]]], keys: list[Any], page: dict[str, Any]
) -> str | None:
    pages = [one for key in keys for one in tables[key][1]]
    known = str(page.get("grid", ""))
    if known and all([element.root for element in root.css(known)] == [meant] for root, meant in pages):
        return known
    return parts.css_in_all(pages, lambda elements, meant: elements == [meant]) or parts.css_in_all(
        pages, lambda elements, meant: meant in elements
    )


def _place(one: Explored, key: tuple[str, int], tables: dict[Any, Any], tab: str) -> int | str:
    """Return a tab's text where it has one of its own, else its place."""
    assert one.tabs is not None
    text = key[0]
    if not text:
        # It was open at first: the tab that shows the same when it is clicked, else the first that was not
        # clicked.
        same = next((step for step in one.steps[1:] if _same_grid(one.steps[0], step)), None)
        text = same.tab if same else one.tabs.texts[0]
    if len(text) >= 3 and one.tabs.texts.count(text) == 1 and not NUMBER.search(text):
        return text
    return one.tabs.texts.index(text)


def _same_grid(first: Step, other: Step) -> bool:
    grids = [
        [text_of(grid) for grid in parts.grids_in(Selector(text=step.html, type="html"))]
        for step in (first, other)
    ]
    return bool(grids[0]) and grids[0] == grids[1]


def _columns(found: Found, tab: str, table: Table) -> None:
    if tab == "summary":
        at, sums = columns.summary_columns(table)
        if len(at) < 5 or sums == "wrong":
            found.questions.append(_wrong_sums(table, at))
            return
        if sums == "several":
            found.questions.append(
                "which td of the summary are billed, paid, interest and due? Their sums fit in more than"
                " one way"
            )
        _statuses(found, table, at)
    else:
        at = columns.payment_columns(table)
    section: dict[str, Any] = {}
    for column, kind in _KINDS[tab].items():
        if column in at:
            heading = table.heading(at[column])
            where = {"headings": [heading]} if heading else {"headings": [], "position": at[column]}
            section[column] = (
                where
                | {"kind": kind}
                | ({"optional": True} if column in ("interest", "fees") and heading else {})
            )
            found.note(
                f"{tab}.{column}", f"td {at[column]}" + (f", {heading!r}" if heading else ", no heading")
            )
        elif column == "interest":
            # Without headings nothing else can stand for a column that is not there.
            section[column] = {"headings": ["Interest"], "kind": kind, "optional": True}
    found.page["columns"][tab] = section


def _wrong_sums(table: Table, at: dict[str, int]) -> str:
    """Return the question of rows that do not add up, with the first of them."""
    wrong = table.rows[0]
    for rows in table.parcels if len(at) >= 5 else ():
        newest = max(int(row[at["tax_year"]]) for row in rows)
        wrong = next((row for row in rows if not columns.is_right(row, at, newest)), wrong)
    cells = ", ".join(
        f"{table.heading(place) or f'td {place}'} {wrong[place]!r}"
        for place in range(len(wrong))
        if wrong[place].strip("+ ")
    )
    return (
        "which columns of the summary are billed, paid, interest and due? No choice of them adds up in"
        f" {cells}. Which column is which belongs in page.columns.summary"
    )


def _statuses(found: Found, table: Table, at: dict[str, int]) -> None:
    known = {text.casefold(): ours for text, ours in dict(found.page.get("statuses", {})).items()}
    statuses: dict[str, str] = {}
    for row in table.rows:
        text = row[at["status"]]
        is_paid = not columns.money(row[at["amount_due"]])
        ours = (
            known.get(text.casefold()) or status_by_words(text, STATUS_WORDS) or ("paid" if is_paid else None)
        )
        if ours is None or (ours == "paid") != is_paid:
            found.questions.append(
                f"is a bill of the status {text!r} paid, unpaid, a lien or a state_lien? It belongs in"
                " page.statuses"
            )
            return
        statuses[text] = ours
    found.page["statuses"] = {
        text: ours for text, ours in dict(found.page.get("statuses", {})).items() if text not in statuses
    } | statuses
    found.page["status_words"] = {ours: list(words) for ours, words in STATUS_WORDS.items()}
    found.note("statuses", ", ".join(f"{text}: {ours}" for text, ours in statuses.items()))


def _none(found: Found, parcels: Sequence[Explored], steps: dict[str, tuple[str, int] | None]) -> None:
    none = {tab: list(found.page.get("none", {}).get(tab, ())) for tab in _TABS}
    for tab, key in steps.items():
        for one in parcels:
            for step in one.steps:
                if key is None or step.tab != key[0]:
                    continue
                for row in Selector(text=step.html, type="html").xpath("//tbody/tr[count(td) = 1]"):
                    text = text_of(row)
                    if _SAYS_NONE.search(text) and text.casefold() != _GENERIC_NONE and text not in none[tab]:
                        none[tab].append(text)
    found.page["none"] = none


# What a visit waits for, and how an unknown parcel shows.


def _timing(found: Found, parcels: Sequence[Explored]) -> None:
    gap = max(one.gap for one in parcels)
    if gap > 0.05:
        quiet = max(float(found.page.get("quiet", 0.1)), round(2 * gap + 0.1, 1))
        found.page |= {"quiet": quiet, "patience": max(float(found.page.get("patience", 1.0)), quiet)}
        found.note("quiet", f"rows came up to {gap:.2f} s apart")


def _results(found: Found, parcels: Sequence[Explored]) -> None:
    opened = next((one.opened for one in parcels if one.opened is not None), None)
    if opened is not None:
        found.page["results"] = {"rows": opened.rows, "open": opened.open}
        found.note(
            "results", f"a grid that lists the parcel, opened by {opened.open or 'its row'}", opened.rows
        )


def _absence(found: Found, parcels: Sequence[Explored], absent: Explored | None) -> None:
    shown = [Selector(text=step.html, type="html") for one in parcels for step in one.steps]
    if absent is None or not absent.first:
        _parcel(found, shown, None)
        return
    view = Selector(text=absent.first, type="html")
    rows = parts.results_in(view, absent.apn)
    if rows is not None and rows.place is None:
        found.page["results"] = {
            "rows": rows.rows,
            "open": (found.page.get("results") or {}).get("open") or rows.open,
        }
        found.note("unknown parcel", "a result grid without it", rows.rows)
    element = _absent_element(view, shown, str(found.page.get("absent", "")))
    if element is None:
        found.questions.append(
            "how does the page say that there is no such parcel? page.absent and page.absent_texts"
        )
        return
    css, text = element
    found.page["absent"] = css
    if rows is None:
        if not text or len(text) > _TEXT_MOST or NUMBER.search(text) or not _SAYS_NONE.search(text):
            found.page["absent_alone"] = True
            found.note("unknown parcel", f"the element {css} alone", css)
        else:
            texts = list(found.page.get("absent_texts", ()))
            found.page["absent_texts"] = texts if text in texts else [*texts, text]
            found.note("unknown parcel", repr(text), css)
    _parcel(found, shown, view)


def _absent_element(view: Selector, shown: Sequence[Selector], known: str) -> tuple[str, str] | None:
    """Return a selector of what only the view of an unknown parcel has, and its text."""
    if known and len(view.css(known)) == 1 and not any(root.css(known) for root in shown):
        return known, text_of(view.css(known)[0])
    candidates = [
        element
        for element in view.xpath("//body//*")
        if text_of(element) and not element.xpath("ancestor-or-self::script")
    ]
    # Innermost first: what says it, not what holds the whole page.
    said = [
        element
        for element in candidates
        if _SAYS_NONE.search(text_of(element)) and len(text_of(element)) <= _TEXT_MOST
    ]
    for element in [*sorted(said, key=lambda one: len(text_of(one))), *candidates]:
        for css in parts.css_of(element.root):
            if [one.root for one in view.css(css)] == [element.root] and not any(
                root.css(css) for root in shown
            ):
                return css, text_of(element)
    return None


def _parcel(found: Found, shown: Sequence[Selector], view: Selector | None) -> None:
    """Choose what is there when a parcel is, and not when there is none."""
    for css in (
        str(found.page.get("parcel", "")),
        str(found.page.get("account", "")),
        f"{found.page.get('grid')} td",
    ):
        if css and all(root.css(css) for root in shown) and not (view is not None and view.css(css)):
            found.page["parcel"] = css
            return
    found.questions.append(
        "what is on the page when a parcel is shown, and not when there is none? page.parcel"
    )
