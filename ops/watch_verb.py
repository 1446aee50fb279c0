"""The command `tocsin watch`; what it does stands in ops/watch.py."""


def watch() -> None:
    """Watch the pipeline, and tell the operators of `tocsin.yml` what begins to hurt and what is over.

    Needs KAFKA_BOOTSTRAP_SERVERS, the topics, the rules file, and WATCH_ROOMS where the rooms run elsewhere. One process a
    site; what it remembers is in TOCSIN_DATA/watch. Health and metrics are on port WATCH_ADMIN_PORT (8087). docs/watch.md
    says what it looks at, HEARTBEAT_URL lets an outside service watch the watch.
    """
    from ops import watch as ops_watch

    ops_watch.run()
