"""The hits of a question, best first: tier by tier, and in a tier by APN.

A tier is a place where all words stand: the owner, the address, the mailing address and the deed, several of
them together, a sale, a document. A parcel is a hit of its first tier alone, whichever table told it. A page
goes on behind the last hit's tier and key, so that no page costs more than the first.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.find import documents
from maricopa_scrapy.records.find.question import Question, QuestionError, Word

# What a person reads, in the columns of find.told.
_SHOWN = ("name", "address", "city", "subdivision", "mail", "deed_number")
_LABELS = {"name": "owner", "mail": "mailing address", "deed_number": "deed number"}
_SALE = "rank = 7"
# APNs that are looked at at once: a page to begin with, then ever more.
_BATCH = 40
_BATCH_MOST = 1_000
# So many rows are graded finely.
_FEW = 200
# Where more are expected, it is not looked whether they are few.
_MANY = 1_000
# So many are expected where more than few were found.
_OFTEN = 2_000
# As long as one row is read, the index collects so many of those that have a beginning.
_COLLECTED = 200
_AFTER = re.compile(r"(\d{1,2}):([0-9A-Z]{5,16})")
# What share of the rows has a word that the statistics do not know; of a short beginning, many rare words.
_RARE, _RARE_SHORT = 0.0005, 0.002
_PREFIX_OF_MANY = 4
# An APN begins with the number of its book.
_BOOKS = 1_000
# Set for each statement: the bitmap of a common word's rows fits, and no worker is waited for.
_PLAN = "SET LOCAL work_mem = '64MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off;"
_SHARES = """
    SELECT attname::text, asked, least(sum(share), 1) FROM pg_stats s
    CROSS JOIN LATERAL unnest(most_common_elems::text::text[], most_common_elem_freqs) AS e (word, share)
    JOIN unnest(%s::text[]) AS asked ON starts_with(word, asked) AND (word = asked OR asked ~ '^[^0-9]{3}')
    WHERE s.schemaname = 'gis' AND s.tablename = 'gis_parcel_find' AND s.attname LIKE 'words%%' GROUP BY 1, 2
    UNION ALL
    SELECT 'book', book, share FROM pg_stats s
    CROSS JOIN LATERAL unnest(most_common_elems::text::text[], most_common_elem_freqs) AS e (book, share)
    WHERE s.schemaname = 'gis' AND s.tablename = 'gis_parcel_find' AND s.attname = 'array'
    UNION ALL SELECT 'rows', '', reltuples FROM pg_class WHERE oid = 'gis.parcel'::regclass
"""
# Each table's view, and what it has in common with others of a parcel: the least counts first.
_VIEWS = (
    ("assessor.owner", 1, "assessor_by_owner"), ("assessor.owner", 1, "assessor_by_parcel"),
    ("assessor.parcel", 1, "assessor_ownerless"), ("assessor_page.parcel", 2, "page_parcel"),
    ("gis.parcel", 3, "gis_parcel"), ("bulk.secured_master", 4, "secured_master"),
    ("bulk.residential_master", 5, "residential_master"), ("treasurer.account", 6, "account"),
    ("bulk.sale", 7, "sale"),
)  # fmt: skip
_FILLED = f"SELECT {', '.join(f'EXISTS (SELECT FROM {table})' for table, *_ in _VIEWS)}"
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
    # Where its words are.
    shown: tuple[str, ...] = _SHOWN
    # Told only of few hits: of many, its hits are among those of a later one.
    is_fine: bool = False


def take_in(session: Session) -> None:
    """Have Postgres take in the rows that its indexes put aside, if our role may do it."""
    session.rows(_TAKE_IN)


def search(session: Session, question: Question, after: str | None = None) -> Iterator[Hit]:
    """Yield the hits, best first, from behind `after`. Raises QuestionError for a token that is none."""
    first, key = _place(after)
    values = _values(question)
    looked_up = question.words or (*question.owner, *question.address, *question.subdivision)
    shares = _shares(session, looked_up, question.taken)
    values |= {
        "rarest": shares.rarest,
        "rarest_exact": shares.rarest_exact,
        "rare": shares.rare,
    }
    told = _told(session)
    tiers = _tiers(question)
    if first > len(tiers):
        raise QuestionError(f"--after {after}: not a token that `maricopa find` printed for this question")
    few: dict[int, list[str]] | None = None
    if shares.rows * shares.anywhere <= _MANY:
        few = _few(session, question, told, tiers, values)
        if few is None and shares.rows > _OFTEN:
            # Words that are more often together than each would say.
            often = _OFTEN / shares.rows
            shares = replace(shares, anywhere=max(shares.anywhere, often), owner=max(shares.owner, often))
    for number in range(first, len(tiers)):
        behind = key if number == first else ""
        if few is None and tiers[number].is_fine:
            continue
        if few is None:
            yield from _of_tier(session, question, told, tiers, number, values, behind, shares)
        elif apns := [apn for apn in few.get(number, []) if apn > behind]:
            for part in _parts(apns):
                yield from _hits(session, question, told, tiers, number, part, values, is_first=True)
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
    return values


def _filters(question: Question) -> str:
    """Return the conditions of all tiers; those that an index has come as it says them."""
    conditions = [
        ("owner @@ %(of_owner)s::tsquery", question.owner),
        (f"{_of('address')} AND find.words(address) @@ %(of_address)s::tsquery", question.address),
        ("find.words(city) @@ %(of_city)s::tsquery", question.city),
        (
            f"{_of('subdivision')} AND find.words(subdivision) @@ %(of_subdivision)s::tsquery",
            question.subdivision,
        ),
        ("sold >= %(since)s", question.sold_since),
        ("price >= %(low)s", question.price[0] is not None),
        ("price <= %(high)s", question.price[1] is not None),
        ("apn BETWEEN %(apn)s AND %(apn_end)s", question.apn),
    ]
    return " AND ".join(["true", *(condition for condition, is_asked in conditions if is_asked)])


def _of(name: str) -> str:
    # By the index, where the table has one for all of its words.
    return f"told @@ %(of_{name})s::tsquery"


def _tiers(question: Question) -> list[_Tier]:
    filters = _filters(question)
    present, sale = f"NOT {_SALE} AND {filters}", f"{_SALE} AND {filters}"
    if not question.words:
        indexed = "half @@ %(rarest)s::tsquery AND "
        if not (question.owner or question.address or question.subdivision):
            indexed = ""
        return [_Tier(indexed + present, ()), _Tier(indexed + sale, ())]
    place = "find.words(address, city, subdivision) @@ %({})s::tsquery"
    exact = "half @@ %(rarest_exact)s::tsquery AND told @@ %(exact)s::tsquery AND "
    prefix = "half @@ %(rarest)s::tsquery AND told @@ %(prefix)s::tsquery AND "
    return [
        _Tier(f"owner @@ %(exact)s::tsquery AND {present}", ("name",)),
        _Tier(f"owner @@ %(prefix)s::tsquery AND {present}", ("name",)),
        _Tier(f"{place.format('exact')} AND {exact}{present}", is_fine=True),
        _Tier(f"{place.format('prefix')} AND {prefix}{present}", is_fine=True),
        _Tier(exact + present),
        _Tier(prefix + present),
        _Tier(prefix + sale),
    ]


@dataclass(frozen=True, slots=True)
class _Shares:
    """The word that the fewest rows of a roll have, as tsqueries; `rare` with it, those of the others that it
    takes to leave few rows; the shares that may have all words; how many rows a roll has, and what share of
    them each book has.
    """

    rarest: str = ""
    rarest_exact: str = ""
    rare: str = ""
    anywhere: float = 0.0
    owner: float = 0.0
    rows: float = 0.0
    books: tuple[float, ...] = ()


def _shares(session: Session, words: Sequence[Word], taken: Mapping[str, list[str]]) -> _Shares:
    """Return how common the words are, by the statistics of autovacuum, in which rare words are not."""
    if not words:
        return _Shares()
    forms = {word.text: [word.text, *taken.get(word.text, [])] for word in words}
    asked = sorted({form for of_word in forms.values() for form in of_word})
    known: dict[tuple[str, str], float] = {
        (column, form): share for column, form, share in session.rows(_SHARES, (asked,))
    }

    def share(column: str, word: Word) -> float:
        is_short = len(word.text) <= _PREFIX_OF_MANY and not word.text.isdigit()
        least = _RARE_SHORT if is_short else _RARE
        return max(least, min(1.0, sum(known.get((column, form), 0.0) for form in forms[word.text])))

    of_word = {word: share("words", word) for word in words}
    by_share = sorted(words, key=lambda word: (of_word[word], -len(word.text)))
    rows = max(0.0, known[("rows", "")])
    # The rows of a whole word are not collected.
    rare = [by_share[0], *(word for word in by_share[1:] if _is_whole(word))]
    expected = rows * prod(of_word[word] for word in rare)
    for word in by_share[1:]:
        if word not in rare and expected * _COLLECTED > rows * of_word[word]:
            rare.append(word)
            expected *= of_word[word]
    anywhere = prod(of_word.values())
    # The words of a name are seldom by themselves.
    owner = max(anywhere, prod(share("words1", word) for word in words))
    books = tuple(known.get(("book", f"{book:03}"), 0.0) for book in range(_BOOKS))
    rarest = by_share[0]
    return _Shares(
        rarest.prefix,
        rarest.exact,
        "&".join(word.prefix for word in rare),
        anywhere,
        owner,
        rows,
        books,
    )


def _is_whole(word: Word) -> bool:
    return ":*" not in word.prefix


def _told(session: Session) -> str:
    """Return find.told without the tables that have no row: the planner looks at each."""
    (filled,) = session.rows(_FILLED)
    legs = [
        f"SELECT {rank} AS rank, * FROM find.{view}"
        for (_, rank, view), has_rows in zip(_VIEWS, filled, strict=True)
        if has_rows
    ]
    return f"({' UNION ALL '.join(legs)}) told" if legs else "find.told"


def _few(
    session: Session, question: Question, told: str, tiers: list[_Tier], values: dict[str, Any]
) -> dict[int, list[str]] | None:
    """Return the APNs of each tier, where they are few in all: one statement instead of one for each tier.

    None where they are many, and of a question without words.
    """
    if not question.words:
        return None
    tier_of = " ".join(f"WHEN {tier.where} THEN {number}" for number, tier in enumerate(tiers))
    # By the rare words alone: of a common one, the index would first collect all rows.
    first = f"(SELECT * FROM {told} WHERE half @@ %(rarest)s::tsquery AND told @@ %(rare)s::tsquery OFFSET 0)"
    # First how many there are.
    rows = session.rows(
        f"{_PLAN} WITH found AS MATERIALIZED (SELECT apn, rank, half, told, owner, address, city,"
        f" subdivision, sold, price FROM {first} told WHERE told @@ %(prefix)s::tsquery AND"
        f" {_filters(question)} LIMIT {_FEW}), counted AS (SELECT count(*) AS rows FROM found)"
        f" SELECT apn, CASE WHEN c.rows < {_FEW} THEN CASE {tier_of} END END FROM found, counted c",
        values,
    )
    if len(rows) >= _FEW:
        return None
    tier_of_apn: dict[str, int] = {}
    for apn, tier in rows:
        tier_of_apn[apn] = min(tier, tier_of_apn.get(apn, tier))
    found: dict[int, list[str]] = {}
    for apn in sorted(tier_of_apn):
        found.setdefault(tier_of_apn[apn], []).append(apn)
    return found


def _of_tier(
    session: Session,
    question: Question,
    told: str,
    tiers: list[_Tier],
    number: int,
    values: dict[str, Any],
    after: str,
    shares: _Shares,
) -> Iterator[Hit]:
    tier = tiers[number]
    # A row that is a hit of an earlier tier is left out here; a parcel of which another table has one, below.
    earlier = "".join(f" AND NOT ({one.where})" for one in tiers[:number] if not one.is_fine)
    share = shares.owner if tier.where.startswith("owner @@") else shares.anywhere
    expected = 0.0 if question.apn else shares.rows * share
    batch = _BATCH
    is_whole = expected <= _MANY
    book = int(after[:3]) if after[:3].isdecimal() else 0
    # What share of the rows has enough hits for a page.
    needed = 2 * batch / max(expected, 1.0)
    while book <= _BOOKS:
        asked = [] if is_whole else _books(shares.books, book, needed)
        # Behind the last book there is no APN that we know; but none is left out.
        of_books = "" if is_whole else "book && %(books)s AND " if asked else "apn > '999Z' AND "
        rows = f"SELECT apn FROM {told} WHERE {of_books}{tier.where}{earlier} AND apn > %(after)s"
        if shares.rarest:
            # All of them first: else the planner reads parcel by parcel until it has the batch.
            rows = f"WITH found AS MATERIALIZED ({rows}) SELECT apn FROM found"
        statement = f"{_PLAN} {rows} ORDER BY apn LIMIT %(batch)s"
        hits = 0
        while True:
            page = session.rows(statement, {**values, "books": asked, "after": after, "batch": batch})
            hits += len(page)
            if page:
                yield from _hits(
                    session, question, told, tiers, number, sorted({apn for (apn,) in page}), values
                )
                after = page[-1][0]
            if len(page) < batch:
                break
            batch = min(2 * batch, _BATCH_MOST)
        book = int(asked[-1]) + 1 if asked else _BOOKS + 1
        if hits < batch / 8:
            # Words that are seldom together, however common each is.
            needed *= 16


def _books(shares: Sequence[float], first: int, needed: float) -> list[str]:
    """Return the books from `first` on that have such a share of the rows, or all up to the last."""
    asked: list[str] = []
    for book in range(first, _BOOKS):
        asked.append(f"{book:03}")
        needed -= shares[book]
        if needed <= 0:
            break
    return asked


def _parts(apns: list[str]) -> Iterator[list[str]]:
    yield from (apns[at : at + _BATCH] for at in range(0, len(apns), _BATCH))


def _hits(
    session: Session,
    question: Question,
    told: str,
    tiers: list[_Tier],
    number: int,
    apns: list[str],
    values: dict[str, Any],
    is_first: bool = False,
) -> Iterator[Hit]:
    """Yield the hits among the APNs of a tier: not those of earlier tiers, nor withheld owners by a name.

    `is_first`: none of them is a hit of an earlier tier.
    """
    left_out = {apn for (apn,) in session.rows(_WITHHELD, (apns,))}
    is_by_number = not question.is_filtered and len(question.words) == len(question.numbers)
    withheld, left_out = (left_out, set[str]()) if is_by_number else (set[str](), left_out)
    tier = tiers[number]
    before = " OR ".join(f"({one.where})" for one in tiers[:number] if not one.is_fine)
    matched = ", ".join(
        f"find.words({shown}) @@ %(any)s::tsquery" if question.words else "false" for shown in tier.shown
    )
    # All that is told of them first: by the index, the rows of a common word would be collected.
    rows = session.rows(
        f"{_PLAN} WITH told AS MATERIALIZED (SELECT * FROM {told} WHERE apn = ANY(%(apns)s))"
        " SELECT DISTINCT ON (apn) apn, told_by, name, address, subdivision, mail, deed_number, price, sold,"
        f" changed_at, ARRAY[{matched}]::boolean[],"
        f" apn IN (SELECT apn FROM told WHERE {'false' if is_first else before or 'false'})"
        f" FROM told WHERE {tier.where} ORDER BY apn, rank, changed_at DESC",
        {**values, "apns": apns},
    )
    left_out |= {apn for apn, *_, is_before in rows if is_before}
    seen = {(apn, table): at for apn, table, at in session.rows(_SEEN, {"apns": apns})}
    for apn, table, name, address, subdivision, mail, deed, price, sold, changed_at, is_matched, _ in rows:
        if apn in left_out:
            continue
        fields = [_LABELS.get(one, one) for one, is_one in zip(tier.shown, is_matched, strict=True) if is_one]
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
