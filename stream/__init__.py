"""The processor: read raw, drop what was seen, ask the Alert API, write one enriched record per event.

A record arrives in `app` (Faust), waits in its `partition` (dedupe, fenced transactions), is looked up by `enrich`.
"""
