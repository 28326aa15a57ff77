-- Records that can be checked: what is kept of a capture, why a run falls short, which captures an answer was read from.
-- depends: 0007_property_gis

ALTER TABLE crawl.capture ALTER COLUMN body DROP NOT NULL;
ALTER TABLE crawl.capture ALTER COLUMN size TYPE bigint;
ALTER TABLE crawl.capture ADD COLUMN left_out text[] NOT NULL DEFAULT '{}';
ALTER TABLE crawl.capture ADD COLUMN is_rendered boolean NOT NULL DEFAULT false;
ALTER TABLE crawl.capture ADD COLUMN pruned_at timestamptz;
COMMENT ON TABLE crawl.capture IS 'raw answers by the SHA-256 of their uncompressed kept body; size in bytes, body zstd-compressed; an answer whose body is not kept has its facts here all the same';
COMMENT ON COLUMN crawl.capture.body IS 'NULL: not kept, by the policy of its source (config/sources) or because it was pruned';
COMMENT ON COLUMN crawl.capture.left_out IS 'what the policy replaces in kept bodies wherever it occurs: phones by null, sketches by their digest and length';
COMMENT ON COLUMN crawl.capture.is_rendered IS 'what a browser showed, not what the host sent';
COMMENT ON COLUMN crawl.capture.pruned_at IS 'when `maricopa prune` took the body away';
CREATE INDEX capture_at ON crawl.capture (source, fetched_at);

ALTER TABLE crawl.run ADD COLUMN shortfall text;
COMMENT ON COLUMN crawl.run.shortfall IS 'the floor of the source''s manifest that the run is below';

CREATE INDEX change_of ON crawl.change (table_name, changed_at);

CREATE VIEW crawl.target_capture AS
SELECT id AS target_id, job_id, source, kind, key, state, done_at, 1 AS position, capture_sha256 AS sha256
FROM crawl.target WHERE capture_sha256 IS NOT NULL;
COMMENT ON VIEW crawl.target_capture IS 'the captures that each target''s answer was read from, in order';
