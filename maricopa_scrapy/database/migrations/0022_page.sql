-- The assessor's public page as it really is: situs, type, lot, subdivision, districts; and none of its tokens.
-- depends: 0021_unread

ALTER TABLE assessor_page.parcel
    ADD COLUMN is_redacted boolean, ADD COLUMN property_address text, ADD COLUMN property_type text, ADD COLUMN lot text,
    ADD COLUMN section_township_range text, ADD COLUMN assessor_market text, ADD COLUMN area_neighborhood text,
    ADD COLUMN subdivision_name text, ADD COLUMN parcels_in_subdivision integer, ADD COLUMN high_school_district text,
    ADD COLUMN elementary_school_district text, ADD COLUMN jurisdiction text;

-- Every real page was refused until now: what is here is the sandbox's invented one.
DELETE FROM assessor_page.parcel;

-- Pages kept until now have the value of the page's hidden field #Token. SQL cannot read a compressed body: all of it goes.
UPDATE crawl.capture SET body = NULL, pruned_at = now() WHERE source = 'assessor_page' AND body IS NOT NULL;
