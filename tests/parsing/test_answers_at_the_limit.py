"""Answers as long as a source may send, made to cost time: each is read or refused within 2 s of one
processor.
"""

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from scrapy.http import Request, Response

from maricopa_scrapy.configuration import load
from maricopa_scrapy.pace.answer_check import Refusal, check_json_answer, check_page_answer
from maricopa_scrapy.parsing.errors import PageError
from maricopa_scrapy.sources.assessor import parcel
from maricopa_scrapy.sources.assessor.public_page_secrets import without_secrets
from maricopa_scrapy.sources.treasurer import tabs
from tests.fuzz.run import subjects

MANIFESTS = load()[1]
# They take a second at most; the rest is for a slow or shared processor.
WITHIN_S = 4.0
_SOURCES = {
    "assessor public page": "assessor_page",
    "recorder legacy list": "recorder_legacy",
    "recorder legacy document": "recorder_legacy",
}


def _repeated(part: bytes, most: int) -> bytes:
    return part * (most // len(part))


def _keys(form: bytes) -> Callable[[bytes, int], bytes]:
    """The seed with unknown keys of a form at its top."""

    def make(seed: bytes, most: int) -> bytes:
        more = b",".join(form % number for number in range((most - len(seed)) // (len(form) + 8)))
        return b"{" + more + b"," + seed.lstrip()[1:]

    return make


def _in_place(key: str, part: bytes, begin: bytes, end: bytes) -> Callable[[bytes, int], bytes]:
    """The seed with a long value of a key at its top."""

    def make(seed: bytes, most: int) -> bytes:
        value = begin + _repeated(part, most - len(seed) - 100) + end
        return orjson.dumps({**orjson.loads(seed), key: "@@"}).replace(b'"@@"', value, 1)

    return make


def _whole(part: bytes) -> Callable[[bytes, int], bytes]:
    return lambda seed, most: _repeated(part, most)


def _before(tag: bytes, part: bytes) -> Callable[[bytes, int], bytes]:
    """The seed with much before its first tag of a kind."""

    def make(seed: bytes, most: int) -> bytes:
        assert tag in seed
        return seed.replace(tag, _repeated(part, most - len(seed)) + tag, 1)

    return make


_JSON: list[tuple[str, str, Callable[[bytes, int], bytes]]] = [
    ("assessor parcel", "unknown keys", _keys(b'"key%d":{}')),
    ("assessor parcel", "telephones", _keys(b'"phone%d":"1"')),
    ("assessor parcel", "one long text", _in_place("PropertyAddress", b"A B. ", b'"', b'"')),
    ("assessor parcel", "rows", _in_place("Improvements", b"{},", b"[", b"{}]")),
    ("assessor parcel", "brackets", _in_place("Geo", b"[", b"", b"]")),
    ("assessor search", "rows", _in_place("Results", b"{},", b"[", b"{}]")),
    ("assessor search", "numbers", _in_place("Results", b"1,", b"[", b"1]")),
    ("recorder document", "names", _in_place("names", b"{},", b"[", b"{}]")),
    ("recorder document", "NUL", _in_place("docketBook", b"\\u0000", b'"', b'"')),
    ("recorder document", "lone surrogates", _in_place("docketBook", b"\\ud800", b'"', b'"')),
    (
        "recorder search",
        "rows",
        _in_place("searchResults", b'{"recordingNumber":20240000001},', b"[", b"{}]"),
    ),
    ("recorder codes", "rows", lambda seed, most: b"[" + _repeated(b'{"docType":"WD"},', most - 10) + b"{}]"),
    ("gis features E", "rows", _in_place("features", b'{"attributes":{}},', b"[", b"{}]")),
    ("gis features E", "unknown keys", _keys(b'"key%d":[]')),
    ("gis ids", "ids", _in_place("objectIds", b"12345678,", b"[", b"1]")),
    ("recorder index", "titles", _whole(b"<title")),
    ("assessor parcel", "escapes", _whole(b"\\u0050hone")),
]
_HTML: list[tuple[str, str, Callable[[bytes, int], bytes]]] = [
    *(
        (name, part.decode(), _whole(part))
        for name in ("assessor public page", "recorder legacy document")
        for part in (b"<title", b"<script>", b"<script", b"<!--", b"<input ")
    ),
    ("assessor public page", "tokens", _before(b"<body", b"<input id=token value=abcdefghijklmno>")),
    ("assessor public page", "ids", _before(b"<body", b"<input " + b"id=" * 100 + b">")),
    ("assessor public page", "attributes", _before(b"<body", b"data-token")),
    ("recorder legacy list", "cells", _before(b"<body", b"<td>1")),
]


@pytest.mark.parametrize(
    ("name", "what", "make"), [*_JSON, *_HTML], ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_answer_at_the_limit_is_read_or_refused_within_two_seconds(
    name: str, what: str, make: Callable[[bytes, int], bytes]
) -> None:
    subject = subjects()[name]
    manifest = MANIFESTS[_SOURCES.get(name, name.split()[0])]
    seed, key = subject.seeds[0]
    body = make(seed, manifest.max_body)
    assert 0.7 * manifest.max_body < len(body) <= manifest.max_body + 1000
    is_page = subject.form == "html"
    headers = {"Content-Type": "text/html" if is_page else "application/json"}
    response = Response("http://x/", headers=headers, body=body, request=Request("http://x/"))
    begun = time.process_time()
    outcome: Any = None
    try:
        (check_page_answer if is_page else check_json_answer)(response, manifest.refusals)
        if manifest.source == "assessor":
            body = parcel.redact(body)
        elif manifest.source == "assessor_page":
            body = without_secrets(body)
        outcome = subject.parse(body, key)
    except (Refusal, PageError) as error:
        outcome = error
    assert time.process_time() - begun < WITHIN_S, outcome


@pytest.mark.parametrize("part", ["<script>", "<svg", "<!--", "(602) 555-", "tel:1 "])
def test_a_page_that_a_browser_shows_is_cleaned_within_two_seconds(part: str) -> None:
    begun = time.process_time()
    tabs.keep(part * (MANIFESTS["treasurer"].max_body // len(part)))
    assert time.process_time() - begun < WITHIN_S
