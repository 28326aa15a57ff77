"""`maricopa find`: anything that is stored, by words of it."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from maricopa_scrapy.cli.terminal import FORMATS, database, errors, fail, out, write_rows
from maricopa_scrapy.parsing.identifiers import format_apn

if TYPE_CHECKING:
    from maricopa_scrapy.records.find.search import Hit

_FORMATS = ("table", *FORMATS, "apns")
_COLUMNS = (
    "kind", "key", "apn", "owner", "address", "subdivision", "mailing_address", "deed_number", "price",
    "sold", "found_in", "table", "as_of",
)  # fmt: skip


def find(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="of a name, an address, a subdivision; an APN or a deed number in any notation"),
    ] = None,
    owner: Annotated[str, typer.Option(help="words of the owner; in sales of the buyer or seller")] = "",
    address: Annotated[str, typer.Option(help="words of the property's address")] = "",
    city: Annotated[str, typer.Option(help="the property's city")] = "",
    subdivision: Annotated[str, typer.Option(help="words of the subdivision")] = "",
    sold_since: Annotated[
        str, typer.Option(help="last sold in that year, month or later: 2025, 2025-01")
    ] = "",
    price: Annotated[str, typer.Option(help="of the last sale: 500000.., ..300000 or 100000..200000")] = "",
    limit: Annotated[int, typer.Option(min=0, help="how many hits at most; 0: all")] = 20,
    after: Annotated[str | None, typer.Option(help="go on behind this token of the page before")] = None,
    format_: Annotated[
        str, typer.Option("--format", help="table, csv, jsonl, or apns: a list for `maricopa run`")
    ] = "table",
) -> None:
    """Find parcels and documents by words of what is stored of them, in any order; best match first.

    A word of three letters or more stands for all that begin with it. Each hit says in which table it was
    found, and when that was last known to be so. Without any hit the neighbours of mistyped words are taken,
    and named. Owners whom the county withholds are found by APN or deed number alone. Exit code 1 without a
    hit. What else is understood: docs/finding.md.

    Example: maricopa find smith mcdowell
    Example: maricopa find --owner "progress residential" --city GILBERT --price 500000.. --format csv
    """
    from maricopa_scrapy.records.find.neighbours import neighbours
    from maricopa_scrapy.records.find.question import QuestionError, read, with_neighbours
    from maricopa_scrapy.records.find.search import search, take_in

    if format_ not in _FORMATS:
        raise fail(f"--format {format_}: there is {', '.join(_FORMATS)}")
    with database() as opened:
        try:
            question = read(
                opened, " ".join(words or []), owner, address, city, subdivision, sold_since, price
            )
            take_in(opened)
            # One more than is shown tells whether there are more.
            hits = islice(search(opened, question, after), limit + 1 if limit else None)
            first = next(hits, None)
            # Behind the last page there is nothing either, and nothing is mistyped.
            is_empty = first is None and (after is None or next(search(opened, question), None) is None)
            if is_empty and (taken := neighbours(opened, question)):
                question = with_neighbours(question, taken)
                hits = islice(search(opened, question, after), limit + 1 if limit else None)
                first = next(hits, None)
            if first is None:
                errors.print("nothing that is stored has all of that")
                raise typer.Exit(1)
        except QuestionError as error:
            raise fail(str(error)) from None
        for mistyped, taken_words in question.taken.items():
            errors.print(f"no word begins with {mistyped}; taken for it: {', '.join(taken_words)}")
        shown = _Shown(first, hits, limit)
        if format_ == "table":
            out.print(_table(shown))
        elif format_ == "apns":
            _print_apns(shown)
        else:
            write_rows(None, format_, _COLUMNS, ([getattr(hit, name) for name in _COLUMNS] for hit in shown))
    if shown.next_token:
        errors.print(f"there are more: --after {shown.next_token}")


class _Shown:
    """The hits of one page, each once. `next_token`: what the next page begins with, once all were taken."""

    def __init__(self, first: "Hit", rest: "Iterator[Hit]", limit: int) -> None:
        self._first, self._rest, self._limit = first, rest, limit
        self.next_token: str | None = None

    def __iter__(self) -> "Iterator[Hit]":
        last = self._first
        yield last
        for number, hit in enumerate(self._rest, start=1):
            if number == self._limit:
                self.next_token = last.after
                return
            last = hit
            yield hit


def _table(hits: "_Shown") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("parcel, document", no_wrap=True)
    for name in ("owner", "address", "found in"):
        table.add_column(name, overflow="fold")
    table.add_column("as of", no_wrap=True)
    for hit in hits:
        table.add_row(
            format_apn(hit.key) if hit.kind == "parcel" else hit.key,
            # A name in many parts would fill the screen; the other formats have all of it.
            Text(_short(hit.owner)),
            Text(_short(hit.address)),
            f"{hit.found_in}: {hit.table}",
            f"{hit.as_of:%Y-%m-%d}" if hit.as_of else "",
        )
    return table


def _short(text: str | None, most: int = 100) -> str:
    return "" if text is None else text if len(text) <= most else f"{text[: most - 1]}…"


def _print_apns(hits: "_Shown") -> None:
    without = 0
    printed: set[str] = set()
    for hit in hits:
        if hit.apn is None:
            without += 1
        elif hit.apn not in printed:
            printed.add(hit.apn)
            out.print(hit.apn)
    if without:
        errors.print(f"{without:,} documents are left out: no stored parcel has them as its deed")
