"""Every golden folder, read by its parser: tests/helpers/golden.py."""

import datetime as dt
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from maricopa_scrapy.configuration import load
from maricopa_scrapy.items import Detail
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.page_layout import Layout
from maricopa_scrapy.sources.assessor import parcel, public_page
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets
from maricopa_scrapy.sources.bulk.affidavits import NAME, SALES_AFFIDAVITS
from maricopa_scrapy.sources.bulk.file_check import batches, decoded, scan
from maricopa_scrapy.sources.bulk.file_layout import column_issues
from maricopa_scrapy.sources.bulk.file_lines import FILES, Repeats, parse_lines
from maricopa_scrapy.sources.gis import layer as gis
from maricopa_scrapy.sources.treasurer import page as treasurer_page
from maricopa_scrapy.sources.treasurer.tabs import Tabs, kept, pack
from tests.helpers.golden import Case, cases, check, outcome, parsers
from tests.helpers.treasurer_skins import PAGES, layout

_, MANIFESTS = load()
TREASURER = "https://treasurer.maricopa.gov/PropertyTaxInformation/"
LINKS = {
    "TreasurersTransitionUrl": TREASURER,
    "DeedTransitionUrl": "https://recorder.maricopa.gov/recording/document-details.html",
    "McrTransitionUrl": "https://recorder.maricopa.gov/recording/map-results.html",
}


def _public_page(case: Case, body: bytes) -> object:
    labels = MANIFESTS["assessor_page"].labels
    assert labels is not None
    layout = public_page.Layout(**dict(labels))
    return public_page.parse_page(body, case.key, layout, TREASURER + "?Parcel={apn}")


def _shape(case: Case) -> gis.Shape:
    one = MANIFESTS["gis"].layers[case.key]
    return gis.Shape(case.key, one.days, one.columns, one.optional, one.ignored)


def _features(case: Case, body: bytes) -> object:
    asked = {"object_id": "OBJECTID"} | case.asked
    return gis.parse_features(body, _shape(case), **asked)


def _extent(case: Case, body: bytes) -> object:
    return gis.parse_extent(body, case.key, 2000, dt.datetime(2026, 1, 2, tzinfo=dt.UTC), Detail())


def _file(case: Case, body: bytes) -> object:
    """Read a file as a load does, without its tables."""
    shape = {**FILES, NAME: SALES_AFFIDAVITS}[case.key]
    (path,) = case.files
    found = scan(path, shape)
    repeats = Repeats(shape, found.again)
    ((member, layout),) = found.members
    with member.open() as file:
        read = [
            parse_lines(decoded(batch.lines), shape, member.place, batch.first, layout, repeats)
            for batch in batches(file, layout.is_headed)
        ]
    return {"lines": read, "issues": column_issues(shape, layout, found.misfits, found.lines)}


def _layout(case: Case) -> Layout:
    return layout(**PAGES[case.asked.get("skin", "plain")])


def _treasurer_page(case: Case, body: bytes) -> object:
    return treasurer_page.parse_page(body, case.key, _layout(case))


def _treasurer_tab(case: Case, body: bytes) -> object:
    (file,) = case.files
    return treasurer_page.parse_tab(file.stem, body.decode(), case.key, _layout(case))


# Of parsers that are told more than the answer and what was asked for.
READERS: dict[str, Callable[[Case, bytes], object]] = {
    "assessor/page": _public_page,
    "assessor/parcel": lambda case, body: parcel.parse_parcel(body, case.key, LINKS),
    "bulk/lines": _file,
    "gis/extent": _extent,
    "gis/features": _features,
    "gis/layer": lambda case, body: gis.parse_layer(body, _shape(case)),
    "parsing/body": lambda case, body: decode(body),
    "treasurer/page": _treasurer_page,
    "treasurer/tab": _treasurer_tab,
}
# Of an answer that is kept without telephone numbers, sketches or the site's token.
KEPT: dict[str, Callable[[bytes], bytes]] = {
    "assessor/page": without_secrets,
    "assessor/parcel": parcel.redact,
    "assessor/search": parcel.redact,
    "treasurer/page": kept,
    "treasurer/tab": kept,
}
CASES = cases()


def _body(case: Case) -> bytes:
    """Return a case's answer; the tabs of a page are kept as one."""
    if case.parser != "treasurer/page":
        return case.body
    # As they are opened: the summary first.
    html = {file.stem: file.read_text() for file in reversed(case.files)}
    kind = next((kind for kind in html if kind in ("absent", "shell")), "parcel")
    return pack(Tabs(kind, html, 2, case.asked.get("address", "")))  # type: ignore[arg-type]


def _plainly(case: Case, body: bytes) -> object:
    parser = parsers()[case.parser]
    needed = [one for one in inspect.signature(parser).parameters.values() if one.default is one.empty]
    return parser(body, case.key) if len(needed) > 1 else parser(body)


def _read(case: Case, body: bytes) -> bytes:
    return outcome(lambda: READERS.get(case.parser, _plainly)(case, body))


def test_each_folder_is_of_a_parser() -> None:
    assert {case.parser for case in CASES} == parsers().keys() | {"parsing/body"}
    assert READERS.keys() < {case.parser for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_is_read_as_its_file_says(case: Case) -> None:
    check(case, _read(case, _body(case)))


@pytest.mark.parametrize("case", [case for case in CASES if case.parser in KEPT], ids=lambda case: case.name)
def test_what_is_kept_of_an_answer_reads_the_same(case: Case) -> None:
    kept_body = KEPT[case.parser](_body(case))
    found = _read(case, kept_body)
    check(case, found)
    assert b"555-01" not in kept_body + found


@pytest.fixture
def case(tmp_path: Path) -> Case:
    folder = tmp_path / "office" / "parser" / "90101001-situation"
    folder.mkdir(parents=True)
    return Case(folder)


def test_the_first_run_writes_the_expected_file_and_fails(case: Case) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"expected\.json was missing and is written: review it"):
        check(case, outcome(lambda: {"apn": case.key}))
    assert (case.folder / "expected.json").read_text() == '{\n  "apn": "90101001"\n}\n'
    check(case, outcome(lambda: {"apn": case.key}))
    assert not case.is_refused


def test_a_difference_is_shown_line_by_line(case: Case) -> None:
    (case.folder / "expected.json").write_bytes(outcome(lambda: {"apn": "1", "lot": 7}))
    with pytest.raises(pytest.fail.Exception) as failed:
        check(case, outcome(lambda: {"apn": "1", "lot": 8}))
    assert '-  "lot": 7\n+  "lot": 8' in str(failed.value)


def test_what_is_refused_is_named_with_its_cause(case: Case) -> None:
    (case.folder / "expected.json").write_bytes(outcome(lambda: decode(b"null")))
    assert case.is_refused
    assert b'"cause": "not_found"' in outcome(lambda: decode(b"null"))
