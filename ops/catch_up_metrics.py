"""Every metric the job of the catch-up exports."""

from prometheus_client import Counter, Gauge

SILENT = Gauge(
    "tocsin_catch_up_webhooks_silent", "1 while no webhook came for SILENCE_AFTER, and the API shows new alerts."
)
FED = Counter("tocsin_catch_up_fed", "Alerts and changes fed, for no webhook told of them.", ["kind"])
FAILED = Counter("tocsin_catch_up_failed_passes", "Passes cut off: the API or Kafka did not answer.")
LAST_PASS = Gauge("tocsin_catch_up_last_pass_timestamp_seconds", "When the last whole pass ended.")
DELAY = Gauge("tocsin_catch_up_delay_seconds", "How old a change must be to be taken for lost.")
KEY_REFUSED = Gauge(
    "tocsin_catch_up_api_key_refused", "1 since the Alert API refused the key, until a pass comes to its end."
)
