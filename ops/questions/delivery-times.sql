-- How long from the webhook to each target, in seconds
SELECT target, count(*) AS deliveries,
       round(quantile_cont(latency, 0.5), 3) AS p50, round(quantile_cont(latency, 0.95), 3) AS p95,
       round(quantile_cont(latency, 0.99), 3) AS p99, round(max(latency), 3) AS slowest
FROM deliveries WHERE latency IS NOT NULL AND outcome IN ('delivered', 'accepted', 'digested', 'by_fallback')
GROUP BY target ORDER BY target
