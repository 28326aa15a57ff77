-- What people query. A NULL means that the source says nothing.
-- depends: 0002_assessor

CREATE VIEW public.valuation AS
SELECT apn, tax_year, full_cash_value, limited_property_value, assessed_fcv, assessed_lpv, assessment_ratio,
       legal_class_code, legal_class, property_use_code, property_use, tax_area_code, notice_of_change,
       valuation_source, first_seen_at, changed_at
FROM assessor.valuation;

CREATE VIEW public.property AS
SELECT p.apn, p.property_address, p.property_description, p.subdivision_name, p.lot, p.mcr, p.section_township_range,
       p.jurisdiction, p.property_type, p.property_use_code, p.property_use, p.lot_size_sqft,
       p.is_residential, p.is_commercial, p.is_rental, p.is_cancelled,
       o.ownership, o.in_care_of, o.mailing_address, o.is_redacted,
       o.deed_number, o.deed_date, o.deed_type, o.sale_price, o.sale_date,
       v.tax_year, v.full_cash_value, v.limited_property_value, v.legal_class_code, v.legal_class,
       r.construction_year, r.livable_sqft, r.has_pool, r.pool_sqft, r.bath_fixtures, r.garages, r.carports,
       p.tax_area_code, p.high_school_district, p.elementary_school_district,
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
) t ON true;
