"""What a bill's status means: the county's whole text where it is known, else its words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_WORD = re.compile(r"[a-z]+")


def status_by_words(text: str, words: Mapping[Any, Sequence[str]]) -> str | None:
    """Return which of ours a status is by its words, by ours, `not` and `other`; None where a word is not
    known, or none tells.

    A word of a lien makes it a lien, the State's with one of those as well; else one of unpaid makes it
    unpaid, else one of paid. One of
    `not` makes the opposite of the last two.

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
