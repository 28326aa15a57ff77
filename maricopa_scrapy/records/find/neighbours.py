"""The words of the index that a mistyped one may stand for."""

from rapidfuzz import process
from rapidfuzz.distance import OSA

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records.find.question import Question, Word

_MOST = 5
_INSIDE_MOST = 20
# Of a shorter word nearly all are neighbours.
_LETTERS_LEAST = 4
_UNKNOWN = """
    SELECT w FROM unnest(%s::text[]) AS w
    WHERE NOT EXISTS (
        SELECT FROM find.word k WHERE k.word >= w COLLATE "C" AND k.word < (w || chr(1114111)) COLLATE "C"
    )
"""
_INSIDE = "SELECT word FROM find.word WHERE strpos(word, %s) > 0 ORDER BY length(word), word LIMIT %s"
_OF_LENGTH = "SELECT word FROM find.word WHERE length(word) BETWEEN %s AND %s"


def neighbours(session: Session, question: Question) -> dict[str, list[str]]:
    """Return, of each word of the question with which no word of the index begins, the words that have it
    inside; else those that it takes the fewest typing mistakes to make it of.
    """
    asked: list[Word] = [
        *question.words, *question.owner, *question.address, *question.city, *question.subdivision
    ]  # fmt: skip
    long = [word.text for word in asked if len(word.text) >= _LETTERS_LEAST and not word.text.isdigit()]
    found: dict[str, list[str]] = {}
    for (text,) in session.rows(_UNKNOWN, (long,)) if long else ():
        taken = [word for (word,) in session.rows(_INSIDE, (text, _INSIDE_MOST))]
        if taken := taken or _near(session, text):
            found[text] = taken
    return found


def _near(session: Session, text: str) -> list[str]:
    # One mistake in a short word, two in a long one; two letters that changed places are one.
    most = 1 if len(text) < 6 else 2
    words = [word for (word,) in session.rows(_OF_LENGTH, (len(text) - most, len(text) + most))]
    near = process.extract(text, words, scorer=OSA.distance, score_cutoff=most, limit=4 * _MOST)
    least = min((distance for _, distance, _ in near), default=0)
    return sorted(word for word, distance, _ in near if distance == least)[:_MOST]
