-- The recorder: documents, and what searches for them found. Columns as in records.py.

CREATE SCHEMA recorder;

CREATE TABLE recorder.document (
    recording_number      text PRIMARY KEY,
    suffix                text,
    recording_date        date,
    docket_book           text,
    page_map              text,
    page_amount           integer,
    affidavit_present     boolean,
    affidavit_page_amount integer,
    restricted            boolean,
    name_count            integer,
    image_url             text,
    content_hash          bytea NOT NULL,
    capture_sha256        bytea NOT NULL,
    first_seen_at         timestamptz NOT NULL,
    changed_at            timestamptz NOT NULL
);
COMMENT ON COLUMN recorder.document.name_count IS '0: the names are not indexed yet';
COMMENT ON COLUMN recorder.document.affidavit_present IS 'an affidavit of value was filed with it; what it says is not shown';

CREATE TABLE recorder.document_code (
    recording_number text,
    display_code     text,
    position         integer NOT NULL,
    content_hash     bytea NOT NULL,
    capture_sha256   bytea NOT NULL,
    first_seen_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    removed_at       timestamptz,
    PRIMARY KEY (recording_number, display_code)
);

CREATE TABLE recorder.party (
    recording_number text,
    name             text,
    content_hash     bytea NOT NULL,
    capture_sha256   bytea NOT NULL,
    first_seen_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    removed_at       timestamptz,
    PRIMARY KEY (recording_number, name)
);
CREATE INDEX party_name ON recorder.party (name);
COMMENT ON TABLE recorder.party IS 'names on a document, without roles: the recorder knows none';

CREATE TABLE recorder.code_label (
    query_code     text PRIMARY KEY,
    label          text,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);

CREATE TABLE recorder.code_pair (
    query_code     text,
    display_code   text,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (query_code, display_code)
);

CREATE VIEW recorder.code AS
SELECT query_code, p.display_code, l.label FROM recorder.code_label l FULL JOIN recorder.code_pair p USING (query_code);
COMMENT ON VIEW recorder.code IS 'query code (two letters, what is asked), display code (what documents show), label';

CREATE TABLE recorder.name_index (
    complete_until date PRIMARY KEY,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);

CREATE TABLE recorder.search_window (
    query          text,
    since          date,
    until          date,
    total          integer,
    row_count      integer NOT NULL,
    junk_rows      integer NOT NULL,
    state          text NOT NULL CHECK (state IN ('complete', 'split', 'walked', 'short', 'saturated', 'unread')),
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (query, since, until)
);
COMMENT ON TABLE recorder.search_window IS 'each search: rows that came against the total that was reported (501: more than 500)';

CREATE TABLE recorder.name_match (
    owner            text,
    recording_number text,
    name             text,
    content_hash     bytea NOT NULL,
    capture_sha256   bytea NOT NULL,
    first_seen_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    PRIMARY KEY (owner, recording_number, name)
);

CREATE TABLE recorder.neighbour (
    recording_number text,
    deed_number      text,
    distance         integer NOT NULL,
    confidence       text NOT NULL,
    reason           text NOT NULL,
    content_hash     bytea NOT NULL,
    capture_sha256   bytea NOT NULL,
    first_seen_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    PRIMARY KEY (recording_number, deed_number)
);

CREATE TABLE recorder.legacy_document (
    recording_number      text PRIMARY KEY,
    suffix                text,
    recorded_at           timestamp,
    page_amount           integer,
    affidavit_page_amount integer,
    docket_book           text,
    page_map              text,
    query_code            text,
    display_codes         jsonb,
    names                 jsonb,
    image_path            text,
    content_hash          bytea NOT NULL,
    capture_sha256        bytea NOT NULL,
    first_seen_at         timestamptz NOT NULL,
    changed_at            timestamptz NOT NULL
);
COMMENT ON COLUMN recorder.legacy_document.recorded_at IS 'the time of day in Arizona';

CREATE TABLE recorder.image (
    recording_number text PRIMARY KEY,
    url              text NOT NULL,
    path             text,
    sha256           text,
    size             integer,
    is_restricted    boolean NOT NULL,
    content_hash     bytea NOT NULL,
    capture_sha256   bytea NOT NULL,
    first_seen_at    timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL
);
COMMENT ON COLUMN recorder.image.path IS 'below the folder documents/ of the data folder';

-- What a search for an owner's name is worth. A name is no person: two may share it.
-- filings: of all documents that are known, not only of those that a search for an owner found in its days.
CREATE VIEW recorder.name_link AS
SELECT m.owner, m.recording_number, m.name,
       CASE WHEN m.name ~ '\m(TRUSTEE|TITLE|ESCROW|BANK|MORTGAGE|MERS|LENDING|LOANS?|SERVICING|CREDIT UNION|INTERNAL REVENUE|STATE OF|CITY OF|COUNTY)\M'
                 OR f.filings >= 5 THEN 'excluded'
            WHEN regexp_replace(regexp_replace(m.name, ' ETAL$', ''), '\W', '', 'g') = regexp_replace(m.owner, '\W', '', 'g') THEN 'probable'
            ELSE 'possible' END AS confidence,
       CASE WHEN m.name ~ '\m(TRUSTEE|TITLE|ESCROW|BANK|MORTGAGE|MERS|LENDING|LOANS?|SERVICING|CREDIT UNION|INTERNAL REVENUE|STATE OF|CITY OF|COUNTY)\M'
                 THEN 'a trustee, lender or public body: its name ties nothing to a parcel'
            WHEN f.filings >= 5 THEN format('the name is on %s filings: too many to be about one parcel', f.filings)
            WHEN regexp_replace(regexp_replace(m.name, ' ETAL$', ''), '\W', '', 'g') = regexp_replace(m.owner, '\W', '', 'g')
                 THEN format('same name as the owner, on %s filings; another person may have it', f.filings)
            ELSE format('a name that begins like the owner''s: %s', m.name) END AS reason
FROM recorder.name_match m
JOIN (
    SELECT name, count(DISTINCT recording_number) AS filings
    FROM (
        SELECT name, recording_number FROM recorder.name_match
        UNION ALL
        SELECT p.name, p.recording_number
        FROM (SELECT DISTINCT name FROM recorder.name_match) n JOIN recorder.party p USING (name) WHERE p.removed_at IS NULL
    ) filed GROUP BY name
) f USING (name);
