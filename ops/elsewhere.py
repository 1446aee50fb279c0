"""Whether the rooms run on this machine, or elsewhere: in other containers, of which the watch knows the addresses."""

import ipaddress
from urllib.parse import urlsplit

from ops.watch_settings import WatchSettings


def ingest() -> str:
    """Return the private address of ingest where it runs elsewhere by WATCH_ROOMS, "" where that says nothing of it.

    Raises NotReady.
    """
    address = WatchSettings().room_addresses().get("ingest", "")
    return address if address and not _is_here(urlsplit(address).hostname or "") else ""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
