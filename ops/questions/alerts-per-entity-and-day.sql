-- How many alerts each entity has had, day by day
SELECT first_received_at::DATE AS day, entity_name, count(*) AS alerts, max(urgency) AS highest_urgency
FROM alerts GROUP BY day, entity_name ORDER BY day DESC, alerts DESC, entity_name
