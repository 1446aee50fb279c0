-- Which sources are behind the most alerts, and how many targets each has
SELECT source, count(*) AS alerts, count(DISTINCT target) AS targets, max(urgency) AS highest_urgency, max(last_received_at) AS last
FROM alerts WHERE source IS NOT NULL GROUP BY source ORDER BY alerts DESC, source LIMIT 50
