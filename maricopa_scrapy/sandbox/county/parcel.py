"""The whole answer of /parcel/{apn}: 41 keys in the county's order and spelling, RentalInformation for
rentals.
"""

from dataclasses import dataclass
from random import Random
from typing import Any

from maricopa_scrapy.sandbox.county import invented_names
from maricopa_scrapy.sandbox.county.buildings import empty_residence, improvements, residence, similar_parcels
from maricopa_scrapy.sandbox.county.drawings import map_ids, no_sketches, sketches
from maricopa_scrapy.sandbox.county.ownership import HOLDINGS, Holding, owner, rental, withheld
from maricopa_scrapy.sandbox.county.seeded_chance import between, dice, pick, share
from maricopa_scrapy.sandbox.county.valuations import (
    HOME,
    MIXED,
    RENTED,
    VACANT,
    Use,
    valuations,
    value_version,
)

PROPERTY_INFO_KEYS = 19
_ZONING = ("PAD", "RL-5", "R1-6", "C-2")
_RECORDER = "https://recorder.maricopa.gov/recording"
_NO_DEED = f"{_RECORDER}/document-details.html?recordingNumber=&suffix="
_TREASURER = "https://treasurer.maricopa.gov/PropertyTaxInformation/"
_COMMERCE = ("1.12", "COMMERCIAL / OTHER R/P")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A property type, with its part of all parcels in percent."""

    name: str
    percent: int
    use: Use
    home: bool = False
    commercial: bool = False


_KINDS = {
    kind.name: kind
    for kind in (
        _Kind("Residential", 60, HOME, home=True),
        _Kind("Condo", 12, Use("0741", "Condominium", "3.1 ", "PRIMARY RESIDENCE"), home=True),
        _Kind("Townhouse", 5, Use("0721", "Townhouse", "3.1 ", "PRIMARY RESIDENCE"), home=True),
        _Kind("Commercial", 5, Use("1210", "Retail Stores", *_COMMERCE), commercial=True),
        _Kind("Warehouse", 3, Use("3740", "Warehouses", *_COMMERCE), commercial=True),
        _Kind("Office", 3, Use("1510", "Office Buildings", *_COMMERCE), commercial=True),
        _Kind("Public Facility", 0, Use("9700", "Municipal Property", *_COMMERCE), commercial=True),
        _Kind("Vacant Land Residential", 8, VACANT),
        _Kind(
            "Vacant Land Commercial ", 3, Use("0021", "Vacant Commercial Land", "2.R ", VACANT.legal_class)
        ),
        _Kind("Associated Residential Parcel", 1, VACANT),
    )
}
_LOT = [kind for kind in _KINDS.values() for _ in range(kind.percent)]


@dataclass(frozen=True, slots=True)
class _Area:
    """What the parcels of one book and map share."""

    town: tuple[str, str, tuple[str, ...], str, str]
    mcr: str
    subdivision: str
    section: str
    market: str
    neighborhood: str
    tax_area: str
    counts: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Situs:
    """Where a parcel stands; all "" when it has no street address."""

    street: str
    city: str
    postal: str

    @property
    def line(self) -> str:
        """The county's one line."""
        return f"{self.street} {self.city}, AZ {self.postal}" if self.street else ""


def _area(seed: int, book_map: str) -> _Area:
    rolls = dice(seed, "area", book_map)
    return _Area(
        town=pick(rolls, invented_names.TOWNS),
        mcr=f"{between(rolls, 1, 1700)}{between(rolls, 1, 50):02d}",
        subdivision=pick(rolls, invented_names.SUBDIVISION) + pick(rolls, invented_names.PLAT),
        section=(
            f"{between(rolls, 1, 36)} {between(rolls, 1, 7)}{pick(rolls, 'NNNS')}"
            f" {between(rolls, 1, 9)}{pick(rolls, 'EEW')}"
        ),
        market=f"{between(rolls, 1, 28):02d}",
        neighborhood=f"{between(rolls, 1, 45):03d}",
        tax_area=f"{between(rolls, 30_000, 979_999):06d}",
        counts=(between(rolls, 1, 400), pick(rolls, (0, 0, 0, 120)), between(rolls, 300, 2400)),
    )


def _kind(rolls: Random, holding: Holding | None) -> _Kind:
    kind = pick(rolls, _LOT)
    return _KINDS[holding.kind] if holding else kind


def _situs(rolls: Random, area: _Area, kind: _Kind, holding: Holding | None) -> Situs:
    house, street = between(rolls, 100, 19999), f"{pick(rolls, 'NSEW')} {pick(rolls, invented_names.STREETS)}"
    postal, unit, nameless = pick(rolls, area.town[2]), between(rolls, 101, 3399), rolls.random() < 0.85
    if holding and holding.address:
        return Situs(holding.address, "PHOENIX", "85003")
    if not kind.home and not kind.commercial and nameless:
        return Situs("", "", "")
    # 301 W JEFFERSON ST is one parcel, the county's own office.
    line = f"{303 if house == 301 else house} {street}"
    return Situs(f"{line} UNIT {unit}" if kind.name == "Condo" else line, area.town[0], postal)


def build(
    seed: int, epoch: int, apn: str, drawn: bool = True, changed: float | None = None
) -> tuple[dict[str, Any], Situs]:
    """Return the answer and its address in parts. Not `drawn`: no sketch and no maps, for those that need
    neither. `changed` as of the county.
    """
    holding = HOLDINGS.get(apn)
    area, rolls = _area(seed, apn[:5]), dice(seed, "parcel", apn)
    kind = _kind(rolls, holding)
    situs = _situs(rolls, area, kind, holding)
    lot_size = between(rolls, 900, 2600) if kind.name == "Condo" else between(rolls, 4200, 60_000)
    value = (
        between(rolls, 900, 9000) * 100
        if kind.home or not kind.commercial
        else between(rolls, 3000, 90_000) * 100
    )
    rented = kind.home and rolls.random() < 0.2
    mixed = kind.commercial and rolls.random() < 0.04
    use = RENTED if rented and kind.use is HOME else MIXED if mixed else kind.use
    version = value_version(seed, epoch, apn, changed)
    rows = valuations(
        rolls, use, area.tax_area, value, share(seed, "value", version, apn) or 0.5 if version else 0.0
    )
    if kind.home:
        home = residence(rolls, str(lot_size), area.market, area.neighborhood)
    else:
        built = str(between(rolls, 1948, 2023)) if kind.commercial else None
        home = empty_residence(str(lot_size), area.market, area.neighborhood, built)
    held = owner(seed, epoch, apn, situs.street, changed)
    lot, pending = between(rolls, 1, 900), rolls.random() < 0.01
    answer = {
        "MCR": area.mcr,
        "AssociatedParcels": [],
        "MoreAssociatedParcelsExist": False,
        "PropertyAddress": situs.line,
        "PropertyDescription": area.subdivision if kind.home else f"{area.subdivision} LOT {lot}",
        "LotSize": str(lot_size),
        "IsResidential": kind.home,
        "MapidExists": False,
        "SectionTownshipRange": area.section,
        "AssessorMarket": area.market,
        "AreaNeighborhood": area.neighborhood,
        "SubdivisionName": area.subdivision,
        "Lot": str(lot),
        "HighSchoolDistrict": area.town[4],
        "ElementarySchoolDistrict": area.town[3],
        "LocalJusidiction": area.town[1],
        "PropertyType": kind.name,
        "ParcelStatus": "A",
        "APL_flag": "1",
        "Owner": held,
        "Geo": {"lat": None, "long": None, "address": situs.line},
        "Zoning": [],
        "IsRental": rented,
        "IsPending": pending,
        "McrTransitionUrl": (
            f"{_RECORDER}/map-results.html?book={int(area.mcr[:-2]):03d}&page={area.mcr[-2:]}"
        ),
        "TreasurersTransitionUrl": f"{_TREASURER}?Parcel={apn}",
        "DeedTransitionUrl": _deed_url(held["MostCurrentDeed"]),
        "IsCancelled": False,
        "NumberOfParcelsInSubdivision": area.counts[0],
        "IsCommercial": kind.commercial,
        "Improvements": improvements(rolls) if kind.commercial else [],
        "Valuations": rows,
        "TaxAreaCode": rows[0]["TaxAreaCode"],
        "PropertyUseCode": rows[0]["PropertyUseCode"],
        "PEPropUseDesc": rows[0]["PEPropUseDesc"],
        "NumberOfParcelsInMCR": area.counts[1],
        "NumberOfParcelsInSTR": area.counts[2],
        "ResidentialPropertyData": home,
        "SimilarParcels": similar_parcels(rolls, apn, lot_size, value) if kind.home else [],
        "Sketches": sketches(seed, apn) if drawn and (kind.home or kind.commercial) else no_sketches(),
        "MapIDs": map_ids(seed, apn) if drawn else {},
    }
    if rented:
        answer["RentalInformation"] = rental(
            seed, apn, situs.line, held["Ownership"], home["ConstructionYear"]
        )
    return answer, situs


def withheld_parcel(parcel: dict[str, Any], is_old: bool = False) -> dict[str, Any]:
    """Return the answer for a parcel whose owner the county withholds, with its address."""
    geo = parcel["Geo"] | {"address": "N/A"}
    said = parcel | {
        "Owner": withheld(parcel["Owner"], is_old),
        "PropertyAddress": "N/A",
        "Geo": geo,
        "DeedTransitionUrl": _NO_DEED,
    }
    if "RentalInformation" in parcel:
        said["RentalInformation"] = parcel["RentalInformation"] | {
            "OwnerName": "",
            "OwnerBusinessEntity": "",
            "OwnerAddress": " ,  ",
        }
    return said


def rare_forms(seed: int, apn: str, parcel: dict[str, Any]) -> dict[str, Any]:
    """Return the answer as it is for one parcel in 150, whose owner is withheld, and for one in 20, whose
    Zoning is text: as of 2024.
    """
    chance = share(seed, "withheld", apn)
    if chance < 1 / 150 and apn not in HOLDINGS:
        parcel = withheld_parcel(parcel, is_old=chance < 1 / 300)
    chance = share(seed, "zoning", apn)
    if chance < 0.05:
        zoning = _ZONING[int(chance * 20 * len(_ZONING))]
        parcel = {key: value for key, value in parcel.items() if key != "IsPending"} | {"Zoning": zoning}
    return parcel


def _deed_url(deed: str | None) -> str | None:
    return f"{_RECORDER}/document-details.html?recordingNumber={deed}&suffix=" if deed else None
