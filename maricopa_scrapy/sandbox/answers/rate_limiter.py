"""A rate budget: a token bucket, as the county's seems to be."""

import math
import time
from email.utils import formatdate
from typing import Literal, get_args

RetryAfter = Literal["seconds", "date", "none"]
RETRY_AFTER: tuple[str, ...] = get_args(RetryAfter)


class Limiter:
    """`rate` tokens a second, at most `burst` saved up. Without a rate everything passes.

    `slow_down`: a request too many waits for its token instead of being refused.
    """

    def __init__(
        self,
        rate: float | None = None,
        burst: float | None = None,
        retry_after: RetryAfter = "none",
        slow_down: bool = False,
    ) -> None:
        self.change(rate, burst, retry_after, slow_down)
        self.reset()

    def change(
        self,
        rate: float | None = None,
        burst: float | None = None,
        retry_after: RetryAfter = "none",
        slow_down: bool = False,
    ) -> None:
        """Go on with another budget, keeping the tokens that are saved up. Raises ValueError."""
        if rate is not None and rate <= 0:
            raise ValueError("rate is requests per second, above 0")
        if burst is not None and burst < 1:
            raise ValueError("burst is 1 request or more")
        if retry_after not in RETRY_AFTER:
            raise ValueError(f"retry_after is one of {', '.join(RETRY_AFTER)}")
        self._rate = rate
        self._burst = burst or max(1.0, rate or 1.0)
        self._retry_after = retry_after
        self._slow_down = slow_down

    def reset(self) -> None:
        """Fill the bucket."""
        self._tokens = self._burst
        self._at = time.monotonic()

    def take(self) -> float:
        """Take a token; returns the seconds until there is one, 0 when it was there. A refused request takes
        none.
        """
        if self._rate is None:
            return 0.0
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        wait = max(0.0, (1 - self._tokens) / self._rate)
        if not wait or self._slow_down:
            self._tokens -= 1
        return wait

    def refusal(self, seconds: float) -> dict[str, str] | None:
        """Return the headers of the 429 for whoever would have to wait so long; None where waiting is the
        answer.
        """
        if self._slow_down or not seconds:
            return None
        wait = max(1, math.ceil(seconds))
        if self._retry_after == "seconds":
            return {"Retry-After": str(wait)}
        if self._retry_after == "date":
            return {"Retry-After": formatdate(time.time() + wait, usegmt=True)}
        return {}
