-- Alerts that are neither closed, rejected nor deleted, the oldest first
SELECT alert_uuid, short_id, title, urgency, status, rule_name, first_received_at
FROM alerts WHERE NOT deleted AND coalesce(lower(status), '') NOT IN ('closed', 'rejected')
ORDER BY first_received_at LIMIT 200
