-- How far the Alert API could answer, and why not
SELECT enrichment_status, enrichment_reason, count(*) AS records, max(received_at) AS last
FROM events GROUP BY enrichment_status, enrichment_reason ORDER BY records DESC
