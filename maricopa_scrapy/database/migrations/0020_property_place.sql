-- `property`: where the API has no coordinates, the GIS's. A sale's month as in `sale`; its day only where a source knows one.
-- depends: 0013_assessor_page 0019_report

CREATE OR REPLACE VIEW public.property AS
SELECT p.apn, p.property_address, p.property_description, p.subdivision_name, p.lot, p.mcr, p.section_township_range,
       p.jurisdiction, p.property_type, p.property_use_code, p.property_use, p.lot_size_sqft,
       p.is_residential, p.is_commercial, p.is_rental, p.is_cancelled,
       o.ownership, o.in_care_of, o.mailing_address, o.is_redacted,
       o.deed_number, o.deed_date, o.deed_type, o.sale_price, CASE WHEN extract(day FROM o.sale_date) <> 1 THEN o.sale_date END AS sale_date,
       v.tax_year, v.full_cash_value, v.limited_property_value, v.legal_class_code, v.legal_class,
       r.construction_year, r.livable_sqft, r.has_pool, r.pool_sqft, r.bath_fixtures, r.garages, r.carports,
       p.tax_area_code, p.high_school_district, p.elementary_school_district,
       coalesce(p.longitude::double precision, g.longitude) AS longitude,
       CASE WHEN p.longitude IS NULL THEN g.latitude ELSE p.latitude::double precision END AS latitude,
       'assessor'::text AS source, p.first_seen_at,
       greatest(p.changed_at, o.changed_at, v.changed_at, r.changed_at) AS changed_at,
       t.last_seen_at, NULL::timestamptz AS removed_at, to_char(o.sale_date, 'YYYY-MM') AS sale_month
FROM assessor.parcel p
LEFT JOIN assessor.owner o USING (apn)
LEFT JOIN assessor.residence r USING (apn)
LEFT JOIN gis.parcel g USING (apn)
LEFT JOIN LATERAL (
    SELECT * FROM assessor.valuation w WHERE w.apn = p.apn ORDER BY w.tax_year DESC LIMIT 1
) v ON true
LEFT JOIN LATERAL (
    SELECT max(done_at) AS last_seen_at FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'assessor' AND t.kind = 'parcel' AND t.key = p.apn
) t ON true
UNION ALL
SELECT h.apn, g.property_address, h.property_description, g.subdivision_name, g.lot, h.mcr,
       coalesce(g.section_township_range, nullif(concat_ws(' ', g.section, g.township, g.range), '')),
       g.jurisdiction, NULL, g.property_use_code, g.property_use, h.lot_size_sqft,
       NULL, NULL, NULL, NULL,
       h.ownership, h.in_care_of, h.mailing_address, NULL,
       h.deed_number, h.deed_date, NULL, h.sale_price, CASE WHEN extract(day FROM h.sale_date) <> 1 THEN h.sale_date END,
       g.tax_year, g.full_cash_value, g.limited_property_value, g.legal_class_code, NULL,
       g.construction_year, g.livable_sqft, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, g.longitude, g.latitude,
       CASE WHEN g.apn IS NULL THEN 'assessor_page' ELSE 'assessor_page, gis' END,
       least(h.first_seen_at, g.first_seen_at), greatest(h.changed_at, g.changed_at),
       t.last_seen_at, NULL, to_char(h.sale_date, 'YYYY-MM')
FROM assessor_page.parcel h
LEFT JOIN gis.parcel g USING (apn)
LEFT JOIN LATERAL (
    SELECT max(done_at) AS last_seen_at FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'assessor_page' AND t.kind = 'parcel' AND t.key = h.apn
) t ON true
WHERE NOT EXISTS (SELECT FROM assessor.parcel p WHERE p.apn = h.apn)
UNION ALL
SELECT g.apn, g.property_address, NULL, g.subdivision_name, g.lot, g.mcr,
       coalesce(g.section_township_range, nullif(concat_ws(' ', g.section, g.township, g.range), '')),
       g.jurisdiction, NULL, g.property_use_code, g.property_use, g.lot_size_sqft,
       NULL, NULL, NULL, NULL,
       g.owner_name, g.in_care_of,
       nullif(concat_ws(' ', g.mail_address_1, g.mail_address_2, g.mail_city, g.mail_state, g.mail_zip), ''), NULL,
       g.deed_number, g.deed_date, NULL, g.sale_price, CASE WHEN extract(day FROM g.sale_date) <> 1 THEN g.sale_date END,
       g.tax_year, g.full_cash_value, g.limited_property_value, g.legal_class_code, NULL,
       g.construction_year, g.livable_sqft, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, g.longitude, g.latitude,
       'gis'::text, g.first_seen_at, g.changed_at,
       greatest(g.changed_at, (
           SELECT max(r.finished_at) FROM gis.roll r
           WHERE r.state = 'complete' AND r.finished_at >= g.first_seen_at AND (g.removed_at IS NULL OR r.finished_at < g.removed_at)
             AND NOT EXISTS (SELECT FROM gis.not_in_layer n WHERE n.layer = r.layer AND n.apn = g.apn)
       )),
       g.removed_at, to_char(g.sale_date, 'YYYY-MM')
FROM gis.parcel g
WHERE NOT EXISTS (SELECT FROM assessor.parcel p WHERE p.apn = g.apn)
  AND NOT EXISTS (SELECT FROM assessor_page.parcel h WHERE h.apn = g.apn);
