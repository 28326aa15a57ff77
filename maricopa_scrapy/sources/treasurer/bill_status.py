"""What a bill's status means: paid, unpaid, lien or state_lien.

The county's texts stand in config/sources/treasurer.yaml, `page.statuses`; a text that is not there is read
by its words, `page.status_words`. That the sums of a row agree with its status is checked in page.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from maricopa_scrapy.parsing.errors import SourceChanged
from maricopa_scrapy.parsing.page_layout import Layout

_WORD = re.compile(r"[a-z]+")


def status_of(text: str, path: str, layout: Layout) -> str:
    """Return which of ours a status of the county is. `path`: where it stands, for the message.

    Raises SourceChanged for one that is not known.
    """
    for known, ours in layout.statuses.items():
        if text.casefold() == known.casefold():
            return ours
    if (by_words := status_by_words(text, layout.status_words)) is not None:
        return by_words
    ask = "is a bill of this status paid, unpaid, a lien or a state_lien? It belongs in page.statuses"
    raise SourceChanged(path, f"one of {', '.join(layout.statuses)}", text, ask if text else "")


def status_by_words(text: str, words: Mapping[Any, Sequence[str]]) -> str | None:
    """Return which of ours a status is by its words, by ours, `not` and `other`; None where a word is not
    known, or none tells.

    A word of a lien makes it a lien, the State's with one of those as well; else one of unpaid makes it
    unpaid, else one of paid. One of `not` makes the opposite of the last two.

    >>> words = {"paid": ["paid"], "unpaid": ["due"], "lien": ["lien"], "state_lien": ["state"]}
    >>> words |= {"not": ["no", "not"], "other": ["tax"]}
    >>> [status_by_words(text, words) for text in ("Tax Paid", "Not Paid", "No Tax Due", "State Tax Lien")]
    ['paid', 'unpaid', 'paid', 'state_lien']
    >>> [status_by_words(text, words) for text in ("Partially Paid", "Tax")]
    [None, None]
    """
    found = set(_WORD.findall(text.casefold()))
    if not found or found - {word for known in words.values() for word in known}:
        return None

    def has(status: str) -> bool:
        return bool(found & set(words.get(status, ())))

    if has("lien"):
        return None if has("not") else "state_lien" if has("state_lien") else "lien"
    if has("unpaid"):
        return "paid" if has("not") else "unpaid"
    return None if not has("paid") else "unpaid" if has("not") else "paid"
