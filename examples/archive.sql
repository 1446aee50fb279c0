-- The archive read by DuckDB alone, without tocsin: in the archive's folder run `duckdb < archive.sql`.
-- Only files that a manifest lists count, and of them those that no compaction has replaced.
CREATE TEMP TABLE entries AS
FROM read_json('manifest/*/*/*.json', columns = {
    topic: 'VARCHAR', partition: 'INTEGER', seq: 'BIGINT', files: 'STRUCT(path VARCHAR, "rows" BIGINT)[]', replaces: 'VARCHAR[]'
});

SET VARIABLE files = (
    SELECT list(path ORDER BY path)
    FROM (SELECT unnest(files).path AS path FROM entries WHERE topic LIKE '%enriched.v1')
    WHERE path NOT IN (SELECT unnest(replaces) FROM entries)
);

SELECT received_at::DATE AS day, rule_name, count(DISTINCT event_id) AS events
FROM read_parquet(getvariable('files'), union_by_name = true)
GROUP BY day, rule_name
ORDER BY day, events DESC, rule_name;
