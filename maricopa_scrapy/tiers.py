"""What each parser may refuse: the three tiers of docs/sources.md, from the parsers' own constants (`make docs`)."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from maricopa_scrapy.pages import assessor, assessor_page, assessor_shapes, bulk_files, recorder, recorder_legacy, recorder_search
from maricopa_scrapy.pages.affidavits import NAME, SALES_AFFIDAVITS
from maricopa_scrapy.pages.gis import COLUMNS

BEGIN, END = "<!-- tiers: written by `make docs` -->\n", "<!-- end of tiers -->\n"
_HEAD = """
| answer | identity | sections |
|---|---|---|
"""
_KEYS = {
    "parcel": (assessor_shapes.PARCEL, assessor_shapes.GEO),
    "owner": (assessor_shapes.OWNER,),
    "valuation": (assessor_shapes.VALUATION,),
    "residence": (assessor_shapes.RESIDENCE, assessor_shapes.PARKING_DETAILS),
    "improvement": (assessor_shapes.IMPROVEMENT,),
    "rental": (assessor_shapes.RENTAL,),
    "related": (
        assessor_shapes.ASSOCIATED, assessor_shapes.LINKS, assessor_shapes.SIMILAR_PARCEL, assessor_shapes.MAP_FILES,
        assessor_shapes.MAP_FILE, assessor_shapes.SKETCHES, assessor_shapes.SKETCH,
    ),
}  # fmt: skip


def tiers() -> str:
    """Return the table as Markdown."""
    return _HEAD + "".join(f"| {answer} | {_coded(identity)} | {sections} |\n" for answer, identity, sections in _rows())


def written(text: str) -> str:
    """Return a page with the table anew between its marks. Raises ValueError where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the table of tiers")
    return before + BEGIN + tiers() + END + after


def _rows() -> Iterator[tuple[str, Iterable[str], str]]:
    keys = (f"`{name}` ({sum(len(shape.keys) for shape in _KEYS[name])} keys)" for name in assessor.SECTIONS)
    yield "assessor, `/parcel/{apn}`", assessor.IDENTITY, ", ".join(keys)
    columns = (f"`{name}` ({', '.join(of)})" for name, of in assessor_page.SECTIONS.items())
    yield "assessor, public page", assessor_page.IDENTITY, "; ".join(columns)
    yield "recorder, a document", recorder.IDENTITY, _coded(recorder.SECTIONS)
    yield "recorder, a page of a search", recorder_search.IDENTITY, _coded(recorder_search.SECTIONS)
    yield "recorder, legacy pages", recorder_legacy.IDENTITY, _coded(recorder_legacy.SECTIONS)
    yield "GIS, a page of a layer", ("row id", "APN"), f"each of {len(COLUMNS) - 2} fields (`parcel.<field>`), `outline`"
    for name, shape in {**bulk_files.FILES, NAME: SALES_AFFIDAVITS}.items():
        known_by = [shape.columns[at] for at in shape.key]
        yield f"bulk file `{name}`", known_by, f"each of {len(shape.columns) - len(known_by)} columns (`{name}.<column>`)"
    yield "treasurer, a parcel", ("page.identity",), "one: account, bills and payments together"


def _coded(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
