"""One mutated body: mutate, parse, check. Nothing but a named error may come out, and no record that the body
does not tell.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from random import Random

from maricopa_scrapy.items import Cause
from maricopa_scrapy.parsing.errors import PageError
from tests.fuzz import assessor, bulk, gis, page, recorder, treasurer
from tests.fuzz.mutation import mutate
from tests.fuzz.reading import Subject


class Found(AssertionError):
    """A parser's bug: the message says how to see it again."""


@dataclass
class Tally:
    """What became of bodies: records, and errors by name."""

    records: int = 0
    errors: Counter[str] = field(default_factory=Counter)


def tries(name: str, first: int, count: int) -> Tally:
    """Try `count` mutated bodies of one parser, numbered from `first`: a number gives the same body each
    time. Raises Found.
    """
    tally = Tally()
    for number in range(first, first + count):
        try:
            once(subjects()[name], Random(f"{name}:{number}"), tally)
        except Found as found:
            raise Found(f"{found}\n  again: python -m benchmarks.fuzz {name!r} {number}") from found.__cause__
    return tally


@cache
def subjects() -> dict[str, Subject]:
    """Return every parser of sources/, by name."""
    return {
        one.name: one for room in (assessor, page, gis, treasurer, recorder, bulk) for one in room.subjects()
    }


def once(subject: Subject, rng: Random, tally: Tally) -> None:
    """Try one mutated body. Raises Found."""
    body, key = rng.choice(subject.seeds)
    name, changed = mutate(rng, body, subject.form)
    attempt(subject, changed, key, name, tally)


def _check_error(error: PageError) -> None:
    assert isinstance(error.cause, Cause)
    assert "\0" not in str(error)
    str(error).encode()


def attempt(subject: Subject, body: bytes, key: str, name: str, tally: Tally) -> None:
    """Try a body. Raises Found."""
    try:
        result = subject.parse(body, key)
    except PageError as error:
        _check_error(error)
        tally.errors[type(error).__name__] += 1
        return
    except Exception as error:
        raise Found(f"{subject.name}: {name}: {type(error).__name__}: {error} of {body[:300]!r}") from error
    try:
        subject.check(body, key, result)
    except Exception as error:
        raise Found(
            f"{subject.name}: {name}: a record that the body does not tell: {type(error).__name__}: {error}"
            f" of {body[:300]!r}"
        ) from error
    tally.records += 1
