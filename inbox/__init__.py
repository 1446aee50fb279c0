"""The inbox: every notification on a page a SOC keeps open, from a store of its own.

The feeder writes, the pages read; between them stands one SQLite file and nothing else.
"""
