"""Lists of parcels that the database keeps: by a name, or as they were when a schedule or a watch was
saved.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.rows import objects
from maricopa_scrapy.ledger.ledger import LedgerError

_SUMMARY = """
    SELECT id, name, file, digest, cardinality(apns) AS count, saved_at,
        EXISTS (SELECT FROM crawl.schedule s WHERE s.list_id = l.id) AS is_used
    FROM crawl.list l
"""


@dataclass(frozen=True, slots=True)
class SavedList:
    """A list without its parcels. `digest`: SHA-256 of the file as it was. `is_used`: by a schedule."""

    id: int
    name: str | None
    file: str | None
    digest: bytes | None
    count: int
    saved_at: datetime
    is_used: bool

    def change(self) -> str | None:
        """Return how the file differs from what was saved; None while it is the same, or was none."""
        if self.file is None or self.digest is None:
            return None
        try:
            now = digest_of(Path(self.file))
        except FileNotFoundError:
            return f"{self.file} is gone"
        except OSError as error:
            return f"{self.file} cannot be read ({error.strerror})"
        return None if now == bytes(self.digest) else f"{self.file} has changed since"


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def save(session: Session, apns: Iterable[str], *, name: str | None = None, file: Path | None = None) -> int:
    """Store a list, each parcel once in the order given; one of that name is replaced, unless a schedule has
    it. Returns its id. Raises OSError where `file` cannot be read.
    """
    distinct = list(dict.fromkeys(apns))
    digest = digest_of(file) if file is not None else None

    def work(cursor: Cursor) -> int:
        if name is not None:
            # Whoever uses the former list keeps it as it was.
            _take_name(cursor, name)
        cursor.execute(
            "INSERT INTO crawl.list (name, file, digest, apns) VALUES (%s, %s, %s, %s) RETURNING id",
            (name, None if file is None else str(file.resolve()), digest, distinct),
        )
        found = cursor.fetchone()
        assert found
        return int(found[0])

    return session.transact(work)


def apns_of(session: Session, list_id: int) -> list[str]:
    """Return the parcels of a list. Raises LedgerError when there is no such list."""
    rows = session.rows("SELECT apns FROM crawl.list WHERE id = %s", (list_id,))
    for (apns,) in rows:
        return list(apns)
    raise LedgerError(f"list {list_id}: there is none")


def summary(session: Session, list_id: int) -> SavedList:
    """Return what a list is, by its id. Raises LedgerError when there is none."""
    for found in _read(session, "WHERE id = %s", (list_id,)):
        return found
    raise LedgerError(f"list {list_id}: there is none")


def named(session: Session, name: str) -> SavedList:
    """Return what a list is, by its name. Raises LedgerError when there is none."""
    for found in _read(session, "WHERE name = %s", (name,)):
        return found
    raise LedgerError(f"list {name!r}: there is none; `maricopa lists show` shows those that are saved")


def all_named(session: Session) -> list[SavedList]:
    """Return the lists that have a name, by their names."""
    return _read(session, "WHERE name IS NOT NULL ORDER BY name")


def remove(session: Session, name: str) -> bool:
    """Forget a list's name, and the list where no schedule uses it; returns whether it is gone. Raises
    LedgerError when there is no such list.
    """
    found = named(session, name)

    def work(cursor: Cursor) -> bool:
        _take_name(cursor, name)
        cursor.execute("SELECT FROM crawl.list WHERE id = %s", (found.id,))
        return cursor.fetchone() is None

    return session.transact(work)


def forget_unused(cursor: Cursor, list_id: int) -> None:
    """Remove a list that has no name, unless a schedule uses it."""
    cursor.execute(
        "DELETE FROM crawl.list l WHERE id = %s AND name IS NULL"
        " AND NOT EXISTS (SELECT FROM crawl.schedule s WHERE s.list_id = l.id)",
        (list_id,),
    )


def _read(session: Session, which: str, values: Sequence[Any] = ()) -> list[SavedList]:
    def work(cursor: Cursor) -> list[SavedList]:
        cursor.execute(f"{_SUMMARY} {which}", values)
        return objects(cursor, SavedList)

    return session.transact(work)


def _take_name(cursor: Cursor, name: str) -> None:
    cursor.execute("UPDATE crawl.list SET name = NULL WHERE name = %s RETURNING id", (name,))
    for (list_id,) in cursor.fetchall():
        forget_unused(cursor, list_id)
