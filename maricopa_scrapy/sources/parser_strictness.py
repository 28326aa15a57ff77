"""What each parser may refuse: the three tiers of docs/sources.md, from the parsers' own constants (`make
docs`).
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from maricopa_scrapy.sources.assessor import parcel, parcel_fields, public_page
from maricopa_scrapy.sources.bulk import file_lines
from maricopa_scrapy.sources.bulk.affidavits import NAME, SALES_AFFIDAVITS
from maricopa_scrapy.sources.gis.layer import COLUMNS
from maricopa_scrapy.sources.recorder import document, legacy_pages, search

BEGIN, END = "<!-- tiers: written by `make docs` -->\n", "<!-- end of tiers -->\n"
_HEAD = """
| answer | identity | sections |
|---|---|---|
"""
_KEYS = {
    "parcel": (parcel_fields.PARCEL, parcel_fields.GEO),
    "owner": (parcel_fields.OWNER,),
    "valuation": (parcel_fields.VALUATION,),
    "residence": (parcel_fields.RESIDENCE, parcel_fields.PARKING_DETAILS),
    "improvement": (parcel_fields.IMPROVEMENT,),
    "rental": (parcel_fields.RENTAL,),
    "related": (
        parcel_fields.ASSOCIATED, parcel_fields.LINKS, parcel_fields.SIMILAR_PARCEL, parcel_fields.MAP_FILES,
        parcel_fields.MAP_FILE, parcel_fields.SKETCHES, parcel_fields.SKETCH,
    ),
}  # fmt: skip


def tiers() -> str:
    """Return the table as Markdown."""
    return _HEAD + "".join(
        f"| {answer} | {_coded(identity)} | {sections} |\n" for answer, identity, sections in _rows()
    )


def written(text: str) -> str:
    """Return a page with the table anew between its marks. Raises ValueError where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the table of tiers")
    return before + BEGIN + tiers() + END + after


def _rows() -> Iterator[tuple[str, Iterable[str], str]]:
    keys = (f"`{name}` ({sum(len(shape.keys) for shape in _KEYS[name])} keys)" for name in parcel.SECTIONS)
    yield "assessor, `/parcel/{apn}`", parcel.IDENTITY, ", ".join(keys)
    columns = (f"`{name}` ({', '.join(of)})" for name, of in public_page.SECTIONS.items())
    yield "assessor, public page", public_page.IDENTITY, "; ".join(columns)
    yield "recorder, a document", document.IDENTITY, _coded(document.SECTIONS)
    yield "recorder, a page of a search", search.IDENTITY, _coded(search.SECTIONS)
    yield "recorder, legacy pages", legacy_pages.IDENTITY, _coded(legacy_pages.SECTIONS)
    yield (
        "GIS, a page of a layer",
        ("row id", "APN"),
        f"each of {len(COLUMNS) - 2} fields (`parcel.<field>`), `outline`",
    )
    for name, shape in {**file_lines.FILES, NAME: SALES_AFFIDAVITS}.items():
        known_by = [shape.columns[at] for at in shape.key]
        yield (
            f"bulk file `{name}`",
            known_by,
            f"each of {len(shape.columns) - len(known_by)} columns (`{name}.<column>`)",
        )
    yield "treasurer, a parcel", ("page.identity",), "one: account, bills and payments together"


def _coded(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
