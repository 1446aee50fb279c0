"""The metrics of a sink; target names and outcomes are the only labels."""

from prometheus_client import Counter, Gauge

DELIVERED = Counter("tocsin_sink_delivered_total", "Events a target took.", ["target", "outcome"])
DEAD_LETTERS = Counter("tocsin_sink_dead_letters_total", "Events a target can never take.", ["target"])
UNMATCHED = Counter("tocsin_sink_unmatched_total", "Events no rule sends to the target.", ["target"])
MUTED = Counter("tocsin_sink_muted_total", "Events whose rules keep quiet at that time.", ["target"])
SPARED = Counter("tocsin_sink_spared_total", "Events read again that had a receipt already, so not sent.", ["target"])
PAUSED = Gauge("tocsin_sink_paused", "1 while a target is paused because its address is gone for good.", ["target"])
UNAVAILABLE = Gauge("tocsin_sink_unavailable", "1 while the target cannot be reached and its lag grows.", ["target"])
RELOADS = Counter("tocsin_sink_rules_reloads_total", "Times the rules file was read anew.", ["outcome"])
