-- When alerts come: by hour of the day (UTC), working days and weekends
SELECT hour(first_received_at) AS hour, count(*) FILTER (isodow(first_received_at) < 6) AS working_days,
       count(*) FILTER (isodow(first_received_at) > 5) AS weekends
FROM alerts GROUP BY hour ORDER BY hour
