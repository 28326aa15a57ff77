-- The ledger: what is asked for, what became of it, and what it was read from.

CREATE SCHEMA crawl;

CREATE TABLE crawl.job (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type        text NOT NULL,
    mode        text NOT NULL,
    is_sandbox  boolean NOT NULL,
    priority    text NOT NULL CHECK (priority IN ('critical', 'high', 'normal', 'low')),
    parameters  jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'paused', 'finished')),
    verdict     text CHECK (verdict IN
                    ('completed', 'completed_with_failures', 'incomplete', 'blocked', 'failed', 'cancelled')),
    reason      text,
    enumerated  bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz,
    CHECK ((state = 'finished') = (verdict IS NOT NULL))
);
COMMENT ON COLUMN crawl.job.is_sandbox IS 'asked of the invented county; a database holds either that or the real one';
COMMENT ON COLUMN crawl.job.enumerated IS 'distinct targets accepted, counted when they were inserted';

CREATE TABLE crawl.run (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       bigint NOT NULL REFERENCES crawl.job,
    spider       text NOT NULL,
    source       text NOT NULL,
    node         text NOT NULL,
    pid          integer NOT NULL,
    pid_started  double precision NOT NULL,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'closed', 'lost')),
    verdict      text,
    reason       text,
    stats        jsonb,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
);
CREATE INDEX run_live ON crawl.run (heartbeat_at) WHERE state = 'running';
CREATE INDEX run_job ON crawl.run (job_id);

CREATE TABLE crawl.target (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id         bigint NOT NULL REFERENCES crawl.job,
    source         text NOT NULL,
    kind           text NOT NULL,
    key            text NOT NULL,
    detail         jsonb,
    state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'leased', 'done', 'gone', 'dead')),
    attempts       integer NOT NULL DEFAULT 0,
    not_before     timestamptz,
    run_id         bigint,
    cause          text,
    message        text,
    rows           integer,
    capture_sha256 bytea,
    done_at        timestamptz,
    UNIQUE (job_id, source, kind, key)
);
COMMENT ON COLUMN crawl.target.rows IS 'records and further targets that the answer held; 0 only with state gone';
CREATE INDEX target_open ON crawl.target (job_id, source, id) WHERE state IN ('pending', 'leased');
CREATE INDEX target_seen ON crawl.target (key, source, done_at) WHERE state = 'done';

CREATE TABLE crawl.capture (
    sha256       bytea PRIMARY KEY,
    source       text NOT NULL,
    url          text NOT NULL,
    status       integer NOT NULL,
    content_type text,
    fetched_at   timestamptz NOT NULL,
    size         integer NOT NULL,
    body         bytea NOT NULL
);
COMMENT ON TABLE crawl.capture IS 'raw answers by the SHA-256 of their uncompressed kept body; size in bytes, body zstd-compressed';
ALTER TABLE crawl.capture ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE crawl.issue (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id         bigint NOT NULL REFERENCES crawl.job,
    run_id         bigint NOT NULL REFERENCES crawl.run,
    source         text NOT NULL,
    kind           text NOT NULL,
    signature      text NOT NULL,
    message        text NOT NULL,
    target_key     text NOT NULL,
    example        jsonb,
    capture_sha256 bytea,
    count          bigint NOT NULL DEFAULT 1,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    UNIQUE (job_id, source, kind, signature)
);

CREATE TABLE crawl.change (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    key        jsonb NOT NULL,
    field      text NOT NULL,
    old        text,
    new        text,
    changed_at timestamptz NOT NULL,
    run_id     bigint NOT NULL
);
CREATE INDEX change_at ON crawl.change (changed_at);
