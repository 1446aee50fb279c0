-- Events that only the catch-up found, day by day
SELECT received_at::DATE AS day, count(*) FILTER (origin = 'webhook') AS by_webhook,
       count(*) FILTER (origin = 'catch-up') AS by_catch_up
FROM events WHERE revision = 0 GROUP BY day ORDER BY day DESC
