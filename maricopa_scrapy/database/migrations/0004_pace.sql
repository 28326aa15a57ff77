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

ALTER TABLE crawl.target ADD COLUMN failures jsonb;
COMMENT ON COLUMN crawl.target.failures IS 'attempts that failed, by cause';
CREATE INDEX target_again ON crawl.target (job_id, source, id) WHERE state = 'pending' AND attempts > 0;
CREATE INDEX target_free ON crawl.target (job_id, source, not_before, id) WHERE state = 'pending' AND attempts = 0 AND cause IS NOT NULL;
