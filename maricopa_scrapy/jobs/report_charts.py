"""The geometry of the report's charts: numbers in, coordinates out. Text stays with the template, which
escapes it.

Each chart is drawn in a box of WIDTH by HEIGHT that the page stretches; y grows downwards.
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maricopa_scrapy.ledger.response_times import limit
from maricopa_scrapy.ledger.traffic_samples import Interval

WIDTH, HEIGHT = 1000.0, 200.0
_STEPS_MOST = 120
# Between two beats nothing is known.
_STEP_LEAST_S = 3.0
_GAP_LEAST_S = 60.0
_BAR_LEAST = 0.006
_BINS_MOST = 28


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, and what it is of."""

    name: str
    x: float
    width: float
    y: float = 0.0
    height: float = HEIGHT


class Clock:
    """The time at work: pauses of a job are left out, so that two hours are not lost between two nights.

    `cuts`: where something was left out, in parts of the whole, and for how many seconds.
    """

    def __init__(self, spans: Iterable[tuple[dt.datetime, dt.datetime]]) -> None:
        ordered = sorted(spans)
        work = sum((end - begin).total_seconds() for begin, end in ordered)
        self._spans: list[tuple[dt.datetime, dt.datetime]] = []
        for begin, end in ordered:
            last = self._spans[-1] if self._spans else None
            if last and (begin - last[1]).total_seconds() <= max(_GAP_LEAST_S, work / 10):
                self._spans[-1] = last[0], max(last[1], end)
            else:
                self._spans.append((begin, end))
        self.seconds = sum((end - begin).total_seconds() for begin, end in self._spans)
        pairs = list(zip(self._spans, self._spans[1:], strict=False))
        self.cuts = [
            (self.at(before[1]) / self.seconds, (after[0] - before[1]).total_seconds())
            for before, after in pairs
            if self.seconds
        ]

    def at(self, moment: dt.datetime) -> float:
        """Return the seconds of work until a moment."""
        return sum(max(0.0, (min(moment, end) - begin).total_seconds()) for begin, end in self._spans)

    def moment(self, seconds: float) -> dt.datetime | None:
        """Return when so many seconds of work were over; None when there was no work."""
        for begin, end in self._spans:
            length = (end - begin).total_seconds()
            if seconds <= length:
                return begin + dt.timedelta(seconds=seconds)
            seconds -= length
        return self._spans[-1][1] if self._spans else None


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per second of one source over the time at work: `top` is the scale's end, the rest are paths
    of SVG.

    `table`: some moments with what was answered, refused and allowed then.
    """

    source: str
    top: float
    answered: str
    refused: str
    allowed: str
    most: float
    table: tuple[tuple[dt.datetime | None, float, float, float | None], ...]


def rates(source: str, intervals: Iterable[Interval], clock: Clock) -> Rates | None:
    """Return the chart of a source; None when nothing is known of it."""
    mine = [one for one in intervals if one.source == source]
    if not mine or not clock.seconds:
        return None
    steps = max(1, min(_STEPS_MOST, int(clock.seconds / _STEP_LEAST_S)))
    width = clock.seconds / steps
    answered, refused = [0.0] * steps, [0.0] * steps
    allowed: list[float | None] = [None] * steps
    for one in mine:
        begin, end = clock.at(one.begin) / width, clock.at(one.end) / width
        for step in range(min(int(begin), steps - 1), min(math.ceil(end), steps)):
            part = 1.0 if end <= begin else max(0.0, min(end, step + 1) - max(begin, step)) / (end - begin)
            answered[step] += one.answers * part / width
            refused[step] += one.refusals * part / width
            allowed[step] = one.allowed if one.allowed is not None else allowed[step]
    both = [one + other for one, other in zip(answered, refused, strict=True)]
    top = nice(max(*both, *(value or 0.0 for value in allowed), 0.1))
    every = max(1, steps // 12)
    table = tuple(
        (
            clock.moment(step * width),
            _mean(answered[step : step + every]),
            _mean(refused[step : step + every]),
            allowed[step],
        )
        for step in range(0, steps, every)
    )
    return Rates(
        source=source,
        top=top,
        answered=_area(answered, [0.0] * steps, top),
        refused=_area(both, answered, top) if any(refused) else "",
        allowed=_line(allowed, top),
        most=max(answered),
        table=table,
    )


def nice(value: float) -> float:
    """Return the next round number that is no less.

    >>> nice(0.13), nice(1.0), nice(4.2), nice(68)
    (0.15, 1.0, 5.0, 80.0)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return round(
        next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if value <= step * power * 1.0000001), 10
    )


def stacked(parts: Mapping[str, int]) -> list[Bar]:
    """Return a bar of parts side by side; none is too small to be seen."""
    total = sum(parts.values())
    shares = {name: max(count / total, _BAR_LEAST) for name, count in parts.items() if count}
    whole = sum(shares.values())
    bars, x = [], 0.0
    for name, share in shares.items():
        bars.append(Bar(name, round(x, 2), round(WIDTH * share / whole, 2)))
        x += WIDTH * share / whole
    return bars


@dataclass(frozen=True, slots=True)
class Histogram:
    """Answers by their response time, on a logarithmic scale from `least` to `most` seconds; where half and
    19 of 20 had come.
    """

    bars: tuple[Bar, ...]
    least: float
    most: float
    marks: tuple[float, ...]


def histogram(times: Mapping[str, int], quantiles: Sequence[float | None]) -> Histogram | None:
    """Return the chart of response times; None without any."""
    counts = {int(at): count for at, count in times.items() if count}
    if not counts:
        return None
    first, last = min(counts), max(counts)
    # A few bins also where all came within the same hundredth of a second.
    first, last = max(0, min(first, (first + last) // 2 - 6)), max(last, (first + last) // 2 + 6)
    each = max(1, math.ceil((last - first + 1) / _BINS_MOST))
    bins = [0] * math.ceil((last - first + 1) / each)
    for at, count in counts.items():
        bins[(at - first) // each] += count
    width = WIDTH / len(bins)
    bars = []
    for at, count in enumerate(bins):
        if count:
            height = HEIGHT * max(0.02, count / max(bins))
            bars.append(
                Bar(
                    f"{count:,}",
                    *(
                        round(part, 2)
                        for part in ((at + 0.08) * width, 0.84 * width, HEIGHT - height, height)
                    ),
                )
            )
    least, most = limit(first), limit(first + each * len(bins))
    marks = tuple(
        round(WIDTH * math.log(max(value, 0.001) / least) / math.log(most / least), 2)
        for value in quantiles
        if value is not None
    )
    return Histogram(tuple(bars), least, most, marks)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _y(value: float, top: float) -> str:
    return f"{HEIGHT * (1 - value / top):.1f}"


def _area(upper: Sequence[float], lower: Sequence[float], top: float) -> str:
    width = WIDTH / len(upper)
    there = " ".join(f"V{_y(value, top)} H{(step + 1) * width:.1f}" for step, value in enumerate(upper))
    back = " ".join(f"V{_y(lower[step], top)} H{step * width:.1f}" for step in reversed(range(len(lower))))
    return f"M0 {_y(lower[0], top)} {there} {back} Z"


def _line(values: Sequence[float | None], top: float) -> str:
    width = WIDTH / len(values)
    parts, is_down = [], False
    for step, value in enumerate(values):
        if value is None:
            is_down = False
            continue
        y = _y(value, top)
        parts.append(
            f"V{y} H{(step + 1) * width:.1f}"
            if is_down
            else f"M{step * width:.1f} {y} H{(step + 1) * width:.1f}"
        )
        is_down = True
    return " ".join(parts)
