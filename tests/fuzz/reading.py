"""What a parser may make of a value, worked out apart from the parsers: with the standard library's JSON, and
by type.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lxml import etree

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Subject:
    """One parser: bodies that it reads, each with the key that is asked for, and the check of what it makes
    of a mutated one.

    `check(body, key, result)` raises AssertionError for a record that the body does not tell. `form` is json,
    html or lines.
    """

    name: str
    form: str
    seeds: list[tuple[bytes, str]]
    parse: Callable[[bytes, str], Any]
    check: Callable[[bytes, str, Any], None]


def said(body: bytes) -> Any:
    """Return a body's JSON value without NUL and lone surrogates, which no text of ours may hold, nor a byte
    order mark before it.
    """
    text = body.decode("utf-8-sig", "strict")
    try:
        value = json.loads(text)
    except ValueError:
        # An escaped NUL or lone surrogate is left out even between the parts of an object.
        value = json.loads(re.sub(r"\\u(0000|[dD][89a-fA-F]..)", "", text))
    return _clean(value) if b"\\u" in body else value


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return value


def storable(value: Any, nested: bool = False) -> None:
    """Assert that Postgres can hold a value."""
    if isinstance(value, str):
        assert "\0" not in value, "NUL"
        value.encode()
    elif isinstance(value, list | tuple):
        for one in value:
            storable(one, True)
    elif isinstance(value, dict):
        for key, one in value.items():
            storable(key)
            storable(one, True)
    elif isinstance(value, int) and not nested:
        assert -(2**63) <= value < 2**63, value
    elif isinstance(value, Decimal | float):
        assert value.is_finite() if isinstance(value, Decimal) else math.isfinite(value), "not finite"
    else:
        assert value is None or isinstance(value, bool | int | dt.date), type(value)


def nothing(value: Any) -> bool:
    """Whether a value of JSON says that there is none."""
    return value in (None, [], {}) or (isinstance(value, str) and value.strip().lower() in ("", "na"))


def same(value: Any, stored: Any) -> bool:
    """Whether what is stored is just what a value of JSON says."""
    if stored is None:
        return nothing(value)
    if isinstance(stored, bool):
        return value is stored or (isinstance(value, str) and value.strip() == ("Y" if stored else "N"))
    if isinstance(stored, dt.date):
        text = value.strip() if isinstance(value, str) else ""
        parts = re.fullmatch(r"([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{4})", text)
        return parts is not None and (int(parts[1]), int(parts[2]), int(parts[3])) == (
            stored.month,
            stored.day,
            stored.year,
        )
    if isinstance(stored, Decimal):
        return (
            not isinstance(value, bool)
            and isinstance(value, str | int | float)
            and Decimal(str(value).strip()) == stored
        )
    if isinstance(stored, int):
        if isinstance(value, str):
            return re.fullmatch("[0-9]{1,19}", value.strip()) is not None and int(value) == stored
        return type(value) in (int, float) and value == stored
    if isinstance(stored, str):
        return (type(value) is int and str(value) == stored) or (
            isinstance(value, str) and value.strip() == stored
        )
    return alike(value, stored)


def alike(value: Any, stored: Any) -> bool:
    """Whether a nested value is stored whole, but for telephone numbers and sketches."""
    if isinstance(value, dict) and isinstance(stored, dict):
        wanted = {key: one for key, one in value.items() if "phone" not in key.lower()}
        return wanted.keys() == stored.keys() and all(
            alike(one, stored[key])
            or (key == "Sketch" and isinstance(one, str) and set(stored[key]) == {"sha256", "length"})
            for key, one in wanted.items()
        )
    if isinstance(value, list) and isinstance(stored, list):
        return len(value) == len(stored) and all(map(alike, value, stored))
    return (type(value) is type(stored) and bool(value == stored)) or (
        type(value) in (int, float) and type(stored) in (int, float) and value == stored
    )


def at(raw: Any, path: str) -> Any:
    """Return the value at a dotted path; None where an object on the way is missing or empty."""
    for key in filter(None, path.split(".")):
        if not isinstance(raw, dict):
            return None
        raw = raw.get(key)
    return raw


def check_one_page(html: str) -> None:
    """Assert that a body is one page to its end, or an excerpt of one."""
    words = [
        word.lower()
        for word in re.findall(
            r"(?i)<html(?=[ >\n])|<!doctype|</html *>|[^\s]", _hidden_out(html.replace("\0", ""))
        )
    ]
    pages, ends = words.count("<html"), [at for at, word in enumerate(words) if word.startswith("</html")]
    assert pages < 2, "two pages"
    assert not ends or ends[0] == len(words) - 1, "a page that goes on behind its end"
    assert ends or not (pages or "<!doctype" in words), "a page that was cut"


def _hidden_out(html: str) -> str:
    for begin, end in (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>")):
        parts = re.split(re.escape(begin), html, flags=re.IGNORECASE)
        rest = [re.split(re.escape(end), part, maxsplit=1, flags=re.IGNORECASE) for part in parts[1:]]
        html = parts[0] + "".join(part[1] if len(part) > 1 else begin + part[0] for part in rest)
    return html


def tree(html: str) -> Any:
    """Return a page as a tree, without NUL, which no text of ours may hold."""
    return etree.fromstring(
        html.replace("\0", "").encode(), etree.HTMLParser(encoding="utf-8", huge_tree=True)
    )


def shown(element: Any) -> str:
    """Return all text inside an element, comments left out."""
    return " ".join(element.xpath(".//text()"))


def check_columns(raw: Any, record: Any, keys: dict[str, str], loose: Iterable[str] = ()) -> None:
    """Assert that each column of a record is what stands at its path; `loose` are those where 0 may be none
    or false 0.
    """
    for column, path in keys.items():
        stored, value = record[column], at(raw, path)
        storable(stored)
        zero = column in loose and (
            stored is None
            and not isinstance(value, bool)
            and str(value).strip() in ("0", "0.0", "-0.0", "00")
        )
        false = column in loose and stored == 0 and value is False
        assert zero or false or same(value, stored), f"{column}: {stored!r} of {value!r}"
