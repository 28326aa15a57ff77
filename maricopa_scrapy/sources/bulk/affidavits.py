"""The Sales Affidavits file: every sale since 2000 with price, seller and buyer. Columns: docs/sources.md
(captured: header, one row).
"""

from maricopa_scrapy.sources.bulk.file_layout import FileShape
from maricopa_scrapy.sources.bulk.records import Sale

_HEADER = """
    PARCELNUMBER SALEDATE_MMYYYY SALEPRICE DEEDNUMBER DEEDDATE_MMDDYYYY DEEDSTATUS DEEDTYPE
    PROPERTYTYPECODE PROPERTYTYPEDESCRIPTION PROPERTYTYPEOTHERDESCRIPTION SITUSADDRESS SITUSSUITE
    SITUSCITY SITUSZIP GRANTOROWNERNAME GRANTORADDRESSLINE1 GRANTORADDRESSLINE2 GRANTORCITY GRANTORSTATE
    GRANTORZIP GRANTORCOUNTRY GRANTEEOWNERNAME GRANTEEADDRESSLINE1 GRANTEEADDRESSLINE2 GRANTEECITY
    GRANTEESTATE GRANTEEZIP GRANTEECOUNTRY FINANCETYPECODE FINANCETYPEOTHERDESCRIPTION DOWNPAYMENT
    PARTIALINTERESTINDICATOR PARTIALINTERESTPERCENT PARTIALINTERESTDESCRIPTION MULTIPARCELINDICATOR
    NUMBEROFPARCELS BUY_SELLRELATIONSHIPINDICATOR BUY_SELLRELATIONSHIP OWNEROCCUPANCYINDICATOR
    ASSESSORCODE ASSESSORCODEDESCRIPTION PERSONALPROPERTYINDICATOR PERSONALPROPERTYVALUE
    PERSONALPROPERTYDESCRIPTION
"""
_KINDS = """
    apn month dollars recording_number us_date word word word text text text text text zip
    text text text text state mail_zip country text text text text state mail_zip country
    word text dollars letter percent text letter count letter text letter word text letter dollars text
"""

NAME = "sales_affidavits"
# Grain: parcel and deed. A deed with several lines for one parcel keeps them all, numbered.
SALES_AFFIDAVITS = FileShape(
    "Sales Affidavits",
    Sale,
    _KINDS.split(),
    tuple(_HEADER.split()),
    is_headed=True,
    key=(0, 3),
    raw=(3,),
    is_numbered=True,
    dates=("deed_date", "sale_month"),
)
