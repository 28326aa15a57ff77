"""Chance that is the same on every machine: numbers drawn from a hash of names."""

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def number(*parts: object) -> int:
    """Return 64 bits that depend on the parts alone."""
    return int.from_bytes(blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest(), "big")


def share(*parts: object) -> float:
    """Return a number from 0 to below 1 that depends on the parts alone."""
    return (number(*parts) >> 11) / 2**53


def dice(*parts: object) -> random.Random:
    """Return a generator that depends on the parts alone."""
    return random.Random(number(*parts))


def pick(rolls: random.Random, choices: Sequence[T]) -> T:
    """Return one of the choices; several times as fast as Random.choice."""
    return choices[int(rolls.random() * len(choices))]


def between(rolls: random.Random, low: int, high: int) -> int:
    """Return a whole number from low to high, both included."""
    return low + int(rolls.random() * (high - low + 1))


def hundreds(dollars: float) -> int:
    """Return whole hundreds, as the county values land and buildings."""
    return round(dollars / 100) * 100
