"""The way out: read enriched, decide by rule, deliver to each target; the archive keeps everything.

`runner` moves records, `rules` decides, `destinations/` holds one file per type of target, `archive/` writes Parquet.
"""
