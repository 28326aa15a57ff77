"""What this machine gives: files, folders, processes, the environment of a child, text that is safe to
show.
"""
