"""What `maricopa verify` says to do about each thing that does not agree: no crawl, rows written by hand."""

import re

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.items import Floor
from maricopa_scrapy.records import verify
from tests.conftest import Database
from tests.helpers import exports

_BY_HAND = """
    INSERT INTO crawl.run (job_id, spider, source, node, pid, pid_started, heartbeat_at)
    VALUES (2, 'tax', 'treasurer', 'here', 1, 0, now() - interval '1 hour');
    INSERT INTO crawl.change (table_name, key, field, old, new, changed_at, run_id)
    VALUES ('assessor.owner', '{"apn": "1"}', 'ownership', 'A', 'B', now(), 777);
    INSERT INTO crawl.target (job_id, source, kind, key, state, run_id)
    VALUES (2, 'treasurer', 'parcel', '10101999', 'leased', 1);
    INSERT INTO gis.roll (job_id, walk, layer, first_id, last_id, row_count, page, detail, state, received,
        parcels, duplicates, unkeyed)
    VALUES (1, 1, 'E', 1, 9, 9, 5, '{}', 'complete', 8, 8, 0, 0),
        (1, 2, 'E', 1, 9, 9, 5, '{}', 'open', NULL, NULL, NULL, NULL);
    INSERT INTO recorder.search_window
    SELECT 'code NS', since::date, until::date, total, total - lost, 0, state, '', '', now(), now()
    FROM (VALUES ('2025-03-01', '2025-03-04', 400, 0, 'split'),
        ('2025-03-01', '2025-03-02', 200, 0, 'complete'),
                 ('2025-03-03', '2025-03-04', 150, 0, 'complete')) v (since, until, total, lost, state);
    INSERT INTO recorder.image VALUES ('20130183449', 'url', NULL, NULL, NULL, false, '', '', now(), now());
    SELECT 1
"""
# By what does not agree: what a person is told to do.
_REMEDIES = {
    r"crawl.target: job 1: 0 targets were accepted, \d+ are there": "give the list to a new job",
    r"crawl.target: job 1: parcel \w+ is done, but its answer held nothing": (
        "ask assessor for it again, in a new job"
    ),
    r"treasurer.account: job 2: parcel \w+ is done, but has no row": (
        "`maricopa reparse --source treasurer` reads its capture again"
    ),
    r"crawl.target: job 2: 1 targets are leased by a run that is gone"
    r" \(run 1, running\): treasurer parcel 10101999": ("`-a job=2` takes"),
    r"gis.roll: job 1, walk 1: the layer had 9 rows, 8 came, 8 are accounted for": (
        "`scrapy crawl roll` makes a new one"
    ),
    r"gis.roll: job 1, walk 2: the job ended and the walk did not": "`-a job=1` takes it up",
    r"recorder.search_window: code NS 2025-03-01 to 2025-03-04: 400 rows were reported,"
    r" and the days of it have 350": ("of these days asks"),
    r"crawl.change: run 777: 1 changes are of a run that the ledger does not have": (
        "delete them, or put the run back"
    ),
    r"assessor.owner: apn=\w+: a row whose capture belongs to no finished target": (
        "DELETE FROM assessor.owner WHERE"
    ),
    r"assessor.owner: apn=\w+: a row whose capture is not there": "collect it again, or delete it",
    r"assessor.owner: apn=\w+: a row that was altered": "`maricopa reparse --source assessor` puts back",
    r"gis.parcel: apn=\w+: a row that was altered": "`maricopa reparse --source gis` puts back",
    r"bulk.sale: .*: a row that was altered": "its file, loaded again, puts it back",
    r"recorder.image: .*: a row that was altered": (
        "`scrapy crawl documents -a pdf=yes` asks for the scan again"
    ),
    r"recorder.legacy_document: .*: a row that was altered": (
        "`maricopa reparse --source recorder_legacy` puts back"
    ),
    r"recorder.document: .*: a row that was altered": "`maricopa reparse --source recorder` puts back",
    r"assessor.valuation: others: \d+ more like the ones before": "as for those",
    r"crawl.job: job 1: assessor: assessor.owner has \d+ rows .*at least 500": (
        "`maricopa issues 1`, then collect again"
    ),
}


def test_everything_that_does_not_agree_has_its_remedy(database: Database, session: Session) -> None:
    exports.fill(database)
    database.rows(_BY_HAND)
    floors = {"assessor": [Floor(table="assessor.owner", kind="parcel", each=500, least=1)]}
    found = verify.check(session, None, floors)
    for wrong, remedy in _REMEDIES.items():
        problem = next(
            (one for one in found if re.match(wrong, f"{one.table}: {one.key}: {one.message}")), None
        )
        assert problem is not None, f"{wrong}\n" + "\n".join(map(str, found))
        assert remedy in problem.remedy, problem
    # Nobody is left alone with a problem.
    assert all(one.remedy for one in found)
    # A run that is silent and holds nothing.
    database.rows("UPDATE crawl.target SET state = 'pending' WHERE key = '10101999' RETURNING 1")
    (silent,) = session.transact(lambda cursor: verify.leases(cursor, 2))
    assert re.match(r"is said to run, and is silent since \d{4}-.* UTC", silent.message)
    assert silent.remedy == "`scrapy crawl tax -a job=2` notes it as lost and goes on"
