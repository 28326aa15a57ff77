"""A body as JSON, whatever stands before it, and whatever is said twice in it."""

import pytest

from maricopa_scrapy.pace.answer_check import begins
from maricopa_scrapy.parsing.bodies import decode
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


def test_a_capture_keeps_the_mark_and_loses_what_it_should() -> None:
    body = b'{"Sketch":"AAAA","OwnerPhone":"602-555-0142","a":{"PhoneNumber":1,"Phone":"x"}}'
    assert redact(MARK + body) == MARK + redact(body)
    assert b"555" not in redact(MARK + body)


def test_of_a_key_that_comes_twice_no_telephone_number_is_kept() -> None:
    assert b"555" not in redact(b'{"Phone":"602-555-0142","APN":"2","Phone":"602-555-0143"}')
