-- The search index of `maricopa find`: GIN indexes on the tables themselves, so that a row and its words are stored, changed and
-- removed as one. What an index says of a table is what its view here says, letter by letter: Postgres uses it for nothing else.

-- Of a database that has rows already, the indexes are made in one go.
SET LOCAL maintenance_work_mem = '256MB';

CREATE SCHEMA find;

-- Letters without accents; those of other scripts stay.
CREATE FUNCTION find.ascii(said text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(regexp_replace(regexp_replace(translate(replace(replace(normalize(said, NFKD), 'ß', 'ss'), 'ẞ', 'SS'), 'ØøŁłĐđ', 'OoLlDd'),
        '[\u0300-\u036f\u2018\u2019\u02bc]', '', 'g'), '[\u0080-\u00bf\u2010-\u206f]', ' ', 'g'), 500)
$$;

-- Text as words between blanks: lower case, no accents, no apostrophes, other signs as blanks, the letters of L L C and the like as one.
CREATE FUNCTION find.plain(said text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(said) <> length(said) THEN
        said := regexp_replace(replace(lower(find.ascii(said)), '''', ''), '[\u0001-\u001f!-/:-@\[-`{-\u007f]+', ' ', 'g');
    ELSE
        said := lower(left(said, 2000));
        IF said ~ '[^a-z0-9 ]' THEN
            said := regexp_replace(replace(said, '''', ''), '[^a-z0-9 ]+', ' ', 'g');
        END IF;
    END IF;
    said := ' ' || said || ' ';
    IF said ~ ' [lpu] ' THEN
        said := replace(replace(replace(replace(replace(replace(said, ' l l l p ', ' lllp '), ' p l l c ', ' pllc '), ' l l c ', ' llc '),
            ' l l p ', ' llp '), ' l p ', ' lp '), ' u s a ', ' usa ');
    END IF;
    RETURN said;
END
$$;

-- Its price, so that the planner looks into an index rather than at rows one by one.
CREATE FUNCTION find.words(VARIADIC said text[]) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 400 AS $$
BEGIN
    RETURN find.plain(array_to_string(said, ' '))::tsvector;
END
$$;

-- The words that there are, to find the neighbours of one that is mistyped. A word stays when its last row goes.
CREATE TABLE find.word (word text COLLATE "C" PRIMARY KEY);
COMMENT ON TABLE find.word IS 'words of names, streets and subdivisions; written by the triggers find_words';

-- Its argument: the text whose words are noted. Cut at blanks first: a page has each of the tokens many times.
CREATE FUNCTION find.note_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE find.noting('new_rows', TG_ARGV[0]);
    RETURN NULL;
END
$$;

CREATE FUNCTION find.noting(rows text, said text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT format('INSERT INTO find.word SELECT DISTINCT word FROM (SELECT DISTINCT token FROM %s, string_to_table(%s, '' '') AS token) t,'
                  ' string_to_table(find.plain(token), '' '') AS word WHERE word ~ ''[^0-9]{3}'' ORDER BY word ON CONFLICT DO NOTHING',
                  rows, said)
$$;

-- One row for what one table says of one parcel. book: of the assessor's map, so that of a word that many rows have, the index gives the
-- rows of some books. told: its words; half: those of them that are indexed, all but for the assessor's, who tells a parcel in two tables;
-- owner: the owner's; then what a person reads. The indexes of tables that come in millions put new rows
-- aside, 32 MB of words at most, and take them in together: a roll is the faster, and `maricopa find` asks for it before it looks.
CREATE VIEW find.gis_parcel AS
SELECT 'gis.parcel'::text AS told_by, apn, ARRAY[left(apn, 3)] AS book, find.words(owner_name, in_care_of, property_address, suite, property_city, property_zip, subdivision_name,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip, deed_number) AS half,
       find.words(owner_name, in_care_of, property_address, suite, property_city, property_zip, subdivision_name,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip, deed_number) AS told,
       find.words(owner_name, in_care_of) AS owner,
       concat_ws(', ', owner_name, in_care_of) AS name, concat_ws(' ', property_address, suite) AS address, concat_ws(' ', property_city, jurisdiction) AS city,
       subdivision_name AS subdivision, concat_ws(' ', mail_address_1, mail_address_2, mail_city, mail_state, mail_zip) AS mail,
       deed_number AS deed_number, sale_price AS price, to_char(sale_date, 'YYYY-MM') AS sold, changed_at
FROM gis.parcel WHERE removed_at IS NULL;
CREATE INDEX gis_parcel_find ON gis.parcel USING gin (
    find.words(owner_name, in_care_of, property_address, suite, property_city, property_zip, subdivision_name,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip, deed_number), find.words(owner_name, in_care_of), (ARRAY[left(apn, 3)])
) WITH (gin_pending_list_limit = 32768) WHERE removed_at IS NULL;

CREATE VIEW find.secured_master AS
SELECT 'bulk.secured_master'::text AS told_by, apn, ARRAY[left(apn, 3)] AS book, find.words(owner_name, property_address, suite, property_city, property_zip, subdivision_name,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip, deed_number) AS half,
       find.words(owner_name, property_address, suite, property_city, property_zip, subdivision_name,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip, deed_number) AS told,
       find.words(owner_name) AS owner,
       owner_name AS name, concat_ws(' ', property_address, suite) AS address, property_city AS city,
       subdivision_name AS subdivision, concat_ws(' ', mail_address_1, mail_address_2, mail_city, mail_state, mail_zip) AS mail,
       deed_number AS deed_number, sale_price AS price, to_char(sale_date, 'YYYY-MM') AS sold, changed_at
FROM bulk.secured_master;
CREATE INDEX secured_master_find ON bulk.secured_master USING gin (
    find.words(owner_name, property_address, suite, property_city, property_zip, subdivision_name,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip, deed_number), find.words(owner_name), (ARRAY[left(apn, 3)])
) WITH (gin_pending_list_limit = 32768);

CREATE VIEW find.residential_master AS
SELECT 'bulk.residential_master'::text AS told_by, apn, ARRAY[left(apn, 3)] AS book, find.words(owner_name, street_number, street_direction, street_name, street_type, property_city, property_zip,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip) AS half,
       find.words(owner_name, street_number, street_direction, street_name, street_type, property_city, property_zip,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip) AS told,
       find.words(owner_name) AS owner,
       owner_name AS name, concat_ws(' ', street_number, street_direction, street_name, street_type) AS address, property_city AS city,
       NULL::text AS subdivision, concat_ws(' ', mail_address_1, mail_address_2, mail_city, mail_state, mail_zip) AS mail,
       NULL::text AS deed_number, sale_price AS price, to_char(sale_date, 'YYYY-MM') AS sold, changed_at
FROM bulk.residential_master;
CREATE INDEX residential_master_find ON bulk.residential_master USING gin (
    find.words(owner_name, street_number, street_direction, street_name, street_type, property_city, property_zip,
                  mail_address_1, mail_address_2, mail_city, mail_state, mail_zip), find.words(owner_name), (ARRAY[left(apn, 3)])
) WITH (gin_pending_list_limit = 32768);

CREATE VIEW find.page_parcel AS
SELECT 'assessor_page.parcel'::text AS told_by, apn, ARRAY[left(apn, 3)] AS book, find.words(ownership, in_care_of, property_address, jurisdiction, subdivision_name, mailing_address, deed_number) AS half,
       find.words(ownership, in_care_of, property_address, jurisdiction, subdivision_name, mailing_address, deed_number) AS told,
       find.words(ownership, in_care_of) AS owner,
       concat_ws(', ', ownership, in_care_of) AS name, property_address AS address, concat_ws(' ', property_address, jurisdiction) AS city,
       subdivision_name AS subdivision, mailing_address AS mail,
       deed_number AS deed_number, sale_price AS price, to_char(sale_date, 'YYYY-MM') AS sold, changed_at
FROM assessor_page.parcel;
CREATE INDEX page_parcel_find ON assessor_page.parcel USING gin (
    find.words(ownership, in_care_of, property_address, jurisdiction, subdivision_name, mailing_address, deed_number), find.words(ownership, in_care_of), (ARRAY[left(apn, 3)])
);

CREATE VIEW find.account AS
SELECT 'treasurer.account'::text AS told_by, apn, ARRAY[left(apn, 3)] AS book, find.words(owner, situs_address) AS half,
       find.words(owner, situs_address) AS told,
       find.words(owner) AS owner,
       owner AS name, situs_address AS address, situs_address AS city,
       NULL::text AS subdivision, NULL::text AS mail,
       NULL::text AS deed_number, NULL::bigint AS price, NULL::text AS sold, changed_at
FROM treasurer.account;
CREATE INDEX account_find ON treasurer.account USING gin (
    find.words(owner, situs_address), find.words(owner), (ARRAY[left(apn, 3)])
);

-- Who was an owner once is found last: buyers and sellers.
CREATE VIEW find.sale AS
SELECT 'bulk.sale'::text AS told_by, apn, ARRAY[left(apn, 3)] AS book, find.words(grantor_name, grantee_name, property_address, suite, property_city, property_zip, deed_number) AS half,
       find.words(grantor_name, grantee_name, property_address, suite, property_city, property_zip, deed_number) AS told,
       find.words(grantor_name, grantee_name) AS owner,
       concat_ws(' to ', grantor_name, grantee_name) AS name, concat_ws(' ', property_address, suite) AS address, property_city AS city,
       NULL::text AS subdivision, NULL::text AS mail,
       deed_number AS deed_number, sale_price AS price, sale_month AS sold, changed_at
FROM bulk.sale;
CREATE INDEX sale_find ON bulk.sale USING gin (
    find.words(grantor_name, grantee_name, property_address, suite, property_city, property_zip, deed_number), find.words(grantor_name, grantee_name), (ARRAY[left(apn, 3)])
) WITH (gin_pending_list_limit = 32768);

-- The assessor's parcels once for each of both tables that they may be looked up by, and those without an owner.
CREATE VIEW find.assessor_by_owner AS
SELECT 'assessor.parcel'::text AS told_by, p.apn, ARRAY[left(o.apn, 3)] AS book, find.words(o.ownership, o.in_care_of, o.contract_ownership,
                  o.mailing_address_1, o.mailing_address_2, o.mailing_city, o.mailing_state, o.mailing_zip, o.deed_number) AS half,
       find.words(o.ownership, o.in_care_of, o.contract_ownership, p.property_address, p.jurisdiction, p.subdivision_name,
                  o.mailing_address_1, o.mailing_address_2, o.mailing_city, o.mailing_state, o.mailing_zip, o.deed_number) AS told,
       find.words(o.ownership, o.in_care_of, o.contract_ownership) AS owner,
       concat_ws(', ', o.ownership, o.in_care_of, o.contract_ownership) AS name, p.property_address AS address, concat_ws(' ', p.property_address, p.jurisdiction) AS city,
       p.subdivision_name AS subdivision, o.mailing_address AS mail, o.deed_number AS deed_number,
       o.sale_price AS price, to_char(o.sale_date, 'YYYY-MM') AS sold, greatest(p.changed_at, o.changed_at) AS changed_at
FROM assessor.parcel p JOIN assessor.owner o USING (apn);
CREATE VIEW find.assessor_by_parcel AS
SELECT 'assessor.parcel'::text AS told_by, p.apn, ARRAY[left(p.apn, 3)] AS book, find.words(p.property_address, p.jurisdiction, p.subdivision_name) AS half,
       find.words(o.ownership, o.in_care_of, o.contract_ownership, p.property_address, p.jurisdiction, p.subdivision_name,
                  o.mailing_address_1, o.mailing_address_2, o.mailing_city, o.mailing_state, o.mailing_zip, o.deed_number) AS told,
       find.words(o.ownership, o.in_care_of, o.contract_ownership) AS owner,
       concat_ws(', ', o.ownership, o.in_care_of, o.contract_ownership) AS name, p.property_address AS address, concat_ws(' ', p.property_address, p.jurisdiction) AS city,
       p.subdivision_name AS subdivision, o.mailing_address AS mail, o.deed_number AS deed_number,
       o.sale_price AS price, to_char(o.sale_date, 'YYYY-MM') AS sold, greatest(p.changed_at, o.changed_at) AS changed_at
FROM assessor.parcel p JOIN assessor.owner o USING (apn);
CREATE VIEW find.assessor_ownerless AS
SELECT 'assessor.parcel'::text AS told_by, p.apn, ARRAY[left(p.apn, 3)] AS book, find.words(p.property_address, p.jurisdiction, p.subdivision_name) AS half,
       find.words(p.property_address, p.jurisdiction, p.subdivision_name) AS told,
       ''::tsvector AS owner,
       NULL::text AS name, p.property_address AS address, concat_ws(' ', p.property_address, p.jurisdiction) AS city,
       p.subdivision_name AS subdivision, NULL::text AS mail, NULL::text AS deed_number,
       NULL::bigint AS price, NULL::text AS sold, p.changed_at AS changed_at
FROM assessor.parcel p WHERE NOT EXISTS (SELECT FROM assessor.owner o WHERE o.apn = p.apn);
CREATE INDEX owner_find ON assessor.owner USING gin (
    find.words(ownership, in_care_of, contract_ownership,
               mailing_address_1, mailing_address_2, mailing_city, mailing_state, mailing_zip, deed_number),
    find.words(ownership, in_care_of, contract_ownership), (ARRAY[left(apn, 3)])
);
CREATE INDEX assessor_find ON assessor.parcel USING gin (find.words(property_address, jurisdiction, subdivision_name), (ARRAY[left(apn, 3)]));

CREATE VIEW find.told AS
SELECT 1 AS rank, * FROM find.assessor_by_owner UNION ALL SELECT 1, * FROM find.assessor_by_parcel
UNION ALL SELECT 1, * FROM find.assessor_ownerless UNION ALL SELECT 2, * FROM find.page_parcel
UNION ALL SELECT 3, * FROM find.gis_parcel UNION ALL SELECT 4, * FROM find.secured_master
UNION ALL SELECT 5, * FROM find.residential_master UNION ALL SELECT 6, * FROM find.account UNION ALL SELECT 7, * FROM find.sale;
COMMENT ON VIEW find.told IS 'what each table says of each parcel, and its words; names of withheld owners are among them: not for output';

-- Documents: by number, and by the names on them, a row a name.
CREATE VIEW find.party AS
SELECT recording_number, find.words(name) AS party FROM recorder.party WHERE removed_at IS NULL
UNION ALL SELECT recording_number, find.words(names::text) FROM recorder.legacy_document;
CREATE INDEX party_find ON recorder.party USING gin (find.words(name)) WHERE removed_at IS NULL;
CREATE INDEX legacy_find ON recorder.legacy_document USING gin (find.words(names::text));

DO $$
DECLARE
    noted record;
    moment text;
BEGIN
    FOR noted IN SELECT * FROM (VALUES
        ('gis.parcel', 'concat_ws('' '', owner_name, street_name, property_city, subdivision_name)'),
        ('bulk.secured_master', 'concat_ws('' '', owner_name, property_address, property_city, subdivision_name)'),
        ('bulk.residential_master', 'concat_ws('' '', owner_name, street_name, property_city)'),
        ('bulk.sale', 'concat_ws('' '', grantor_name, grantee_name)'),
        ('assessor_page.parcel', 'concat_ws('' '', ownership, property_address, subdivision_name)'),
        ('assessor.owner', 'ownership'),
        ('assessor.parcel', 'concat_ws('' '', property_address, subdivision_name)'),
        ('treasurer.account', 'concat_ws('' '', owner, situs_address)'),
        ('recorder.party', 'name'),
        ('recorder.legacy_document', 'names::text')
    ) AS v (name, said) LOOP
        FOREACH moment IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
            EXECUTE format('CREATE TRIGGER find_words_by_%s AFTER %s ON %s REFERENCING NEW TABLE AS new_rows'
                           ' FOR EACH STATEMENT EXECUTE FUNCTION find.note_words(%L)', lower(moment), moment, noted.name, noted.said);
        END LOOP;
        EXECUTE find.noting(noted.name, noted.said);
    END LOOP;
END
$$;
