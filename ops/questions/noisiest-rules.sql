-- Which rules raise the most alerts, and how urgent they are
SELECT rule_name, count(*) AS alerts, sum(events) AS events, round(avg(urgency), 1) AS urgency, max(last_received_at) AS last
FROM alerts GROUP BY rule_name ORDER BY alerts DESC, rule_name LIMIT 50
