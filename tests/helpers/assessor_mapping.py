"""Where each leaf of /parcel/{apn} must be found, written down a second time, independently of the parser.

`check_parcel` walks the raw JSON: a leaf without a place fails, and so does a column that no leaf accounts
for.
"""

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from maricopa_scrapy.items import Record
from maricopa_scrapy.sources.assessor.records import (
    Improvement,
    Owner,
    Parcel,
    Related,
    Rental,
    Residence,
    Valuation,
)

Place = tuple[type[Record], str, Callable[[Any], Any]]


def same(value: Any) -> Any:
    return value


def said(value: Any) -> Any:
    value = value.replace("\0", "").strip() if isinstance(value, str) else value
    return None if value in ("", "na", None, [], {}) else value


def told(value: Any) -> Any:
    """A name or an address: NA and N/A stand for a withheld one, and what has no letter and no digit is
    nothing.
    """
    value = said(value)
    return (
        None if value is None or value.upper() in ("NA", "N/A") or not re.search(r"[^\W_]", value) else value
    )


def postal(value: Any) -> Any:
    return None if told(value) == "0" else told(value)


def whole(value: Any) -> int | None:
    value = said(value)
    return None if value is None or str(value).lower() == "na" else int(value)


def day(value: Any) -> dt.date | None:
    return dt.datetime.strptime(value, "%m/%d/%Y").date() if said(value) else None  # noqa: DTZ007 - a date


def decimal(value: Any) -> Decimal | None:
    return None if said(value) is None else Decimal(str(value).strip())


def pool(value: Any) -> int | None:
    return 0 if value is False else whole(value)


def yes(value: Any) -> bool | None:
    return {"Y": True, "N": False}.get(value.strip())


_MAP: dict[str, dict[str, str]] = {
    "": {
        "MCR": "mcr",
        "PropertyAddress": "!property_address",
        "PropertyDescription": "property_description",
        "LotSize": "#lot_size_sqft",
        "IsResidential": "=is_residential",
        "IsCommercial": "=is_commercial",
        "IsRental": "=is_rental",
        "IsPending": "=is_pending",
        "IsCancelled": "=is_cancelled",
        "MapidExists": "=mapid_exists",
        "SectionTownshipRange": "section_township_range",
        "AssessorMarket": "assessor_market",
        "AreaNeighborhood": "area_neighborhood",
        "SubdivisionName": "subdivision_name",
        "Lot": "lot",
        "HighSchoolDistrict": "high_school_district",
        "ElementarySchoolDistrict": "elementary_school_district",
        "LocalJusidiction": "jurisdiction",
        "PropertyType": "property_type",
        "ParcelStatus": "parcel_status",
        "APL_flag": "apl_flag",
        "TaxAreaCode": "tax_area_code",
        "PropertyUseCode": "property_use_code",
        "PEPropUseDesc": "property_use",
        "Geo.lat": ".latitude",
        "Geo.long": ".longitude",
        "Geo.address": "!geo_address",
        "Zoning": "zoning",
        "NumberOfParcelsInSubdivision": "#parcels_in_subdivision",
        "NumberOfParcelsInMCR": "#parcels_in_mcr",
        "NumberOfParcelsInSTR": "#parcels_in_str",
    },
    "Owner.": {
        "OwnerID": "owner_id",
        "Ownership": "!ownership",
        "InCareOf": "!in_care_of",
        "ContoOwnership": "!contract_ownership",
        "MailingAddress1": "!mailing_address_1",
        "MailingAddress2": "!mailing_address_2",
        "MailingCity": "!mailing_city",
        "MailingState": "!mailing_state",
        "MailingZip": "%mailing_zip",
        "MailingCountry": "!mailing_country",
        "MostCurrentDeed": "deed_number",
        "DeedDate": "@deed_date",
        "DeedType": "deed_type",
        "SalePrice": "#sale_price",
        "SaleDate": "@sale_date",
        "Redacted": "=is_redacted",
        "FullMailingAddress": "!mailing_address",
        "DeedTypeID": "deed_type_id",
    },
    "Valuations[].": {
        "TaxYear": "#tax_year",
        "FullCashValue": "#full_cash_value",
        "LimitedPropertyValue": "#limited_property_value",
        "LegalClassificationCode": "legal_class_code",
        "LegalClassification": "legal_class",
        "AssessmentRatioPercentage": ".assessment_ratio",
        "AssessedFCV": "#assessed_fcv",
        "AssessedLPV": "#assessed_lpv",
        "ValuationSource": "valuation_source",
        "PEPropUseDesc": "property_use",
        "PropertyUseCode": "property_use_code",
        "TaxAreaCode": "tax_area_code",
        "NoticeOfChangeIndc": "?notice_of_change",
    },
    "ResidentialPropertyData.": {
        "ConstructionYear": "#construction_year",
        "OriginalConstructionYear": "#original_construction_year",
        "LotSize": "#lot_size_sqft",
        "LivableSpace": "#livable_sqft",
        "Detached_Livable_sqft": "#detached_livable_sqft",
        "AssessorMarket": "assessor_market",
        "AreaNeighborhood": "area_neighborhood",
        "Pool": "~pool_sqft",
        "PEImprovementQualityGrade": "pe_quality_grade",
        "ImprovementQualityGrade": "quality_grade",
        "NumberOfCoveredPatios": "#covered_patios",
        "NumberOfUncoveredPatios": "#uncovered_patios",
        "NumberOfPatios": "#patios",
        "PatioType": "patio_type",
        "ExteriorWalls": "exterior_walls",
        "RoofType": "roof_type",
        "BathFixtures": "#bath_fixtures",
        "Cooling": "cooling",
        "Heating": "heating",
        "NumberOfGarages": "#garages",
        "NumberOfCarports": "#carports",
        "ParkingDetails.ParkingType": "parking_details_type",
        "ParkingDetails.ParkingCount": "#parking_details_count",
        "ParkingDetails": "parking_details_type",
        "LocationalFactors": "locational_factors",
        "OtherStructures": "other_structures",
        "ParkingType": "parking_type",
        "CoveredParking": "=has_covered_parking",
        "LocationalCharacteristics": "locational_characteristics",
        "PhysicalCondition": "physical_condition",
    },
    "Improvements[].": {
        "CCI": "construction_class",
        "EffectiveAge": "#effective_age",
        "ImprovementDescription": "description",
        "ImprovementNumber": "improvement_number",
        "ImprovementSquareFootage": "#square_feet",
        "QualityRank": "quality_rank",
        "Model": "model",
    },
    "RentalInformation.": {
        "ParcelNumber": "-apn",
        "SitusAddress": "!situs_address",
        "AccountNumber": "account_number",
        "OwnerBusinessEntity": "!owner_business_entity",
        "PropertyType": "property_type",
        "YearBuilt": "#year_built",
        "OwnershipType": "ownership_type",
        "OwnerName": "!owner_name",
        "OwnerAddress": "!owner_address",
        "BusinessContactName": "!business_contact_name",
        "BusinessContactAddress": "!business_contact_address",
        "AgentName": "!agent_name",
        "AgentAddress": "!agent_address",
        "DateRegistered": "@registered_on",
        "LastUpdate": "@updated_on",
    },
    "related": {
        "AssociatedParcels": "associated_parcels",
        "MoreAssociatedParcelsExist": "=more_associated_parcels_exist",
        "McrTransitionUrl": "mcr_url",
        "TreasurersTransitionUrl": "treasurer_url",
        "DeedTransitionUrl": "deed_url",
        "Sketches.TotalPages": "#sketch_pages",
        "SimilarParcels": "similar_parcels",
        "MapIDs": "map_files",
        "Sketches.Pages": "sketches",
        "Sketches": "sketches",
    },
}
_CLASSES: dict[str, type[Record]] = {
    "": Parcel,
    "Owner.": Owner,
    "Valuations[].": Valuation,
    "ResidentialPropertyData.": Residence,
    "Improvements[].": Improvement,
    "RentalInformation.": Rental,
    "related": Related,
}
_MARKS: dict[str, Callable[[Any], Any]] = {
    "#": whole,
    "=": same,
    "@": day,
    ".": decimal,
    "~": pool,
    "?": yes,
    "-": lambda value: value.replace("-", ""),
    "!": told,
    "%": postal,
}
# An empty list in place of these leaves no row, or a row without values.
_EMPTY_ROWS = {"Valuations": Valuation, "Improvements": Improvement, "RentalInformation": Rental}
_EMPTY_OBJECTS: dict[str, type[Record]] = {"Owner": Owner, "ResidentialPropertyData": Residence}

PLACES: dict[str, Place] = {
    ("" if prefix == "related" else prefix) + key: (
        _CLASSES[prefix],
        column.lstrip("#=@.~?-!%"),
        _MARKS.get(column[0], said),
    )
    for prefix, keys in _MAP.items()
    for key, column in keys.items()
}


def leaves(raw: Any, path: str = "", at: tuple[Any, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Yield (path, indices, value) of each scalar and of each empty container."""
    if isinstance(raw, dict) and raw:
        for key, value in raw.items():
            yield from leaves(value, f"{path}.{key}" if path else key, at)
    elif isinstance(raw, list) and raw:
        for index, value in enumerate(raw):
            yield from leaves(value, f"{path}[]", (*at, index))
    else:
        yield path, at, raw


def check_parcel(raw: Any, apn: str, records: list[Record]) -> int:
    """Assert that each leaf stands in its column and each column comes of a leaf; returns the number of
    leaves.
    """
    by_class: dict[type[Record], list[Record]] = {}
    for record in records:
        by_class.setdefault(type(record), []).append(record)
    open_columns = {
        (kind, index, column)
        for kind, rows in by_class.items()
        for index, row in enumerate(rows)
        for column, value in row.__dict__.items()
        if value is not None and column != "apn"
    }
    related = by_class[Related][0].__dict__
    total = 0
    for path, at, value in leaves(raw):
        total += 1
        if "phone" in path.lower():
            continue
        if path in _EMPTY_ROWS and not value:
            assert _EMPTY_ROWS[path] not in by_class, path
        elif path in _EMPTY_OBJECTS and not value:
            assert all(
                cell is None
                for column, cell in by_class[_EMPTY_OBJECTS[path]][0].__dict__.items()
                if column != "apn"
            )
        elif path == "Geo" and not value:
            assert by_class[Parcel][0].__dict__["geo_address"] is None
        elif path in PLACES:
            kind, column, convert = PLACES[path]
            index = at[0] if at else 0
            assert by_class[kind][index].__dict__[column] == convert(value), path
            open_columns.discard((kind, index, column))
        else:
            _check_nested(path, at, value, related, by_class, open_columns)
    for record in records:
        assert record.__dict__["apn"] == apn
    owner = by_class[Owner][0].__dict__
    if isinstance(raw.get("Owner"), dict) and "Redacted" not in raw["Owner"]:
        assert owner["is_redacted"] is (True if raw["Owner"]["Ownership"] == "NA" else None)
        open_columns.discard((Owner, 0, "is_redacted"))
    residence = by_class[Residence][0].__dict__
    assert residence["has_pool"] == (None if residence["pool_sqft"] is None else residence["pool_sqft"] > 0)
    open_columns.discard((Residence, 0, "has_pool"))
    assert not open_columns, f"columns that no leaf explains: {open_columns}"
    return total


def _check_nested(
    path: str,
    at: tuple[Any, ...],
    value: Any,
    related: dict[str, Any],
    by_class: dict[type[Record], list[Record]],
    open_columns: set[Any],
) -> None:
    if match := re.fullmatch(r"SimilarParcels\[\]\.(\w+)", path):
        assert related["similar_parcels"][at[0]][match[1]] == said(value), path
        open_columns.discard((Related, 0, "similar_parcels"))
    elif match := re.fullmatch(r"MapIDs\.([\w/ ]+)\[\]\.(\w+)", path):
        assert related["map_files"][match[1]][at[0]][match[2]] == said(value), path
        open_columns.discard((Related, 0, "map_files"))
    elif match := re.fullmatch(r"MapIDs\.([\w/ ]+)", path):
        assert related["map_files"][match[1]] == value == []
        open_columns.discard((Related, 0, "map_files"))
    elif match := re.fullmatch(r"Sketches\.Pages\[\]\.([\w.]+)", path):
        page = related["sketches"][at[0]]
        if match[1] == "Sketch" and value:
            digest = hashlib.sha256(base64.b64decode(value)).hexdigest()
            assert (page["sha256"], page["length"]) == (digest, len(value))
        elif match[1] == "Sketch":
            assert (page["sha256"], page["length"]) == (None, 0)
        else:
            assert page[
                {"PageNum": "page_num", "APN": "apn"}.get(match[1], match[1].removeprefix("Sketch."))
            ] == (value.replace("-", "") if match[1] == "APN" else value)
        open_columns.discard((Related, 0, "sketches"))
    elif match := re.fullmatch(r"(Zoning|AssociatedParcels)\[\](?:\.(\w+))?", path):
        kind, column = (Parcel, "zoning") if match[1] == "Zoning" else (Related, "associated_parcels")
        part = by_class[kind][0].__dict__[column][at[0]]
        assert (part[match[2]] if match[2] else part) == value
        open_columns.discard((kind, 0, column))
    else:
        raise AssertionError(f"no column is written down for {path}")
