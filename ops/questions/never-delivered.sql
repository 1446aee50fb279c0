-- Alerts that no target has shown to anybody
SELECT a.alert_uuid, a.short_id, a.title, a.urgency, a.rule_name, a.first_received_at
FROM alerts a
WHERE NOT EXISTS (
    SELECT 1 FROM deliveries d JOIN events e USING (event_id)
    WHERE e.alert_uuid = a.alert_uuid AND d.outcome IN ('delivered', 'accepted', 'digested', 'by_fallback')
)
ORDER BY a.urgency DESC NULLS LAST, a.first_received_at LIMIT 200
