-- The life of a job that the manager runs: what is wished of it, who supervises it, and which runs it is made of.
-- depends: 0007_property_gis

ALTER TABLE crawl.job
    ADD COLUMN execution text NOT NULL DEFAULT 'parallel' CHECK (execution IN ('sequential', 'parallel', 'hybrid')),
    ADD COLUMN wish text NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'pause', 'cancel')),
    ADD COLUMN supervisor text,
    ADD COLUMN supervisor_pid integer,
    ADD COLUMN supervisor_started double precision,
    ADD COLUMN supervised_at timestamptz;
COMMENT ON COLUMN crawl.job.execution IS 'requests under way at a source: one, as many as it bears, or by the priority of the target';
COMMENT ON COLUMN crawl.job.wish IS 'what a person wants of the job; its runs look at it once a second';
COMMENT ON COLUMN crawl.job.supervisor IS 'the machine of the process that starts its runs; it beats in supervised_at';

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

ALTER TABLE crawl.target ADD COLUMN priority smallint NOT NULL DEFAULT 2;
COMMENT ON COLUMN crawl.target.priority IS '0 critical, 1 high, 2 normal, 3 low: the order in which targets are asked for';
DROP INDEX crawl.target_open;
CREATE INDEX target_open ON crawl.target (job_id, source, priority, id) WHERE state IN ('pending', 'leased');

ALTER TABLE crawl.run ADD COLUMN traffic jsonb;
COMMENT ON COLUMN crawl.run.traffic IS 'by source: requests, answers, refusals, bytes, and response times as a histogram (crawl/traffic.py); written with each beat';
