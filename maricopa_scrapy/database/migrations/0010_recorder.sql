-- The recorder: documents, what searches for them found, and the view that ties them to parcels. Columns as in sources/recorder/records.py.
-- depends: 0007_property_gis

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
    total          integer NOT NULL,
    row_count      integer NOT NULL,
    junk_rows      integer NOT NULL,
    state          text NOT NULL CHECK (state IN ('complete', 'split', 'walked', 'short', 'saturated')),
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
CREATE VIEW recorder.name_tie AS
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
JOIN (SELECT name, count(DISTINCT recording_number) AS filings FROM recorder.name_match GROUP BY name) f USING (name);

CREATE VIEW recorder.parcel_deed AS
SELECT apn, deed_number, deed_date, ownership AS owner, 'assessor' AS told_by FROM assessor.owner WHERE deed_number IS NOT NULL
UNION ALL
SELECT g.apn, g.deed_number, g.deed_date, g.owner_name, 'gis' FROM gis.parcel g
WHERE g.deed_number IS NOT NULL AND NOT EXISTS (SELECT FROM assessor.owner o WHERE o.apn = g.apn AND o.deed_number = g.deed_number);
COMMENT ON VIEW recorder.parcel_deed IS 'the last deed of each parcel, by the assessor''s API and, where that was not asked or says another, by the GIS';

CREATE VIEW recorder.parcel_document AS
SELECT d.apn, d.deed_number AS recording_number, 'deed_number' AS basis, 'exact' AS confidence,
       CASE d.told_by WHEN 'assessor' THEN 'last deed of the parcel, by the assessor''s API' ELSE 'last deed of the parcel, by the GIS' END AS reason
FROM recorder.parcel_deed d
UNION ALL
SELECT d.apn, n.recording_number, 'neighbour', n.confidence, n.reason
FROM recorder.parcel_deed d JOIN recorder.neighbour n USING (deed_number)
UNION ALL
SELECT o.apn, t.recording_number, 'owner_name',
       CASE WHEN x.recording_date < o.deed_date THEN 'possible' ELSE t.confidence END,
       CASE WHEN x.recording_date < o.deed_date THEN t.reason || '; recorded before the owner''s last deed' ELSE t.reason END
FROM recorder.name_tie t
JOIN recorder.document x USING (recording_number)
JOIN recorder.parcel_deed o ON upper(o.owner) = t.owner AND o.deed_number <> t.recording_number
WHERE t.confidence <> 'excluded';
COMMENT ON VIEW recorder.parcel_document IS 'which document is tied to which parcel, on what basis, how surely and why; only deed_number is a fact';

CREATE VIEW public.document AS
SELECT p.apn, recording_number, coalesce(d.recording_date, l.recorded_at::date) AS recording_date, l.recorded_at,
       coalesce(c.codes, (SELECT array_agg(v) FROM jsonb_array_elements_text(l.display_codes) v)) AS codes,
       coalesce(n.names, (SELECT array_agg(v) FROM jsonb_array_elements_text(l.names) v)) AS names,
       coalesce(d.page_amount, l.page_amount) AS pages, d.affidavit_present, d.restricted,
       coalesce(d.docket_book, l.docket_book) AS docket_book, coalesce(d.page_map, l.page_map) AS page_map,
       p.basis, p.confidence, p.reason, d.image_url, i.path AS image_path,
       CASE WHEN d.recording_number IS NULL THEN 'recorder_legacy' ELSE 'recorder' END AS source,
       coalesce(d.first_seen_at, l.first_seen_at) AS first_seen_at, greatest(d.changed_at, l.changed_at) AS changed_at
FROM recorder.document d
FULL JOIN recorder.legacy_document l USING (recording_number)
LEFT JOIN recorder.parcel_document p USING (recording_number)
LEFT JOIN recorder.image i USING (recording_number)
LEFT JOIN LATERAL (
    SELECT array_agg(display_code ORDER BY position) AS codes FROM recorder.document_code x
    WHERE x.recording_number = d.recording_number AND x.removed_at IS NULL
) c ON true
LEFT JOIN LATERAL (
    SELECT array_agg(name ORDER BY name) AS names FROM recorder.party x
    WHERE x.recording_number = d.recording_number AND x.removed_at IS NULL
) n ON true;
COMMENT ON VIEW public.document IS 'documents, with the parcels that they are tied to; apn is NULL where none is';

-- A run may serve several sources of its job, and wait for what the runs of others add.
ALTER TABLE crawl.run ADD COLUMN sources text[];
COMMENT ON COLUMN crawl.run.sources IS 'whose targets the run leases; source is the first of them';
