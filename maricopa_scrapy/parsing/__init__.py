"""Pure parsers: bytes in, records out. No network, no clock, no settings; a page that can't be read raises
errors.PageError.
"""
