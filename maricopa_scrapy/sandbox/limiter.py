"""A rate budget: a token bucket, as the county's seems to be."""

import math
import time
from email.utils import formatdate
from typing import Literal, get_args

RetryAfter = Literal["seconds", "date", "none"]
RETRY_AFTER: tuple[str, ...] = get_args(RetryAfter)


class Limiter:
    """`rate` tokens a second, at most `burst` saved up. Without a rate everything passes."""

    def __init__(self, rate: float | None = None, burst: float | None = None, retry_after: RetryAfter = "none") -> None:
        if rate is not None and rate <= 0:
            raise ValueError("rate is requests per second, above 0")
        if burst is not None and burst < 1:
            raise ValueError("burst is 1 request or more")
        self._rate = rate
        self._burst = burst or max(1.0, rate or 1.0)
        self._retry_after = retry_after
        self.reset()

    def reset(self) -> None:
        """Fill the bucket."""
        self._tokens = self._burst
        self._at = time.monotonic()

    def refusal(self) -> dict[str, str] | None:
        """Take a token and return None; without one, return the headers of the 429."""
        if self._rate is None:
            return None
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return None
        wait = max(1, math.ceil((1 - self._tokens) / self._rate))
        if self._retry_after == "seconds":
            return {"Retry-After": str(wait)}
        if self._retry_after == "date":
            return {"Retry-After": formatdate(time.time() + wait, usegmt=True)}
        return {}
