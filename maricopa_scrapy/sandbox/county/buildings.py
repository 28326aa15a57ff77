"""What stands on a parcel: the residence, the improvements of commercial parcels, and parcels like it."""

from random import Random
from typing import Any

from maricopa_scrapy.sandbox.county import invented_names
from maricopa_scrapy.sandbox.county.seeded_chance import between, hundreds, pick

_WALLS = ('Bp - 8" Painted Block', "Fr - Frame Wood", "Concrete Block, Slumpstone", "Br - Brick")
_ROOFS = ("As - Asphalt", "Tl - Concrete Tile", "Bu - Built Up")
_COMMERCIAL = (
    "Loft",
    "Site Improvements",
    "Storage Warehouse",
    "Office Building",
    "Retail Store",
    "Mini-Warehouse",
    "Canopy",
)
_FORECLOSED = "R97"


def empty_residence(lot_size: str, market: str, neighborhood: str, built: str | None) -> dict[str, Any]:
    """Return residential-details of land and commercial parcels: 28 keys, most of them null, 0 or ""."""
    return {
        "ConstructionYear": built,
        "OriginalConstructionYear": built,
        "LotSize": lot_size,
        "LivableSpace": None,
        "Detached_Livable_sqft": None,
        "AssessorMarket": market,
        "AreaNeighborhood": neighborhood,
        "Pool": False,
        "PEImprovementQualityGrade": "2" if built else None,
        "ImprovementQualityGrade": "C" if built else None,
        "NumberOfCoveredPatios": 0,
        "NumberOfUncoveredPatios": 0,
        "NumberOfPatios": 0,
        "PatioType": "Uncovered",
        "ExteriorWalls": "Concrete Block, Slumpstone" if built else "",
        "RoofType": "",
        "BathFixtures": 0,
        "Cooling": None,
        "Heating": None,
        "NumberOfGarages": None,
        "NumberOfCarports": 0,
        "ParkingDetails": [],
        "LocationalFactors": "",
        "OtherStructures": "",
        "ParkingType": None,
        "CoveredParking": False,
        "LocationalCharacteristics": "",
        "PhysicalCondition": None,
    }


def residence(rolls: Random, lot_size: str, market: str, neighborhood: str) -> dict[str, Any]:
    """Return residential-details of a home: 28 keys. Counts are the number 0 or text such as "1"."""
    built = between(rolls, 1948, 2023)
    covered, uncovered = pick(rolls, (0, 0, 1, 2)), pick(rolls, (0, 1, 1))
    garages, carports = pick(rolls, (0, 1, 2, 2, 3)), pick(rolls, (0, 0, 0, 1))
    corner = rolls.random() < 0.1
    parking = (
        " and ".join(name for name, cars in (("Garage", garages), ("Carport", carports)) if cars) or None
    )
    found = empty_residence(lot_size, market, neighborhood, str(built))
    found |= {
        "OriginalConstructionYear": str(built - between(rolls, 0, 12) if rolls.random() < 0.1 else built),
        "LivableSpace": str(between(rolls, 640, 5200)),
        "Detached_Livable_sqft": str(between(rolls, 200, 900)) if rolls.random() < 0.03 else None,
        "Pool": str(between(rolls, 200, 800)) if rolls.random() < 0.3 else False,
        "PEImprovementQualityGrade": pick(rolls, ("Comparable", "Comparable", "Good", "Minimum")),
        "ImprovementQualityGrade": f"CLASS R{between(rolls, 2, 6)}",
        "NumberOfCoveredPatios": _count(covered),
        "NumberOfUncoveredPatios": _count(uncovered),
        "NumberOfPatios": _count(covered + uncovered),
        "PatioType": "Covered" if covered else "Uncovered",
        "ExteriorWalls": pick(rolls, _WALLS),
        "RoofType": pick(rolls, _ROOFS),
        "BathFixtures": _count(pick(rolls, (0, 3, 5, 6, 8, 11))),
        "Cooling": "RF - REFRIGERATION" if rolls.random() < 0.95 else None,
        "Heating": "Yes" if rolls.random() < 0.95 else None,
        "NumberOfGarages": str(garages) if garages else None,
        "NumberOfCarports": _count(carports),
        "ParkingDetails": (
            {"ParkingType": parking.split(" ")[-1], "ParkingCount": str(garages or carports)}
            if parking
            else []
        ),
        "LocationalFactors": "Corner," if corner else "",
        "ParkingType": parking,
        "CoveredParking": parking is not None,
        "LocationalCharacteristics": "Corner" if corner else "",
    }
    return found


def _count(number: int) -> int | str:
    return str(number) if number else 0


def improvements(rolls: Random) -> list[dict[str, Any]]:
    """Return one to four rows, numbered "000101", "000201" ..."""
    rows = []
    for i in range(between(rolls, 1, 4)):
        site = i > 0 and rolls.random() < 0.4
        rows.append(
            {
                "CCI": pick(rolls, "ABCDS"),
                "EffectiveAge": str(between(rolls, 0, 60)),
                "ImprovementDescription": "Site Improvements" if site else pick(rolls, _COMMERCIAL),
                "ImprovementNumber": f"{i + 1:04d}01",
                "ImprovementSquareFootage": "1" if site else str(between(rolls, 400, 90_000)),
                "QualityRank": str(between(rolls, 1, 4)),
                "Model": f"{between(rolls, 1, 899):03d}",
            }
        )
    return rows


def similar_parcels(rolls: Random, apn: str, lot_size: int, value: int) -> list[dict[str, Any]]:
    """Return up to five parcels of the same map, as the county compares them."""
    rows = []
    for _ in range(pick(rolls, (3, 5, 5, 5))):
        full = hundreds(value * (0.8 + 0.4 * rolls.random()))
        rows.append(
            {
                "Parcel": f"{apn[:3]}-{apn[3:5]}-{between(rolls, 1, 999):03d}",
                "LandSize": str(round(lot_size * (0.9 + 0.2 * rolls.random()))),
                "SalesPriceDate": f"${full + 20000} / {between(rolls, 1, 12)} -{between(rolls, 2021, 2025)}",
                "FullCashValue": str(full),
                "LivableSqFootage": str(between(rolls, 640, 5200)),
                "ConstructionYear": str(between(rolls, 1948, 2023)),
                "PoolArea": str(between(rolls, 200, 800)) if rolls.random() < 0.4 else [],
                "SitusAddress": (
                    f"{between(rolls, 100, 19999)} {pick(rolls, 'NSEW')}"
                    f" {pick(rolls, invented_names.STREETS)}"
                ),
                "ForeClosed": _FORECLOSED if rolls.random() < 0.05 else [],
            }
        )
    return rows
