-- The GIS layers: the county's parcels as the last roll told them, and the rolls themselves. Columns as in sources/gis/records.py.
-- depends: 0004_pace

CREATE SCHEMA gis;

CREATE TABLE gis.parcel (
    apn                             text PRIMARY KEY,
    floor                           integer,
    layer                           text NOT NULL,
    owner_name                      text,
    in_care_of                      text,
    mail_address_1                  text,
    mail_address_2                  text,
    mail_city                       text,
    mail_state                      text,
    mail_zip                        text,
    mail_country                    text,
    property_address                text,
    street_number                   text,
    street_direction                text,
    street_name                     text,
    street_type                     text,
    suite                           text,
    property_city                   text,
    property_zip                    text,
    property_use_code               text,
    property_use                    text,
    legal_class_code                text,
    previous_legal_class_code       text,
    lot_size_sqft                   bigint,
    lot_size_acres                  double precision,
    construction_year               integer,
    livable_sqft                    bigint,
    stories                         text,
    pool                            text,
    rental                          text,
    tax_year                        integer,
    full_cash_value                 bigint,
    limited_property_value          bigint,
    previous_tax_year               integer,
    previous_full_cash_value        bigint,
    previous_limited_property_value bigint,
    deed_number                     text,
    deed_date                       date,
    sale_date                       date,
    sale_price                      bigint,
    subdivision_name                text,
    lot                             text,
    block                           text,
    tract                           text,
    mcr                             text,
    section_township_range          text,
    township                        text,
    range                           text,
    section                         text,
    jurisdiction                    text,
    city_zoning                     text,
    longitude                       double precision,
    latitude                        double precision,
    content_hash                    bytea NOT NULL,
    capture_sha256                  bytea NOT NULL,
    first_seen_at                   timestamptz NOT NULL,
    changed_at                      timestamptz NOT NULL,
    removed_at                      timestamptz
);
COMMENT ON COLUMN gis.parcel.removed_at IS 'when a complete roll no longer had it; the row stays';
COMMENT ON COLUMN gis.parcel.layer IS 'the layer that said so (config/sources/gis.yaml)';

CREATE TABLE gis.outline (
    apn      text PRIMARY KEY,
    geometry text NOT NULL,
    content_hash bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE gis.absent (
    apn   text PRIMARY KEY,
    layer text NOT NULL,
    content_hash bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE gis.absent IS 'asked for by list, and not in the layer at that moment';

CREATE TABLE gis.stacked (
    LIKE gis.parcel,
    job_id bigint NOT NULL,
    walk   integer NOT NULL,
    PRIMARY KEY (apn, content_hash)
);
COMMENT ON TABLE gis.stacked IS 'all rows of an APN that a layer has more than once; gis.parcel has the one of the lowest floor';

CREATE TABLE gis.roll (
    job_id      bigint REFERENCES crawl.job,
    walk        integer,
    layer       text NOT NULL,
    first_id    bigint NOT NULL,
    last_id     bigint NOT NULL,
    row_count   bigint NOT NULL,
    page        integer NOT NULL,
    detail      jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'complete', 'incomplete', 'reloaded')),
    rounds      integer NOT NULL DEFAULT 0,
    received    bigint,
    parcels     bigint,
    stacked     bigint,
    unkeyed     bigint,
    missing     bigint,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (job_id, walk)
);
COMMENT ON TABLE gis.roll IS 'each walk over a whole layer: its extent when it began, and what came of it';
COMMENT ON COLUMN gis.roll.received IS 'rows; as many as row_count in a complete roll: parcels + stacked + unkeyed';
COMMENT ON COLUMN gis.roll.stacked IS 'further rows of an APN that had one already';
COMMENT ON COLUMN gis.roll.unkeyed IS 'rows without an APN, which are not stored';
COMMENT ON COLUMN gis.roll.missing IS 'parcels of earlier rolls that this one marked as removed';

-- What a running walk has seen, a row a page; emptied when it ends.
CREATE TABLE gis.seen (
    target_id bigint PRIMARY KEY,
    job_id    bigint NOT NULL,
    walk      integer NOT NULL,
    first_id  bigint NOT NULL,
    keys      text[] NOT NULL,
    unkeyed   integer NOT NULL
);
CREATE INDEX seen_job ON gis.seen (job_id, walk);
ALTER TABLE gis.seen ALTER COLUMN keys SET STORAGE EXTERNAL;

ALTER TABLE crawl.job ADD COLUMN shortfall text;
COMMENT ON COLUMN crawl.job.shortfall IS 'why a job is incomplete although none of its targets is open';
