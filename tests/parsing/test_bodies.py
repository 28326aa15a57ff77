"""A body as JSON, whatever stands before it, and whatever is said twice in it."""

import pytest

from maricopa_scrapy.pace.refusals import begins
from maricopa_scrapy.parsing.bodies import decode
from maricopa_scrapy.parsing.errors import Malformed, NotFound, PageError, Soft404
from maricopa_scrapy.parsing.redaction import redact

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "1"}',
        b' \n[1, "\xc3\xa9"]',
        b'{"a":"\\u0000b\\ud83d\\ude00"}',
        b'{"a":"\\ud800"}',
        b'"\xef\xbb\xbf inside"',
    ],
)
def test_a_byte_order_mark_is_passed_over(body: bytes) -> None:
    assert decode(MARK + body) == decode(MARK * 2 + body) == decode(body)
    assert begins(MARK + body) == begins(body) == body.lstrip()[:1]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", NotFound),
        (b" ", NotFound),
        (b"null", NotFound),
        (b"<html></html>", Soft404),
        (b"{", Malformed),
        (b"\xef\xbb{}", Malformed),
    ],
)
def test_what_is_no_answer_is_none_behind_a_mark(body: bytes, error: type[PageError]) -> None:
    for marked in (body, MARK + body):
        with pytest.raises(error):
            decode(marked)


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_the_mark_of_another_encoding_is_refused(mark: bytes) -> None:
    with pytest.raises(Malformed):
        decode(mark + '{"a": 1}'.encode("utf-16-le"))


def test_a_capture_keeps_the_mark_and_loses_what_it_should() -> None:
    body = b'{"Sketch":"AAAA","OwnerPhone":"602-555-0142","a":{"PhoneNumber":1,"Phone":"x"}}'
    assert redact(MARK + body) == MARK + redact(body)
    assert b"555" not in redact(MARK + body)


def test_of_a_key_that_comes_twice_the_last_one_counts_and_no_telephone_number_is_kept() -> None:
    body = b'{"APN":"1","Phone":"602-555-0142","APN":"2","Phone":"602-555-0143","a":[{"b":1,"b":2}]}'
    assert decode(body) == {"APN": "2", "Phone": "602-555-0143", "a": [{"b": 2}]}
    assert b"555" not in redact(body)
