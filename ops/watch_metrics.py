"""Every metric the watch exports."""

from prometheus_client import Counter, Gauge

RAISED = Gauge("tocsin_watch_raised", "Conditions that are raised just now, by their name.", ["condition"])
UNTOLD = Gauge("tocsin_watch_untold", "Changes that are not told yet.")
TOLD = Counter("tocsin_watch_told", "Changes told: written to Kafka, or posted past it to a target.", ["way"])
LOOKED = Gauge("tocsin_watch_last_look_timestamp_seconds", "When everything was last looked at.")
BEATS = Counter("tocsin_watch_heartbeats", "Calls to HEARTBEAT_URL.", ["outcome"])
