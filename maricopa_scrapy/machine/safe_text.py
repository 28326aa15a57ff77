"""Text from elsewhere as it may be shown: what would move a cursor, write to a clipboard or turn a line
around is a visible mark.

One mark a character, so that columns stay where they are: the pictures of Unicode for C0 and DEL, U+FFFD for
C1, marks of direction, separators of lines and paragraphs, and what has no width.
"""

import copy
import json
import logging
import re
from collections.abc import Iterable

# Line feed and tab lay text out.
_C0 = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: "\u2421"}
_UNSEEN = (
    *range(0x80, 0xA0), 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070), 0x3164, 0xFEFF, 0xFFA0, *range(0xFFF0, 0xFFFC), *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
)  # fmt: skip
# Lone surrogates are no text at all, and would end the command that prints them.
_MARKS = _C0 | dict.fromkeys((*_UNSEEN, *range(0xD800, 0xE000)), "\ufffd")


def _any_of(codes: Iterable[int]) -> re.Pattern[str]:
    """Return a pattern for one of the characters; by ranges, as single ones take long to compile."""
    parts: list[list[int]] = []
    for code in sorted(codes):
        if parts and code == parts[-1][1] + 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return re.compile("[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in parts) + "]")


_UNSAFE = _any_of(_MARKS)
_LEFT_BY_JSON = _any_of(code for code in _MARKS if code >= 0x7F)


def visible(text: str) -> str:
    r"""Return the text with a mark in place of each character that a terminal obeys, or nobody sees.

    >>> visible("SMITH\x1b[2J \u202eOJ"), visible("two\nlines")
    ('SMITH␛[2J �OJ', 'two\nlines')
    """
    return text.translate(_MARKS) if _UNSAFE.search(text) else text


def visible_json(text: str) -> str:
    r"""Return JSON that says the same, with what a terminal obeys written as escapes.

    >>> visible_json('{"owner":"A\x9b"}')
    '{"owner":"A\\u009b"}'
    """
    return (
        _LEFT_BY_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)
        if _LEFT_BY_JSON.search(text)
        else text
    )


class VisibleFormatter(logging.Formatter):
    """Another formatter, whose lines are visible: what is logged may be a county's word. Colours of its own
    stay.
    """

    def __init__(self, of: logging.Formatter | None = None) -> None:
        super().__init__()
        self._of = of or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback where there is one."""
        shown = copy.copy(record)
        shown.msg, shown.args = visible(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            shown.exc_text = self._of.formatException(record.exc_info)
        if shown.exc_text:
            shown.exc_text = visible(shown.exc_text)
        return self._of.format(shown)
