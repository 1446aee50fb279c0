"""The metrics of the archive."""

from prometheus_client import Counter, Gauge

ROWS = Counter("tocsin_archive_rows_total", "Rows of events that count, since this process started.")
OTHER_ROWS = Counter("tocsin_archive_other_rows_total", "Rows of raw records and receipts that count.", ["records"])
FILES = Counter("tocsin_archive_files_total", "Files that count, since this process started.")
DEAD_LETTERS = Counter("tocsin_archive_dead_letters_total", "Records that could not become rows.", ["cause"])
DEAD_LETTERS.labels("malformed")  # shown as 0, so that the first one is an increase
OLDEST = Gauge("tocsin_archive_oldest_buffered_seconds", "Age of the oldest record read but not archived yet.")
BUFFERED = Gauge("tocsin_archive_buffered_bytes", "Bytes of records read but not archived yet.")
