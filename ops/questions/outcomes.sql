-- What became of the events at each target
SELECT target, outcome, count(*) AS receipts, count(DISTINCT event_id) AS events, max(receipt_at) AS last
FROM deliveries GROUP BY target, outcome ORDER BY target, receipts DESC
