-- What the treasurer's pages said. Columns as in records.py.

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
    unseen_since      timestamptz,
    PRIMARY KEY (apn, tax_year)
);
-- One in ten: what a refresh looks at.
CREATE INDEX bill_open ON treasurer.bill (apn) WHERE status <> 'paid';
COMMENT ON COLUMN treasurer.bill.interest IS 'interest and fees; NULL when the page has no such column';
COMMENT ON COLUMN treasurer.bill.first_half_until IS 'delinquent after; of a bill of 100 dollars or less, the whole of it';
COMMENT ON COLUMN treasurer.bill.removed_at IS 'no longer set: see unseen_since';
COMMENT ON COLUMN treasurer.bill.unseen_since IS 'since when the page has not shown the year any more; its values are those last seen';

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
