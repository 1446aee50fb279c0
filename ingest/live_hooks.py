"""The hooks of this moment: those of the environment, and those of a file that may change."""

import asyncio
import ipaddress
from collections.abc import Callable
from pathlib import Path

import structlog
from starlette.types import Scope

from events.errors import NotReady
from ingest.hooks import Hook, Hooks, Network, is_in, read_networks
from ingest.settings import IngestSettings

LOOK_EVERY = 2.0
"""Seconds between looks at the file."""

log = structlog.get_logger()


class LiveHooks:
    """Find hooks by token and address; a token added to the file or taken out of it counts without a restart."""

    def __init__(self, settings: IngestSettings) -> None:
        """Read them.

        Raises NotReady when there are none, or something is written wrong.
        """
        self._path = settings.hooks_file
        self._proxies = tuple(read_networks(settings.trusted_proxies, "INGEST_TRUSTED_PROXIES"))
        text = settings.hooks.get_secret_value()
        self._fixed = Hooks({}) if self._path and not text else Hooks.parse(text, settings.networks)
        self._seen: tuple[int, ...] = ()
        self._hooks = self._fixed
        self._told: Callable[[list[str]], None] = lambda _: None
        if self._path:
            self._seen = _state(self._path)
            self._hooks = self._fixed + _read(self._path)
            if not self._hooks.names:
                raise NotReady(f"{self._path} has no hook, so nobody could post: `tocsin hooks new NAME` makes one.")

    @property
    def names(self) -> list[str]:
        """The hooks' names."""
        return self._hooks.names

    def tell(self, told: Callable[[list[str]], None]) -> None:
        """Tell the hooks' names, now and whenever the file was read again."""
        self._told = told
        told(self.names)

    def find(self, token: str, scope: Scope) -> Hook | None:
        """Return the hook the token opens to this sender."""
        hook = self._hooks.find(token)
        if hook and hook.networks and not hook.admits(sender(scope, self._proxies)):
            return None
        return hook

    def reload(self) -> None:
        """Read the file again; one with a mistake changes nothing."""
        if not self._path:
            return
        try:
            self._seen = _state(self._path)
            self._hooks = self._fixed + _read(self._path)
        except NotReady as error:
            log.error("hooks_not_read", reason=str(error))
        else:
            log.info("hooks_read", hooks=self.names)
            self._told(self.names)

    async def follow(self) -> None:
        """Read the file whenever it changes, for ever."""
        while self._path:
            await asyncio.sleep(LOOK_EVERY)
            if _state(self._path) != self._seen:
                self.reload()


def sender(scope: Scope, proxies: tuple[Network, ...]) -> str:
    """Return the sender's address: the last one that no proxy of ours vouches for."""
    address: str = (scope.get("client") or ("", 0))[0]
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [hop.strip() for hop in b",".join(forwarded).decode("latin-1").split(",") if hop.strip()]
    while hops and is_in(address, proxies):
        address = _bare(hops.pop())
    return address


def _bare(hop: str) -> str:
    """Return the address of a hop that some proxies write with a port."""
    host = hop.removeprefix("[").partition("]")[0] if hop.startswith("[") else hop
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""  # nobody's


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> Hooks:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotReady(
            f"INGEST_HOOKS_FILE cannot be read: {path} ({getattr(error, 'strerror', None) or 'not text'}); "
            "`tocsin hooks new NAME` makes it."
        ) from error
    return Hooks.parse_file(text)
