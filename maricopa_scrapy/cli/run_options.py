"""What the options of `maricopa run` ask for; a schedule keeps the same ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from maricopa_scrapy.jobs.plan import Order

# Options of `run` that an order has under the same name.
_AS_GIVEN = (
    "mode", "apns", "owner", "address", "match", "priority", "execution", "skip_invalid", "apn_column",
)  # fmt: skip


def order_of(given: Mapping[str, Any]) -> "Order":
    """Return what the options of `run` ask for, by their names. Raises ArgumentError or PlanError."""
    from maricopa_scrapy.arguments import spider_arguments
    from maricopa_scrapy.jobs.plan import Order, PlanError

    older_than, sections = given["older_than"], given["sections"]
    within, as_of = given["within"], given["as_of"]
    if (within or as_of) and given["job_type"] != "refresh":
        option = "within" if within else "as-of"
        raise PlanError(f"--{option} goes with refresh, not with {given['job_type']}")
    if within and given["apns"]:
        raise PlanError("--within and --apns: give one of them")
    return Order(
        type=given["job_type"],
        as_of=as_of.replace(tzinfo=ZoneInfo("America/Phoenix")) if as_of else None,
        older_than=None if older_than is None else spider_arguments.age("older_than", older_than),
        sections=tuple(word.strip() for word in (sections or "").split(",") if word.strip()),
        **{name: given[name] for name in _AS_GIVEN} | ({"apns": within} if within else {}),
    )
