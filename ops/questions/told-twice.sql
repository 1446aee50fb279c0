-- Events that a target has more than one receipt of being shown for, replays apart
SELECT target, event_id, revision, count(*) AS receipts, min(receipt_at) AS first, max(receipt_at) AS last
FROM deliveries WHERE outcome IN ('delivered', 'accepted', 'digested', 'by_fallback') AND replay_id IS NULL
GROUP BY target, event_id, revision HAVING count(*) > 1 ORDER BY receipts DESC, last DESC LIMIT 200
