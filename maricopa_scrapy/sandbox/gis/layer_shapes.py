"""The shapes in which the county's layers write a row: E (typed), F (as E, with more fields) and A (padded
text), as JSON text by field.
"""

from collections.abc import Callable
from dataclasses import dataclass

from maricopa_scrapy.sandbox.gis.parcel_layer import _DAY_MS, _PHOENIX_MS, Facts, date_of

_NULL = "null"


def _text(value: str | None) -> str:
    return _NULL if value is None else f'"{value}"'


def _dash(apn: str) -> str:
    return f"{apn[:3]}-{apn[3:5]}-{apn[5:]}"


def _mail(f: Facts) -> tuple[str, str, str, str, str]:
    """Return name, address, town, state and ZIP of the owner; withheld ones as the assessor writes them."""
    if f["is_withheld"]:
        return "NA", "N/A", "NA", "NA", "0"
    return f["owner_name"], f["mail_address_1"], *f["mail_town"]


def _typed(f: Facts) -> dict[str, str]:
    apn, street, sale = f["apn"], f["street"], f["sale_date"]
    owner, mail, *town = _mail(f)
    return {
        "OBJECTID": str(f["row"]),
        "APN": f'"{apn}"',
        "APNDash": f'"{_dash(apn)}"',
        "PropertyFullStreetAddress": _text(" ".join(street) if street else None),
        "PropertyCity": f'"{f["town"]}"',
        "PropertyZipCode": f'"{f["zip"]}"',
        "OwnerName": f'"{owner}"',
        "OwnerAddressLine1": f'"{mail}"',
        "OwnerAddressLine2": _NULL,
        "OwnerCity": f'"{town[0]}"',
        "OwnerState": f'"{town[1]}"',
        "OwnerZipCode": f'"{town[2]}"',
        "PropertyUseCode": f'"{f["use"][0]}"',
        "PropertyUseDescription": f'"{f["use"][1]}"',
        "LandLegalClassCode": f'"{f["class"]}"',
        "LotSize_Acre": f"{f['lot_size_sqft'] / 43560:.17g}",
        "LotSize_SqFt": str(f["lot_size_sqft"]),
        "ConstructionYear": str(f["construction_year"]) if f["construction_year"] else _NULL,
        "LivableArea_SqFt": _NULL if f["livable_sqft"] is None else str(f["livable_sqft"]),
        "FullCashValue": str(f["full_cash_value"]),
        "LimitedPropertyValue": str(f["limited_property_value"]),
        "SubdivisionName": f'"{f["subdivision"]}"',
        "DeedNumber": _text(f["deed_number"]),
        "DeedDate": _NULL if f["deed_date"] is None else str(f["deed_date"] * _DAY_MS + _PHOENIX_MS),
        "DeedWebLink": (
            f'"https://recorder.maricopa.gov/recording/document-details.html?recordingNumber={f["deed_number"]}&suffix="'
        ),
        "SaleDate": _NULL if sale is None else str(sale * _DAY_MS + _PHOENIX_MS),
        "SalePrice": _NULL if f["sale_price"] is None else str(f["sale_price"]),
        "AssessorWebLink": f'"https://mcassessor.maricopa.gov/mcs/?q={apn}"',
        "Longitude_DD": f"{f['longitude']:.17g}",
        "Latitude_DD": f"{f['latitude']:.17g}",
        "Township": f'"{f["township"]}"',
        "Range": f'"{f["range"]}"',
        "Section": f'"{f["section"]}"',
    }


def _typed_more(f: Facts) -> dict[str, str]:
    house, direction, name, kind = map(_text, f["street"] or (None,) * 4)
    return {
        **_typed(f),
        "PropertyStreetNumber": house, "PropertyStreetPrefixDirection": direction, "PropertyStreetName": name,
        "PropertyStreetType": kind,
        "PropertySuite": _NULL, "OwnerCountry": '"NA"' if f["is_withheld"] else '"USA"', "Rental": '"No"',
        "Pool": '"No"', "Stories": '"1"',
        "Lot": f'"{f["lot"]}"', "Block": _NULL, "Tract": _NULL, "MCRNumber": f'"{f["mcr"]}"',
        "FloorLevel": str(f["floor"]),
        "SHAPE_Length": "128.54771920771077", "SHAPE_Area": f"{f['lot_size_sqft'] / 7.51:.17g}",
    }  # fmt: skip


def _padded(value: int | None, width: int) -> str:
    return _NULL if value is None else f'"{value:>{width},}"'


def _text_rows(f: Facts) -> dict[str, str]:
    apn, street, sale = f["apn"], f["street"], f["sale_date"]
    owner, mail, *town = _mail(f)
    house, direction, name, kind = map(_text, street or (None,) * 4)
    value = f["full_cash_value"]
    return {
        "OBJECTID": str(f["row"]), "APN": f'"{apn}"', "FLOOR": str(f["floor"]), "BOOK": f'"{apn[:3]}"',
        "MAP": f'"{apn[3:5]}"',
        "ITEM": f'"{apn[5:]}"', "OWNER_NAME": f'"{owner}"', "MAIL_ADDR1": f'"{mail}"', "MAIL_ADDR2": _NULL,
        "MAIL_CITY": f'"{town[0]}"', "MAIL_STATE": f'"{town[1]}"', "MAIL_ZIP": f'"{town[2]}"',
        "PHYSICAL_STREET_NUM": house,
        "PHYSICAL_STREET_DIR": direction, "PHYSICAL_STREET_NAME": name, "PHYSICAL_STREET_TYPE": kind,
        "PHYSICAL_SUITE": _NULL,
        "PHYSICAL_CITY": _text(f["town"] if street else None),
        "PHYSICAL_ZIP": _text(f["zip"] if street else None),
        "Shape_Length": "128.54771920771077", "Shape_Area": f"{f['lot_size_sqft'] / 7.51:.17g}",
        "APN_DASH": f'"{_dash(apn)}"',
        "LONGITUDE": f"{f['longitude']:.17g}", "LATITUDE": f"{f['latitude']:.17g}",
        "PHYSICAL_ADDRESS": f'"{" ".join(street)}   {f["town"]}  {f["zip"]}"' if street else '""',
        "MAIL_ADDRESS": f'"{mail} {town[0]} {town[1]} USA {town[2]}"', "MAIL_CNTRY": '"USA"',
        "PHYSICAL_STREET_SUFFIX": '""', "PHYSICAL_STREET_POSTDIR": _NULL,
        "DEED_NUMBER": _text(f["deed_number"]),
        "DEED_DATE": _NULL if f["deed_date"] is None else str(f["deed_date"] * _DAY_MS),
        "SALE_DATE": _NULL if sale is None else f'"{date_of(sale):%m/%d/%Y}"',
        "SALE_PRICE": _NULL if f["sale_price"] is None else f'"{f["sale_price"]}"', "MCRNUM": f'"{f["mcr"]}"',
        "SUBNAME": f'"{f["subdivision"]}"', "LAND_SIZE": str(f["lot_size_sqft"]), "LOT_NUM": f'"{f["lot"]}"',
        "STR": f'"{f["section"]} {f["township"]} {f["range"]}"',
        "CONST_YEAR": f'"{f["construction_year"]}"' if f["construction_year"] else '""',
        "LIVING_SPACE": _padded(f["livable_sqft"], 8),
        "INCAREOF": _NULL, "TAX_YR_CUR": '"2027"', "FCV_CUR": _padded(value, 12),
        "LPV_CUR": _padded(value * 61 // 100, 12),
        "TAX_YR_PREV": '"2026"', "FCV_PREV": _padded(value * 97 // 100, 12),
        "LPV_PREV": _padded(value * 58 // 100, 12),
        "PUC": f'"{f["use"][0]}"', "MCR_BOOK": f'"{f["mcr"].split("-")[0]}"',
        "MCR_PAGE": f'"{f["mcr"].split("-")[1]}"',
        "CITY_ZONING": '"CONTACT LOCAL JURISDICTION"', "JURISDICTION": f'"{f["jurisdiction"]}"',
        "LC_CUR": f'"{f["class"]}"',
        "LC_PREV": f'"{f["class"]}"', "BLOCK": _NULL, "TRACT": _NULL,
    }  # fmt: skip


_DOUBLES = ("LotSize_Acre", "LotSize_SqFt", "LivableArea_SqFt", "FullCashValue", "LimitedPropertyValue",
"SalePrice", "Longitude_DD",
            "Latitude_DD", "LONGITUDE", "LATITUDE", "Shape_Length", "Shape_Area", "SHAPE_Length",
            "SHAPE_Area")  # fmt: skip
_INTEGERS = ("ConstructionYear", "FLOOR", "FloorLevel", "LAND_SIZE")
_DATES = ("DeedDate", "DEED_DATE")


@dataclass(frozen=True)
class LayerShape:
    """How one layer writes a row; `cap` rows an answer, and the fields that hold an APN, the deed's date and
    the outline.
    """

    write: Callable[[Facts], dict[str, str]]
    cap: int
    apns: tuple[str, ...]
    deed_date: str
    days_begin_ms: int
    geometry: str = "Shape"

    def fields(self, sample: dict[str, str]) -> list[dict[str, object]]:
        """Return the layer's fields as its metadata and its envelopes list them."""
        return [self._field(name) for name in sample]

    def _field(self, name: str) -> dict[str, object]:
        if name == "OBJECTID":
            return {"name": name, "type": "esriFieldTypeOID", "alias": name}
        if name in _DOUBLES or name in _INTEGERS:
            return {
                "name": name,
                "type": f"esriFieldType{'Double' if name in _DOUBLES else 'Integer'}",
                "alias": name,
            }
        if name in _DATES or (name == "SaleDate" and self.days_begin_ms):
            return {"name": name, "type": "esriFieldTypeDate", "alias": name, "length": 8}
        return {"name": name, "type": "esriFieldTypeString", "alias": name, "length": 120}


SHAPES = {
    "E": LayerShape(_typed, 2000, ("APN", "APNDash"), "DeedDate", _PHOENIX_MS),
    "C": LayerShape(_typed, 2000, ("APN", "APNDash"), "DeedDate", _PHOENIX_MS),
    "A": LayerShape(_text_rows, 1000, ("APN", "APN_DASH"), "DEED_DATE", 0),
    "D": LayerShape(_text_rows, 2000, ("APN", "APN_DASH"), "DEED_DATE", 0),
    "F": LayerShape(_typed_more, 2000, ("APN", "APNDash"), "DeedDate", _PHOENIX_MS, "SHAPE"),
}
