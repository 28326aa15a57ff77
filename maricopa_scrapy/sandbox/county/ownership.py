"""Who owns a parcel and by which deed; the portfolios of institutions; the registration of a rental."""

import datetime as dt
from dataclasses import dataclass
from random import Random
from typing import Any

from maricopa_scrapy.sandbox.county import invented_names
from maricopa_scrapy.sandbox.county.periods import DEED, OWNER, last_change
from maricopa_scrapy.sandbox.county.seeded_chance import between, dice, number, pick, share

# Per period: how many of the parcels get another owner. A period is thirty days, the first begins on this
# day.
OWNER_SHARE = 0.06
PERIOD_DAYS = 30
_FIRST_PERIOD = dt.date(2025, 9, 1)
_DEED_TYPES = ("WD", "WD", "WD", "SW", "QC", "JT", "BD", "TD")
_MONEY = range(8, 160)


@dataclass(frozen=True, slots=True)
class Holding:
    """A parcel of an institution. It never changes hands. `address` is number, direction and street, or
    "".
    """

    owner: str
    kind: str
    address: str = ""


# owner, first parcel (book, map, item), how many, kinds in turn.
_PORTFOLIOS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("ARIZONA STATE LAND DEPT", "21231067", 57, ("Vacant Land Residential", "Vacant Land Commercial ")),
    ("ARIZONA STATE DEPT OF ADMIN", "11202091", 4, ("Vacant Land Residential", "Office")),
    (
        "SALT RIVER PROJECT AGRICULTURAL IMPROVEMENT AND POWER DISTRICT",
        "13301002",
        50,
        ("Commercial", "Vacant Land Commercial "),
    ),
    ("MARICOPA COUNTY", "11205131", 12, ("Commercial", "Vacant Land Residential", "Office")),
    ("MARICOPA COUNTY COMMUNITY COLLEGE DISTRICT", "12458182", 5, ("Public Facility",)),
    ("FLOOD CONTROL DISTRICT OF MARICOPA COUNTY", "50103005", 9, ("Vacant Land Residential",)),
    ("PHOENIX CITY OF", "10218779", 26, ("Commercial", "Office", "Vacant Land Commercial ")),
    ("MESA CITY OF", "14022158", 8, ("Commercial", "Public Facility")),
    ("TEMPE CITY OF", "13238011", 6, ("Public Facility", "Office")),
    ("SCOTTSDALE CITY OF", "17504051", 5, ("Public Facility",)),
    ("GLENDALE CITY OF", "20112064", 3, ("Public Facility", "Vacant Land Commercial ")),
    ("WICKENBURG TOWN OF", "50548021", 2, ("Public Facility",)),
    ("ROOSEVELT IRRIGATION DISTRICT", "50213001", 7, ("Vacant Land Commercial ",)),
    ("SAGUARO SINGLE FAMILY RENTAL TRUST", "30401010", 31, ("Residential", "Residential", "Townhouse")),
    ("QUAIL RUN HOMEOWNERS ASSOCIATION", "21701900", 1, ("Associated Residential Parcel",)),
)


def _portfolio(owner: str, first: str, count: int, kinds: tuple[str, ...]) -> dict[str, Holding]:
    item = int(first[5:])
    # Every third item, and a letter on every fifth parcel: neighbours of other owners stand between.
    apns = [
        f"{first[:5]}{(item + 3 * i) % 1000:03d}{'ABCDEFGH'[i % 8] if i % 5 == 4 else ''}"
        for i in range(count)
    ]
    return {apn: Holding(owner, kinds[i % len(kinds)]) for i, apn in enumerate(apns)}


HOLDINGS: dict[str, Holding] = {
    apn: holding for portfolio in _PORTFOLIOS for apn, holding in _portfolio(*portfolio).items()
} | {"11221001A": Holding("MARICOPA COUNTY", "Office", "301 W JEFFERSON ST")}


def owner_version(seed: int, epoch: int, apn: str, changed: float | None = None) -> int:
    """Return the last period up to `epoch` in which the parcel changed hands; 0 if it never did."""
    if apn in HOLDINGS:
        return 0
    if changed is not None:
        return last_change(seed, epoch, apn, changed, OWNER)
    return next((e for e in range(epoch, 0, -1) if share(seed, "sold", e, apn) < OWNER_SHARE), 0)


def owner(seed: int, epoch: int, apn: str, situs: str, changed: float | None = None) -> dict[str, Any]:
    """Return the 18 keys of /parcel/{apn}/owner-details. `situs` is the parcel's street address, where half
    of the owners live; `changed` as of the county.
    """
    version = owner_version(seed, epoch, apn, changed)
    rolls = dice(seed, "owner", version, apn)
    holding = HOLDINGS.get(apn)
    if holding:
        name, identity = holding.owner, dice("institution", holding.owner).getrandbits(128)
    else:
        name, identity = _name(rolls), rolls.getrandbits(128)
    redacted = holding is None and share(seed, "redacted", apn) < 0.01
    mailing = _mailing(dice("institution", name) if holding else rolls, "" if holding else situs)
    deed = _deed(rolls, version)
    if changed is not None and apn not in HOLDINGS:
        alone = last_change(seed, epoch, apn, changed, DEED)
        if alone > version:
            # No sale: what was paid for the parcel stays.
            later = _deed(dice(seed, "deed", alone, apn), alone)
            deed |= {name: later[name] for name in ("MostCurrentDeed", "DeedDate", "DeedType")}
    line = f"{mailing[0]}, {mailing[2]}, {mailing[3]} {mailing[4]}"
    return {
        "OwnerID": _guid(identity),
        "Ownership": None if redacted else name,
        "InCareOf": (
            f"{pick(rolls, invented_names.GIVEN)} {pick(rolls, invented_names.SURNAMES)}"
            if not redacted and rolls.random() < 0.03
            else None
        ),
        "ContoOwnership": "",
        "MailingAddress1": None if redacted else mailing[0],
        "MailingAddress2": None if redacted else mailing[1],
        "MailingCity": None if redacted else mailing[2],
        "MailingState": None if redacted else mailing[3],
        "MailingZip": None if redacted else mailing[4],
        "MailingCountry": None if redacted else "CAN" if mailing[3] == "AB" else "USA",
        **deed,
        "Redacted": redacted,
        "FullMailingAddress": None if redacted else line,
        "DeedTypeID": None,
    }


def withheld(held: dict[str, Any], is_old: bool = False) -> dict[str, Any]:
    """Return what the county says of an owner whom it withholds, as captured: no deed, and in older answers
    no DeedTypeID either.
    """
    hidden = (
        "Ownership",
        "MailingAddress1",
        "MailingCity",
        "MailingState",
        "MailingCountry",
        "FullMailingAddress",
    )
    nothing = ("MostCurrentDeed", "DeedDate", "DeedType")
    said = (
        held
        | dict.fromkeys(hidden, "NA")
        | dict.fromkeys(nothing)
        | {"InCareOf": "", "MailingAddress2": "", "MailingZip": "0"}
    )
    return {
        key: value
        for key, value in said.items()
        if key != "Redacted" and not (is_old and key == "DeedTypeID")
    }


def _name(rolls: Random) -> str:
    chance = rolls.random()
    if chance < 0.62:
        return _person(rolls) if chance < 0.3 else f"{_person(rolls)}/{_person(rolls)}"
    if chance < 0.78:
        surname, one, two = (
            pick(rolls, invented_names.SURNAMES),
            pick(rolls, invented_names.GIVEN),
            pick(rolls, invented_names.GIVEN),
        )
        return f"{one} {chr(65 + between(rolls, 0, 25))} {surname} AND {two} {surname} LIVING TRUST"
    if chance < 0.98:
        return f"{_company(rolls)} {between(rolls, 2, 999)} {pick(rolls, invented_names.BUSINESS)}"
    # Longer than the 100 characters that the search shows.
    return "/".join(f"{_company(rolls)} {pick(rolls, invented_names.BUSINESS)}" for _ in range(7))


def _person(rolls: Random) -> str:
    return (
        f"{pick(rolls, invented_names.SURNAMES)} {pick(rolls, invented_names.GIVEN)}"
        f" {chr(65 + between(rolls, 0, 25))}"
    )


def _company(rolls: Random) -> str:
    return pick(rolls, invented_names.COMPANY)


def _mailing(rolls: Random, situs: str) -> tuple[str, str | None, str, str, str]:
    town, state, postal = pick(rolls, invented_names.MAIL_TOWNS)
    street = f"{between(rolls, 100, 19999)} {pick(rolls, 'NSEW')} {pick(rolls, invented_names.STREETS)}"
    if situs and rolls.random() < 0.5:
        street, (town, state, postal) = situs, invented_names.MAIL_TOWNS[0]
    second = f"STE {between(rolls, 1, 90) * 10}" if rolls.random() < 0.1 else None
    return street, second, town, state, postal


def _deed(rolls: Random, version: int) -> dict[str, Any]:
    """The seven keys MostCurrentDeed to SaleDate: 2 in 3 old owners show no price, some no deed."""
    if version:
        day = _FIRST_PERIOD + dt.timedelta(
            days=PERIOD_DAYS * version - 1 - between(rolls, 0, PERIOD_DAYS - 1)
        )
        sold = True
    elif rolls.random() < 0.06:
        return dict.fromkeys(("MostCurrentDeed", "DeedDate", "DeedType", "SalePrice", "SaleDate"))
    else:
        day = dt.date(1988, 1, 4) + dt.timedelta(days=between(rolls, 0, 13300))
        sold = rolls.random() < 0.35
    # The month of the sale can precede the month of the deed.
    month = (day - dt.timedelta(days=25)) if rolls.random() < 0.3 else day
    return {
        "MostCurrentDeed": f"{day.year}{between(rolls, 0, 1_299_999):07d}",
        "DeedDate": day.strftime("%m/%d/%Y"),
        "DeedType": pick(rolls, _DEED_TYPES),
        "SalePrice": str(pick(rolls, _MONEY) * 5000) if sold else None,
        "SaleDate": f"{month.month:02d}/01/{month.year}" if sold else None,
    }


def _guid(bits: int) -> str:
    text = f"{bits:032X}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def rental(seed: int, apn: str, situs: str, owner_name: str | None, year_built: str | None) -> dict[str, Any]:
    """Return RentalInformation, flat, 18 keys. Telephone numbers are of the block that is reserved for
    fiction.
    """
    rolls = dice(seed, "rental", apn)
    phone = f"602-555-01{between(rolls, 0, 99):02d}"
    agent = f"{pick(rolls, invented_names.GIVEN)} {pick(rolls, invented_names.SURNAMES)}"
    address = (
        f"{between(rolls, 100, 9999)} {pick(rolls, 'NSEW')} {pick(rolls, invented_names.STREETS)}, PHOENIX,"
        " AZ 85007"
    )
    name = owner_name or ""
    # A contact is seldom registered; what is not known is blank, null, or the comma between town and state.
    contact = (agent, address, phone) if rolls.random() < 0.2 else ("", " ,  ", None)
    agency = (agent, address, phone) if rolls.random() < 0.1 else ("", " ", "")
    return {
        "ParcelNumber": apn,
        "SitusAddress": situs,
        "AccountNumber": f"{number(seed, 'account', apn) % 10**7:07d}",
        "OwnerBusinessEntity": name if name.endswith(("LLC", "LP", "INC", "TRUST")) else "",
        "PropertyType": "Single Family",
        "YearBuilt": year_built,
        "OwnershipType": "Business" if name.endswith(("LLC", "LP", "INC")) else "Individual",
        "OwnerName": name,
        "OwnerAddress": address,
        "OwnerPhone": phone,
        "BusinessContactName": contact[0],
        "BusinessContactAddress": contact[1],
        "BusinessContactPhone": contact[2],
        "AgentName": agency[0],
        "AgentAddress": agency[1],
        "AgentPhone": agency[2],
        "DateRegistered": (
            f"{between(rolls, 1, 12):02d}/{between(rolls, 1, 28):02d}/{between(rolls, 2008, 2024)}"
        ),
        "LastUpdate": f"{between(rolls, 1, 12):02d}/{between(rolls, 1, 28):02d}/2025",
    }
