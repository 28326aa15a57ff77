-- Sales: the assessor's affidavits, and what each source says of a sale. Columns of bulk.* as in sources/bulk/records.py.
-- depends: 0007_property_gis

CREATE TABLE bulk.sale (
    apn                           text,
    sale_month                    text,
    sale_price                    bigint,
    deed_number                   text,
    deed_date                     date,
    deed_status                   text,
    deed_type                     text,
    property_type_code            text,
    property_type                 text,
    property_type_other           text,
    property_address              text,
    suite                         text,
    property_city                 text,
    property_zip                  text,
    grantor_name                  text,
    grantor_address_1             text,
    grantor_address_2             text,
    grantor_city                  text,
    grantor_state                 text,
    grantor_zip                   text,
    grantor_country               text,
    grantee_name                  text,
    grantee_address_1             text,
    grantee_address_2             text,
    grantee_city                  text,
    grantee_state                 text,
    grantee_zip                   text,
    grantee_country               text,
    finance_type_code             text,
    finance_type_other            text,
    down_payment                  bigint,
    partial_interest              text,
    partial_interest_percent      text,
    partial_interest_description  text,
    multi_parcel                  text,
    parcel_count                  integer,
    related_parties               text,
    relationship                  text,
    owner_occupancy               text,
    assessor_code                 text,
    assessor_code_description     text,
    personal_property             text,
    personal_property_value       bigint,
    personal_property_description text,
    deed_number_raw               text NOT NULL,
    occurrence                    integer,
    content_hash                  bytea NOT NULL,
    capture_sha256                bytea NOT NULL,
    first_seen_at                 timestamptz NOT NULL,
    changed_at                    timestamptz NOT NULL,
    PRIMARY KEY (deed_number, apn, occurrence)
);
CREATE INDEX sale_apn ON bulk.sale (apn);
COMMENT ON TABLE bulk.sale IS 'Sales Affidavits: one row a deed and parcel; capture_sha256 is the digest of the file';
COMMENT ON COLUMN bulk.sale.sale_month IS 'YYYY-MM: the file knows no day';
COMMENT ON COLUMN bulk.sale.deed_number IS 'the recorder''s number, 11 digits; deed_number_raw is as the file has it';
COMMENT ON COLUMN bulk.sale.occurrence IS 'numbers the lines that a deed has for one parcel, in the order of the file';

-- A line set aside is known by its file's digest and its place: next month's file does not overwrite this one's.
-- Lines of before do not say which edition they were of, and are dropped: loading their file again sets them aside again.
DROP TABLE bulk.reject;
CREATE TABLE bulk.reject (
    digest         text,
    place          text,
    file           text NOT NULL,
    line_number    integer NOT NULL,
    reason         text NOT NULL,
    line           text,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (digest, place)
);
COMMENT ON COLUMN bulk.reject.digest IS 'the first 16 digits of the file''s SHA-256: which edition of the file it was';
COMMENT ON COLUMN bulk.reject.place IS 'file:line, of a zip zip/member:line; its folder is the key of the target in crawl.target';

-- One row for what one source says of one sale; nothing is merged, so that a sale may stand here from several sources (basis).
-- sale_date: NULL where only the month is known (affidavits know no day; the others write the first of the month).
-- is_future: dated after the day on which it was read, in Phoenix.
CREATE VIEW public.sale AS
SELECT apn, deed_number, deed_date, deed_type, sale_month, NULL::date AS sale_date, sale_price,
       grantor_name AS seller, grantee_name AS buyer, parcel_count, occurrence, 'affidavit'::text AS basis,
       coalesce(deed_date > read_on, false) OR coalesce(sale_month > to_char(read_on, 'YYYY-MM'), false) AS is_future,
       first_seen_at, changed_at
FROM (SELECT *, (changed_at AT TIME ZONE 'America/Phoenix')::date AS read_on FROM bulk.sale) a
UNION ALL
SELECT apn, deed_number, deed_date, deed_type, to_char(sale_date, 'YYYY-MM'),
       CASE WHEN extract(day FROM sale_date) <> 1 THEN sale_date END, sale_price,
       NULL, NULL, NULL, 1, basis,
       coalesce(deed_date > read_on, false) OR coalesce(sale_date > read_on, false), first_seen_at, changed_at
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
