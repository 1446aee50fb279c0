"""The operator's verbs: the `tocsin` command, topics, and what looks across rooms."""
