-- What reached a target only after several tries
SELECT target, outcome, attempts, count(*) AS receipts, any_value(status) AS example, max(receipt_at) AS last
FROM deliveries WHERE attempts > 1 GROUP BY target, outcome, attempts ORDER BY receipts DESC, target, attempts
