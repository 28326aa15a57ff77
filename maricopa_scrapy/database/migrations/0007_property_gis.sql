-- A parcel that the assessor's API was not asked for is told by the GIS. The API's row stands alone: no source fills another's gaps.
-- depends: 0006_bulk

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
       t.last_seen_at
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
       coalesce(g.removed_at, (SELECT max(finished_at) FROM gis.roll WHERE state = 'complete'), g.changed_at)
FROM gis.parcel g
WHERE NOT EXISTS (SELECT FROM assessor.parcel p WHERE p.apn = g.apn);
