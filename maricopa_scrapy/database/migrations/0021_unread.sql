-- Sections of an answer that could not be read, although others could; and the registered rental as the county really tells it.
-- depends: 0019_report 0020_property_place

ALTER TABLE crawl.target ADD COLUMN unread text[];
COMMENT ON COLUMN crawl.target.unread IS 'sections of the answer that could not be read: what is stored of them is as it was';
CREATE INDEX target_unread ON crawl.target (job_id) WHERE unread IS NOT NULL;

-- A target that is asked for again keeps what its rows were read from.
CREATE TABLE crawl.former_answer (
    target_id      bigint NOT NULL REFERENCES crawl.target ON DELETE CASCADE,
    capture_sha256 bytea NOT NULL,
    done_at        timestamptz NOT NULL,
    PRIMARY KEY (target_id, capture_sha256)
);
CREATE INDEX former_answer_capture ON crawl.former_answer (capture_sha256);
COMMENT ON TABLE crawl.former_answer IS 'what a target was answered with before `maricopa retry --unread` asked for it again';

CREATE OR REPLACE VIEW crawl.target_capture AS
SELECT id AS target_id, job_id, source, kind, key, state, done_at, 1 AS position, capture_sha256 AS sha256
FROM crawl.target WHERE capture_sha256 IS NOT NULL
UNION ALL
SELECT t.id, t.job_id, t.source, t.kind, t.key, 'done', f.done_at, 1, f.capture_sha256
FROM crawl.former_answer f JOIN crawl.target t ON t.id = f.target_id WHERE f.capture_sha256 IS DISTINCT FROM t.capture_sha256;

CREATE OR REPLACE VIEW public.report_coverage AS
SELECT job_id AS job, source, count(*) AS asked, count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'gone') AS gone, count(*) FILTER (WHERE state = 'dead') AS failed,
       count(*) FILTER (WHERE state IN ('pending', 'leased')) AS "left",
       round(100.0 * count(*) FILTER (WHERE state IN ('done', 'gone')) / count(*), 2) AS percent, max(done_at) AS last_at,
       count(unread) AS unread
FROM crawl.target GROUP BY job_id, source;

-- Only the sandbox's invented county told contact and agent as objects: the real ones are flat.
DROP TABLE assessor.rental;
CREATE TABLE assessor.rental (
    apn                      text PRIMARY KEY,
    account_number           text,
    situs_address            text,
    owner_business_entity    text,
    property_type            text,
    year_built               integer,
    ownership_type           text,
    owner_name               text,
    owner_address            text,
    business_contact_name    text,
    business_contact_address text,
    agent_name               text,
    agent_address            text,
    registered_on            date,
    updated_on               date,
    content_hash             bytea NOT NULL,
    capture_sha256           bytea NOT NULL,
    first_seen_at            timestamptz NOT NULL,
    changed_at               timestamptz NOT NULL,
    removed_at               timestamptz
);

COMMENT ON COLUMN assessor.parcel.zoning IS 'text (in answers of tax year 2024), or a list, which was always empty';
