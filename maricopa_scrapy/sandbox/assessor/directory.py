"""The searches: by word over all columns at once, as the county does it, over the first 2,000 parcels and all
holdings.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_apn
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.county.ownership import HOLDINGS
from maricopa_scrapy.sandbox.county.parcel import Situs
from maricopa_scrapy.sandbox.county.seeded_chance import number, share

Row = dict[str, Any]

PAGE_SIZE = 25
CATEGORIES = ("property", "rp", "bpp", "mh", "rental", "sub")
_DIRECTORY = 2000
_OWNERSHIP_MOST = 100
_WORD = re.compile(r"[A-Z0-9]+")
# A number of the house, a direction and a kind of street decide nothing as long as there is another word.
_WEAK = frozenset(
    (
        "OF",
        "AND",
        "THE",
        "ST",
        "RD",
        "DR",
        "AVE",
        "LN",
        "BLVD",
        "STREET",
        "ROAD",
        "DRIVE",
        "AVENUE",
        "UNIT",
        "AZ",
    )
)
_COMPACT = str.maketrans("", "", " ")


class Directory:
    """The searches of one county. Built at the first search by word."""

    def __init__(self, county: County) -> None:
        self._county = county

    def search(self, category: str, query: str, page: int) -> Row:
        """Return {"TOTAL", "Results"} for page 1, 2 ... of a category; a query without hits or a page past
        the end is empty.
        """
        found = self._find(category, query)
        first = PAGE_SIZE * (max(page, 1) - 1)
        return {"TOTAL": len(found), "Results": found[first : first + PAGE_SIZE]}

    def _find(self, category: str, query: str) -> list[Row]:
        if category in ("property", "rp"):
            try:
                return self._near(parse_apn(query))
            except IdentifierError:
                pass
        return self._tables[category].find(query)

    def _near(self, apn: str) -> list[Row]:
        """Return the parcel's row if it exists, for some also one of a similar number."""
        known = self._county.exists(apn)
        similar = apn[:8] if len(apn) > 8 else f"{apn[:5]}{(int(apn[5:]) + 1) % 1000:03d}"
        lists_similar = share(self._county.seed, "similar", apn) < 0.3 and self._county.exists(similar)
        apns = sorted([apn] * known + [similar] * lists_similar)
        return [_parcel_row(each, *self._county.undrawn(each)) for each in apns]

    @cached_property
    def _tables(self) -> dict[str, "_Table"]:
        rows: list[Row] = []
        others: dict[str, list[Row]] = {"bpp": [], "mh": [], "rental": [], "sub": []}
        subdivisions: dict[str, Row] = {}
        for apn in sorted({*self._county.apns(_DIRECTORY), *HOLDINGS}):
            parcel, situs = self._county.undrawn(apn)
            row = _parcel_row(apn, parcel, situs)
            rows.append(row)
            name = row["SubdivisonName"]
            subdivisions.setdefault(name, {"SubdivisionName": name, "ParcelCount": 0})["ParcelCount"] += 1
            if parcel["IsRental"]:
                others["rental"].append(_rental_row(apn, parcel, situs))
            if parcel["IsCommercial"] and apn not in HOLDINGS:
                others["bpp"].append(_business_row(row))
            elif parcel["IsResidential"] and number("mobile", apn) % 20 == 0:
                others["mh"].append(_mobile_home_row(row))
        others["sub"] = [subdivisions[name] for name in sorted(subdivisions)]
        real = _Table(rows)
        return {"property": real, "rp": real} | {name: _Table(found) for name, found in others.items()}


class _Table:
    """Rows and the words in them."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._at: dict[str, set[int]] = defaultdict(set)
        for i, row in enumerate(rows):
            for word in _words(row.values()):
                self._at[word].add(i)

    def find(self, query: str) -> list[Row]:
        """Return the rows that have every deciding word of the query, each in any column."""
        asked = set(_words([query]))
        deciding = {
            word for word in asked if len(word) > 1 and word not in _WEAK and not word[0].isdigit()
        } or asked
        if not deciding:
            return []
        hits = set.intersection(*(self._at.get(word, set()) for word in deciding))
        return [self._rows[i] for i in sorted(hits)]


def _words(texts: Iterable[Any]) -> Iterator[str]:
    for text in texts:
        if isinstance(text, str):
            yield from _WORD.findall(text.upper())


def _parcel_row(apn: str, parcel: Row, situs: Situs) -> Row:
    return {
        "MCR": parcel["MCR"],
        "SubdivisonName": parcel["SubdivisionName"],
        "SectionTownshipRange": parcel["SectionTownshipRange"].translate(_COMPACT),
        "APN": apn,
        "Ownership": (parcel["Owner"]["Ownership"] or "")[:_OWNERSHIP_MOST],
        "SitusAddress": situs.street,
        "SitusCity": situs.city,
        "SitusZip": situs.postal,
        "PropertyType": parcel["PropertyType"].upper(),
        "RentalID": None,
    }


def _rental_row(apn: str, parcel: Row, situs: Situs) -> Row:
    rental = parcel["RentalInformation"]
    return {
        "APN": apn,
        "Address": situs.street,
        "City": situs.city,
        "Zip": situs.postal,
        "Owner": rental["OwnerName"],
        "Contact": rental["BusinessContactName"],
        "Agent": rental["AgentName"],
        "Property": "",
    }


def _account(row: Row, kind: str) -> Row:
    return {
        "AccountNo": f"{number(kind, row['APN']) % 10**7:07d}",
        "Name1": row["Ownership"],
        "Name2": "",
        "SitusAddress": row["SitusAddress"],
        "SitusCity": row["SitusCity"],
        "SitusZip": row["SitusZip"],
    }


def _business_row(row: Row) -> Row:
    return _account(row, "bpp") | {"Name1": row["Ownership"].title(), "Multi": "", "Lease": ""}


def _mobile_home_row(row: Row) -> Row:
    vin = f"CAV{number('vin', row['APN']) % 10**6:06d}"
    return _account(row, "mh") | {
        "SitusCity": row["SitusCity"][:10],
        "Vin1": f"{vin}X",
        "Vin2": f"{vin}U",
        "Vin3": "",
        "Vin4": "",
    }
