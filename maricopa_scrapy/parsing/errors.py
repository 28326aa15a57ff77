"""Why a page gives no records. A parser raises these and nothing else, whatever the bytes."""

from typing import ClassVar

from maricopa_scrapy.items import Cause

_SHOWN = 80


class _Absent:
    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "an object without it"


# The value of a key that is not there, for the message.
ABSENT = _Absent()


class PageError(Exception):
    """A page that can't be read: `path` says where, the message also what was expected there and what was
    found.

    `ask`: the question that a person can settle it by, where there is one.
    """

    cause: ClassVar[Cause]

    def __init__(self, path: str, expected: str, value: object, ask: str = "") -> None:
        super().__init__(
            f"{path}: expected {expected}, got {shown(value)}" + (f". Question: {ask}" if ask else "")
        )
        self.path = path
        self.ask = ask


class Malformed(PageError):
    """Not the format that was asked for at all: broken JSON, wrong encoding, or an answer about no parcel."""

    cause = Cause.MALFORMED


class WrongParcel(PageError):
    """The answer names another parcel than the one asked for."""

    cause = Cause.WRONG_PARCEL


class WrongDocument(PageError):
    """The answer is another document than the one asked for."""

    cause = Cause.WRONG_DOCUMENT


class SourceChanged(PageError):
    """Readable, but not as documented: a key is missing, a value has another type or form."""

    cause = Cause.SOURCE_CHANGED


class NotFound(PageError):
    """Nothing where a parcel should be. Only a suspicion: a search has to confirm it."""

    cause = Cause.NOT_FOUND


class Soft404(PageError):
    """An HTML page where data should be; the assessor serves it with status 200 for unknown paths."""

    cause = Cause.SOFT_404


class ServiceError(PageError):
    """The service says that it failed, in a body of status 200."""

    cause = Cause.SERVER_ERROR


class Throttled(PageError):
    """The service says "too fast", in a body of status 200."""

    cause = Cause.THROTTLED


class BadRequest(SourceChanged):
    """The service says that it does not understand what it used to, in a body of status 200."""


def shown(value: object) -> str:
    """Return a value as an error shows it: at most 80 characters, of a container its size or its keys only.

    What is inside a container may be deeply nested, or a telephone number.

    >>> shown("12,5"), shown([1, 2]), shown({"lat": None})
    ("'12,5'", 'a list of 2', 'an object with lat')
    """
    if isinstance(value, dict):
        return _cut(f"an object with {', '.join(ascii(key)[1:-1] for key in list(value)[:9]) or 'nothing'}")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str | bytes):
        value = value[:_SHOWN]
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
