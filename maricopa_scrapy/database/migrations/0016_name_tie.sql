-- On how many filings a name is: of all documents that are known, not only of those that a search for an owner found in its days.
-- depends: 0010_recorder

CREATE INDEX party_name ON recorder.party (name);

CREATE OR REPLACE VIEW recorder.name_tie AS
SELECT m.owner, m.recording_number, m.name,
       CASE WHEN m.name ~ '\m(TRUSTEE|TITLE|ESCROW|BANK|MORTGAGE|MERS|LENDING|LOANS?|SERVICING|CREDIT UNION|INTERNAL REVENUE|STATE OF|CITY OF|COUNTY)\M'
                 OR f.filings >= 5 THEN 'excluded'
            WHEN regexp_replace(regexp_replace(m.name, ' ETAL$', ''), '\W', '', 'g') = regexp_replace(m.owner, '\W', '', 'g') THEN 'probable'
            ELSE 'possible' END AS confidence,
       CASE WHEN m.name ~ '\m(TRUSTEE|TITLE|ESCROW|BANK|MORTGAGE|MERS|LENDING|LOANS?|SERVICING|CREDIT UNION|INTERNAL REVENUE|STATE OF|CITY OF|COUNTY)\M'
                 THEN 'a trustee, lender or public body: its name ties nothing to a parcel'
            WHEN f.filings >= 5 THEN format('the name is on %s filings: too many to be about one parcel', f.filings)
            WHEN regexp_replace(regexp_replace(m.name, ' ETAL$', ''), '\W', '', 'g') = regexp_replace(m.owner, '\W', '', 'g')
                 THEN format('same name as the owner, on %s filings; another person may have it', f.filings)
            ELSE format('a name that begins like the owner''s: %s', m.name) END AS reason
FROM recorder.name_match m
JOIN (
    SELECT name, count(DISTINCT recording_number) AS filings
    FROM (
        SELECT name, recording_number FROM recorder.name_match
        UNION ALL
        SELECT p.name, p.recording_number
        FROM (SELECT DISTINCT name FROM recorder.name_match) n JOIN recorder.party p USING (name) WHERE p.removed_at IS NULL
    ) filed GROUP BY name
) f USING (name);
