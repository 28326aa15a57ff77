"""The valuation rows of a parcel: five or six tax years, newest first, every value a string."""

from dataclasses import dataclass
from random import Random
from typing import Any

from maricopa_scrapy.sandbox.county.periods import VALUE, last_change
from maricopa_scrapy.sandbox.county.seeded_chance import between, hundreds, share

# Per period: how many of the parcels get another full cash value in the newest year.
VALUE_SHARE = 0.04
_COMMERCIAL_RATIO = {2026: 0.155, 2025: 0.16, 2024: 0.165, 2023: 0.17, 2022: 0.175}


@dataclass(frozen=True, slots=True)
class Use:
    """Property use and legal class of a tax year; `class_code` is padded to four."""

    code: str
    name: str
    class_code: str
    legal_class: str


HOME = Use("0131", "Single Family Residence", "3.1 ", "PRIMARY RESIDENCE")
RENTED = Use("0131", "Single Family Residence", "4.2 ", "NON-PRIMARY RESIDENCE / RENTAL")
VACANT = Use("0011", "Vacant Residential Subdiv Lots", "2.R ", "AG / VACANT LAND / NON-PROFIT R/P")
MIXED = Use("3740", "Warehouses", "M   ", "MIXED")


def value_version(seed: int, epoch: int, apn: str, changed: float | None = None) -> int:
    """Return the last period up to `epoch` in which the newest full cash value changed; 0 if it never did."""
    if changed is not None:
        return last_change(seed, epoch, apn, changed, VALUE)
    return next((e for e in range(epoch, 0, -1) if share(seed, "valued", e, apn) < VALUE_SHARE), 0)


def valuations(rolls: Random, use: Use, tax_area: str, value: int, change: float) -> list[dict[str, Any]]:
    """Return the rows. `value` is dollars of the newest year before any period; `change` in (0, 1) marks a
    later value, 0 none.
    """
    newest = 2026 if rolls.random() < 0.7 else 2025
    count = 5 if rolls.random() < 0.12 else 6
    earlier = VACANT if rolls.random() < 0.04 else use
    changes_at = between(rolls, 2, 4)
    notice = rolls.random() < 0.02
    limited = value * (0.4 + 0.5 * rolls.random())
    rows = []
    for i in range(count):
        full = _changed(value, change) if i == 0 else str(value)
        if i == 0 and notice and not change:
            full = "na"
        rows.append(
            _row(
                newest - i,
                full,
                round(limited),
                use if i < changes_at else earlier,
                tax_area,
                notice and i == 0,
            )
        )
        value = hundreds(value * (0.86 + 0.2 * rolls.random()))
        limited /= 1.05
    return rows


def _changed(value: int, change: float) -> str:
    if not change:
        return str(value)
    # Never the old value: the step is at least one hundred dollars.
    return str(value + 100 + hundreds(value * 0.15 * change))


def _row(year: int, full: str, limited: int, use: Use, tax_area: str, notice: bool) -> dict[str, Any]:
    ratio = _ratio(use.class_code, year)
    return {
        "TaxYear": str(year),
        "FullCashValue": full,
        "LimitedPropertyValue": f"{limited:<12}",
        "LegalClassificationCode": use.class_code,
        "LegalClassification": use.legal_class,
        "AssessmentRatioPercentage": f"{ratio:.4f}",
        "AssessedFCV": "na",
        "AssessedLPV": f"{round(limited * ratio):<12}",
        "ValuationSource": "Notice",
        "PEPropUseDesc": use.name,
        "PropertyUseCode": use.code,
        "TaxAreaCode": tax_area,
        "NoticeOfChangeIndc": "Y" if notice else "N",
    }


def _ratio(class_code: str, year: int) -> float:
    if class_code in ("1.12", "M   "):
        return _COMMERCIAL_RATIO.get(year, 0.18)
    return 0.15 if class_code == "2.R " else 0.1
