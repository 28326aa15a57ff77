"""`maricopa find`: anything that is stored, by words of it.

`schema.sql` is the index, `question` what a person may ask, `search` the hits, best first, `documents` those
of the recorder, and `neighbours` the words that a mistyped one may stand for.
"""
