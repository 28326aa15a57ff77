"""Invented lines of the assessor's bulk files, in their captured form."""

RESIDENTIAL_HEADER = (
    "ParcelNumber|NumberOfStories|Class|Units|Cooling|Heating|BathFixtures|Walls|Roof|Other|YearBuilt|Area1|Area2|X1|X2|X3|Garage|Patio|X4|"
    "SalePrice|SaleDate|X5|X6|UseCode|OwnerName|OwnerAddr1stLine|OwnerAddr2ndLine|OwnerCity|OwnerState|OwnerZipCode|OwnerCountry|"
    "SitusStreetNum|SitusStreetDir|SitusStreetName|SitusStreetType|SitusStreetPostDir|SitusSuite|SitusCity|SitusZipCode"
)
"""Sixteen of the names are the county's, in its words; of the others nobody knows them."""


class BrokenPipeline:
    """Breaks on the third item."""

    count = 0

    def process_item(self, item: object) -> object:
        self.count += 1
        if self.count == 3:
            raise RuntimeError("broken on purpose")
        return item


def _apn(number: int) -> str:
    return f"{101 + number // 99_900}{number // 999 % 100:02d}{number % 999 + 1:03d}"


def secured_line(number: int, owner: str = "COPPER STATE HOLDINGS LLC") -> str:
    mail = f"PO BOX {number}||HOUSTON|TX|77210-{number % 10_000:04d}|USA"
    deed = f"2010{number % 1_000_000:07d}|09282010|SD"
    values = (
        f"57900|231700|289600|28960|135448|13544|0131|{number % 90}|||55% 2.R; 45% 1.12|100%"
        " 3.1|N|1446|5682|2010|0|111574|08012010"
    )
    return (
        f"{_apn(number)}|{owner}|{mail}|{number} S VILLA"
        f" ST||AVONDALE|85323|RESIDENTIAL|{deed}|{values}|67316|QUAIL RUN||650100"
    )


def residential_line(number: int) -> str:
    walls = (
        "1.00|CLASS R3|1|RF - REFRIGERATION|Yes|6|FS - FRAME STUCCO|CT - CONCRETE"
        " TILE|N/A|2010|1446|1446|0|0|0"
    )
    parking = "G2-380|CV-120 ; CV-120|0|111574|2010-08-01|0|0|0131"
    mail = f"COPPER STATE HOLDINGS LLC|{number} S VILLA ST||AVONDALE|AZ|85323|USA"
    return f"{_apn(number)}|{walls}|{parking}|{mail}|{number}|S|VILLA|ST|||AVONDALE|85323"
