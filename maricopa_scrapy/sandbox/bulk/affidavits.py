"""The Sales Affidavits file of the sandbox county, of any length: written line by line, never held. Columns
as in the captured header.

Sales come in the order of their recording from January 2000 on. Deed numbers of 2000 have nine digits; one
price in 37 is missing, one deed in 6,812 dated in the future, three in a hundred are another parcel of the
deed before. Dirty lines are of the kinds that the county's has.
"""

import datetime as dt
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.county.invented_names import (
    BUSINESS,
    COMPANY,
    GIVEN,
    MAIL_TOWNS,
    STREETS,
    SURNAMES,
    TOWNS,
)
from maricopa_scrapy.sandbox.county.periods import OWNER, change_in

HEADER = (
    "PARCELNUMBER|SALEDATE_MMYYYY|SALEPRICE|DEEDNUMBER|DEEDDATE_MMDDYYYY|DEEDSTATUS|DEEDTYPE|PROPERTYTYPECODE|PROPERTYTYPEDESCRIPTION|"
    "PROPERTYTYPEOTHERDESCRIPTION|SITUSADDRESS|SITUSSUITE|SITUSCITY|SITUSZIP|"
    "GRANTOROWNERNAME|GRANTORADDRESSLINE1|GRANTORADDRESSLINE2|GRANTORCITY|GRANTORSTATE|GRANTORZIP|GRANTORCOUNTRY|"
    "GRANTEEOWNERNAME|GRANTEEADDRESSLINE1|GRANTEEADDRESSLINE2|GRANTEECITY|GRANTEESTATE|GRANTEEZIP|GRANTEECOUNTRY|"
    "FINANCETYPECODE|FINANCETYPEOTHERDESCRIPTION|DOWNPAYMENT|PARTIALINTERESTINDICATOR|PARTIALINTERESTPERCENT|PARTIALINTERESTDESCRIPTION|"
    "MULTIPARCELINDICATOR|NUMBEROFPARCELS|BUY_SELLRELATIONSHIPINDICATOR|BUY_SELLRELATIONSHIP|OWNEROCCUPANCYINDICATOR|"
    "ASSESSORCODE|ASSESSORCODEDESCRIPTION|PERSONALPROPERTYINDICATOR|PERSONALPROPERTYVALUE|PERSONALPROPERTYDESCRIPTION"
)
MEMBER = "Data/Sales_Affidavits.txt"

_FIRST_DAY, _DAYS = dt.date(2000, 1, 3), 9_730
_A_PIECE = 2_000
_TYPES = (
    ("A", "Vacant Land"),
    ("B", "Single Family Reside"),
    ("C", "Condo or Townhouse"),
    ("F", "Commercial/Industria"),
)
_DEEDS = ("WD", "SW", "JT", "JC", "QC", "SD")
_DIRECTIONS = ("N", "S", "E", "W")
_RELATED = ("N", "N", "N", "Y")
_Spoil = Callable[[list[str]], str]


def lines(county: County, count: int, dirty: int = 0, told: int = 0) -> Iterator[str]:
    """Yield the header and `count` lines, of which `dirty` do not have the file's shape, spread over it; in a
    county whose offices agree also a line for each sale of its periods, of the first `told` parcels.
    """
    if not 0 <= dirty <= count:
        raise ValueError("as many dirty lines as there are lines at the most")
    yield HEADER
    calendar = [_FIRST_DAY + dt.timedelta(days=day) for day in range(_DAYS)]
    parcels: Iterator[str] = iter(())
    due = _places(count, dirty)
    next_dirty, spoilt = next(due, count), 0
    deed, year, first_of_year = "", 0, 0
    for number in range(count):
        # Parcels are sold again and again.
        apn = next(parcels, None)
        if apn is None:
            parcels = islice(county.walk(), max(1, count // 2))
            apn = next(parcels)
        day = calendar[number * _DAYS // count]
        if day.year != year:
            year, first_of_year = day.year, number
        chances = struct.unpack("<8Q", blake2b(b"%d|sale|%d" % (county.seed, number)).digest())
        is_shared = bool(deed) and chances[0] % 33 == 0 and number != first_of_year
        if not is_shared:
            running = 267 + (number - first_of_year) * 25
            deed = f"{running:09d}" if year == 2000 else f"{year}{running:07d}"
        line = _line(apn, day, deed, is_shared, *chances)
        if number == next_dirty:
            line = _SPOIL[spoilt % len(_SPOIL)](line.split("|"))
            next_dirty, spoilt = next(due, count), spoilt + 1
        yield line
    yield from _sold(county, told)


def _sold(county: County, parcels: int) -> Iterator[str]:
    for apn in islice(county.walk(), parcels if county.changed is not None else 0):
        for period in range(1, county.epoch + 1):
            if change_in(county.seed, period, apn, county.changed or 0) == OWNER:
                held = county.at(period).known_to_others(apn)["Owner"]
                day = dt.datetime.strptime(held["DeedDate"], "%m/%d/%Y").date()  # noqa: DTZ007
                chances = struct.unpack("<8Q", blake2b(f"{county.seed}|{period}|{apn}".encode()).digest())
                yield _line(apn, day, held["MostCurrentDeed"], False, *chances)


def _places(count: int, dirty: int) -> Iterator[int]:
    return (int((at + 0.5) * count / dirty) for at in range(dirty))


def _line(
    apn: str,
    day: dt.date,
    deed: str,
    is_shared: bool,
    a: int,
    b: int,
    c: int,
    d: int,
    e: int,
    f: int,
    g: int,
    h: int,
) -> str:
    month = day.month if a >> 8 & 3 else day.month - 1 or 12
    sold = f"{month:02d}{day.year - (month > day.month)}"
    price = "" if b % 37 == 0 else str(50_000 + (b >> 8) % 9_500 * 100)
    dated = f"{day.month:02d}{min(day.day, 28):02d}{2044 + c % 56 if c % 6_812 == 5 else day.year}"
    code, kind = _TYPES[c >> 16 & 3]
    town, zips = TOWNS[d % len(TOWNS)][0], TOWNS[d % len(TOWNS)][2]
    situs = f"{100 + (d >> 8) % 30_000} {_DIRECTIONS[d >> 30 & 3]} {STREETS[(d >> 32) % len(STREETS)]}"
    parcels = 2 if is_shared else 1
    down = str((g >> 8) % 900 * 100) if g & 1 else ""
    return (
        f"{apn}|{sold}|{price}|{deed}|{dated}|X|{_DEEDS[c >> 20 & 3]}|{code}|{kind}||{situs}||{town}|"
        f"{zips[(d >> 40) % len(zips)]}|{_person(e)}|{_person(f)}|{'ABCD'[g >> 1 & 3]}||{down}|N|||"
        f"{'Y' if is_shared else 'N'}|{parcels}|{_RELATED[g >> 3 & 3]}||{'ABC'[h % 3]}|X|ABSENCE"
        " OF REJECT/WARNING/EXEMPT CODE|N||"
    )


def _person(chance: int) -> str:
    if chance & 3:
        name = f"{SURNAMES[(chance >> 8) % len(SURNAMES)]} {GIVEN[(chance >> 16) % len(GIVEN)]}"
    else:
        name = f"{COMPANY[chance >> 8 & 15]} {BUSINESS[chance >> 16 & 7]}"
    town, state, zip_code = MAIL_TOWNS[(chance >> 24) % len(MAIL_TOWNS)]
    street = (
        f"{100 + (chance >> 30) % 9_000} {_DIRECTIONS[chance >> 44 & 3]}"
        f" {STREETS[(chance >> 46) % len(STREETS)]}"
    )
    return f"{name}|{street}||{town}|{state}|{zip_code}|USA"


# What is wrong with a dirty line, in turn: the month of the sale; a column too many, or too few; columns that
# have moved.
_SPOIL: tuple[_Spoil, ...] = (
    lambda cells: "|".join([cells[0], "13" + cells[1][2:], *cells[2:]]),
    lambda cells: "|".join(["", *cells[:-1]]),
    lambda cells: "|".join([cells[0], "000000", *cells[2:]]),
    lambda cells: "|".join([*cells[:10], cells[10] + " | REAR", *cells[11:]]),
    lambda cells: "|".join([*cells[:4], "IA", *cells[5:]]),
    lambda cells: "|".join(cells[:-1]),
    lambda cells: "|".join([*cells[:16], "UNIT 2", *cells[16:-1]]),
)


def write_text(path: Path, text: Iterable[str]) -> None:
    """Write lines to a text file."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in text)


def write_zip(path: Path, text: Iterable[str]) -> None:
    """Write lines to the one text file of a zip, as the county packs it; the same lines make the same
    bytes.
    """
    member = zipfile.ZipInfo(MEMBER, (2026, 8, 28, 6, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    supply = iter(text)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(member, "w", force_zip64=True) as file,
    ):
        while piece := list(islice(supply, _A_PIECE)):
            file.write(("\n".join(piece) + "\n").encode())
