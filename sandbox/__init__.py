"""All it takes to run on one machine with nothing else: Kafka, a supervisor, a simulated tenant, receivers, an oracle."""
