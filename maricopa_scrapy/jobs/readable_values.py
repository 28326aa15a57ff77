"""Durations, response times, sizes and moments as a person reads them."""

import datetime as dt


def duration(seconds: float | None) -> str:
    """Return a duration.

    >>> duration(None), duration(42.4), duration(130), duration(3720)
    ('?', '42 s', '2 min 10 s', '1 h 2 min')
    """
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"


def age(since: dt.timedelta) -> str:
    """Return how long ago something was, in its largest unit.

    >>> age(dt.timedelta(minutes=90)), age(dt.timedelta(seconds=-1))
    ('1 h', '0 s')
    """
    seconds = max(0, round(since.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def latency(seconds: float | None) -> str:
    """Return a response time; nothing where there is none.

    >>> latency(None), latency(0.0123), latency(2.345)
    ('', '12 ms', '2.3 s')
    """
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def size(count: int) -> str:
    """Return a number of bytes.

    >>> size(512), size(2_500_000)
    ('512 bytes', '2.5 MB')
    """
    rest = float(count)
    for unit in ("bytes", "kB", "MB"):
        if rest < 1000:
            return f"{rest:.0f} {unit}" if unit == "bytes" else f"{rest:.1f} {unit}"
        rest /= 1000
    return f"{rest:.1f} GB"


def when(moment: dt.datetime | None) -> str:
    """Return a moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"
