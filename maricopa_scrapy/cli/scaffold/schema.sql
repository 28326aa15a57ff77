-- {{ title }}. Columns as in records.py.

CREATE SCHEMA {{ name }};

CREATE TABLE {{ name }}.{{ kind }} (
    apn            text PRIMARY KEY,
    description    text,
    amount         bigint,
    content_hash   bytea NOT NULL,
    capture_sha256 bytea NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);
