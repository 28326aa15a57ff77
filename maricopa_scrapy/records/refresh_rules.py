"""The rules of a refresh, as SQL: which stored parcels and documents an office is asked for again, and why
not the others.

Each office's statement returns (key, reason, rule, due_at): `reason` says why it is asked again, `rule` why
not, and `due_at` until when the rule holds. It takes job, as_of, today, posting, and within: APNs or NULL.
"""

OFFICES = ("assessor", "treasurer", "recorder")
KINDS = {"assessor": "parcel", "treasurer": "parcel", "recorder": "document"}
SAMPLE = "sample"

REASONS = {
    "owner": "the county's roll has another owner",
    "deed": "the county's roll has another deed or sale",
    "value": "the county's roll has another value",
    "other": "the county's roll has another address, use or building, or has it no more",
    "affidavit": "the Sales Affidavits have a later sale",
    "new": "new in the county's roll",
    "new_owner": "it has a new owner",
    "new_bill": "a new bill has come since, in September",
    "half_due": "a half was open, and has become delinquent since",
    "delinquent_due": "delinquent: it bears more interest each month, and can be paid on any day",
    "new_deed": "a parcel names it as its new deed",
    SAMPLE: "left out by the rule, and asked all the same to prove it",
}
RULES = {
    "unchanged": "neither the county's roll nor the Sales Affidavits tell of a change since",
    "not_compared": "unchanged since its first roll; of what was before, only a later deed or sale tells",
    "not_known": "the county's roll was not read to its end, and what was read tells of no change",
    "paid": "all its bills are paid: it cannot change before the next bill, in September",
    "open_half": "a half is open: it is asked for again once that half is delinquent",
    "delinquent": "it is delinquent and was asked for this month: interest is added by the month",
    "same_deed": "a recorded document does not change, and no parcel names a newer one in its place",
}

# Of gis.parcel: what the offices would tell otherwise too, unlike coordinates.
_OWNER = "'owner_name'"
_DEED = "'deed_number', 'deed_date', 'sale_date', 'sale_price'"
_VALUE = "'full_cash_value', 'limited_property_value', 'legal_class_code', 'tax_year'"
_OTHER = (
    "'in_care_of', 'mail_address_1', 'mail_address_2', 'mail_city', 'mail_state', 'mail_zip',"
    " 'property_address',"
    " 'property_city', 'property_zip', 'property_use_code', 'lot_size_sqft', 'livable_sqft',"
    " 'construction_year',"
    " 'removed_at'"
)
TOLD = f"{_OWNER}, {_DEED}, {_VALUE}, {_OTHER}"

CREATE = """
    DROP TABLE IF EXISTS pg_temp.refresh_seen, pg_temp.refresh_decision, pg_temp.refresh_within;
    CREATE TEMP TABLE refresh_within ON COMMIT DROP AS SELECT DISTINCT unnest(%(within)s::text[]) AS apn;
    CREATE TEMP TABLE refresh_decision (key text, reason text, rule text, due_at timestamptz)
    ON COMMIT DROP;
    CREATE TEMP TABLE refresh_seen ON COMMIT DROP AS
    SELECT key, asked_at, (asked_at AT TIME ZONE 'America/Phoenix')::date AS asked_on FROM (
        SELECT t.key, max(t.done_at) AS asked_at FROM crawl.target t
        WHERE t.source = %(source)s AND t.kind = %(kind)s AND t.state IN ('done', 'gone')
          AND t.job_id <> %(job)s AND (
              %(within)s::text[] IS NULL OR %(kind)s = 'document'
              OR t.key IN (SELECT apn FROM refresh_within))
        GROUP BY t.key) seen;
    ANALYZE refresh_seen;
    ANALYZE refresh_within;
"""
# Parcels that came with a roll after the first are asked for at an office that knows most of the others.
_NEW = """
    SELECT g.apn, 'new', NULL, NULL::timestamptz FROM gis.parcel g
    WHERE g.removed_at IS NULL AND NOT EXISTS (SELECT FROM refresh_seen s WHERE s.key = g.apn)
      AND (%(within)s::text[] IS NULL OR g.apn IN (SELECT apn FROM refresh_within))
      AND g.first_seen_at > (SELECT min(finished_at) FROM gis.roll WHERE state = 'complete' AND job_id <>
      %(job)s)
      AND (SELECT count(*) FROM refresh_seen) * 2 > (
          SELECT count(*) FROM gis.parcel p
          WHERE p.removed_at IS NULL AND (%(within)s::text[] IS NULL OR p.apn IN (SELECT apn FROM
          refresh_within)))
"""
_ASSESSOR = f"""
    WITH told AS MATERIALIZED (
        SELECT s.key, bool_or(c.field IN ({_OWNER})) AS is_owner, bool_or(c.field IN ({_DEED})) AS is_deed,
               bool_or(c.field IN ({_VALUE})) AS is_value
        FROM crawl.change c JOIN refresh_seen s ON s.key = c.key ->> 'apn' AND c.changed_at > s.asked_at
        WHERE c.table_name = 'gis.parcel' AND c.field IN ({TOLD})
          AND c.changed_at > (SELECT min(asked_at) FROM refresh_seen)
        GROUP BY s.key
    ), later_deed AS MATERIALIZED (
        -- First seen by a roll after the office was asked: only the deeds tell which of the two is newer.
        SELECT s.key FROM refresh_seen s JOIN gis.parcel g ON g.apn = s.key JOIN assessor.owner o ON o.apn =
        s.key
        WHERE g.first_seen_at > s.asked_at AND g.deed_date > o.deed_date AND g.deed_number <> o.deed_number
          AND g.deed_date <= %(as_of)s::date
    ), later_sale AS MATERIALIZED (
        SELECT DISTINCT s.key
        FROM bulk.sale b JOIN refresh_seen s ON s.key = b.apn LEFT JOIN assessor.owner o ON o.apn = s.key
        WHERE b.changed_at > s.asked_at AND b.deed_number IS DISTINCT FROM o.deed_number
          AND b.deed_date > coalesce(o.deed_date, '-infinity') AND b.deed_date <= %(as_of)s::date
    ), found AS (
        SELECT s.key, coalesce(g.first_seen_at <= s.asked_at, false) AS was_known,
               CASE WHEN t.is_owner THEN 'owner' WHEN t.is_deed OR d.key IS NOT NULL THEN 'deed'
                    WHEN t.is_value THEN 'value' WHEN t.key IS NOT NULL THEN 'other'
                    WHEN a.key IS NOT NULL THEN 'affidavit' END AS reason
        FROM refresh_seen s LEFT JOIN told t USING (key) LEFT JOIN later_deed d USING (key)
        LEFT JOIN later_sale a USING (key) LEFT JOIN gis.parcel g ON g.apn = s.key
    )
    SELECT key, reason,
           CASE WHEN reason IS NOT NULL THEN NULL WHEN NOT %(is_whole)s THEN 'not_known'
                WHEN was_known THEN 'unchanged' ELSE 'not_compared' END AS rule, NULL::timestamptz AS due_at
    FROM found UNION ALL {_NEW}
"""  # noqa: S608 - texts of ours alone
# The county's tax calendar (docs/sources.md). What is open is of the first half while less than it is paid.
_TREASURER = f"""
    WITH open_bill AS MATERIALIZED (
        SELECT s.key, s.asked_at, b.status IN ('lien', 'state_lien') AS is_lien,
               CASE WHEN b.second_half_until IS NULL OR b.paid < trunc(b.assessed / 2, 2)
                    THEN b.first_half_until ELSE b.second_half_until END AS until
        FROM refresh_seen s JOIN treasurer.bill b ON b.apn = s.key
        WHERE b.status <> 'paid' AND b.amount_due > 0 AND b.removed_at IS NULL AND b.unseen_since IS NULL
    ), account AS MATERIALIZED (
        SELECT key, bool_or(is_lien OR asked_at > until) AS is_late,
               min(until) FILTER (WHERE NOT is_lien AND asked_at <= until)
               + make_interval(days => %(posting)s) AS half_at
        FROM open_bill GROUP BY key
    ), new_owner AS MATERIALIZED (
        SELECT DISTINCT s.key
        FROM crawl.change c JOIN refresh_seen s ON s.key = c.key ->> 'apn' AND c.changed_at > s.asked_at
        WHERE c.changed_at > (SELECT min(asked_at) FROM refresh_seen) AND (
            c.table_name = 'assessor.owner' AND c.field = 'ownership'
            OR c.table_name = 'assessor_page.parcel' AND c.field = 'ownership'
            OR c.table_name = 'gis.parcel' AND c.field = 'owner_name'
            -- Of an owner who is withheld only the deed tells.
            OR c.table_name = 'gis.parcel' AND c.field = 'deed_number' AND EXISTS (
                SELECT FROM gis.parcel g WHERE g.apn = s.key AND g.owner_name IS NULL))
    ), bill_day AS MATERIALIZED (
        -- Few days, many parcels: what a day means is reckoned once.
        SELECT day, make_date(extract(year FROM day)::integer, 9, 1) AS september,
               make_date(extract(year FROM day)::integer, 10, 1) AS october,
               make_date(extract(year FROM day)::integer + 1, 9, 1) AS next_september,
               (date_trunc('month', day::timestamp) + interval '1 month')::date AS next_month
        FROM (SELECT DISTINCT asked_on AS day FROM refresh_seen) days
    ), due AS MATERIALIZED (
        SELECT s.key, o.key IS NOT NULL AS is_new_owner, a.half_at,
               CASE WHEN s.asked_on < d.september THEN d.september
                    -- Asked in September, before its bill was there: by October it is.
                    WHEN s.asked_on < d.october AND NOT EXISTS (
                        SELECT FROM treasurer.bill b
                        WHERE b.apn = s.key AND b.tax_year = extract(year FROM s.asked_on)::integer)
                    THEN d.october ELSE d.next_september END AS bill_on,
               CASE WHEN a.is_late THEN d.next_month END AS month_on
        FROM refresh_seen s JOIN bill_day d ON d.day = s.asked_on LEFT JOIN account a USING (key)
        LEFT JOIN new_owner o USING (key)
    )
    SELECT key,
           CASE WHEN is_new_owner THEN 'new_owner' WHEN bill_on <= %(today)s THEN 'new_bill'
                WHEN half_at <= %(as_of)s THEN 'half_due' WHEN month_on <= %(today)s THEN 'delinquent_due'
                END AS reason,
           CASE WHEN is_new_owner OR least(bill_on, month_on) <= %(today)s OR half_at <= %(as_of)s THEN NULL
                WHEN month_on IS NOT NULL THEN 'delinquent' WHEN half_at IS NOT NULL THEN 'open_half'
                ELSE 'paid' END AS rule,
           least(half_at, least(bill_on, month_on)::timestamp AT TIME ZONE 'America/Phoenix') AS due_at
    FROM due UNION ALL {_NEW}
"""  # noqa: S608 - texts of ours alone
# By its number a document is one for good; which are asked for, the deeds that parcels have now say.
_RECORDER = r"""
    WITH deed AS MATERIALIZED (
        SELECT apn, number FROM (
            SELECT apn, regexp_replace(deed_number, '\W', '', 'g') AS number FROM assessor.owner
            UNION SELECT apn, regexp_replace(deed_number, '\W', '', 'g') FROM gis.parcel WHERE removed_at IS
            NULL
        ) named WHERE number ~ '^(19|20)\d{9}$'
          AND (%(within)s::text[] IS NULL OR apn IN (SELECT apn FROM refresh_within))
    ), changed AS MATERIALIZED (
        SELECT DISTINCT c.key ->> 'apn' AS apn, regexp_replace(c.new, '\W', '', 'g') AS number,
               regexp_replace(c.old, '\W', '', 'g') AS old
        FROM crawl.change c WHERE c.table_name IN ('assessor.owner', 'gis.parcel') AND c.field = 'deed_number'
    )
    SELECT DISTINCT ON (key) * FROM (
        SELECT c.number AS key, 'new_deed' AS reason, NULL AS rule,
               NULL::timestamptz AS due_at
        FROM changed c JOIN deed d ON d.apn = c.apn AND d.number = c.number
        WHERE NOT EXISTS (SELECT FROM refresh_seen s WHERE s.key = c.number)
          -- Of parcels whose documents were never asked for, none is asked for now.
          AND (c.old IS NULL OR c.old !~ '^(19|20)\d{9}$' OR EXISTS (SELECT FROM refresh_seen s WHERE s.key
          = c.old)
               OR EXISTS (SELECT FROM changed b JOIN refresh_seen s ON s.key = b.old WHERE b.apn = c.apn))
          AND EXISTS (SELECT FROM refresh_seen)
        UNION ALL
        SELECT s.key, NULL, 'same_deed', NULL
        FROM refresh_seen s WHERE EXISTS (SELECT FROM deed d WHERE d.number = s.key)
    ) found ORDER BY key
"""
DECIDE = {"assessor": _ASSESSOR, "treasurer": _TREASURER, "recorder": _RECORDER}

# A row of one of these is as new as the answer that changed it, to the microsecond.
_TABLES = {
    "assessor": ("assessor.parcel", "assessor.owner", "assessor.valuation", "assessor.residence",
                 "assessor.improvement"),
    "treasurer": ("treasurer.account", "treasurer.bill", "treasurer.payment"),
    "recorder": ("recorder.document", "recorder.document_code", "recorder.party"),
}  # fmt: skip
CHANGED = {
    source: " OR ".join(
        f"EXISTS (SELECT FROM {table} x WHERE x.{'recording_number' if source == 'recorder' else 'apn'} ="
        " r.key"
        " AND x.changed_at = t.done_at)"
        for table in tables
    )
    for source, tables in _TABLES.items()
}
