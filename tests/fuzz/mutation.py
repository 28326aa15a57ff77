"""Mutations of a body: truncated, retyped, reordered, injected, said twice, in another encoding, nested,
huge, NaN, null.
"""

import copy
import json
import re
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    -0.5,
    1e15,
    1e300,
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    10**23,
    "",
    " ",
    "na",
    "NA",
    "n/a",
    "x",
    "5",
    "-5",
    "5.0",
    "1e3",
    "1_0",
    "+5",
    "1" * 25,
    "٣",
    "５",
    "x\0y",
    "\ud800",
    "\u2028",
    "é",
    "$1",
    "$1,23",
    "1,2,3",
    [],
    {},
    [1],
    ["x"],
    {"a": 1},
    [[]],
    [{}],
    [None],
    "2024-01-01",
    "13/45/2020",
    "2/30/2020",
    "01/02/2020",
    "90101001",
    "901-01-001",
    "20130183449",
    "AAAA",
    "A",
    "AB",
    {"sha256": "0" * 64, "length": 4},
    "<b>x</b>",
    "'; DROP TABLE x; --",
    float("nan"),
    float("inf"),
)
TEXTS = (
    *(one for one in ODD if isinstance(one, str)),
    "$5.00",
    "$1,234.56",
    "1/2/2020",
    "Paid",
    "Unpaid",
    "123-45-678",
    "x" * 5000,
)
_PARTS = (
    b'"',
    b"\\",
    b"{",
    b"]",
    b"\0",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    b",",
    b"9" * 30,
    b"null",
    b"NaN",
    b"-",
    b"e9",
    b"\xff",
    b"1",
)
_TAGS = (
    b"<",
    b"</td>",
    b"</tr>",
    b"<script>",
    b"<!--",
    b"&#0;",
    b"&lt;b&gt;",
    b"\0",
    b"\xff",
    b"<h1>101-01-001</h1>",
    b"<td>7</td>",
    b"</html>",
    b"<table><tr><td>1</td></tr></table>",
    b"<![CDATA[",
    b"<div>" * 3000,
    b"&" * 50,
    b"<p>",
    b"<h3>Parcel 101-01-001</h3>",
    b"</div>",
)
_TEXT_NODE = re.compile(rb">([^<>]+)<")
_ATTRIBUTE = re.compile(rb'(?:value|id|class|href)="([^"]*)"')
_TAG = re.compile(rb"<[^<>]+>")
_ELEMENT = re.compile(
    rb"<(tr|td|th|div|span|h1|h3|p|option|input)\b[^>]*>(?:[^<]*</\1>|.*?</\1>)?", re.DOTALL
)


class _Again(str):
    """A key that is not the same as its twin, so that an object can have it twice."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def mutate(rng: Random, body: bytes, form: str) -> tuple[str, bytes]:
    """Return the name of what was done, and the body; `form` is json, html or lines. One to three things are
    done.
    """
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name, body = _once(rng, body, form)
        names.append(name)
    return "+".join(names), body


def _once(rng: Random, body: bytes, form: str) -> tuple[str, bytes]:
    if form == "lines":
        return _line(rng, body)
    if rng.random() < 0.18:
        return _bytes(rng, body)
    return _html(rng, body) if form == "html" else _json(rng, body)


def _bytes(rng: Random, body: bytes) -> tuple[str, bytes]:
    at = rng.randrange(len(body) + 1)
    match rng.randrange(7):
        case 0:
            return "truncate", body[:at]
        case 1:
            return "splice", body[:at] + rng.choice(_PARTS) + body[at + rng.randrange(3) :]
        case 2:
            return "flip", body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
        case 3:
            return "repeat", body[: at + rng.randrange(40)] + body[at:]
        case 4:
            return "cut out", body[:at] + body[at + rng.randrange(1, 60) :]
        case 5:
            text = body.decode("utf-8", "replace").replace("\ufffd", "")
            return "encode", rng.choice(
                (
                    lambda: text.encode("utf-16"),
                    lambda: text.encode("utf-16-le"),
                    lambda: text.encode("utf-8-sig"),
                    lambda: re.sub("[aeo]", "é", text, count=3).encode("latin-1", "ignore"),
                    lambda: text.encode("utf-32"),
                )
            )()
        case _:
            return "replace", rng.choice(
                (
                    b"",
                    b" ",
                    b"null",
                    b"[]",
                    b"{}",
                    b"0",
                    b'"x"',
                    b"[1]",
                    b"NaN",
                    b"[" * 100_000,
                    b"[" * 900 + b"]" * 900,
                    b'{"a":' * 900 + b"1" + b"}" * 900,
                    b"9" * 5000,
                    b"<html></html>",
                    b"<",
                    b"{",
                    b"\0",
                    body + body,
                )
            )


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place below the top."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [spot for key in keys for spot in [(*path, key), *spots(value[key], (*path, key))]]


def parent_of(raw: Any, spot: tuple[Any, ...]) -> Any:
    for key in spot[:-1]:
        raw = raw[key]
    return raw


def _json(rng: Random, body: bytes) -> tuple[str, bytes]:
    try:
        raw = json.loads(body)
        places = spots(raw)
    except (ValueError, RecursionError):
        return _bytes(rng, body)
    if not places:
        return "retype", _dump(rng.choice(ODD))
    spot = rng.choice(places)
    parent, key = parent_of(raw, spot), spot[-1]
    name = rng.choice(
        (
            "delete",
            "retype",
            "retype",
            "retype",
            "edit",
            "edit",
            "inject",
            "shuffle",
            "twice",
            "swap",
            "nest",
            "number",
        )
    )
    match name:
        case "delete":
            del parent[key]
        case "edit":
            parent[key] = _edited(rng, parent[key])
        case "inject" if isinstance(parent, dict):
            parent[rng.choice(("new", "", "a.b", "Phone", "\0", *map(str, parent)))] = copy.deepcopy(
                rng.choice(ODD)
            )
        case "inject":
            parent.insert(key, copy.deepcopy(rng.choice((*ODD, parent[0]))))
        case "shuffle" if isinstance(parent, list):
            rng.shuffle(parent)
        case "shuffle":
            items = list(parent.items())
            rng.shuffle(items)
            parent.clear()
            parent.update(items)
        case "twice" if isinstance(parent, dict):
            parent[_Again(key)] = copy.deepcopy(rng.choice((*ODD, parent[key])))
        case "twice":
            parent.append(copy.deepcopy(parent[key]))
        case "swap":
            other = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
            parent[key], parent[other] = parent[other], parent[key]
        case "nest":
            for _ in range(rng.choice((1, 5, 20, 100))):
                parent[key] = [parent[key]] if rng.random() < 0.5 else {"a": parent[key]}
        case "number":
            parent[key] = rng.choice((1, -1)) * rng.choice(
                (rng.random() * 10 ** rng.randrange(20), rng.randrange(10 ** rng.randrange(1, 40)))
            )
        case _:
            parent[key] = copy.deepcopy(rng.choice(ODD))
    return name, _dump(raw)


def _dump(raw: Any) -> bytes:
    return json.dumps(raw, ensure_ascii=True).encode()


def _edited(rng: Random, value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return rng.choice((True, False, None, 0, 1))
    if isinstance(value, int | float):
        return rng.choice(
            (
                value + 1,
                -value,
                value * 10,
                value + 0.5,
                str(value),
                float(value) if abs(value) < 1e300 else 0,
            )
        )
    if isinstance(value, str):
        return edited(rng, value)
    return copy.deepcopy(rng.choice(ODD))


def edited(rng: Random, text: str) -> str:
    """Return a text with one small thing changed."""
    at = rng.randrange(len(text) + 1)
    digits = [place for place, one in enumerate(text) if one.isdigit()]
    choice = rng.randrange(8)
    if choice < 3 and digits:
        at = rng.choice(digits)
        return text[:at] + rng.choice("0123456789") + text[at + 1 :]
    if choice == 3:
        return f" {text}\u00a0" if rng.random() < 0.5 else f"{text}\n"
    if choice == 4:
        return (
            text[:at]
            + rng.choice(("\0", "é", "٣", "-", ",", ".", "/", "%", "+", "A", "9", "\ud83d\ude00"))
            + text[at:]
        )
    if choice == 5:
        return text[:at]
    if choice == 6:
        return text.swapcase()
    return rng.choice(TEXTS)


def _safe(text: str) -> bytes:
    return text.encode("utf-8", "ignore").replace(b"&", b"&amp;").replace(b"<", b"&lt;")


def _html(rng: Random, body: bytes) -> tuple[str, bytes]:
    pattern = _ATTRIBUTE if rng.random() < 0.25 else _TEXT_NODE
    found = list(pattern.finditer(body))
    tags = list(_TAG.finditer(body))
    if not found or not tags:
        return _bytes(rng, body)
    one, other = rng.choice(found), rng.choice(found)
    tag = rng.choice(tags)
    name = rng.choice(
        ("edit", "edit", "edit", "text", "swap", "element out", "element twice", "tag out", "insert")
    )
    if name == "edit":
        text = one[1].decode("utf-8", "replace")
        return name, body[: one.start(1)] + _safe(edited(rng, text)) + body[one.end(1) :]
    if name == "text":
        return name, body[: one.start(1)] + _safe(rng.choice(TEXTS)) + body[one.end(1) :]
    if name == "swap" and one.end(1) <= other.start(1):
        return (
            name,
            body[: one.start(1)]
            + other[1]
            + body[one.end(1) : other.start(1)]
            + one[1]
            + body[other.end(1) :],
        )
    if name == "tag out":
        return name, body[: tag.start()] + body[tag.end() :]
    if name == "insert":
        return name, body[: tag.end()] + rng.choice(_TAGS) + body[tag.end() :]
    element = _ELEMENT.search(body, rng.randrange(len(body)))
    if element is None:
        return "truncate", body[: tag.start()]
    again = element[0] if name == "element twice" else b""
    return name, body[: element.start()] + again * 2 + body[element.end() :]


def _line(rng: Random, body: bytes) -> tuple[str, bytes]:
    lines = body.split(b"\n")
    at = rng.randrange(len(lines))
    cells = lines[at].split(b"|")
    cell, other = rng.randrange(len(cells)), rng.randrange(len(cells))
    name = rng.choice(
        (
            "edit",
            "edit",
            "edit",
            "text",
            "text",
            "swap",
            "cell out",
            "cell in",
            "line out",
            "line twice",
            "shuffle",
            "cut",
            "bytes",
        )
    )
    match name:
        case "edit":
            cells[cell] = (
                edited(rng, cells[cell].decode("utf-8", "replace"))
                .replace("\n", " ")
                .encode("utf-8", "surrogatepass")
            )
        case "text":
            cells[cell] = rng.choice(TEXTS).replace("\n", " ").encode("utf-8", "surrogatepass")
        case "swap":
            cells[cell], cells[other] = cells[other], cells[cell]
        case "cell out":
            del cells[cell]
        case "cell in":
            cells.insert(cell, rng.choice((b"", b"1", cells[other])))
        case "shuffle":
            rng.shuffle(cells)
        case "cut":
            cells = lines[at][: rng.randrange(len(lines[at]) + 1)].split(b"|")
        case "bytes":
            cells[cell] += rng.choice((b"\xff", b"\0", b"\xed\xa0\x80", b"\r", b"\xc3\xa9"))
        case "line out":
            return name, b"\n".join(lines[:at] + lines[at + 1 :])
        case _:
            return name, b"\n".join([*lines, lines[at]])
    lines[at] = b"|".join(cells)
    return name, b"\n".join(lines)
