-- The GIS layers: the county's parcels as the last roll told them, and the rolls themselves. Columns as in records.py.

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
COMMENT ON COLUMN gis.parcel.layer IS 'the layer that said so first (config/sources/gis.yaml); another that says the same changes nothing';
COMMENT ON COLUMN gis.parcel.removed_at IS 'when a complete roll no longer had it; the row stays';
-- Few: what the layers said before their NA was read as what it is.
CREATE INDEX parcel_withheld ON gis.parcel (apn) WHERE owner_name IN ('NA', 'N/A');

-- A layer's own word for it: the name itself is stored nowhere, and its NULL would be the same as no owner at all.
CREATE TABLE gis.withheld (
    apn            text PRIMARY KEY,
    said           text NOT NULL,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);
COMMENT ON TABLE gis.withheld IS 'parcels of which a layer said NA for the owner; it holds while gis.parcel has no owner';

CREATE TABLE gis.outline (
    apn            text PRIMARY KEY,
    geometry       text,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);
COMMENT ON COLUMN gis.outline.geometry IS 'NULL: a polygon came that cannot be read';

CREATE TABLE gis.absent (
    apn            text PRIMARY KEY,
    layer          text NOT NULL,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);
COMMENT ON TABLE gis.absent IS 'asked for by list, and not in the layer at that moment';

CREATE TABLE gis.unfound (
    job_id bigint NOT NULL,
    apn    text   NOT NULL,
    PRIMARY KEY (job_id, apn)
);
COMMENT ON TABLE gis.unfound IS 'APNs of a list that did not come, and are asked for once more before they count as absent';

CREATE TABLE gis.layer (
    layer   text PRIMARY KEY,
    columns text[] NOT NULL
);
COMMENT ON TABLE gis.layer IS 'the columns of gis.parcel that a layer maps: a change of layer is no change of the others';

CREATE TABLE gis.not_in_layer (
    layer text NOT NULL,
    apn   text NOT NULL,
    PRIMARY KEY (layer, apn)
);
COMMENT ON TABLE gis.not_in_layer IS 'parcels known from other layers that no complete roll of this one has had: it cannot miss them';

CREATE TABLE gis.roll (
    job_id       bigint REFERENCES crawl.job,
    walk         integer,
    layer        text NOT NULL,
    first_id     bigint NOT NULL,
    last_id      bigint NOT NULL,
    row_count    bigint NOT NULL,
    page         integer NOT NULL,
    detail       jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'complete', 'incomplete', 'reloaded')),
    rounds       integer NOT NULL DEFAULT 0,
    received     bigint,
    parcels      bigint,
    duplicates   bigint,
    unkeyed      bigint,
    missing      bigint,
    first_change bigint NOT NULL DEFAULT 0,
    is_confirmed boolean NOT NULL DEFAULT false,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    PRIMARY KEY (job_id, walk)
);
COMMENT ON TABLE gis.roll IS 'each walk over a whole layer: its extent when it began, and what came of it';
COMMENT ON COLUMN gis.roll.received IS 'rows; as many as row_count in a complete roll: parcels + duplicates + unkeyed';
COMMENT ON COLUMN gis.roll.duplicates IS 'further rows of an APN that had one already';
COMMENT ON COLUMN gis.roll.unkeyed IS 'rows without an APN, which are not stored';
COMMENT ON COLUMN gis.roll.missing IS 'parcels of earlier rolls that this one marked as removed';
COMMENT ON COLUMN gis.roll.is_confirmed IS 'the layer itself says that the APNs which came more than once have as many rows';
COMMENT ON COLUMN gis.roll.started_at IS 'when the extent of its job''s first walk was read, by the clock that dates rows';
COMMENT ON COLUMN gis.roll.first_change IS 'the last id of crawl.change before started_at';

CREATE TABLE gis.seen (
    target_id bigint PRIMARY KEY,
    job_id    bigint NOT NULL,
    walk      integer NOT NULL,
    first_id  bigint NOT NULL,
    keys      text[] NOT NULL,
    digests   bytea NOT NULL DEFAULT '',
    unkeyed   integer NOT NULL
);
ALTER TABLE gis.seen ALTER COLUMN keys SET STORAGE EXTERNAL;
ALTER TABLE gis.seen ALTER COLUMN digests SET STORAGE EXTERNAL;
COMMENT ON TABLE gis.seen IS 'what a walk has seen, a row a page; kept as long as its job can be gone on with';
COMMENT ON COLUMN gis.seen.digests IS 'the first eight bytes of the content hash of each of `keys`';
CREATE INDEX seen_job ON gis.seen (job_id, walk);

CREATE TABLE gis.duplicate (
    LIKE gis.parcel,
    job_id bigint NOT NULL,
    walk   integer NOT NULL,
    copies integer NOT NULL DEFAULT 1,
    PRIMARY KEY (job_id, walk, apn, content_hash)
);
COMMENT ON TABLE gis.duplicate IS 'all rows of an APN that a layer has more than once, of its last roll; gis.parcel has the one of the lowest floor';
COMMENT ON COLUMN gis.duplicate.copies IS 'how many rows of the layer say exactly this';
CREATE INDEX duplicate_apn ON gis.duplicate (apn);

CREATE TABLE gis.held_row (LIKE gis.parcel, is_held boolean NOT NULL DEFAULT false, PRIMARY KEY (apn, content_hash));
COMMENT ON TABLE gis.held_row IS 'rows that were replaced or held back while a walk goes on; emptied when no walk is open';
COMMENT ON COLUMN gis.held_row.is_held IS 'not merged by its page: the end of its walk decides';

CREATE TABLE gis.duplicate_count (
    job_id bigint  NOT NULL,
    walk   integer NOT NULL,
    apn    text    NOT NULL,
    digest bytea   NOT NULL,
    copies integer NOT NULL,
    PRIMARY KEY (job_id, walk, apn, digest)
);
COMMENT ON TABLE gis.duplicate_count IS 'APNs that a walk which ends has seen more than once, by what they said; emptied with it';
