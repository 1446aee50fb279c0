"""The archive: every enriched event as a row of Parquet, exactly once, in a folder that needs no tocsin to be read.

`consumer` moves records from Kafka, `rows` makes columns of them, `writer` puts files down, `manifest` makes them
count. Readers go through `read`. Why it is built so: docs/adr/0007-archive-manifest.md.
"""
