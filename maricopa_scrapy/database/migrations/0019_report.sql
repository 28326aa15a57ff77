-- What went over the wire in the course of a run, for the report's charts; and views for dashboards (docs/dashboards.md).
-- depends: 0014_records

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

CREATE VIEW public.report_job AS
SELECT j.id AS job, j.type, j.mode, j.priority, coalesce(j.verdict, j.state) AS outcome, j.reason, j.created_at, j.started_at, j.finished_at,
       extract(epoch FROM coalesce(j.finished_at, now()) - j.started_at)::double precision AS seconds, j.enumerated AS targets,
       t.requests, t.refusals, t.bytes, round(t.requests / nullif(p.parcels, 0), 3) AS requests_per_parcel
FROM crawl.job j
LEFT JOIN LATERAL (
    SELECT sum((s.value ->> 'requests')::bigint) AS requests, sum((s.value ->> 'refusals')::bigint) AS refusals,
           sum((s.value ->> 'bytes')::bigint) AS bytes
    FROM crawl.run r CROSS JOIN LATERAL jsonb_each(r.traffic) s WHERE r.job_id = j.id
) t ON true
LEFT JOIN LATERAL (
    SELECT count(DISTINCT key) AS parcels FROM crawl.target g WHERE g.job_id = j.id AND g.kind = 'parcel' AND g.state = 'done'
) p ON true;
COMMENT ON VIEW public.report_job IS 'a row a job: outcome, duration, and what it cost';

CREATE VIEW public.report_coverage AS
SELECT job_id AS job, source, count(*) AS asked, count(*) FILTER (WHERE state = 'done') AS done,
       count(*) FILTER (WHERE state = 'gone') AS gone, count(*) FILTER (WHERE state = 'dead') AS failed,
       count(*) FILTER (WHERE state IN ('pending', 'leased')) AS "left",
       round(100.0 * count(*) FILTER (WHERE state IN ('done', 'gone')) / count(*), 2) AS percent, max(done_at) AS last_at
FROM crawl.target GROUP BY job_id, source;
COMMENT ON VIEW public.report_coverage IS 'what became of the targets of each job, by source; percent: done and gone, of all';

CREATE VIEW public.report_failures AS
SELECT job_id AS job, source, cause, count(*) FILTER (WHERE state = 'dead') AS given_up,
       count(*) FILTER (WHERE state <> 'dead') AS to_be_tried_again, min(key) AS example, max(done_at) AS last_at
FROM crawl.target WHERE cause IS NOT NULL AND state IN ('dead', 'pending', 'leased') GROUP BY job_id, source, cause;
COMMENT ON VIEW public.report_failures IS 'targets without an answer, by job, source and cause';

CREATE VIEW public.report_source_hourly AS
SELECT date_trunc('hour', at) AS hour, source, sum(requests)::bigint AS requests, sum(answers)::bigint AS answers,
       sum(refusals)::bigint AS refusals, sum(bytes)::bigint AS bytes, avg(allowed) AS allowed_rate, count(DISTINCT run_id) AS runs
FROM (
    SELECT run_id, source, at, allowed, requests - lag(requests, 1, 0::bigint) OVER w AS requests,
           answers - lag(answers, 1, 0::bigint) OVER w AS answers, refusals - lag(refusals, 1, 0::bigint) OVER w AS refusals,
           bytes - lag(bytes, 1, 0::bigint) OVER w AS bytes
    FROM crawl.sample WINDOW w AS (PARTITION BY run_id, source ORDER BY at)
) s GROUP BY 1, 2;
COMMENT ON VIEW public.report_source_hourly IS 'traffic of each source by the hour (UTC)';

CREATE VIEW public.report_changes_daily AS
SELECT date_trunc('day', c.changed_at) AS day, c.table_name, c.field, count(*) AS changes, count(DISTINCT c.run_id) AS runs
FROM crawl.change c LEFT JOIN crawl.run r ON r.id = c.run_id WHERE r.spider IS DISTINCT FROM 'reparse' GROUP BY 1, 2, 3;
COMMENT ON VIEW public.report_changes_daily IS 'changed fields by the day (UTC); corrections by `maricopa reparse` are none';
