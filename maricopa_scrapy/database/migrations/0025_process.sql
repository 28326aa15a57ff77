-- Which process a run is, and a job's supervisor, told by what a clock that is set does not move: the machine's boot, the start in ticks.
-- depends: 0024_withheld

ALTER TABLE crawl.run ADD COLUMN process text;
ALTER TABLE crawl.job ADD COLUMN supervisor_process text;
COMMENT ON COLUMN crawl.run.process IS 'boot id and start of the process; pid_started is the same by the clock of that time';
