-- Bills that a page no longer shows stay; what is late of a first half that was paid late in part.
-- depends: 0009_treasurer

ALTER TABLE treasurer.bill ADD COLUMN unseen_since timestamptz;
COMMENT ON COLUMN treasurer.bill.unseen_since IS 'since when the page has not shown the year any more; its values are those last seen';
COMMENT ON COLUMN treasurer.bill.removed_at IS 'no longer set: see unseen_since';

-- As before but: is_delinquent is NULL when nobody knows when the bill was read; the first half is open while more is due than the second,
-- for what was paid late lacks its interest; after the second's day both have interest, and what was paid must tell.
CREATE OR REPLACE VIEW public.tax AS
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
COMMENT ON COLUMN public.tax.unseen_since IS 'since when the page has not shown the year any more: look at it';
