-- How long each hook's events take from happening to arriving, in seconds
SELECT hook, origin, count(*) AS events,
       round(quantile_cont(epoch(received_at) - epoch(event_at), 0.5), 3) AS p50,
       round(quantile_cont(epoch(received_at) - epoch(event_at), 0.99), 3) AS p99,
       round(max(epoch(received_at) - epoch(event_at)), 3) AS slowest
FROM events WHERE event_at IS NOT NULL AND revision = 0 GROUP BY hook, origin ORDER BY hook, origin
