"""The hits of a question, best first: tier by tier, and in a tier by APN.

A tier is a place where all words stand: the owner, the address, the mailing address and the deed, several of
them together, a sale, a document. A parcel is a hit of its first tier alone, whichever table told it. A page
goes on behind the last hit's tier and key, so that no page costs more than the first.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.find import documents
from maricopa_scrapy.records.find.question import Question, QuestionError, Word

_COLUMNS = ("owner", "place", "other")
# What a column's words are of; each is a column of find.told, as a person reads it.
_SHOWN = {
    "owner": ("name",), "place": ("address", "city", "subdivision"), "other": ("mail", "deed_number")
}  # fmt: skip
_LABELS = {"name": "owner", "mail": "mailing address", "deed_number": "deed number"}
_SALE = "rank = 7"
# A batch is no shorter: of a common word most rows of it may be hits of an earlier tier.
_BATCH = 200
_AFTER = re.compile(r"(\d{1,2}):([0-9A-Z]{5,16})")
_WITHHELD = "SELECT apn FROM public.withheld WHERE apn = ANY(%s)"
_SEEN = """
    SELECT t.key, s.told_by, max(t.done_at)
    FROM crawl.target t
    JOIN (VALUES ('assessor', 'assessor.parcel'), ('assessor_page', 'assessor_page.parcel'),
                 ('treasurer', 'treasurer.account')) AS s (source, told_by) USING (source)
    WHERE t.state = 'done' AND t.kind = 'parcel' AND t.key = ANY(%(apns)s) GROUP BY 1, 2
    UNION ALL
    SELECT g.apn, 'gis.parcel', max(r.finished_at)
    FROM gis.parcel g JOIN gis.roll r ON r.state = 'complete' AND r.finished_at >= g.first_seen_at
    WHERE g.apn = ANY(%(apns)s)
      AND NOT EXISTS (SELECT FROM gis.not_in_layer n WHERE n.layer = r.layer AND n.apn = g.apn) GROUP BY 1
"""
# Not by a role that only reads, nor on a standby.
_TAKE_IN = """
    SELECT gin_clean_pending_list(indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname LIKE '%\\_find' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'gin')
      AND pg_has_role(c.relowner, 'USAGE') AND NOT pg_is_in_recovery()
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A parcel, or a document: `key` is its APN or recording number.

    `found_in` are the fields, `table` is who told them, `as_of` when it was last known to say so. `after` is
    the token that a page behind it begins with.
    """

    kind: str
    key: str
    apn: str | None
    owner: str | None
    address: str | None
    subdivision: str | None
    mailing_address: str | None
    deed_number: str | None
    price: int | None
    sold: str | None
    found_in: str
    table: str
    as_of: dt.datetime | None
    after: str


@dataclass(frozen=True, slots=True)
class _Tier:
    where: str
    columns: tuple[str, ...]
    # What a mixed tier is looked up by, one of them after the other: the words that the fewest rows have.
    drivers: tuple[str, ...] = ("true",)


def take_in(session: Session) -> None:
    """Have Postgres take in the rows that its indexes put aside, if our role may do it."""
    session.rows(_TAKE_IN)


def search(session: Session, question: Question, after: str | None = None) -> Iterator[Hit]:
    """Yield the hits, best first, from behind `after`. Raises QuestionError for a token that is none."""
    first, key = _place(after)
    values = _values(question)
    tiers = _tiers(session, question, values)
    if first > len(tiers):
        raise QuestionError(f"--after {after}: not a token that `maricopa find` printed for this question")
    for number, tier in enumerate(tiers):
        if number >= first:
            yield from _of_tier(
                session, question, tiers, number, tier, values, key if number == first else ""
            )
    if not question.is_filtered and question.apn is None:
        yield from _documents(session, question, len(tiers), key if first == len(tiers) else "")


def _place(after: str | None) -> tuple[int, str]:
    if after is None:
        return 0, ""
    token = _AFTER.fullmatch(after)
    if token is None:
        raise QuestionError(f"--after {after}: not a token that `maricopa find` printed")
    return int(token[1]), token[2]


def _values(question: Question) -> dict[str, Any]:
    values: dict[str, Any] = {
        "exact": "&".join(word.exact for word in question.words),
        "prefix": "&".join(word.prefix for word in question.words),
        "any": "|".join(word.prefix for word in question.words),
        "apn": question.apn,
        "apn_end": f"{question.apn}ZZZZZZZZZ",
        "low": question.price[0],
        "high": question.price[1],
        "since": question.sold_since,
    }
    for name in ("owner", "address", "city", "subdivision"):
        values[f"of_{name}"] = "&".join(word.prefix for word in getattr(question, name))
    return values | {f"word_{at}": word.prefix for at, word in enumerate(question.words)}


def _filters(question: Question) -> str:
    """Return the conditions of all tiers; those that an index has come as it says them."""
    conditions = [
        ("owner @@ %(of_owner)s::tsquery", question.owner),
        (
            "place @@ %(of_address)s::tsquery AND find.words(address) @@ %(of_address)s::tsquery",
            question.address,
        ),
        ("find.words(city) @@ %(of_city)s::tsquery", question.city),
        (
            "place @@ %(of_subdivision)s::tsquery AND find.words(subdivision) @@ %(of_subdivision)s::tsquery",
            question.subdivision,
        ),
        ("sold >= %(since)s", question.sold_since),
        ("price >= %(low)s", question.price[0] is not None),
        ("price <= %(high)s", question.price[1] is not None),
        ("apn BETWEEN %(apn)s AND %(apn_end)s", question.apn),
    ]
    return " AND ".join(["true", *(condition for condition, is_asked in conditions if is_asked)])


def _tiers(session: Session, question: Question, values: dict[str, Any]) -> list[_Tier]:
    filters = _filters(question)
    if not question.words:
        columns = tuple(
            column
            for column, is_asked in (
                ("owner", question.owner),
                ("place", question.address or question.city or question.subdivision),
            )
            if is_asked
        )
        return [_Tier(f"NOT {_SALE} AND {filters}", columns), _Tier(f"{_SALE} AND {filters}", columns)]
    one = [
        (f"{column} @@ %({form})s::tsquery", (column,))
        for column, form in (
            ("owner", "exact"),
            ("owner", "prefix"),
            ("place", "exact"),
            ("place", "prefix"),
            ("other", "prefix"),
        )
    ]
    present = f"NOT {_SALE} AND {filters}"
    tiers = [_Tier(f"{condition} AND {present}", columns) for condition, columns in one]
    anywhere = [_anywhere(at) for at in range(len(question.words))]
    rarest = _rarest(session, question.words) if len(question.words) > 1 else 0
    drivers = tuple(f"{column} @@ %(word_{rarest})s::tsquery" for column in _COLUMNS)
    mixed = " AND ".join(anywhere)
    if len(question.words) > 1:
        tiers.append(_Tier(f"{mixed} AND {present}", _COLUMNS, drivers))
    return [*tiers, _Tier(f"{mixed} AND {_SALE} AND {filters}", _COLUMNS, drivers)]


def _anywhere(at: int) -> str:
    return "(" + " OR ".join(f"{column} @@ %(word_{at})s::tsquery" for column in _COLUMNS) + ")"


def _rarest(session: Session, words: Sequence[Word]) -> int:
    """Return which word the planner expects in the fewest rows."""
    expected = []
    for word in words:
        ((plan,),) = session.rows(
            f"EXPLAIN (FORMAT JSON) SELECT FROM find.told WHERE {_anywhere(0)}", {"word_0": word.prefix}
        )
        plan = json.loads(plan) if isinstance(plan, str) else plan
        expected.append(plan[0]["Plan"]["Plan Rows"])
    return expected.index(min(expected))


def _of_tier(
    session: Session,
    question: Question,
    tiers: list[_Tier],
    number: int,
    tier: _Tier,
    values: dict[str, Any],
    after: str,
) -> Iterator[Hit]:
    # A row that is a hit of an earlier tier is left out here; a parcel of which another table has one, below.
    earlier = "".join(f" AND NOT ({one.where})" for one in tiers[:number])
    statement = " UNION ".join(
        f"(SELECT apn FROM find.told WHERE {driver} AND {tier.where}{earlier} AND apn > %(after)s"
        " ORDER BY apn LIMIT %(batch)s)"
        for driver in tier.drivers
    )
    while True:
        rows = session.rows(
            f"SELECT DISTINCT apn FROM ({statement}) t ORDER BY apn LIMIT %(batch)s",
            {**values, "after": after, "batch": _BATCH},
        )
        apns = [apn for (apn,) in rows]
        if not apns:
            return
        yield from _hits(session, question, tiers, number, apns, values)
        after = apns[-1]


def _hits(
    session: Session,
    question: Question,
    tiers: list[_Tier],
    number: int,
    apns: list[str],
    values: dict[str, Any],
) -> Iterator[Hit]:
    """Yield the hits among the APNs of a tier: not those of earlier tiers, nor withheld owners by a name."""
    left_out = {apn for (apn,) in session.rows(_WITHHELD, (apns,))}
    is_by_number = not question.is_filtered and len(question.words) == len(question.numbers)
    withheld, left_out = (left_out, set[str]()) if is_by_number else (set[str](), left_out)
    tier = tiers[number]
    before = " OR ".join(f"({one.where})" for one in tiers[:number])
    matched = ", ".join(
        f"find.words({shown}) @@ %(any)s::tsquery" if question.words else "false"
        for column in tier.columns
        for shown in _SHOWN[column]
    )
    rows = session.rows(
        "SELECT DISTINCT ON (apn) apn, told_by, name, address, subdivision, mail, deed_number, price, sold,"
        f" changed_at, ARRAY[{matched}]::boolean[] FROM find.told WHERE apn = ANY(%(apns)s) AND {tier.where}"
        " ORDER BY apn, rank, changed_at DESC",
        {**values, "apns": apns},
    )
    if before:
        seen_before = session.rows(
            f"SELECT DISTINCT apn FROM find.told WHERE apn = ANY(%(apns)s) AND ({before})",
            {**values, "apns": apns},
        )
        left_out |= {apn for (apn,) in seen_before}
    seen = {(apn, table): at for apn, table, at in session.rows(_SEEN, {"apns": apns})}
    names = [shown for column in tier.columns for shown in _SHOWN[column]]
    for apn, table, name, address, subdivision, mail, deed, price, sold, changed_at, is_matched in rows:
        if apn in left_out:
            continue
        fields = [_LABELS.get(one, one) for one, is_one in zip(names, is_matched, strict=False) if is_one]
        if "address" in fields and "city" in fields:
            # Most addresses end in their city.
            fields.remove("city")
        if table == "bulk.sale":
            fields = ["buyer or seller" if one == "owner" else one for one in fields]
        is_hidden = apn in withheld
        yield Hit(
            "parcel",
            apn,
            apn,
            "withheld" if is_hidden else name or None,
            None if is_hidden else address,
            subdivision,
            "withheld" if is_hidden else mail or None,
            deed,
            price,
            sold,
            ", ".join(fields) or ("APN" if question.apn else "filters"),
            table,
            max(filter(None, (changed_at, seen.get((apn, table))))),
            f"{number}:{apn}",
        )


def _documents(session: Session, question: Question, number: int, after: str) -> Iterator[Hit]:
    for one in documents.found(session, question, after):
        yield Hit(
            "document",
            one.number,
            one.apn,
            ", ".join(one.names) or None,
            None,
            None,
            None,
            one.number,
            None,
            f"{one.recorded_on:%Y-%m}" if one.recorded_on else None,
            one.found_in,
            one.table,
            one.as_of,
            f"{number}:{one.number}",
        )
