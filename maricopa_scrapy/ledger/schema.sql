-- The ledger: what is asked for, what became of it, what it was read from, and what changed.

CREATE SCHEMA crawl;

-- Which schema files and migrations this database has (database/schema.py).
CREATE TABLE crawl.migration (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE crawl.migration IS 'the schema files and migrations that were applied: each once, all of a start in one transaction';

CREATE TABLE crawl.job (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type               text NOT NULL,
    mode               text NOT NULL,
    execution          text NOT NULL DEFAULT 'parallel' CHECK (execution IN ('sequential', 'parallel', 'hybrid')),
    is_sandbox         boolean NOT NULL,
    priority           text NOT NULL CHECK (priority IN ('critical', 'high', 'normal', 'low')),
    parameters         jsonb NOT NULL,
    state              text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'paused', 'finished')),
    requested_state    text NOT NULL DEFAULT 'run' CHECK (requested_state IN ('run', 'pause', 'cancel')),
    verdict            text CHECK (verdict IN
                           ('completed', 'completed_with_failures', 'incomplete', 'blocked', 'failed', 'cancelled')),
    reason             text,
    shortfall          text,
    enumerated         bigint NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT now(),
    started_at         timestamptz,
    finished_at        timestamptz,
    supervisor         text,
    supervisor_pid     integer,
    supervisor_started double precision,
    supervisor_process text,
    supervised_at      timestamptz,
    CHECK ((state = 'finished') = (verdict IS NOT NULL))
);
COMMENT ON COLUMN crawl.job.is_sandbox IS 'asked of the invented county; a database holds either that or the real one';
COMMENT ON COLUMN crawl.job.execution IS 'requests under way at a source: one, as many as it bears, or by the priority of the target';
COMMENT ON COLUMN crawl.job.requested_state IS 'what a person asked of the job: run, pause or cancel; its runs look at it once a second';
COMMENT ON COLUMN crawl.job.shortfall IS 'why a job is incomplete although none of its targets is open';
COMMENT ON COLUMN crawl.job.enumerated IS 'distinct targets accepted, counted when they were inserted';
COMMENT ON COLUMN crawl.job.supervisor IS 'the machine of the process that starts its runs; it beats in supervised_at';

CREATE TABLE crawl.run (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       bigint NOT NULL REFERENCES crawl.job,
    spider       text NOT NULL,
    source       text NOT NULL,
    sources      text[],
    node         text NOT NULL,
    pid          integer NOT NULL,
    pid_started  double precision NOT NULL,
    process      text,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'closed', 'lost')),
    verdict      text,
    reason       text,
    shortfall    text,
    stats        jsonb,
    traffic      jsonb,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
);
COMMENT ON COLUMN crawl.run.sources IS 'whose targets the run leases; source is the first of them';
COMMENT ON COLUMN crawl.run.process IS 'boot id and start of the process; pid_started is the same by the clock of that time';
COMMENT ON COLUMN crawl.run.shortfall IS 'the floor of the source''s manifest that the run is below';
COMMENT ON COLUMN crawl.run.traffic IS 'by source: requests, answers, refusals, bytes, and response times as a histogram (crawl/traffic.py); written with each beat';
CREATE INDEX run_live ON crawl.run (heartbeat_at) WHERE state = 'running';
CREATE INDEX run_job ON crawl.run (job_id);

CREATE TABLE crawl.planned_run (
    job_id     bigint NOT NULL REFERENCES crawl.job ON DELETE CASCADE,
    number     integer NOT NULL,
    spider     text NOT NULL,
    source     text NOT NULL,
    phase      integer NOT NULL,
    feeds      text[] NOT NULL,
    place      text NOT NULL,
    state      text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'started', 'ended')),
    starts     integer NOT NULL DEFAULT 0,
    handle     text,
    run_id     bigint REFERENCES crawl.run,
    message    text,
    started_at timestamptz,
    ended_at   timestamptz,
    PRIMARY KEY (job_id, number)
);
COMMENT ON TABLE crawl.planned_run IS 'the runs of a job of the manager: a job does not end while one of them is open';
COMMENT ON COLUMN crawl.planned_run.phase IS 'begins when all of the phase before have ended';
COMMENT ON COLUMN crawl.planned_run.feeds IS 'sources for which its run may find further targets';
COMMENT ON COLUMN crawl.planned_run.place IS 'where it is started: local, or the address of a scrapyd node; handle is its name there';
CREATE INDEX planned_run_of ON crawl.planned_run (run_id);

CREATE TABLE crawl.target (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id         bigint NOT NULL REFERENCES crawl.job,
    source         text NOT NULL,
    kind           text NOT NULL,
    key            text NOT NULL,
    detail         jsonb,
    priority       smallint NOT NULL DEFAULT 2,
    state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'leased', 'done', 'gone', 'dead')),
    attempts       integer NOT NULL DEFAULT 0,
    failures       jsonb,
    not_before     timestamptz,
    run_id         bigint,
    cause          text,
    message        text,
    rows           integer,
    unread         text[],
    capture_sha256 bytea,
    done_at        timestamptz,
    UNIQUE (job_id, source, kind, key)
);
COMMENT ON COLUMN crawl.target.priority IS '0 critical, 1 high, 2 normal, 3 low: the order in which targets are asked for';
COMMENT ON COLUMN crawl.target.failures IS 'attempts that failed, by cause';
COMMENT ON COLUMN crawl.target.rows IS 'records and further targets that the answer held; 0 only with state gone';
COMMENT ON COLUMN crawl.target.unread IS 'sections of the answer that could not be read: what is stored of them is as it was';
CREATE INDEX target_open ON crawl.target (job_id, source, priority, id) WHERE state IN ('pending', 'leased');
CREATE INDEX target_again ON crawl.target (job_id, source, id) WHERE state = 'pending' AND attempts > 0;
CREATE INDEX target_free ON crawl.target (job_id, source, not_before, id) WHERE state = 'pending' AND attempts = 0 AND cause IS NOT NULL;
CREATE INDEX target_seen ON crawl.target (key, source, done_at) WHERE state = 'done';
CREATE INDEX target_unread ON crawl.target (job_id) WHERE unread IS NOT NULL;

-- A target that is asked for again keeps what its rows were read from.
CREATE TABLE crawl.former_answer (
    target_id      bigint NOT NULL REFERENCES crawl.target ON DELETE CASCADE,
    capture_sha256 bytea NOT NULL,
    done_at        timestamptz NOT NULL,
    PRIMARY KEY (target_id, capture_sha256)
);
COMMENT ON TABLE crawl.former_answer IS 'what a target was answered with before `maricopa retry --unread` asked for it again';
CREATE INDEX former_answer_capture ON crawl.former_answer (capture_sha256);

CREATE TABLE crawl.capture (
    sha256       bytea PRIMARY KEY,
    source       text NOT NULL,
    url          text NOT NULL,
    status       integer NOT NULL,
    content_type text,
    fetched_at   timestamptz NOT NULL,
    size         bigint NOT NULL,
    body         bytea,
    left_out     text[] NOT NULL DEFAULT '{}',
    is_rendered  boolean NOT NULL DEFAULT false,
    pruned_at    timestamptz
);
ALTER TABLE crawl.capture ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON TABLE crawl.capture IS 'raw answers by the SHA-256 of their uncompressed kept body; size in bytes, body zstd-compressed; an answer whose body is not kept has its facts here all the same';
COMMENT ON COLUMN crawl.capture.body IS 'NULL: not kept, by the policy of its source (config/sources) or because it was pruned';
COMMENT ON COLUMN crawl.capture.left_out IS 'what the policy replaces in kept bodies wherever it occurs: phones by null, sketches by their digest and length';
COMMENT ON COLUMN crawl.capture.is_rendered IS 'what a browser showed, not what the host sent';
COMMENT ON COLUMN crawl.capture.pruned_at IS 'when `maricopa prune` took the body away';
CREATE INDEX capture_at ON crawl.capture (source, fetched_at);

CREATE VIEW crawl.target_capture AS
SELECT id AS target_id, job_id, source, kind, key, state, done_at, 1 AS position, capture_sha256 AS sha256
FROM crawl.target WHERE capture_sha256 IS NOT NULL
UNION ALL
SELECT t.id, t.job_id, t.source, t.kind, t.key, 'done', f.done_at, 1, f.capture_sha256
FROM crawl.former_answer f JOIN crawl.target t ON t.id = f.target_id WHERE f.capture_sha256 IS DISTINCT FROM t.capture_sha256;
COMMENT ON VIEW crawl.target_capture IS 'the captures that each target''s answer was read from, in order';

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
    screenshot     bytea,
    count          bigint NOT NULL DEFAULT 1,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    UNIQUE (job_id, source, kind, signature)
);
ALTER TABLE crawl.issue ALTER COLUMN screenshot SET STORAGE EXTERNAL;
COMMENT ON COLUMN crawl.issue.screenshot IS 'PNG of the page, where a browser showed it; its HTML is the capture';

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
CREATE INDEX change_of ON crawl.change (table_name, changed_at);
CREATE INDEX change_deed ON crawl.change ((key ->> 'apn')) WHERE field = 'deed_number';

-- The pace: what every run on every machine shares of a source.
CREATE TABLE crawl.source (
    source        text PRIMARY KEY,
    state         jsonb NOT NULL DEFAULT '{}',
    rate          double precision GENERATED ALWAYS AS ((state #>> '{rate,rate}')::double precision) STORED,
    budget        double precision GENERATED ALWAYS AS ((state #>> '{rate,budget}')::double precision) STORED,
    blocked_until timestamptz GENERATED ALWAYS AS (to_timestamp((state #>> '{rate,blocked_until}')::double precision)) STORED,
    is_open       boolean GENERATED ALWAYS AS ((state #>> '{health,is_open}')::boolean) STORED,
    retries       double precision GENERATED ALWAYS AS ((state #>> '{health,retries}')::double precision) STORED,
    retried_at    timestamptz NOT NULL DEFAULT '-infinity',
    updated_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE crawl.source IS 'the rate of each source (requests per second), what was learnt of its budget, and its breaker';
COMMENT ON COLUMN crawl.source.is_open IS 'the breaker: only single requests try the source';
COMMENT ON COLUMN crawl.source.retries IS 'how many failed targets may be asked for again now';
COMMENT ON COLUMN crawl.source.retried_at IS 'when a retry was last allowed to a source that had none left';

CREATE TABLE crawl.share (
    source      text NOT NULL REFERENCES crawl.source,
    run_id      bigint NOT NULL REFERENCES crawl.run,
    wants       boolean NOT NULL,
    reported_at timestamptz NOT NULL,
    PRIMARY KEY (source, run_id)
);
COMMENT ON TABLE crawl.share IS 'who asks a source just now; a run silent for 10 s has no share';

-- What went over the wire in the course of a run, for the report's charts.
CREATE TABLE crawl.sample (
    run_id   bigint NOT NULL REFERENCES crawl.run ON DELETE CASCADE,
    source   text NOT NULL,
    at       timestamptz NOT NULL,
    requests bigint NOT NULL,
    answers  bigint NOT NULL,
    refusals bigint NOT NULL,
    bytes    bigint NOT NULL,
    allowed  double precision,
    PRIMARY KEY (run_id, source, at)
);
COMMENT ON TABLE crawl.sample IS 'counts since the run began, taken with its beats: ever less often, so that 1,200 rows are a day of one source (ledger/traffic_samples.py)';
COMMENT ON COLUMN crawl.sample.allowed IS 'requests per second that all runs together may send; 0 while the source is held or its breaker is open';

CREATE TABLE crawl.list (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text UNIQUE,
    file     text,
    digest   bytea,
    apns     text[] NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE crawl.list IS 'lists of parcels as they were when they were saved: by a name, or for a schedule or a watch';
COMMENT ON COLUMN crawl.list.file IS 'where it was read from, and the SHA-256 of what the file held then';

CREATE TABLE crawl.schedule (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cron          text NOT NULL,
    arguments     text[] NOT NULL,
    list_id       bigint REFERENCES crawl.list,
    note          text,
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    next_at       timestamptz NOT NULL,
    claimed_until timestamptz,
    last_at       timestamptz,
    last_job      bigint REFERENCES crawl.job ON DELETE SET NULL,
    message       text,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE crawl.schedule IS 'jobs that `maricopa tick` starts by themselves (docs/schedules.md)';
COMMENT ON COLUMN crawl.schedule.cron IS 'minute, hour, day of month, month, day of week, in America/Phoenix';
COMMENT ON COLUMN crawl.schedule.arguments IS 'what follows `maricopa run`';
COMMENT ON COLUMN crawl.schedule.claimed_until IS 'until then one tick is about to start it, and no other may';
COMMENT ON COLUMN crawl.schedule.last_at IS 'the time for which it was started last';
COMMENT ON COLUMN crawl.schedule.message IS 'what became of the last time: started, not started and why, times that were missed';
-- One time of a schedule starts one job, however many machines try.
CREATE UNIQUE INDEX job_of_schedule ON crawl.job ((parameters #>> '{schedule,id}'), (parameters #>> '{schedule,due}'))
    WHERE parameters ? 'schedule';

-- What a refresh asked again, what not, and why (records/refresh.py).
CREATE TABLE crawl.refresh (
    job_id     bigint NOT NULL REFERENCES crawl.job ON DELETE CASCADE,
    source     text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    as_of      timestamptz NOT NULL,
    is_whole   boolean NOT NULL,
    stored     bigint NOT NULL,
    asked      jsonb NOT NULL,
    skipped    jsonb NOT NULL,
    sampled    bigint NOT NULL,
    PRIMARY KEY (job_id, source)
);
COMMENT ON TABLE crawl.refresh IS 'what a refresh decided of an office, once the bulk sources were read';
COMMENT ON COLUMN crawl.refresh.is_whole IS 'the bulk sources were read to their end: what they do not tell has not changed';
COMMENT ON COLUMN crawl.refresh.stored IS 'parcels, or documents, that the office was asked for before';
COMMENT ON COLUMN crawl.refresh.asked IS 'how many were asked again, by reason; skipped: how many were not, by rule';
COMMENT ON COLUMN crawl.refresh.sampled IS 'how many of the skipped ones were asked all the same';

CREATE TABLE crawl.refresh_target (
    job_id  bigint REFERENCES crawl.job ON DELETE CASCADE,
    source  text,
    key     text,
    because text NOT NULL,
    PRIMARY KEY (job_id, source, key)
);
COMMENT ON TABLE crawl.refresh_target IS 'why a refresh asked for a target; because is sample where the rule had skipped it';

CREATE TABLE crawl.not_asked (
    source     text,
    key        text,
    because    text NOT NULL,
    due_at     timestamptz,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (source, key)
);
COMMENT ON TABLE crawl.not_asked IS 'the rule by which the last refresh left a parcel or document out; written where it differs from the one before';
COMMENT ON COLUMN crawl.not_asked.due_at IS 'from when on the calendar says that it can have changed; NULL: when a bulk source tells of a change';
