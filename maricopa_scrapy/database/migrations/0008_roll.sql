-- Stacked parcels told by all that a walk brought; lists that ask twice; what each layer maps; removed parcels in `property`.
-- depends: 0007_property_gis

ALTER TABLE gis.roll ADD COLUMN first_change bigint NOT NULL DEFAULT 0, ADD COLUMN is_confirmed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN gis.roll.started_at IS 'when the extent of its job''s first walk was read, by the clock that dates rows';
COMMENT ON COLUMN gis.roll.first_change IS 'the last id of crawl.change before that';
COMMENT ON COLUMN gis.roll.is_confirmed IS 'the layer itself says that the APNs which came more than once have as many rows';

ALTER TABLE gis.seen ADD COLUMN digests bytea NOT NULL DEFAULT '';
ALTER TABLE gis.seen ALTER COLUMN digests SET STORAGE EXTERNAL;
COMMENT ON TABLE gis.seen IS 'what a walk has seen, a row a page; kept as long as its job can be gone on with';
COMMENT ON COLUMN gis.seen.digests IS 'the first eight bytes of the content hash of each of `keys`';

ALTER TABLE gis.stacked DROP CONSTRAINT stacked_pkey, ADD COLUMN copies integer NOT NULL DEFAULT 1;
ALTER TABLE gis.stacked ADD PRIMARY KEY (job_id, walk, apn, content_hash);
CREATE INDEX stacked_apn ON gis.stacked (apn);
COMMENT ON TABLE gis.stacked IS 'all rows of an APN that a layer has more than once, of its last roll; gis.parcel has the one of the lowest floor';
COMMENT ON COLUMN gis.stacked.copies IS 'how many rows of the layer say exactly this';

CREATE TABLE gis.aside (LIKE gis.parcel, is_held boolean NOT NULL DEFAULT false, PRIMARY KEY (apn, content_hash));
COMMENT ON COLUMN gis.aside.is_held IS 'not merged by its page: the end of its walk decides';
COMMENT ON TABLE gis.aside IS 'rows that were replaced or held back while a walk goes on; emptied when no walk is open';

CREATE TABLE gis.doubled (
    job_id bigint  NOT NULL,
    walk   integer NOT NULL,
    apn    text    NOT NULL,
    digest bytea   NOT NULL,
    copies integer NOT NULL,
    PRIMARY KEY (job_id, walk, apn, digest)
);
COMMENT ON TABLE gis.doubled IS 'APNs that a walk which ends has seen more than once, by what they said; emptied with it';

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

ALTER TABLE gis.outline ALTER COLUMN geometry DROP NOT NULL;
COMMENT ON COLUMN gis.outline.geometry IS 'NULL: a polygon came that cannot be read';
COMMENT ON COLUMN gis.parcel.layer IS 'the layer that said so first (config/sources/gis.yaml); another that says the same changes nothing';

DROP VIEW public.property;

CREATE VIEW public.property AS
SELECT p.apn, p.property_address, p.property_description, p.subdivision_name, p.lot, p.mcr, p.section_township_range,
       p.jurisdiction, p.property_type, p.property_use_code, p.property_use, p.lot_size_sqft,
       p.is_residential, p.is_commercial, p.is_rental, p.is_cancelled,
       o.ownership, o.in_care_of, o.mailing_address, o.is_redacted,
       o.deed_number, o.deed_date, o.deed_type, o.sale_price, o.sale_date,
       v.tax_year, v.full_cash_value, v.limited_property_value, v.legal_class_code, v.legal_class,
       r.construction_year, r.livable_sqft, r.has_pool, r.pool_sqft, r.bath_fixtures, r.garages, r.carports,
       p.tax_area_code, p.high_school_district, p.elementary_school_district,
       p.longitude::double precision AS longitude, p.latitude::double precision AS latitude,
       'assessor'::text AS source, p.first_seen_at,
       greatest(p.changed_at, o.changed_at, v.changed_at, r.changed_at) AS changed_at,
       t.last_seen_at, NULL::timestamptz AS removed_at
FROM assessor.parcel p
LEFT JOIN assessor.owner o USING (apn)
LEFT JOIN assessor.residence r USING (apn)
LEFT JOIN LATERAL (
    SELECT * FROM assessor.valuation w WHERE w.apn = p.apn ORDER BY w.tax_year DESC LIMIT 1
) v ON true
LEFT JOIN LATERAL (
    SELECT max(done_at) AS last_seen_at FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'assessor' AND t.kind = 'parcel' AND t.key = p.apn
) t ON true
UNION ALL
SELECT g.apn, g.property_address, NULL, g.subdivision_name, g.lot, g.mcr,
       coalesce(g.section_township_range, nullif(concat_ws(' ', g.section, g.township, g.range), '')),
       g.jurisdiction, NULL, g.property_use_code, g.property_use, g.lot_size_sqft,
       NULL, NULL, NULL, NULL,
       g.owner_name, g.in_care_of,
       nullif(concat_ws(' ', g.mail_address_1, g.mail_address_2, g.mail_city, g.mail_state, g.mail_zip), ''), NULL,
       g.deed_number, g.deed_date, NULL, g.sale_price, g.sale_date,
       g.tax_year, g.full_cash_value, g.limited_property_value, g.legal_class_code, NULL,
       g.construction_year, g.livable_sqft, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, g.longitude, g.latitude,
       'gis'::text, g.first_seen_at, g.changed_at,
       greatest(g.changed_at, (
           SELECT max(r.finished_at) FROM gis.roll r
           WHERE r.state = 'complete' AND r.finished_at >= g.first_seen_at AND (g.removed_at IS NULL OR r.finished_at < g.removed_at)
             AND NOT EXISTS (SELECT FROM gis.not_in_layer n WHERE n.layer = r.layer AND n.apn = g.apn)
       )),
       g.removed_at
FROM gis.parcel g
WHERE NOT EXISTS (SELECT FROM assessor.parcel p WHERE p.apn = g.apn);
COMMENT ON COLUMN public.property.removed_at IS
    'when a complete roll no longer had the parcel (source gis); NULL: it is there. Of the assessor''s parcels is_cancelled tells';
COMMENT ON COLUMN public.property.last_seen_at IS
    'the last time that a source was known to have it: an answer about it, or the end of a complete roll that had it';
