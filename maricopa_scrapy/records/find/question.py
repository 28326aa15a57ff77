"""What a person asks for: words in any order, identifiers in any notation, and filters."""

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn, parse_recording_number

# As addresses and names abbreviate them; either form finds the other.
_SAME = (
    "n north", "s south", "e east", "w west", "st street", "ave av avenue", "rd road", "dr drive", "ln lane",
    "blvd boulevard", "ct court", "pl place", "cir circle", "ter terrace", "pkwy parkway", "hwy highway",
    "trl trail", "inc incorporated", "corp corporation", "co company", "ltd limited", "assn association",
    "dept department", "tr trust", "ste suite",
)  # fmt: skip
ALSO = {word: group.split() for group in _SAME for word in group.split()}
# A word that begins like this may be written as two.
_SPLIT = re.compile(r"(o|mc|mac|van|de)([^0-9]{4,})")
_PARTIAL_APN = re.compile(r"\d{3}-\d{2}(-\d{0,3})?|\d{3}-\d{2}-?\d{3}-?[A-Z]?|\d{8}[A-Z]?", re.IGNORECASE)
# Shorter ones begin too many words.
_PREFIX_FROM = 3


class QuestionError(ValueError):
    """A question that cannot be answered; the message is for the person who asked."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question: `exact` and `prefix` are tsqueries of it, and of what is written for it too."""

    text: str
    exact: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Question:
    """All of it must be true of one row: the words, the beginnings of its APN, and the filters."""

    words: tuple[Word, ...] = ()
    apn: str | None = None
    # Recording numbers, which documents have as their own and parcels as their deed's.
    numbers: tuple[str, ...] = ()
    owner: tuple[Word, ...] = ()
    address: tuple[Word, ...] = ()
    city: tuple[Word, ...] = ()
    subdivision: tuple[Word, ...] = ()
    sold_since: str | None = None
    price: tuple[int | None, int | None] = (None, None)
    # Of a mistyped word the words that were taken for it.
    taken: dict[str, list[str]] = field(default_factory=dict, hash=False)

    @property
    def is_filtered(self) -> bool:
        """Whether there is a filter, which documents have no columns for."""
        return bool(
            self.owner or self.address or self.city or self.subdivision or self.sold_since or any(self.price)
        )


def read(
    session: Session,
    text: str,
    owner: str = "",
    address: str = "",
    city: str = "",
    subdivision: str = "",
    sold_since: str = "",
    price: str = "",
) -> Question:
    """Return what was asked. Raises QuestionError."""
    rest, apn, numbers = _identifiers(text)
    plain = session.rows(
        "SELECT find.plain(t) FROM unnest(%s::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n",
        ([said.replace("\0", " ") for said in (rest, owner, address, city, subdivision)],),
    )
    words, *filters = [_words(said.split()) for (said,) in plain]
    for name, given, found in zip(
        ("--owner", "--address", "--city", "--subdivision"),
        (owner, address, city, subdivision),
        filters,
        strict=True,
    ):
        if given and not found:
            raise QuestionError(f"{name} {given}: there is no letter or digit in it")
    question = Question(
        (*words, *(Word(one, f"'{one}'", f"'{one}'") for one in numbers)),
        apn,
        numbers,
        filters[0],
        filters[1],
        filters[2],
        filters[3],
        _month(sold_since) if sold_since else None,
        _range(price) if price else (None, None),
    )
    if not (question.words or apn or question.is_filtered):
        raise QuestionError(
            "say what to find: a name, an address, an APN, a deed number, or a filter such as --owner"
        )
    return question


def with_neighbours(question: Question, taken: dict[str, list[str]]) -> Question:
    """Return the question with other words beside those that were mistyped."""

    def mended(words: tuple[Word, ...]) -> tuple[Word, ...]:
        return tuple(
            word
            if word.text not in taken
            else Word(
                word.text,
                f"({word.exact}|{_any(taken[word.text])})",
                f"({word.prefix}|{_any(taken[word.text])})",
            )
            for word in words
        )

    return replace(
        question,
        words=mended(question.words),
        owner=mended(question.owner),
        address=mended(question.address),
        city=mended(question.city),
        subdivision=mended(question.subdivision),
        taken=taken,
    )


def _any(words: list[str]) -> str:
    return "|".join(f"'{word}'" for word in words)


def _identifiers(text: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the text without its identifiers, the beginning of the APN in it, and its recording numbers.

    >>> _identifiers("165-28-054"), _identifiers("165 28 054 a"), _identifiers("smith 2001-0849180")
    (('', '16528054', ()), ('', '16528054A', ()), ('smith', None, ('20010849180',)))
    >>> _identifiers("wyatt 165-28")
    ('wyatt', '16528', ())
    """
    with suppress(IdentifierError):
        return "", parse_apn(text), ()
    with suppress(IdentifierError):
        return "", None, (parse_recording_number(text),)
    rest: list[str] = []
    apns: list[str] = []
    numbers: list[str] = []
    for token in text.split():
        if _PARTIAL_APN.fullmatch(token.strip(",;")):
            apns.append(token.strip(",;").replace("-", "").upper())
            continue
        try:
            numbers.append(parse_recording_number(token))
        except IdentifierError:
            rest.append(token)
    if len(apns) > 1:
        raise QuestionError("there are several APNs in it: ask for one at a time")
    return " ".join(rest), apns[0] if apns else None, tuple(numbers)


def _words(texts: list[str]) -> tuple[Word, ...]:
    found: list[Word] = []
    texts = [text for text in texts if text != "and"] or texts
    at = 0
    while at < len(texts):
        text = texts[at]
        if text in ("o", "mc", "mac") and at + 1 < len(texts) and not texts[at + 1][0].isdigit():
            text, at = text + texts[at + 1], at + 1
        found.append(_word(text))
        at += 1
    return tuple(dict.fromkeys(found))


def _word(text: str) -> Word:
    """Return a word with what may be written for it.

    >>> _word("smith").prefix, _word("street").exact, _word("85028").prefix, _word("obrien").exact
    ("('smith':*)", "('street'|'st')", "('85028')", "('obrien'|('o'&'brien'))")
    """
    same = [f"'{other}'" for other in ALSO.get(text, []) if other != text]
    parts = _SPLIT.fullmatch(text)
    is_whole = text.isdigit() or len(text) < _PREFIX_FROM
    exact, prefix = [f"'{text}'", *same], [f"'{text}'" + ("" if is_whole else ":*"), *same]
    if parts:
        exact.append(f"('{parts[1]}'&'{parts[2]}')")
        prefix.append(f"('{parts[1]}'&'{parts[2]}':*)")
    return Word(text, f"({'|'.join(exact)})", f"({'|'.join(prefix)})")


def _month(text: str) -> str:
    if not re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2])(-\d\d)?)?", text):
        raise QuestionError(f"--sold-since {text}: the form is 2025, 2025-01 or 2025-01-31")
    return text[:7] if len(text) > 4 else f"{text}-01"


def _range(text: str) -> tuple[int | None, int | None]:
    """Return the limits of a price.

    >>> _range("500000.."), _range("..$300,000"), _range("100000..200000"), _range("250000")
    ((500000, None), (None, 300000), (100000, 200000), (250000, 250000))
    """
    low, dots, high = re.sub(r"[\s$,_]", "", text).partition("..")
    if not (low.isdigit() or low == "") or not (high.isdigit() or high == "") or not (low or high):
        raise QuestionError(f"--price {text}: the form is 500000.., ..300000 or 100000..200000")
    limits = int(low) if low else None, int(high) if high else None if dots else int(low)
    if limits[0] is not None and limits[1] is not None and limits[0] > limits[1]:
        raise QuestionError(f"--price {text}: the first is above the second")
    return limits
