"""What changes from one period to the next in a county whose offices agree (`County.changed`).

There, a period changes one part of the parcels, each in one way, and all offices tell the same: the layers
and the Sales Affidavits what the assessor tells. Without it each office has changes of its own.
"""

from maricopa_scrapy.sandbox.county.seeded_chance import share

# Another owner by a deed, a deed alone (into a trust, say), another value, a payment of all that is open.
OWNER, DEED, VALUE, PAYMENT = "owner", "deed", "value", "payment"
_PARTS = ((0.35, OWNER), (0.5, DEED), (0.75, VALUE), (1.0, PAYMENT))
_LAGGING = 0.1


def change_in(seed: int, period: int, apn: str, changed: float) -> str | None:
    """Return in which way a period changes a parcel; None for most of them."""
    chance = share(seed, "changed", period, apn)
    return next(kind for most, kind in _PARTS if chance < most * changed) if chance < changed else None


def last_change(seed: int, epoch: int, apn: str, changed: float, *kinds: str) -> int:
    """Return the last period up to `epoch` that changed the parcel in one of these ways; 0 if none did."""
    return next((e for e in range(epoch, 0, -1) if change_in(seed, e, apn, changed) in kinds), 0)


def is_late(seed: int, period: int, apn: str) -> bool:
    """Whether the layers tell a sale of this period only in the next one; the Sales Affidavits have it."""
    return share(seed, "late", period, apn) < _LAGGING
