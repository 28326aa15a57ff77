-- What the treasurer's pages said. Columns as in maricopa_scrapy/sources/treasurer/records.py.
-- depends: 0004_pace

CREATE SCHEMA treasurer;

CREATE TABLE treasurer.account (
    apn            text PRIMARY KEY,
    owner          text,
    situs_address  text,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);

CREATE TABLE treasurer.bill (
    apn               text,
    tax_year          integer,
    status            text NOT NULL CHECK (status IN ('paid', 'unpaid', 'lien', 'state_lien')),
    status_text       text NOT NULL,
    assessed          numeric NOT NULL,
    paid              numeric NOT NULL,
    interest          numeric,
    amount_due        numeric NOT NULL,
    first_half_until  timestamptz NOT NULL,
    second_half_until timestamptz,
    content_hash      bytea NOT NULL,
    capture_sha256    bytea NOT NULL,
    first_seen_at     timestamptz NOT NULL,
    changed_at        timestamptz NOT NULL,
    removed_at        timestamptz,
    PRIMARY KEY (apn, tax_year)
);
COMMENT ON COLUMN treasurer.bill.interest IS 'interest and fees; NULL when the page has no such column';
COMMENT ON COLUMN treasurer.bill.first_half_until IS 'delinquent after; of a bill of 100 dollars or less, the whole of it';
COMMENT ON COLUMN treasurer.bill.removed_at IS 'when the page no longer showed the year; its values are those last seen';

CREATE TABLE treasurer.payment (
    apn            text,
    tax_year       integer,
    paid_on        date,
    description    text,
    amount         numeric,
    ordinal        integer,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    removed_at     timestamptz,
    PRIMARY KEY (apn, tax_year, paid_on, description, amount, ordinal)
);

ALTER TABLE crawl.issue ADD COLUMN screenshot bytea;
ALTER TABLE crawl.issue ALTER COLUMN screenshot SET STORAGE EXTERNAL;
COMMENT ON COLUMN crawl.issue.screenshot IS 'PNG of the page, where a browser showed it; its HTML is the capture';

-- What is owed, and since when: as of the moment the page was read, for a bill paid meanwhile is not known to be.
CREATE VIEW public.tax AS
SELECT b.apn, b.tax_year, b.status, b.status_text, b.assessed, b.paid, b.interest, b.amount_due, o.observed_at,
       b.status IN ('lien', 'state_lien') OR coalesce(o.observed_at > d.until, false) AS is_delinquent,
       (d.until AT TIME ZONE 'America/Phoenix')::date AS next_due_on, b.removed_at, b.first_seen_at, b.changed_at
FROM treasurer.bill b
LEFT JOIN LATERAL (
    SELECT max(done_at) AS done_at FROM crawl.target t
    WHERE t.state = 'done' AND t.source = 'treasurer' AND t.kind = 'parcel' AND t.key = b.apn
) seen ON true
CROSS JOIN LATERAL (SELECT CASE WHEN b.removed_at IS NULL THEN seen.done_at ELSE b.changed_at END AS observed_at) o
CROSS JOIN LATERAL (
    SELECT CASE WHEN b.amount_due = 0 OR b.status IN ('lien', 'state_lien') THEN NULL
                WHEN b.second_half_until IS NULL OR b.paid < trunc(b.assessed / 2, 2) THEN b.first_half_until
                ELSE b.second_half_until END AS until
) d;
COMMENT ON COLUMN public.tax.observed_at IS 'when the page was read that amount_due and is_delinquent hold for';
COMMENT ON COLUMN public.tax.next_due_on IS 'last day on which what is due can be paid in time; past when is_delinquent';
