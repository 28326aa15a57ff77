"""The assessor's objects, key by key. The county's spellings (LocalJusidiction, ContoOwnership, APL_flag) end
here.
"""

from typing import Any

from maricopa_scrapy.parsing.shapes import Shape, json_part, text_or_json
from maricopa_scrapy.parsing.values import (
    code,
    coordinate,
    count,
    date,
    filled,
    flag,
    fraction,
    land,
    money,
    name,
    quantity,
    required_code,
    required_year,
    scalar,
    text,
    withheld,
    withheld_zip,
    year,
    yes_no,
)


def raw_value(value: object, path: str) -> Any:
    """Return the value as it is, for a caller that reads it further."""
    return value


# The first 19 keys of /parcel/{apn}, and all of /propertyinfo, are these and those of ASSOCIATED.
ASSOCIATED = Shape(
    "",
    associated_parcels=("AssociatedParcels", json_part),
    more_associated_parcels_exist=("MoreAssociatedParcelsExist", flag),
)

# The plain keys of /parcel/{apn}. Use and tax area are those of the newest valuation. Zoning is text, or a
# list that was always empty.
PARCEL = Shape(
    "",
    mcr=("MCR", code),
    property_address=("PropertyAddress", withheld),
    property_description=("PropertyDescription", text),
    lot_size_sqft=("LotSize", land),
    is_residential=("IsResidential", flag),
    mapid_exists=("MapidExists", flag),
    section_township_range=("SectionTownshipRange", text),
    assessor_market=("AssessorMarket", code),
    area_neighborhood=("AreaNeighborhood", code),
    subdivision_name=("SubdivisionName", text),
    lot=("Lot", text),
    high_school_district=("HighSchoolDistrict", text),
    elementary_school_district=("ElementarySchoolDistrict", text),
    jurisdiction=("LocalJusidiction", text),
    property_type=("PropertyType", text),
    parcel_status=("ParcelStatus", code),
    apl_flag=("APL_flag", code),
    zoning=("Zoning", text_or_json),
    is_rental=("IsRental", flag),
    is_pending=("IsPending", flag),
    is_cancelled=("IsCancelled", flag),
    is_commercial=("IsCommercial", flag),
    parcels_in_subdivision=("NumberOfParcelsInSubdivision", count),
    parcels_in_mcr=("NumberOfParcelsInMCR", count),
    parcels_in_str=("NumberOfParcelsInSTR", count),
    tax_area_code=("TaxAreaCode", code),
    property_use_code=("PropertyUseCode", code),
    property_use=("PEPropUseDesc", text),
)
LINKS = Shape(
    "",
    treasurer_url=("TreasurersTransitionUrl", text),
    deed_url=("DeedTransitionUrl", text),
    mcr_url=("McrTransitionUrl", text),
)
GEO = Shape(
    "Geo", latitude=("lat", coordinate), longitude=("long", coordinate), geo_address=("address", withheld)
)

OWNER = Shape(
    "Owner",
    owner_id=("OwnerID", code),
    ownership=("Ownership", withheld),
    in_care_of=("InCareOf", withheld),
    contract_ownership=("ContoOwnership", withheld),
    mailing_address_1=("MailingAddress1", withheld),
    mailing_address_2=("MailingAddress2", withheld),
    mailing_city=("MailingCity", withheld),
    mailing_state=("MailingState", withheld),
    mailing_zip=("MailingZip", withheld_zip),
    mailing_country=("MailingCountry", withheld),
    mailing_address=("FullMailingAddress", withheld),
    deed_number=("MostCurrentDeed", code),
    deed_date=("DeedDate", date),
    deed_type=("DeedType", code),
    deed_type_id=("DeedTypeID", code),
    sale_price=("SalePrice", money),
    sale_date=("SaleDate", date),
    is_redacted=("Redacted", flag),
)

VALUATION = Shape(
    "Valuations[]",
    tax_year=("TaxYear", required_year),
    full_cash_value=("FullCashValue", money),
    limited_property_value=("LimitedPropertyValue", money),
    assessed_fcv=("AssessedFCV", money),
    assessed_lpv=("AssessedLPV", money),
    assessment_ratio=("AssessmentRatioPercentage", fraction),
    legal_class_code=("LegalClassificationCode", code),
    legal_class=("LegalClassification", text),
    valuation_source=("ValuationSource", text),
    property_use_code=("PropertyUseCode", code),
    property_use=("PEPropUseDesc", text),
    tax_area_code=("TaxAreaCode", code),
    notice_of_change=("NoticeOfChangeIndc", yes_no),
)

RESIDENCE = Shape(
    "ResidentialPropertyData",
    construction_year=("ConstructionYear", year),
    original_construction_year=("OriginalConstructionYear", year),
    lot_size_sqft=("LotSize", land),
    livable_sqft=("LivableSpace", count),
    detached_livable_sqft=("Detached_Livable_sqft", count),
    assessor_market=("AssessorMarket", code),
    area_neighborhood=("AreaNeighborhood", code),
    pool_sqft=("Pool", quantity),
    pe_quality_grade=("PEImprovementQualityGrade", text),
    quality_grade=("ImprovementQualityGrade", text),
    covered_patios=("NumberOfCoveredPatios", count),
    uncovered_patios=("NumberOfUncoveredPatios", count),
    patios=("NumberOfPatios", count),
    patio_type=("PatioType", text),
    exterior_walls=("ExteriorWalls", text),
    roof_type=("RoofType", text),
    bath_fixtures=("BathFixtures", count),
    cooling=("Cooling", text),
    heating=("Heating", text),
    garages=("NumberOfGarages", count),
    carports=("NumberOfCarports", count),
    parking_details=("ParkingDetails", raw_value),
    parking_type=("ParkingType", text),
    has_covered_parking=("CoveredParking", flag),
    locational_factors=("LocationalFactors", text),
    locational_characteristics=("LocationalCharacteristics", text),
    other_structures=("OtherStructures", text),
    physical_condition=("PhysicalCondition", text),
)
PARKING_DETAILS = Shape(
    "ResidentialPropertyData.ParkingDetails",
    parking_details_type=("ParkingType", text),
    parking_details_count=("ParkingCount", count),
)

IMPROVEMENT = Shape(
    "Improvements[]",
    improvement_number=("ImprovementNumber", required_code),
    description=("ImprovementDescription", text),
    construction_class=("CCI", code),
    effective_age=("EffectiveAge", count),
    square_feet=("ImprovementSquareFootage", count),
    quality_rank=("QualityRank", code),
    model=("Model", code),
)

# Flat in all 15 captured answers. Its three telephone numbers are not read.
RENTAL = Shape(
    "RentalInformation",
    parcel_number=("ParcelNumber", code),
    situs_address=("SitusAddress", filled),
    account_number=("AccountNumber", code),
    owner_business_entity=("OwnerBusinessEntity", filled),
    property_type=("PropertyType", text),
    year_built=("YearBuilt", year),
    ownership_type=("OwnershipType", text),
    owner_name=("OwnerName", name),
    owner_address=("OwnerAddress", filled),
    business_contact_name=("BusinessContactName", name),
    business_contact_address=("BusinessContactAddress", filled),
    agent_name=("AgentName", name),
    agent_address=("AgentAddress", filled),
    registered_on=("DateRegistered", date),
    updated_on=("LastUpdate", date),
)

# Facts about other parcels, kept under the county's keys as it wrote them.
SIMILAR_PARCEL = Shape(
    "SimilarParcels[]",
    **{
        key: (key, scalar)
        for key in (
            "Parcel",
            "LandSize",
            "SalesPriceDate",
            "FullCashValue",
            "LivableSqFootage",
            "ConstructionYear",
            "PoolArea",
            "SitusAddress",
            "ForeClosed",
        )
    },
)

SKETCHES = Shape("Sketches", sketch_pages=("TotalPages", count), pages=("Pages", raw_value))
SKETCH = Shape(
    "Sketches.Pages[]", sketch=("Sketch", raw_value), page_num=("PageNum", count), apn=("APN", code)
)

MAP_FILES = Shape(
    "MapIDs",
    **{
        key: (key, raw_value)
        for key in ("Parcel Maps", "Subdivision Maps", "MCR Maps", "S/T/R Maps", "Book/Map Maps")
    },
)
MAP_FILE = Shape("MapIDs.*[]", **{key: (key, scalar) for key in ("FileName", "UpdateDate", "Url")})
