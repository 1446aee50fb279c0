-- Alerts that come again: the same rule on the same source and target
SELECT rule_name, source, target, count(*) AS alerts, max(occurrences) AS occurrences,
       min(first_received_at) AS first, max(last_received_at) AS last
FROM alerts GROUP BY rule_name, source, target HAVING count(*) > 1 OR max(occurrences) > 1
ORDER BY alerts DESC, occurrences DESC NULLS LAST LIMIT 50
