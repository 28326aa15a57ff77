-- Searches of the recorder whose total is not told, and those with rows that could not be read.
-- depends: 0021_unread

ALTER TABLE recorder.search_window ALTER COLUMN total DROP NOT NULL;
ALTER TABLE recorder.search_window DROP CONSTRAINT search_window_state_check;
ALTER TABLE recorder.search_window ADD CONSTRAINT search_window_state_check
    CHECK (state IN ('complete', 'split', 'walked', 'short', 'saturated', 'unread'));
