"""Which parcels of a validation the GIS does not have: each list is opened once."""

import json
from typing import Any

import psycopg2

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.records import stale
from tests.conftest import Database

APNS = 20_000
LIST = 500
_JOB = """
    INSERT INTO crawl.job (type, mode, is_sandbox, priority, parameters)
    VALUES ('validation', 'api_only', true, 'normal', '{}');
    INSERT INTO gis.parcel (apn, layer, content_hash, capture_sha256, first_seen_at, changed_at)
    SELECT (10000000 + i)::text, 'E', '', '', now(), now() FROM generate_series(1, 20000) i WHERE i % 100 > 0;
    INSERT INTO gis.absent (apn, layer, content_hash, capture_sha256, first_seen_at, changed_at)
    SELECT (10000000 + i)::text, 'E', '', '', now(), now() FROM generate_series(1, 20000, 1000) i;
    INSERT INTO crawl.target (job_id, source, kind, key, state, detail)
    SELECT 1, 'gis', 'layer', 'E', 'done', jsonb_build_object('apns',
        (SELECT jsonb_agg((10000000 + i)::text ORDER BY i DESC) FROM generate_series(1, 20000) i));
    INSERT INTO crawl.target (job_id, source, kind, key, state, detail)
    SELECT 1, 'gis', 'list', n::text, CASE WHEN n = 7 THEN 'dead' ELSE 'done' END, jsonb_build_object('apns',
        (SELECT jsonb_agg((10000000 + i)::text) FROM generate_series(n * 500 + 1, n * 500 + 500) i))
    FROM generate_series(0, 39) n
"""


def _touched(plan: dict[str, Any]) -> float:
    """The rows that a plan's steps looked at."""
    own = (
        plan["Actual Rows"]
        + plan.get("Rows Removed by Filter", 0)
        + plan.get("Rows Removed by Join Filter", 0)
    )
    return float(own * plan["Actual Loops"]) + sum(map(_touched, plan.get("Plans", ())))


def test_each_list_is_opened_once_and_the_answer_is_exact(database: Database, session: Session) -> None:
    session.transact(lambda cursor: cursor.execute(_JOB))
    expected = [
        str(10_000_000 + i)
        for i in range(APNS, 0, -1)
        # Not in the layer; told as absent; of a list that was given up.
        if i % 100 == 0 or i % 1000 == 1 or 7 * LIST < i <= 8 * LIST
    ]
    assert session.transact(lambda cursor: stale.missing_of_lists(cursor, 1)) == expected
    connection = psycopg2.connect(database.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {stale.MISSING}", {"job": 1})
        ((found,),) = cursor.fetchall()
    plan = found if isinstance(found, list) else json.loads(found)
    # 20,000 APNs through a dozen steps; against each list it would be 800,000 at the least.
    assert _touched(plan[0]["Plan"]) < 15 * APNS
    connection.close()


def test_all_are_missing_where_no_layer_answered(session: Session) -> None:
    session.transact(lambda cursor: cursor.execute(_JOB))
    session.transact(
        lambda cursor: cursor.execute("UPDATE crawl.target SET state = 'dead' WHERE kind = 'layer'")
    )
    assert len(session.transact(lambda cursor: stale.missing_of_lists(cursor, 1))) == APNS
