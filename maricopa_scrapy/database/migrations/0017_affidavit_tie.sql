-- A document is tied to the parcels of its affidavit too; a name that owns several parcels ties to none of them better than possibly;
-- and a price is said of the last deed only where the months agree.
-- depends: 0011_sales

CREATE OR REPLACE VIEW recorder.parcel_document AS
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
FROM recorder.name_tie t
JOIN recorder.document x USING (recording_number)
JOIN recorder.parcel_deed o ON upper(o.owner) = t.owner AND o.deed_number <> t.recording_number
CROSS JOIN LATERAL (
    -- Of the names that were asked for alone, and once: a county has 1.7 million owners.
    SELECT t.owner IN (
        SELECT upper(q.owner) FROM recorder.parcel_deed q WHERE upper(q.owner) IN (SELECT m.owner FROM recorder.name_match m)
        GROUP BY 1 HAVING count(DISTINCT q.apn) > 1
    ) AS is_several
) s
WHERE t.confidence <> 'excluded';
COMMENT ON VIEW recorder.parcel_document IS
    'which document is tied to which parcel, on what basis, how surely and why; only deed_number and affidavit are facts';

-- confidence: whether the sale is that of the deed. An affidavit names both; the others have a last sale beside a last deed, and a deed
-- without a sale (into a trust, say) may have come after it.
CREATE OR REPLACE VIEW public.sale AS
SELECT apn, deed_number, deed_date, deed_type, sale_month, NULL::date AS sale_date, sale_price,
       grantor_name AS seller, grantee_name AS buyer, parcel_count, occurrence, 'affidavit'::text AS basis,
       coalesce(deed_date > read_on, false) OR coalesce(sale_month > to_char(read_on, 'YYYY-MM'), false) AS is_future,
       first_seen_at, changed_at, 'exact'::text AS confidence
FROM (SELECT *, (changed_at AT TIME ZONE 'America/Phoenix')::date AS read_on FROM bulk.sale) a
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
