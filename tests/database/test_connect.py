"""A session whose server crashes in the middle of a statement."""

from typing import Any

import psycopg2
import pytest

from maricopa_scrapy.database.connect import Session


def test_a_server_that_crashes_under_a_statement_is_a_lost_connection(session: Session) -> None:
    session.patience = 5.0
    tries = []

    def work(cursor: Any) -> int:
        tries.append(cursor.connection.info.backend_pid)
        if len(tries) == 1:
            # What psycopg2 makes of a crash: its plainest class, and no code (seen in `make chaos`).
            raise psycopg2.DatabaseError("server closed the connection unexpectedly")
        cursor.execute("SELECT 7")
        return int(cursor.fetchone()[0])

    assert session.transact(work) == 7
    assert len(set(tries)) == 2


def test_a_wrong_statement_is_none(session: Session) -> None:
    session.patience = 5.0
    with pytest.raises(psycopg2.ProgrammingError):
        session.transact(lambda cursor: cursor.execute("SELECT nothing"))
