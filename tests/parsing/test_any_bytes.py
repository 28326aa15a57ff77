"""Whatever the bytes, for every parser: a named error, or records that the body tells. `make fuzz` is the
long form.
"""

import datetime as dt
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.items import Detail
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import Malformed, SourceChanged
from maricopa_scrapy.parsing.shapes import json_part
from maricopa_scrapy.sources.assessor.public_page import parse_page as parse_public_page
from maricopa_scrapy.sources.gis import layer
from maricopa_scrapy.sources.gis.geometry import geojson
from maricopa_scrapy.sources.recorder import search
from maricopa_scrapy.sources.recorder.legacy_pages import parse_legacy_document, parse_legacy_list
from maricopa_scrapy.sources.treasurer.page import parse_page
from tests.fuzz import run
from tests.fuzz.page import LAYOUT
from tests.fuzz.treasurer import LAYOUT as TABS
from tests.fuzz.treasurer import _summary as packed

BYTES = (
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"x"',
    b"false",
    b"[1]",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"NaN",
    b'{"a":NaN}',
    b"[" * 100_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"1" * 5000,
    b'{"TOTAL":' + b"9" * 5000 + b"}",
    b'{"MCR":1e999}',
    b'{"MCR":"\\ud800"}',
    b'"\\ud83d\\ude00"',
    b'{"\\udfff":"\\u0000"}',
    b"<html></html>",
    b"\n <!DOCTYPE html>",
    b"{",
    b'{"a":1}x',
    b"\0",
    b'{"Sketches":{"Pages":[{"APN":5}]}}',
    b'{"Sketches":[1],"TreasurersTransitionUrl":7}',
    b'{"TreasurersTransitionUrl":"http://[?parcel=%ff"}',
    b'{"error":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"error":{"message":' + b"[" * 900 + b"]" * 900 + b"}}",
)
SEEDED = sorted(run.subjects())


@pytest.mark.parametrize("name", SEEDED)
def test_seeds_are_read_and_told_by_their_bodies(name: str) -> None:
    subject, tally = run.subjects()[name], run.Tally()
    for body, key in subject.seeds:
        run.attempt(subject, body, key, "unchanged", tally)
    assert tally.records == len(subject.seeds) > 0
    for body in BYTES:
        run.attempt(subject, body, subject.seeds[0][1], "other bytes", tally)


@pytest.mark.parametrize("name", SEEDED)
def test_a_mutated_body_gives_a_named_error_or_what_it_tells(name: str) -> None:
    tally = run.tries(name, 0, 60)
    assert tally.records + tally.errors.total() == 60


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDED), st.randoms(use_true_random=False))
def test_so_does_any_other(name: str, rng: Random) -> None:
    run.once(run.subjects()[name], rng, run.Tally())


# What the fuzzer found.


@pytest.mark.parametrize(
    "name", ["recorder legacy list", "recorder legacy document", "treasurer summary", "assessor public page"]
)
def test_a_page_that_was_cut_is_no_shorter_page(name: str) -> None:
    subject = run.subjects()[name]
    body, key = subject.seeds[0]
    for place in (len(body) // 2, body.rindex(b"</html")):
        with pytest.raises((Malformed, SourceChanged)):
            subject.parse(body[:place], key)
    with pytest.raises(Malformed):
        subject.parse(body[: body.rindex(b"</html")], key)


PAGES = [
    "recorder legacy list",
    "recorder legacy document",
    "treasurer summary",
    "treasurer payments",
    "assessor public page",
]


def _middle(body: bytes) -> int:
    return body.index(b">", len(body) // 2) + 1


def _cut(body: bytes) -> bytes:
    return body[: body.rindex(b"</html")]


# Of a page, and another one.
NO_PAGE: dict[str, Callable[[bytes, bytes], bytes]] = {
    "an end in its middle": lambda body, _: body[: _middle(body)] + b"</html>" + body[_middle(body) :],
    "a letter behind its end": lambda body, _: body + b"x",
    # Is something, too.
    "what a browser puts for bytes that are none": lambda body, _: body + "\ufffd".encode(),
    "twice": lambda body, _: body + body,
    "another behind it": lambda body, other: body + other,
    "without its end, and again": lambda body, _: _cut(body) + body,
    "its end in a comment": lambda body, _: _cut(body) + b"<!-- </html> -->",
    "without its end, its beginning hidden": lambda body, _: (
        _cut(body).replace(b"<html", b"<\0html").replace(b"<!doctype", b"").replace(b"<!DOCTYPE", b"")
    ),
}


@pytest.mark.parametrize("how", NO_PAGE)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_goes_on_behind_its_end_and_two_pages_in_one_are_no_page(name: str, how: str) -> None:
    subject = run.subjects()[name]
    body, key = subject.seeds[0]
    with pytest.raises(Malformed):
        subject.parse(NO_PAGE[how](body, subject.seeds[-1][0]), key)


@pytest.mark.parametrize("name", PAGES)
def test_what_shows_nothing_may_stand_behind_a_page(name: str) -> None:
    subject = run.subjects()[name]
    body, key = subject.seeds[0]
    whole = body + b"\n<!-- </html> of host 7 -->\n<script>'<html>'</script>\n"
    assert subject.parse(whole, key) == subject.parse(body, key)


def test_a_legacy_page_in_another_encoding_is_not_guessed_at() -> None:
    body, number = run.subjects()["recorder legacy document"].seeds[0]
    with pytest.raises(Malformed, match="UTF-8"):
        parse_legacy_document(body.replace(b"</span>", b"JOS\xc9</span>", 1), number)


def test_a_legacy_list_without_any_row() -> None:
    with pytest.raises(SourceChanged):
        parse_legacy_list(b'<html><body><table id="ctl00_ContentPlaceHolder1_Grid1"></table></body></html>')


def test_an_attribute_with_a_control_character_is_no_crash() -> None:
    subject = run.subjects()["assessor public page"]
    body, apn = subject.seeds[0]
    assert (
        parse_public_page(
            body.replace(b'class="col-12 col-md-9 td-body"', b'cl\x01ss="td-body"', 1), apn, LAYOUT
        ).record
        is not None
    )


@pytest.mark.parametrize("suffix", [["A", "B"], "AB", "a", "-"])
def test_a_recording_number_has_one_letter_at_most(suffix: object) -> None:
    row = (
        b'{"names":"X","recordingNumber":20010849180,"recordingSuffix":%s,"recordingDate":"9-14-2001","documentCode":"W'
        b' DEED",'
    )
    row += b'"docketBook":"","pageMap":""}'
    text = str(suffix).replace("'", '"').encode() if isinstance(suffix, list) else f'"{suffix}"'.encode()
    with pytest.raises(SourceChanged):
        search.parse_search(b'{"searchResults":[%s],"totalResults":1}' % (row % text))


@pytest.mark.parametrize(
    "ring",
    [["12", "34", "56", "12"], [["1", 2], [3, 4], [5, 6], ["1", 2]], [[True, 2], [3, 4], [5, 6], [True, 2]]],
)
def test_corners_are_numbers(ring: object) -> None:
    with pytest.raises(SourceChanged):
        geojson({"rings": [ring]})


def test_a_nested_number_that_was_rounded_is_not_stored() -> None:
    with pytest.raises(SourceChanged, match="64 bits"):
        json_part(decode(b'[{"a": 2012872108250673151438764370}]'), "Zoning")
    assert json_part(decode(b"[9223372036854775807, 1.5]"), "Zoning") == [9223372036854775807, 1.5]


def test_an_extent_says_all_three_numbers() -> None:
    for values in (
        b'{"last_id":9,"row_count":8}',
        b'{"first_id":true,"last_id":9,"row_count":8}',
        b'{"first_id":1,"last_id":1e30,"row_count":8}',
    ):
        with pytest.raises(SourceChanged):
            layer.parse_extent(
                b'{"features":[{"attributes":%s}]}' % values, "E", 2000, dt.datetime.now(dt.UTC), Detail()
            )
    with pytest.raises(Malformed):
        layer.parse_count(b'{"count":-1}')


def test_money_and_days_of_the_treasurer_are_ascii() -> None:
    body, apn = run.subjects()["treasurer summary"].seeds[0]
    with pytest.raises(SourceChanged):
        parse_page(
            packed(
                body.replace(b".00<", "٠.00<".encode(), 1)
                if b".00<" in body
                else body.replace(b"$", "$١".encode(), 1)
            ),
            apn,
            TABS,
        )
