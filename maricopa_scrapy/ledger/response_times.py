"""Response times as a histogram: counts by buckets of equal ratio, small enough to be written with every
beat.
"""

import math
from collections.abc import Iterable, Mapping

# Buckets are powers of this, from a millisecond on: a quantile is off by 4 % at most.
_STEP = 2**0.125


def bucket(seconds: float) -> int:
    """Return the bucket of a time.

    >>> bucket(0.001), bucket(1.0), bucket(1.02), bucket(2.0)
    (0, 80, 80, 88)
    """
    return max(0, round(math.log(max(seconds, 0.001) * 1000, _STEP)))


def limit(at: int) -> float:
    """Return the seconds at which a bucket begins.

    >>> round(limit(80), 3), round(limit(88), 3)
    (0.981, 1.961)
    """
    return float(_STEP ** (at - 0.5)) / 1000


def quantile(times: Mapping[str, int], share: float) -> float | None:
    """Return the seconds within which that share of the answers came; None without any.

    >>> quantile({"0": 98, "80": 2}, 0.5), quantile({"0": 98, "80": 2}, 0.99), quantile({}, 0.5)
    (0.001, 1.024, None)
    """
    rank = share * sum(times.values())
    for at, count in sorted((int(at), count) for at, count in times.items()):
        rank -= count
        if rank <= 0:
            return round(_STEP**at / 1000, 4)
    return None


def merged(histograms: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of histograms."""
    total: dict[str, int] = {}
    for times in histograms:
        for at, count in times.items():
            total[at] = total.get(at, 0) + count
    return total
