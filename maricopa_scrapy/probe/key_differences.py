"""An object of an answer against the shape by which it is read: which keys are absent, new, or of another
kind.
"""

from dataclasses import dataclass, field
from typing import Any

from maricopa_scrapy.parsing.errors import SourceChanged, shown
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.parsing.shapes import Shape
from maricopa_scrapy.parsing.values import is_missing, is_phone

_SHOWN = 6


@dataclass(slots=True)
class Differences:
    """Keys that are absent, that nobody knows, and values that are not of their kind, as a parser says it.
    `seen`: objects read.
    """

    absent: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)
    odd: set[str] = field(default_factory=set)
    seen: int = 0

    def add(self, shape: Shape, raw: object, others: frozenset[str] = frozenset()) -> None:
        """Compare one object; `others` are keys that another shape reads."""
        if is_missing(raw):
            return
        self.seen += 1
        if not isinstance(raw, dict):
            self.odd.add(str(SourceChanged(shape.path, "an object", raw)))
            return
        prefix = f"{shape.path}." if shape.path else ""
        self.absent |= {prefix + key for key in shape.keys - raw.keys()}
        self.new |= {prefix + key for key in raw.keys() - shape.keys - others if not is_phone(key)}
        self.odd |= _odd(shape, prefix, raw)

    def evidence(self, keys: int) -> str:
        """Return what differs, or that all `keys` are as known."""
        parts = [f"absent: {listed(self.absent)}"] * bool(self.absent)
        parts += [listed(self.odd)] * bool(self.odd)
        return "; ".join(parts) or f"{keys} keys, each of its kind, in {self.seen} of them"


def _odd(shape: Shape, prefix: str, raw: dict[str, Any]) -> set[str]:
    """Take the object again and again, each time without the value that was refused."""
    odd: set[str] = set()
    rest = dict.fromkeys(shape.keys) | {key: value for key, value in raw.items() if key in shape.keys}
    while True:
        try:
            shape.take(dict(rest), Notes())
        except SourceChanged as error:
            key = error.path.removeprefix(prefix)
            if key not in rest or rest[key] is None:
                return odd
            odd.add(str(error))
            rest[key] = None
        else:
            return odd


def noted(notes: Notes) -> str:
    """Return what a parser noted: absent and new fields, and why a section could not be read; "" when it is
    all as known.
    """
    parts = [f"{name}: {error}" for name, error in notes.unread.items()]
    parts += [f"absent: {listed(set(notes.absent))}"] * bool(notes.absent) + [
        f"new: {listed(set(notes.new))}"
    ] * bool(notes.new)
    return "; ".join(parts)


def listed(names: set[str]) -> str:
    """Return some names, and how many more there are."""
    some = sorted(names)
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")


def kind_of(value: object) -> str:
    """Return a value as an error shows it."""
    return shown(value)
