-- How many alerts of each urgency, day by day
SELECT first_received_at::DATE AS day,
       count(*) FILTER (urgency >= 80) AS urgent, count(*) FILTER (urgency >= 60 AND urgency < 80) AS major,
       count(*) FILTER (urgency >= 40 AND urgency < 60) AS high, count(*) FILTER (urgency >= 20 AND urgency < 40) AS moderate,
       count(*) FILTER (urgency < 20) AS low, count(*) FILTER (urgency IS NULL) AS unknown, count(*) AS alerts
FROM alerts GROUP BY day ORDER BY day DESC
