-- The longest times without a webhook
SELECT previous AS since, received_at AS until, received_at - previous AS silence
FROM (
    SELECT received_at, lag(received_at) OVER (ORDER BY received_at) AS previous
    FROM events WHERE revision = 0 AND origin = 'webhook'
)
WHERE previous IS NOT NULL ORDER BY silence DESC LIMIT 20
