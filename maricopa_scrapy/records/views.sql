-- What people query, joined from all sources. A NULL means that the source says nothing.

-- Withheld owners ---------------------------------------------------------------------------------------------
-- Once an owner is withheld, every output shows "withheld" in place of the present and the former owner and mailing address.
-- Tables say what their sources said; here alone it is decided whose, and which columns: public.withheld, crawl.names_owner.

CREATE VIEW public.withheld AS
SELECT apn FROM assessor.owner WHERE is_redacted
UNION
SELECT apn FROM assessor_page.parcel WHERE is_redacted
UNION
SELECT w.apn FROM gis.withheld w WHERE NOT EXISTS (SELECT FROM gis.parcel g WHERE g.apn = w.apn AND g.owner_name IS NOT NULL)
UNION
SELECT apn FROM gis.parcel WHERE owner_name IN ('NA', 'N/A');
COMMENT ON VIEW public.withheld IS 'parcels whose owner the county withholds, by the present word of any of its sources';

-- Columns that say who owns a parcel, where its mail goes, or where that person lives.
CREATE FUNCTION crawl.names_owner(table_name text, field text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE table_name
        WHEN 'assessor.owner' THEN field IN ('ownership', 'in_care_of', 'contract_ownership') OR field LIKE 'mailing\_%'
        WHEN 'assessor.rental' THEN
            field IN ('situs_address', 'owner_business_entity') OR field ~ '^(owner|business_contact|agent)_(name|address)$'
        WHEN 'assessor.parcel' THEN field IN ('property_address', 'geo_address')
        WHEN 'assessor_page.parcel' THEN field IN ('ownership', 'in_care_of', 'mailing_address', 'property_address')
        WHEN 'gis.parcel' THEN field IN ('owner_name', 'in_care_of', 'property_address', 'suite') OR field ~ '^(mail|street)_'
        WHEN 'treasurer.account' THEN field IN ('owner', 'situs_address')
        WHEN 'bulk.secured_master' THEN field IN ('owner_name', 'property_address', 'suite') OR field LIKE 'mail\_%'
        WHEN 'bulk.residential_master' THEN field IN ('owner_name', 'property_address', 'suite') OR field ~ '^(mail|street)_'
        WHEN 'bulk.sale' THEN field IN ('property_address', 'suite') OR field ~ '^(grantor|grantee)_'
        ELSE false
    END
$$;

-- The deeds of withheld owners, present and former, and what was recorded beside them: their names are the owners'.
CREATE VIEW recorder.withheld_deed AS
SELECT o.deed_number FROM public.withheld w JOIN assessor.owner o USING (apn) WHERE o.deed_number IS NOT NULL
UNION
SELECT g.deed_number FROM public.withheld w JOIN gis.parcel g USING (apn) WHERE g.deed_number IS NOT NULL
UNION
SELECT h.deed_number FROM public.withheld w JOIN assessor_page.parcel h USING (apn) WHERE h.deed_number IS NOT NULL
UNION
SELECT s.deed_number FROM public.withheld w JOIN bulk.sale s USING (apn) WHERE s.deed_number IS NOT NULL
UNION
SELECT c.old FROM public.withheld w JOIN crawl.change c ON c.key ->> 'apn' = w.apn WHERE c.field = 'deed_number' AND c.old IS NOT NULL;
CREATE VIEW recorder.withheld_document AS
SELECT deed_number AS recording_number FROM recorder.withheld_deed
UNION
SELECT n.recording_number FROM recorder.withheld_deed d JOIN recorder.neighbour n USING (deed_number);
COMMENT ON VIEW recorder.withheld_document IS 'documents whose names are not shown: deeds of parcels whose owner is withheld, and what was recorded beside';

-- crawl.change as outputs show it.
CREATE VIEW public.change AS
SELECT c.id, c.table_name, CASE WHEN d.recording_number IS NOT NULL AND c.key ? 'name' THEN c.key || '{"name": "withheld"}' ELSE c.key END AS key,
       c.field, CASE WHEN h.is_hidden THEN 'withheld' ELSE c.old END AS old, CASE WHEN h.is_hidden THEN 'withheld' ELSE c.new END AS new,
       c.changed_at, c.run_id
FROM crawl.change c
LEFT JOIN public.withheld w ON w.apn = c.key ->> 'apn'
LEFT JOIN recorder.withheld_document d
       ON c.table_name IN ('recorder.party', 'recorder.legacy_document') AND d.recording_number = c.key ->> 'recording_number'
CROSS JOIN LATERAL (
    SELECT (w.apn IS NOT NULL AND crawl.names_owner(c.table_name, c.field)) OR (d.recording_number IS NOT NULL AND c.field = 'names') AS is_hidden
) h;
COMMENT ON VIEW public.change IS 'every changed field; "withheld" for owners and addresses of parcels whose owner the county withholds';

-- Parcels -----------------------------------------------------------------------------------------------------

CREATE VIEW public.valuation AS
SELECT apn, tax_year, full_cash_value, limited_property_value, assessed_fcv, assessed_lpv, assessment_ratio,
       legal_class_code, legal_class, property_use_code, property_use, tax_area_code, notice_of_change,
       valuation_source, first_seen_at, changed_at
FROM assessor.valuation;

-- A parcel's row is the assessor's API's, whole: no source fills another's gaps, but for coordinates. Where the API was not asked, it is
-- the public page's for its own columns and the GIS's for all others; else the GIS's.
CREATE VIEW public.property AS
SELECT p.apn, p.property_address, p.property_description, p.subdivision_name, p.lot, p.mcr, p.section_township_range,
       p.jurisdiction, p.property_type, p.property_use_code, p.property_use, p.lot_size_sqft,
       p.is_residential, p.is_commercial, p.is_rental, p.is_cancelled,
       CASE WHEN w.apn IS NULL THEN o.ownership ELSE 'withheld' END AS ownership,
       CASE WHEN w.apn IS NULL THEN o.in_care_of END AS in_care_of,
       CASE WHEN w.apn IS NULL THEN o.mailing_address ELSE 'withheld' END AS mailing_address, (w.apn IS NOT NULL OR o.is_redacted) AS is_redacted,
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
LEFT JOIN public.withheld w ON w.apn = p.apn
LEFT JOIN assessor.owner o ON o.apn = p.apn
LEFT JOIN assessor.residence r ON r.apn = p.apn
LEFT JOIN gis.parcel g ON g.apn = p.apn
LEFT JOIN LATERAL (
    SELECT * FROM assessor.valuation w WHERE w.apn = p.apn ORDER BY w.tax_year DESC LIMIT 1
) v ON true
LEFT JOIN LATERAL (
    SELECT max(done_at) AS last_seen_at FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'assessor' AND t.kind = 'parcel' AND t.key = p.apn
) t ON true
UNION ALL
SELECT h.apn, CASE WHEN h.is_redacted THEN NULL ELSE coalesce(h.property_address, g.property_address) END, h.property_description,
       coalesce(h.subdivision_name, g.subdivision_name), coalesce(h.lot, g.lot), h.mcr,
       coalesce(h.section_township_range, g.section_township_range, nullif(concat_ws(' ', g.section, g.township, g.range), '')),
       coalesce(h.jurisdiction, g.jurisdiction), h.property_type, g.property_use_code, g.property_use, h.lot_size_sqft,
       NULL, NULL, NULL, NULL,
       CASE WHEN w.apn IS NULL THEN h.ownership ELSE 'withheld' END, CASE WHEN w.apn IS NULL THEN h.in_care_of END,
       CASE WHEN w.apn IS NULL THEN h.mailing_address ELSE 'withheld' END, w.apn IS NOT NULL OR h.is_redacted,
       h.deed_number, h.deed_date, NULL, h.sale_price, CASE WHEN extract(day FROM h.sale_date) <> 1 THEN h.sale_date END,
       g.tax_year, g.full_cash_value, g.limited_property_value, g.legal_class_code, NULL,
       g.construction_year, g.livable_sqft, NULL, NULL, NULL, NULL, NULL,
       NULL, h.high_school_district, h.elementary_school_district, g.longitude, g.latitude,
       CASE WHEN g.apn IS NULL THEN 'assessor_page' ELSE 'assessor_page, gis' END,
       least(h.first_seen_at, g.first_seen_at), greatest(h.changed_at, g.changed_at),
       t.last_seen_at, NULL, to_char(h.sale_date, 'YYYY-MM')
FROM assessor_page.parcel h
LEFT JOIN gis.parcel g ON g.apn = h.apn
LEFT JOIN public.withheld w ON w.apn = h.apn
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
       CASE WHEN w.apn IS NULL THEN g.owner_name ELSE 'withheld' END, CASE WHEN w.apn IS NULL THEN g.in_care_of END,
       CASE WHEN w.apn IS NULL THEN nullif(concat_ws(' ', g.mail_address_1, g.mail_address_2, g.mail_city, g.mail_state, g.mail_zip), '') ELSE 'withheld' END,
       CASE WHEN w.apn IS NOT NULL THEN true END,
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
LEFT JOIN public.withheld w ON w.apn = g.apn
WHERE NOT EXISTS (SELECT FROM assessor.parcel p WHERE p.apn = g.apn)
  AND NOT EXISTS (SELECT FROM assessor_page.parcel h WHERE h.apn = g.apn);
COMMENT ON COLUMN public.property.removed_at IS
    'when a complete roll no longer had the parcel (source gis); NULL: it is there. Of the assessor''s parcels is_cancelled tells';
COMMENT ON COLUMN public.property.last_seen_at IS
    'the last time that a source was known to have it: an answer about it, or the end of a complete roll that had it';

-- Taxes -------------------------------------------------------------------------------------------------------

-- What is owed, and since when: as of the moment the page was read, for a bill paid meanwhile is not known to be.
-- is_delinquent is NULL when nobody knows when the bill was read. The first half is open while more is due than the second, for what was
-- paid late lacks its interest; after the second's day both have interest, and what was paid must tell.
CREATE VIEW public.tax AS
SELECT b.apn, b.tax_year, b.status, b.status_text, b.assessed, b.paid, b.interest, b.amount_due, o.observed_at,
       CASE WHEN o.observed_at IS NOT NULL
            THEN b.status IN ('lien', 'state_lien') OR coalesce(o.observed_at > d.until, false) END AS is_delinquent,
       (d.until AT TIME ZONE 'America/Phoenix')::date AS next_due_on, b.removed_at, b.first_seen_at, b.changed_at, b.unseen_since
FROM treasurer.bill b
LEFT JOIN LATERAL (
    SELECT max(done_at) AS done_at FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'treasurer' AND t.kind = 'parcel' AND t.key = b.apn
) seen ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN b.removed_at IS NULL AND b.unseen_since IS NULL THEN seen.done_at ELSE b.changed_at END AS observed_at
) o
CROSS JOIN LATERAL (
    SELECT CASE WHEN b.amount_due = 0 OR b.status IN ('lien', 'state_lien') THEN NULL
                WHEN b.second_half_until IS NULL OR b.paid < trunc(b.assessed / 2, 2) THEN b.first_half_until
                WHEN o.observed_at <= b.second_half_until AND b.amount_due > b.assessed - trunc(b.assessed / 2, 2) THEN b.first_half_until
                ELSE b.second_half_until END AS until
) d;
COMMENT ON COLUMN public.tax.observed_at IS 'when the page was read that amount_due and is_delinquent hold for';
COMMENT ON COLUMN public.tax.is_delinquent IS 'as of observed_at; NULL when that is not known';
COMMENT ON COLUMN public.tax.next_due_on IS 'last day on which what is due can be paid in time; past when is_delinquent';
COMMENT ON COLUMN public.tax.unseen_since IS 'since when the page has not shown the year any more: look at it';

-- Sales and documents -----------------------------------------------------------------------------------------

-- One row for what one source says of one sale; nothing is merged, so that a sale may stand here from several sources (basis).
-- sale_date: NULL where only the month is known (affidavits know no day; the others write the first of the month).
-- is_future: dated after the day on which it was read, in Phoenix.
-- confidence: whether the sale is that of the deed. An affidavit names both; the others have a last sale beside a last deed, and a deed
-- without a sale (into a trust, say) may have come after it.
CREATE VIEW public.sale AS
SELECT a.apn, deed_number, deed_date, deed_type, sale_month, NULL::date AS sale_date, sale_price,
       CASE WHEN w.apn IS NULL OR grantor_name IS NULL THEN grantor_name ELSE 'withheld' END AS seller,
       CASE WHEN w.apn IS NULL OR grantee_name IS NULL THEN grantee_name ELSE 'withheld' END AS buyer, parcel_count, occurrence, 'affidavit'::text AS basis,
       coalesce(deed_date > read_on, false) OR coalesce(sale_month > to_char(read_on, 'YYYY-MM'), false) AS is_future,
       first_seen_at, changed_at, 'exact'::text AS confidence
FROM (SELECT *, (changed_at AT TIME ZONE 'America/Phoenix')::date AS read_on FROM bulk.sale) a
LEFT JOIN public.withheld w ON w.apn = a.apn
UNION ALL
SELECT apn, deed_number, deed_date, deed_type, to_char(sale_date, 'YYYY-MM'),
       CASE WHEN extract(day FROM sale_date) <> 1 THEN sale_date END, sale_price,
       NULL, NULL, NULL, 1, basis,
       coalesce(deed_date > read_on, false) OR coalesce(sale_date > read_on, false), first_seen_at, changed_at,
       CASE WHEN deed_number IS NOT NULL AND date_trunc('month', deed_date::timestamp)
                 BETWEEN date_trunc('month', sale_date::timestamp) AND date_trunc('month', sale_date::timestamp) + interval '3 months'
            THEN 'probable' ELSE 'possible' END
FROM (
    SELECT apn, deed_number, deed_date, deed_type, sale_date, sale_price, 'assessor'::text AS basis, first_seen_at, changed_at,
           (changed_at AT TIME ZONE 'America/Phoenix')::date AS read_on
    FROM assessor.owner
    UNION ALL
    SELECT apn, deed_number, deed_date, NULL, sale_date, sale_price, 'gis', first_seen_at, changed_at,
           (changed_at AT TIME ZONE 'America/Phoenix')::date
    FROM gis.parcel
) o
WHERE sale_price IS NOT NULL OR sale_date IS NOT NULL;

CREATE VIEW recorder.parcel_deed AS
SELECT apn, deed_number, deed_date, ownership AS owner, 'assessor' AS told_by FROM assessor.owner WHERE deed_number IS NOT NULL
UNION ALL
SELECT g.apn, g.deed_number, g.deed_date, g.owner_name, 'gis' FROM gis.parcel g
WHERE g.deed_number IS NOT NULL AND NOT EXISTS (SELECT FROM assessor.owner o WHERE o.apn = g.apn AND o.deed_number = g.deed_number);
COMMENT ON VIEW recorder.parcel_deed IS 'the last deed of each parcel, by the assessor''s API and, where that was not asked or says another, by the GIS';

-- A document is tied to the parcels of its affidavit too; a name that owns several parcels ties to none of them better than possibly.
CREATE VIEW recorder.parcel_document AS
SELECT d.apn, d.deed_number AS recording_number, 'deed_number' AS basis, 'exact' AS confidence,
       CASE d.told_by WHEN 'assessor' THEN 'last deed of the parcel, by the assessor''s API' ELSE 'last deed of the parcel, by the GIS' END AS reason
FROM recorder.parcel_deed d
UNION ALL
-- The first line of a deed and parcel stands for all; the last deed is tied already.
SELECT s.apn, s.deed_number, 'affidavit', 'exact', 'deed of a sale of the parcel, by the Sales Affidavits'
FROM bulk.sale s
WHERE s.occurrence = 1 AND NOT EXISTS (SELECT FROM recorder.parcel_deed d WHERE d.apn = s.apn AND d.deed_number = s.deed_number)
UNION ALL
SELECT d.apn, n.recording_number, 'neighbour', n.confidence, n.reason
FROM recorder.parcel_deed d JOIN recorder.neighbour n USING (deed_number)
UNION ALL
SELECT o.apn, t.recording_number, 'owner_name',
       CASE WHEN x.recording_date < o.deed_date OR s.is_several THEN 'possible' ELSE t.confidence END,
       t.reason || CASE WHEN s.is_several THEN '; several parcels have an owner of this name' ELSE '' END
                || CASE WHEN x.recording_date < o.deed_date THEN '; recorded before the owner''s last deed' ELSE '' END
FROM recorder.name_link t
JOIN recorder.document x USING (recording_number)
JOIN recorder.parcel_deed o ON upper(o.owner) = t.owner AND o.deed_number <> t.recording_number
CROSS JOIN LATERAL (
    -- Of the names that were asked for alone, and once: a county has 1.7 million owners.
    SELECT t.owner IN (
        SELECT upper(q.owner) FROM recorder.parcel_deed q WHERE upper(q.owner) IN (SELECT m.owner FROM recorder.name_match m)
        GROUP BY 1 HAVING count(DISTINCT q.apn) > 1
    ) AS is_several
) s
WHERE t.confidence <> 'excluded' AND NOT EXISTS (SELECT FROM public.withheld w WHERE w.apn = o.apn);
COMMENT ON VIEW recorder.parcel_document IS
    'which document is tied to which parcel, on what basis, how surely and why; only deed_number and affidavit are facts';

CREATE VIEW public.document AS
SELECT p.apn, coalesce(d.recording_number, l.recording_number) AS recording_number, coalesce(d.recording_date, l.recorded_at::date) AS recording_date, l.recorded_at,
       coalesce(c.codes, (SELECT array_agg(v) FROM jsonb_array_elements_text(l.display_codes) v)) AS codes,
       CASE WHEN h.recording_number IS NOT NULL THEN ARRAY['withheld']
            ELSE coalesce(n.names, (SELECT array_agg(v) FROM jsonb_array_elements_text(l.names) v)) END AS names,
       coalesce(d.page_amount, l.page_amount) AS pages, d.affidavit_present, d.restricted,
       coalesce(d.docket_book, l.docket_book) AS docket_book, coalesce(d.page_map, l.page_map) AS page_map,
       p.basis, p.confidence,
       CASE WHEN h.recording_number IS NOT NULL AND p.basis = 'owner_name' THEN 'withheld' ELSE p.reason END AS reason, d.image_url, i.path AS image_path,
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
) n ON true
LEFT JOIN recorder.withheld_document h ON h.recording_number = coalesce(d.recording_number, l.recording_number);
COMMENT ON VIEW public.document IS 'documents, with the parcels that they are tied to; apn is NULL where none is';

-- Dashboards (docs/dashboards.md) -----------------------------------------------------------------------------

CREATE VIEW public.report_job AS
SELECT j.id AS job, j.type, j.mode, j.priority, coalesce(j.verdict, j.state) AS outcome, j.reason, j.created_at, j.started_at, j.finished_at,
       extract(epoch FROM coalesce(j.finished_at, now()) - j.started_at)::double precision AS seconds, j.enumerated AS targets,
       t.requests, t.refusals, t.bytes, round(t.requests / nullif(p.parcels, 0), 3) AS requests_per_parcel
FROM crawl.job j
LEFT JOIN LATERAL (
    SELECT sum((s.value ->> 'requests')::bigint) AS requests, sum((s.value ->> 'refusals')::bigint) AS refusals,
           sum((s.value ->> 'bytes')::bigint) AS bytes
    FROM crawl.run r CROSS JOIN LATERAL jsonb_each(r.traffic) s WHERE r.job_id = j.id
) t ON true
LEFT JOIN LATERAL (
    SELECT count(DISTINCT key) AS parcels FROM crawl.target g WHERE g.job_id = j.id AND g.kind = 'parcel' AND g.state = 'done'
) p ON true;
COMMENT ON VIEW public.report_job IS 'a row a job: outcome, duration, and what it cost';

CREATE VIEW public.report_coverage AS
SELECT job_id AS job, source, count(*) AS asked, count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'gone') AS gone, count(*) FILTER (WHERE state = 'dead') AS failed,
       count(*) FILTER (WHERE state IN ('pending', 'leased')) AS "left",
       round(100.0 * count(*) FILTER (WHERE state IN ('done', 'gone')) / count(*), 2) AS percent, max(done_at) AS last_at,
       count(unread) AS unread
FROM crawl.target GROUP BY job_id, source;
COMMENT ON VIEW public.report_coverage IS 'what became of the targets of each job, by source; percent: done and gone, of all';

CREATE VIEW public.report_failures AS
SELECT job_id AS job, source, cause, count(*) FILTER (WHERE state = 'dead') AS given_up,
       count(*) FILTER (WHERE state <> 'dead') AS to_be_tried_again, min(key) AS example, max(done_at) AS last_at
FROM crawl.target WHERE cause IS NOT NULL AND state IN ('dead', 'pending', 'leased') GROUP BY job_id, source, cause;
COMMENT ON VIEW public.report_failures IS 'targets without an answer, by job, source and cause';

CREATE VIEW public.report_source_hourly AS
SELECT date_trunc('hour', at) AS hour, source, sum(requests)::bigint AS requests, sum(answers)::bigint AS answers,
       sum(refusals)::bigint AS refusals, sum(bytes)::bigint AS bytes, avg(allowed) AS allowed_rate, count(DISTINCT run_id) AS runs
FROM (
    SELECT run_id, source, at, allowed, requests - lag(requests, 1, 0::bigint) OVER w AS requests,
           answers - lag(answers, 1, 0::bigint) OVER w AS answers, refusals - lag(refusals, 1, 0::bigint) OVER w AS refusals,
           bytes - lag(bytes, 1, 0::bigint) OVER w AS bytes
    FROM crawl.sample WINDOW w AS (PARTITION BY run_id, source ORDER BY at)
) s GROUP BY 1, 2;
COMMENT ON VIEW public.report_source_hourly IS 'traffic of each source by the hour (UTC)';

CREATE VIEW public.report_changes_daily AS
SELECT date_trunc('day', c.changed_at) AS day, c.table_name, c.field, count(*) AS changes, count(DISTINCT c.run_id) AS runs
FROM crawl.change c LEFT JOIN crawl.run r ON r.id = c.run_id WHERE r.spider IS DISTINCT FROM 'reparse' GROUP BY 1, 2, 3;
COMMENT ON VIEW public.report_changes_daily IS 'changed fields by the day (UTC); corrections by `maricopa reparse` are none';
