"""`maricopa probe`: is each source still what we take it for? A dozen polite requests, a table, and a bundle
to show to others.

request_plan: which sources, how many requests.
client: one request after another. findings: what was looked at. manifests: where a manifest says what.
key_differences: objects against the shapes of the parsers. assessor, assessor_page, gis, recorder,
recorder_legacy, treasurer, bulk: the checks. visits: pages in a browser, and pictures. proposal: a manifest
that would fit. run: all of it, in order. findings_table: what a person sees. bundle: the zip. anonymise,
anonymise_html, words_to_keep: what is in it instead of persons.
"""
