"""Documents by number, or by the names on them, newest first."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.find.question import Question

_BATCH = 200
_NAMED = """
    SELECT DISTINCT recording_number FROM find.party p
    WHERE party @@ %(first)s::tsquery AND ({after} = '' OR recording_number < {after}) {others}
    ORDER BY recording_number DESC LIMIT %(batch)s
"""
_OTHER = """
    AND EXISTS (SELECT FROM find.party q
                WHERE q.recording_number = p.recording_number AND q.party @@ %(word_{at})s::tsquery)
"""
_WITHHELD = "SELECT recording_number FROM recorder.withheld_document WHERE recording_number = ANY(%s)"
_SHOWN = """
    SELECT n.number, coalesce(d.recording_date, l.recorded_at::date),
           coalesce(p.names, (SELECT array_agg(v) FROM jsonb_array_elements_text(l.names) v), '{}'),
           CASE WHEN d.recording_number IS NULL THEN 'recorder.legacy_document' ELSE 'recorder.document' END,
           greatest(d.changed_at, l.changed_at),
           (SELECT min(t.apn) FROM find.told t WHERE t.half @@ n.number::tsquery AND t.deed_number = n.number)
    FROM unnest(%s::text[]) WITH ORDINALITY AS n (number, at)
    LEFT JOIN recorder.document d ON d.recording_number = n.number
    LEFT JOIN recorder.legacy_document l ON l.recording_number = n.number
    LEFT JOIN LATERAL (
        SELECT array_agg(name ORDER BY name) AS names FROM recorder.party x
        WHERE x.recording_number = n.number AND x.removed_at IS NULL
    ) p ON true
    WHERE d.recording_number IS NOT NULL OR l.recording_number IS NOT NULL OR p.names IS NOT NULL
    ORDER BY n.at
"""


@dataclass(frozen=True, slots=True)
class Document:
    """`apn` is a parcel whose deed it is, of several the first."""

    number: str
    recorded_on: dt.date | None
    names: tuple[str, ...]
    table: str
    as_of: dt.datetime | None
    apn: str | None
    found_in: str


def found(session: Session, question: Question, after: str) -> Iterator[Document]:
    """Yield the documents whose number is asked for, else those that have all words among their names."""
    if question.numbers and len(question.numbers) == len(question.words):
        if len(question.numbers) == 1 and not after:
            yield from _shown(session, list(question.numbers), "recording number", is_by_name=False)
        return
    values = {f"word_{at}": word.prefix for at, word in enumerate(question.words)}
    # The longest word is in the fewest names, as a rule.
    first = max(range(len(question.words)), key=lambda at: len(question.words[at].text), default=None)
    if first is None:
        return
    others = "".join(_OTHER.format(at=at) for at in range(len(question.words)) if at != first)
    while True:
        rows = session.rows(
            _NAMED.format(after="%(after)s", others=others),
            {**values, "first": values[f"word_{first}"], "after": after, "batch": _BATCH},
        )
        if not rows:
            return
        yield from _shown(session, [number for (number,) in rows], "party", is_by_name=True)
        after = rows[-1][0]


def _shown(session: Session, numbers: list[str], found_in: str, is_by_name: bool) -> Iterator[Document]:
    withheld = {number for (number,) in session.rows(_WITHHELD, (numbers,))}
    for number, recorded_on, names, table, as_of, apn in session.rows(_SHOWN, (numbers,)):
        is_hidden = number in withheld
        if not (is_hidden and is_by_name):
            told = ("withheld",) if is_hidden else tuple(names)
            yield Document(number, recorded_on, told, table, as_of, apn, found_in)
