"""Pages that only a browser can show: which browser, how it is started, a pool of its pages, a visit of
one.
"""
