"""Captures without sketches and telephone numbers, every other byte as it was."""

import base64
import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maricopa_scrapy.parsing.redaction import sketch_digest
from maricopa_scrapy.sources.assessor.parcel import redact, without_phones, without_sketches

PNG = b"\x89PNG\r\n" + bytes(range(200, 256))
TEXT = base64.b64encode(PNG)
KEPT = b'{"sha256":"%b","length":%d}' % (hashlib.sha256(PNG).hexdigest().encode(), len(TEXT))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"Sketch":"%b","APN":"1"}' % TEXT, b'{"Sketch":%b,"APN":"1"}' % KEPT),
        (b'{"Sketch":"%b"}' % TEXT.replace(b"/", b"\\/"), b'{"Sketch":%b}' % KEPT),
        (
            b'[{"Sketch" :\n "%b"},{"Sketch":"%b"}]' % (TEXT, TEXT),
            b'[{"Sketch" :\n %b},{"Sketch":%b}]' % (KEPT, KEPT),
        ),
        *(
            (same, same)
            for same in (
                b'{"Sketch":null}',
                b'{"Sketch":""}',
                b'{"Sketch":"not base64!"}',
                b'{"Sketch":"AAA"}',
                b'{"Sketch":"AB=="}',
                b'{"a":"Sketch","b":"AAAA"}',
                b'{"a":"\\"Sketch\\":\\"AAAA\\""}',
                b'{"Sketches":"AAAA"}',
                b'{"Sketch":"AAAA',
                b'{"Sketch"',
                b'{"a\\"Sketch":"AAAA"}',
                b"",
                b"\xff\x00",
                KEPT,
                b'{"Sketch":%b}' % KEPT,
                b'{"sketch":"AAAA"}',
            )
        ),
    ],
)
def test_sketches(body: bytes, expected: bytes) -> None:
    assert without_sketches(body) == expected
    assert without_sketches(expected) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"Phone":"602","b":1}', b'{"Phone":null,"b":1}'),
        (b'{ "HomePHONE2" : "6\\"0\\\\" , "b":"phone"}', b'{ "HomePHONE2" : null , "b":"phone"}'),
        (b'{"phone":6025550101}', b'{"phone":null}'),
        (b'{"phones":[{"Home":"1]"},"2"],"x":"1"}', b'{"phones":null,"x":"1"}'),
        (b'{"phones":{"phone":"}","b":{}},"phone":"1"}', b'{"phones":null,"phone":null}'),
        (b'{"a":{"Phone":""},"b":{"TELEPHONE":"\\u0030"}}', b'{"a":{"Phone":null},"b":{"TELEPHONE":null}}'),
        (b'{"\\u0050hone":"602"}', b'{"\\u0050hone":null}'),
        (b'{"a\\"phone":"602"}', b'{"a\\"phone":null}'),
        (b'{"Phone":"602-555', b'{"Phone":null'),
        (b'{"Phone":"602\\', b'{"Phone":null'),
        (b'{"Phone":["602', b'{"Phone":null'),
        *(
            (same, same)
            for same in (
                b'{"Owner":"SAXOPHONE LLC: \\"phone\\":\\"602\\""}',
                b'{"a":["phone","602"]}',
                b'{"Phone":null}',
                b'{"HasPhone":true}',
                b'{"Phone":',
                b'{"Phone"',
                b"phone",
                b'"phone',
                b'"phone"',
                b'"phone":',
                b"",
                b'{"\\u0041":"1"}',
                b"\xff\xfephone\\",
            )
        ),
    ],
)
def test_phones(body: bytes, expected: bytes) -> None:
    assert without_phones(body) == expected
    assert without_phones(expected) == expected


def test_each_part_can_be_kept() -> None:
    body = b'{"Sketch":"AAAA","Phone":"1"}'
    assert redact(body, sketches=False) == b'{"Sketch":"AAAA","Phone":null}'
    assert redact(body, sketches=False, phones=False) is body


_KEYS = st.one_of(
    st.sampled_from(["Sketch", "Phone", "agentPHONE", 'a"phone', "\\phone", "x"]), st.text(max_size=5)
)
_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(0, 99),
        st.text(max_size=9),
        st.just(TEXT.decode()),
        st.just('"phone":"1"'),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, st.booleans())
def test_any_json_keeps_all_but_sketches_and_phones(value: object, php: bool) -> None:
    body = orjson.dumps(value)
    if php:
        body = body.replace(b"/", b"\\/").replace(b"hone", b"\\u0068one")
    assert orjson.loads(redact(body)) == _redacted(orjson.loads(body))


def _redacted(value: object) -> object:
    if isinstance(value, list):
        return [_redacted(part) for part in value]
    if not isinstance(value, dict):
        return value
    kept: dict[Any, object] = {}
    for key, part in value.items():
        if "phone" in key.lower():
            kept[key] = part if isinstance(part, bool) else None
        elif key == "Sketch" and isinstance(part, str) and part and (digest := sketch_digest(part)):
            kept[key] = {"sha256": digest[0], "length": digest[1]}
        else:
            kept[key] = _redacted(part)
    return kept


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text('"\\:{}[],phoneSktc /', max_size=60).map(str.encode))
def test_bytes_of_any_kind_pass(body: bytes) -> None:
    assert isinstance(redact(body), bytes)


@pytest.mark.parametrize("piece", [b"phone", b'\\"', b'"phone":', b'"Sketch":"', b'"phone":[', b"\\u0070"])
def test_time_grows_with_length_only(piece: bytes) -> None:
    redact(b'"' + piece * 20_000)
